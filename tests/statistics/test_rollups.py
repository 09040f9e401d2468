"""Sums that were made before say what the requests say, whatever happened since."""

import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.audit import service as audit
from app.domain.identity import SYSTEM
from app.domain.measures import Basis, Measure
from app.domain.working_time import SHANGHAI
from app.statistics import counting, rollup_making, rollup_proof, rollups, spans, sums
from app.statistics.dimensions import Dimension, Filters
from app.statistics.predicates import PERCENTILE
from app.statistics.questions import Query
from app.store.session import Database
from tests.statistics.made_up import load_2023, sum_up

NOW = datetime(2024, 7, 1, 9, 30, tzinfo=SHANGHAI)
REQUESTS = 2_500
BEGIN, END = datetime(2023, 1, 1, tzinfo=SHANGHAI), datetime(2024, 1, 1, tzinfo=SHANGHAI)
LIVE = "SELECT sum(cardinality(live)) FROM statistics_spans"


@pytest.fixture(scope="module")
async def year(db: Database) -> Database:
    await load_2023(db, REQUESTS, seed=3, now=NOW)
    await sum_up(db, NOW)
    return db


async def _differences(db: Database) -> list[str]:
    async with db.transaction() as session:
        return await rollup_proof.differences(session)


FACETS = {
    "unit": [Dimension.UNIT, Dimension.UNIT_KIND],
    "grid": [Dimension.TOWN, Dimension.COMMUNITY, Dimension.GRID],
    "category": [Dimension.CATEGORY, Dimension.CATEGORY_LEAF],
    "channel": [Dimension.CHANNEL],
    "kind": [Dimension.KIND],
}
TIMES = [Dimension.DAY, Dimension.WEEK, Dimension.MONTH, Dimension.QUARTER, Dimension.YEAR]
VALUES = {"unit": ["housing", "t-370281001"], "unit_kind": ["town"],
          "grid": ["370281001", "370281108601"], "category": ["env", "road.lamp"],
          "channel": ["desk"], "kind": ["help"]}  # fmt: skip


def _query(dice: random.Random) -> Query:
    """Mostly what sums can tell: one facet by any days, two by whole months."""
    names = dice.sample(list(FACETS), dice.choice((1, 1, 2)))
    every = [dice.choice(FACETS[name]) for name in names]
    groups = dice.sample([*every, dice.choice(TIMES)], dice.randint(0, 2))
    if len(names) > 1 and dice.random() < 0.6:
        groups = every
    narrowed = [*names, *(["unit_kind"] if "unit" in names else [])]
    filters = {it: dice.choice(VALUES[it]) for it in narrowed if dice.random() < 0.4}
    since = BEGIN + timedelta(days=dice.randint(-20, 300))
    until = since + timedelta(days=dice.randint(1, 500))
    if len(names) > 1 or Dimension.GRID in groups or dice.random() < 0.3:
        since, until = since.replace(day=1), (until + timedelta(days=31)).replace(day=1)
    basis = dice.choice([None, None, Basis.SUBMITTED])
    told = [it for it in Measure if len(names) == 1 or it not in PERCENTILE]
    wanted = tuple(dice.sample(told, dice.randint(1, 6)))
    return Query(wanted, tuple(groups), Filters(**filters), since, until, basis)


async def _compare(db: Database, now: datetime, *, seed: int, queries: int = 60) -> int:
    dice, compared, two = random.Random(seed), 0, 0
    for _ in range(queries):
        query = _query(dice)
        if not rollups.covers(query):
            continue
        compared += 1
        facet = sums.facet_of(query.group_by, query.filters)
        two += facet is not None and len(facet.codes) > 1
        told = await rollups.tallies(db, query, now=now)
        assert told == await counting.tallies(db, query, now=now), query
    assert two > queries // 20
    return compared


async def test_what_is_summed_is_what_is_counted(year: Database) -> None:
    assert await _differences(year) == []
    assert await _compare(year, NOW, seed=1, queries=150) > 60


async def test_a_second_turn_has_nothing_to_do(year: Database) -> None:
    assert await sum_up(year, NOW) == 0


async def test_nearly_all_is_read_from_the_sums(year: Database) -> None:
    async with year.transaction() as session:
        counted = "SELECT count(*) FROM statistics_spans WHERE span = :span"
        for span, most in (("day", 365), ("month", 12)):
            ready = await session.scalar(text(f"{counted} AND ready"), {"span": span})
            every = await session.scalar(text(counted), {"span": span})
            assert ready == every > most


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
    # Left alone for a while they are summed anew, and until then not read from the sums.
    assert await sum_up(year, now + timedelta(seconds=30)) >= 0
    assert await _compare(year, now, seed=3) > 10
    later = now + spans.OVERLAP + timedelta(minutes=2)
    await sum_up(year, later)
    await sum_up(year, later + spans.OVERLAP)
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
    await sum_up(year, moment)
    async with year.transaction() as session:
        live = await session.scalar(text(f"{LIVE} WHERE span = 'day'"))
        whole = await session.scalar(text(f"{LIVE} WHERE span = 'month'"))
    assert live == whole == 5
    for now in (moment, moment + timedelta(days=2)):
        assert await _compare(year, now, seed=5) > 10
    assert await _differences(year) == []


async def test_what_was_excluded_is_counted_by_itself(year: Database) -> None:
    now = NOW + timedelta(days=4)
    async with year.transaction() as session:
        chosen = list(await session.scalars(
            text("SELECT id FROM requests WHERE satisfaction = 5 ORDER BY md5(id::text) LIMIT 4")
        ))  # fmt: skip
        for request_id in chosen:
            await session.execute(
                text("UPDATE requests SET excluded = CAST(:said AS jsonb) WHERE id = :id"),
                {"id": request_id, "said": '{"1": ["satisfied", "duration_median", "closed"]}'},
            )
            await audit.append(session, request_id, actor=SYSTEM, action="exclude", facts={},
                               now=now)  # fmt: skip
    assert await _compare(year, now, seed=7) > 10
    later = now + spans.OVERLAP + timedelta(minutes=2)
    await sum_up(year, later)
    async with year.transaction() as session:
        live = set(await session.scalars(text("SELECT unnest(live) FROM statistics_spans")))
    assert live.issuperset(chosen)
    assert await _compare(year, later, seed=8) > 10
    assert await _differences(year) == []


async def test_one_turn_makes_a_month_at_most_however_much_was_touched(year: Database) -> None:
    now = NOW + timedelta(days=8)
    await sum_up(year, now)
    async with year.transaction() as session:
        touched = await session.scalars(
            text("""
SELECT DISTINCT ON (submitted_at::date) id FROM requests ORDER BY submitted_at::date LIMIT 70""")
        )
        for request_id in list(touched):
            await audit.append(session, request_id, actor=SYSTEM, action="correct", facts={},
                               now=now)  # fmt: skip
    later = now + spans.OVERLAP + timedelta(minutes=1)
    most = rollup_making.MOST_DAYS + rollup_making.MOST_MONTHS
    async with year.transaction() as session:
        assert await rollup_making.refresh(session, now=later) == most
    assert await _compare(year, later, seed=9, queries=30) > 5
    assert await sum_up(year, later) > most
    assert await _differences(year) == []


async def test_a_sum_that_is_wrong_is_found(year: Database) -> None:
    connection = await year.engine.connect()
    begun = await connection.begin()
    await connection.exec_driver_sql(
        "UPDATE statistics_sums SET counts = set_byte(counts, 0, get_byte(counts, 0) # 1)"
        " WHERE facet = 'kind' AND span = 'month'"
    )
    async with year.sessions(bind=connection) as session:
        assert await rollup_proof.differences(session)
    await begun.rollback()
    await connection.close()


async def test_sums_by_other_definitions_are_not_read(year: Database) -> None:
    async with year.transaction() as session:
        await session.execute(text("UPDATE statistics_state SET definitions = 'older'"))
        await session.execute(text("UPDATE statistics_sums SET counts = set_byte(counts, 0, 0)"))
    assert await _compare(year, NOW, seed=6) > 10
    assert await sum_up(year, NOW + timedelta(days=3)) > 365
    assert await _differences(year) == []


def test_what_sums_cover() -> None:
    def asked(*group_by: Dimension, of: Measure = Measure.RECEIVED, by: Basis | None = None,
              until: datetime = END, **filters: str) -> bool:  # fmt: skip
        return rollups.covers(Query((of,), group_by, Filters(**filters), BEGIN, until, by))

    def of_hours(*group_by: Dimension, **filters: str) -> bool:
        return asked(*group_by, of=Measure.DURATION_P90, **filters)

    midst = BEGIN + timedelta(days=40)
    assert asked()
    assert asked(Dimension.UNIT, Dimension.DAY, until=midst)
    assert asked(Dimension.GRID)
    assert not asked(Dimension.GRID, until=midst)
    assert asked(Dimension.UNIT, Dimension.CATEGORY)
    assert asked(Dimension.UNIT, grid="370281001")
    assert not asked(Dimension.UNIT, Dimension.CATEGORY, until=midst)
    assert not asked(Dimension.UNIT, Dimension.CATEGORY, channel="desk")
    assert not asked(Dimension.UNIT, Dimension.GRID)
    assert not asked(grid="37028110860100101")
    assert not asked(until=END + timedelta(hours=1))
    assert asked(of=Measure.OVERDUE, by=Basis.SUBMITTED)
    assert not asked(of=Measure.OVERDUE, by=Basis.ENDED)
    assert not asked(of=Measure.SATISFIED, by=Basis.DUE)
    assert of_hours(Dimension.UNIT, Dimension.MONTH)
    assert of_hours(Dimension.GRID)
    assert not of_hours(Dimension.UNIT, Dimension.CATEGORY)
