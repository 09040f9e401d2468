import asyncio

import pytest

from tests.city import OTHER_UNIT, REQUESTS, UNIT
from tests.requests.doing import buttons, rejected, seen


async def code_of(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_request_goes_its_way_from_submission_to_closing(hall, resident, handler):
    request = await hall.replied(resident)
    assert request["state"] == "replied"
    assert request["rate_until"] == "2026-03-10T00:00:00+08:00"
    rated = await resident.post(
        f"{REQUESTS}/{request['id']}/rating",
        {"contacted": True, "solved": "solved", "satisfaction": 5, "text": "很快"},
        version=request["version"],
    )
    assert rated.status_code == 201
    assert rated.json()["state"] == "closed"
    timeline = (await resident.get(f"{REQUESTS}/{request['id']}/timeline")).json()["items"]
    assert [(step["version"], step["action"], step["state"]) for step in timeline] == [
        (1, "submit", "submitted"),
        (2, "assign", "assigned"),
        (3, "sign", "in_progress"),
        (4, "contact", "in_progress"),
        (5, "reply", "replied"),
        (6, "rate", "closed"),
    ]


async def test_a_stale_version_is_refused_and_a_missing_one_too(hall, submit, handler):
    request = await submit()
    path = f"{REQUESTS}/{request['id']}/actions/sign"
    assert await code_of(await handler.post(path)) == (428, "precondition_required")
    stale = await handler.post(path, version=1)
    assert await code_of(stale) == (412, "stale_version")
    assert stale.json()["version"] == 2
    assert (await handler.post(path, version=2)).status_code == 200


async def test_an_illegal_step_lists_the_legal_ones(submit, handler):
    request = await submit()
    refused = await handler.post(
        f"{REQUESTS}/{request['id']}/actions/reply",
        {"public_reply": "好", "solved": "solved"},
        version=2,
    )
    assert await code_of(refused) == (409, "illegal_step")
    assert refused.json()["allowed"] == ["sign", "return", "contact", "co_feedback", "reclassify"]


async def test_a_blocked_step_says_so_before_and_when_it_is_tried(hall, submit, handler):
    request = await hall.act(handler, await submit(), "sign")
    reply = next(step for step in request["available_actions"] if step["action"] == "reply")
    assert reply["blocked_reason"] == "请先登记与诉求人的联系"
    refused = await handler.post(
        f"{REQUESTS}/{request['id']}/actions/reply",
        {"public_reply": "好", "solved": "solved"},
        version=request["version"],
    )
    assert await code_of(refused) == (409, "step_blocked")


async def test_three_failed_attempts_stand_for_a_contact_but_are_none(hall, submit, handler, clock):
    request = await hall.act(handler, await submit(), "sign")
    tried = {"method": "phone", "result": "no_answer"}
    for _ in range(3):  # three calls in one moment are one attempt
        request = await hall.act(handler, request, "contact", **tried)
    assert buttons(request)["reply"] == "请先登记与诉求人的联系"
    for _ in range(2):
        clock.forward(hours=1)
        request = await hall.act(handler, request, "contact", **tried)
    assert request["contacted_at"] is None
    clock.forward(hours=6)
    assert (await seen(handler, request))["contact_overdue"] is False  # 已尽责未联系上
    request = await hall.act(handler, request, "reply", public_reply="已修好", solved="solved")
    assert request["state"] == "replied"


async def test_a_contact_lies_between_submission_and_now(hall, submit, handler, clock):
    request = await submit()
    path = f"{REQUESTS}/{request['id']}/contacts"
    body = {"method": "visit", "result": "reached"}
    for wrong in ("2026-03-02T09:29:59+08:00", "2026-03-02T09:30:01+08:00"):
        refused = await handler.post(path, {**body, "at": wrong}, version=2)
        assert await code_of(refused) == (422, "time_out_of_range")
    clock.forward(hours=6)
    taken = await handler.post(path, {**body, "at": "2026-03-02T15:30:00+08:00"}, version=2)
    assert taken.status_code == 201
    assert taken.json()["contact_overdue"] is False  # exactly six hours is in time


async def test_asking_for_more_stops_the_reply_clock_by_days(
    hall, submit, resident, handler, clock
):
    request = await hall.act(handler, await submit(resident), "sign")  # due end of Monday 9th
    clock.set("2026-03-04T10:00:00")
    request = await hall.act(handler, request, "ask_info", note="请说明位置")
    assert (request["state"], request["reply_due_at"]) == ("need_info", None)
    clock.set("2026-03-09T10:00:00")
    request = await hall.act(resident, request, "supply", text="村东头")
    assert request["state"] == "in_progress"
    assert request["reply_due_at"] == "2026-03-13T00:00:00+08:00"  # three days were left
    assert request["contacted_at"] == "2026-03-09T10:00:00+08:00"  # a message that was answered


async def test_information_is_asked_for_twice_at_most(hall, submit, resident, handler):
    request = await hall.act(handler, await submit(resident), "sign")
    for _ in range(2):
        request = await hall.act(handler, request, "ask_info", note="请说明")
        request = await hall.act(resident, request, "supply", text="好")
    refused = await handler.post(
        f"{REQUESTS}/{request['id']}/actions/ask_info", {"note": "再说"}, version=request["version"]
    )
    assert refused.json()["guard"] == "info_rounds_left"


async def test_a_returned_request_is_given_to_another_unit_and_the_promise_stands(
    hall, submit, handler, dispatcher, as_staff
):
    request = await submit()
    due = request["reply_due_at"]
    request = await hall.act(
        handler,
        request,
        "return",
        reason_code="not_ours",
        note="不归我们",
        suggested_unit_code=OTHER_UNIT,
    )
    assert request["state"] == "return_review"
    request = await hall.act(
        dispatcher, request, "decide_return", decision="reassign", unit_code=OTHER_UNIT, note="同意"
    )
    assert (request["state"], request["unit"]["code"]) == ("assigned", OTHER_UNIT)
    assert request["reply_due_at"] == due
    gone = await handler.get(f"{REQUESTS}/{request['id']}")
    assert await code_of(gone) == (404, "request_not_found")  # formerly theirs
    other = await as_staff("handler", unit=OTHER_UNIT)
    assert (await other.get(f"{REQUESTS}/{request['id']}")).status_code == 200


async def test_a_refused_return_goes_on_and_cannot_be_repeated(hall, submit, handler, dispatcher):
    request = await hall.act(
        handler, await submit(), "return", reason_code="other", note="不归我们"
    )
    request = await hall.act(dispatcher, request, "decide_return", decision="refuse", note="归你们")
    assert (request["state"], request["unit"]["code"]) == ("in_progress", UNIT)
    again = await handler.post(
        f"{REQUESTS}/{request['id']}/actions/return",
        {"reason_code": "other", "note": "还是不归"},
        version=request["version"],
    )
    assert again.json()["guard"] == "not_returned_before"


async def test_the_return_window_closes_after_one_working_day(submit, handler, clock):
    request = await submit()
    clock.set("2026-03-04T00:00:00")
    refused = await handler.post(
        f"{REQUESTS}/{request['id']}/actions/return",
        {"reason_code": "other", "note": "不归我们"},
        version=2,
    )
    assert refused.json()["guard"] == "return_window_open"


async def test_a_dispatcher_assigns_or_rejects_what_waits(hall, submit, dispatcher):
    waiting = await submit(category_code=...)
    assigned = await hall.act(
        dispatcher, waiting, "assign", unit_code=OTHER_UNIT, category_code="road.lamp"
    )
    assert (assigned["state"], assigned["category"]["code"]) == ("assigned", "road.lamp")
    assert assigned["routing"]["reasons"][-1] == {"code": "by_desk", "text": "调度员人工派单"}
    gone = await rejected(hall)
    assert gone["state"] == "rejected"
    assert gone["ended_at"] is not None


@pytest.mark.parametrize(
    ("action", "body", "status", "code"),
    [
        ("assign", {"unit_code": "no-such"}, 422, "unit_unknown"),
        ("assign", {}, 422, "invalid_input"),
        ("assign", {"unit_code": "water"}, 422, "category_missing"),
        ("reject", {"ground_code": "petition"}, 422, "note_missing"),
        ("sign", {}, 403, "step_forbidden"),
        ("submit", {}, 404, "not_found"),
        ("no_such", {}, 404, "not_found"),
    ],
)
async def test_a_wrong_step_of_the_desk_is_refused(submit, dispatcher, action, body, status, code):
    request = await submit(category_code=...)
    refused = await dispatcher.post(f"{REQUESTS}/{request['id']}/actions/{action}", body, version=2)
    assert await code_of(refused) == (status, code)


async def test_a_reply_holds_no_personal_data_and_gives_a_reason_where_nothing_was_solved(
    hall, submit, handler
):
    request = await hall.act(handler, await submit(), "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    path = f"{REQUESTS}/{request['id']}/actions/reply"
    for body, code in (
        ({"public_reply": "请联系13800138000", "solved": "solved"}, "text_contains_pii"),
        ({"public_reply": "暂时不行", "solved": "unsolved"}, "reason_missing"),
    ):
        refused = await handler.post(path, body, version=request["version"])
        assert await code_of(refused) == (422, code)


async def test_the_dissatisfied_are_looked_at_again(hall, resident):
    request = await hall.replied(resident)
    path = f"{REQUESTS}/{request['id']}/rating"
    bad = {"contacted": False, "solved": "unsolved", "satisfaction": 1}
    refused = await resident.post(path, bad, version=request["version"])
    assert await code_of(refused) == (422, "reason_missing")
    rated = await resident.post(path, {**bad, "reasons": ["slow"]}, version=request["version"])
    assert rated.json()["state"] == "reopen_review"
    again = await resident.post(path, {**bad, "reasons": ["slow"]}, version=rated.json()["version"])
    assert await code_of(again) == (409, "illegal_step")


async def test_what_nobody_rates_is_closed_when_the_window_is_over(hall, resident, clock):
    request = await hall.replied(resident)
    clock.set("2026-03-10T00:00:00")
    await hall.work("sweep_clocks")
    for _ in range(3):  # two reminders were due on the way
        await hall.work("sweep_clocks")
    seen = (await resident.get(f"{REQUESTS}/{request['id']}")).json()
    assert (seen["state"], seen["satisfaction"], seen["rating"]) == ("closed", None, None)


async def test_fifty_at_once_and_one_signs(submit, handler, as_staff):
    request = await submit()
    colleague = await as_staff("handler", number=2)
    path = f"{REQUESTS}/{request['id']}/actions/sign"
    answers = await asyncio.gather(
        *(who.post(path, version=2) for who in (handler, colleague) for _ in range(25))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 503}  # 503: waited too long for a connection; may retry


async def test_a_step_repeated_under_its_key_is_taken_once(submit, handler):
    request = await submit()
    path = f"{REQUESTS}/{request['id']}/actions/sign"
    first = await handler.post(path, version=2, key="s-1")
    again = await handler.post(path, version=2, key="s-1")
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    other = await handler.post(path, version=3, key="s-1")
    assert await code_of(other) == (422, "idempotency_key_reused")
