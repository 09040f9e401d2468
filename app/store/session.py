"""Connections, and two of the three doors that commit.

``Database.transaction()`` is for one HTTP request (through ``web.deps``) or one item of a job.
``Database.one_statement()`` is for a hot path whose whole effect is a single statement, which
PostgreSQL commits by itself: it runs on a pool of plain asyncpg connections, because on the hot
paths SQLAlchemy's execution layer costs two to three times the statement itself
(``docs/decisions/0002-hot-statements.md``).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.domain.errors import Unavailable
from app.settings import DatabaseSettings


class Columns(Protocol):
    """A row, however it was read: its values by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...


class DatabaseBusy(Unavailable):
    """系统繁忙，请稍后再试。"""

    code = "overloaded"


class Statement:
    """SQL with ``:name`` parameters, turned once into PostgreSQL's positional ones.

    Build it at import (or cache it): asyncpg keeps the prepared statement by its text. A ``::type``
    cast is left alone.
    """

    _NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")

    def __init__(self, sql: str) -> None:
        names: dict[str, int] = {}

        def position(match: re.Match[str]) -> str:
            return f"${names.setdefault(match[1], len(names) + 1)}"

        self.sql = self._NAME.sub(position, sql)
        self.names: tuple[str, ...] = tuple(names)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]


class _PlainConnection(asyncpg.Connection):
    """A connection that is handed on without the pool's reset query.

    Safe because nothing run here sets session state: no SET, no advisory session lock, no LISTEN.
    """

    def get_reset_query(self) -> str:
        return ""


def _timeouts(settings: DatabaseSettings) -> dict[str, str]:
    return {
        "application_name": "lianxin",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
    }


class Database:
    """The connections of one process. ``open()`` before use, ``close()`` at the end."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        """Args: ``url`` as libpq writes it, ``postgresql://user:password@host/name?host=socket``."""
        self.url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._settings = settings
        self.engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=settings.session_pool_size,
            max_overflow=0,
            pool_timeout=settings.acquire_timeout_s,
            pool_pre_ping=True,
            connect_args={"server_settings": _timeouts(settings), "timeout": 5},
        )
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=1,
            max_size=self._settings.pool_size,
            connection_class=_PlainConnection,
            max_inactive_connection_lifetime=0,  # a new connection costs milliseconds
            server_settings=_timeouts(self._settings),
            timeout=5,
            command_timeout=self._settings.statement_timeout_ms / 1000 + 2,
        )

    async def close(self) -> None:
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), timeout=5)
            except TimeoutError:
                self._pool.terminate()
        await self.engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: commits on return, rolls back on raise."""
        async with self.sessions.begin() as session:
            yield session

    async def one_statement(self, statement: Statement, **values: Any) -> asyncpg.Record | None:
        """Run one self-committing statement (or read) and return its first row.

        Raises:
            DatabaseBusy: no connection became free in time.
        """
        arguments = statement.arguments(values)
        async with self._connection() as connection:
            return await connection.fetchrow(statement.sql, *arguments)

    async def rows(self, statement: Statement, **values: Any) -> Sequence[asyncpg.Record]:
        """Run one read and return all its rows. Raises: DatabaseBusy."""
        arguments = statement.arguments(values)
        async with self._connection() as connection:
            return await connection.fetch(statement.sql, *arguments)

    @asynccontextmanager
    async def _connection(
        self,
    ) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
        if self._pool is None:
            raise RuntimeError("Database.open() was not called")
        try:
            connection = await self._pool.acquire(timeout=self._settings.acquire_timeout_s)
        except TimeoutError:
            raise DatabaseBusy(retry_after_s=1) from None
        try:
            yield connection
        finally:
            await self._pool.release(connection)
