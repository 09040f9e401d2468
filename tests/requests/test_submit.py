import asyncio
from uuid import UUID

import orjson
import pytest

from app.requests.schemas import RequestMovedOut
from app.store.session import Statement
from tests.city import (
    CATEGORY,
    GRID,
    MICRO_GRID,
    REQUESTS,
    TEXT,
    TOWN_UNIT,
    UNIT,
    VILLAGE_CATEGORY,
    form,
    point_in,
)

ROWS_OF = Statement("""
SELECT (SELECT count(*) FROM requests WHERE id = :id) AS requests,
  (SELECT count(*) FROM request_events WHERE request_id = :id) AS events,
  (SELECT count(*) FROM request_clocks WHERE request_id = :id) AS clocks,
  (SELECT count(*) FROM outbox WHERE payload->>'request_id' = :id::text) AS outbox,
  (SELECT personal FROM requests WHERE id = :id) AS personal
""")
CONTACT = {"name": "张三", "phone": "13800138000"}


async def test_the_point_and_the_category_decide_the_unit_and_two_promises_run(submit):
    request = await submit(location=point_in(GRID), contact=CONTACT)

    assert request["state"] == "assigned"
    assert request["grid"]["code"] == GRID
    assert request["unit"]["code"] == UNIT
    assert request["contact_due_at"] == "2026-03-02T15:30:00+08:00"
    assert request["reply_due_at"] == "2026-03-10T00:00:00+08:00"
    assert request["provisional"] is False
    reasons = [reason["code"] for reason in request["routing"]["reasons"]]
    assert reasons == ["grid_by_point", "category_default"]
    assert [step["action"] for step in request["available_actions"]] == ["urge", "withdraw"]
    RequestMovedOut.model_validate(request)


async def test_everything_that_belongs_to_a_request_is_written_with_it(submit, db):
    request = await submit(contact=CONTACT)
    rows = await db.one_statement(ROWS_OF, id=UUID(request["id"]))
    counts = {name: rows[name] for name in ("requests", "events", "clocks", "outbox")}
    assert counts == {"requests": 1, "events": 2, "clocks": 3, "outbox": 1}
    assert "张三".encode() not in rows["personal"]
    assert b"13800138000" not in rows["personal"]


async def test_a_submission_is_one_statement(submit, as_resident, count_queries):
    caller = await as_resident()
    await submit(caller, location=point_in(GRID))  # the session is in memory, a serial at hand
    with count_queries() as sent:
        await submit(caller, location=point_in(GRID))
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("overrides", "state", "unit", "grid"),
    [
        (
            {"location": point_in(GRID), "category_code": VILLAGE_CATEGORY},
            "assigned",
            TOWN_UNIT,
            GRID,
        ),
        ({"location": point_in(MICRO_GRID)}, "assigned", UNIT, MICRO_GRID),
        ({"grid_code": GRID}, "assigned", UNIT, GRID),
        ({"category_code": ...}, "triage", None, None),
        ({"category_code": ..., "grid_code": GRID}, "triage", None, GRID),
        ({"category_code": "other"}, "triage", None, None),
    ],
)
async def test_what_no_rule_decides_waits_for_a_dispatcher(submit, overrides, state, unit, grid):
    request = await submit(**overrides)
    assert request["state"] == state
    assert (request["unit"] or {}).get("code") == unit
    assert (request["grid"] or {}).get("code") == grid


async def test_the_same_key_gives_the_same_bytes_and_one_request(as_resident):
    caller = await as_resident()
    first = await caller.post(REQUESTS, form(), key="k-1")
    again = await caller.post(REQUESTS, form(), key="k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.headers["etag"] == again.headers["etag"] == '"2"'
    assert again.headers["idempotent-replayed"] == "true"
    listed = await caller.get(REQUESTS)
    assert len(listed.json()["items"]) == 1


async def test_another_body_under_the_same_key_is_refused(as_resident):
    caller = await as_resident()
    await caller.post(REQUESTS, form(), key="k-1")
    refused = await caller.post(REQUESTS, form(text="另一件事"), key="k-1")
    assert refused.status_code == 422
    assert refused.json()["code"] == "idempotency_key_reused"


async def test_fifty_at_once_under_one_key_make_one_request(as_resident):
    caller = await as_resident()
    answers = await asyncio.gather(*(caller.post(REQUESTS, form(), key="k-50") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


async def test_the_eleventh_request_of_an_hour_waits_but_a_repeat_does_not(as_resident, clock):
    caller = await as_resident()
    for number in range(10):
        assert (await caller.post(REQUESTS, form(), key=f"n-{number}")).status_code == 201
    refused = await caller.post(REQUESTS, form(), key="n-10")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 3601
    assert (await caller.post(REQUESTS, form(), key="n-3")).status_code == 201
    clock.forward(hours=1)
    assert (await caller.post(REQUESTS, form(), key="n-10")).status_code == 201


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"category_code": "no.such"}, "category_unknown"),
        ({"grid_code": "370281999"}, "grid_unknown"),
        (
            {"location": {"latitude": 51.5072, "longitude": -0.1276, "coord_sys": "wgs84"}},
            "coord_outside_service_area",
        ),
    ],
)
async def test_what_the_city_does_not_know_is_refused(as_resident, overrides, code):
    refused = await (await as_resident()).post(REQUESTS, form(**overrides))
    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_a_year_without_a_calendar_makes_the_promise_provisional(submit, clock):
    clock.set("2026-12-31T10:00:00")
    request = await submit()
    assert request["provisional"] is True
    assert request["contact_due_at"] == "2026-12-31T16:00:00+08:00"
    assert request["reply_due_at"] == "2027-01-08T00:00:00+08:00"  # by the weekday rule


async def test_kinds_are_understood_in_chinese_too(submit):
    assert (await submit(kind="投诉"))["kind"] == "complaint"
    assert (await submit(kind="praise"))["kind_text"] == "表扬"


async def test_danger_to_life_is_answered_with_the_number_to_call(submit):
    assert "119" in (await submit(text="楼下起火了"))["hint"]
    assert (await submit())["hint"] is None


async def test_a_dispatcher_takes_a_request_down_for_somebody(submit, as_staff):
    request = await submit(await as_staff("dispatcher"), contact=CONTACT)
    assert request["channel"] == "desk"
    handler = await as_staff("handler")
    seen = (await handler.get(f"{REQUESTS}/{request['id']}")).json()
    assert seen["contact"] == {"name": "张**", "phone": "138****8000", "masked": True}


async def test_the_text_comes_back_as_it_was_written(submit, as_resident):
    caller = await as_resident()
    text = "路灯坏了\n\t第二行 👨‍👩‍👧‍👦 𠮷 '); DROP TABLE requests;-- {{7*7}} =1+1"
    request = await submit(
        caller, text=text, title="标题", location=point_in(GRID), contact=CONTACT
    )
    seen = (await caller.get(f"{REQUESTS}/{request['id']}")).json()
    assert (seen["text"], seen["title"]) == (text, "标题")
    assert seen["contact"] == {**CONTACT, "masked": False}
    assert TEXT not in orjson.dumps(request).decode()
    assert seen["category"]["code"] == CATEGORY
