"""The sweep: every rung is told once, at whatever moment and by however many it is swept."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from app.requests.city import City
from app.sla import sweeping
from app.store.session import Statement
from tests.city import REQUESTS, counted_queries

FIRES = Statement("""
SELECT metric, level, fire_at, fired_at FROM clock_fires WHERE request_id = :id ORDER BY fire_at
""")
TOLD = Statement("""
SELECT payload->>'metric' AS metric, payload->>'level' AS level,
  (payload->>'fired_late_by_s')::int AS late_s
FROM outbox WHERE kind = 'ClockFired' AND (payload->>'request_id')::uuid = :id
ORDER BY payload->>'at'
""")
MISLAY = text("""
UPDATE request_clocks SET metric = 'mislaid', next_fire_at = NULL
WHERE request_id = :id AND metric = 'reply'
""")
PUT_BACK = text("""
UPDATE request_clocks SET metric = 'reply' WHERE request_id = :id AND metric = 'mislaid'
""")
HOLD = text("SELECT FROM requests WHERE id = :id FOR UPDATE")
DUE = Statement("SELECT count(*) AS due FROM request_clocks WHERE next_fire_at <= :now")


@pytest.fixture
async def fires(db):
    async def read(request) -> list[tuple[str, str]]:
        rows = await db.rows(FIRES, id=UUID(request["id"]))
        return [(row["metric"], row["level"]) for row in rows]

    return read


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-03-02T12:29:59", []),
        ("2026-03-02T12:30:00", [("contact", "due_soon_1")]),  # half of the six hours
        ("2026-03-02T13:30:00", [("contact", "due_soon_1"), ("contact", "due_soon_2")]),
        (
            "2026-03-02T15:30:00",
            [("contact", "due_soon_1"), ("contact", "due_soon_2"), ("contact", "breach_1")],
        ),
    ],
)
async def test_a_rung_is_told_at_its_time(hall, submit, as_staff, clock, fires, moment, told):
    request = await hall.act(await as_staff("handler"), await submit(), "sign")
    clock.set(moment)
    for _ in range(4):
        await hall.work("sweep_clocks")
    assert await fires(request) == told


async def test_after_an_outage_each_rung_is_told_once_with_its_true_time(
    hall, submit, as_staff, clock, fires, db
):
    request = await hall.act(await as_staff("handler"), await submit(), "sign")
    clock.set("2026-03-16T08:00:00")
    for _ in range(2):
        await hall.work("sweep_clocks")
    assert await fires(request) == [
        ("contact", "due_soon_1"),
        ("contact", "due_soon_2"),
        ("contact", "breach_1"),
        ("contact", "breach_2"),
        ("reply", "due_soon_1"),
        ("reply", "due_soon_2"),
        ("reply", "breach_1"),
        ("reply", "breach_2"),
        ("reply", "breach_3"),
    ]
    rows = await db.rows(FIRES, id=UUID(request["id"]))
    assert rows[0]["fire_at"].isoformat() == "2026-03-02T04:30:00+00:00"
    assert {row["fired_at"].isoformat() for row in rows} == {"2026-03-16T00:00:00+00:00"}
    told = await db.rows(TOLD, id=UUID(request["id"]))
    assert len(told) == 9
    assert told[0]["late_s"] == 13 * 86_400 + 19.5 * 3_600


async def test_what_was_contacted_and_answered_is_warned_of_no_more(hall, clock, fires):
    request = await hall.replied()
    clock.set("2026-03-04T08:00:00")
    await hall.work("sweep_clocks")
    assert await fires(request) == []


async def test_while_the_clock_stands_nothing_is_told_and_then_the_ladder_goes_on(
    hall, submit, as_resident, as_staff, clock, fires
):
    resident, handler = await as_resident(), await as_staff("handler")
    request = await hall.act(handler, await submit(resident), "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    clock.set("2026-03-05T09:00:00")
    await hall.work("sweep_clocks")
    assert await fires(request) == [("reply", "due_soon_1")]
    request = await hall.act(handler, request, "ask_info", note="请说明")
    clock.set("2026-03-10T08:00:00")
    await hall.work("sweep_clocks")
    reminders = [("info", "remind_1"), ("info", "remind_2")]
    assert await fires(request) == [("reply", "due_soon_1"), *reminders]
    request = await hall.act(resident, request, "supply", text="好")
    assert request["reply_due_at"] == "2026-03-13T00:00:00+08:00"  # two days were left
    clock.set("2026-03-11T09:00:00")
    await hall.work("sweep_clocks")
    assert (await fires(request))[3:] == [("reply", "due_soon_2")]


async def test_many_sweepers_together_tell_everything_once(hall, submit, as_staff, clock, db):
    handler = await as_staff("handler")
    requests = [await hall.act(handler, await submit(), "sign") for _ in range(30)]
    clock.set("2026-03-02T15:30:00")
    state = hall.app.state
    city = City(state.reference.current, state.grids.current, state.cipher)

    async def sweeper() -> None:
        while (await db.one_statement(DUE, now=clock.now))["due"]:
            await sweeping.sweep(db, city, now=clock.now, batch=7)

    await asyncio.gather(*(sweeper() for _ in range(4)))
    for request in requests:
        told = await db.rows(TOLD, id=UUID(request["id"]))
        assert [row["level"] for row in told] == ["due_soon_1", "due_soon_2", "breach_1"]


async def test_a_batch_costs_as_many_statements_however_many_clocks_are_due(
    hall, submit, as_staff, clock, db
):
    async def statements(day: str, clocks: int) -> int:
        clock.set(f"{day}T08:00:00")
        await hall.work("sweep_clocks")  # what is older
        handler = await as_staff("handler")
        for _ in range(clocks):
            await hall.act(handler, await submit(), "sign")
        clock.set(f"{day}T11:00:00")
        with counted_queries(db) as sent:
            await hall.work("sweep_clocks")
        return len(sent)

    few, many = await statements("2026-05-11", 3), await statements("2026-08-10", 12)
    assert few == many < 10


async def test_an_idle_turn_asks_once(hall, db):
    await hall.work("sweep_clocks")
    with counted_queries(db) as sent:
        await hall.work("sweep_clocks")
    assert len(sent) == 1


async def test_a_step_that_fails_holds_up_nobody_and_is_tried_again(
    hall, submit, as_staff, clock, db
):
    requests = [await submit() for _ in range(3)]
    broken = {"id": UUID(requests[0]["id"])}
    async with db.transaction() as session:  # its reply clock is lost: no step can be taken
        await session.execute(MISLAY, broken)
    clock.set("2026-03-02T11:30:00")
    await hall.work("sweep_clocks")
    supervisor = await as_staff("supervisor")

    async def states() -> list[str]:
        return [
            (await supervisor.get(f"{REQUESTS}/{request['id']}")).json()["state"]
            for request in requests
        ]

    assert await states() == ["assigned", "in_progress", "in_progress"]
    assert await db.rows(FIRES, **broken) == []  # what did not happen was not told
    async with db.transaction() as session:
        await session.execute(PUT_BACK, broken)
    await hall.work("sweep_clocks")
    assert await states() == ["in_progress"] * 3


async def test_a_request_that_somebody_holds_is_left_for_the_next_turn(
    hall, submit, as_staff, clock, fires, db
):
    handler = await as_staff("handler")
    held, free = [await hall.act(handler, await submit(), "sign") for _ in range(2)]
    clock.set("2026-03-02T12:30:00")
    async with db.transaction() as session:
        await session.execute(HOLD, {"id": UUID(held["id"])})
        await hall.work("sweep_clocks")
        assert (await fires(held), await fires(free)) == ([], [("contact", "due_soon_1")])
    await hall.work("sweep_clocks")
    assert await fires(held) == [("contact", "due_soon_1")]


async def test_a_step_of_a_request_that_somebody_holds_waits_for_the_next_turn(
    hall, submit, clock, fires, db
):
    request = await submit()
    clock.set("2026-03-02T11:30:00")  # nobody signed
    async with db.transaction() as session:
        await session.execute(HOLD, {"id": UUID(request["id"])})
        await hall.work("sweep_clocks")
        assert await fires(request) == []
    await hall.work("sweep_clocks")
    assert await fires(request) == [("accept", "breach_1")]


async def test_late_is_late_whether_or_not_anybody_swept(hall, submit, as_staff, clock):
    request = await submit()
    supervisor = await as_staff("supervisor")
    clock.set("2026-03-02T15:30:00.000001")
    seen = (await supervisor.get(f"{REQUESTS}/{request['id']}")).json()
    assert seen["contact_overdue"] is True
    assert seen["reply_overdue"] is False
