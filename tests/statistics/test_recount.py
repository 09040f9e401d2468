"""Every figure equals what a slow count of the history says; every cell opens to its requests.

``LIANXIN_RECOUNT_QUERIES`` and ``LIANXIN_RECOUNT_STEPS`` ask for more than the usual.
"""

import os
from datetime import UTC, datetime, time, timedelta
from random import Random

import pytest
from sqlalchemy import text

from app.domain.identity import SYSTEM, Actor, Role
from app.domain.measures import CURRENT_WEIGHTS, Basis, Measure
from app.statistics import counting, engine, rollup_making, rollups
from app.statistics.dimensions import Dimension, Filters
from app.statistics.members import Part, members
from app.statistics.questions import Query
from tests.statistics import recount
from tests.statistics.driving import drive, leave_out, read, seldom
from tests.statistics.recount import ZONE

QUERIES = int(os.environ.get("LIANXIN_RECOUNT_QUERIES", "1000"))
STEPS = int(os.environ.get("LIANXIN_RECOUNT_STEPS", "450"))
SEEING = Actor(SYSTEM.id, Role.SUPERVISOR)
PEOPLE = {"370281001601001": 40, "370281001601002": 25, "370281108601001": 10}


@pytest.fixture(scope="module")
def limits():
    return {"requests_per_hour": 10_000, "staff_requests_per_hour": 10_000}


@pytest.fixture(scope="module")
async def world(hall):
    await drive(hall, seed=5, requests=60, steps=STEPS, residents=14)
    await seldom(hall)
    await _sum_up(hall)
    await leave_out(hall, Random(6), 10)  # also of what was summed up before
    return await read(hall.db, hall.clock.now.astimezone(UTC))


@pytest.fixture(scope="module")
def lives(world):
    return world.lives()


def random_query(dice: Random, lives) -> Query:
    names = list(Measure)
    measures = tuple(dict.fromkeys(dice.choice(names) for _ in range(dice.randint(1, 4))))
    group_by = tuple(dice.sample(list(Dimension), dice.choice((0, 1, 1, 2, 2))))
    one = dice.choice(lives)
    filters = {}
    for name in dice.sample(
        ("unit_kind", "unit", "grid", "category", "channel", "kind"), dice.choice((0, 0, 1, 2))
    ):
        if name == "grid":
            value = one.dims[dice.choice(("town", "community", "grid"))]
        elif name == "category":
            value = one.dims[dice.choice(("category", "category_leaf"))]
        else:
            value = one.dims[name]
        if value is not None:
            filters[name] = value
    instants = sorted(at for life in lives if (at := life.instants["submitted"]))
    begin = dice.choice(instants) - timedelta(days=dice.choice((0, 1, 40)))
    end = begin + timedelta(days=dice.choice((1, 3, 10, 30, 400)), hours=dice.choice((0, 5)))
    if dice.random() < 0.5:
        begin = datetime.combine(begin.astimezone(ZONE).date(), time(0), ZONE)
    basis = dice.choice((None, None, *Basis))
    return Query(measures, group_by, Filters(**filters), begin, end, basis)


def counted(lives, query: Query, measure: str):
    return recount.members_of(
        lives,
        measure,
        group_by=query.group_by,
        filters=query.filters.given(),
        since=query.since,
        until=query.until,
        basis=query.basis,
    )


def residents_of(query: Query, keys) -> int:
    places = [query.filters.grid or ""]
    for dimension, key in zip(query.group_by, keys, strict=False):
        if dimension in ("town", "community", "grid"):
            if key is None:
                return 0
            places.append(key)
    deepest = max(places, key=len)
    return sum(number for code, number in PEOPLE.items() if code.startswith(deepest))


def check(lives, query: Query, found: engine.Figures) -> int:
    told = {(): found.total, **found.subtotals, **found.groups}
    compared = 0
    for measure in query.measures:
        parts = [measure]
        if measure is Measure.COMPOSITE:
            parts = list(CURRENT_WEIGHTS.parts)
        by_hand = {part: counted(lives, query, part) for part in parts}
        for keys in set(told) | {it for groups in by_hand.values() for it in groups}:
            figures = {
                part: recount.figure(part, groups.get(keys, [])) for part, groups in by_hand.items()
            }
            cell = told.get(keys, {}).get(measure)
            where = (measure, keys, query)
            if cell is None:
                assert all(figure["den"] + figure["excluded"] == 0 for figure in figures.values())
                continue
            compared += 1
            if measure is Measure.COMPOSITE:
                values = [figures[part]["value"] for part in parts]
                expected = (
                    None
                    if None in values
                    else sum(
                        weight * figures[part]["value"]
                        for part, weight in CURRENT_WEIGHTS.parts.items()
                    )
                )
                assert cell.value == pytest.approx(expected), where
                continue
            figure = figures[measure]
            assert (cell.num, cell.excluded) == (figure["num"], figure["excluded"]), where
            if measure is Measure.PER_1000:
                people = residents_of(query, keys)
                assert cell.den == (people or None)
                expected = figure["num"] * 1000 / people if people else None
                assert cell.value == pytest.approx(expected), where
                continue
            assert cell.den == figure["den"], where
            assert cell.value == pytest.approx(figure["value"]), where
            assert cell.small_sample is (figure["den"] < 30)
            if figure["ci"] is None:
                assert cell.ci_low is None
            else:
                assert (cell.ci_low, cell.ci_high) == pytest.approx(figure["ci"], abs=1e-9), where
    return compared


async def test_there_is_something_to_count(lives):
    """Each measure has requests in its numerator and in its denominator."""
    empty = [
        measure
        for measure in lives[0].counts
        if sum(life.counts[measure][0] for life in lives) < 2
        or not any(life.counts[measure][1] for life in lives)
    ]
    assert not empty


async def _sum_up(hall):
    """Of what is settled, so that figures are put together from sums and the rest."""
    for _ in range(20):
        async with hall.db.transaction() as session:
            await rollup_making.refresh(session, now=hall.clock.now.astimezone(UTC))
    async with hall.db.transaction() as session:
        made = text("SELECT count(*) FROM statistics_sums")
        assert await session.scalar(made) > 100


async def test_something_is_left_out_and_something_is_not_any_more(world, lives):
    """Of the present cycle, and of one before it, which leaves nothing out now."""
    left_out = [life for life in lives if life.left_out]
    assert len(left_out) > 10
    assert len({it["request_id"] for it in world.rows["exclusions"]}) > len(left_out)


async def test_no_figure_differs_from_a_slow_count_of_the_history(hall, world, lives):
    dice = Random(11)
    compared = 0
    for _ in range(QUERIES):
        query = random_query(dice, lives)
        if rollups.covers(query):
            told = await rollups.tallies(hall.db, query, now=world.now)
            assert told == await counting.tallies(hall.db, query, now=world.now), query
        found = await engine.figures(hall.db, query, actor=SEEING, now=world.now, people=PEOPLE)
        compared += check(lives, query, found)
    assert compared > QUERIES


async def test_every_cell_opens_to_exactly_its_requests(hall, world, lives):
    dice = Random(12)
    opened = 0
    while opened < min(QUERIES // 5, 200):
        query = random_query(dice, lives)
        measure = query.measures[0]
        if measure is Measure.COMPOSITE:
            continue
        groups = counted(lives, query, measure)
        keys = dice.choice(list(groups))
        part = dice.choice(list(Part))
        if measure is Measure.PER_1000 and part is Part.DEN:
            continue
        expected = {
            life.id
            for life in groups[keys]
            if {
                Part.NUM: life.counts[measure][1],
                Part.DEN: life.counts[measure][0],
                Part.EXCLUDED: not life.counts[measure][0],
            }[part]
        }
        found, cursor, weight = [], None, 0.0
        while True:
            page = await members(
                hall.db, query, measure, part, keys,
                actor=SEEING, now=world.now, cursor=cursor, limit=7,
            )  # fmt: skip
            assert page.total == len(expected)
            found += [row["id"] for row in page.rows]
            weight += sum(0.5 if row["partly"] else 1.0 for row in page.rows)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(found) == len(set(found))
        assert set(found) == expected, (measure, part, keys, query)
        if part is Part.NUM:
            assert weight == recount.figure(measure, groups[keys])["num"]
        opened += 1
