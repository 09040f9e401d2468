"""Questions that are asked while the same question is under way travel together, in one statement.

To set out and come back costs a small read several times what its row costs: a system call and a
wake-up on both sides, a future, a plan to start. So while a statement is under way, whoever asks
the same of other values waits for it to come back, and then all of them go at once. Who asks alone
goes at once. A question is never answered by a statement that was sent before it was asked.
"""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg

_NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
MOST = 16  # that one statement answers: more would keep the event loop busy with their rows

Rows = list[asyncpg.Record]
Fetch = Callable[[str, Sequence[Any]], Awaitable[Rows]]
_Values = tuple[Any, ...]
_Asker = tuple[_Values, asyncio.Future[Rows]]


class Grouped:
    """A read for several askers. Build it once, like a ``Statement``.

    Args:
        sql: reads from ``{asked}``, which has a row for each asker; ``:name`` is that asker's
            value. What it returns has ``asked.place`` as ``place``, and keeps its order.
        kinds: the PostgreSQL type of each name.
    """

    def __init__(self, sql: str, kinds: Mapping[str, str]) -> None:
        self.names = tuple(dict.fromkeys(_NAME.findall(sql)))
        lists = ", ".join(f"${n}::{kinds[name]}[]" for n, name in enumerate(self.names, 1))
        columns = ", ".join((*self.names, "place"))
        asked = (
            f"unnest({lists}) WITH ORDINALITY AS asked ({columns})"
            if self.names
            else "(SELECT 1 AS place) AS asked"
        )
        self.sql = _NAME.sub(r"asked.\1", sql).replace("{asked}", asked)


class _Queue:
    """Of one statement: who waits, who is under way, and the task that drives, if there is one."""

    __slots__ = ("driver", "under_way", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Asker] = deque()
        self.under_way: list[_Asker] = []
        self.driver: asyncio.Task[None] | None = None

    def arrived(self, driver: asyncio.Task[None]) -> None:
        """However the drive ended, nobody is left behind. What it met is told to all: it was no
        connection, or no word from one, and who waited meanwhile waited as long."""
        error = None if driver.cancelled() else driver.exception()
        if error is None and not driver.cancelled():
            return
        self.driver = None
        for _, coming in (*self.under_way, *self.waiting):
            if error is None:
                coming.cancel()
            elif not coming.done():
                coming.set_exception(error)
        self.under_way = []
        self.waiting.clear()


class Together:
    """Of one process. ``fetch`` runs a statement; what it raises reaches those who asked."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._queues: dict[str, _Queue] = {}

    async def ask(self, statement: Grouped, values: Mapping[str, Any]) -> Rows:
        """The rows of this asker alone."""
        queue = self._queues.get(statement.sql)
        if queue is None:
            queue = self._queues[statement.sql] = _Queue()
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[Rows] = loop.create_future()
        queue.waiting.append((tuple(values[name] for name in statement.names), coming))
        if queue.driver is None:
            queue.driver = loop.create_task(self._drive(statement, queue))
            queue.driver.add_done_callback(queue.arrived)
        return await coming

    async def close(self) -> None:
        """Let nobody wait any longer."""
        drivers = [queue.driver for queue in self._queues.values() if queue.driver is not None]
        for driver in drivers:
            driver.cancel()
        await asyncio.gather(*drivers, return_exceptions=True)

    async def _drive(self, statement: Grouped, queue: _Queue) -> None:
        while queue.waiting:
            group = [queue.waiting.popleft() for _ in range(min(MOST, len(queue.waiting)))]
            queue.under_way = [asker for asker in group if not asker[1].done()]  # some have gone
            if queue.under_way:
                await self._answer(statement, queue.under_way)
        queue.under_way = []
        queue.driver = None

    async def _answer(self, statement: Grouped, group: Sequence[_Asker]) -> None:
        places = {values: place for place, values in enumerate(dict(group), 1)}
        lists = [list(column) for column in zip(*places, strict=True)]
        try:
            rows = await self._fetch(statement.sql, lists)
        except asyncpg.DataError as error:
            if len(group) > 1:  # one of them spoils it: each for itself
                for asker in group:
                    await self._answer(statement, [asker])
                return
            coming = group[0][1]
            if not coming.done():
                coming.set_exception(error)
        else:
            _hand_out(rows, places, group)


def _hand_out(rows: Rows, places: Mapping[_Values, int], group: Sequence[_Asker]) -> None:
    if len(places) == 1:
        for _, coming in group:
            if not coming.done():
                coming.set_result(rows)
        return
    own: list[Rows] = [[] for _ in range(len(places) + 1)]
    for row in rows:
        own[row["place"]].append(row)
    for values, coming in group:
        if not coming.done():
            coming.set_result(own[places[values]])
