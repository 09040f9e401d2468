"""A calendar is published while a clock stands, while parts are open, while a unit has time."""

from uuid import UUID

from app.store.session import Statement
from tests.city import OTHER_UNIT
from tests.sla.looking import FIRES, MOVES, clock_of, local, moves_of, read

STANDING = Statement("""
SELECT reply_due_at, stands_due_at, task.due_at AS task_due_at
FROM requests JOIN request_co_tasks AS task ON task.request_id = requests.id
WHERE requests.id = :id
""")


async def test_what_was_due_when_it_stood_moves_with_it_and_so_do_the_parts(
    hall, db, submit, as_resident, as_staff, clock, publish
):
    await publish(off_days=[])
    resident, handler = await as_resident(), await as_staff("handler")
    leader, other = await as_staff("unit_leader"), await as_staff("handler", unit=OTHER_UNIT)
    request = await hall.act(handler, await submit(resident), "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    part = {"unit_code": OTHER_UNIT, "task": "抽水"}
    request = await hall.act(leader, request, "co_assign", **part)
    clock.set("2026-03-06T08:30:00")  # one working day before it is due: warned of whole and part
    await hall.work("sweep_clocks")
    told = [tuple(row) for row in await db.rows(FIRES, id=UUID(request["id"]))]
    assert told.count(("cotask", "due_soon_1")) == 1
    clock.set("2026-03-06T10:00:00")
    request = await hall.act(handler, await read(handler, request), "ask_info", note="请说明")

    preview = await publish(off_days=["2026-03-03"])
    assert moves_of(preview, request) == []  # nobody sees a clock that stands
    await hall.work("recalculate_promises", "sweep_clocks")
    row = await db.one_statement(STANDING, id=UUID(request["id"]))
    reply, cotask = await clock_of(db, request), await clock_of(db, request, "cotask")
    due = {
        local(row, "stands_due_at"),
        local(row, "task_due_at"),
        local(reply, "due_at"),
        local(cotask, "due_at"),
    }
    assert due == {"2026-03-11T00:00:00+08:00"}
    assert (row["reply_due_at"], reply["state"], cotask["state"]) == (None, "paused", "paused")
    moved = await db.rows(MOVES, id=UUID(request["id"]))
    assert sorted(it["metric"] for it in moved) == ["cotask", "reply"]

    clock.set("2026-03-09T10:00:00")
    request = await hall.act(resident, request, "supply", text="好")
    assert request["reply_due_at"] == "2026-03-12T00:00:00+08:00"  # 9th and 10th remained
    cotask = await clock_of(db, request, "cotask")
    assert local(cotask, "due_at") == request["reply_due_at"]
    assert (await read(other, request))["co_tasks"][0]["due_at"] == request["reply_due_at"]
    await hall.work("sweep_clocks")
    again = [tuple(row) for row in await db.rows(FIRES, id=UUID(request["id"]))]
    assert again.count(("cotask", "due_soon_1")) == 1
    assert again.count(("reply", "due_soon_2")) == 1
    assert cotask["next_level"] == "breach_1"


async def test_the_clock_of_parts_runs_to_the_earliest_also_by_the_new_calendar(
    hall, db, submit, as_resident, as_staff, clock, publish
):
    await publish(off_days=[])
    handler, leader = await as_staff("handler"), await as_staff("unit_leader")
    request = await hall.act(handler, await submit(), "sign")
    part = {"unit_code": OTHER_UNIT, "task": "抽水"}
    request = await hall.act(leader, request, "co_assign", **part)
    preview = await publish(off_days=["2026-03-03"])
    assert {it["metric"]: it["due_after"] for it in moves_of(preview, request)} == {
        "reply": "2026-03-11T00:00:00+08:00",
        "cotask": "2026-03-11T00:00:00+08:00",
    }
    await hall.work("recalculate_promises")
    cotask = await clock_of(db, request, "cotask")
    assert local(cotask, "due_at") == "2026-03-11T00:00:00+08:00"
    assert local(cotask, "next_fire_at") == "2026-03-09T08:30:00+08:00"
    set_by_hand = {"unit_code": "transport", "task": "围挡", "due_at": "2026-03-05T12:00:00+08:00"}
    request = await hall.act(leader, request, "co_assign", **set_by_hand)
    preview = await publish(off_days=[])
    assert [it["metric"] for it in moves_of(preview, request)] == ["reply"]
    await hall.work("recalculate_promises")
    cotask = await clock_of(db, request, "cotask")
    assert local(cotask, "due_at") == "2026-03-05T12:00:00+08:00"
    page = await read(leader, request)
    assert [it["due_at"] for it in page["co_tasks"]] == [
        "2026-03-10T00:00:00+08:00",
        "2026-03-05T12:00:00+08:00",
    ]


async def test_a_units_own_time_is_counted_anew_and_the_residents_too(
    hall, db, submit, as_staff, clock, publish
):
    await publish(off_days=[])
    handler, desk = await as_staff("handler"), await as_staff("dispatcher")
    request = await hall.act(handler, await submit(), "sign")
    clock.set("2026-03-03T09:00:00")
    request = await hall.act(
        handler, request, "return", reason_code="not_ours", note="非我单位职责"
    )
    clock.set("2026-03-09T15:00:00")
    decision = {"decision": "reassign", "unit_code": OTHER_UNIT, "note": "改派"}
    request = await hall.act(desk, await read(desk, request), "decide_return", **decision)
    internal = await clock_of(db, request, "internal")
    assert local(internal, "due_at") == "2026-03-12T00:00:00+08:00"
    await publish(off_days=["2026-03-10"])
    await hall.work("recalculate_promises")
    internal = await clock_of(db, request, "internal")
    assert local(internal, "due_at") == "2026-03-13T00:00:00+08:00"
    assert (await read(desk, request))["reply_due_at"] == "2026-03-10T00:00:00+08:00"
    await publish(off_days=[])
