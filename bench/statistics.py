"""What an auditor asks, over a made-up year: of the service, of the requests, and as plain SQL."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import httpx
from pydantic import SecretStr
from rich.console import Console

from app.cli import city_year, founding
from app.cli.migrate import config_of
from app.cli.place import Keys
from app.domain.measures import CURRENT_WEIGHTS, DEFINITIONS, Measure, Unit
from app.settings import DatabaseSettings, Settings
from app.statistics import counting, rollup_making, rollups
from app.statistics.members import Part
from app.statistics.questions import Query, Tallies, Tally
from app.store.embedded import EmbeddedPostgres
from app.store.session import Database, Statement
from app.tables import metadata
from bench import at_work, door, people
from bench.at_work import PATIENT, AtWork
from bench.door import Door, Heard
from bench.people import Caller
from bench.questions import QUESTIONS, YEAR, Cell, Question, path_of
from bench.servers import Service

QUERY_MS = {396_000: 50.0, 4_000_000: 100.0}
LOAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Timed:
    """Medians in ms. ``auditor``: with what is too small to be told found out and hidden.

    ``kb`` and ``figures``: of the auditor's answer, and how many figures it has. ``requests_ms``,
    ``plain_ms`` None: nobody asked so. ``summed``: sums tell it. ``same``: both ways of counting,
    and the list behind a figure, said the same; None: nothing was compared.
    """

    name: str
    auditor_ms: float
    supervisor_ms: float
    kb: float
    figures: int
    requests_ms: float | None
    plain_ms: float | None
    summed: bool
    same: bool | None


@dataclass(frozen=True, slots=True)
class Result:
    rows: int
    load_s: float
    sums_s: float
    queries: tuple[Timed, ...]
    at_work: AtWork


def measure(rows: int, *, folder: Path | None, say: Callable[[str], object]) -> Result:
    """On a PostgreSQL and a service of its own, which are gone afterwards.

    Raises: Misfire: an answer was no 200.
    """
    with (
        tempfile.TemporaryDirectory(prefix="lianxin-bench-", dir=folder) as place,
        ExitStack() as on,
    ):
        server = EmbeddedPostgres(Path(place) / "database")
        on.callback(server.stop)
        server.start()
        data = Path(place) / "service"
        data.mkdir(mode=0o700)
        asyncio.run(_make_city(server.url, data))
        began = time.perf_counter()
        city_year.fill(Settings(), server.url, YEAR, rows, seed=1)
        load_s = time.perf_counter() - began
        say(f"a year of {rows:,} requests loaded in {load_s:.0f} s")
        sums_s = asyncio.run(_make_sums(server.url))
        say(f"sums made from scratch in {sums_s:.0f} s")
        service = on.enter_context(Service(data, database_url=server.url, workers=1))
        auditor, supervisor = _log_in(service)
        with (
            _Count(server.url) as count,
            Door(service.port, auditor) as blind,
            Door(service.port, supervisor) as seeing,
        ):
            queries = tuple(_time(it, blind, seeing, count) for it in QUESTIONS)
            say("every question asked; now while others write")
            rest_ms = {it.name: it.auditor_ms for it in queries}
            worked = at_work.measure(server.url, blind, rest_ms, say=say)
        return Result(rows, load_s, sums_s, queries, worked)


async def _make_city(url: str, data: Path) -> None:
    """The demo city with its accounts, as ``lianxin serve`` makes it."""
    db, now = Database(url, DatabaseSettings()), datetime.now(UTC)
    async with db.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await founding.seed_city(db, Settings(data=data), Keys.of(data, SecretStr("")), now=now)
    await db.close()
    # Else the service would make the tables.
    await asyncio.to_thread(alembic.command.stamp, config_of(url), "head")


async def _make_sums(url: str) -> float:
    """How long it took, in seconds."""
    db, began, made = Database(url, PATIENT), time.perf_counter(), 1
    while made:
        async with db.transaction() as session:
            made = await rollup_making.refresh(session, now=datetime.now(UTC))
    await db.close()
    return time.perf_counter() - began


def _log_in(service: Service) -> list[Caller]:
    """An auditor and a supervisor."""
    service.wait_until_ready()
    logins = json.loads((service.data / "demo.json").read_text())["logins"]
    base_url = f"http://127.0.0.1:{service.port}"
    with httpx.Client(base_url=base_url, timeout=30, trust_env=False) as http:
        by_role = {it["role"]: it for it in logins}
        return list(people.staff(http, [by_role["auditor"], by_role["supervisor"]]))


# --- timing --------------------------------------------------------------------------------------


class _Count(ExitStack):
    """Counting in process, without the service; each query once, however many questions have it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        runner = self.enter_context(asyncio.Runner())
        self._run = runner.run
        self._db = Database(url, PATIENT)
        self._run(self._db.open())
        self.callback(lambda: self._run(self._db.close()))
        self._known: dict[Query, tuple[float, Tallies]] = {}

    def requests(self, query: Query) -> tuple[float, Tallies]:
        if query not in self._known:
            now = datetime.now(UTC)
            self._known[query] = door.timed(
                lambda: self._run(counting.tallies(self._db, query, now=now))
            )
        return self._known[query]

    def plain_ms(self, question: Question) -> float:
        query, statement = question.queries[0], Statement(question.plain)
        values = {"since": query.since, "until": query.until}
        return door.timed(lambda: self._run(self._db.rows(statement, **values)))[0]


def _time(question: Question, blind: Door, seeing: Door, count: _Count) -> Timed:
    path = question.path
    if question.further:
        path += f"&cursor={seeing.must(path).json['next_cursor']}"
    auditor_ms, told = door.timed(lambda: blind.must(path))
    supervisor_ms, shown = door.timed(lambda: seeing.must(path))
    requests_ms, equal = None, None
    if question.queries:
        counted = [count.requests(query) for query in question.queries]
        requests_ms = sum(ms for ms, _ in counted)
        query, tallies = question.queries[0], counted[0][1]
        if question.cell is None:
            equal = same(told, tallies) and same(shown, tallies, all_told=True)
        else:
            figure = seeing.must(path_of(query))
            number = _number(figure, question.cell)
            equal = (
                same(figure, tallies, all_told=True)
                and shown.total == number
                and told.total in (number, None)
            )
    return Timed(
        name=question.name,
        auditor_ms=auditor_ms,
        supervisor_ms=supervisor_ms,
        kb=len(told.body) / 1_000,
        figures=sum(1 for _ in _cells(told.json)),
        requests_ms=requests_ms,
        plain_ms=count.plain_ms(question) if question.plain else None,
        summed=all(map(rollups.covers, question.queries)),
        same=equal,
    )


def _cells(told: Any) -> Iterator[dict[str, Any]]:
    """Every figure of an answer, whatever its form."""
    if isinstance(told, list):
        for it in told:
            yield from _cells(it)
    elif isinstance(told, dict):
        if {"value", "suppressed"} <= told.keys():
            yield told
        else:
            yield from _cells(list(told.values()))


def _rows(told: Any) -> Sequence[dict[str, Any]]:
    return [told["total"], *told["subtotals"], *told["groups"]]


def same(heard: Heard, counted: Tallies, *, all_told: bool = False) -> bool:
    """Whether the answer has exactly the groups that were counted, and their figures.

    Args:
        all_told: nothing may be hidden.
    """
    rows = _rows(heard.json)
    return [tuple(row["keys"]) for row in rows] == list(counted.keys) and all(
        not all_told if cell["suppressed"] else _agrees(cell, code, counted, row["keys"])
        for row in rows
        for code, cell in row["figures"].items()
    )


def _agrees(cell: dict[str, Any], code: str, counted: Tallies, keys: list[str | None]) -> bool:
    measure = Measure(code)
    if measure is Measure.COMPOSITE:  # put together from others
        return True
    tally = counted.of(tuple(keys), measure)
    unit = DEFINITIONS[measure].unit
    return (
        abs(cell["num"] - _num(tally)) < 1e-6
        and cell["excluded"] in (tally.cohort - tally.den, None)
        and (unit is Unit.PER_1000 or cell["den"] == tally.den)  # people
        and (unit is not Unit.HOURS or cell["value"] == tally.middle)
    )


def _num(tally: Tally) -> float:
    return tally.num - tally.half * (1 - CURRENT_WEIGHTS.partly_solved)


def _number(heard: Heard, cell: Cell) -> int:
    """Of the figure that was opened: how many requests it says there are."""
    rows = _rows(heard.json)
    figures = next(row["figures"] for row in rows if tuple(row["keys"]) == cell.keys)
    names = {Part.NUM: "num", Part.DEN: "den", Part.EXCLUDED: "excluded"}
    return int(figures[cell.measure][names[cell.part]])


# --- telling -------------------------------------------------------------------------------------


def show(console: Console, result: Result) -> None:
    target = next((it for rows, it in QUERY_MS.items() if result.rows <= rows), None)
    table = at_work.told_in(
        f"figures over a year of {result.rows:,} requests, ms",
        *("auditor", "supervisor", "kB", "figures", "from\nrequests", "plain\nSQL", "same"),
        target=target,
    )
    for timed in result.queries:
        table.add_row(
            timed.name if timed.summed else f"{timed.name} (no sums)",
            f"{timed.auditor_ms:.1f}",
            f"{timed.supervisor_ms:.1f}",
            f"{timed.kb:,.1f}",
            f"{timed.figures:,}" if timed.figures else "",
            "" if timed.requests_ms is None else f"{timed.requests_ms:,.1f}",
            "" if timed.plain_ms is None else f"{timed.plain_ms:,.1f}",
            {True: "yes", False: "NO", None: ""}[timed.same],
            at_work.judged([timed.auditor_ms], target),
        )
    console.print(table)
    at_work.show(console, result.at_work, target)
    console.print(
        f"loaded in {result.load_s:.0f} s (≤ {LOAD_S:.0f} for 396,000),"
        f" sums from scratch in {result.sums_s:.0f} s"
    )


def as_json(result: Result) -> dict[str, Any]:
    return asdict(result)
