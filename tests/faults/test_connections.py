"""``Database`` and connections that fail it: nobody waits for ever, and the next one is good."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest
from sqlalchemy import text

from app.settings import DatabaseSettings
from app.store.notices import Follower, Snapshot, announce
from app.store.session import Database, DatabaseBusy, Statement
from app.web.errors import DatabaseDown, from_database
from tests.faults.proxy import Command, Loss, Proxy

_STATEMENT_TIMEOUT_S = 0.3
_ONE_WAIT_S = 2 * (_STATEMENT_TIMEOUT_S + 0.5) - 0.1
_SOON_S = 2.0  # the statement's timeout, half a second, and a busy machine
_MARK = Statement("INSERT INTO seen VALUES (:word) RETURNING word")
_COUNT = Statement("SELECT count(*) AS seen FROM seen WHERE word = :word")


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(database_url) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Database]:
    """A database at the other end of the proxy, with one connection in each pool."""
    settings = DatabaseSettings(
        pool_size=1, session_pool_size=1, statement_timeout_ms=int(_STATEMENT_TIMEOUT_S * 1000)
    )
    db = Database(proxy.url, settings)
    await db.open()
    async with db.transaction() as session:
        await session.execute(text("CREATE TABLE IF NOT EXISTS seen (word text)"))
    yield db
    proxy.reset()  # those that are silent still: closing waits for them
    await db.close()


async def by_statement(db: Database, word: str) -> None:
    await db.one_statement(_MARK, word=word)


async def by_transaction(db: Database, word: str) -> None:
    async with db.transaction() as session:
        await session.execute(text("INSERT INTO seen VALUES (:word)"), {"word": word})


Way = Callable[[Database, str], Awaitable[None]]
WAYS = pytest.mark.parametrize("way", [by_statement, by_transaction])


async def fails(way: Way, db: Database, word: str) -> float:
    """Do it, see it fail as "unavailable, ask again"; how long that took, in seconds."""
    began = time.monotonic()
    with pytest.raises(Exception) as failure:  # noqa: PT011 - what it means is looked at below
        await asyncio.wait_for(way(db, word), 15)
    assert isinstance(from_database(failure.value), DatabaseDown), repr(failure.value)
    return time.monotonic() - began


async def seen(db: Database, word: str) -> int:
    row = await db.one_statement(_COUNT, word=word)
    assert row is not None
    return int(row["seen"])


@WAYS
async def test_a_reply_that_never_comes_is_given_up_and_the_next_call_works(
    proxy: Proxy, far: Database, way: Way
) -> None:
    def choose(command: Command) -> Loss | None:
        commits = command.is_commit or "INSERT" in command.sql
        return Loss.SILENCE if commits else None

    await way(far, way.__name__)
    proxy.choose = choose
    assert await fails(way, far, way.__name__) < _SOON_S
    proxy.choose = None
    began = time.monotonic()
    await way(far, way.__name__)
    assert time.monotonic() - began < _SOON_S
    assert await seen(far, way.__name__) == 3  # silent, and yet done: what keys are for


@WAYS
async def test_a_line_that_goes_silent_is_given_up(proxy: Proxy, far: Database, way: Way) -> None:
    async with proxy.black_hole():
        assert await fails(way, far, "silent") < _SOON_S
    await way(far, "again")


@WAYS
async def test_wherever_a_line_goes_silent_it_is_given_up_once(
    proxy: Proxy, far: Database, way: Way
) -> None:
    """Silence at the first message of a call, at the second, and so on to the last: never more
    than one wait, whatever the driver and the engine do to clean up."""
    await way(far, "warm")
    begun = proxy.questions
    await way(far, "warm")
    questions = proxy.questions - begun
    assert questions >= 1
    for number in range(1, questions + 1):
        proxy.freeze_at = proxy.questions + number
        assert await fails(way, far, "silent") < _ONE_WAIT_S
        proxy.freeze_at = None
        await way(far, "warm")


@WAYS
async def test_a_farewell_of_the_server_is_understood(
    proxy: Proxy, far: Database, way: Way
) -> None:
    """It comes while nobody listens: the driver stumbles over it at the next command."""
    await way(far, "before")
    await seen(far, "before")
    proxy.farewell()
    await asyncio.sleep(0.05)
    failure = (await asyncio.gather(way(far, "farewell"), return_exceptions=True))[0]
    # A transaction may have noticed in time, and begun on a new connection.
    if failure is not None:
        assert isinstance(from_database(failure), DatabaseDown), repr(failure)
    await way(far, "after")


async def test_who_listens_for_notices_sees_that_its_line_is_dead(
    proxy: Proxy, far: Database, db: Database
) -> None:
    async def load(_: Database) -> int:
        return next(numbers)

    numbers = count(1)
    snapshot = Snapshot("lamps", load)
    follower = Follower(far, [snapshot], pulse_s=0.1)
    await follower.start()
    try:
        assert snapshot.current == 1
        assert proxy.freeze() >= 1
        async with db.transaction() as session:
            await announce(session, "lamps")
        async with asyncio.timeout(20):
            while snapshot.current == 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        proxy.reset()
        await follower.stop()


async def test_who_listens_for_notices_survives_a_busy_database(
    far: Database, db: Database
) -> None:
    async def load(_: Database) -> int:
        number = next(numbers)
        if number == 2:
            raise DatabaseBusy
        return number

    numbers = count(1)
    snapshot = Snapshot("lamps", load)
    follower = Follower(far, [snapshot])
    await follower.start()
    try:
        async with db.transaction() as session:
            await announce(session, "lamps")
        async with asyncio.timeout(20):
            while snapshot.current == 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await follower.stop()


@WAYS
async def test_connections_that_were_reset_are_replaced(
    proxy: Proxy, far: Database, way: Way
) -> None:
    await way(far, "reset")
    proxy.reset()
    await asyncio.sleep(0.05)
    for _ in range(2):
        await way(far, "reset")
