"""``Database``: what a session is told at its start, and connections that the server has ended."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.settings import DatabaseSettings, Settings
from app.store.session import Database, Statement

_PID = Statement("SELECT pg_backend_pid() AS pid")
_LIMITS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    # 10 s of silence, then three times 5 s without an answer.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "jit": "off",
    "TimeZone": "UTC",
}


@pytest.fixture
async def single(settings: Settings) -> AsyncIterator[Database]:
    """One connection on each road."""
    assert settings.database_url
    db = Database(settings.database_url, DatabaseSettings(pool_size=1, session_pool_size=1))
    await db.open()
    yield db
    await db.close()


async def pid_of(db: Database, road: str) -> int:
    if road == "statement":
        row = await db.one_statement(_PID)
        assert row is not None
        return int(row["pid"])
    async with db.transaction() as session:
        return int((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())


ROADS = pytest.mark.parametrize("road", ["statement", "transaction"])


@ROADS
async def test_no_connection_may_wait_or_idle_for_ever(single: Database, road: str) -> None:
    asked = "SELECT name, source FROM pg_settings WHERE name = ANY(:names)"
    async with single.transaction() as session:
        rows = await session.execute(text(asked), {"names": list(_LIMITS)})
        sources = {row.name: row.source for row in rows}
        shown = {
            name: (await session.execute(text(f"SHOW {name}"))).scalar_one() for name in _LIMITS
        }
    if road == "statement":
        sources = {
            row["name"]: row["source"]
            for row in await single.rows(Statement(asked), names=list(_LIMITS))
        }
        shown = {name: (await single.rows(Statement(f"SHOW {name}")))[0][name] for name in _LIMITS}
    assert set(sources.values()) == {"client"}
    on_a_socket = {"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"}
    for name, value in _LIMITS.items():
        # Where there is no network the server shows 0.
        assert shown[name] == value or (name in on_a_socket and shown[name] == "0"), name


@ROADS
async def test_a_connection_that_the_server_ended_is_not_handed_out(
    single: Database, db: Database, road: str
) -> None:
    before = await pid_of(single, road)
    await db.one_statement(Statement("SELECT pg_terminate_backend(:pid)"), pid=before)
    async with asyncio.timeout(30):
        while await db.one_statement(  # noqa: ASYNC110
            Statement("SELECT FROM pg_stat_activity WHERE pid = :pid"), pid=before
        ):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # what it said on leaving has arrived
    assert await pid_of(single, road) != before


@ROADS
async def test_a_connection_in_order_is_used_again_and_not_asked_first(
    single: Database, road: str
) -> None:
    assert len({await pid_of(single, road) for _ in range(3)}) == 1


async def test_closing_waits_for_nobody(settings: Settings) -> None:
    assert settings.database_url
    db = Database(settings.database_url, DatabaseSettings())
    await db.open()
    for road in ("statement", "transaction"):
        await pid_of(db, road)
    began = time.monotonic()
    await db.close()
    assert time.monotonic() - began < 2
