"""What an auditor asks, over a made-up year: from the sums, from the requests, and as plain SQL."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from app.cli import city_year
from app.domain.identity import SYSTEM, Actor, Role
from app.domain.measures import Measure
from app.domain.working_time import SHANGHAI
from app.grids import demo
from app.reference import seeds
from app.settings import DatabaseSettings, Settings
from app.statistics import counting, engine, members, queries, rollup_making, rollups
from app.statistics.dimensions import Dimension, Filters
from app.statistics.questions import Query
from app.statistics.schemas import GroupBy
from app.store.embedded import EmbeddedPostgres
from app.store.session import Database, Statement
from app.tables import metadata

YEAR = 2023
QUERY_MS = {396_000: 50.0, 4_000_000: 100.0}
LOAD_S = 60.0
_TURNS = 7
_SINCE = datetime(YEAR, 1, 1, tzinfo=SHANGHAI)
_UNTIL = datetime(YEAR + 1, 1, 1, tzinfo=SHANGHAI)
_MONTH = datetime(YEAR, 7, 1, tzinfo=SHANGHAI)
_MONTH_END = datetime(YEAR, 8, 1, tzinfo=SHANGHAI)
_ALL = Filters()
_ODD, _ODD_END = datetime(YEAR, 3, 5, tzinfo=SHANGHAI), datetime(YEAR, 8, 21, tzinfo=SHANGHAI)
_AUDITOR, _SUPERVISOR = (Actor(SYSTEM.id, role) for role in (Role.AUDITOR, Role.SUPERVISOR))
_SATISFIED = """count(*) FILTER (WHERE satisfaction >= 3) AS num, count(satisfaction) AS den
FROM requests WHERE submitted_at >= :since AND submitted_at < :until"""
_MONTHS = "to_char(submitted_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM')"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how somebody would write it who knows only the table.

    ``of``: the key of the group whose requests are listed; ``satisfaction``: how the older
    ``/statistics/satisfaction`` groups, which asks for itself what it needs.
    """

    name: str
    measures: tuple[Measure, ...] = ()
    group_by: tuple[Dimension, ...] = ()
    filters: Filters = _ALL
    since: datetime = _SINCE
    until: datetime = _UNTIL
    plain: str = ""
    of: str | None = None
    satisfaction: GroupBy | None = None

    @property
    def query(self) -> Query:
        return Query(self.measures, self.group_by, self.filters, self.since, self.until)

    async def ask(self, db: Database, actor: Actor, now: datetime) -> Any:
        """As the service does, from asking to figures."""
        if self.satisfaction is not None:
            period = (self.since, self.until)
            return await queries.satisfaction(db, period, self.satisfaction, actor=actor, now=now)
        if self.of is not None:
            return await members.members(
                db, self.query, self.measures[0], members.Part.NUM, (self.of,), actor=actor, now=now
            )
        return await engine.figures(db, self.query, actor=actor, now=now)


M, D = Measure, Dimension
_BY_UNIT = f"SELECT unit_code, {_SATISFIED} GROUP BY 1"
_LISTED = (
    "SELECT *, (SELECT count(*) FROM requests AS every WHERE every.unit_code = 'housing'"
    " AND every.satisfaction >= 3 AND every.submitted_at >= :since AND every.submitted_at < :until)"
    " FROM requests WHERE unit_code = 'housing' AND satisfaction >= 3 AND submitted_at >= :since"
    " AND submitted_at < :until ORDER BY submitted_at DESC, id DESC LIMIT 21"
)
ASKED = (
    Asked("four headline figures", (M.RECEIVED, M.CLOSED, M.RATED, M.SATISFIED),
          plain=f"SELECT {_SATISFIED}"),
    Asked("satisfied by unit and month", (M.SATISFIED,), (D.UNIT, D.MONTH),
          plain=f"SELECT unit_code, {_MONTHS} AS month, {_SATISFIED} GROUP BY 1, 2"),
    Asked("overdue by unit", (M.OVERDUE,), (D.UNIT,),
          plain="SELECT unit_code, count(*) FILTER (WHERE replied_at >= reply_due_at) AS num,"
          " count(replied_at) AS den FROM requests WHERE reply_due_at >= :since"
          " AND reply_due_at < :until GROUP BY 1"),
    Asked("all figures by unit", tuple(Measure), (D.UNIT,)),
    Asked("satisfied by town and community", (M.SATISFIED,), (D.TOWN, D.COMMUNITY),
          plain=f"SELECT left(grid_code, 9), left(grid_code, 12), {_SATISFIED} GROUP BY 1, 2"),
    Asked("satisfied by grid", (M.SATISFIED,), (D.GRID,),
          plain=f"SELECT left(grid_code, 15), {_SATISFIED} GROUP BY 1"),
    Asked("satisfied by category and leaf", (M.SATISFIED,), (D.CATEGORY, D.CATEGORY_LEAF),
          plain=f"SELECT category_code, {_SATISFIED} GROUP BY 1"),
    Asked("satisfied by channel", (M.SATISFIED,), (D.CHANNEL,),
          plain=f"SELECT channel, {_SATISFIED} GROUP BY 1"),
    Asked("received by day, one town", (M.RECEIVED,), (D.DAY,), Filters(grid="370281001"),
          plain="SELECT (submitted_at AT TIME ZONE 'Asia/Shanghai')::date, count(*) FROM requests"
          " WHERE grid_code >= '370281001' AND grid_code < '370281001:'"
          " AND submitted_at >= :since AND submitted_at < :until GROUP BY 1"),
    Asked("satisfied by unit, one month", (M.SATISFIED,), (D.UNIT,), since=_MONTH,
          until=_MONTH_END, plain=_BY_UNIT),
    Asked("satisfied by unit, 5 March to 20 August", (M.SATISFIED,), (D.UNIT,),
          since=_ODD, until=_ODD_END, plain=_BY_UNIT),
    Asked("satisfied by unit and category", (M.SATISFIED,), (D.UNIT, D.CATEGORY),
          plain="SELECT unit_code, split_part(category_code, '.', 1),"
          f" {_SATISFIED} GROUP BY 1, 2"),
    Asked("satisfied by unit and leaf", (M.SATISFIED,), (D.UNIT, D.CATEGORY_LEAF),
          plain=f"SELECT unit_code, category_code, {_SATISFIED} GROUP BY 1, 2"),
    Asked("satisfied by town and leaf", (M.SATISFIED,), (D.TOWN, D.CATEGORY_LEAF),
          plain=f"SELECT left(grid_code, 9), category_code, {_SATISFIED} GROUP BY 1, 2"),
    Asked("overdue by unit, one town", (M.OVERDUE,), (D.UNIT,), Filters(grid="370281001")),
    Asked("median and P90 of hours by unit", (M.DURATION_MEDIAN, M.DURATION_P90), (D.UNIT,),
          plain="SELECT unit_code,"
          " percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY office_s)"
          " FROM requests WHERE submitted_at >= :since AND submitted_at < :until GROUP BY 1"),
    Asked("median of hours by community", (M.DURATION_MEDIAN,), (D.COMMUNITY,),
          plain="SELECT left(grid_code, 12), percentile_disc(0.5) WITHIN GROUP (ORDER BY office_s)"
          " FROM requests WHERE submitted_at >= :since AND submitted_at < :until GROUP BY 1"),
    Asked("requests behind satisfied of one unit", (M.SATISFIED,), (D.UNIT,), of="housing",
          plain=_LISTED),
    Asked("/satisfaction", satisfaction=GroupBy.NONE),
    Asked("/satisfaction by unit", satisfaction=GroupBy.UNIT),
    Asked("/satisfaction by grid", satisfaction=GroupBy.GRID),
    Asked("/satisfaction by category", satisfaction=GroupBy.CATEGORY),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timed:
    """Medians in ms. ``auditor``: with what is too small to be told found out and hidden.
    ``requests_ms``, ``plain_ms`` None: nobody asked so. ``summed``: sums tell it. ``same``: both
    ways of counting said the same."""

    name: str
    auditor_ms: float
    supervisor_ms: float
    requests_ms: float | None
    plain_ms: float | None
    summed: bool
    same: bool


@dataclass(frozen=True, slots=True)
class Result:
    rows: int
    load_s: float
    sums_s: float
    queries: tuple[Timed, ...]


def measure(rows: int, *, folder: Path | None, say: Callable[[str], object]) -> Result:
    """On a PostgreSQL of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lianxin-bench-", dir=folder) as place:
        server = EmbeddedPostgres(Path(place) / "database")
        server.start()
        try:
            return _on(server.admin_url, rows, say)
        finally:
            server.stop()


def _on(url: str, rows: int, say: Callable[[str], object]) -> Result:
    asyncio.run(_make_city(url))
    began = time.perf_counter()
    city_year.fill(Settings(), url, YEAR, rows, seed=1)
    load_s = time.perf_counter() - began
    say(f"a year of {rows:,} requests loaded in {load_s:.0f} s")
    return asyncio.run(_ask(url, rows, load_s, say))


async def _make_city(url: str) -> None:
    db, now = Database(url, DatabaseSettings()), datetime.now(UTC)
    async with db.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with db.transaction() as session:
        await seeds.seed(session, now=now)
        await demo.seed(session, now=now)
    await db.close()


async def _ask(url: str, rows: int, load_s: float, say: Callable[[str], object]) -> Result:
    db = Database(url, DatabaseSettings(statement_timeout_ms=600_000))
    await db.open()
    try:
        began = time.perf_counter()
        made = 1
        while made:
            async with db.transaction() as session:
                made = await rollup_making.refresh(session, now=datetime.now(UTC))
        sums_s = time.perf_counter() - began
        say(f"sums made from scratch in {sums_s:.0f} s")
        return Result(rows, load_s, sums_s, tuple([await _time(db, asked) for asked in ASKED]))
    finally:
        await db.close()


async def _time(db: Database, asked: Asked) -> Timed:
    now = datetime.now(UTC)
    auditor_ms, _ = await _median_ms(lambda: asked.ask(db, _AUDITOR, now))
    supervisor_ms, _ = await _median_ms(lambda: asked.ask(db, _SUPERVISOR, now))
    requests_ms, plain_ms, summed, same = None, None, True, True
    if asked.satisfaction is None:
        query = asked.query
        summed = rollups.covers(query)
        requests_ms, counted = await _median_ms(lambda: counting.tallies(db, query, now=now))
        same = not summed or counted == await rollups.tallies(db, query, now=now)
    if asked.plain:
        plain, span = Statement(asked.plain), {"since": asked.since, "until": asked.until}
        plain_ms, _ = await _median_ms(lambda: db.rows(plain, **span))
    return Timed(asked.name, auditor_ms, supervisor_ms, requests_ms, plain_ms, summed, same)


async def _median_ms(ask: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    told, times = await ask(), []
    for _ in range(_TURNS):
        began = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - began) * 1_000)
    return median(times), told


def show(console: Console, result: Result) -> None:
    target = next((it for rows, it in QUERY_MS.items() if result.rows <= rows), None)
    table = Table(title=f"figures over a year of {result.rows:,} requests, ms")
    for column in ("", "auditor", "supervisor", "from requests", "plain SQL", "target", "same"):
        table.add_column(column, justify="left" if not column else "right")
    for timed in result.queries:
        reached = target is None or timed.auditor_ms <= target
        table.add_row(
            timed.name,
            f"{timed.auditor_ms:.1f}{'' if timed.summed else ' (no sums)'}",
            f"{timed.supervisor_ms:.1f}",
            "" if timed.requests_ms is None else f"{timed.requests_ms:.1f}",
            "" if timed.plain_ms is None else f"{timed.plain_ms:.1f}",
            "" if target is None else f"≤ {target:.0f} {'reached' if reached else 'missed'}",
            "yes" if timed.same else "NO",
        )
    console.print(table)
    console.print(
        f"loaded in {result.load_s:.0f} s (≤ {LOAD_S:.0f} for 396,000),"
        f" sums from scratch in {result.sums_s:.0f} s"
    )


def as_json(result: Result) -> dict[str, Any]:
    return asdict(result)
