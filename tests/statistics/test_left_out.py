"""What was excluded by a decision counts in no figure, at once, whether sums were made or not."""

from datetime import datetime

import pytest

from app.domain.exclusions import NEVER_EXCLUDED
from app.domain.identity import SYSTEM, Actor, Role
from app.domain.measures import Measure
from app.statistics import counting, engine, rollup_making, rollups
from app.statistics.dimensions import Dimension, Filters
from app.statistics.members import Part, members
from app.statistics.questions import Query
from tests.city import CHINA, GRID, point_in

URL = "/api/v1/satisfaction/exclusions"
SEEING = Actor(SYSTEM.id, Role.SUPERVISOR)
MARCH = (datetime(2026, 3, 1, tzinfo=CHINA), datetime(2026, 4, 1, tzinfo=CHINA))
COUNTED = tuple(it for it in Measure if it is not Measure.COMPOSITE)


@pytest.fixture(scope="module")
async def closed(hall):
    """Four rated requests of March; it is May, and sums were made of them."""
    made, before = [], hall.clock.now
    for number in range(4):
        resident = await hall.as_resident(f"居民{number}")
        request = await hall.replied(resident, location=point_in(GRID))
        made.append(
            await hall.act(
                resident, request, "rate", contacted=True, solved="solved", satisfaction=4
            )
        )
    hall.clock.set("2026-05-06T09:00:00")
    await _sum_up(hall)
    yield made
    hall.clock.now = before


async def _sum_up(hall):
    for _ in range(10):
        hall.clock.forward(hours=2)
        async with hall.db.transaction() as session:
            await rollup_making.refresh(session, now=hall.clock.now)


async def figures(hall, *measures, group_by=()):
    """As they are told; the same from sums and from the requests."""
    query = Query(measures, group_by, Filters(), *MARCH)
    assert rollups.covers(query)
    asked = {"now": hall.clock.now}
    assert await rollups.tallies(hall.db, query, **asked) == await counting.tallies(
        hall.db, query, **asked
    )
    found = await engine.figures(hall.db, query, actor=SEEING, **asked)
    return {it: (found.total[it].den, found.total[it].excluded) for it in measures}


async def excluded(hall, request, *measures):
    leader, boss = await hall.as_staff("unit_leader"), await hall.as_staff("supervisor")
    form = {"request_id": request["id"], "measures": measures, "ground": "system_fault",
            "evidence": "系统日志第17号"}  # fmt: skip
    asked = await leader.post(URL, form)
    assert asked.status_code == 201, asked.text
    path = f"{URL}/{asked.json()['id']}"
    answer = await boss.post(f"{path}/decide", {"decision": "approve", "note": "属实"}, version=1)
    assert answer.status_code == 200, answer.text
    return path


async def test_sums_follow_a_decision_at_once_and_after_they_are_made_anew(hall, closed):
    wanted = (Measure.SATISFIED, Measure.SOLVED, Measure.CONTACT_ON_TIME, Measure.DURATION_P90)
    whole = dict.fromkeys(wanted, (4, 0))
    assert await figures(hall, *wanted) == whole
    path = await excluded(hall, closed[0], Measure.SATISFIED, Measure.CONTACT_ON_TIME)
    less = whole | {Measure.SATISFIED: (3, 1), Measure.CONTACT_ON_TIME: (3, 1)}
    assert await figures(hall, *wanted) == less
    await _sum_up(hall)
    assert await figures(hall, *wanted) == less
    third = await hall.as_staff("supervisor", number=3)
    answer = await third.post(f"{path}/revoke", {"note": "复核后撤销"}, version=2)
    assert answer.status_code == 200, answer.text
    assert await figures(hall, *wanted) == whole
    await _sum_up(hall)
    assert await figures(hall, *wanted) == whole


async def listed(hall, measure, part):
    query = Query((measure,), (), Filters(), *MARCH)
    page = await members(hall.db, query, measure, part, (), actor=SEEING, now=hall.clock.now)
    return {str(row["id"]): row["exclusion"] for row in page.rows}


async def test_every_figure_can_leave_a_request_out_and_its_list_says_why(hall, closed):
    possible = tuple(it for it in COUNTED if it not in NEVER_EXCLUDED)
    before, request_id = await figures(hall, *COUNTED), closed[1]["id"]
    inside = {it for it in possible if request_id in await listed(hall, it, Part.DEN)}
    assert len(inside) > 15
    await excluded(hall, closed[1], *possible)
    after = await figures(hall, *COUNTED, group_by=(Dimension.UNIT,))
    for measure in COUNTED:
        den, out = before[measure]
        assert after[measure] == ((den - 1, out + 1) if measure in inside else (den, out)), measure
    for measure in possible:
        assert request_id not in await listed(hall, measure, Part.NUM)
        assert request_id not in await listed(hall, measure, Part.DEN)
        found = await listed(hall, measure, Part.EXCLUDED)
        assert "system_fault" in found.pop(request_id)
        assert set(found.values()) <= {None}


async def test_who_is_left_out_of_the_median_is_left_out_of_the_ninth_tenth(hall, closed):
    durations = (Measure.DURATION_MEDIAN, Measure.DURATION_P90)
    before = await figures(hall, *durations)
    await excluded(hall, closed[2], Measure.DURATION_MEDIAN)
    after = await figures(hall, *durations)
    assert len(set(before.values())) == len(set(after.values())) == 1
    assert after[durations[0]][0] == before[durations[0]][0] - 1
