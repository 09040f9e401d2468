"""Sums that were made before say what the requests say, whatever happened since."""

import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.audit import service as audit
from app.domain.identity import SYSTEM
from app.domain.measures import Basis, Measure
from app.domain.working_time import SHANGHAI
from app.grids import demo
from app.reference import queries as reference
from app.reference import seeds
from app.statistics import city_loading, city_year, engine, rollup_making, rollups
from app.statistics.dimensions import Dimension, Filters
from app.statistics.engine import Query
from app.statistics.predicates import PERCENTILE
from app.store.session import Database

NOW = datetime(2024, 7, 1, 9, 30, tzinfo=SHANGHAI)
REQUESTS = 2_500
BEGIN, END = datetime(2023, 1, 1, tzinfo=SHANGHAI), datetime(2024, 1, 1, tzinfo=SHANGHAI)
COUNTS = tuple(it for it in Measure if it not in PERCENTILE)


@pytest.fixture(scope="module")
async def year(db: Database) -> Database:
    async with db.transaction() as session:
        await seeds.seed(session, now=NOW)
        await demo.seed(session, now=NOW)
    async with db.transaction() as session:
        known = await reference.snapshot(session)
        ground = await city_loading.ground_of(session, known, REQUESTS)
        made = city_year.plan(2023, REQUESTS, seed=3, calendar=ground.calendar, now=NOW)
        await city_loading.load(session, ground, made, now=NOW, processes=0)
        await session.execute(text("ANALYZE requests"))
    await _work(db, NOW)
    return db


async def _work(db: Database, now: datetime) -> int:
    made, turns = 0, 0
    while turns < 60:
        async with db.transaction() as session:
            some = await rollup_making.refresh(session, now=now)
        made, turns = made + some, turns + 1
        if not some:
            break
    return made


async def _differences(db: Database) -> list[str]:
    async with db.transaction() as session:
        return await rollup_making.differences(session)


def _query(dice: random.Random) -> Query:
    """Anything that sums can tell."""
    times = [Dimension.DAY, Dimension.WEEK, Dimension.MONTH, Dimension.QUARTER, Dimension.YEAR]
    facets = {
        "unit": [Dimension.UNIT, Dimension.UNIT_KIND],
        "grid": [Dimension.TOWN, Dimension.COMMUNITY, Dimension.GRID],
        "category": [Dimension.CATEGORY, Dimension.CATEGORY_LEAF],
        "channel": [Dimension.CHANNEL],
        "kind": [Dimension.KIND],
    }
    values = {"unit": ["housing", "t-370281001"], "grid": ["370281001", "370281108601"],
              "category": ["env", "road.lamp"], "channel": ["desk"], "kind": ["help"]}  # fmt: skip
    name = dice.choice(list(facets))
    groups = dice.sample([*facets[name], dice.choice(times)], dice.randint(0, 2))
    filters = Filters(**{name: dice.choice(values[name])}) if dice.random() < 0.4 else Filters()
    since = BEGIN + timedelta(days=dice.randint(-20, 300))
    until = since + timedelta(days=dice.randint(1, 500))
    basis = dice.choice([None, None, Basis.SUBMITTED])
    if basis is Basis.SUBMITTED and dice.random() < 0.3:
        since, until = since + timedelta(hours=7), until + timedelta(hours=13, minutes=5)
    wanted = tuple(dice.sample(COUNTS, dice.randint(1, 6)))
    return Query(wanted, tuple(groups), filters, since, until, basis)


async def _compare(db: Database, now: datetime, *, seed: int, queries: int = 40) -> int:
    dice, compared = random.Random(seed), 0
    for _ in range(queries):
        query = _query(dice)
        if not rollups.covers(query):
            continue
        compared += 1
        told = await rollups.tallies(db, query, now=now)
        assert told == await engine.tallies(db, query, now=now), query
    return compared


async def test_what_is_summed_is_what_is_counted(year: Database) -> None:
    assert await _differences(year) == []
    assert await _compare(year, NOW, seed=1, queries=150) > 60


async def test_a_second_turn_has_nothing_to_do(year: Database) -> None:
    assert await _work(year, NOW) == 0


async def test_nearly_all_is_read_from_the_sums(year: Database) -> None:
    async with year.transaction() as session:
        ready = await session.scalar(text("SELECT count(*) FROM statistics_days WHERE ready"))
        days = await session.scalar(text("SELECT count(*) FROM statistics_days"))
    assert ready == days > 365


async def test_figures_are_right_at_once_when_a_request_is_touched(year: Database) -> None:
    async with year.transaction() as session:
        touched = (
            await session.execute(
                text("""SELECT id FROM requests WHERE satisfaction = 5
                        ORDER BY md5(id::text) LIMIT 3""")
            )
        ).scalars()
        now = NOW + timedelta(minutes=5)
        for request_id in list(touched):
            await session.execute(
                text("UPDATE requests SET satisfaction = 1, unit_code = 'water' WHERE id = :id"),
                {"id": request_id},
            )
            await audit.append(session, request_id, actor=SYSTEM, action="correct", facts={},
                               now=now)  # fmt: skip
    assert await _compare(year, now, seed=2) > 10
    # Left alone for an hour they are summed anew, and until then not read from the sums.
    assert await _work(year, now + timedelta(seconds=30)) >= 0
    assert await _compare(year, now, seed=3) > 10
    later = now + rollups.OVERLAP + timedelta(minutes=2)
    await _work(year, later)
    await _work(year, later + rollups.OVERLAP)
    assert await _differences(year) == []
    assert await _compare(year, later, seed=4) > 10


async def test_what_is_still_open_counts_by_the_present(year: Database) -> None:
    moment = NOW + timedelta(hours=3)
    async with year.transaction() as session:
        await session.execute(
            text("""UPDATE requests SET state = 'in_progress', ended_at = NULL, replied_at = NULL,
                      reply_due_at = :due WHERE id IN (
                        SELECT id FROM requests ORDER BY md5(id::text || 'x') LIMIT 5)"""),
            {"due": moment + timedelta(days=1)},
        )
        await rollup_making.forget(session, BEGIN.date(), END.date())
    await _work(year, moment)
    async with year.transaction() as session:
        live = await session.scalar(text("SELECT sum(cardinality(live)) FROM statistics_days"))
    assert live == 5
    for now in (moment, moment + timedelta(days=2)):
        assert await _compare(year, now, seed=5) > 10
    assert await _differences(year) == []


async def test_a_sum_that_is_wrong_is_found(year: Database) -> None:
    connection = await year.engine.connect()
    begun = await connection.begin()
    await connection.exec_driver_sql(
        "UPDATE statistics_rollups SET counts[1] = counts[1] + 1 WHERE facet = 'kind'"
    )
    async with year.sessions(bind=connection) as session:
        assert await rollup_making.differences(session)
    await begun.rollback()
    await connection.close()


async def test_sums_by_other_definitions_are_not_read(year: Database) -> None:
    async with year.transaction() as session:
        await session.execute(text("UPDATE statistics_state SET definitions = 'older'"))
        await session.execute(text("UPDATE statistics_rollups SET counts[1] = 0"))
    assert await _compare(year, NOW, seed=6) > 10
    assert await _work(year, NOW + timedelta(days=3)) > 365
    assert await _differences(year) == []


def test_two_facets_at_once_are_no_sum() -> None:
    def asked(*group_by: Dimension, **filters: str) -> bool:
        return rollups.covers(Query((Measure.RECEIVED,), group_by, Filters(**filters), BEGIN, END))

    assert asked()
    assert asked(Dimension.UNIT, Dimension.MONTH)
    assert asked(Dimension.GRID)
    assert not asked(Dimension.UNIT, Dimension.CATEGORY)
    assert not asked(Dimension.UNIT, grid="370281001")
    assert not asked(grid="37028110860100101")
