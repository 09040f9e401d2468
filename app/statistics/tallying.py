"""From cells to tallies: what a sheet has is put into the groups that a query asks for. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from math import prod
from typing import Any

import numpy
from numpy.typing import NDArray

from app.domain.measures import Measure, Weights
from app.statistics.dimensions import (
    HIERARCHY,
    Dimension,
    Hierarchy,
    fits,
    level_key,
    time_key,
)
from app.statistics.periods import ZONE
from app.statistics.predicates import PERCENTILE
from app.statistics.predicates import TENTHS as OF_AN_HOUR
from app.statistics.questions import (
    Keys,
    Query,
    Tallies,
    Tally,
    by_key,
    conditions_of,
    in_order,
    parts_of,
)
from app.statistics.sheets import Cells, Ints, Kinds, Sheet, Words, day_of, number_of
from app.statistics.sums import EVERYBODY, SUBMITTED, TENTHS, Facet

Places = NDArray[numpy.intp]
_Middles = Mapping[tuple[Keys, Measure], float]


def tallies_of(sheet: Sheet, query: Query, weights: Weights) -> Tallies:
    """Add up what a sheet has of a query; it may hold more."""
    wanted = query.counted(weights)
    tables = {
        (TENTHS in it.facet.codes, it.instant): _table(sheet, query, it.facet, cells)
        for it, cells in sheet.cells.items()
    }
    middles: _Middles = {}
    if any(measure in PERCENTILE for measure in wanted):
        asked = [measure for measure in wanted if measure in PERCENTILE]
        middles = dict(_middles(tables[True, SUBMITTED], asked))
    found: Tallies = {}
    sorted_still = True
    for number, part in enumerate(parts_of(wanted, query.basis)):
        for keys, more in _tallies(tables[False, part.instant], part.measures, middles):
            if keys in found:
                found[keys].update(more)
            else:
                found[keys] = more
                sorted_still &= number == 0
    return found if sorted_still else in_order(found.items())


@dataclass(frozen=True, slots=True)
class _Table:
    """Cells and the groups they belong to.

    Attributes:
        names: the keys of each level, and ``groups``: of each cell its place among all their
            combinations, the last level's running fastest.
    """

    cells: Cells
    names: tuple[Sequence[str | None], ...]
    groups: Places

    def keys(self, depth: int, places: Places) -> list[Keys]:
        columns: list[list[str | None]] = []
        for names in reversed(self.names[:depth]):
            places, at = numpy.divmod(places, len(names))
            columns.append([names[it] for it in at.tolist()])
        return list(zip(*reversed(columns), strict=True)) if depth else [()]

    def added(self, numbers: NDArray[Any]) -> list[NDArray[numpy.int64]]:
        """Sums by group, of every depth."""
        size = prod(map(len, self.names))
        sums = numpy.bincount(self.groups, weights=numbers, minlength=size).astype(numpy.int64)
        found = [sums]
        for names in reversed(self.names):
            found.append(found[-1].reshape(-1, len(names)).sum(axis=1))
        return found[::-1]


def _table(sheet: Sheet, query: Query, facet: Facet, cells: Cells) -> _Table:
    chosen = _chosen(sheet, query, facet, cells)
    cells = cells if chosen.all() else cells.where(chosen)
    groups, every = numpy.zeros(len(cells.buckets), dtype=numpy.intp), []
    for dimension in query.group_by:
        places, names = _axis(sheet, facet, cells, dimension)
        groups = groups * len(names) + places
        every.append(names)
    return _Table(cells, tuple(every), groups)


def _chosen(sheet: Sheet, query: Query, facet: Facet, cells: Cells) -> NDArray[numpy.bool_]:
    """Which cells lie in the period, and in what the query is narrowed to."""
    first, past = (number_of(it.astimezone(ZONE).date()) for it in (query.since, query.until))
    chosen: NDArray[numpy.bool_] = (cells.buckets >= first) & (cells.buckets < past)
    for name, value in query.filters.given().items():
        at = facet.place_of(HIERARCHY[Dimension(name)])
        words, kinds = sheet.words[facet.codes[at]], dict(sheet.kinds)
        fitting = numpy.array([fits(name, value, word, kinds) for word in words], dtype=bool)
        chosen &= fitting[cells.codes[at]]
    return chosen


def _axis(
    sheet: Sheet, facet: Facet, cells: Cells, dimension: Dimension
) -> tuple[Places, Sequence[str | None]]:
    """Of each cell the place of its key, and the keys in their order."""
    if HIERARCHY[dimension] is Hierarchy.TIME:
        low = int(cells.buckets.min()) if len(cells.buckets) else 0
        days = _distinct(cells.buckets - low)
        keys = [time_key(dimension, day_of(day + low)) for day in days]
        table = numpy.zeros(max(days, default=0) + 1, dtype=numpy.intp)
        names, table[days] = _places(keys)
        return table[cells.buckets - low], names
    at = facet.place_of(HIERARCHY[dimension])
    table, names = _level(dimension, sheet.words[facet.codes[at]], sheet.kinds)
    return table[cells.codes[at]], names


@lru_cache(maxsize=64)
def _level(dimension: Dimension, words: Words, kinds: Kinds) -> tuple[Places, Sequence[str | None]]:
    """Of each number the place of its key at one level: words change seldom."""
    of_unit = dict(kinds)
    names, places = _places([level_key(dimension, word, of_unit) for word in words])
    return places, names


def _places(keys: Sequence[str | None]) -> tuple[Sequence[str | None], Places]:
    names = sorted(set(keys), key=by_key)
    places = {name: place for place, name in enumerate(names)}
    return names or [None], numpy.array([places[key] for key in keys], dtype=numpy.intp)


def _distinct(numbers: Ints) -> list[int]:
    there: list[int] = numpy.flatnonzero(numpy.bincount(numbers)).tolist()
    return there


def _tallies(
    table: _Table, measures: Sequence[Measure], middles: _Middles
) -> Iterator[tuple[Keys, dict[Measure, Tally]]]:
    """Of every group that has a request; of the total in any case."""
    added = {name: table.added(numbers) for name, numbers in table.cells.counts.items()}
    for depth in range(len(table.names) + 1):
        cohorts = added[EVERYBODY][depth]
        there = numpy.flatnonzero(cohorts) if depth else numpy.zeros(1, dtype=numpy.intp)
        told = {name: sums[depth][there].tolist() for name, sums in added.items()}
        asked = [
            (measure, [told[condition] for condition in conditions_of(measure).values()])
            for measure in measures
        ]
        every = table.keys(depth, there)
        columns = []
        for measure, (dens, nums, *halves) in asked:
            half: Iterable[int] = halves[0] if halves else repeat(0)
            middle: Iterable[float | None] = repeat(None)
            if measure in PERCENTILE:
                middle = [middles.get((keys, measure)) for keys in every]
            columns.append(list(map(Tally, told[EVERYBODY], dens, nums, half, middle)))
        for keys, *row in zip(every, *columns, strict=True):
            yield keys, dict(zip(measures, row, strict=True))


def _middles(
    table: _Table, measures: Sequence[Measure]
) -> Iterator[tuple[tuple[Keys, Measure], float]]:
    """``percentile_disc`` of each group: the least office time that so many do not exceed."""
    tenths, numbers = table.cells.codes[-1], table.cells.counts[EVERYBODY]
    if not len(tenths):
        return
    width, groups = int(tenths.max()) + 1, table.groups
    bits = int(numbers.max()).bit_length()
    for depth in range(len(table.names), -1, -1):
        if depth < len(table.names):
            groups = groups // len(table.names[depth])
        # Group, value and number in one: sorting numbers is three times as fast as their places.
        packed = numpy.sort((groups * width + tenths) << bits | numbers)
        reached, values = numpy.cumsum(packed & ((1 << bits) - 1)), (packed >> bits) % width
        totals = numpy.bincount(groups, weights=numbers).astype(numpy.int64)
        there = numpy.flatnonzero(totals)
        before = (numpy.cumsum(totals) - totals)[there]
        for measure in measures:
            wanted = before + numpy.ceil(PERCENTILE[measure] * totals[there]).astype(numpy.int64)
            found = values[numpy.searchsorted(reached, wanted)].tolist()
            for keys, value in zip(table.keys(depth, there), found, strict=True):
                yield (keys, measure), value / OF_AN_HOUR
