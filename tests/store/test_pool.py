"""The connections of hot statements: shared fairly, never lost, replaced when they are gone."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.domain.errors import Unavailable
from app.settings import Settings
from app.store.session import Database, DatabaseBusy, Statement

ONE = Statement("SELECT 1 AS one")
WHO = Statement("SELECT pg_backend_pid() AS pid")
SLEEP = Statement("SELECT pg_sleep(:seconds) IS NULL AS done")


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[Database]:
    """A database that may use two connections."""
    assert settings.database_url
    tight = settings.database.model_copy(update={"pool_size": 2, "acquire_timeout_s": 0.2})
    db = Database(settings.database_url, tight)
    await db.open()
    yield db
    await db.close()


async def pids(db: Database) -> set[int]:
    rows = await asyncio.gather(*(db.one_statement(WHO) for _ in range(20)))
    return {row["pid"] for row in rows if row is not None}


async def test_many_callers_share_few_connections(small: Database) -> None:
    assert len(await pids(small)) == 2
    assert len(await pids(small)) == 2


async def test_whoever_waits_too_long_is_told_that_the_database_is_busy(small: Database) -> None:
    busy = [asyncio.create_task(small.one_statement(SLEEP, seconds=0.6)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(DatabaseBusy) as refused:
        await small.one_statement(ONE)
    assert isinstance(refused.value, Unavailable)
    await asyncio.gather(*busy)
    assert await small.one_statement(ONE) is not None


async def test_a_statement_is_planned_once_if_it_says_so(small: Database) -> None:
    sql = "SELECT count(*) FROM generate_series(1, :most::int)"
    once, each = Statement(f"{sql} AS once", planned_once=True), Statement(f"{sql} AS each")
    plans = Statement("""
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE :like
""")
    for most in (3, 4, 5):
        for statement in (once, each):
            row = await small.one_statement(statement, most=most)
            assert row is not None
            assert row["count"] == most
    told = [await small.one_statement(plans, like=f"%AS {name}") for name in ("once", "each")]
    assert [tuple(row) for row in told if row is not None] == [(3, 0), (0, 3)]


async def test_a_failing_statement_costs_no_connection(small: Database) -> None:
    before = await pids(small)
    for _ in range(5):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await small.one_statement(Statement("SELECT 1 / :zero::int"), zero=0)
    assert await pids(small) == before


async def test_a_value_of_the_wrong_type_costs_no_room(small: Database) -> None:
    for _ in range(5):
        with pytest.raises(asyncpg.DataError):
            await small.one_statement(Statement("SELECT :number::int"), number="one")
    assert len(await pids(small)) == 2


async def test_a_cancelled_statement_costs_no_room(small: Database) -> None:
    for _ in range(5):
        task = asyncio.create_task(small.one_statement(SLEEP, seconds=5.0))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(await pids(small)) == 2


async def test_one_who_gives_up_waiting_takes_nothing_with_him(small: Database) -> None:
    busy = [asyncio.create_task(small.one_statement(SLEEP, seconds=0.1)) for _ in range(2)]
    await asyncio.sleep(0.03)
    waiting = [asyncio.create_task(small.one_statement(ONE)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.gather(*busy)
    assert all(row is not None for row in await asyncio.gather(*waiting[1:]))
    assert len(await pids(small)) == 2


async def test_a_connection_that_was_ended_is_replaced(small: Database, db: Database) -> None:
    before = await pids(small)
    end = Statement("SELECT pg_terminate_backend(pid, 2000) FROM unnest(:pids::int[]) AS pid")
    await db.rows(end, pids=list(before))
    await asyncio.sleep(0.05)
    after = await pids(small)
    assert after
    assert not after & before


async def test_a_statement_survives_a_change_of_its_table(small: Database) -> None:
    await small.one_statement(Statement("CREATE TABLE changing (id int)"))
    read = Statement("SELECT * FROM changing")
    await asyncio.gather(*(small.rows(read) for _ in range(4)))
    await small.one_statement(Statement("ALTER TABLE changing ADD COLUMN name text"))
    await small.one_statement(Statement("INSERT INTO changing VALUES (1, 'a')"))
    for rows in await asyncio.gather(*(small.rows(read) for _ in range(4))):
        assert [tuple(row) for row in rows] == [(1, "a")]


async def test_no_more_statements_stay_prepared_than_the_server_can_bear(small: Database) -> None:
    for number in range(120):
        await small.one_statement(Statement(f"SELECT {number} AS number"))
    row = await small.one_statement(
        Statement("SELECT count(*) AS prepared FROM pg_prepared_statements")
    )
    assert row is not None
    assert row["prepared"] <= 102


async def test_a_closed_database_refuses_and_holds_no_connection(settings: Settings) -> None:
    assert settings.database_url
    db = Database(settings.database_url, settings.database)
    with pytest.raises(RuntimeError):
        await db.one_statement(ONE)
    await db.open()
    running = asyncio.create_task(db.one_statement(SLEEP, seconds=5.0))
    await asyncio.sleep(0.05)
    await db.close()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await running
