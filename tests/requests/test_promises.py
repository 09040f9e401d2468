"""延期, 挂起, 解挂: the promise moves only when somebody else allows it, and says so."""

from tests.city import OTHER_UNIT
from tests.requests.doing import (
    buttons,
    clock_states,
    clocks,
    letters,
    refused,
    seen,
    timeline,
    working,
)

EXTEND = {"working_days": 5, "reason_code": "survey", "note": "需调查核实"}
SUSPEND = {"reason_code": "weather", "until": "2026-03-16", "note": "汛期"}
APPROVE = {"decision": "approve", "note": "同意"}
DENY = {"decision": "deny", "note": "不同意"}


async def test_an_extension_adds_working_days_to_what_is_due_and_the_first_due_is_kept(
    hall, handler, dispatcher, resident, db
):
    request = await working(hall, handler, resident)
    request = await hall.act(handler, request, "request_extension", **EXTEND)
    assert request["reply_due_at"] == "2026-03-10T00:00:00+08:00"  # runs on while it is asked
    assert (await seen(handler, request))["extension_asked"] == {"working_days": 5}
    assert (await seen(resident, request))["extension_asked"] is None
    assert await refused(handler, request, "request_extension", **EXTEND) == "extension_free"
    assert await refused(handler, request, "decide_extension", **APPROVE) == "step_forbidden"
    request = await hall.act(dispatcher, request, "decide_extension", **APPROVE)
    assert request["reply_due_at"] == "2026-03-17T00:00:00+08:00"
    reply = (await clocks(db, request))["reply"]
    assert reply["original_due_at"].isoformat() == "2026-03-09T16:00:00+00:00"
    assert await refused(dispatcher, request, "decide_extension", **APPROVE) == "extension_pending"
    await hall.work("deliver_outbox")
    assert "答复时限延长" in await letters(resident, request)
    assert "待审批" in await letters(dispatcher, request)


async def test_the_second_extension_is_the_supervisors_and_there_is_no_third(
    hall, handler, dispatcher, supervisor
):
    request = await working(hall, handler)
    request = await hall.act(handler, request, "request_extension", **EXTEND)
    request = await hall.act(dispatcher, request, "decide_extension", **APPROVE)
    request = await hall.act(handler, request, "request_extension", **EXTEND)
    assert await refused(dispatcher, request, "decide_extension", **APPROVE) == "extension_decider"
    request = await hall.act(supervisor, request, "decide_extension", **APPROVE)
    assert request["reply_due_at"] == "2026-03-24T00:00:00+08:00"
    assert await refused(handler, request, "request_extension", **EXTEND) == "extension_free"


async def test_an_extension_that_is_refused_changes_nothing(hall, handler, dispatcher):
    request = await hall.act(handler, await working(hall, handler), "request_extension", **EXTEND)
    assert await refused(dispatcher, request, "decide_extension", decision="deny") == (
        "reason_missing"
    )
    request = await hall.act(dispatcher, request, "decide_extension", **DENY)
    assert request["reply_due_at"] == "2026-03-10T00:00:00+08:00"
    await hall.work("deliver_outbox")
    assert "延期未批准" in await letters(handler, request)


async def test_an_extension_is_asked_in_time_after_the_first_contact_and_not_for_too_long(
    hall, submit, handler, clock
):
    signed = await hall.act(handler, await submit(), "sign")
    assert await refused(handler, signed, "request_extension", **EXTEND) == "contacted"
    request = await working(hall, handler)
    too_long = {**EXTEND, "working_days": 6}
    assert await refused(handler, request, "request_extension", **too_long) == "extension_too_long"
    assert await refused(
        handler, request, "request_extension", **{**EXTEND, "note": " "}
    ) == "invalid_input"  # fmt: skip
    clock.set("2026-03-06T23:59:59")
    assert buttons(await seen(handler, request))["request_extension"] is None
    clock.set("2026-03-07T00:00:00")  # one working day is left: Monday itself
    assert await refused(handler, request, "request_extension", **EXTEND) == "extension_in_time"


async def test_what_nobody_decided_is_refused_by_the_clock_at_the_breach(
    hall, handler, dispatcher, supervisor, clock
):
    request = await hall.act(handler, await working(hall, handler), "request_extension", **EXTEND)
    clock.set("2026-03-10T00:00:00")
    assert await refused(dispatcher, request, "decide_extension", **APPROVE) == "extension_decider"
    assert await refused(supervisor, request, "decide_extension", **APPROVE) == "extension_decider"
    await hall.work("sweep_clocks")
    page = await seen(supervisor, request)
    assert (page["extension_asked"], page["reply_overdue"]) == (None, True)
    entry = (await timeline(supervisor, request))[-1]
    assert (entry["action"], entry["actor_role"]) == ("decide_extension", "system")
    assert entry["facts"]["decision"] == "deny"


async def suspended(hall, handler, leader, dispatcher, resident=None, **form):
    request = await working(hall, handler, resident)
    request = await hall.act(leader, request, "suspend", **{**SUSPEND, **form})
    return await hall.act(dispatcher, request, "suspend", **APPROVE)


async def test_the_leader_asks_the_desk_allows_and_the_clock_stands_from_then_on(
    hall, handler, leader, dispatcher, resident, db, clock
):
    request = await working(hall, handler, resident)
    assert await refused(dispatcher, request, "suspend", **APPROVE) == "suspension_asked"
    assert await refused(handler, request, "suspend", **SUSPEND) == "step_forbidden"
    request = await hall.act(leader, request, "suspend", **SUSPEND)
    assert (request["state"], request["reply_due_at"]) == (
        "in_progress",
        "2026-03-10T00:00:00+08:00",
    )
    assert (await seen(dispatcher, request))["suspension_asked"] == {
        "reason_code": "weather",
        "reason": "汛期或天气不可施工",
        "until": "2026-03-16",
    }
    assert await refused(leader, request, "suspend", **SUSPEND) == "suspension_asked"
    assert await refused(dispatcher, request, "suspend", note="?") == "reason_missing"
    clock.set("2026-03-04T10:00:00")
    request = await hall.act(dispatcher, request, "suspend", **APPROVE)
    assert (request["state"], request["reply_due_at"]) == ("suspended", None)
    assert (await seen(resident, request))["resume_on"] == "2026-03-16T00:00:00+08:00"
    states = await clock_states(db, request)
    assert (states["reply"], states["suspension"]) == ("paused", "running")
    await hall.work("deliver_outbox")
    assert "诉求暂缓办理" in await letters(resident, request)


async def test_the_clock_ends_a_suspension_on_its_day_however_late_it_looks(
    hall, handler, leader, dispatcher, clock, db
):
    request = await working(hall, handler)
    request = await hall.act(leader, request, "suspend", **SUSPEND)
    clock.set("2026-03-04T10:00:00")  # three days are left: 5th, 6th, 9th
    request = await hall.act(dispatcher, request, "suspend", **APPROVE)
    clock.set("2026-03-15T23:59:59")
    await hall.work("sweep_clocks")
    assert (await seen(handler, request))["state"] == "suspended"
    clock.set("2026-03-18T10:00:00")  # the machine was off for two days
    await hall.work("sweep_clocks")
    page = await seen(handler, request)
    assert (page["state"], page["resume_on"]) == ("in_progress", None)
    assert page["reply_due_at"] == "2026-03-20T00:00:00+08:00"  # 17th, 18th, 19th
    entry = (await timeline(handler, request))[-1]
    assert (entry["action"], entry["actor_role"]) == ("resume", "system")
    assert (await clock_states(db, request))["reply"] == "running"


async def test_a_suspension_ends_early_by_staff_or_by_something_new(
    hall, handler, leader, dispatcher, resident, clock
):
    for who, form in (
        (leader, {}),
        (dispatcher, {"note": "天气转好"}),
        (resident, {"text": "积水退了"}),
    ):
        request = await suspended(hall, handler, leader, dispatcher, resident)
        if who is resident:
            assert await refused(resident, request, "resume") == "reason_missing"
        assert await refused(handler, request, "resume") == "step_forbidden"
        request = await hall.act(who, request, "resume", **form)
        assert (request["state"], request["reply_due_at"]) == (
            "in_progress",
            "2026-03-10T00:00:00+08:00",  # the same day: nothing moves
        )


async def test_a_suspension_has_a_listed_reason_and_an_end_within_ninety_days(
    hall, submit, handler, leader, dispatcher, clock
):
    signed = await hall.act(handler, await submit(), "sign")
    assert await refused(leader, signed, "suspend", **SUSPEND) == "contacted"
    request = await working(hall, handler)
    for wrong in ("2026-03-02", "2026-06-01"):
        assert await refused(leader, request, "suspend", **{**SUSPEND, "until": wrong}) == (
            "time_out_of_range"
        )
    for wrong in ("need_info", None):
        assert await refused(leader, request, "suspend", **{**SUSPEND, "reason_code": wrong}) == (
            "reason_missing"
        )
    request = await hall.act(leader, request, "suspend", **{**SUSPEND, "until": "2026-05-31"})
    request = await hall.act(dispatcher, request, "suspend", **DENY)
    assert request["state"] == "in_progress"
    request = await hall.act(leader, request, "suspend", **{**SUSPEND, "until": "2026-03-03"})
    clock.set("2026-03-03T08:00:00")  # the day asked for has come
    assert await refused(dispatcher, request, "suspend", **APPROVE) == "time_out_of_range"


async def test_while_suspended_no_time_passes_for_an_extension(
    hall, handler, leader, dispatcher, clock
):
    request = await suspended(hall, handler, leader, dispatcher)
    clock.set("2026-03-12T10:00:00")  # past what was due, had the clock not stood
    request = await hall.act(leader, request, "request_extension", **EXTEND)
    request = await hall.act(dispatcher, request, "decide_extension", **APPROVE)
    assert (request["state"], request["reply_due_at"]) == ("suspended", None)
    request = await hall.act(leader, request, "resume")
    # Five days were left on the 2nd, five were granted: ten after Thursday 12th.
    assert request["reply_due_at"] == "2026-03-27T00:00:00+08:00"


async def test_what_was_asked_lapses_when_somebody_else_gets_it(hall, handler, leader, dispatcher):
    request = await working(hall, handler)
    request = await hall.act(handler, request, "request_extension", **EXTEND)
    request = await hall.act(leader, request, "suspend", **SUSPEND)
    request = await hall.act(dispatcher, request, "transfer", unit_code=OTHER_UNIT, note="转")
    page = await seen(dispatcher, request)
    assert (page["extension_asked"], page["suspension_asked"]) == (None, None)
    assert buttons(page)["decide_extension"] == "没有待审批的延期申请"
