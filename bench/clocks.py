"""Clocks and jobs: how fast what is due is told of, and what a sweeper costs that finds nothing.

The real jobs (``app.wiring``) in processes of their own, on a database of their own. After each
sweep it is counted that every rung was told once, whoever told it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self, TypeVar

import asyncpg

from bench import pending
from bench.fire import Misfire
from bench.ground import Ground
from bench.helper import Helper
from bench.people import People

SWEEP_ONE, SWEEP_TWO = "sweep, 1 process", "sweep, 2 processes"
MOVES = "automatic steps (signed by itself)"
DELIVER_SUBMISSIONS, DELIVER_CLOCKS = "deliver submissions", "deliver clocks' rungs"
_DATABASE = "clocks"
_TICKS = 500
_MOVED = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """One job at work. Processor times are for each thing done, in µs; ``messages`` it wrote."""

    per_s: float
    done: int
    server_us: float
    database_us: float
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Night:
    """One round: the jobs by name, and what a sweep costs that finds nothing due."""

    turns: dict[str, Turn]
    idle_tick_us: float
    pending: int


class Sweeper(Helper):
    """A process of ``bench.sweeper``."""

    def __init__(self, ground: Ground) -> None:
        folder = ground.folder / "sweepers"
        folder.mkdir(exist_ok=True)
        super().__init__("bench.sweeper")
        self.say(
            {"url": ground.url(_DATABASE), "secret_key": ground.secret_key, "data": str(folder)}
        )
        self.hear()

    def order(self, job: str, times: int = 1) -> None:
        self.say({"job": job, "times": times, "now": pending.NOW.isoformat()})


class Clocks(AbstractContextManager["Clocks"]):
    """A database full of clocks and two sweepers; ``night()`` is one round of everything."""

    def __init__(
        self,
        ground: Ground,
        people: People,
        *,
        clock_count: int,
        due_count: int,
        say: Callable[[str], None],
    ) -> None:
        self._ground = ground
        self._clocks, self._due = clock_count, due_count
        self._events = max(1, due_count // 5)
        self._open = ExitStack()
        say(f"filling {clock_count:,} clocks, {due_count:,} of them due")
        ground.copy_city(_DATABASE)
        ground.fill(_DATABASE, clock_count // 2, people, closed_share=0.0)
        self._admin(lambda it: pending.fill(it, clock_count=clock_count, due_count=due_count))
        found = self._tally()
        if (found["due"], found["due"] + found["pending"]) != (due_count, clock_count):
            raise Misfire(f"not the clocks that were to be filled in: {found}")
        self._signed = found["signed"]
        self._sweepers = [self._open.enter_context(Sweeper(ground)) for _ in range(2)]
        self._sweepers[0].order("sweep_clocks")  # the first of all: statements are prepared
        self._sweepers[0].hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def night(self) -> Night:
        """Raises: Misfire: something was told twice, or not at all."""
        turns = {SWEEP_ONE: self._sweep(1), SWEEP_TWO: self._sweep(2)}
        one = self._sweepers[0]
        one.order("sweep_clocks", _TICKS)
        idle_tick_us = median(one.hear()["times_s"]) * 1e6
        idle_at = self._tally()["pending"]
        turns[DELIVER_CLOCKS] = self._deliver(self._keep_some)
        turns[DELIVER_SUBMISSIONS] = self._deliver(pending.submit)
        turns[MOVES] = self._move()
        return Night(turns, idle_tick_us, idle_at)

    def _sweep(self, processes: int) -> Turn:
        self._admin(pending.reset)
        turn = self._run("sweep_clocks", processes, self._due)
        found = self._tally()
        after = [found[what] for what in ("fires", "outbox", "told", "due")]
        if after != [self._due, self._due, self._due, 0]:
            raise Misfire(f"{self._due} rungs were due, and afterwards there is {found}")
        return turn

    def _deliver(self, write: Callable[[asyncpg.Connection, int], Awaitable[None]]) -> Turn:
        self._admin(lambda it: write(it, self._events))
        before = self._tally()
        turn = self._run("deliver_outbox", 1, self._events)
        found = self._tally()
        self._admin(pending.forget)
        if before["outbox"] != self._events or found["outbox"]:
            raise Misfire(f"{self._events} events were to be told: {before}, then {found}")
        messages = found["messages"] - before["messages"]
        return Turn(turn.per_s, turn.done, turn.server_us, turn.database_us, messages)

    @staticmethod
    async def _keep_some(admin: asyncpg.Connection, count: int) -> None:
        await admin.execute(
            "DELETE FROM outbox WHERE id NOT IN (SELECT id FROM outbox ORDER BY id LIMIT $1)", count
        )

    def _move(self) -> Turn:
        self._admin(lambda it: pending.leave_unsigned(it, _MOVED))
        turn = self._run("sweep_clocks", 1, _MOVED)
        found = self._tally()
        self._signed += _MOVED
        if (found["signed"], found["due"]) != (self._signed, 0):
            raise Misfire(f"{self._signed} requests should be signed: {found}")
        return turn

    def _run(self, job: str, processes: int, done: int) -> Turn:
        """Let so many processes do one job together, from the word go until the last is done."""
        sweepers = self._sweepers[:processes]
        database_us = self._ground.database_used_us()
        began = time.perf_counter()
        for sweeper in sweepers:
            sweeper.order(job)
        used_s = sum(sweeper.hear()["used_s"] for sweeper in sweepers)
        took_s = time.perf_counter() - began
        database_us = self._ground.database_used_us() - database_us
        return Turn(done / took_s, done, used_s * 1e6 / done, database_us / done)

    def _tally(self) -> dict[str, int]:
        return self._admin(pending.tally)

    def _admin(self, do: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await asyncpg.connect(self._ground.admin_url(_DATABASE))
            try:
                return await do(connection)
            finally:
                await connection.close()

        return asyncio.run(run())


def medians(nights: Sequence[Night]) -> dict[str, Turn]:
    """Field by field, over the rounds."""
    return {
        name: Turn(
            *(
                median(getattr(night.turns[name], field) for night in nights)
                for field in ("per_s", "done", "server_us", "database_us", "messages")
            )
        )
        for name in (nights[0].turns if nights else ())
    }
