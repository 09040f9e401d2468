"""申请重办, 不予受理, 异议, 撤回: once more, or not at all."""

import pytest

from tests.city import OTHER_UNIT, UNIT
from tests.requests.doing import (
    BAD,
    GOOD,
    REPLY,
    buttons,
    clock_states,
    clocks,
    letters,
    refused,
    rejected,
    seen,
    timeline,
    working,
)

AGAIN = {"decision": "reopen", "note": "重新办理"}
REFUSE = {"decision": "refuse", "note": "已按规定办结"}


async def dissatisfied(hall, resident):
    return await hall.act(resident, await hall.replied(resident), "rate", **BAD)


async def test_a_new_cycle_has_new_promises_and_the_old_one_stays_as_it_was(
    hall, resident, handler, dispatcher, supervisor, clock, db
):
    request = await dissatisfied(hall, resident)
    before = await clocks(db, request)
    assert before["review"]["due_at"].isoformat() == "2026-03-03T16:00:00+00:00"
    clock.set("2026-03-03T10:00:00")
    assert await refused(dispatcher, request, "decide_reopen", decision="reopen") == "note_missing"
    request = await hall.act(dispatcher, request, "decide_reopen", **AGAIN)
    assert (request["state"], request["cycle_no"], request["unit"]["code"]) == ("assigned", 2, UNIT)
    assert request["contact_due_at"] == "2026-03-03T16:00:00+08:00"  # six hours once more
    assert request["reply_due_at"] == "2026-03-07T00:00:00+08:00"  # three working days
    assert (request["contacted_at"], request["replied_at"], request["satisfaction"]) == (None,) * 3
    after = await clocks(db, request)
    assert after["review"]["state"] == "met"
    for metric in ("contact", "reply", "rate", "accept"):
        assert dict(after[metric]) == dict(before[metric])
    assert await clock_states(db, request, cycle_no=2) == {
        "accept": "running", "contact": "running", "reply": "running"
    }  # fmt: skip
    page = await seen(supervisor, request)
    assert (page["reply"], page["rating"]) == (None, None)
    [cycle] = page["earlier_cycles"]
    assert cycle["reply"]["public_reply"] == "已修好"
    assert cycle["rating"]["satisfaction"] == 1
    await hall.work("deliver_outbox")
    assert "诉求重新办理" in await letters(resident, request)
    # A contact of the old cycle is none of the new one.
    request = await hall.act(handler, request, "sign")
    early = {"method": "phone", "result": "reached", "at": "2026-03-03T09:59:00+08:00"}
    assert await refused(handler, request, "contact", **early) == "time_out_of_range"
    assert await refused(handler, request, "reply", **REPLY) == "contacted"
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    request = await hall.act(handler, request, "reply", **{**REPLY, "public_reply": "换了新灯"})
    request = await hall.act(resident, request, "rate", **GOOD)
    assert (request["state"], request["satisfaction"]) == ("closed", 5)
    actions = [step["action"] for step in await timeline(resident, request)]
    assert actions.count("reply") == actions.count("rate") == 2


async def test_the_second_dissatisfaction_is_the_supervisors_and_another_persons(
    hall, resident, handler, dispatcher, second_dispatcher, supervisor, as_staff
):
    request = await dissatisfied(hall, resident)
    request = await hall.act(supervisor, request, "decide_reopen", **AGAIN)
    request = await hall.act(handler, request, "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    request = await hall.act(handler, request, "reply", **REPLY)
    request = await hall.act(resident, request, "rate", **BAD)
    assert request["state"] == "closed"  # the second time only asking opens it
    request = await hall.act(resident, request, "request_reopen", note="还是不亮")
    for who in (dispatcher, second_dispatcher, supervisor):
        assert await refused(who, request, "decide_reopen", **AGAIN) == "reopen_decider"
    other_supervisor = await as_staff("supervisor", number=2)
    request = await hall.act(
        other_supervisor, request, "decide_reopen", **AGAIN, unit_code=OTHER_UNIT
    )
    assert (request["cycle_no"], request["unit"]["code"]) == (3, OTHER_UNIT)
    assert len((await seen(supervisor, request))["earlier_cycles"]) == 2


async def test_a_refusal_closes_it_and_the_word_stands(hall, resident, dispatcher):
    request = await dissatisfied(hall, resident)
    assert await refused(resident, request, "decide_reopen", **REFUSE) == "step_forbidden"
    request = await hall.act(dispatcher, request, "decide_reopen", **REFUSE)
    assert (request["state"], request["satisfaction"], request["cycle_no"]) == ("closed", 1, 1)
    assert (await timeline(resident, request))[-1]["public_note"] == "已按规定办结"
    request = await hall.act(resident, request, "rate", **{**BAD, "satisfaction": 2})
    assert request["state"] == "closed"  # it was looked at


@pytest.mark.parametrize("rated", [False, True])
async def test_a_resident_asks_within_fifteen_days_of_the_reply(hall, resident, clock, db, rated):
    request = await hall.replied(resident)
    if rated:
        request = await hall.act(resident, request, "rate", **GOOD)
    assert await refused(resident, request, "request_reopen") == "note_missing"
    clock.set("2026-03-17T23:59:59")
    if not rated:
        await hall.work("sweep_clocks")  # closed by itself meanwhile
        request = await seen(resident, request)
    asked = await hall.act(resident, request, "request_reopen", note="又坏了")
    assert asked["state"] == "reopen_review"
    assert (await clock_states(db, asked))["review"] == "running"
    other = await hall.replied(resident)
    clock.set("2026-04-02T00:00:00")
    assert await refused(resident, other, "request_reopen", note="又坏了") == "reopen_window_open"


async def test_a_review_that_is_late_is_the_desks_shame(hall, resident, dispatcher, clock, db):
    request = await dissatisfied(hall, resident)
    clock.set("2026-03-04T09:00:00")
    await hall.work("sweep_clocks", "deliver_outbox")
    assert "重办审核时限已超时" in await letters(dispatcher, request)
    request = await hall.act(dispatcher, request, "decide_reopen", **REFUSE)
    assert (await clock_states(db, request))["review"] == "missed"


async def test_an_order_outlives_the_cycle_in_which_it_was_given(
    hall, resident, leader, dispatcher, supervisor, db
):
    request = await hall.act(supervisor, await hall.replied(resident), "supervise", note="说明")
    request = await hall.act(resident, request, "rate", **BAD)
    request = await hall.act(dispatcher, request, "decide_reopen", **AGAIN)
    request = await hall.act(leader, request, "supervise", note="已派人")
    assert (await clock_states(db, request))["supervise"] == "met"


# --- not at all ----------------------------------------------------------------------------------


async def test_two_people_of_the_desk_decide_that_it_is_not_taken_on(
    hall, submit, dispatcher, second_dispatcher, resident, db
):
    request = await submit(resident, category_code=...)
    note = {"note": "已进入信访"}
    assert await refused(dispatcher, request, "reject", **note) == "ground_missing"
    assert await refused(dispatcher, request, "reject", **note, ground_code="unreachable") == (
        "ground_unfounded"
    )
    request = await hall.act(
        dispatcher, request, "reject", **note, ground_code="petition", where_to_go="区信访局"
    )
    assert request["state"] == "triage"
    assert (await seen(second_dispatcher, request))["rejection_asked"] == {
        "ground_code": "petition",
        "ground": "已进入信访渠道",
        "note": "已进入信访",
        "where_to_go": "区信访局",
    }
    assert (await seen(resident, request))["rejection_asked"] is None
    assert await refused(dispatcher, request, "reject", **note, decision="approve") == (
        "second_person"
    )
    assert await refused(second_dispatcher, request, "reject", **note) == "reason_missing"
    await hall.work("deliver_outbox")
    assert "诉求不予受理" not in await letters(resident, request)
    request = await hall.act(second_dispatcher, request, "reject", **note, decision="approve")
    assert request["state"] == "rejected"
    told = (await timeline(resident, request))[-1]["public_note"]
    for words in ("已进入信访渠道", "区信访局", "15日内"):
        assert words in told
    assert set((await clock_states(db, request)).values()) == {"cancelled"}
    await hall.work("deliver_outbox")
    assert "诉求不予受理" in await letters(resident, request)


async def test_the_second_person_may_say_no_and_moving_on_forgets_the_question(
    hall, submit, dispatcher, second_dispatcher
):
    request = await submit(category_code=...)
    ask = {"ground_code": "petition", "note": "已信访"}
    request = await hall.act(dispatcher, request, "reject", **ask)
    request = await hall.act(second_dispatcher, request, "reject", decision="deny", note="不属实")
    assert (await seen(dispatcher, request))["rejection_asked"] is None
    request = await hall.act(dispatcher, request, "reject", **ask)
    request = await hall.act(
        second_dispatcher, request, "assign", unit_code=UNIT, category_code="road.lamp"
    )
    assert (await seen(dispatcher, request))["rejection_asked"] is None
    assert "reject" not in buttons(await seen(dispatcher, request))


async def test_an_appeal_that_is_right_begins_a_cycle_and_one_that_is_not_leaves_it(
    hall, resident, dispatcher, clock, db
):
    request = await rejected(hall, resident)
    assert set(buttons(await seen(resident, request))) == {"request_reopen", "appeal"}
    assert await refused(resident, request, "appeal") == "note_missing"
    clock.set("2026-03-17T23:59:59")
    request = await hall.act(resident, request, "appeal", note="没有信访过")
    assert (request["state"], request["reply_overdue"]) == ("reopen_review", False)
    refusal = await hall.act(dispatcher, request, "decide_reopen", **REFUSE)
    assert refusal["state"] == "rejected"
    late = await rejected(hall, resident)
    other = await hall.act(resident, late, "appeal", note="没有信访过")
    assert await refused(dispatcher, other, "decide_reopen", **AGAIN) == "reason_missing"
    other = await hall.act(dispatcher, other, "decide_reopen", **AGAIN, unit_code=UNIT)
    assert (other["state"], other["cycle_no"]) == ("assigned", 2)
    assert (await clock_states(db, other))["reply"] == "cancelled"
    clock.forward(days=16)
    assert await refused(resident, refusal, "appeal", note="再看看") == "reopen_window_open"


async def test_a_resident_withdraws_until_it_is_answered(
    hall, resident, handler, leader, dispatcher, db, clock
):
    request = await working(hall, handler, resident)
    assert await refused(handler, request, "withdraw") == "step_forbidden"
    clock.forward(hours=2)
    request = await hall.act(resident, request, "withdraw", note="自己修好了")
    assert request["state"] == "withdrawn"
    states = await clock_states(db, request)
    assert (states["reply"], states["contact"]) == ("cancelled", "met")
    stopped = (await clocks(db, request))["reply"]["stopped_at"]
    assert stopped == clock.now  # what had passed is kept
    facts = (await timeline(leader, request))[-1]["facts"]
    assert facts == {"after_contact": True}  # goes into the audit's sample
    await hall.work("deliver_outbox")
    assert "诉求已撤回" in await letters(leader, request)
    replied = await hall.replied(resident)
    assert await refused(resident, replied, "withdraw") == "illegal_step"
