"""What one process tells the others: `LISTEN/NOTIFY`, and snapshots that follow it.

A ``Snapshot`` is a slow-changing part of the database held in memory (polygons, rules, calendars).
Whoever changes such a part calls ``announce`` in the same transaction; every process then loads it
anew. After a lost connection everything is loaded anew, because a notice may have been missed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Unavailable
from app.store.session import Database

_CHANNEL = "lianxin"
_RETRY_S = 1.0
_PULSE_S = 10.0
# Whatever a database that is away, or busy, can do to us; snapshots are loaded by either road.
_LOST = (
    OSError,
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    Unavailable,
)
_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Snapshot(Generic[T]):
    """The newest loaded value of ``topic``; ``current`` is safe to keep for one request."""

    def __init__(self, topic: str, load: Callable[[Database], Awaitable[T]]) -> None:
        self.topic = topic
        self._load = load
        self._value: T | None = None

    @property
    def current(self) -> T:
        if self._value is None:
            raise RuntimeError(f"snapshot {self.topic!r} was not loaded")
        return self._value

    async def refresh(self, db: Database) -> None:
        self._value = await self._load(db)


async def announce(session: AsyncSession, topic: str) -> None:
    """Tell every process, when this transaction commits, that ``topic`` has changed."""
    await session.execute(
        text("SELECT pg_notify(:channel, :topic)"), {"channel": _CHANNEL, "topic": topic}
    )


class Follower:
    """Keeps a process's snapshots fresh. ``start()`` loads all of them before it returns.

    Args:
        pulse_s: after so much silence the connection is asked whether it still is one, and has as
            long to answer: a line that was cut without a word looks just as quiet.
    """

    def __init__(
        self, db: Database, snapshots: list[Snapshot[object]], *, pulse_s: float = _PULSE_S
    ) -> None:
        self._db = db
        self._pulse_s = pulse_s
        self._snapshots = {snapshot.topic: snapshot for snapshot in snapshots}
        self._stale: set[str] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listening = asyncio.Event()
        self._task = asyncio.create_task(self._follow(listening), name="notices")
        waiting = asyncio.create_task(listening.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self, listening: asyncio.Event) -> None:
        while True:
            try:
                await self._listen(listening)
            except _LOST as error:
                if not listening.is_set():
                    raise
                _log.warning("notices_lost", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)

    async def _listen(self, listening: asyncio.Event) -> None:
        connection = await asyncpg.connect(self._db.url, timeout=5)
        try:
            connection.add_termination_listener(lambda _: self._woken.set())
            await connection.add_listener(_CHANNEL, self._hear)
            self._stale.update(self._snapshots)
            while not connection.is_closed():
                self._woken.clear()
                while self._stale:
                    topic = self._stale.pop()
                    try:
                        await self._snapshots[topic].refresh(self._db)
                    except BaseException:
                        self._stale.add(topic)
                        raise
                listening.set()
                try:
                    await asyncio.wait_for(self._woken.wait(), self._pulse_s)
                except TimeoutError:
                    await connection.fetchval("SELECT 1", timeout=self._pulse_s)
            raise ConnectionError("the listening connection was closed")
        finally:
            await connection.close(timeout=2)

    def _hear(self, _connection: object, _pid: int, _channel: str, topic: object) -> None:
        if isinstance(topic, str) and topic in self._snapshots:
            self._stale.add(topic)
            self._woken.set()
