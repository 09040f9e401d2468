"""What a day's requests count for, one by one: read where sums are not clean."""

import random
import re
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import numpy
import pytest
from sqlalchemy import text

from app.audit import service as audit
from app.domain.identity import SYSTEM
from app.domain.measures import Measure
from app.domain.working_time import SHANGHAI
from app.statistics import cohorts, counting, rollup_making, rollup_proof, rollups, spans, sums
from app.statistics.cohorts import Requests
from app.statistics.dimensions import Dimension, Filters
from app.statistics.questions import Query
from app.store.session import Database
from tests.statistics.made_up import load_2023, sum_up

NOW = datetime(2024, 7, 1, 9, 30, tzinfo=SHANGHAI)
BEGIN, END = datetime(2023, 1, 1, tzinfo=SHANGHAI), datetime(2024, 1, 1, tzinfo=SHANGHAI)
GROUPS = (
    (),
    (Dimension.UNIT,),
    (Dimension.GRID,),
    (Dimension.UNIT, Dimension.CATEGORY_LEAF),
    (Dimension.COMMUNITY, Dimension.MONTH),
)


@pytest.fixture(scope="module")
async def year(db: Database) -> Database:
    await load_2023(db, 2_000, seed=4, now=NOW)
    await sum_up(db, NOW)
    return db


async def ids(db: Database, where: str, **given: object) -> list[UUID]:
    async with db.transaction() as session:
        found = await session.scalars(text(f"SELECT id FROM requests WHERE {where}"), given)
        return list(found)


async def touch(db: Database, touched: list[UUID], sets: str, now: datetime) -> None:
    async with db.transaction() as session:
        for request_id in touched:
            await session.execute(
                text(f"UPDATE requests SET {sets} WHERE id = :id"), {"id": request_id}
            )
            await audit.append(
                session, request_id, actor=SYSTEM, action="correct", facts={}, now=now
            )


def questions(measures: list[Measure]) -> list[Query]:
    return [Query(tuple(measures), it, Filters(), BEGIN, END) for it in GROUPS]


async def compare(db: Database, now: datetime, measures: list[Measure]) -> None:
    for query in questions(measures):
        assert rollups.covers(query)
        told = await rollups.tallies(db, query, now=now)
        assert told == await counting.tallies(db, query, now=now), query


PLAIN = [Measure.RECEIVED, Measure.SATISFIED, Measure.OVERDUE, Measure.SIGN_ON_TIME,
         Measure.REPLY_ON_TIME_ORIGINAL, Measure.CONTACT_ON_TIME]  # fmt: skip


async def test_the_others_of_a_touched_day_are_read_from_its_columns(year: Database) -> None:
    now = NOW + timedelta(minutes=5)
    same_day = await ids(
        year, "(submitted_at AT TIME ZONE 'Asia/Shanghai')::date = :day", day=date(2023, 5, 10)
    )
    await touch(year, same_day[:1], "satisfaction = 1, unit_code = 'water'", now)
    await compare(year, now, PLAIN)
    # Behind the back of the audit: whoever counts the requests sees it, the columns do not.
    [query] = questions([Measure.RECEIVED])[1:2]
    before = await rollups.tallies(year, query, now=now)
    async with year.transaction() as session:
        moved = text("UPDATE requests SET unit_code = :to WHERE id = :id RETURNING unit_code")
        was = await session.scalar(
            text("SELECT unit_code FROM requests WHERE id = :id"), {"id": same_day[1]}
        )
        await session.execute(moved, {"id": same_day[1], "to": "civil"})
    assert await rollups.tallies(year, query, now=now) == before
    assert await counting.tallies(year, query, now=now) != before
    async with year.transaction() as session:
        assert f"the cohort of {date(2023, 5, 10)}" not in await rollup_proof.differences(session)
        await session.execute(moved, {"id": same_day[1], "to": was})
    await compare(year, now, PLAIN)


async def test_a_day_that_is_mostly_open_holds_until_the_next_due_time(year: Database) -> None:
    start = NOW + timedelta(days=1)
    due = start + timedelta(hours=5)
    opened = await ids(
        year,
        "submitted_at >= :since AND submitted_at < :until",
        since=datetime(2023, 9, 4, tzinfo=SHANGHAI),
        until=datetime(2023, 9, 9, tzinfo=SHANGHAI),
    )
    async with year.transaction() as session:
        for number, request_id in enumerate(opened):
            await session.execute(
                text("""UPDATE requests SET state = 'in_progress', ended_at = NULL,
                  replied_at = NULL, satisfaction = NULL, reply_due_at = :due WHERE id = :id"""),
                {"id": request_id, "due": due + timedelta(minutes=number)},
            )
        await rollup_making.forget(session, BEGIN.date(), END.date())
    await sum_up(year, start)
    async with year.transaction() as session:
        told = (
            await session.execute(
                text("""SELECT count(*) FILTER (WHERE NOT ready),
                  (SELECT min(holds_until) FROM statistics_cohorts)
                  FROM statistics_spans WHERE span = 'day'""")
            )
        ).one()
    assert told == (5, due)
    for hours in (0, 4.9, 5, 5.2, 30):
        await compare(year, start + timedelta(hours=hours), PLAIN)
    # The job makes anew what holds no longer, and nothing else.
    later = start + timedelta(hours=5, minutes=1)
    async with year.transaction() as session:
        assert 1 <= await rollup_making.refresh(session, now=later) <= 3
    await compare(year, later, PLAIN)
    async with year.transaction() as session:
        assert await rollup_proof.differences(session) == []


async def test_columns_that_are_wrong_are_found(year: Database) -> None:
    connection = await year.engine.connect()
    begun = await connection.begin()
    first = date(2023, 7, 7)
    await connection.execute(
        text("""UPDATE statistics_cohorts SET columns = set_byte(columns, length(columns) - 1,
          get_byte(columns, length(columns) - 1) # 1) WHERE first = :first"""),
        {"first": first},
    )
    async with year.sessions(bind=connection) as session:
        assert await rollup_proof.differences(session) == [f"the cohort of {first}"]
    await begun.rollback()
    await connection.close()


async def test_whoever_was_touched_an_hour_ago_and_never_looked_after_is_not_told_wrong(
    year: Database,
) -> None:
    now = NOW + timedelta(days=9)
    await sum_up(year, now)
    dice = random.Random(5)
    some = dice.sample(await ids(year, "true ORDER BY id"), 60)
    await touch(year, some, "satisfaction = 2, category_code = 'env.waste'", now)
    for later in (timedelta(0), spans.OVERLAP * 3):
        await compare(year, now + later, PLAIN)
    await sum_up(year, now + spans.OVERLAP * 3)
    await compare(year, now + spans.OVERLAP * 3, PLAIN)


def test_time_changes_a_condition_only_at_a_due_time() -> None:
    compared = re.compile(r"(\w+\.\w+) <=? (?:coalesce\([^()]*, )?:now::timestamptz")
    for condition in (*sums.CONDITIONS, sums.SETTLED):
        rest = compared.sub("", condition)
        if condition == sums.SETTLED:
            rest = rest.replace(
                "greatest(requests.contact_due_at, requests.reply_due_at) <= :now::timestamptz", ""
            )
        assert ":now" not in rest, condition
        assert set(compared.findall(condition)) <= set(cohorts.DUES), condition


def test_whom_a_cohort_leaves_out_is_told_by_the_whole_id() -> None:
    every = [uuid4() for _ in range(5)]
    alike = UUID(bytes=bytes(8) + every[2].bytes[8:])
    pieces = {"id": b"".join(it.bytes for it in every), "flags": bytes(8 * 5)}
    requests = Requests.read([100, 101], [2, 3], pieces)
    left = requests.without(every[0].bytes + every[4].bytes + alike.bytes)
    assert [it.tobytes() for it in left.ids] == [it.bytes for it in every[1:4]]
    assert numpy.array_equal(left.cohorts, [100, 101, 101])
    assert requests.without(b"") is requests
