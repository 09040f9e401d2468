"""However a request ended, it is counted once and under the right heading."""

from collections.abc import Iterable
from itertools import chain
from uuid import UUID

import pytest

from app.domain.satisfaction import is_sampled
from tests.requests.doing import BAD, GOOD, REPLY, rejected, seen, working

FIGURES = "/api/v1/statistics/satisfaction"
NAMES = ("received", "closed", "rated", "satisfied", "contact_on_time", "reply_on_time")
DILIGENT = (*NAMES, "diligent")


_mondays = (f"2026-03-{day:02}" for day in (2, 9, 16, 23, 30))
_days = chain(_mondays, ("2026-04-13", "2026-04-20", "2026-04-27"))


@pytest.fixture
async def counted(clock, as_staff):
    """A day of its own; tells each figure of its requests, as (numerator, denominator)."""
    day = next(_days)
    clock.set(f"{day}T09:30:00")
    supervisor = await as_staff("supervisor")

    async def figures(names: Iterable[str] = NAMES) -> dict[str, tuple[int, int]]:
        total = (await supervisor.get(FIGURES, params={"from": day, "to": day})).json()["total"]
        pairs = {name: (total[name]["num"], total[name]["den"]) for name in names}
        return {name: pair for name, pair in pairs.items() if pair != (0, 0)}

    return figures


@pytest.fixture
async def handler(as_staff):
    return await as_staff("handler")


@pytest.fixture
async def dispatcher(as_staff):
    return await as_staff("dispatcher")


async def test_what_was_not_taken_on_is_received_and_nothing_else_even_from_the_archive(
    hall, counted, clock
):
    await rejected(hall)
    only = {"received": (1, 1), "closed": (0, 1)}
    assert await counted() == only
    clock.forward(days=31)
    assert await counted() == only
    await hall.work("archive_ended")
    assert await counted() == only


async def test_an_appeal_in_review_owes_nobody_a_reply(hall, counted, as_resident, clock):
    resident = await as_resident()
    request = await rejected(hall, resident)
    await hall.act(resident, request, "appeal", note="没有信访过")
    clock.forward(days=10)
    assert await counted() == {"received": (1, 1), "closed": (0, 1)}


async def test_followers_are_rated_by_themselves_and_answered_with_their_master(
    hall, submit, counted, handler, dispatcher, as_resident
):
    first, second = await as_resident(), await as_resident()
    follower, master = await submit(first), await working(hall, handler, second)
    follower = await hall.act(dispatcher, follower, "merge", master_id=master["id"], note="同")
    master = await hall.act(handler, await seen(handler, master), "reply", **REPLY)
    assert await counted() == {
        "received": (2, 2), "closed": (0, 2), "rated": (0, 2),
        "contact_on_time": (1, 1), "reply_on_time": (1, 1),
    }  # fmt: skip
    await hall.act(first, await seen(first, follower), "rate", **{**BAD, "satisfaction": 2})
    await hall.act(second, master, "rate", **GOOD)
    assert await counted() == {
        "received": (2, 2), "closed": (1, 2), "rated": (2, 2), "satisfied": (1, 2),
        "contact_on_time": (1, 1), "reply_on_time": (1, 1),
    }  # fmt: skip


async def test_only_the_cycle_that_closed_it_counts(
    hall, counted, handler, dispatcher, as_resident
):
    resident = await as_resident()
    request = await hall.act(resident, await hall.replied(resident), "rate", **BAD)
    assert (await counted())["satisfied"] == (0, 1)
    request = await hall.act(
        dispatcher, request, "decide_reopen", decision="reopen", note="重新办理"
    )
    assert await counted() == {"received": (1, 1), "closed": (0, 1)}
    request = await hall.act(handler, request, "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    request = await hall.act(handler, request, "reply", **REPLY)
    await hall.act(resident, request, "rate", **GOOD)
    assert await counted() == dict.fromkeys(NAMES, (1, 1))


async def test_trying_often_enough_in_time_is_neither_in_time_nor_late(
    hall, submit, counted, handler, clock
):
    request = await hall.act(handler, await submit(), "sign")
    for _ in range(3):
        clock.forward(hours=1)
        request = await hall.act(handler, request, "contact", method="phone", result="no_answer")
    clock.forward(hours=6)
    assert "contact_on_time" not in await counted()
    assert (await counted(DILIGENT))["diligent"] == (1, 1)
    late = await hall.act(handler, await submit(), "sign")
    clock.forward(hours=7)
    for _ in range(3):
        late = await hall.act(handler, late, "contact", method="phone", result="no_answer")
        clock.forward(minutes=5)
    after = await counted(DILIGENT)
    assert (after["contact_on_time"], after["diligent"]) == ((0, 1), (1, 2))


async def test_whom_somebody_reached_after_all_is_no_more_a_case_of_diligence(
    hall, submit, counted, handler, dispatcher, as_resident, clock
):
    resident = await as_resident()
    reached = await hall.act(handler, await submit(), "sign")
    gone = await hall.act(handler, await submit(resident), "sign")
    for _ in range(3):
        clock.forward(hours=1)
        for request in (reached, gone):
            request |= await hall.act(
                handler, request, "contact", method="phone", result="no_answer"
            )
    assert (await counted(DILIGENT))["diligent"] == (2, 2)
    await hall.act(handler, reached, "contact", method="phone", result="reached")
    after = await counted(DILIGENT)
    assert (after["contact_on_time"], after["diligent"]) == ((1, 1), (1, 2))
    await hall.act(resident, gone, "withdraw")  # owed no more
    after = await counted(DILIGENT)
    assert (after["contact_on_time"], after["diligent"]) == ((1, 1), (0, 1))


async def test_closed_for_want_of_material_is_closed_and_no_answer(
    hall, counted, handler, dispatcher, as_resident, clock
):
    resident = await as_resident()
    request = await working(hall, handler, resident)
    request = await hall.act(handler, request, "ask_info", note="请说明")
    clock.forward(days=7)
    request = await hall.act(dispatcher, request, "expire_info", decision="close", note="未补充")
    clock.forward(days=30)
    assert await counted() == {"received": (1, 1), "closed": (1, 1), "contact_on_time": (1, 1)}


async def test_a_word_on_the_phone_counts_where_nobody_wrote_one(
    hall, submit, counted, handler, dispatcher, clock
):
    request = await submit()
    while not is_sampled(UUID(request["id"]), 1):
        request = await submit()
    request = await hall.act(handler, request, "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    request = await hall.act(handler, request, "reply", **REPLY)
    clock.forward(days=8)
    await hall.work("sweep_clocks")
    request = await seen(dispatcher, request)
    assert (request["state"], "satisfied" in await counted()) == ("closed", False)
    await hall.act(dispatcher, request, "call_back", reached=True, solved="solved", satisfaction=4)
    after = await counted()
    assert (after["rated"], after["satisfied"]) == ((1, 1), (1, 1))
