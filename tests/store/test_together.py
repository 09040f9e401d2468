"""Reads that travel together: few statements, each asker its own rows, nobody waits for ever."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from app.store.session import Database
from app.store.together import MOST, Grouped, Together

SQUARE = Grouped(
    "SELECT asked.place, :n * :n AS square FROM {asked} WHERE :n > 0 ORDER BY asked.place",
    {"n": "int"},
)
TWICE = Grouped(
    "SELECT asked.place, of.n FROM {asked} CROSS JOIN LATERAL generate_series(1, :n) AS of (n)"
    " ORDER BY asked.place, of.n",
    {"n": "int"},
)
RATIO = Grouped("SELECT asked.place, 10 / :n AS ratio FROM {asked}", {"n": "int"})
NOW = Grouped("SELECT asked.place, pg_backend_pid() AS pid FROM {asked}", {})


class Counting:
    """Counts the statements that really go, and may hold them up."""

    def __init__(self, db: Database) -> None:
        self.sizes: list[int] = []
        self.together = Together(self._fetch)
        self._db = db
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def _fetch(self, sql: str, lists: Sequence[Any]) -> list[asyncpg.Record]:
        self.sizes.append(len(lists[0]) if lists else 0)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await self._db._fetch(sql, lists)


@pytest.fixture
def counting(db: Database) -> Counting:
    return Counting(db)


async def square(counting: Counting, n: int) -> int | None:
    rows = await counting.together.ask(SQUARE, {"n": n})
    return int(rows[0]["square"]) if rows else None


async def test_each_asker_gets_its_own_rows_in_their_order(db: Database) -> None:
    answers = await asyncio.gather(*(db.together(TWICE, n=n) for n in (3, 0, 1, 3)))
    assert [[row["n"] for row in rows] for rows in answers] == [[1, 2, 3], [], [1], [1, 2, 3]]


async def test_who_asks_while_a_statement_is_under_way_goes_with_the_next(
    counting: Counting,
) -> None:
    counting.gate.clear()
    askers = [asyncio.create_task(square(counting, n)) for n in range(1, 2 * MOST)]
    await asyncio.sleep(0)
    counting.gate.set()
    assert await asyncio.gather(*askers) == [n * n for n in range(1, 2 * MOST)]
    assert len(counting.sizes) <= 3
    assert max(counting.sizes) <= MOST


async def test_equal_questions_are_asked_once(counting: Counting) -> None:
    assert await asyncio.gather(*(square(counting, 7) for _ in range(10))) == [49] * 10
    assert counting.sizes == [1]


async def test_a_question_without_values_has_one_answer_for_all(db: Database) -> None:
    first, second = await asyncio.gather(db.together(NOW), db.together(NOW))
    assert first[0]["pid"] == second[0]["pid"]


async def test_a_question_asked_later_is_answered_by_a_later_statement(
    counting: Counting,
) -> None:
    counting.gate.clear()
    early = asyncio.create_task(square(counting, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert counting.sizes == [1]  # it has set out
    late = asyncio.create_task(square(counting, 2))
    await asyncio.sleep(0)
    counting.gate.set()
    assert await asyncio.gather(early, late) == [4, 4]
    assert counting.sizes == [1, 1]


async def test_whoever_leaves_spoils_nothing_for_the_others(counting: Counting) -> None:
    counting.gate.clear()
    askers = [asyncio.create_task(square(counting, n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    askers[0].cancel()
    askers[3].cancel()
    counting.gate.set()
    done = await asyncio.gather(*askers, return_exceptions=True)
    assert [it for it in done if isinstance(it, int)] == [4, 9, 25]


async def test_a_value_that_fails_fails_for_its_asker_alone(db: Database) -> None:
    answers = await asyncio.gather(
        *(db.together(RATIO, n=n) for n in (5, 0, 2)), return_exceptions=True
    )
    assert isinstance(answers[1], asyncpg.DivisionByZeroError)
    assert [rows[0]["ratio"] for rows in (answers[0], answers[2])] == [2, 5]  # type: ignore[index]
    mixed = await asyncio.gather(
        *(db.together(RATIO, n=n) for n in ("x", 1)), return_exceptions=True
    )
    assert isinstance(mixed[0], asyncpg.DataError)
    assert mixed[1][0]["ratio"] == 10  # type: ignore[index]


async def test_a_lost_connection_is_told_to_all_who_waited(counting: Counting) -> None:
    counting.error = ConnectionError("gone")
    counting.gate.clear()
    askers = [asyncio.create_task(square(counting, n)) for n in range(1, 2 * MOST)]
    await asyncio.sleep(0)
    counting.gate.set()
    done = await asyncio.gather(*askers, return_exceptions=True)
    assert {type(it) for it in done} == {ConnectionError}
    counting.error = None
    assert await square(counting, 3) == 9


async def test_closing_leaves_nobody_waiting(counting: Counting) -> None:
    counting.gate.clear()
    askers = [asyncio.create_task(square(counting, n)) for n in range(1, 2 * MOST)]
    await asyncio.sleep(0)
    await counting.together.close()
    done = await asyncio.gather(*askers, return_exceptions=True)
    assert {type(it) for it in done} == {asyncio.CancelledError}
