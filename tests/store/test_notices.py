"""``Follower``: news arrive, and whatever happens to the line, later news still do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
from sqlalchemy import text

from app.store.notices import Follower, Snapshot, announce
from app.store.session import Database, DatabaseBusy, Statement

_SOON_S = 30.0
_LISTENERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN %'
"""
Load = Callable[[Database], Awaitable[int]]


@asynccontextmanager
async def following(db: Database, load: Load, **given: float) -> AsyncIterator[Snapshot[int]]:
    snapshot = Snapshot("lamps", load)
    follower = Follower(db, [snapshot], **given)
    await follower.start()
    try:
        yield snapshot
    finally:
        await follower.stop()


async def tell(db: Database) -> None:
    async with db.transaction() as session:
        await announce(session, "lamps")


async def until_newer(snapshot: Snapshot[int], than: int) -> None:
    async with asyncio.timeout(_SOON_S):
        while snapshot.current <= than:  # noqa: ASYNC110 - nobody wakes a reader of a snapshot
            await asyncio.sleep(0.01)


def numbered(trouble: Load | None = None) -> Load:
    """Loads 1, 2, 3, …; the second time only after ``trouble``."""
    numbers = count(1)

    async def load(db: Database) -> int:
        number = next(numbers)
        if number == 2 and trouble is not None:
            await trouble(db)
        return number

    return load


async def busy(_: Database) -> int:
    raise DatabaseBusy


async def cut_in_a_transaction(db: Database) -> int:
    async with db.transaction() as session:
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    return 0


async def cut_in_a_statement(db: Database) -> int:
    await db.one_statement(Statement("SELECT pg_terminate_backend(pg_backend_pid())"))
    return 0


async def too_slow(db: Database) -> int:
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL statement_timeout = 1"))
        await session.execute(text("SELECT pg_sleep(1)"))
    return 0


async def test_what_was_announced_is_loaded_anew(db: Database) -> None:
    async with following(db, numbered()) as snapshot:
        assert snapshot.current == 1
        await tell(db)
        await until_newer(snapshot, 1)


@pytest.mark.parametrize("trouble", [busy, cut_in_a_transaction, cut_in_a_statement, too_slow])
async def test_a_load_that_the_database_refuses_is_tried_again(db: Database, trouble: Load) -> None:
    async with following(db, numbered(trouble)) as snapshot:
        await tell(db)
        await until_newer(snapshot, 1)


async def test_a_line_that_the_server_ends_is_replaced_and_all_is_loaded_anew(
    db: Database,
) -> None:
    async with following(db, numbered()) as snapshot:
        async with db.transaction() as session:
            assert (await session.execute(text(_LISTENERS))).all()
        await until_newer(snapshot, 1)
        heard = snapshot.current
        await tell(db)
        await until_newer(snapshot, heard)


async def test_a_quiet_line_that_answers_its_pulse_is_kept(db: Database) -> None:
    async with following(db, numbered(), pulse_s=0.05) as snapshot:
        await asyncio.sleep(0.5)
        assert snapshot.current == 1  # a new line would have loaded
        await tell(db)
        await until_newer(snapshot, 1)


async def test_who_cannot_begin_says_so(db: Database) -> None:
    with pytest.raises(DatabaseBusy):
        async with following(db, busy):
            pass
