"""A made-up year: exact totals, always the same, and nothing that a real one could not be."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.audit.inspection import inspect
from app.cli.audit import OWED, RECORDED
from app.domain.working_time import WorkingCalendar
from app.statistics import city_loading, city_year
from app.statistics.city_deadlines import Deadlines
from app.statistics.city_rows import Rows
from app.statistics.city_year import Ground, YearNotOver
from app.store.session import Database
from tests.faults.invariants import violations
from tests.statistics import made_up

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REQUESTS, CLOSED, SATISFIED = 2_970, 2_962, 2_790
# What only a service leaves behind: answers kept for repeated calls, quotas, messages, and an audit
# entry for each step, for which there is one digest of all.
_OF_A_SERVICE = (
    "I3 request without its stored answer",
    "I3 step without its stored answer",
    "I3 step that the audit does not have once",
    "I5 submission that was never told",
    "I5 step that was never told",
)


@pytest.fixture(scope="module")
async def ground(db: Database) -> Ground:
    return await made_up.ground(db, REQUESTS, now=NOW)


@pytest.fixture(scope="module")
async def digest(db: Database, ground: Ground) -> str:
    year = city_year.plan(2023, REQUESTS, seed=1, calendar=ground.calendar, now=NOW)
    async with db.transaction() as session:
        return await city_loading.load(session, ground, year, now=NOW, processes=0)


@pytest.fixture
async def connection(database_url: str, digest: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def _findings(db: Database) -> list[str]:
    async with db.transaction() as session:
        return [finding.line() for finding in (await inspect(session, RECORDED, OWED)).findings]


async def test_the_totals_are_exactly_those_asked_for(connection: asyncpg.Connection) -> None:
    row = await connection.fetchrow(
        """SELECT count(*) AS received, count(*) FILTER (WHERE previous_state = 'closed') AS closed,
             count(satisfaction) AS rated, count(*) FILTER (WHERE satisfaction >= 3) AS satisfied,
             count(DISTINCT unit_code) AS units, count(DISTINCT category_code) AS categories,
             count(DISTINCT (submitted_at AT TIME ZONE 'Asia/Shanghai')::date) AS days
           FROM requests"""
    )
    assert dict(row)["received"] == REQUESTS
    assert (row["closed"], row["rated"], row["satisfied"]) == (CLOSED, CLOSED, SATISFIED)
    assert row["units"] > 30
    assert row["categories"] > 70
    assert row["days"] == 365


@pytest.mark.parametrize("requests", [396_000, 4_000_000, 1_000, 7, 1])
def test_a_year_of_any_size_keeps_the_shares(requests: int) -> None:
    calendar = WorkingCalendar(1, NOW.date(), NOW.date())
    year = city_year.plan(2023, requests, seed=5, calendar=calendar, now=NOW)
    assert sum(day.received for day in year.days) == requests
    assert abs(year.closed - requests * 395_000 / 396_000) <= 0.5
    assert abs(year.satisfied - year.closed * 372_011 / 395_000) <= 0.5
    assert all(0 <= day.dissatisfied <= day.closed <= day.received for day in year.days)
    if requests == 396_000:
        assert (year.closed, year.satisfied) == (395_000, 372_011)


def test_a_year_that_is_not_over_is_not_made_up() -> None:
    calendar = WorkingCalendar(1, NOW.date(), NOW.date())
    with pytest.raises(YearNotOver):
        city_year.plan(2025, 10, seed=1, calendar=calendar, now=NOW)


def test_the_same_seed_makes_the_same_rows_and_another_one_does_not(ground: Ground) -> None:
    def rows_of(seed: int) -> list[tuple[str, bytes]]:
        year = city_year.plan(2023, REQUESTS, seed=seed, calendar=ground.calendar, now=NOW)
        rows = Rows()
        for day in year.days[40:60]:
            drawn = city_year.draw(ground, year, day)
            city_loading.city_lives.tell(ground, Deadlines(ground.calendar, 2023), drawn, rows)
        return list(rows.taken())

    assert rows_of(1) == rows_of(1)
    assert rows_of(1) != rows_of(2)


def test_office_time_is_looked_up_as_the_calendar_reckons_it(ground: Ground) -> None:
    deadlines, by = Deadlines(ground.calendar, 2023), ground.calendar.provisional()
    begin = int(datetime(2023, 1, 20, tzinfo=UTC).timestamp())
    for number in range(600):
        at = begin + number * 9_973
        for worked in (0 if number % 3 else 1, 1_800, 7_200, 27_000, 100_000 + number):
            moment = datetime.fromtimestamp(at, UTC)
            until = by.add(moment, timedelta(seconds=worked))
            if worked:
                assert deadlines.office(at, worked) == until.timestamp()
            assert deadlines.worked(at, int(until.timestamp())) == worked


async def test_what_was_made_up_breaks_no_rule_of_the_house(connection: asyncpg.Connection) -> None:
    broken = await violations(connection, now=NOW)
    assert not [rule for rule in broken.items() if not rule[0].startswith(_OF_A_SERVICE)]


async def test_every_way_through_the_workflow_is_gone_by_somebody(
    connection: asyncpg.Connection,
) -> None:
    rows = await connection.fetch("SELECT DISTINCT action FROM request_events")
    gone = {row["action"] for row in rows}
    assert gone >= {
        "submit", "assign", "queue", "sign", "auto_sign", "return", "decide_return", "transfer",
        "contact", "request_extension", "decide_extension", "urge", "supervise", "reply", "settle",
        "rate", "auto_close", "call_back", "decide_reopen", "withdraw", "archive",
    }  # fmt: skip


async def test_a_rating_has_beside_it_how_many_came_near_it(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch("SELECT * FROM request_ratings")
    of_account: dict[Any, list[Any]] = defaultdict(list)
    of_unit: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        of_account[row["resident_id"]].append(row["at"])
        if row["satisfaction"] == 5:
            of_unit[row["unit_code"]].append(row["at"])
    for row in rows:
        at, best = row["at"], row["satisfaction"] == 5 and row["unit_code"] is not None
        days = [it for it in of_account[row["resident_id"]] if at - timedelta(days=1) <= it <= at]
        minutes = [it for it in of_unit[row["unit_code"]] if at - timedelta(minutes=1) <= it <= at]
        assert (row["of_account"], row["of_unit"]) == (len(days), len(minutes) if best else 0)
    assert sum(row["of_account"] > 1 for row in rows) > 20


async def test_the_audit_is_whole_and_misses_a_made_up_step_that_was_altered(
    db: Database, digest: str
) -> None:
    assert await _findings(db) == []
    for change in (
        "UPDATE request_events SET action = 'sign' WHERE action = 'auto_sign'",
        "DELETE FROM request_events WHERE action = 'urge'",
        "UPDATE request_events SET at = at - interval '1 day' WHERE action = 'reply'",
    ):
        assert [line for line in await _after(db, change) if "digest" in line]


async def test_a_real_step_cannot_hide_among_the_made_up_ones(db: Database, digest: str) -> None:
    forged = """INSERT INTO request_events (request_id, version, at, action, state, actor_id,
                  actor_role) SELECT id, 99, now(), 'correct', 'archived',
                  'c0000000-0000-{}000-8000-000000000001', 'supervisor' FROM requests LIMIT 1"""
    assert await _after(db, forged.format(8))
    assert await _after(db, forged.format(7))


async def _after(db: Database, change: str) -> list[str]:
    """What reading everything again finds after a change, which is then undone."""
    connection = await db.engine.connect()
    begun = await connection.begin()
    try:
        await connection.exec_driver_sql(change)
        lines = [
            str(dict(row))
            for row in (await connection.exec_driver_sql(city_loading.DIGESTS)).mappings()
        ]
        told = await connection.exec_driver_sql(
            "SELECT facts->>'digest' AS digest FROM audit_entries WHERE action = 'seed_year'"
        )
        kept = {row.digest for row in told}
        untold = await connection.exec_driver_sql(f"{RECORDED.rstrip()} LIMIT 5")
        found = [f"digest: {line}" for line in lines if not any(it in line for it in kept)]
        return found + [str(row) for row in untold]
    finally:
        await begun.rollback()
        await connection.close()


async def test_no_year_is_made_twice(db: Database, ground: Ground, digest: str) -> None:
    year = city_year.plan(2023, 10, seed=2, calendar=ground.calendar, now=NOW)
    with pytest.raises(city_loading.YearMade):
        async with db.transaction() as session:
            await city_loading.load(session, ground, year, now=NOW, processes=0)


async def test_indexes_and_keys_are_as_before(
    connection: asyncpg.Connection, server_url: str, template: str
) -> None:
    asked = """SELECT indexdef AS it FROM pg_indexes WHERE schemaname = 'public'
               UNION SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint"""
    fresh: Any = await asyncpg.connect(server_url.replace("/postgres?", f"/{template}?"))
    try:
        assert set(await connection.fetch(asked)) == set(await fresh.fetch(asked))
    finally:
        await fresh.close()
