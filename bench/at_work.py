"""The same questions while a city is at work: steps are taken that the sums do not know yet.

A step of a request leaves an entry in the audit, by which each question finds the cohorts whose
sums it may not use. What that costs depends on how large the audit is, how many steps there were
since the sums were looked at, and how old the requests were.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import asyncpg
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

from app.domain.working_time import SHANGHAI
from app.settings import DatabaseSettings
from app.statistics.spans import OVERLAP, TOUCHED
from app.store.session import Database, Statement
from bench import door
from bench.door import Door
from bench.fire import Misfire
from bench.helper import Helper
from bench.questions import SINCE, TYPICAL, UNTIL, YEAR

PATIENT = DatabaseSettings(statement_timeout_ms=900_000)
FIRST, PER_S = 400, 50
MOST_ENTRIES = 1_000_000
SEARCH = "search for touched requests alone"

AT_REST, AUDIT = "at rest", "with the audit"
LAST_MONTH, ALL_MONTHS = "last month touched", "all months touched"
_PERIODS = {
    LAST_MONTH: (datetime(YEAR, 12, 1, tzinfo=SHANGHAI), UNTIL),
    ALL_MONTHS: (SINCE, UNTIL),
}
_STEPS = "SELECT count(*), min(at), max(at) FROM request_events"
_ENTER = """
INSERT INTO audit_entries (chain, seq, at, actor_id, actor_role, action, facts, hash)
SELECT request_id, version, at, actor_id, actor_role, action, '{}', sha256(request_id::text::bytea)
FROM request_events WHERE at >= $1 ORDER BY at
"""
_SEARCH = Statement(TOUCHED)


@dataclass(slots=True)
class AtWork:
    """``ms``: by question, by what was going on; None: the service gave up. ``per_s``: how many
    steps a second there were meanwhile. ``same``: every answer was what it was at rest."""

    entries: int = 0
    ms: dict[str, dict[str, float | None]] = field(default_factory=dict)
    per_s: dict[str, float] = field(default_factory=dict)
    same: bool = True


def measure(
    url: str, blind: Door, rest_ms: Mapping[str, float], *, say: Callable[[str], object]
) -> AtWork:
    """On the year and its sums, which are not what they were afterwards.

    Args:
        rest_ms: what the questions took when nobody had written.
    """
    before = {it.name: blind.must(it.path).body for it in TYPICAL}
    worked = AtWork(ms={it.name: {AT_REST: rest_ms[it.name]} for it in TYPICAL})
    worked.ms[SEARCH] = {AT_REST: asyncio.run(_search_ms(url))}
    worked.entries = asyncio.run(_write_audit(url))
    say(f"an audit of {worked.entries:,} entries written")
    _ask(worked, AUDIT, url, blind, before)
    for name, period in _PERIODS.items():
        with Toucher(url, *period) as toucher:
            _ask(worked, name, url, blind, before)
            worked.per_s[name] = toucher.stop()
    return worked


def _ask(worked: AtWork, state: str, url: str, blind: Door, before: Mapping[str, bytes]) -> None:
    for question in TYPICAL:
        try:
            took_ms, heard = door.timed(partial(blind.must, question.path))
        except Misfire:  # it took longer than a statement may
            worked.ms[question.name][state] = None
            continue
        worked.ms[question.name][state] = took_ms
        worked.same &= heard.body == before[question.name]
    worked.ms[SEARCH][state] = asyncio.run(_search_ms(url))


async def _search_ms(url: str) -> float:
    db = Database(url, PATIENT)
    await db.open()
    try:
        times = []
        for _ in range(door.TURNS):
            began = asyncio.get_running_loop().time()
            await db.rows(_SEARCH, overlap=OVERLAP)
            times.append((asyncio.get_running_loop().time() - began) * 1_000)
        return sorted(times)[door.TURNS // 2]
    finally:
        await db.close()


async def _write_audit(url: str) -> int:
    """An entry for each made-up step, the newest where they are very many; how many.

    A made-up year has none (``statistics.city_loading``), a year that was lived has.
    """
    connection = await asyncpg.connect(url, command_timeout=3_600)
    try:
        [[steps, first, last]] = await connection.fetch(_STEPS)
        stretch = (last - first) * min(1.0, MOST_ENTRIES / steps)
        await connection.execute(_ENTER, last - stretch)
        await connection.execute("VACUUM (ANALYZE) audit_entries")
        return int(await connection.fetchval("SELECT count(*) FROM audit_entries"))
    finally:
        await connection.close()


class Toucher(Helper):
    """A process of ``bench.toucher``, which has touched its first requests when it is there."""

    def __init__(self, url: str, since: datetime, until: datetime) -> None:
        super().__init__("bench.toucher")
        asked = {"url": url, "since": since.isoformat(), "until": until.isoformat()}
        self.say({**asked, "first": FIRST, "per_s": PER_S})
        self.hear()

    def stop(self) -> float:
        """How many steps a second there were. Raises: Misfire."""
        self.say({})
        told = self.hear()
        return float(told["done"] / told["seconds"])


def show(console: Console, worked: AtWork, target: float | None) -> None:
    states = (AT_REST, AUDIT, *_PERIODS)
    table = told_in("the auditor's questions while others write, ms", *states, target=target)
    for name, ms in worked.ms.items():
        took = [ms[state] for state in states]
        table.add_row(
            name,
            *("no answer" if it is None else f"{it:,.1f}" for it in took),
            "" if name == SEARCH else judged(took, target),
        )
    console.print(table)
    speeds = " and ".join(f"{per_s:.0f}" for per_s in worked.per_s.values())
    console.print(
        f"{worked.entries:,} entries in the audit; {FIRST} steps before each of the last two"
        f" columns, {speeds} a second meanwhile; every answer as at rest:"
        f" {'yes' if worked.same else 'NO'}"
    )


def told_in(title: str, *columns: str, target: float | None) -> Table:
    """A table whose last column is for ``judged``."""
    table = Table(box=box.SIMPLE_HEAD, title=title)
    for column in ("", *columns, f"≤ {target:.0f}" if target else ""):
        justify: JustifyMethod = "right" if table.columns else "left"
        table.add_column(column, justify=justify, no_wrap=True)
    return table


def judged(took_ms: Sequence[float | None], target: float | None) -> str:
    if target is None:
        return ""
    return "✓" if all(it is not None and it <= target for it in took_ms) else "✗"
