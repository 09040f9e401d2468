"""Connections, and two of the three doors that commit.

``Database.transaction()`` is for one HTTP request (through ``web.deps``) or one item of a job.
``Database.one_statement()`` is for a hot path whose whole effect is a single statement, which
PostgreSQL commits by itself: it runs on a ``Pool`` of plain asyncpg connections, because on the hot
paths SQLAlchemy's execution layer costs two to three times the statement itself
(``docs/decisions/0002-hot-statements.md``).
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.domain.errors import Unavailable
from app.settings import DatabaseSettings
from app.store.pool import Pool, PoolExhausted
from app.store.together import Grouped, Together


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

    Args:
        planned_once: for long statements whose plan is the same whatever they are asked: PostgreSQL
            would otherwise plan them each time, as often as that seems to cost it less.
    """

    _NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")

    def __init__(self, sql: str, *, planned_once: bool = False) -> None:
        names: dict[str, int] = {}

        def position(match: re.Match[str]) -> str:
            return f"${names.setdefault(match[1], len(names) + 1)}"

        self.sql = self._NAME.sub(position, sql)
        self.names: tuple[str, ...] = tuple(names)
        self.planned_once = planned_once

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]


_NOTHING = Statement("SELECT")


def _timeouts(settings: DatabaseSettings) -> dict[str, str]:
    return {
        "application_name": "lianxin",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
        # A host that is gone without a word may leave a transaction open between two messages of
        # one statement, where the limits above do not count: the server finds out in 25 s.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


def _patience_s(settings: DatabaseSettings) -> float:
    """How long to wait for the answer to one command. The server gives up first, unless it, or the
    line to it, is silent: then nobody but us ends the waiting."""
    return settings.statement_timeout_ms / 1000 + 0.5


def _find_broken(context: ExceptionContext) -> ConnectionError | None:
    """Let the engine drop a connection when the driver gave up waiting, or met the server's
    farewell when it was about to speak: a rollback would wait for an answer as long again."""
    error = context.original_exception
    silent = isinstance(error, TimeoutError)
    confused = isinstance(error.__cause__, asyncpg.InternalClientError)
    context.is_disconnect = context.is_disconnect or silent or confused
    return ConnectionError("a connection was lost") if confused else None


def _refuse_closed(connection: Any, *_: object) -> None:
    """Hand out no connection that the server has closed. Costs nothing, where a ping costs three
    round trips, and on a silent line twice the wait for an answer."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _end_at_once(connection: Any, *_: object) -> None:
    """Else the engine would first say goodbye, for seconds, to somebody who may not hear."""
    connection.driver_connection.terminate()


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
            connect_args={
                "server_settings": _timeouts(settings),
                "timeout": 5,
                "command_timeout": _patience_s(settings),
            },
        )
        event.listen(self.engine.sync_engine, "handle_error", _find_broken, retval=True)
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)
        event.listen(self.engine.sync_engine, "close", _end_at_once)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._pool: Pool | None = None
        self._together = Together(self._fetch)

    async def open(self) -> None:
        """Raises: OSError, asyncpg.PostgresError: the database cannot be reached."""
        self._pool = Pool(self._connect, self._settings.pool_size)
        await self.rows(_NOTHING)

    async def close(self) -> None:
        await self._together.close()
        if self._pool is not None:
            await self._pool.close(timeout_s=5)
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
        rows = await self.rows(statement, **values)
        return rows[0] if rows else None

    async def rows(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Run one read and return all its rows. Raises: DatabaseBusy."""
        arguments = statement.arguments(values)
        return await self._fetch(statement.sql, arguments, planned_once=statement.planned_once)

    async def together(self, statement: Grouped, **values: Any) -> list[asyncpg.Record]:
        """Run one read, along with others who ask the same now. Raises: DatabaseBusy."""
        return await self._together.ask(statement, values)

    async def _fetch(
        self, sql: str, arguments: Sequence[Any], *, planned_once: bool = False
    ) -> list[asyncpg.Record]:
        if self._pool is None:
            raise RuntimeError("Database.open() was not called")
        try:
            wait_s = self._settings.acquire_timeout_s
            return await self._pool.fetch(sql, arguments, wait_s, planned_once=planned_once)
        except PoolExhausted:
            raise DatabaseBusy(retry_after_s=1) from None
        except asyncpg.InternalClientError as error:  # see _find_broken
            raise ConnectionError("a connection was lost") from error

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self.url,
            server_settings=_timeouts(self._settings),
            timeout=5,
            command_timeout=_patience_s(self._settings),
        )
