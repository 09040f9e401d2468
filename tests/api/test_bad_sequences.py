"""The cases of the corpus that are stories, not inputs (CR-…, RA-…, WF-…)."""

import json
from datetime import datetime

import pytest
import shapely
from sqlalchemy import text

from app.domain.escalation import Level
from app.domain.identity import Role
from app.grids import demo
from tests.api.answers import assert_problem, read_back, timeline
from tests.city import CHINA, GRID, REQUESTS, form, point_in

GOOD = {"contacted": True, "solved": "solved", "satisfaction": 5}


async def count(hall, table, condition="true", **values):
    async with hall.db.transaction() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table} WHERE {condition}"), values)


async def sweep(hall):
    """Until nothing is left: a sweep climbs one rung of each ladder."""
    for _ in Level:
        await hall.work("sweep_clocks")


# --- submitting ----------------------------------------------------------------------------------


async def test_the_same_key_of_two_people_is_two_keys(as_resident):
    """CR-106"""
    first, second = await as_resident("甲"), await as_resident("乙")
    a = await first.post(REQUESTS, form(text="甲的事"), key="shared-key")
    b = await second.post(REQUESTS, form(text="乙的事"), key="shared-key")
    assert (a.status_code, b.status_code) == (201, 201)
    assert a.json()["id"] != b.json()["id"]
    assert "idempotent-replayed" not in b.headers
    assert (await read_back(second, b.json()["id"]))["text"] == "乙的事"
    again = await first.post(REQUESTS, form(text="甲的事"), key="shared-key")
    assert again.content == a.content


async def test_the_same_key_with_other_words_is_refused(as_resident):
    resident = await as_resident("丙")
    first = await resident.post(REQUESTS, form(), key="k-1")
    answer = await resident.post(REQUESTS, form(text="另一件事"), key="k-1")
    assert first.status_code == 201
    assert_problem(answer, 422, "idempotency_key_reused", sent=["另一件事", first.json()["number"]])


async def test_the_eleventh_request_of_an_hour_has_to_wait(hall, clock, as_resident):
    """CR-121"""
    resident = await as_resident("丁")
    for turn in range(10):
        answer = await resident.post(REQUESTS, form(), key=f"k-{turn}")
        assert answer.status_code == 201
    refused = await resident.post(REQUESTS, form(), key="k-10")
    assert_problem(refused, 429, "rate_limited")
    wait_s = int(refused.headers["retry-after"])
    assert 0 < wait_s <= 3_600
    replayed = await resident.post(REQUESTS, form(), key="k-9")
    assert replayed.content == answer.content, "what was taken in can still be asked for"
    mine = {"resident": resident.id}
    assert await count(hall, "requests", "resident_id = :resident", **mine) == 10
    clock.forward(seconds=wait_s)
    assert (await resident.post(REQUESTS, form(), key="k-10")).status_code == 201


async def test_the_same_words_with_another_key_are_another_request(as_resident):
    """CR-122: nobody is told that they have complained enough; finding duplicates is later work."""
    resident = await as_resident("戊")
    body = form(location=point_in(GRID))
    a, b = await resident.post(REQUESTS, body), await resident.post(REQUESTS, body)
    assert (a.status_code, b.status_code) == (201, 201)
    assert a.json()["number"] != b.json()["number"]


async def test_a_point_on_a_border_always_has_the_same_grid(submit):
    """CR-032"""
    shapes = {r.code: shapely.from_wkb(r.boundary) for r in demo.records() if r.code[:15] == r.code}
    neighbour = f"{GRID[:12]}002"
    border = shapes[GRID].intersection(shapes[neighbour])
    longitude, latitude = shapely.get_coordinates(border)[1].tolist()
    on_it = {"latitude": latitude, "longitude": longitude, "coord_sys": "wgs84"}
    found = [(await submit(location=on_it))["grid"] for _ in range(3)]
    assert {(grid["code"], grid["certain"]) for grid in found} == {(GRID, True)}


async def test_a_point_may_have_thirty_decimals(as_resident):
    """CR-033"""
    resident = await as_resident("己")
    point = point_in(GRID)
    body = json.dumps(form(location=point)).replace(
        str(point["longitude"]), f"{point['longitude']:.10f}" + "7" * 20
    )
    headers = {"Content-Type": "application/json"}
    answer = await resident.post(REQUESTS, content=body.encode(), headers=headers)
    assert answer.status_code == 201, answer.text
    kept = (await read_back(resident, answer.json()["id"]))["location"]
    assert abs(kept["longitude"] - point["longitude"]) < 1e-9


# --- rating --------------------------------------------------------------------------------------


async def test_an_unanswered_request_cannot_be_rated(as_resident, submit):
    """RA-013"""
    resident = await as_resident("庚")
    request = await submit(resident)
    path = f"{REQUESTS}/{request['id']}/rating"
    answer = await resident.post(path, GOOD, version=request["version"])
    problem = assert_problem(answer, 409, "illegal_step")
    assert problem["allowed"] == ["urge", "withdraw"]


@pytest.mark.parametrize("role", ["auditor", "dispatcher", "admin", "handler", "supervisor"])
async def test_staff_cannot_rate(role, hall, as_staff):
    """RA-018"""
    request = await hall.replied()
    staff = await as_staff(role)
    for path in ("rating", "actions/rate"):
        answer = await staff.post(
            f"{REQUESTS}/{request['id']}/{path}", GOOD, version=request["version"]
        )
        assert_problem(answer, 403, "forbidden")


async def test_a_rating_after_its_time_is_too_late(hall, clock, as_resident):
    """RA-019: late before the job has closed the request, and after."""
    resident = await as_resident("辛")
    request = await hall.replied(resident)
    path = f"{REQUESTS}/{request['id']}/rating"
    clock.forward(days=31)
    answer = await resident.post(path, GOOD, version=request["version"])
    assert_problem(answer, 409, "step_blocked")
    await sweep(hall)
    closed = await read_back(resident, request["id"])
    assert (closed["state"], closed["rating"]) == ("closed", None)
    answer = await resident.post(path, GOOD, version=closed["version"])
    assert_problem(answer, 409, "step_blocked")


async def test_a_withdrawn_request_cannot_be_rated(hall, as_resident, submit):
    """RA-020"""
    resident = await as_resident("壬")
    request = await hall.act(resident, await submit(resident), "withdraw")
    path = f"{REQUESTS}/{request['id']}/rating"
    answer = await resident.post(path, GOOD, version=request["version"])
    assert_problem(answer, 409, "illegal_step")


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "reply_due"),
    [
        ("2026-03-02T23:59:59.999999", "2026-03-10T00:00"),  # the last moment of a Monday
        ("2026-03-03T00:00:00", "2026-03-11T00:00"),  # and the next one
        ("2026-02-28T10:00:00", "2026-03-07T00:00"),  # a Saturday that is worked
        ("2024-02-29T10:00:00", "2024-03-08T00:00"),  # a leap day
    ],
)
async def test_four_awkward_moments_have_due_times(
    received, reply_due, hall, clock, as_resident, submit
):
    """WF-011"""
    clock.set(received)
    resident = await as_resident()
    request = await submit(resident)
    at = datetime.fromisoformat(received).replace(tzinfo=CHINA)
    kept = await read_back(resident, request["id"])
    assert kept["submitted_at"] == at.isoformat()
    assert (datetime.fromisoformat(kept["contact_due_at"]) - at).total_seconds() == 6 * 3_600
    assert kept["reply_due_at"].startswith(reply_due)
    assert kept["number"].startswith(f"{at:%Y%m%d}")


async def test_a_clock_that_jumps_fires_nothing_twice(hall, clock, as_resident, as_staff, submit):
    """WF-012"""
    resident = await as_resident("癸")
    request = await submit(resident)
    fired = "kind = 'ClockFired' AND payload->>'request_id' = :id"

    async def fires():
        await sweep(hall)
        return await count(hall, "outbox", fired, id=request["id"])

    assert await fires() == 0
    clock.forward(hours=-2)
    assert await fires() == 0
    assert (await resident.get(REQUESTS)).status_code == 200
    clock.forward(hours=2, days=3)
    after = await fires()
    assert after > 0
    assert (await read_back(resident, request["id"]))["contact_overdue"] is True
    clock.forward(days=-3)
    assert await fires() == after
    clock.forward(days=3)
    assert await fires() == after
    once = "SELECT DISTINCT payload->>'metric', payload->>'level' FROM outbox WHERE " + fired
    assert await count(hall, f"({once}) AS rungs", id=request["id"]) == after
    handler = await as_staff(Role.HANDLER)
    signed = await read_back(resident, request["id"])  # the clock did, after two working hours
    await hall.act(handler, signed, "contact", method="phone", result="reached")
    assert [step["action"] for step in await timeline(resident, request["id"])][-1] == "contact"
