"""Every operation, called by everybody, about everybody's requests: the declared table holds.

The operations are those of the OpenAPI document, the expectations those of ``policy``. Each cell is
really called; each carries a version that never was, so that no call changes what another one sees.
"""

import statistics
import time
from typing import Any

import httpx
import pytest

from app.domain.identity import Role
from tests.authorization import world as worlds
from tests.authorization.policy import (
    EVERYBODY,
    NOBODY,
    RULES,
    SEES,
    UNIT,
    Relation,
    Rule,
    Who,
    about_a_request,
    cells,
    expected,
    relations_of,
)
from tests.authorization.world import API, World

# Said anew for every answer.
_OF_THE_CALL = frozenset({"x-request-id", "date"})
_ALL = frozenset(Relation) - {Relation.NON_EXISTENT}


@pytest.fixture(scope="module")
async def world(hall) -> World:
    return await worlds.build(hall)


def operations(document: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path.removeprefix(API)}"
        for path, methods in document["paths"].items()
        for method in methods
    }


def test_every_operation_has_a_row_and_every_row_an_operation(app):
    declared, served = set(RULES), operations(app.openapi())
    assert sorted(served - declared) == [], "operations that nobody declared"
    assert sorted(declared - served) == [], "rows of operations that are gone"


def test_every_role_calls():
    roles = {role.value for role in Role} - {Role.SYSTEM}
    assert roles == {who.value for who in Who} - NOBODY - {Who.TOWN_DISPATCHER}
    assert SEES.keys() == set(Who) - NOBODY


def test_the_matrix_is_whole(request):
    every = list(cells())
    about = [cell for cell in every if cell[2] is not None]
    assert len(set(every)) == len(every) >= 1_500
    request.config.get_terminal_writer().line(
        f"\nauthorisation matrix: {len(every)} cells "
        f"({len(Who)} callers, {len(RULES)} operations, {len(about)} about a request)"
    )


@pytest.mark.parametrize("who", list(Who))
async def test_everybody_gets_what_the_table_says_and_nothing_else(world, who):
    wrong = []
    for operation, rule in RULES.items():
        hidden: dict[bytes, list[str]] = {}
        for relation in relations_of(operation):
            answer = await world.call(who, operation, relation, rule)
            wants = expected(who, operation, relation)
            code = _problem_code(answer)
            if answer.status_code not in wants.statuses or wants.code not in (None, code):
                wrong.append(
                    f"{who} · {operation} · {relation or 'n/a'}: {answer.status_code} {code}, "
                    f"expected {sorted(wants.statuses)} {wants.code or ''}"
                )
            if relation is not None and relation in _hidden_from(who, rule):
                hidden.setdefault(_without_request_id(answer), []).append(str(relation))
        if len(hidden) > 1:
            wrong.append(f"{who} · {operation}: told apart: {sorted(hidden.values())}")
    assert not wrong, "\n".join(wrong)


def _hidden_from(who: Who, rule: Rule) -> frozenset[Relation]:
    """What must look like what is not there, down to the last byte; all, where the door is shut."""
    if who in NOBODY or who not in rule.callers:
        return frozenset(Relation)
    return frozenset(Relation) - SEES[who]


# What else might tell: a call that is wrong, or right, in another way than the ones above.
_ASKED_OTHERWISE: dict[str, dict[str, Any]] = {
    "on the version that it has": {"sent": {"If-Match": '"2"'}},
    "on no version": {"sent": {"If-Match": None}},
    "on a version that is none": {"sent": {"If-Match": "*"}},
    "without a key": {"sent": {"Idempotency-Key": None}},
    "with a body that is wrong": {"body": {"nonsense": 1}},
    "with no body": {"body": None},
}


@pytest.mark.parametrize("who", sorted(who for who in EVERYBODY if SEES[who] != _ALL))
async def test_however_one_asks_what_is_hidden_looks_like_what_is_not_there(world, who):
    wrong = []
    for operation, rule in RULES.items():
        hidden = {Relation.OTHER_UNIT, Relation.FORMERLY_OWN} & _hidden_from(who, rule)
        if not about_a_request(operation) or not hidden:
            continue
        for name, otherwise in _ASKED_OTHERWISE.items():
            nothing = await world.call(who, operation, Relation.NON_EXISTENT, rule, **otherwise)
            for relation in hidden:
                answer = await world.call(who, operation, relation, rule, **otherwise)
                if _without_request_id(answer) != _without_request_id(nothing):
                    wrong.append(f"{who} · {operation} · {relation} · {name}: {answer.text}")
    assert not wrong, "\n".join(wrong)


def _problem_code(answer: httpx.Response) -> str | None:
    if answer.status_code < 400:
        return None
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


def _without_request_id(answer: httpx.Response) -> bytes:
    """The whole answer, but for the number of the call, which grows by a digit now and then."""
    call = answer.headers["x-request-id"].encode()
    assert call in answer.content
    said = answer.content.replace(call, b"")
    assert int(answer.headers["content-length"]) == len(answer.content)
    headers = [
        name + b": " + (b"%d" % len(said) if name.lower() == b"content-length" else value)
        for name, value in answer.headers.raw
        if name.decode().lower() not in _OF_THE_CALL
    ]
    return b"\n".join([*sorted(headers), said])


async def _listed(world: World, who: Who, **params: str) -> set[str]:
    """The ids of all pages."""
    listed: set[str] = set()
    cursor = None
    while True:
        asked = {"limit": "100", **params} | ({"cursor": cursor} if cursor else {})
        page = (await world.callers[who].get(f"{API}/requests", params=asked)).json()
        listed |= {item["id"] for item in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return listed


@pytest.mark.parametrize("who", sorted(EVERYBODY))
async def test_a_list_holds_what_one_may_read_and_nothing_else(world, who):
    listed, parts = await _listed(world, who), await _listed(world, who, co="true")
    own = {relation: its for (whose, relation), its in world.requests.items() if whose is who}
    # A unit's list is of what it answers for; what it has a part of is a list of its own.
    of_a_part = {Relation.CO_UNIT} if who in UNIT else set()
    assert {relation for relation, its in own.items() if its in listed} == SEES[who] - of_a_part
    with_parts = SEES[who] & {Relation.CO_UNIT}
    assert {relation for relation, its in own.items() if its in parts} == with_parts
    if who is Who.RESIDENT:
        others = {its for (whose, _), its in world.requests.items() if whose is not who}
        assert not listed & others


async def test_nothing_was_changed_by_those_who_tried(world):
    """The world is as it was built: nobody's step was taken."""
    versions = {}
    for (who, relation), request_id in world.requests.items():
        if relation is not Relation.NON_EXISTENT:
            answer = await world.callers[Who.SUPERVISOR].get(f"{API}/requests/{request_id}")
            versions[who, relation] = answer.json()["version"]
    assert max(versions.values()) < worlds.NEVER
    rebuilt = {relation: set[int]() for relation in Relation}
    for (_who, relation), version in versions.items():
        rebuilt[relation].add(version)
    assert rebuilt[Relation.OWN_GRID] == rebuilt[Relation.OTHER_UNIT] == {2}
    assert rebuilt[Relation.CO_UNIT] == {3}
    assert rebuilt[Relation.FORMERLY_OWN] == {5}


_SAMPLES = 120


@pytest.mark.parametrize(
    "operation",
    ["GET /requests/{request_id}", "POST /requests/{request_id}/actions/withdraw"],
)
async def test_time_does_not_tell_what_is_hidden_from_what_is_not(world, operation):
    assert about_a_request(operation)
    took: dict[Relation, list[float]] = {Relation.OTHER_GRID: [], Relation.NON_EXISTENT: []}
    for _ in range(_SAMPLES):
        for relation, times in took.items():
            began = time.perf_counter()
            await world.call(Who.RESIDENT, operation, relation, RULES[operation])
            times.append(time.perf_counter() - began)
    hidden, nothing = (statistics.median(times) for times in took.values())
    assert abs(hidden - nothing) <= 0.005
