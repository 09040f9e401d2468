"""Two steps that cross each other, each touching both requests: one is taken, nobody hangs."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.city import REQUESTS, VILLAGE_CATEGORY
from tests.machine.invariants import BROKEN


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 1_000}


async def _broken(hall) -> list[str]:
    async with hall.db.transaction() as session:
        found = await (await session.connection()).exec_driver_sql(BROKEN)
        return [f"{row.sentence}: {row.id} {row.detail}" for row in found]


async def test_two_requests_merged_into_each_other_at_once_make_no_circle(hall):
    first, second = await hall.as_staff("dispatcher"), await hall.as_staff("dispatcher", number=2)
    for _ in range(5):
        one, other = await hall.submit(), await hall.submit()
        answers = await asyncio.gather(*(
            desk.post(
                f"{REQUESTS}/{merged['id']}/actions/merge",
                {"master_id": master["id"]},
                version=merged["version"],
            )
            for desk, merged, master in ((first, one, other), (second, other, one))
        ))  # fmt: skip
        statuses = sorted(answer.status_code for answer in answers)
        # Each holds what the other wants: the database may let one go, who is told to come again.
        assert (statuses[0], statuses[1] in (409, 412, 422, 503)) == (200, True)
        if statuses[1] == 503:
            [late] = [answer for answer in answers if answer.status_code == 503]
            assert late.headers["retry-after"] == "1"
    assert await _broken(hall) == []


async def test_a_master_that_is_answered_while_somebody_joins(hall):
    desk, handler = await hall.as_staff("dispatcher"), await hall.as_staff("handler")
    for _ in range(5):
        master, follower = await hall.submit(), await hall.submit()
        master = await hall.act(handler, master, "sign")
        master = await hall.act(handler, master, "contact", method="phone", result="reached")
        answers = await asyncio.gather(
            handler.post(
                f"{REQUESTS}/{master['id']}/actions/reply",
                {"public_reply": "已修好", "solved": "solved"},
                version=master["version"],
            ),
            desk.post(
                f"{REQUESTS}/{follower['id']}/actions/merge",
                {"master_id": master["id"]},
                version=follower["version"],
            ),
        )
        assert any(answer.status_code == 200 for answer in answers)
        assert {answer.status_code for answer in answers} <= {200, 409, 412, 422}
    assert await _broken(hall) == []


async def test_many_join_one_master_at_once(hall):
    desk = await hall.as_staff("dispatcher")
    master = await hall.submit(category_code=VILLAGE_CATEGORY)
    others = [await hall.submit(category_code=VILLAGE_CATEGORY) for _ in range(20)]
    answers = await asyncio.gather(*(
        desk.post(
            f"{REQUESTS}/{other['id']}/actions/merge",
            {"master_id": master["id"]},
            version=other["version"],
        )
        for other in others
    ))  # fmt: skip
    assert {answer.status_code for answer in answers} == {200}
    seen = (await desk.get(f"{REQUESTS}/{master['id']}")).json()
    assert (seen["followers"], seen["version"]) == (20, master["version"] + 20)
    assert await _broken(hall) == []
