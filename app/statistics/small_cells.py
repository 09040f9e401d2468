"""What is not told to those who see figures only, because too few people are behind it.

The rule is ``domain.suppression``; here stands which cells and atoms it looks at. They depend on
what the cells *are*, never on how they were asked for: all of the city's units, not the one that a
filter names; all months of the years touched, not the period alone. So two queries that tell the
same cell agree whether it may be told. See ``docs/decisions/0014-small-cells.md``.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

import numpy
from numpy.typing import NDArray

from app.domain.errors import Invalid
from app.domain.measures import DEFINITIONS, Measure
from app.domain.suppression import Cell, Flags, Path, Paths, Table
from app.statistics import rollups
from app.statistics.dimensions import (
    HIERARCHY,
    LEVELS,
    PLACE_DIGITS,
    Dimension,
    Hierarchy,
    level_key,
)
from app.statistics.periods import ZONE
from app.statistics.predicates import COUNTED
from app.statistics.questions import Keys, Part, Query, parts_of
from app.statistics.sheets import (
    Cells,
    Ints,
    Kinds,
    People,
    Sheet,
    Windows,
    Words,
    number_of,
    read,
)
from app.statistics.sums import Facet, Sum, facet_of
from app.store.session import Database

_MOST_HIERARCHIES = 2


class StatisticsTooFine(Invalid):
    """为防止识别到个人，您的角色不能查询这样细的统计，请减少分组或筛选条件，或改查整月。"""

    code = "statistics_too_fine"


class Veil:
    """What is hidden of a query's tables, by measure.

    Args:
        seen: of each hierarchy the paths that somebody has, of every depth.
    """

    def __init__(
        self,
        query: Query,
        levels: Mapping[Hierarchy, "_Levels"],
        seen: Mapping[Hierarchy, Collection[Path]],
        by_measure: Mapping[Measure, frozenset[Cell]],
    ) -> None:
        self.by_measure = by_measure
        self._group_by, self._seen = query.group_by, seen
        self._cuts = query.filters.narrowed()
        named = {*query.group_by, *self._cuts}
        self._steps = {
            hierarchy: [(level, them.by_key) for level in them.shown if level in named]
            for hierarchy, them in levels.items()
        }
        self._timed = any(HIERARCHY[it] is Hierarchy.TIME for it in query.group_by)
        self._known: dict[object, frozenset[Measure]] = {}
        # Measures with the same people behind them are hidden together.
        self._alike: dict[frozenset[Cell], list[Measure]] = defaultdict(list)
        for measure, away in by_measure.items():
            self._alike[away].append(measure)

    def hidden_of(self, keys: Keys) -> Collection[Measure]:
        """The measures that are hidden in a cell: the query's filters, these keys of its groups."""
        told = dict(zip(self._group_by, keys, strict=False))
        if not self._timed:
            return self._hidden(told)
        place = tuple(it for it in told.items() if HIERARCHY[it[0]] is not Hierarchy.TIME)
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = frozenset(self._hidden(told))
        return known

    def hides(self, measure: Measure, keys: Mapping[Dimension, str | None]) -> bool:
        """Whether one measure is."""
        return measure in self._hidden(keys)

    def _hidden(self, keys: Mapping[Dimension, str | None]) -> Collection[Measure]:
        cell = self._cell(keys)
        if cell is None:
            return self.by_measure.keys()
        found: list[Measure] = []
        for away, alike in self._alike.items():
            if cell in away:
                found += alike
        return found

    def _cell(self, keys: Mapping[Dimension, str | None]) -> Cell | None:
        """As deep as the keys go; None where they mean several places at once (the undetermined
        of all towns together). Whoever was never seen has nobody in it."""
        cell: list[Path] = []
        for hierarchy, steps in self._steps.items():
            path: Path = ()
            seen = self._seen[hierarchy]
            for level, by_key in steps:
                if level not in keys and level not in self._cuts:
                    continue
                key = keys[level] if level in keys else self._cuts[level]
                paths = [it for it in by_key.get((level, key), ()) if it in seen]
                fitting = [it for it in paths if it[: len(path)] == path] if path else paths
                if len(fitting) > 1:
                    return None
                path = fitting[0] if fitting else path
            cell.append(path)
        return tuple(cell)


async def veil(db: Database, query: Query, *, now: datetime) -> Veil:
    """Find out what is too small. Raises: StatisticsTooFine."""
    windows = windows_of(query)
    facet = facet_of(query.group_by, query.filters) or Facet(())
    sums = [Sum(facet, part.instant, (), _dens(part)) for part in parts_of(query.measures, None)]
    sheet = await read(db, sums, windows, now=now)
    return veil_of(sheet, query, now=now)


def windows_of(query: Query) -> Windows:
    """Which days must be looked at: by month all years that the period touches, and by day the
    months touched, if days are asked for. Raises: StatisticsTooFine."""
    by_day = not rollups.in_whole_months(query)
    _require_coarse(query, by_day)
    since, until = _months_touched(query)
    first, past = date(since.year, 1, 1), date((until - timedelta(days=1)).year + 1, 1, 1)
    if not by_day:
        return Windows(((first, past),), ())
    edges = ((first, since), (until, past))
    return Windows(tuple(it for it in edges if it[0] < it[1]), ((since, until),))


def _months_touched(query: Query) -> tuple[date, date]:
    since = query.since.astimezone(ZONE).date()
    last = (query.until - timedelta(microseconds=1)).astimezone(ZONE).date()
    return since.replace(day=1), rollups.next_month(last)


def _dens(part: Part) -> tuple[str, ...]:
    return tuple(dict.fromkeys(COUNTED[measure].den for measure in part.measures))


def veil_of(sheet: Sheet, query: Query, *, now: datetime) -> Veil:
    """What is hidden, from a sheet that has the people of ``windows_of``."""
    facet = facet_of(query.group_by, query.filters) or Facet(())
    levels = {
        hierarchy: _levels_of(
            tuple(LEVELS[hierarchy][: LEVELS[hierarchy].index(deepest) + 1]),
            sheet.words[facet.codes[facet.place_of(hierarchy)]],
            sheet.kinds,
        )
        for hierarchy, deepest in _levels(query).items()
    }
    seen: dict[Hierarchy, set[Path]] = {hierarchy: set() for hierarchy in levels}
    by_measure: dict[Measure, frozenset[Cell]] = {}
    cells_of = {it.instant: cells for it, cells in sheet.cells.items() if it.dens}
    for part in parts_of(query.measures, None):
        cells = cells_of[part.instant]
        support = _Support(facet, cells, levels)
        support.learn(seen)
        hidden = {den: support.hidden(cells.people[den], query, now) for den in _dens(part)}
        by_measure |= {measure: hidden[COUNTED[measure].den] for measure in part.measures}
    return Veil(query, levels, seen, by_measure)


def _levels(query: Query) -> dict[Hierarchy, Dimension]:
    """The deepest level that groups or filters go to, by hierarchy."""
    deepest: dict[Hierarchy, Dimension] = {}
    for dimension in (*query.group_by, *query.filters.narrowed()):
        hierarchy = HIERARCHY[dimension]
        if hierarchy is Hierarchy.TIME:
            continue
        order = LEVELS[hierarchy]
        before = deepest.get(hierarchy, dimension)
        deepest[hierarchy] = max(before, dimension, key=order.index)
    return dict(sorted(deepest.items()))


@dataclass(frozen=True, slots=True)
class _Levels:
    """The levels of a hierarchy that a query goes down to.

    Attributes:
        paths: the finest, and ``finest``: of each word its place among them.
        by_key: of every level, by its key.
    """

    shown: tuple[Dimension, ...]
    finest: NDArray[numpy.intp]
    paths: Paths
    by_key: Mapping[tuple[Dimension, str | None], list[Path]]


@lru_cache(maxsize=32)
def _levels_of(shown: tuple[Dimension, ...], words: Words, kinds: Kinds) -> _Levels:
    """Words change seldom."""
    of_unit = dict(kinds)
    every = [tuple(level_key(level, word, of_unit) for level in shown) for word in words]
    numbers = {path: number for number, path in enumerate(dict.fromkeys(every))}
    paths = Paths(list(numbers))
    by_key: defaultdict[tuple[Dimension, str | None], list[Path]] = defaultdict(list)
    for level, (prefixes, _) in zip(shown, paths.depths[1:], strict=True):
        for path in prefixes:
            by_key[level, path[-1]].append(path)
    finest = numpy.array([numbers[path] for path in every], dtype=numpy.intp)
    return _Levels(shown, finest, paths, dict(by_key))


def _require_coarse(query: Query, by_day: bool) -> None:
    """Raises: StatisticsTooFine."""
    levels = _levels(query)
    if len(levels) > _MOST_HIERARCHIES:
        raise StatisticsTooFine("最多同时按两个方面（单位、地区、类别、渠道、诉求类型）细分。")
    finest = Dimension.GRID in levels.values()
    if finest and len(levels) > 1:
        raise StatisticsTooFine("按网格统计时，不能再按其他方面细分。")
    if by_day and (finest or len(levels) > 1):
        raise StatisticsTooFine("按网格或同时按两个方面细分的统计，只能查询整月。")
    if any(it.astimezone(ZONE).time() != time(0) for it in (query.since, query.until)):
        raise StatisticsTooFine("统计期间应为整日。")
    if query.filters.grid is not None and len(query.filters.grid) not in PLACE_DIGITS.values():
        raise StatisticsTooFine("地区应为镇街、社区或网格。")
    for measure in query.measures:
        if query.basis_of(measure) is not DEFINITIONS[measure].basis:
            raise StatisticsTooFine("只能按各指标规定的时间口径统计。")


class _Support:
    """Who stands behind the cells of every level: the people of the finest ones, by month or day.

    Which are the finest, the levels say that the query goes down to.
    """

    def __init__(self, facet: Facet, cells: Cells, levels: Mapping[Hierarchy, _Levels]) -> None:
        self._levels = levels
        together = numpy.zeros(len(cells.buckets), dtype=numpy.intp)
        places: list[NDArray[numpy.intp]] = []
        for hierarchy, them in levels.items():
            of_cell = them.finest[cells.codes[facet.place_of(hierarchy)]]
            together = together * len(them.finest) + of_cell
            places.append(of_cell)
        _, first, self._cell = numpy.unique(together, return_index=True, return_inverse=True)
        self._places = [it[first] for it in places]
        self._buckets = cells.buckets
        self._months = cells.buckets.astype("datetime64[D]").astype("datetime64[M]").astype(int)
        hierarchies = [them.paths for them in levels.values()]
        self._table = Table(hierarchies, self._places) if len(first) else None

    def learn(self, seen: Mapping[Hierarchy, set[Path]]) -> None:
        """Remember whom there is, on every level."""
        for (hierarchy, them), places in zip(self._levels.items(), self._places, strict=True):
            for prefixes, which in them.paths.depths[1:]:
                seen[hierarchy].update(prefixes[it] for it in set(which[places].tolist()))

    def hidden(self, people: People, query: Query, now: datetime) -> frozenset[Cell]:
        """Year by year; the running month only where the period reaches into it, and days only
        where days are asked for: each on top of what is hidden without them."""
        if self._table is None:
            return frozenset()
        since, until = _months_touched(query)
        days = (self._buckets >= number_of(since)) & (self._buckets < number_of(until))
        running = _month_number(now.astimezone(ZONE).date())
        reaches = _month_number(until - timedelta(days=1)) >= running
        every: list[Flags] = []
        for year in sorted(set((self._months // 12).tolist())):
            of_year = self._months // 12 == year
            over = of_year & (self._months < running)
            found = self._table.hidden(self._atoms(people, over, self._months))
            if reaches and (of_year & ~over).any():
                atoms = self._atoms(people, of_year, self._months)
                found = self._table.hidden(atoms, start=found)
            if not rollups.in_whole_months(query):
                atoms = self._atoms(people, of_year & days, self._buckets)
                found = self._table.hidden(atoms, start=found)
            every = [a | b for a, b in zip(every, found, strict=True)] if every else found
        return self._table.cells(every)

    def _atoms(self, people: People, chosen: NDArray[numpy.bool_], atoms: Ints) -> People:
        """Of each cell the people in each atom."""
        cells, atoms = int(self._cell.max()) + 1, atoms[chosen]
        low = int(atoms.min(initial=0 if not len(atoms) else atoms[0]))
        width = int(atoms.max(initial=low)) - low + 1
        found = numpy.zeros(cells * width, dtype=numpy.uint64)
        places = self._cell[chosen] * width + (atoms - low)
        numpy.bitwise_or.at(found, places, people[chosen])
        return found.reshape(cells, width)


def _month_number(day: date) -> int:
    """Since 1970."""
    return (day.year - 1970) * 12 + day.month - 1
