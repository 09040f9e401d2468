"""自办自结, 改类改址, 归档, 纠错."""

from uuid import UUID

from app.store.session import Statement
from tests.city import CATEGORY, GRID, OTHER_GRID, REQUESTS, TOWN_UNIT, UNIT, point_in
from tests.requests.doing import (
    BAD,
    GOOD,
    REPLY,
    clock_states,
    clocks,
    refused,
    rejected,
    seen,
    timeline,
    working,
)

GRID_MATTER = "other.unsorted"
WAITS = Statement("SELECT order_open FROM requests WHERE id = :id")
ENDS = Statement("SELECT state, previous_state FROM requests WHERE id = :id")


async def test_the_grid_leader_settles_what_is_the_grids_own(hall, submit, as_staff, resident, db):
    leader = await as_staff("grid_leader")
    request = await submit(resident, category_code=GRID_MATTER, location=point_in(GRID))
    assert request["state"] == "triage"
    assert await refused(leader, request, "settle", **REPLY) == "contacted"
    request = await hall.act(leader, request, "contact", method="visit", result="reached")
    request = await hall.act(leader, request, "settle", **REPLY)
    assert (request["state"], request["unit"]) == ("replied", None)
    assert await clock_states(db, request) == {"contact": "met", "reply": "met", "rate": "running"}
    assert (await seen(leader, request))["settled_by_grid"] is True
    request = await hall.act(resident, request, "rate", **GOOD)
    assert request["state"] == "closed"


async def test_a_grid_settles_nothing_else_and_nothing_of_other_grids(
    hall, submit, as_staff, dispatcher, resident
):
    leader = await as_staff("grid_leader")
    place = {"location": point_in(GRID)}
    other = await submit(category_code="idea.city", **place)
    assert await refused(leader, other, "settle", **REPLY) == "grid_matter"
    elsewhere = await submit(category_code=GRID_MATTER, location=point_in(OTHER_GRID))
    assert await refused(leader, elsewhere, "settle", **REPLY) == "request_not_found"
    request = await submit(category_code=GRID_MATTER, **place)
    assert await refused(dispatcher, request, "settle", **REPLY) == "step_forbidden"


async def test_what_a_grid_settled_badly_goes_to_a_unit(
    hall, submit, as_staff, resident, dispatcher
):
    leader = await as_staff("grid_leader")
    request = await submit(resident, category_code=GRID_MATTER, location=point_in(GRID))
    request = await hall.act(leader, request, "contact", method="visit", result="reached")
    request = await hall.act(leader, request, "settle", **REPLY)
    request = await hall.act(resident, request, "rate", **BAD)
    again = {"decision": "reopen", "note": "由单位办理"}
    assert await refused(dispatcher, request, "decide_reopen", **again) == "reason_missing"
    request = await hall.act(dispatcher, request, "decide_reopen", **again, unit_code=UNIT)
    assert (request["state"], request["unit"]["code"]) == ("assigned", UNIT)
    assert (await seen(dispatcher, request))["settled_by_grid"] is False


async def test_an_order_that_no_unit_can_answer_ends_with_the_request(
    hall, submit, as_staff, resident, db
):
    leader, supervisor = await as_staff("grid_leader"), await as_staff("supervisor")
    request = await submit(resident, category_code=GRID_MATTER, location=point_in(GRID))
    request = await hall.act(leader, request, "contact", method="visit", result="reached")
    request = await hall.act(leader, request, "settle", **REPLY)
    request = await hall.act(supervisor, request, "supervise", note="请说明进展")
    request = await hall.act(resident, request, "rate", **GOOD)
    assert (await clock_states(db, request))["supervise"] == "cancelled"
    row = await db.one_statement(WAITS, id=UUID(request["id"]))
    assert not row["order_open"]  # which would keep it out of the archive for ever


# --- another category, another place -------------------------------------------------------------


async def test_a_better_promise_is_taken_over_and_a_later_one_never(hall, submit, dispatcher, db):
    request = await submit()
    assert request["reply_due_at"] == "2026-03-10T00:00:00+08:00"
    request = await hall.act(
        dispatcher, request, "reclassify", category_code="utility.water_outage", note="其实是停水"
    )
    assert request["reply_due_at"] == "2026-03-04T00:00:00+08:00"  # one working day
    assert (request["state"], request["unit"]) == ("triage", None)  # another unit's now
    reply = (await clocks(db, request))["reply"]
    assert reply["original_due_at"].isoformat() == "2026-03-09T16:00:00+00:00"
    assert (await clock_states(db, request))["accept"] == "cancelled"
    request = await hall.act(
        dispatcher, request, "reclassify", category_code=CATEGORY, note="还是路灯"
    )
    assert request["reply_due_at"] == "2026-03-04T00:00:00+08:00"


async def test_a_pause_counts_for_the_new_promise_too_and_an_extension_stands(
    hall, handler, dispatcher, resident, clock
):
    request = await working(hall, handler, resident)
    clock.set("2026-03-03T10:00:00")
    request = await hall.act(handler, request, "ask_info", note="请说明")
    clock.set("2026-03-05T10:00:00")
    request = await hall.act(resident, request, "supply", text="是停电")
    urgent = {"category_code": "utility.power_outage", "note": "停电"}
    paused = await hall.act(dispatcher, request, "reclassify", **urgent)
    assert paused["reply_due_at"] == "2026-03-06T00:00:00+08:00"  # due on the 3rd, paused then
    clock.set("2026-03-02T09:30:00")
    other = await working(hall, handler)
    other = await hall.act(
        handler, other, "request_extension", working_days=2, reason_code="survey", note="核实"
    )
    other = await hall.act(dispatcher, other, "decide_extension", decision="approve")
    other = await hall.act(dispatcher, other, "reclassify", **urgent)
    assert other["reply_due_at"] == "2026-03-12T00:00:00+08:00"


async def test_another_place_is_another_grid_and_the_reasons_are_said_again(
    hall, submit, dispatcher, handler
):
    request = await submit(location=point_in(GRID))
    assert await refused(dispatcher, request, "reclassify", note="?") == "nothing_reclassified"
    place = {**point_in(OTHER_GRID), "address": "村东路3号"}
    request = await hall.act(dispatcher, request, "reclassify", location=place, note="地址有误")
    assert request["state"] == "assigned"
    assert request["grid"]["code"].startswith(OTHER_GRID)  # its micro-grid, to be exact
    page = await seen(dispatcher, request)
    assert page["location"]["address"] == "村东路3号"
    assert page["routing"]["reasons"][-1]["code"] == "category_default"
    request = await hall.act(
        dispatcher, request, "reclassify", grid_code=GRID, category_code="env.garbage", note="垃圾"
    )
    facts = (await timeline(dispatcher, request))[-1]["facts"]
    assert (facts["grid_from"][:15], facts["grid_to"]) == (OTHER_GRID, GRID)
    assert facts["suggested_unit_code"] == TOWN_UNIT
    assert (request["state"], request["unit"]) == ("triage", None)


async def test_a_handler_only_proposes(hall, handler, leader, dispatcher):
    request = await working(hall, handler)
    assert await refused(handler, request, "reclassify", category_code="no-such", note="?") == (
        "category_unknown"
    )
    assert await refused(leader, request, "reclassify", category_code=CATEGORY, note="?") == (
        "step_forbidden"
    )
    request = await hall.act(
        handler, request, "reclassify", category_code="road.manhole", note="是井盖"
    )
    assert (request["category"]["code"], request["state"]) == (CATEGORY, "in_progress")
    facts = (await timeline(dispatcher, request))[-1]["facts"]
    assert facts == {"proposed": {"category_code": "road.manhole", "grid_code": None}}


async def test_somebody_who_waits_to_supplement_keeps_waiting_and_then_it_is_assigned_anew(
    hall, handler, dispatcher, resident
):
    request = await working(hall, handler, resident)
    request = await hall.act(handler, request, "ask_info", note="请说明")
    request = await hall.act(
        dispatcher, request, "reclassify", category_code="road.damage", note="是路面"
    )
    assert (request["state"], request["unit"]) == ("need_info", None)
    request = await hall.act(resident, request, "supply", text="路面坑洼")
    assert request["state"] == "triage"


# --- put away ------------------------------------------------------------------------------------


async def test_thirty_days_after_the_end_it_is_archived_and_still_counts_as_it_ended(
    hall, resident, dispatcher, as_staff, clock, db
):
    closed = await hall.act(resident, await hall.replied(resident), "rate", **GOOD)
    gone, withdrawn = await rejected(hall), await hall.submit(resident)
    withdrawn = await hall.act(resident, withdrawn, "withdraw")
    still_open = await hall.submit()
    supervisor = await as_staff("supervisor")
    before = await figures(supervisor)
    clock.set("2026-04-01T09:29:59")
    await hall.work("archive_ended")
    assert (await seen(dispatcher, closed))["state"] == "closed"
    clock.set("2026-04-01T09:30:00")
    await hall.work("archive_ended")
    for request, ended in ((closed, "closed"), (gone, "rejected"), (withdrawn, "withdrawn")):
        row = await db.one_statement(ENDS, id=UUID(request["id"]))
        assert (row["state"], row["previous_state"]) == ("archived", ended)
        entry = (await timeline(dispatcher, request))[-1]
        assert (entry["action"], entry["actor_role"]) == ("archive", "system")
    assert (await seen(dispatcher, still_open))["state"] == "assigned"
    page = await seen(dispatcher, gone)
    assert (page["contact_overdue"], page["reply_overdue"]) == (False, False)
    after = await figures(supervisor)
    for name in ("received", "closed", "rated", "satisfied"):
        assert after[name] == before[name], name


async def figures(supervisor):
    answer = await supervisor.get(
        "/api/v1/statistics/satisfaction", params={"from": "2026-03-01", "to": "2026-03-31"}
    )
    return answer.json()["total"]


async def test_an_open_order_and_an_open_master_keep_it_out_of_the_archive(
    hall, resident, leader, supervisor, dispatcher, submit, clock
):
    ordered = await hall.act(supervisor, await hall.replied(resident), "supervise", note="说明")
    ordered = await hall.act(resident, ordered, "rate", **GOOD)
    follower, master = await submit(), await submit()
    follower = await hall.act(
        dispatcher, follower, "merge", master_id=master["id"], note="同一盏灯"
    )
    clock.forward(days=31)
    await hall.work("archive_ended")
    assert (await seen(leader, ordered))["state"] == "closed"
    assert (await seen(dispatcher, follower))["state"] == "merged"
    await hall.act(leader, ordered, "supervise", note="已说明")
    await hall.work("archive_ended")
    assert (await seen(leader, ordered))["state"] == "archived"


async def test_what_was_wrong_is_said_beside_it_and_changes_nothing(
    hall, resident, supervisor, dispatcher, as_staff
):
    auditor, other = await as_staff("auditor"), await as_staff("supervisor", number=2)
    request = await hall.act(resident, await hall.replied(resident), "rate", **GOOD)
    correction = {
        "field": "承办单位",
        "was": "住建局",
        "correct": "水务局",
        "approved_by": str(auditor.id),
        "approval": "审〔2026〕7号",
        "note": "录入有误",
    }
    assert await refused(dispatcher, request, "correct", **correction) == "step_forbidden"
    assert await refused(auditor, request, "correct", **correction) == "forbidden"
    assert await refused(
        supervisor, request, "correct", **{**correction, "approved_by": str(other.id)}
    ) == "approver_unknown"  # fmt: skip
    assert await refused(
        supervisor, request, "correct", **{**correction, "was": "13800138000"}
    ) == "text_contains_pii"  # fmt: skip
    after = await hall.act(supervisor, request, "correct", **correction)
    assert {**after, "version": 0} == {
        **request,
        "version": 0,
        "available_actions": after["available_actions"],
    }
    entry = (await timeline(supervisor, request))[-1]
    assert entry["note"] == "承办单位：“住建局”应为“水务局”。录入有误"
    assert entry["facts"] == {"approved_by": str(auditor.id), "approval": "审〔2026〕7号"}
    blind = (await auditor.get(f"{REQUESTS}/{request['id']}/timeline")).text
    assert "住建局" not in blind
