"""One moment of the database, read by many statements, for as long as it takes.

Figures and the rows behind them must agree to the last row while requests keep coming in. A
``Moment`` is a read-only REPEATABLE READ transaction on a connection of its own: it takes none from
the pools and is not under their short time-outs. It holds back the clean-up of dead rows while it
lasts, so it is for minutes, not hours.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.store.session import Database, Statement
from app.store.together import Together

_PATIENCE_S = 600  # of one statement


class Moment(Database):
    """Only for reading: what asks a ``Database`` for rows gets them as of one moment."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._together = Together(self._fetch)

    async def stream(
        self, statement: Statement, *, at_once: int, **values: Any
    ) -> AsyncIterator[list[asyncpg.Record]]:
        """The rows of one read, ``at_once`` at a time; the server keeps the rest."""
        cursor = await self._connection.cursor(statement.sql, *statement.arguments(values))
        while rows := await cursor.fetch(at_once):
            yield rows

    async def _fetch(
        self,
        sql: str,
        arguments: Sequence[Any],
        *,
        planned_once: bool = False,  # noqa: ARG002 - nothing is asked twice here
    ) -> list[asyncpg.Record]:
        return await self._connection.fetch(sql, *arguments)


@asynccontextmanager
async def one_moment(db: Database) -> AsyncIterator[Moment]:
    """What ``db`` holds now, until the end of the block."""
    patience_ms = str(_PATIENCE_S * 1000)
    connection = await asyncpg.connect(
        db.url,
        timeout=5,
        command_timeout=_PATIENCE_S + 1,
        server_settings={
            "application_name": "lianxin moment",
            "timezone": "UTC",
            "jit": "off",
            "statement_timeout": patience_ms,
            "idle_in_transaction_session_timeout": patience_ms,
        },
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield Moment(connection)
    finally:
        connection.terminate()
