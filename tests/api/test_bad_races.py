"""Many at once: exactly one succeeds, everybody gets a clear answer (CR-105, RA-015, WF-002)."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from sqlalchemy import text

from app.domain.identity import Role
from tests.api.answers import assert_problem, read_back, timeline
from tests.city import REQUESTS, form

AT_ONCE = 50


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 1_000}


async def number_of(hall, table, condition, **values):
    async with hall.db.transaction() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table} WHERE {condition}"), values)


async def test_fifty_calls_with_one_key_make_one_request(hall, as_resident):
    """CR-105"""
    resident = await as_resident("急")
    answers = await asyncio.gather(
        *(resident.post(REQUESTS, form(), key="again") for _ in range(AT_ONCE))
    )
    good = [answer for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409, "idempotency_in_progress")
    assert len({answer.content for answer in good}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in good) == 1
    mine = {"resident": resident.id}
    assert await number_of(hall, "requests", "resident_id = :resident", **mine) == 1
    request = {"id": good[0].json()["id"]}
    assert await number_of(hall, "request_events", "request_id = :id", **request) == 2
    assert await number_of(hall, "request_clocks", "request_id = :id", **request) == 3
    assert await number_of(hall, "outbox", "payload->>'request_id' = :id", **request) == 1


async def test_of_fifty_ratings_one_counts(hall, as_resident):
    """RA-015"""
    resident = await as_resident("评")
    request = await hall.replied(resident)
    path = f"{REQUESTS}/{request['id']}/rating"

    async def rate(number):
        body = {"contacted": True, "solved": "solved", "satisfaction": 3 + number % 3}
        return await resident.post(path, body, version=request["version"])

    answers = await asyncio.gather(*map(rate, range(AT_ONCE)))
    good = [answer for answer in answers if answer.status_code == 201]
    assert len(good) == 1, Counter(answer.status_code for answer in answers)
    for answer in answers:
        if answer is not good[0]:
            assert_problem(answer, {409, 412}, {"already_rated", "illegal_step", "stale_version"})
    assert await number_of(hall, "request_ratings", "request_id = :id", id=request["id"]) == 1
    kept = await read_back(resident, request["id"])
    assert kept["rating"]["satisfaction"] == good[0].json()["satisfaction"]


async def test_of_two_handlers_one_signs(hall, as_resident, as_staff):
    """WF-002"""
    resident = await as_resident("派")
    first, second = await as_staff(Role.HANDLER), await as_staff(Role.HANDLER, number=2)
    requests = [await hall.submit(resident) for _ in range(AT_ONCE)]

    async def sign(handler, request):
        path = f"{REQUESTS}/{request['id']}/actions/sign"
        return await handler.post(path, {}, version=request["version"])

    for request in requests:
        pair = await asyncio.gather(sign(first, request), sign(second, request))
        statuses = sorted(answer.status_code for answer in pair)
        assert statuses in ([200, 409], [200, 412]), [answer.text for answer in pair]
        for answer in pair:
            if answer.status_code != 200:
                assert_problem(answer, {409, 412}, {"illegal_step", "stale_version"})
    steps = [step["action"] for step in await timeline(resident, requests[-1]["id"])]
    assert steps.count("sign") == 1
