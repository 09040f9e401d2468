"""A calendar is published: listed before, counted once, told to whom it concerns."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from app.requests.recalculation import bring_up_to_date
from app.sla import recalculation
from app.store.session import Statement
from tests.sla.looking import CLOCKS, FIRES, MOVES, city_of, clock_of, local, moves_of, read

INBOX = "/api/v1/inbox"
NEW_YEAR = {
    "year": 2027,
    "papers": ["https://example.org/2027"],
    "days": [
        {"name": "元旦", "date": "2027-01-01", "isOffDay": True},
        {"name": "元旦", "date": "2027-01-02", "isOffDay": True},
        {"name": "元旦", "date": "2027-01-03", "isOffDay": True},
    ],
}
ROW = Statement("SELECT calendar_version, version, provisional FROM requests WHERE id = :id")
AUDITED = Statement("""
SELECT facts->>'calendar_version' AS calendar_version FROM audit_entries
WHERE chain = :id AND action = 'recalculate' AND facts->>'job' = 'recalculate_promises'
""")
WALK = Statement("SELECT * FROM calendar_recalculations WHERE version = :version")


async def test_a_provisional_promise_becomes_firm_once_its_year_is_published(
    hall, db, submit, as_resident, as_staff, clock, publish
):
    resident, supervisor = await as_resident(), await as_staff("supervisor")
    clock.set("2026-12-28T10:00:00")
    request = await submit(resident)
    assert request["reply_due_at"] == "2027-01-05T00:00:00+08:00"  # by the plain week
    assert (await read(supervisor, request))["provisional"] is True

    clock.set("2026-12-29T09:00:00")
    preview = await publish(years=[NEW_YEAR])
    assert moves_of(preview, request) == [
        {
            "request_id": request["id"],
            "number": request["number"],
            "metric": "reply",
            "metric_text": "答复",
            "due_before": "2027-01-05T00:00:00+08:00",
            "due_after": "2027-01-06T00:00:00+08:00",
            "provisional_before": True,
            "provisional_after": False,
        }
    ]
    assert preview["later"] == preview["total"] == 1
    assert preview["earlier"] == 0
    assert preview["confirmed"] == 1
    assert (await read(supervisor, request))["reply_due_at"] == "2027-01-05T00:00:00+08:00"

    for _ in range(3):
        await hall.work("recalculate_promises")
    seen = await read(supervisor, request)
    assert seen["reply_due_at"] == "2027-01-06T00:00:00+08:00"
    assert seen["provisional"] is False
    clock_row = await clock_of(db, request)
    assert local(clock_row, "due_at") == "2027-01-06T00:00:00+08:00"
    assert local(clock_row, "original_due_at") == "2027-01-05T00:00:00+08:00"
    assert (
        local(clock_row, "next_fire_at") == "2026-12-31T08:30:00+08:00"
    )  # two days before the 5th
    [move] = await db.rows(MOVES, id=UUID(request["id"]))
    assert (move["metric"], local(move, "due_before")) == ("reply", "2027-01-05T00:00:00+08:00")
    assert [row["calendar_version"] for row in await db.rows(AUDITED, id=UUID(request["id"]))] == [
        str(move["calendar_version"])
    ]

    await hall.work("deliver_outbox")
    items = (await resident.get(INBOX)).json()["items"]
    told = [item for item in items if item["event"] == "PromiseMoved"]
    assert [(item["title"], item["body"]) for item in told] == [
        (
            "答复时限调整",
            f"因工作日历公布，您的诉求 {request['number']} 的答复时限由2027年1月4日24时前"
            "调整为2027年1月5日24时前。",
        )
    ]


async def test_a_request_that_is_not_concerned_only_gets_the_new_version(
    hall, db, submit, as_resident, publish
):
    resident = await as_resident()
    request = await submit(resident)
    before = [dict(row) for row in await db.rows(CLOCKS, id=UUID(request["id"]))]
    preview = await publish(off_days=["2026-06-30"])
    assert moves_of(preview, request) == []
    await hall.work("recalculate_promises")
    row = await db.one_statement(ROW, id=UUID(request["id"]))
    assert row["calendar_version"] == preview["base_version"] + 1
    assert row["version"] == request["version"]
    assert [dict(row) for row in await db.rows(CLOCKS, id=UUID(request["id"]))] == before
    assert await db.rows(MOVES, id=UUID(request["id"])) == []


async def test_what_was_answered_does_not_move(hall, db, publish):
    request = await hall.replied()
    before = [dict(row) for row in await db.rows(CLOCKS, id=UUID(request["id"]))]
    preview = await publish(off_days=["2026-03-03", "2026-03-04"])
    assert moves_of(preview, request) == []
    await hall.work("recalculate_promises")
    assert [dict(row) for row in await db.rows(CLOCKS, id=UUID(request["id"]))] == before


async def test_a_warning_that_was_told_is_not_told_again(hall, db, submit, clock, publish):
    await publish(off_days=[])
    request = await submit()
    assert request["reply_due_at"] == "2026-03-10T00:00:00+08:00"
    clock.set("2026-03-05T08:30:00")
    await hall.work("sweep_clocks")
    due_soon = ("reply", "due_soon_1")
    preview = await publish(off_days=["2026-03-09"])
    [move] = [it for it in moves_of(preview, request) if it["metric"] == "reply"]
    assert move["due_after"] == "2026-03-11T00:00:00+08:00"
    await hall.work("recalculate_promises", "sweep_clocks")
    waiting = await clock_of(db, request)
    assert waiting["next_level"] == "due_soon_2"
    assert local(waiting, "next_fire_at") == "2026-03-06T08:30:00+08:00"
    clock.set("2026-03-06T08:30:00")
    await hall.work("sweep_clocks")
    fires = [tuple(row) for row in await db.rows(FIRES, id=UUID(request["id"]))]
    assert fires.count(due_soon) == 1
    assert fires[-1] == ("reply", "due_soon_2")


async def test_a_breach_that_was_told_stays_told_when_the_promise_moves_later(
    hall, db, submit, as_staff, clock, publish
):
    await publish(off_days=[])
    request = await submit()
    clock.set("2026-03-10T09:00:00")
    await hall.work("sweep_clocks")
    assert ("reply", "breach_1") in [
        tuple(row) for row in await db.rows(FIRES, id=UUID(request["id"]))
    ]
    await publish(off_days=["2026-03-06", "2026-03-09"])
    await hall.work("recalculate_promises")
    seen = await read(await as_staff("supervisor"), request)
    assert (seen["reply_due_at"], seen["reply_overdue"]) == ("2026-03-12T00:00:00+08:00", False)
    clock.set("2026-03-12T00:00:00")
    await hall.work("sweep_clocks")
    fires = [tuple(row) for row in await db.rows(FIRES, id=UUID(request["id"]))]
    assert fires.count(("reply", "breach_1")) == 1
    waiting = await clock_of(db, request)
    assert waiting["next_level"] == "breach_2"
    assert local(waiting, "next_fire_at") == "2026-03-13T00:00:00+08:00"


async def test_a_clock_that_stands_is_counted_by_the_new_calendar_when_it_runs_again(
    hall, db, submit, as_resident, as_staff, clock, publish
):
    await publish(off_days=[])
    resident, handler = await as_resident(), await as_staff("handler")
    request = await hall.act(handler, await submit(resident), "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    clock.set("2026-03-04T10:00:00")  # due on the 9th: three days remain after today
    request = await hall.act(handler, request, "ask_info", note="请说明")
    preview = await publish(off_days=["2026-03-03", "2026-03-10"])
    assert [it for it in moves_of(preview, request) if it["metric"] == "reply"] == []
    await hall.work("recalculate_promises")
    assert (await read(resident, request))["reply_due_at"] is None
    assert local(await clock_of(db, request), "due_at") == "2026-03-12T00:00:00+08:00"
    clock.set("2026-03-06T10:00:00")
    request = await hall.act(resident, request, "supply", text="好")
    # Submitted on the 2nd; the 3rd and the 10th are off: due on the 11th, four days after the 4th.
    assert request["reply_due_at"] == "2026-03-14T00:00:00+08:00"


async def test_extensions_and_pauses_are_counted_anew_in_their_order(
    hall, db, submit, as_resident, as_staff, clock, publish
):
    await publish(off_days=[])
    resident, handler = await as_resident(), await as_staff("handler")
    desk = await as_staff("dispatcher")
    request = await hall.act(handler, await submit(resident), "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    clock.set("2026-03-03T10:00:00")
    request = await hall.act(handler, request, "ask_info", note="请说明")
    clock.set("2026-03-05T10:00:00")
    request = await hall.act(resident, request, "supply", text="好")
    assert request["reply_due_at"] == "2026-03-12T00:00:00+08:00"  # four days after the 5th
    request = await hall.act(
        handler,
        request,
        "request_extension",
        working_days=2,
        reason_code="survey",
        note="需现场勘查",
    )
    request = await hall.act(desk, request, "decide_extension", decision="approve")
    assert request["reply_due_at"] == "2026-03-14T00:00:00+08:00"
    preview = await publish(off_days=["2026-03-11"], work_days=["2026-03-14"])
    [move] = [it for it in moves_of(preview, request) if it["metric"] == "reply"]
    assert move["due_after"] == "2026-03-15T00:00:00+08:00"  # one day off, a Saturday worked
    await hall.work("recalculate_promises")
    assert (await read(resident, request))["reply_due_at"] == "2026-03-15T00:00:00+08:00"
    await publish(off_days=[], work_days=[])
    await hall.work("recalculate_promises")
    assert (await read(resident, request))["reply_due_at"] == "2026-03-14T00:00:00+08:00"
    assert len(await db.rows(MOVES, id=UUID(request["id"]))) == 2


async def test_a_master_keeps_the_earliest_promise_of_all_that_follow_it(
    hall, db, submit, as_staff, clock, publish
):
    await publish(off_days=[])
    desk = await as_staff("dispatcher")
    follower = await submit()
    clock.set("2026-03-03T09:30:00")
    master = await submit()
    follower = await hall.act(desk, follower, "merge", master_id=master["id"], note="同一问题")
    assert local(await clock_of(db, master), "due_at") == "2026-03-10T00:00:00+08:00"
    preview = await publish(off_days=["2026-03-09"])
    assert [it["due_after"] for it in moves_of(preview, master) if it["metric"] == "reply"] == [
        "2026-03-11T00:00:00+08:00"
    ]
    assert moves_of(preview, follower) == []
    await hall.work("recalculate_promises")
    assert local(await clock_of(db, master), "due_at") == "2026-03-11T00:00:00+08:00"
    # Were it to stand alone again, its own promise is known by the present calendar.
    assert local(await clock_of(db, follower), "due_at") == "2026-03-11T00:00:00+08:00"


async def test_other_office_hours_move_the_clocks_that_count_them(hall, db, submit, clock, publish):
    await publish(off_days=[])
    clock.set("2026-03-02T16:00:00")
    request = await submit()
    assert local(await clock_of(db, request, "accept"), "due_at") == "2026-03-03T09:00:00+08:00"
    day = [{"opens": "09:00", "closes": "12:00"}, {"opens": "13:00", "closes": "17:00"}]
    preview = await publish(weekly_frames=[day] * 5 + [[], []])
    assert [it["metric"] for it in moves_of(preview, request)] == ["accept"]
    await hall.work("recalculate_promises")
    accept = await clock_of(db, request, "accept")
    assert local(accept, "due_at") == "2026-03-03T10:00:00+08:00"
    assert local(accept, "next_fire_at") == "2026-03-03T10:00:00+08:00"
    await hall.work("deliver_outbox")
    usual = [{"opens": "08:30", "closes": "12:00"}, {"opens": "13:30", "closes": "17:30"}]
    await publish(weekly_frames=[usual] * 5 + [[], []])


async def test_many_workers_and_a_crash_count_every_request_once(hall, db, submit, publish):
    await publish(off_days=[])
    await hall.work("recalculate_promises")
    requests = [await submit() for _ in range(20)]
    preview = await publish(off_days=["2026-03-05"])
    version = preview["base_version"] + 1
    city = city_of(hall)

    async def crash() -> None:
        async with db.transaction() as session:
            assert await recalculation.recalculate(session, city, now=hall.clock.now, batch=7)
            raise ConnectionError("killed before it could commit")

    with pytest.raises(ConnectionError):
        await crash()
    row = await db.one_statement(ROW, id=UUID(requests[0]["id"]))
    assert row["calendar_version"] == version - 1

    async def worker() -> None:
        for _ in range(100):
            async with db.transaction() as session:
                turn = await recalculation.recalculate(session, city, now=hall.clock.now, batch=7)
            walk = await db.one_statement(WALK, version=version)
            if not turn and walk is not None and walk["next_walk_at"] > hall.clock.now:
                return

    await asyncio.gather(*(worker() for _ in range(4)))
    for request in requests:
        row = await db.one_statement(ROW, id=UUID(request["id"]))
        assert row["calendar_version"] == version
        moved = await db.rows(MOVES, id=UUID(request["id"]))
        assert [it["calendar_version"] for it in moved if it["metric"] == "reply"] == [version]
    walk = await db.one_statement(WALK, version=version)
    assert walk["moved"] >= 20
    assert walk["finished_at"] is None


async def test_a_request_that_somebody_holds_is_counted_afterwards(hall, db, submit, publish):
    request = await submit()
    await publish(off_days=["2026-03-04"])
    city = city_of(hall)
    version = city.reference.calendar_version

    async def turn() -> None:
        async with db.transaction() as session:
            await recalculation.recalculate(session, city, now=hall.clock.now, batch=500)

    async with db.transaction() as session:
        await session.execute(
            text("SELECT 1 FROM requests WHERE id = :id FOR UPDATE"), {"id": UUID(request["id"])}
        )
        await turn()
    row = await db.one_statement(ROW, id=UUID(request["id"]))
    assert row["calendar_version"] < version
    await turn()
    row = await db.one_statement(ROW, id=UUID(request["id"]))
    assert row["calendar_version"] == version


async def test_what_was_written_by_an_older_snapshot_is_caught_ten_minutes_later(
    hall, db, submit, clock, publish
):
    request = await submit()
    preview = await publish(off_days=["2026-03-04", "2026-03-05"])
    version = preview["base_version"] + 1
    await hall.work("recalculate_promises")
    async with db.transaction() as session:  # as a process that has not heard of it would write
        await session.execute(
            text("UPDATE requests SET calendar_version = :old WHERE id = :id"),
            {"old": version - 1, "id": UUID(request["id"])},
        )
    await hall.work("recalculate_promises")
    row = await db.one_statement(ROW, id=UUID(request["id"]))
    assert row["calendar_version"] == version - 1
    clock.forward(minutes=10)
    await hall.work("recalculate_promises")
    row = await db.one_statement(ROW, id=UUID(request["id"]))
    assert row["calendar_version"] == version
    walk = await db.one_statement(WALK, version=version)
    assert walk["finished_at"] == clock.now


async def test_one_request_may_be_brought_up_to_date_before_somebody_works_on_it(
    hall, db, submit, publish
):
    await publish(off_days=[])
    request = await submit()
    await publish(off_days=["2026-03-04"])
    ids = [UUID(request["id"])]
    async with db.transaction() as session:
        [plan] = await bring_up_to_date(session, city_of(hall), ids, now=hall.clock.now)
        assert [move.metric for move in plan.moves] == ["reply"]
        assert not await bring_up_to_date(session, city_of(hall), ids, now=hall.clock.now)
