"""Opening who asked: by whom, when, how often, and never without a trace."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.store.session import Database
from tests.audit.asking import ADDRESS, NAME, PHONE, REASON, ask, looks, submit
from tests.city import (
    GRID,
    MICRO_GRID,
    OTHER_GRID,
    OTHER_TOWN,
    OTHER_UNIT,
    REQUESTS,
    TOWN,
    Clock,
)
from tests.city import CityHall as Hall


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"reveals_per_day": 10, "requests_per_hour": 1_000}


# --- by whom -------------------------------------------------------------------------------------


async def test_the_handler_sees_who_asked_and_the_look_is_told(hall: Hall) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler")
    answer = await ask(handler, request)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"name": NAME, "phone": PHONE, "address": ADDRESS}
    assert answer.headers.get_list("cache-control") == ["no-store"]
    [look] = await looks(hall.db, request)
    assert (look.actor_id, look.actor_role, look.at) == (handler.id, "handler", hall.clock.now)
    assert look.said() == {
        "reason": REASON,
        "confidential": False,
        "request_version": request["version"],
    }


SCOPE: list[tuple[str, dict[str, str]]] = [
    ("handler", {}),
    ("unit_leader", {}),
    ("grid_leader", {"grid": GRID}),
    ("dispatcher", {}),
    ("dispatcher", {"grid": TOWN}),
]
OUTSIDE: list[tuple[str, dict[str, str]]] = [
    ("handler", {"unit": OTHER_UNIT}),
    ("unit_leader", {"unit": OTHER_UNIT}),
    ("grid_leader", {"grid": OTHER_GRID}),
    ("micro_grid_leader", {"grid": MICRO_GRID}),
    ("dispatcher", {"grid": OTHER_TOWN}),
]


@pytest.mark.parametrize(("role", "post"), SCOPE)
async def test_in_scope_it_is_shown(hall: Hall, role: str, post: dict[str, str]) -> None:
    request = await submit(hall)
    answer = await ask(await hall.as_staff(role, number=2, **post), request)
    assert answer.status_code == 200
    assert answer.json()["phone"] == PHONE


@pytest.mark.parametrize(("role", "post"), OUTSIDE)
async def test_out_of_scope_it_does_not_exist(hall: Hall, role: str, post: dict[str, str]) -> None:
    request = await submit(hall)
    caller = await hall.as_staff(role, **post)
    answer, nothing = await ask(caller, request), await ask(caller, {"id": str(uuid4())})
    assert answer.status_code == 404
    one, other = answer.json(), nothing.json()
    assert one.pop("request_id") != other.pop("request_id")
    assert one == other
    assert await looks(hall.db, request) == []


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_who_only_checks_figures_never_sees_it(hall: Hall, role: str) -> None:
    for confidential in (False, True):
        request = await submit(hall, confidential=confidential)
        answer = await ask(await hall.as_staff(role), request)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert await looks(hall.db, request) == []


async def test_residents_and_strangers_do_not_see_it(hall: Hall) -> None:
    request = await submit(hall)
    answer = await ask(await hall.as_resident(), request)
    assert answer.status_code == 403
    answer = await hall.client.post(f"{REQUESTS}/{request['id']}/reveal", json={"reason": REASON})
    assert answer.status_code == 401


# --- confidential --------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "post"), SCOPE)
async def test_what_is_confidential_is_kept_from_all_who_work_on_it(
    hall: Hall, role: str, post: dict[str, str]
) -> None:
    request = await submit(hall, confidential=True)
    answer = await ask(await hall.as_staff(role, **post), request)
    assert (answer.status_code, answer.json()["code"]) == (403, "reveal_confidential")
    assert not {NAME, PHONE, ADDRESS} & set(answer.text.split('"'))
    assert await looks(hall.db, request) == []


async def test_a_supervisor_opens_what_is_confidential_and_only_that(hall: Hall) -> None:
    supervisor = await hall.as_staff("supervisor")
    request = await submit(hall, confidential=True)
    answer = await ask(supervisor, request, "核实举报人是否受到打击报复")
    assert answer.json() == {"name": NAME, "phone": PHONE, "address": ADDRESS}
    [look] = await looks(hall.db, request)
    assert look.said()["confidential"] is True
    open_to_all = await submit(hall)
    answer = await ask(supervisor, open_to_all)
    assert (answer.status_code, answer.json()["code"]) == (403, "reveal_forbidden")


# --- when ----------------------------------------------------------------------------------------


async def test_when_there_is_nothing_left_to_do_it_is_closed(hall: Hall) -> None:
    resident = await hall.as_resident()
    request = await submit(hall, caller=resident)
    handler = await hall.as_staff("handler", number=3)
    assert (await ask(handler, request)).status_code == 200
    await hall.act(resident, request, "withdraw")
    answer = await ask(handler, request)
    assert (answer.status_code, answer.json()["code"]) == (409, "reveal_closed")
    assert len(await looks(hall.db, request)) == 1


async def test_without_anything_to_show_the_look_is_told_all_the_same(hall: Hall) -> None:
    request = await hall.submit()
    answer = await ask(await hall.as_staff("handler", number=3), request)
    assert answer.json() == {"name": None, "phone": None, "address": None}
    assert len(await looks(hall.db, request)) == 1


# --- why -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", " ", None, 5, "x" * 201, "a\nb"])
async def test_a_reason_is_needed(hall: Hall, reason: object) -> None:
    request = await submit(hall)
    answer = await ask(await hall.as_staff("handler"), request, reason)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert await looks(hall.db, request) == []


@pytest.mark.parametrize(
    "reason",
    [
        f"{NAME}来电询问",
        f"打 {PHONE} 没人接",
        "换号 139 8765 4321 了",
        f"去{ADDRESS}看看",
        "身份证370281199001011234",
    ],
)
async def test_a_reason_that_tells_who_asked_is_refused(hall: Hall, reason: str) -> None:
    """It is kept for ever, and auditors read it."""
    request = await submit(hall)
    answer = await ask(await hall.as_staff("handler", number=4), request, reason)
    assert (answer.status_code, answer.json()["code"]) == (422, "reason_personal")
    assert NAME not in answer.text
    assert await looks(hall.db, request) == []


async def test_a_call_has_no_other_members(hall: Hall) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler")
    path = f"{REQUESTS}/{request['id']}/reveal"
    answer = await handler.post(path, {"reason": REASON, "fields": ["phone"]}, key=None)
    assert answer.status_code == 422


# --- how often -----------------------------------------------------------------------------------


async def test_fifty_at_once_are_exactly_the_days_ten(hall: Hall, clock: Clock) -> None:
    requests = [await submit(hall) for _ in range(5)]
    handler = await hall.as_staff("handler", number=10)
    clock.set("2026-03-02T17:00:00")
    answers = await asyncio.gather(*(ask(handler, requests[n % 5]) for n in range(50)))
    shown = [a for a in answers if a.status_code == 200]
    refused = [a for a in answers if a.status_code == 429]
    assert (len(shown), len(refused)) == (10, 40)
    assert {a.json()["code"] for a in refused} == {"reveal_budget_spent"}
    assert {a.headers["retry-after"] for a in refused} == {str(7 * 3600)}  # midnight in Shanghai
    assert not any(PHONE in a.text for a in refused)
    told = [look for request in requests for look in await looks(hall.db, request)]
    assert len(told) == 10


async def test_ten_looks_at_one_request_are_ten_entries(hall: Hall) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=11)
    answers = await asyncio.gather(*(ask(handler, request) for _ in range(12)))
    assert sorted(a.status_code for a in answers) == [200] * 10 + [429] * 2
    assert len(await looks(hall.db, request)) == 10


async def test_the_budget_is_each_persons_own_and_opens_at_midnight(
    hall: Hall, clock: Clock
) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=12)
    clock.set("2026-03-03T23:59:58.500")
    for _ in range(10):
        assert (await ask(handler, request)).status_code == 200
    answer = await ask(handler, request)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    colleague = await hall.as_staff("handler", number=13)
    assert (await ask(colleague, request)).status_code == 200
    clock.set("2026-03-04T00:00:00")
    assert (await ask(handler, request)).status_code == 200


async def test_what_is_refused_costs_nothing(hall: Hall) -> None:
    closed = await submit(hall, confidential=True)
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=14)
    for _ in range(15):
        assert (await ask(handler, closed)).status_code == 403
        assert (await ask(handler, {"id": str(uuid4())})).status_code == 404
    for _ in range(10):
        assert (await ask(handler, request)).status_code == 200
    assert (await ask(handler, request)).status_code == 429


# --- what is left behind -------------------------------------------------------------------------


@pytest.fixture
async def dump(db: Database) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(db.url)

    async def everything() -> str:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        texts = [
            await connection.fetchval(f"SELECT string_agg(t::text, ' ') FROM {row[0]} AS t")
            for row in tables
        ]
        return " ".join(filter(None, texts))

    yield everything
    await connection.close()


async def test_no_table_holds_what_was_shown(hall: Hall, dump: Any) -> None:
    """Not the answers kept for replay, which is why this call has no key; not the audit either."""
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=15)
    path = f"{REQUESTS}/{request['id']}/reveal"
    answer = await handler.post(path, {"reason": REASON}, key="kept")
    assert answer.status_code == 200
    lying = await dump()
    assert REASON in lying
    for secret in (NAME, PHONE, ADDRESS):
        assert secret not in lying
        assert secret.encode().hex() not in lying  # as bytea is written


REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION refuse();
"""


async def test_an_audit_that_cannot_be_written_shows_nothing(hall: Hall) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=16)
    connection = await asyncpg.connect(hall.db.url)
    try:
        await connection.execute(REFUSING)
        for _ in range(11):
            answer = await ask(handler, request)
            assert answer.status_code == 503
            assert not any(secret in answer.text for secret in (NAME, PHONE, ADDRESS))
    finally:
        await connection.execute("DROP FUNCTION refuse CASCADE")
        await connection.close()
    assert (await ask(handler, request)).status_code == 200  # and it had cost nothing


async def test_a_change_that_runs_at_the_same_time_keeps_the_chain_whole(hall: Hall) -> None:
    request = await submit(hall)
    handler, colleague = await hall.as_staff("handler"), await hall.as_staff("handler", number=17)
    path = f"{REQUESTS}/{request['id']}/actions/sign"
    sign = handler.post(path, {}, version=request["version"])
    answers = await asyncio.gather(sign, *(ask(colleague, request) for _ in range(5)))
    assert [a.status_code for a in answers] == [200] * 6
    assert len(await looks(hall.db, request)) == 5
