"""签收, 自动签收, 退单, 裁定, 转派: who does it, and that the resident's promise never moves."""

from itertools import pairwise

from tests.city import NOW, OTHER_UNIT, UNIT
from tests.requests.doing import (
    REPLY,
    buttons,
    clock_states,
    clocks,
    letters,
    refused,
    seen,
    timeline,
)

RETURN = {"reason_code": "not_ours", "note": "不归我们"}
THIRD_UNIT = "transport"


async def test_whoever_signs_has_it_and_the_window_of_two_working_hours_is_kept(
    hall, submit, handler, db
):
    request = await submit()
    accept = (await clocks(db, request))["accept"]
    assert (accept["due_at"] - NOW).total_seconds() == 2 * 3_600
    request = await hall.act(handler, request, "sign")
    assert (await clock_states(db, request))["accept"] == "met"


async def test_what_nobody_signs_in_time_is_signed_by_the_clock(hall, submit, leader, clock, db):
    request = await submit()
    clock.set("2026-03-02T11:29:59")
    await hall.work("sweep_clocks")
    assert (await seen(leader, request))["state"] == "assigned"
    clock.set("2026-03-02T11:30:00")
    await hall.work("sweep_clocks", "deliver_outbox")
    assert (await seen(leader, request))["state"] == "in_progress"
    entry = (await timeline(leader, request))[-1]
    assert (entry["action"], entry["actor_role"]) == ("auto_sign", "system")
    assert entry["note"] == "超时未签收，系统自动签收"
    assert entry["facts"] == {"auto": True, "job": "sweep_clocks"}
    assert (await clock_states(db, request))["accept"] == "missed"
    assert "超时自动签收" in await letters(leader, request)


async def test_what_came_in_after_hours_waits_for_the_morning(hall, submit, clock, db):
    clock.set("2026-03-06T20:00:00")  # Friday evening
    request = await submit()
    assert (await clocks(db, request))["accept"]["due_at"].isoformat() == (
        "2026-03-09T02:30:00+00:00"
    )


async def test_a_return_names_its_reason_and_a_better_unit(
    hall, submit, handler, leader, dispatcher, db
):
    request = await submit()
    assert await refused(handler, request, "return", reason_code="not_ours") == "note_missing"
    assert await refused(handler, request, "return", **RETURN, suggested_unit_code=UNIT) == (
        "same_unit"
    )
    request = await hall.act(leader, request, "return", **RETURN, suggested_unit_code=OTHER_UNIT)
    facts = (await timeline(dispatcher, request))[-1]["facts"]
    assert facts["suggested_unit_code"] == OTHER_UNIT
    assert (facts["reason"], facts["hops"]) == ("非本单位职责", 1)
    states = await clock_states(db, request)
    assert states == {"accept": "met", "contact": "running", "reply": "running"}


async def handed_round(hall, dispatcher, request, units):
    """Each of the units returns it, and the desk gives it to the next."""
    for unit, following in pairwise(units):
        handler = await hall.as_staff("handler", unit=unit)
        request = await hall.act(handler, request, "return", **RETURN)
        request = await hall.act(
            dispatcher,
            request,
            "decide_return",
            decision="reassign",
            unit_code=following,
            note="改派",
        )
    return request


async def test_from_the_third_return_on_the_supervisor_decides_and_the_unit_keeps_it(
    hall, submit, as_staff, dispatcher, supervisor
):
    request = await submit()
    due_at = request["reply_due_at"]
    request = await handed_round(hall, dispatcher, request, [UNIT, OTHER_UNIT, THIRD_UNIT])
    third = await as_staff("handler", unit=THIRD_UNIT)
    request = await hall.act(third, request, "return", **RETURN)
    decision = {"decision": "reassign", "unit_code": "power_company", "note": "裁定"}
    assert await refused(dispatcher, request, "decide_return", **decision) == "arbitration"
    request = await hall.act(supervisor, request, "decide_return", **decision)
    assert (request["unit"]["code"], request["reply_due_at"]) == ("power_company", due_at)
    last = await as_staff("handler", unit="power_company")
    assert await refused(last, request, "return", **RETURN) == "unit_not_fixed"
    assert await refused(
        dispatcher, request, "transfer", unit_code=OTHER_UNIT, note="再转"
    ) == "hops_left"  # fmt: skip


async def test_a_unit_that_gets_what_another_returned_has_time_of_its_own(
    hall, submit, as_staff, handler, dispatcher, other_handler, resident, db, clock
):
    request = await submit(resident)
    due_at = request["reply_due_at"]
    assert (await seen(handler, request))["internal_due_at"] is None
    clock.set("2026-03-03T09:00:00")
    request = await hall.act(handler, request, "return", **RETURN)
    clock.set("2026-03-09T15:00:00")  # the last day
    again = {"decision": "reassign", "unit_code": OTHER_UNIT, "note": "改派"}
    request = await hall.act(dispatcher, await seen(dispatcher, request), "decide_return", **again)
    page = await seen(other_handler, request)
    assert page["internal_due_at"] == "2026-03-12T00:00:00+08:00"  # two working days
    assert page["reply_due_at"] == due_at == "2026-03-10T00:00:00+08:00"
    told = await seen(resident, request)
    assert (told["reply_due_at"], told["internal_due_at"]) == (due_at, None)
    states = await clock_states(db, request)
    assert (states["accept"], states["internal"]) == ("running", "running")
    request = await hall.act(other_handler, request, "sign")
    request = await hall.act(other_handler, request, "contact", method="phone", result="reached")
    request = await hall.act(other_handler, request, "ask_info", note="请说明")
    assert (await clock_states(db, request))["internal"] == "paused"
    assert (await seen(other_handler, request))["internal_due_at"] is None
    clock.set("2026-03-11T10:00:00")
    request = await hall.act(resident, request, "supply", text="好")
    page = await seen(other_handler, request)
    assert page["internal_due_at"] == "2026-03-14T00:00:00+08:00"  # both days remained
    request = await hall.act(other_handler, page, "reply", **REPLY)
    states = await clock_states(db, request)
    assert states["internal"] == "met"
    assert (await seen(other_handler, request))["internal_due_at"] is None


async def test_only_a_return_gives_a_unit_time_of_its_own(hall, submit, handler, dispatcher, db):
    request = await hall.act(handler, await submit(), "return", **RETURN)
    again = {"decision": "reassign", "unit_code": OTHER_UNIT, "note": "改派"}
    request = await hall.act(dispatcher, request, "decide_return", **again)
    # The reply is due later than the two days: that is what the unit has.
    assert (await seen(dispatcher, request))["internal_due_at"] == request["reply_due_at"]
    request = await hall.act(dispatcher, request, "transfer", unit_code=UNIT, note="转办")
    assert (await clock_states(db, request))["internal"] == "cancelled"
    assert (await seen(dispatcher, request))["internal_due_at"] is None


async def test_the_supervisor_leaves_the_first_returns_to_the_desk(
    hall, submit, handler, dispatcher, supervisor
):
    request = await hall.act(handler, await submit(), "return", **RETURN)
    decision = {"decision": "triage", "note": "重新派单"}
    assert await refused(supervisor, request, "decide_return", **decision) == "arbitration"
    request = await hall.act(dispatcher, request, "decide_return", **decision)
    assert (request["state"], request["unit"]) == ("triage", None)


async def test_a_leader_hands_it_on_inside_the_unit_only(
    hall, submit, as_staff, handler, leader, other_handler, resident
):
    request = await hall.act(handler, await submit(resident), "sign")
    colleague = await as_staff("handler", number=2)
    inside = {"handler_id": str(colleague.id), "note": "由小李办理"}
    assert await refused(leader, request, "transfer", unit_code=OTHER_UNIT, note="转") == (
        "transfer_target_invalid"
    )
    assert await refused(
        leader, request, "transfer", handler_id=str(other_handler.id), note="转"
    ) == "handler_unknown"  # fmt: skip
    assert await refused(handler, request, "transfer", **inside) == "step_forbidden"
    request = await hall.act(leader, request, "transfer", **inside)
    assert request["unit"]["code"] == UNIT
    assert await refused(leader, request, "transfer", **inside) == "same_handler"
    await hall.work("deliver_outbox")
    assert "诉求已转派" not in await letters(resident, request)


async def test_the_desk_hands_it_to_another_unit_and_the_promise_stands(
    hall, submit, handler, dispatcher, other_handler, resident, db, clock
):
    request = await hall.act(handler, await submit(resident), "sign")
    due_at = request["reply_due_at"]
    assert await refused(dispatcher, request, "transfer", unit_code=UNIT, note="转") == "same_unit"
    assert await refused(dispatcher, request, "transfer", note="转") == "invalid_input"
    clock.forward(hours=1)
    request = await hall.act(dispatcher, request, "transfer", unit_code=OTHER_UNIT, note="转办")
    assert (request["state"], request["unit"]["code"]) == ("in_progress", OTHER_UNIT)
    assert request["reply_due_at"] == due_at
    assert "return" in buttons(await seen(other_handler, request))
    await hall.work("deliver_outbox")
    assert "诉求已转派" in await letters(resident, request)
    assert "转入诉求" in await letters(other_handler, request)
    waiting = await submit()
    clock.forward(minutes=30)
    waiting = await hall.act(dispatcher, waiting, "transfer", unit_code=OTHER_UNIT, note="转办")
    assert waiting["state"] == "assigned"
    accept = (await clocks(db, waiting))["accept"]
    assert (accept["state"], accept["started_at"]) == ("running", clock.now)


async def test_the_fifth_hop_is_the_last(hall, submit, dispatcher):
    request = await submit()
    for unit in (OTHER_UNIT, UNIT, OTHER_UNIT, UNIT, OTHER_UNIT):
        request = await hall.act(dispatcher, request, "transfer", unit_code=unit, note="转办")
    assert (
        await refused(dispatcher, request, "transfer", unit_code=UNIT, note="再转") == "hops_left"
    )
