"""催办 and 督办: residents press once a day, three times call for the supervisor."""

from tests.requests.doing import (
    GOOD,
    buttons,
    clock_states,
    clocks,
    letters,
    refused,
    seen,
    timeline,
    working,
)

ORDER = {"note": "请说明进展"}


async def test_a_resident_urges_when_it_is_nearly_due_and_once_a_day(
    hall, submit, handler, leader, resident, clock
):
    request = await submit(resident)
    assert await refused(resident, request, "urge") == "urge_allowed"
    clock.forward(hours=3)  # half of the six hours, and nobody has called
    request = await hall.act(resident, request, "urge", note="怎么还没人联系")
    assert await refused(resident, request, "urge") == "urge_allowed"
    clock.forward(hours=23)
    assert await refused(resident, request, "urge") == "urge_allowed"
    clock.forward(hours=1)
    request = await hall.act(resident, request, "urge")
    assert (await seen(leader, request))["urge_count"] == 2
    await hall.work("deliver_outbox")
    assert (await letters(handler, request)).count("诉求人催办") == 2
    assert (await letters(leader, request)).count("诉求人催办") == 2


async def test_the_desk_urges_at_once_and_units_never(hall, submit, handler, dispatcher):
    request = await submit()
    assert await refused(handler, request, "urge") == "step_forbidden"
    request = await hall.act(dispatcher, request, "urge", note="请尽快联系")
    assert await refused(dispatcher, request, "urge") == "urge_allowed"
    assert request["reply_due_at"] == "2026-03-10T00:00:00+08:00"


async def test_three_urges_are_an_order_that_the_leader_answers(
    hall, handler, leader, supervisor, resident, clock, db
):
    request = await working(hall, handler, resident)
    for day in (3, 4, 5):
        clock.set(f"2026-03-0{day}T09:30:00")
        assert (await seen(leader, request))["supervise_level"] == 0
        request = await hall.act(resident, request, "urge")
    page = await seen(leader, request)
    assert page["supervise_level"] == 1
    [order] = page["orders"]
    assert (order["level"], order["answer_due_at"]) == (1, "2026-03-07T00:00:00+08:00")
    assert (await clock_states(db, request))["supervise"] == "running"
    assert await refused(handler, request, "supervise", **ORDER) == "step_forbidden"
    assert await refused(leader, request, "supervise") == "note_missing"
    request = await hall.act(leader, request, "supervise", note="明日完工")
    assert (await seen(leader, request))["orders"] == []
    assert (await clock_states(db, request))["supervise"] == "met"
    await hall.work("deliver_outbox")
    assert "督办已答复" in await letters(supervisor, request)
    assert await refused(leader, request, "supervise", **ORDER) == "order_to_answer"


async def test_the_supervisor_orders_level_by_level(hall, handler, leader, supervisor, db):
    request = await working(hall, handler)
    assert await refused(supervisor, request, "supervise", level=4, note="x") == "invalid_input"
    past = {"answer_due_at": "2026-03-02T09:30:00+08:00"}
    assert await refused(supervisor, request, "supervise", **ORDER, **past) == "time_out_of_range"
    request = await hall.act(
        supervisor, request, "supervise", **ORDER, answer_due_at="2026-03-05T12:00:00+08:00"
    )
    request = await hall.act(
        supervisor, request, "supervise", **ORDER, answer_due_at="2026-03-04T12:00:00+08:00"
    )
    page = await seen(leader, request)
    assert (page["supervise_level"], [order["level"] for order in page["orders"]]) == (2, [1, 2])
    assert (await clocks(db, request))["supervise"]["due_at"].isoformat() == (
        "2026-03-04T04:00:00+00:00"
    )
    for level in (1, 3):
        request = await hall.act(supervisor, request, "supervise", **ORDER, level=level)
    assert (await seen(leader, request))["supervise_level"] == 3
    request = await hall.act(leader, request, "supervise", note="已整改")
    assert (await seen(leader, request))["orders"] == []


async def test_three_working_days_after_the_breach_the_clock_orders(
    hall, handler, leader, resident, clock
):
    request = await working(hall, handler, resident)
    clock.set("2026-03-12T23:59:59")
    await hall.work("sweep_clocks")
    assert (await seen(leader, request))["supervise_level"] == 0
    clock.set("2026-03-13T00:00:00")
    await hall.work("sweep_clocks")
    page = await seen(leader, request)
    assert page["supervise_level"] == 1
    entry = (await timeline(leader, request))[-1]
    assert (entry["action"], entry["actor_role"]) == ("supervise", "system")
    await hall.work("sweep_clocks")
    assert len((await seen(leader, request))["orders"]) == 1


async def test_an_order_is_answered_even_when_the_request_is_closed(
    hall, handler, leader, supervisor, resident, db
):
    request = await hall.replied(resident)
    request = await hall.act(supervisor, request, "supervise", **ORDER)
    request = await hall.act(resident, request, "rate", **GOOD)
    assert request["state"] == "closed"
    assert (await clock_states(db, request))["supervise"] == "running"
    assert "supervise" not in buttons(await seen(supervisor, request))
    request = await hall.act(leader, request, "supervise", note="已答复")
    assert request["state"] == "closed"
    assert (await clock_states(db, request))["supervise"] == "met"


async def test_an_order_ends_with_a_request_that_nobody_answers_for(
    hall, handler, leader, supervisor, resident, db
):
    request = await hall.act(
        supervisor, await working(hall, handler, resident), "supervise", **ORDER
    )
    request = await hall.act(resident, request, "withdraw")
    assert (await clock_states(db, request))["supervise"] == "cancelled"
    assert (await seen(supervisor, request))["orders"] == []
