"""答复, 审核, 评价, 默认办结, 回访: what is said to the resident, and what the resident says."""

from uuid import UUID

import pytest

from app.domain.satisfaction import is_sampled
from app.store.session import Statement
from tests.city import REQUESTS
from tests.requests.doing import (
    BAD,
    GOOD,
    REPLY,
    buttons,
    clock_states,
    letters,
    refused,
    seen,
    timeline,
    working,
)

REVIEWED = "utility.water_outage"  # its policy asks for a second look in this module
PREPARE = Statement("UPDATE sla_policies SET review_required = true WHERE code = 'urgent'")


@pytest.fixture
async def reviewed(hall):
    """The category whose replies a leader approves, and its handler and leader."""
    await hall.db.one_statement(PREPARE)
    await hall.app.state.reference.refresh(hall.db)
    unit = "water_company"
    return (
        REVIEWED,
        await hall.as_staff("handler", unit=unit),
        await hall.as_staff("unit_leader", unit=unit),
    )


async def test_a_reply_says_how_it_ended_and_a_plan_has_its_day(hall, handler, resident):
    request = await working(hall, handler, resident)
    planned = {"public_reply": "已列入计划", "solved": "unsolved", "unsolved_reason": "需施工"}
    for wrong in (
        {"result_type": "planned"},
        {"planned_on": "2026-06-01"},
        {"result_type": "planned", "planned_on": "2026-03-01"},
    ):
        assert await refused(handler, request, "reply", **planned, **wrong) == "plan_unclear"
    request = await hall.act(
        handler, request, "reply", **planned, result_type="planned", planned_on="2026-06-01"
    )
    reply = (await seen(resident, request))["reply"]
    assert (reply["result_text"], reply["planned_on"]) == ("列入计划", "2026-06-01")


async def test_nobody_answers_before_the_first_contact_or_instead_of_the_handler(
    hall, submit, handler, leader, dispatcher
):
    signed = await hall.act(handler, await submit(), "sign")
    assert await refused(handler, signed, "reply", **REPLY) == "contacted"
    request = await working(hall, handler)
    assert await refused(leader, request, "reply", **REPLY) == "step_forbidden"
    assert await refused(dispatcher, request, "reply", **REPLY) == "step_forbidden"


async def test_a_draft_is_looked_at_by_another_person_before_the_resident_sees_it(
    hall, reviewed, resident, clock, db
):
    category, handler, leader = reviewed
    request = await working(hall, handler, resident, category_code=category)
    request = await hall.act(handler, request, "reply", **REPLY)
    assert (request["state"], request["public_label"]) == ("reply_review", "办理中")
    assert (await seen(resident, request))["reply"] is None
    assert (await seen(leader, request))["reply"]["public_reply"] == "已修好"
    assert (await clock_states(db, request))["reply"] == "running"  # sent is what counts
    await hall.work("deliver_outbox")
    assert "诉求已答复，请评价" not in await letters(resident, request)
    assert "答复待审核" in await letters(leader, request)
    assert await refused(leader, request, "decide_reply", decision="deny") == "reason_missing"
    request = await hall.act(leader, request, "decide_reply", decision="deny", note="说清楚些")
    assert request["state"] == "in_progress"
    assert (await seen(resident, request))["reply"] is None
    request = await hall.act(handler, request, "reply", **{**REPLY, "public_reply": "灯泡已更换"})
    clock.forward(hours=1)
    request = await hall.act(leader, request, "decide_reply", decision="approve")
    reply = (await seen(resident, request))["reply"]
    assert (reply["public_reply"], reply["at"]) == ("灯泡已更换", "2026-03-02T10:30:00+08:00")
    assert request["replied_at"] == "2026-03-02T10:30:00+08:00"
    assert (await clock_states(db, request))["reply"] == "met"
    await hall.work("deliver_outbox")
    assert "诉求已答复，请评价" in await letters(resident, request)


@pytest.mark.parametrize(
    ("replied_at", "overdue", "state"),
    [("2026-03-09T23:59:59.999999", False, "met"), ("2026-03-10T00:00:00", True, "missed")],
)
async def test_the_last_moment_of_the_last_day_is_in_time(
    hall, handler, clock, db, replied_at, overdue, state
):
    request = await working(hall, handler)
    clock.set(replied_at)
    request = await hall.act(handler, request, "reply", **REPLY)
    assert request["reply_overdue"] is overdue
    assert (await clock_states(db, request))["reply"] == state


async def test_a_word_may_be_changed_as_long_as_the_window_is_open(hall, resident, clock):
    request = await hall.replied(resident)
    request = await hall.act(resident, request, "rate", **GOOD)
    assert (request["state"], request["satisfaction"]) == ("closed", 5)
    clock.set("2026-03-09T23:59:59")
    request = await hall.act(resident, request, "rate", **{**GOOD, "satisfaction": 3})
    assert (request["state"], request["satisfaction"]) == ("closed", 3)
    assert (await seen(resident, request))["rating"]["satisfaction"] == 3
    clock.set("2026-03-10T00:00:00")
    assert await refused(resident, request, "rate", **GOOD) == "rating_window_open"


async def test_a_word_that_turns_bad_is_looked_at_again(hall, resident):
    request = await hall.act(resident, await hall.replied(resident), "rate", **GOOD)
    request = await hall.act(resident, request, "rate", **BAD)
    assert (request["state"], request["ended_at"]) == ("reopen_review", None)


async def test_only_whose_request_it_is_rates(hall, handler, as_resident, as_staff, dispatcher):
    request = await hall.replied(await as_resident())
    stranger = await as_resident()
    assert await refused(stranger, request, "rate", **GOOD) == "request_not_found"
    assert await refused(handler, request, "rate", **GOOD) == "forbidden"
    assert await refused(dispatcher, request, "rate", **GOOD) == "forbidden"


async def test_what_nobody_rates_is_closed_and_counts_as_no_word(hall, resident, clock, db):
    request = await hall.replied(resident)
    clock.set("2026-03-09T12:00:00")
    await hall.work("sweep_clocks", "deliver_outbox")
    assert (await letters(resident, request)).count("请评价") == 2  # on days 3 and 6
    assert (await seen(resident, request))["state"] == "replied"
    clock.set("2026-03-10T00:00:00")
    await hall.work("sweep_clocks")
    page = await seen(resident, request)
    assert (page["state"], page["satisfaction"]) == ("closed", None)
    assert (await clock_states(db, request))["rate"] == "missed"
    assert buttons(page)["rate"] == "评价期限已过"


async def sampled(hall, resident=None, wanted: bool = True):
    """A request whose first reply is (or is not) in the call-back sample."""
    for _ in range(200):
        who = resident or await hall.as_resident()
        request = await hall.submit(who)
        if is_sampled(UUID(request["id"]), 1) is wanted:
            handler = await hall.as_staff("handler")
            request = await hall.act(handler, request, "sign")
            request = await hall.act(handler, request, "contact", method="phone", result="reached")
            return who, await hall.act(handler, request, "reply", **REPLY)
    raise AssertionError("nothing was sampled")


async def test_only_the_sample_is_called_back_and_once(hall, handler, dispatcher, supervisor):
    _, lucky = await sampled(hall, wanted=False)
    assert await refused(dispatcher, lucky, "call_back", reached=False) == "sampled"
    _, request = await sampled(hall)
    assert await refused(handler, request, "call_back", reached=False) == "step_forbidden"
    assert await refused(dispatcher, request, "call_back", reached=True) == "reason_missing"
    request = await hall.act(
        supervisor, request, "call_back", reached=True, solved="solved", satisfaction=4
    )
    assert (request["state"], request["satisfaction"]) == ("replied", 4)
    facts = (await timeline(dispatcher, request))[-1]["facts"]
    assert (facts["source"], facts["satisfaction"]) == ("call_back", 4)
    assert await refused(dispatcher, request, "call_back", reached=False) == "not_called_back"


async def test_a_bad_word_on_the_phone_is_looked_at_again_and_a_written_one_goes_before_it(
    hall, dispatcher
):
    _, request = await sampled(hall)
    bad = {"reached": True, "solved": "unsolved", "satisfaction": 1}
    request = await hall.act(dispatcher, request, "call_back", **bad)
    assert request["state"] == "reopen_review"
    resident, rated = await sampled(hall)
    rated = await hall.act(resident, rated, "rate", **GOOD)
    rated = await hall.act(dispatcher, rated, "call_back", **bad)
    assert (rated["state"], rated["satisfaction"]) == ("reopen_review", 5)


async def test_the_rating_address_of_the_phone_does_the_same(hall, resident):
    request = await hall.replied(resident)
    answer = await resident.post(
        f"{REQUESTS}/{request['id']}/rating", GOOD, version=request["version"]
    )
    assert (answer.status_code, answer.json()["state"]) == (201, "closed")
