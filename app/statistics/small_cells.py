"""What is not told to those who see figures only, because too few people are behind it.

The rule is ``domain.suppression``; here stands which cells and atoms it looks at. They depend on
what the cells *are*, never on how they were asked for: all of the city's units, not the one that a
filter names; all months of the years touched, not the period alone. So two queries that tell the
same cell agree whether it may be told. See ``docs/decisions/0014-small-cells.md``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from app.domain.errors import Invalid
from app.domain.measures import DEFINITIONS, Measure
from app.domain.suppression import Cell, Path, hidden
from app.statistics.dimensions import (
    FINER_THAN_A_MONTH,
    HIERARCHY,
    JOIN_UNITS,
    LEVELS,
    PLACE_DIGITS,
    Dimension,
    Hierarchy,
    key_sql,
)
from app.statistics.predicates import COUNTED, instant_of
from app.store.session import Columns, Database, Statement

if TYPE_CHECKING:
    from app.statistics.engine import Query

_ZONE = ZoneInfo("Asia/Shanghai")
_MOST_HIERARCHIES = 2
# Of a person one of 64 bits; whoever has no account is somebody of their own.
_BIT = "1::bigint << (uuid_hash(coalesce(requests.resident_id, requests.id)) & 63)"


class StatisticsTooFine(Invalid):
    """为防止识别到个人，您的角色不能查询这样细的统计，请减少分组或筛选条件，或改查整月。"""

    code = "statistics_too_fine"


Paths = Mapping[tuple[Dimension, str | None], Collection[Path]]


@dataclass(frozen=True, slots=True)
class Veil:
    """What is hidden of a query's tables, by measure."""

    hierarchies: tuple[Hierarchy, ...]
    cuts: Mapping[Dimension, str]
    paths: "Paths"
    by_measure: Mapping[Measure, frozenset[Cell]]

    def hides(self, measure: Measure, keys: Mapping[Dimension, str | None]) -> bool:
        """Whether a cell is hidden: the query's filters and these keys of its groups."""
        cell = []
        for hierarchy in self.hierarchies:
            path = self._path(hierarchy, keys)
            if path is None:
                return True
            cell.append(path)
        return tuple(cell) in self.by_measure[measure]

    def _path(self, hierarchy: Hierarchy, keys: Mapping[Dimension, str | None]) -> Path | None:
        """As deep as the keys go; None where they mean several places at once (the undetermined
        of all towns together). Whoever was never seen has nobody in it."""
        path: Path = ()
        for level in LEVELS[hierarchy]:
            if level not in keys and level not in self.cuts:
                continue
            key = keys[level] if level in keys else self.cuts[level]
            fitting = [it for it in self.paths.get((level, key), ()) if it[: len(path)] == path]
            if len(fitting) > 1:
                return None
            path = fitting[0] if fitting else path
        return path


async def veil(db: Database, query: "Query", *, now: datetime) -> Veil:
    """Find out what is too small. Raises: StatisticsTooFine."""
    cuts = query.filters.narrowed()
    levels = _levels(query, cuts)
    by_day = _by_day(query)
    _require_coarse(query, levels, by_day)
    since, until = query.since.astimezone(_ZONE), query.until.astimezone(_ZONE)
    running = now.astimezone(_ZONE).strftime("%Y-%m")
    shown = tuple(levels.values())
    paths: defaultdict[tuple[Dimension, str | None], set[Path]] = defaultdict(set)
    by_measure: dict[Measure, frozenset[Cell]] = {}
    for instant, them in _by_instant(query).items():
        dens = tuple(dict.fromkeys(COUNTED[measure].den for measure in them))
        joins = tuple(dict.fromkeys(COUNTED[it].join for it in them if COUNTED[it].join))
        statement = _statement(instant, dens, joins, shown, by_day)
        rows = await _support(db, statement, now, since, until)
        _learn(paths, levels, rows)
        away = [_hidden(rows, place, levels, until, running, by_day) for place in range(len(dens))]
        by_measure |= {measure: away[dens.index(COUNTED[measure].den)] for measure in them}
    return Veil(tuple(levels), cuts, paths, by_measure)


def _by_instant(query: "Query") -> dict[str, list[Measure]]:
    found: defaultdict[str, list[Measure]] = defaultdict(list)
    for measure in query.measures:
        found[instant_of(measure, query.basis_of(measure))].append(measure)
    return found


def _levels(query: "Query", cuts: Mapping[Dimension, str]) -> dict[Hierarchy, Dimension]:
    """The deepest level that groups or filters go to, by hierarchy."""
    deepest: dict[Hierarchy, Dimension] = {}
    for dimension in (*query.group_by, *cuts):
        hierarchy = HIERARCHY[dimension]
        if hierarchy is Hierarchy.TIME:
            continue
        order = LEVELS[hierarchy]
        before = deepest.get(hierarchy, dimension)
        deepest[hierarchy] = max(before, dimension, key=order.index)
    return dict(sorted(deepest.items()))


def _by_day(query: "Query") -> bool:
    whole_months = all(
        (it := end.astimezone(_ZONE)).day == 1 and it.time() == time(0)
        for end in (query.since, query.until)
    )
    return not whole_months or not FINER_THAN_A_MONTH.isdisjoint(query.group_by)


def _require_coarse(query: "Query", levels: Mapping[Hierarchy, Dimension], by_day: bool) -> None:
    """Raises: StatisticsTooFine."""
    if len(levels) > _MOST_HIERARCHIES:
        raise StatisticsTooFine("最多同时按两个方面（单位、地区、类别、渠道、诉求类型）细分。")
    finest = Dimension.GRID in levels.values()
    if finest and len(levels) > 1:
        raise StatisticsTooFine("按网格统计时，不能再按其他方面细分。")
    if by_day and (finest or len(levels) > 1):
        raise StatisticsTooFine("按网格或同时按两个方面细分的统计，只能查询整月。")
    if any(it.astimezone(_ZONE).time() != time(0) for it in (query.since, query.until)):
        raise StatisticsTooFine("统计期间应为整日。")
    if query.filters.grid is not None and len(query.filters.grid) not in PLACE_DIGITS.values():
        raise StatisticsTooFine("地区应为镇街、社区或网格。")
    for measure in query.measures:
        if query.basis_of(measure) is not DEFINITIONS[measure].basis:
            raise StatisticsTooFine("只能按各指标规定的时间口径统计。")


@lru_cache(maxsize=256)
def _statement(
    instant: str,
    dens: tuple[str, ...],
    joins: tuple[str, ...],
    deepest: tuple[Dimension, ...],
    by_day: bool,
) -> Statement:
    """Bits of people by cell and atom, of each denominator: by month, and by day where days are
    asked for, in the months touched."""
    columns = _columns(deepest)
    keys = [f", {key_sql(level, instant)}::text AS k{at}" for at, level in enumerate(columns)]
    named = "".join(f", k{at}" for at in range(len(columns)))
    units = JOIN_UNITS if Dimension.UNIT_KIND in columns else ""
    local = f"({instant} AT TIME ZONE 'Asia/Shanghai')"
    atom = f"date_trunc('month', {local})::date"
    is_day = "false"
    if by_day:
        day = f"{local}::date"
        atom = f"CASE WHEN {day} >= :days_from AND {day} < :days_to THEN {day} ELSE {atom} END"
        is_day = "atom >= :days_from AND atom < :days_to"
    counted = "".join(f", {den} AS d{at}" for at, den in enumerate(dens))
    bits = ", ".join(f"bit_or(bit) FILTER (WHERE d{at})" for at in range(len(dens)))
    return Statement(f"""
SELECT atom, {is_day} AS is_day, ARRAY[{bits}]::bigint[] AS bits{named}
FROM (SELECT {atom} AS atom, {_BIT} AS bit{counted}{"".join(keys)}
  FROM requests {" ".join(joins)} {units}
  WHERE {instant} >= :since AND {instant} < :until) AS one
GROUP BY atom{named}
""")  # noqa: S608 - put together from fixed pieces


def _columns(deepest: Iterable[Dimension]) -> list[Dimension]:
    """All levels from the top down to the deepest, hierarchy by hierarchy."""
    return [
        level
        for dimension in deepest
        for level in LEVELS[HIERARCHY[dimension]][
            : LEVELS[HIERARCHY[dimension]].index(dimension) + 1
        ]
    ]


async def _support(
    db: Database, statement: Statement, now: datetime, since: datetime, until: datetime
) -> list[Columns]:
    """Over all the years that the period touches."""
    last = until - timedelta(microseconds=1)
    values = {
        "since": datetime(since.year, 1, 1, tzinfo=_ZONE).astimezone(UTC),
        "until": datetime(last.year + 1, 1, 1, tzinfo=_ZONE).astimezone(UTC),
        "days_from": since.date().replace(day=1),
        "days_to": _next_month(last.date()),
        "now": now,
    }
    return list(await db.rows(statement, **{name: values[name] for name in statement.names}))


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _split(row: Columns, levels: Mapping[Hierarchy, Dimension]) -> Cell:
    paths, number = [], 0
    for dimension in levels.values():
        depth = LEVELS[HIERARCHY[dimension]].index(dimension) + 1
        paths.append(tuple(row[f"k{number + place}"] for place in range(depth)))
        number += depth
    return tuple(paths)


def _learn(
    paths: defaultdict[tuple[Dimension, str | None], set[Path]],
    levels: Mapping[Hierarchy, Dimension],
    rows: Iterable[Columns],
) -> None:
    """Remember the whole path of every key."""
    for row in rows:
        for path, hierarchy in zip(_split(row, levels), levels, strict=True):
            for depth, level in enumerate(LEVELS[hierarchy][: len(path)], start=1):
                paths[level, path[depth - 1]].add(path[:depth])


def _hidden(
    rows: Iterable[Columns],
    place: int,
    levels: Mapping[Hierarchy, Dimension],
    until: datetime,
    running: str,
    by_day: bool,
) -> frozenset[Cell]:
    """Year by year; the running month only where the period reaches into it, and days only where
    days are asked for: each on top of what is hidden without them."""
    known = [
        (_split(row, levels), _atom(row), int(row["bits"][place]))
        for row in rows
        if row["bits"][place] is not None
    ]
    last = (until - timedelta(microseconds=1)).strftime("%Y-%m")
    away: frozenset[Cell] = frozenset()
    for year in sorted({atom[:4] for _, atom, _ in known}):
        of_year = [row for row in known if row[1][:4] == year]
        by_month = [(cell, atom[:7], bits) for cell, atom, bits in of_year]
        found = hidden([row for row in by_month if row[1] < running])
        if last >= running:
            found = hidden(by_month, start=found)
        if by_day:
            found = hidden([row for row in of_year if len(row[1]) > 7], start=found)
        away |= found
    return away


def _atom(row: Columns) -> str:
    day: date = row["atom"]
    return day.isoformat() if row["is_day"] else day.strftime("%Y-%m")
