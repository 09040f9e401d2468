"""The proxy does what it says: what it loses was committed, and its client does not know."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.faults.proxy import Command, Loss, Proxy

_LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError)
_COUNT = "SELECT count(*) FROM marks WHERE word = $1"


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    direct = await asyncpg.connect(database_url)
    await direct.execute("CREATE TABLE IF NOT EXISTS marks (word text)")
    await direct.close()
    async with Proxy(database_url) as proxy:
        yield proxy


async def marks(database_url: str, word: str) -> int:
    direct = await asyncpg.connect(database_url)
    try:
        return int(await direct.fetchval(_COUNT, word))
    finally:
        await direct.close()


async def test_it_is_a_plain_line_when_nothing_is_chosen(proxy: Proxy, database_url: str) -> None:
    seen: list[Command] = []
    proxy.choose = seen.append  # type: ignore[assignment]
    connection = await asyncpg.connect(proxy.url)
    assert await connection.fetchval("SELECT $1::int + 1", 41) == 42
    assert len(await connection.fetch("SELECT repeat('x', 5000) FROM generate_series(1, 99)")) == 99
    async with connection.transaction():
        await connection.execute("INSERT INTO marks VALUES ('plain')")
        await connection.execute("INSERT INTO marks VALUES ($1)", "plain")
    await connection.close()
    assert await marks(database_url, "plain") == 2
    assert [command.sql.split()[0] for command in seen] == ["SELECT", "SELECT", "COMMIT;"]
    assert [sql.split()[0] for sql in seen[-1].before] == ["INSERT", "INSERT"]


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("in_transaction", [True, False])
async def test_a_lost_reply_is_of_something_that_was_committed(
    proxy: Proxy, database_url: str, loss: Loss, in_transaction: bool
) -> None:
    word = f"{loss} {in_transaction}"

    def choose(command: Command) -> Loss | None:
        return loss if in_transaction is command.is_commit else None

    async def mark() -> None:
        if in_transaction:
            async with connection.transaction():
                await connection.execute("INSERT INTO marks VALUES ($1)", word)
        else:
            await connection.execute("INSERT INTO marks VALUES ($1)", word)

    connection = await asyncpg.connect(proxy.url)
    proxy.choose = choose
    with pytest.raises(_LOST):
        await asyncio.wait_for(mark(), 0.5)
    connection.terminate()
    while proxy.counts.lost[loss] == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await marks(database_url, word) == 1


async def test_what_the_server_refused_is_not_counted_as_lost(proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.url)
    proxy.choose = lambda command: Loss.SWALLOW if "INSERT" in command.sql else None
    with pytest.raises(_LOST):
        await connection.execute("INSERT INTO marks SELECT (1 / $1::int)::text", 0)
    connection.terminate()
    assert proxy.counts.failed == 1
    assert sum(proxy.counts.lost.values()) == 0


async def test_a_reset_ends_every_connection_and_a_new_one_works(proxy: Proxy) -> None:
    connections = [await asyncpg.connect(proxy.url) for _ in range(3)]
    assert proxy.reset() == 3
    for connection in connections:
        with pytest.raises(_LOST):
            await connection.fetchval("SELECT 1")
        connection.terminate()
    connection = await asyncpg.connect(proxy.url)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_nothing_passes_a_black_hole_and_afterwards_it_does(proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.url)
    async with proxy.black_hole():
        waiting = asyncio.create_task(connection.fetchval("SELECT 1"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        with pytest.raises(_LOST):
            await asyncpg.connect(proxy.url, timeout=0.2)
    assert await waiting == 1
    await connection.close()
