"""要求补充, 补充, 补充超期: the resident has the ball, and five days."""

from tests.requests.doing import clock_states, clocks, letters, refused, seen, timeline, working


async def asked(hall, handler, resident):
    request = await working(hall, handler, resident)
    return await hall.act(handler, request, "ask_info", note="请说明位置")


async def test_whoever_is_asked_has_five_days_and_two_reminders(
    hall, handler, dispatcher, resident, clock, db
):
    request = await asked(hall, handler, resident)
    page = await seen(resident, request)
    assert page["info_until"] == "2026-03-08T00:00:00+08:00"
    assert page["reply_due_at"] is None
    assert await clock_states(db, request) == {
        "accept": "met", "contact": "met", "info": "running", "reply": "paused"
    }  # fmt: skip
    assert await refused(dispatcher, request, "expire_info", decision="close", note="x") == (
        "info_window_over"
    )
    clock.set("2026-03-08T00:00:00")
    await hall.work("sweep_clocks", "deliver_outbox")
    clock.set("2026-03-08T09:00:00")  # not at midnight
    told = await letters(resident, request)
    assert told.count("请补充材料") == 3  # asked, and reminded twice
    assert "补充期限已过" in await letters(dispatcher, request)
    assert await refused(resident, request, "supply", text="迟了") == "info_window_open"


async def test_a_supplement_after_which_the_work_goes_on(hall, handler, resident, db):
    request = await asked(hall, handler, resident)
    assert await refused(resident, request, "supply") == "invalid_input"
    request = await hall.act(resident, request, "supply", text="村东头")
    assert request["state"] == "in_progress"
    assert (await seen(resident, request))["info_until"] is None
    assert await clock_states(db, request) == {
        "accept": "met", "contact": "met", "info": "met", "reply": "running"
    }  # fmt: skip
    assert (await timeline(handler, request))[-1]["public_note"] == "村东头"


async def test_a_resident_who_answers_a_message_was_reached(
    hall, submit, dispatcher, resident, db, clock
):
    request = await submit(resident, category_code=...)
    request = await hall.act(dispatcher, request, "ask_info", note="请说明")
    clock.forward(hours=1)
    request = await hall.act(resident, request, "supply", text="路灯")
    assert request["state"] == "triage"
    assert request["contacted_at"] == "2026-03-02T10:30:00+08:00"
    assert (await clocks(db, request))["contact"]["state"] == "met"


async def test_whoever_never_answers_is_closed_without_counting_anything(
    hall, handler, dispatcher, resident, clock, db
):
    request = await asked(hall, handler, resident)
    clock.set("2026-03-08T09:00:00")
    await hall.work("sweep_clocks")
    assert await refused(handler, request, "expire_info", decision="close", note="x") == (
        "step_forbidden"
    )
    assert await refused(dispatcher, request, "expire_info", decision="close") == "note_missing"
    request = await hall.act(
        dispatcher, request, "expire_info", decision="close", note="电话也未接通"
    )
    assert request["state"] == "closed"
    assert (request["satisfaction"], request["rate_until"]) == (None, None)
    assert (await clock_states(db, request))["reply"] == "cancelled"  # never answered: not met
    entry = (await timeline(resident, request))[-1]
    assert "材料不全" in entry["public_note"]
    facts = (await timeline(dispatcher, request))[-1]["facts"]
    assert facts == {"result": "info_missing", "excluded_from_satisfaction": True}
    rating = {"contacted": True, "solved": "solved", "satisfaction": 5}
    assert await refused(resident, request, "rate", **rating) == "answered"


async def test_the_promise_runs_on_from_the_expiry_however_late_the_desk_looks(
    hall, handler, dispatcher, resident, clock
):
    request = await asked(hall, handler, resident)  # five working days are left
    clock.set("2026-03-12T09:00:00")
    request = await hall.act(
        dispatcher, request, "expire_info", decision="resume", note="按现有材料办理"
    )
    assert request["state"] == "in_progress"
    assert request["reply_due_at"] == "2026-03-14T00:00:00+08:00"  # five days after Sunday 8th


async def test_the_desk_asks_before_it_assigns_and_units_only_what_they_work_on(
    hall, submit, handler, dispatcher, resident
):
    request = await submit(resident)
    assert await refused(handler, request, "ask_info", note="位置？") == "illegal_step"
    waiting = await submit(resident, category_code=...)
    assert await refused(dispatcher, waiting, "ask_info") == "note_missing"
    assert await refused(dispatcher, waiting, "ask_info", note="打13800138000") == (
        "text_contains_pii"
    )
