"""Plain connections for statements that stand alone, handed on as they come back.

asyncpg's own pool resets, wraps and supervises each connection it lends, which costs as much as a
small statement. Nothing of that is needed here: what runs is one statement that commits by itself
and leaves no state behind; how its plan is to be made, the connection's keeper remembers. A
connection whose statement was cut off in the middle (cancelled, timed out, network) is thrown away.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

_END_S = 2.0
_MOST_PREPARED = 100  # of one connection; each costs the server memory


class PoolExhausted(Exception):
    """No connection became free in time."""


class _Line:
    """One connection and the statements prepared on it, the latest used last."""

    __slots__ = ("_planned_once", "connection", "prepared")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}
        self._planned_once = False

    async def fetch(
        self, sql: str, arguments: Sequence[Any], *, planned_once: bool
    ) -> list[asyncpg.Record]:
        if planned_once is not self._planned_once:
            mode = "force_generic_plan" if planned_once else "auto"
            await self.connection.execute(f"SET plan_cache_mode = {mode}")
            self._planned_once = planned_once
        prepared = self.prepared.pop(sql, None)
        if prepared is None:
            if len(self.prepared) >= _MOST_PREPARED:
                del self.prepared[next(iter(self.prepared))]
            prepared = await self.connection.prepare(sql)
        self.prepared[sql] = prepared
        try:
            return await prepared.fetch(*arguments)
        except asyncpg.InvalidCachedStatementError:  # a migration came; it did not run
            self.prepared[sql] = prepared = await self.connection.prepare(sql)
            return await prepared.fetch(*arguments)


class Pool:
    """At most ``size`` connections, opened when they are first needed."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], size: int) -> None:
        self._connect = connect
        self._room = size
        self._free: list[_Line] = []
        self._lent: set[_Line] = set()
        self._waiting: deque[asyncio.Future[_Line | None]] = deque()
        self._ending: set[asyncio.Future[None]] = set()
        self._closed = False

    async def fetch(
        self, sql: str, arguments: Sequence[Any], wait_s: float, *, planned_once: bool = False
    ) -> list[asyncpg.Record]:
        """Run one statement and return its rows; for ``planned_once`` see ``Statement``.

        Raises: PoolExhausted: no connection became free within ``wait_s``.
        """
        line = self._one_at_hand() or await self._another(wait_s)
        self._lent.add(line)
        good = False
        try:
            rows = await line.fetch(sql, arguments, planned_once=planned_once)
            good = True
            return rows
        except asyncpg.PostgresError:  # the statement failed, the connection is good
            good = not line.connection.is_closed()
            raise
        finally:
            self._lent.discard(line)
            if not good:
                self._end(line)
            self._pass_on(line if good else None)

    async def close(self, timeout_s: float) -> None:
        """End all connections; those lent out at once, the others politely."""
        self._closed = True
        for line in self._lent:
            line.connection.terminate()
        free, self._free = self._free, []
        ending = [line.connection.close(timeout=timeout_s) for line in free]
        await asyncio.gather(*ending, *self._ending, return_exceptions=True)

    def _end(self, line: _Line) -> None:
        """Close a connection beside the caller: asyncpg first cancels what still runs on it."""
        task = asyncio.ensure_future(line.connection.close(timeout=_END_S))
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # it is closed one way or the other

    def _one_at_hand(self) -> _Line | None:
        while self._free:
            line = self._free.pop()
            if not line.connection.is_closed():
                return line
            self._pass_on(None)  # the server ended it
        return None

    async def _another(self, wait_s: float) -> _Line:
        """A new connection where there is room for one, else the next that comes back."""
        if self._room == 0:
            loop = asyncio.get_running_loop()
            coming: asyncio.Future[_Line | None] = loop.create_future()
            self._waiting.append(coming)
            # Half of all calls wait here when it is busy: a timer costs a fifth of asyncio.timeout.
            timer = loop.call_later(wait_s, _too_late, coming)
            try:
                line = await coming
            except BaseException:
                self._not_wanted(coming)
                raise
            finally:
                timer.cancel()
            if line is not None:
                return line
        else:
            self._room -= 1
        try:
            return _Line(await self._connect())
        except BaseException:
            self._pass_on(None)
            raise

    def _not_wanted(self, coming: asyncio.Future[_Line | None]) -> None:
        """Whoever waited has gone; what came at the same moment goes to the next."""
        if coming.done() and not coming.cancelled() and coming.exception() is None:
            self._pass_on(coming.result())

    def _pass_on(self, line: _Line | None) -> None:
        """Give a connection, or the room for one, to whoever waits longest."""
        while self._waiting:
            coming = self._waiting.popleft()
            if not coming.done():
                coming.set_result(line)
                return
        if line is None:
            self._room += 1
        elif self._closed:
            line.connection.terminate()
        else:
            self._free.append(line)


def _too_late(coming: asyncio.Future[_Line | None]) -> None:
    if not coming.done():
        coming.set_exception(PoolExhausted())
