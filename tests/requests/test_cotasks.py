"""协办: a part of it is done by another unit, which sees the whole and acts on its part."""

import pytest

from tests.city import OTHER_UNIT, REQUESTS, UNIT
from tests.requests.doing import (
    REPLY,
    buttons,
    clock_states,
    clocks,
    letters,
    refused,
    seen,
    timeline,
    working,
)

PART = {"unit_code": OTHER_UNIT, "task": "请先抽干积水"}


@pytest.fixture
async def shared(hall, handler, leader, resident):
    """A request that OTHER_UNIT has a part of; and the part's id."""
    request = await working(hall, handler, resident)
    request = await hall.act(leader, request, "co_assign", **PART)
    [part] = (await seen(leader, request))["co_tasks"]
    return request, part["id"]


async def test_the_other_unit_sees_it_acts_on_its_part_and_on_nothing_else(
    hall, shared, handler, other_handler, as_staff
):
    request, part = shared
    page = await seen(other_handler, request)
    assert buttons(page) == {"co_feedback": None}
    assert page["co_tasks"][0]["task"] == "请先抽干积水"
    assert (await timeline(other_handler, request))[-1]["action"] == "co_assign"
    for action, members in (
        ("contact", {"method": "phone", "result": "reached"}),
        ("reply", REPLY),
        ("ask_info", {"note": "位置？"}),
        ("return", {"reason_code": "not_ours", "note": "x"}),
    ):
        assert await refused(other_handler, request, action, **members) == "host_unit"
    stranger = await as_staff("handler", unit="transport")
    assert (await stranger.get(f"{REQUESTS}/{request['id']}")).status_code == 404
    assert await refused(handler, request, "co_feedback", co_task_id=part, step="sign") == (
        "not_your_co_task"
    )


async def test_lists_show_ones_own_and_parts_when_asked_for(
    hall, shared, handler, other_handler, dispatcher, supervisor
):
    request, _ = shared

    async def listed(caller, **params):
        page = (await caller.get(REQUESTS, params={"limit": 100, **params})).json()
        return request["id"] in [item["id"] for item in page["items"]]

    assert await listed(handler)
    assert not await listed(handler, co=True)
    assert not await listed(other_handler)
    assert await listed(other_handler, co=True)
    assert await listed(dispatcher, co=True)
    assert await listed(supervisor, co=True)
    assert not await listed(other_handler, co=True, state="closed")


async def test_a_part_goes_its_way_and_the_whole_waits_for_it(
    hall, shared, handler, leader, other_handler, db
):
    request, part = shared
    step = {"co_task_id": part}
    assert await refused(handler, request, "reply", **REPLY) == "co_tasks_done"
    request = await hall.act(other_handler, request, "co_feedback", **step, step="sign")
    assert await refused(other_handler, request, "co_feedback", **step, step="feed_back") == (
        "reason_missing"
    )
    request = await hall.act(
        other_handler, request, "co_feedback", **step, step="feed_back", note="已抽干"
    )
    assert (await clock_states(db, request))["cotask"] == "met"
    assert await refused(other_handler, request, "co_feedback", **step, step="confirm") == (
        "not_your_co_task"
    )
    assert await refused(handler, request, "reply", **REPLY) == "co_tasks_done"
    request = await hall.act(
        leader, request, "co_feedback", **step, step="send_back", note="还有积水"
    )
    assert (await clock_states(db, request))["cotask"] == "running"
    request = await hall.act(
        other_handler, request, "co_feedback", **step, step="feed_back", note="又抽了一遍"
    )
    request = await hall.act(handler, request, "co_feedback", **step, step="confirm")
    assert await refused(handler, request, "co_feedback", **step, step="confirm") == "co_task_open"
    gone = await other_handler.get(f"{REQUESTS}/{request['id']}")
    assert gone.status_code == 404  # its part is done
    request = await hall.act(handler, request, "reply", **REPLY)
    assert request["state"] == "replied"


async def test_a_part_goes_on_while_it_is_decided_who_has_the_whole(
    hall, handler, leader, dispatcher, other_handler, db
):
    request = await hall.submit()
    request = await hall.act(leader, request, "co_assign", **PART)
    [part] = (await seen(leader, request))["co_tasks"]
    step = {"co_task_id": part["id"]}
    request = await hall.act(handler, request, "return", reason_code="not_ours", note="不归我们")
    assert (await clock_states(db, request))["cotask"] == "running"
    request = await hall.act(other_handler, request, "co_feedback", **step, step="sign")
    request = await hall.act(dispatcher, request, "decide_return", decision="triage", note="重派")
    request = await hall.act(
        other_handler, request, "co_feedback", **step, step="feed_back", note="已抽干"
    )
    assert (request["state"], (await clock_states(db, request))["cotask"]) == ("triage", "met")
    request = await hall.act(dispatcher, request, "co_feedback", **step, step="confirm")
    assert (await seen(dispatcher, request))["co_tasks"] == []


async def test_a_part_may_be_declined(hall, shared, handler, other_handler):
    request, part = shared
    decline = {"co_task_id": part, "step": "decline"}
    assert await refused(other_handler, request, "co_feedback", **decline) == "reason_missing"
    request = await hall.act(other_handler, request, "co_feedback", **decline, note="无此设备")
    assert (await seen(handler, request))["co_tasks"] == []
    await hall.work("deliver_outbox")
    assert "协办被退回" in await letters(handler, request)
    assert "待签收协办任务" in await letters(other_handler, request)


async def test_a_part_is_due_no_later_than_the_whole(hall, handler, leader, dispatcher):
    request = await working(hall, handler)
    for due_at in ("2026-03-10T00:00:01+08:00", "2026-03-02T09:30:00+08:00"):
        assert await refused(leader, request, "co_assign", **PART, due_at=due_at) == (
            "time_out_of_range"
        )
    assert await refused(dispatcher, request, "co_assign", unit_code=UNIT, task="x") == "same_unit"
    assert await refused(handler, request, "co_assign", **PART) == "step_forbidden"
    request = await hall.act(
        dispatcher, request, "co_assign", **PART, due_at="2026-03-05T12:00:00+08:00"
    )
    assert (await seen(handler, request))["co_tasks"][0]["due_at"] == "2026-03-05T12:00:00+08:00"


async def test_one_clock_runs_to_the_earliest_part(hall, shared, leader, as_staff, db, clock):
    request, _ = shared
    road = {"unit_code": "transport", "task": "围挡"}
    request = await hall.act(
        leader, request, "co_assign", **road, due_at="2026-03-04T12:00:00+08:00"
    )
    page = await seen(leader, request)
    earliest = next(it["id"] for it in page["co_tasks"] if it["unit"]["code"] == "transport")
    assert (await clocks(db, request))["cotask"]["due_at"].isoformat() == (
        "2026-03-04T04:00:00+00:00"
    )
    transport = await as_staff("handler", unit="transport")
    step = {"co_task_id": earliest}
    request = await hall.act(transport, request, "co_feedback", **step, step="sign")
    clock.set("2026-03-04T13:00:00")
    await hall.work("sweep_clocks", "deliver_outbox")
    assert "协办时限已超时" in await letters(leader, request)
    await hall.act(transport, request, "co_feedback", **step, step="feed_back", note="好了")
    running = (await clocks(db, request))["cotask"]
    assert (running["state"], running["due_at"].isoformat()) == (
        "running",
        "2026-03-09T16:00:00+00:00",
    )


async def test_parts_stand_with_the_whole_and_end_with_it(
    hall, shared, handler, leader, resident, other_handler, db, clock
):
    request, part = shared
    clock.set("2026-03-04T10:00:00")
    request = await hall.act(handler, request, "ask_info", note="请说明")
    assert (await clock_states(db, request))["cotask"] == "paused"
    clock.set("2026-03-06T10:00:00")
    request = await hall.act(resident, request, "supply", text="好")
    page = await seen(leader, request)
    assert page["reply_due_at"] == "2026-03-12T00:00:00+08:00"
    assert page["co_tasks"][0]["due_at"] == page["reply_due_at"]
    cotask = (await clocks(db, request))["cotask"]
    assert (cotask["state"], cotask["due_at"].isoformat()) == (
        "running",
        "2026-03-11T16:00:00+00:00",
    )
    request = await hall.act(resident, request, "withdraw")
    assert (await clock_states(db, request))["cotask"] == "cancelled"
    assert (await other_handler.get(f"{REQUESTS}/{request['id']}")).status_code == 404
    assert await refused(leader, request, "co_feedback", co_task_id=part, step="confirm") == (
        "illegal_step"
    )


async def test_a_unit_that_gets_the_whole_has_no_part_any_more(
    hall, shared, dispatcher, other_handler, db
):
    request, _ = shared
    request = await hall.act(dispatcher, request, "transfer", unit_code=OTHER_UNIT, note="转")
    assert (await seen(other_handler, request))["co_tasks"] == []
    assert (await clock_states(db, request))["cotask"] == "cancelled"
    request = await hall.act(other_handler, request, "reply", **REPLY)
    assert request["state"] == "replied"


async def test_no_part_is_due_later_than_a_whole_that_became_urgent(
    hall, shared, dispatcher, other_handler, db
):
    request, _ = shared
    request = await hall.act(
        dispatcher, request, "reclassify", category_code="utility.gas_outage", note="燃气泄漏"
    )
    page = await seen(dispatcher, request)
    assert page["reply_due_at"] == "2026-03-04T00:00:00+08:00"
    assert page["co_tasks"][0]["due_at"] == page["reply_due_at"]
    due_at = (await clocks(db, request))["cotask"]["due_at"]
    assert due_at.isoformat() == "2026-03-03T16:00:00+00:00"


async def test_a_part_of_something_else_is_not_found(hall, shared, submit, other_handler, leader):
    request, _ = shared
    strange = {"co_task_id": "01980000-0000-7000-8000-000000000000", "step": "sign"}
    assert await refused(other_handler, request, "co_feedback", **strange) == "co_task_not_found"
