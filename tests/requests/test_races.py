"""Two who do different things at once: exactly one of them wins, fifty times over."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

import pytest

from app.store.session import Statement
from tests.city import OTHER_UNIT, REQUESTS, UNIT
from tests.requests.doing import BAD, GOOD, REPLY, race, seen, working

ONE_LINE_A_VERSION = Statement("""
SELECT count(*) AS lines, count(DISTINCT version) AS versions, max(version) AS last,
  (SELECT version FROM requests WHERE id = :id) AS now
FROM request_events WHERE request_id = :id
""")


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 1_000}


def called(caller, request, action, **members):
    path = f"{REQUESTS}/{request['id']}/actions/{action}"
    return caller.post(path, members, version=request["version"])


async def whole(db, request) -> None:
    """The history has one line for each version, and none too many."""
    row = await db.one_statement(ONE_LINE_A_VERSION, id=UUID(request["id"]))
    assert row["lines"] == row["versions"] == row["last"] == row["now"]


async def test_fifty_ways_at_once_to_deal_with_one_request(
    hall, resident, handler, leader, dispatcher, supervisor, db
):
    request = await working(hall, handler, resident)
    returned = {"reason_code": "other", "note": "不归我们"}
    master = await hall.submit()
    ways = (
        (handler, "reply", REPLY),
        (handler, "return", returned),
        (handler, "ask_info", {"note": "位置？"}),
        (leader, "return", returned),
        (dispatcher, "transfer", {"unit_code": OTHER_UNIT, "note": "转"}),
        (dispatcher, "merge", {"master_id": master["id"], "note": "同"}),
        (dispatcher, "ask_info", {"note": "位置？"}),
        (supervisor, "supervise", {"note": "督办"}),
        (resident, "withdraw", {}),
        (handler, "contact", {"method": "phone", "result": "reached"}),
    )
    statuses = await race(
        *(called(who, request, action, **form) for _ in range(5) for who, action, form in ways)
    )
    assert statuses[200] == 1, statuses
    # The others are too late (412, or 409 where it is somewhere else now), no longer concerned
    # (404), or may try again (503).
    assert set(statuses) <= {200, 404, 409, 412, 503}
    assert (await seen(dispatcher, request))["version"] == request["version"] + 1
    await whole(db, request)


@pytest.mark.parametrize("turn", range(5))
async def test_withdrawn_or_answered_but_not_both(hall, resident, handler, db, turn):
    request = await working(hall, handler, resident)
    statuses = await race(
        called(resident, request, "withdraw"), called(handler, request, "reply", **REPLY)
    )
    assert statuses[200] == 1, statuses
    await whole(db, request)


async def test_the_clock_and_the_handler_sign_once(hall, submit, handler, clock, db):
    requests = [await submit() for _ in range(10)]
    clock.set("2026-03-02T11:30:00")
    answers = await asyncio.gather(
        hall.work("sweep_clocks"), *(called(handler, request, "sign") for request in requests)
    )
    signed = [answer.status_code for answer in answers[1:]]
    assert set(signed) <= {200, 409, 412, 503}
    await hall.work("sweep_clocks")
    for request in requests:
        page = await seen(handler, request)
        assert (page["state"], page["version"]) == ("in_progress", 3)
        await whole(db, request)


async def test_rated_or_closed_by_the_clock(hall, resident, clock, db):
    requests = [await hall.replied(resident) for _ in range(5)]
    clock.set("2026-03-10T00:00:00")
    await asyncio.gather(
        hall.work("sweep_clocks"),
        *(called(resident, request, "rate", **GOOD) for request in requests),
    )
    for _ in range(2):
        await hall.work("sweep_clocks")
    for request in requests:
        page = await seen(resident, request)
        assert (page["state"], page["satisfaction"]) == ("closed", None)
        await whole(db, request)


async def test_two_reviewers_and_one_decision(
    hall, resident, dispatcher, second_dispatcher, supervisor, db
):
    request = await hall.act(resident, await hall.replied(resident), "rate", **BAD)
    again = {"decision": "reopen", "note": "重办", "unit_code": UNIT}
    statuses = await race(
        called(dispatcher, request, "decide_reopen", **again),
        called(second_dispatcher, request, "decide_reopen", decision="refuse", note="不"),
        called(supervisor, request, "decide_reopen", **again),
    )
    assert statuses[200] == 1, statuses
    await whole(db, request)


async def test_archived_once_by_many_workers(hall, resident, dispatcher, clock, db):
    requests = [await hall.submit(resident) for _ in range(12)]
    for request in requests:
        await hall.act(resident, request, "withdraw")
    clock.forward(days=30)
    await asyncio.gather(*(hall.work("archive_ended") for _ in range(4)))
    for request in requests:
        page = await seen(dispatcher, request)
        assert (page["state"], page["version"]) == ("archived", 4)
        await whole(db, request)


async def test_a_followers_urge_and_the_masters_answer_do_not_hold_each_other_for_ever(
    hall, as_resident, handler, dispatcher, clock, db
):
    first = await as_resident()
    follower = await hall.submit(first)
    master = await working(hall, handler)
    follower = await hall.act(dispatcher, follower, "merge", master_id=master["id"], note="同")
    master = await seen(handler, master)
    clock.forward(hours=24)
    statuses = await race(
        called(first, follower, "urge"), called(handler, master, "reply", **REPLY)
    )
    assert statuses[200] >= 1
    assert set(statuses) <= {200, 409, 412, 503}
    await whole(db, master)
    await whole(db, follower)
