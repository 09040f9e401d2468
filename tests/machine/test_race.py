"""Fifty calls at once, over real sockets, for two things that exclude each other: one is done.

Of each pair twenty-five people's calls want the one and twenty-five the other, all decided on the
same version. One is answered with 200; whatever it was, the request took exactly one step: one line
of history, one audit entry, one letter to be sent, one answer kept.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import uvicorn

from app.settings import Settings
from tests.city import REQUESTS, Caller, CityHall
from tests.machine import ledger
from tests.machine.invariants import BROKEN
from tests.machine.life import BY_THE_DATABASE

AT_ONCE = 50
# Too late (409, 412), no longer concerned (404), or held up too long by the others (503).
_LOSERS = {404, 409, 412, 503}
_COUNTED = """
SELECT (SELECT version FROM requests WHERE id = $1) AS version,
  (SELECT count(*) FROM request_events WHERE request_id = $1) AS lines,
  (SELECT count(*) FROM audit_entries WHERE chain = $1 AND facts ? 'version') AS entries,
  (SELECT count(*) FROM outbox WHERE payload->>'request_id' = $1::text) AS letters,
  (SELECT count(*) FROM idempotency_keys
   WHERE status = 200 AND convert_from(body, 'UTF8')::jsonb->>'id' = $1::text) AS answers
"""
REPLY = {"public_reply": "已修好", "solved": "solved"}
BAD = {"contacted": True, "solved": "unsolved", "satisfaction": 1, "reasons": ["slow"]}


class Side(NamedTuple):
    who: str
    action: str
    form: dict[str, Any]


class Pair(NamedTuple):
    """``leads``: the steps to where both may be taken."""

    leads: tuple[Side, ...]
    one: Side
    other: Side


_CALLED = Side("handler", "contact", {"method": "phone", "result": "reached"})
_WORKING = (Side("handler", "sign", {}), _CALLED)
_ANSWERED = (*_WORKING, Side("handler", "reply", REPLY))
_NOTE = {"note": "说明"}
_RETURN = {"reason_code": "not_ours", **_NOTE}
_LONGER = Side("handler", "request_extension", {
    "working_days": 2, "reason_code": "survey", **_NOTE})  # fmt: skip
_SUSPEND = Side("leader", "suspend", {"reason_code": "weather", "until": "2026-03-20", **_NOTE})
_REJECT = Side("desk", "reject", {"ground_code": "petition", **_NOTE})
_APPROVE, _DENY = ({"decision": decision, **_NOTE} for decision in ("approve", "deny"))
_REOPEN, _REFUSE = ({"decision": decision, **_NOTE} for decision in ("reopen", "refuse"))

# fmt: off
PAIRS: dict[str, Pair] = {
    "withdrawn or answered":    Pair(_WORKING, Side("resident", "withdraw", {}),
                                     Side("handler", "reply", REPLY)),
    "signed or returned":       Pair((), Side("handler", "sign", {}),
                                     Side("leader", "return", _RETURN)),
    "transferred or suspended": Pair((*_WORKING, _SUSPEND),
                                     Side("desk", "transfer", {"unit_code": "water", **_NOTE}),
                                     Side("second desk", "suspend", _APPROVE)),
    "granted or refused":       Pair((*_WORKING, _LONGER),
                                     Side("desk", "decide_extension", _APPROVE),
                                     Side("second desk", "decide_extension", _DENY)),
    "rejected or withdrawn":    Pair((_REJECT,), Side("second desk", "reject", _APPROVE),
                                     Side("resident", "withdraw", {})),
    "rated or asked again":     Pair(_ANSWERED, Side("resident", "rate", BAD),
                                     Side("resident", "request_reopen", _NOTE)),
    "reopened or refused":      Pair((*_ANSWERED, Side("resident", "rate", BAD)),
                                     Side("desk", "decide_reopen", _REOPEN),
                                     Side("second desk", "decide_reopen", _REFUSE)),
    "merged or asked":          Pair(_WORKING, Side("desk", "merge", _NOTE),
                                     Side("handler", "ask_info", _NOTE)),
    "urged or ordered":         Pair(_WORKING, Side("desk", "urge", {}),
                                     Side("supervisor", "supervise", _NOTE)),
}
# fmt: on
_UNROUTED = {"rejected or withdrawn"}  # only what waits for the desk can be rejected


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 1_000}


@pytest.fixture(scope="module")
async def people(hall: CityHall) -> dict[str, Caller]:
    return {
        "resident": await hall.as_resident("甲"),
        "handler": await hall.as_staff("handler"),
        "leader": await hall.as_staff("unit_leader"),
        "desk": await hall.as_staff("dispatcher"),
        "second desk": await hall.as_staff("dispatcher", number=2),
        "supervisor": await hall.as_staff("supervisor"),
    }


@pytest.fixture(scope="module")
async def wire(hall: CityHall) -> AsyncIterator[httpx.AsyncClient]:
    """The same application behind a port, and a client with a connection for each call."""
    config = uvicorn.Config(
        hall.app, host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=AT_ONCE)
    base_url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base_url, limits=limits, timeout=30) as client:
        yield client
    server.should_exit = True
    await serving


Call = Callable[[Side, Mapping[str, Any], str], Awaitable[httpx.Response]]


@pytest.fixture
def call(wire: httpx.AsyncClient, people: dict[str, Caller]) -> Call:
    async def post(side: Side, request: Mapping[str, Any], key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key, "If-Match": f'"{request["version"]}"'}
        return await wire.post(
            f"{REQUESTS}/{request['id']}/actions/{side.action}",
            json=side.form,
            headers=headers | people[side.who].headers,
        )

    return post


@pytest.fixture(scope="module")
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


async def _counted(database: asyncpg.Connection, request: Mapping[str, Any]) -> dict[str, int]:
    return dict(await database.fetchrow(_COUNTED, UUID(request["id"])))


async def _broken(database: asyncpg.Connection) -> list[str]:
    rows = await database.fetch(BROKEN) + await database.fetch(ledger.UNTOLD)
    return [
        *(str(tuple(row)) for row in rows),
        *ledger.broken(await database.fetch(ledger.ENTRIES)),
    ]


async def _led(
    hall: CityHall, people: dict[str, Caller], name: str
) -> tuple[dict[str, Any], Side, Side]:
    pair = PAIRS[name]
    unrouted = {"category_code": ...} if name in _UNROUTED else {}
    request = await hall.submit(people["resident"], **unrouted)
    for step in pair.leads:
        request = await hall.act(people[step.who], request, step.action, **step.form)
    one, other = pair.one, pair.other
    if one.action == "merge":
        master = await hall.submit()
        one = one._replace(form={**one.form, "master_id": master["id"]})
    return request, one, other


@pytest.mark.parametrize("name", PAIRS)
async def test_of_fifty_calls_for_one_thing_or_the_other_one_is_done(
    hall, people, call, database, name
):
    request, one, other = await _led(hall, people, name)
    before = await _counted(database, request)
    answers = await asyncio.gather(
        *(call((one, other)[turn % 2], request, uuid4().hex) for turn in range(AT_ONCE))
    )
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] == 1, statuses
    assert set(statuses) <= {200, *_LOSERS}, statuses
    codes = Counter(answer.json().get("code") for answer in answers)
    assert not codes.keys() & BY_THE_DATABASE, f"only the database refused: {codes}"
    after = await _counted(database, request)
    assert after == {count: number + 1 for count, number in before.items()}
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    seen = await people["desk"].get(f"{REQUESTS}/{request['id']}")
    assert (seen.json()["state"], seen.json()["version"]) == (won["state"], after["version"])
    assert await _broken(database) == []


async def test_fifty_calls_with_two_keys_are_one_step_and_one_answer(hall, people, call, database):
    """Twenty-five repetitions of each of two calls: those of the winner's all get its answer."""
    request, one, other = await _led(hall, people, "withdrawn or answered")
    before = await _counted(database, request)
    keys = (uuid4().hex, uuid4().hex)
    answers = await asyncio.gather(
        *(call((one, other)[turn % 2], request, keys[turn % 2]) for turn in range(AT_ONCE))
    )
    good = [answer for answer in answers if answer.status_code == 200]
    assert len({answer.content for answer in good}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in good) == 1
    assert {answer.status_code for answer in answers} <= {200, *_LOSERS}
    after = await _counted(database, request)
    assert after == {count: number + 1 for count, number in before.items()}
    assert await _broken(database) == []
