"""Staff are left alone at night; the event keeps its time, and residents hear at once."""

import pytest

from app.store.session import Statement
from tests.city import GRID, point_in

INBOX = "/api/v1/inbox"
SIZE = Statement("""
SELECT count(*) AS written FROM inbox_messages WHERE recipient_id = :id AND request_id = :request_id
""")


async def about(caller, request, **params) -> list[dict]:
    answer = await caller.get(INBOX, params={"limit": 100, **params})
    assert answer.status_code == 200
    return [it for it in answer.json()["items"] if it["request_id"] == request["id"]]


async def unread(caller) -> int:
    return (await caller.get(INBOX)).json()["unread"]


@pytest.fixture
async def handler(as_staff):
    return await as_staff("handler")


async def test_a_message_of_the_night_is_seen_by_staff_in_the_morning(
    hall, db, submit, as_resident, handler, clock
):
    resident = await as_resident()
    clock.set("2026-03-02T21:30:00")
    await handler.post(f"{INBOX}/read")
    request = await submit(resident, location=point_in(GRID))
    await hall.work("deliver_outbox")
    assert [it["title"] for it in await about(resident, request)] == ["诉求已受理"]
    assert await about(handler, request) == await about(handler, request, unread="true") == []
    assert await unread(handler) == 0
    clock.set("2026-03-03T07:29:59.999999")
    assert await about(handler, request) == []
    clock.set("2026-03-03T07:30:00")
    [message] = await about(handler, request)
    assert message["title"] == "待签收诉求"
    assert message["occurred_at"] == "2026-03-02T21:30:00+08:00"
    assert message["fired_late_by_s"] is None
    assert await unread(handler) == 1
    assert await about(handler, request, unread="true") == [message]


async def test_what_is_not_yet_seen_is_not_marked_as_read(hall, submit, handler, clock):
    clock.set("2026-03-02T22:00:00")
    request = await submit()
    await hall.work("deliver_outbox")
    await handler.post(f"{INBOX}/read")
    clock.set("2026-03-03T08:00:00")
    [message] = await about(handler, request)
    assert message["read"] is False
    await handler.post(f"{INBOX}/read")
    [message] = await about(handler, request)
    assert message["read"] is True


async def test_a_breach_at_night_waits_too_but_keeps_its_time(hall, submit, handler, clock):
    clock.set("2026-03-02T18:00:00")
    request = await submit()
    clock.set("2026-03-03T00:00:00")  # six hours later
    await hall.work("sweep_clocks", "deliver_outbox")
    seen = [it["title"] for it in await about(handler, request)]
    assert "联系时限已超时" not in seen
    clock.set("2026-03-03T07:30:00")
    [breach] = [it for it in await about(handler, request) if it["title"] == "联系时限已超时"]
    assert breach["occurred_at"] == "2026-03-03T00:00:00+08:00"
    assert breach["fired_late_by_s"] is None


async def test_a_rung_that_was_noticed_late_says_by_how_much(hall, submit, handler, clock):
    clock.set("2026-03-03T09:00:00")
    request = await submit()
    clock.set("2026-03-03T13:00:00")  # T - 3 h was at noon
    await hall.work("sweep_clocks", "deliver_outbox")
    [warning] = [it for it in await about(handler, request) if "即将到期" in it["title"]]
    assert warning["occurred_at"] == "2026-03-03T12:00:00+08:00"
    assert warning["fired_late_by_s"] == 3600


async def test_reminders_to_residents_wait_for_the_morning_and_the_rest_does_not(
    hall, as_resident, clock
):
    resident = await as_resident()
    request = await hall.replied(resident)
    await hall.work("deliver_outbox")
    assert "诉求已答复，请评价" in [it["title"] for it in await about(resident, request)]
    clock.set("2026-03-05T23:00:00")  # nobody swept at nine in the morning
    await hall.work("sweep_clocks", "deliver_outbox")
    assert "请评价" not in [it["title"] for it in await about(resident, request)]
    clock.set("2026-03-06T07:30:00")
    [reminder] = [it for it in await about(resident, request) if it["title"] == "请评价"]
    assert reminder["occurred_at"] == "2026-03-05T09:00:00+08:00"
    assert reminder["fired_late_by_s"] == 14 * 3600


async def test_an_event_of_the_day_that_is_told_at_night_waits(hall, db, submit, handler, clock):
    clock.set("2026-03-02T20:00:00")
    request = await submit()
    clock.set("2026-03-02T22:00:00")
    await hall.work("deliver_outbox")
    assert await about(handler, request) == []
    written = await db.one_statement(SIZE, id=handler.id, request_id=request["id"])
    assert written["written"] == 1
    clock.set("2026-03-03T07:30:00")
    assert len(await about(handler, request)) == 1
