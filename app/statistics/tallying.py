"""From cells to tallies: what a sheet has is put into the groups that a query asks for. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy
from numpy.typing import NDArray

from app.domain.measures import Measure, Weights
from app.statistics.cells import Cells, Ints, day_of, number_of
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
    Column,
    Keys,
    Query,
    Tallies,
    by_key,
    conditions_of,
    parts_of,
)
from app.statistics.sheets import Kinds, Sheet, Words
from app.statistics.sums import EVERYBODY, SUBMITTED, TENTHS, Facet, Sum

Places = NDArray[numpy.intp]
Names = Sequence[str | None]
_Sums = NDArray[numpy.int64]  # by group
_Middles = list[float | None]
_TimeAt = Callable[[Places], NDArray[numpy.integer[Any]]]
_MOST_TIMES = 1 << 20  # in a table of groups by times; sorting is better for more


def tallies_of(sheet: Sheet, query: Query, weights: Weights) -> Tallies:
    """Add up what a sheet has of a query; it may hold more."""
    wanted = query.counted(weights)
    cells_of = {one: _within(sheet, query, one.facet, it) for one, it in sheet.cells.items()}
    axes = [_axis(sheet, dimension, cells_of) for dimension in query.group_by]
    tables = {
        (TENTHS in one.facet.codes, one.instant): _Table(
            cells, axes, _groups(axes, one.facet, cells)
        )
        for one, cells in cells_of.items()
    }
    parts = parts_of(wanted, query.basis)
    added = {it.instant: tables[False, it.instant].sums() for it in parts}
    there = _there([sums[EVERYBODY] for sums in added.values()])
    middles: Mapping[Measure, _Middles] = {}
    if not PERCENTILE.keys().isdisjoint(wanted):
        middles = tables[True, SUBMITTED].middles(there)
    size = sum(map(len, there))
    none, zero = [None] * size, [0] * size
    columns: dict[Measure, Column] = {}
    for part in parts:
        told = {
            condition: _flat(sums, there).tolist()
            for condition, sums in added[part.instant].items()
        }
        for measure in part.measures:
            den, num, *half = (told[it] for it in conditions_of(measure).values())
            columns[measure] = Column(
                told[EVERYBODY], den, num, half[0] if half else zero, middles.get(measure, none)
            )
    keys = [it for depth, places in enumerate(there) for it in _keys(axes[:depth], places)]
    return Tallies(keys, {measure: columns[measure] for measure in wanted})


def _there(cohorts: Sequence[Sequence[_Sums]]) -> list[Places]:
    """By depth the groups that have a request for any measure; the total is there in any case."""
    _, *by_depth = zip(*cohorts, strict=True)
    of_groups = [numpy.flatnonzero(numpy.sum(of_parts, axis=0)) for of_parts in by_depth]
    return [numpy.zeros(1, dtype=numpy.intp), *of_groups]


def _flat(by_depth: Sequence[_Sums], there: Sequence[Places]) -> _Sums:
    return numpy.concatenate([it[at] for it, at in zip(by_depth, there, strict=True)])


def _keys(axes: Sequence["_Axis"], places: Places) -> list[Keys]:
    if not axes:
        return [()]
    columns: list[list[str | None]] = []
    for axis in reversed(axes):
        places, at = numpy.divmod(places, len(axis.names))
        columns.append([axis.names[it] for it in at.tolist()])
    return list(zip(*reversed(columns), strict=True))


@dataclass(frozen=True, slots=True)
class _Table:
    """Cells and the groups they belong to: of each cell its place among all combinations of the
    axes' keys, the last axis' running fastest."""

    cells: Cells
    axes: Sequence["_Axis"]
    groups: Places

    def sums(self) -> dict[str, list[_Sums]]:
        """Of each condition the sums by group, of every depth."""
        size, every = prod(len(axis.names) for axis in self.axes), {}
        for condition, numbers in self.cells.counts.items():
            sums = numpy.bincount(self.groups, weights=numbers, minlength=size)
            found = [sums.astype(numpy.int64)]
            for axis in reversed(self.axes):
                found.append(found[-1].reshape(-1, len(axis.names)).sum(axis=1))
            every[condition] = found[::-1]
        return every

    def middles(self, there: Sequence[Places]) -> dict[Measure, _Middles]:
        """``percentile_disc`` of each group: the least office time that so many do not exceed."""
        found: dict[Measure, _Middles] = {measure: [] for measure in PERCENTILE}
        for times in reversed(list(self._times(there))):
            totals, reached, time_at = times
            before = numpy.cumsum(totals) - totals
            timed = numpy.flatnonzero(totals)  # nobody's time has no middle
            for measure, share in PERCENTILE.items():
                wanted = (before + numpy.ceil(share * totals).astype(numpy.int64))[timed]
                tenths = time_at(numpy.searchsorted(reached, wanted))
                of_depth: _Middles = [None] * len(totals)
                for place, value in zip(timed.tolist(), tenths.tolist(), strict=True):
                    of_depth[place] = value / OF_AN_HOUR
                found[measure] += of_depth
        return found

    def _times(self, there: Sequence[Places]) -> Iterator[tuple[_Sums, _Sums, _TimeAt]]:
        """Office times in order, group after group, from the last depth up: how many each group
        has; how many have come so far, and which time it is at some places."""
        tenths, numbers = self.cells.codes[-1], self.cells.counts[EVERYBODY]
        width = int(tenths.max(initial=0)) + 1
        table: _Sums | None = None
        for depth in range(len(there) - 1, -1, -1):
            places = there[depth]
            if table is not None:  # of the depth below, whose groups stand side by side
                parents = there[depth + 1] // len(self.axes[depth].names)
                starts = numpy.searchsorted(parents, places)
                nobody = numpy.zeros((len(places), width), dtype=numpy.int64)
                table = numpy.add.reduceat(table, starts, axis=0) if len(table) else nobody
            elif len(places) * width <= _MOST_TIMES:
                groups = self._ranked(depth, places)
                size = len(places) * width
                table = numpy.bincount(groups * width + tenths, numbers, size).astype(numpy.int64)
                table = table.reshape(-1, width)
            else:
                yield self._sorted(self._ranked(depth, places), len(places), width)
                continue
            yield table.sum(axis=1), numpy.cumsum(table), lambda at: at % width

    def _ranked(self, depth: int, places: Places) -> Places:
        """Of each cell its group, by its place among those that are there."""
        below = prod(len(axis.names) for axis in self.axes[depth:])
        ranks = numpy.zeros(prod(len(axis.names) for axis in self.axes[:depth]), dtype=numpy.intp)
        ranks[places] = numpy.arange(len(places))
        return ranks[self.groups // below if below > 1 else self.groups]

    def _sorted(self, groups: Places, size: int, width: int) -> tuple[_Sums, _Sums, _TimeAt]:
        """Group, time and number in one: sorting places would take three times as long."""
        tenths, numbers = self.cells.codes[-1], self.cells.counts[EVERYBODY]
        bits = int(numbers.max(initial=0)).bit_length()
        kind = numpy.int32 if (size * width << bits) < 1 << 31 else numpy.int64
        packed = numpy.sort((groups * width + tenths << bits | numbers).astype(kind))
        totals = numpy.bincount(groups, weights=numbers, minlength=size).astype(numpy.int64)
        reached = numpy.cumsum(packed & ((1 << bits) - 1))
        return totals, reached, lambda at: (packed[at] >> bits) % width


@dataclass(frozen=True, slots=True)
class _Axis:
    """The keys of one dimension in their order, and of each bucket of time from ``low`` on, or each
    number of a code, the place of its key."""

    hierarchy: Hierarchy
    names: Names
    table: Places
    low: int = 0

    def places(self, facet: Facet, cells: Cells) -> Places:
        if self.hierarchy is Hierarchy.TIME:
            return self.table[cells.buckets - self.low]
        return self.table[cells.codes[facet.place_of(self.hierarchy)]]


def _within(sheet: Sheet, query: Query, facet: Facet, cells: Cells) -> Cells:
    """The cells in the period, and in what the query is narrowed to."""
    first, past = (number_of(it.astimezone(ZONE).date()) for it in (query.since, query.until))
    chosen: NDArray[numpy.bool_] = (cells.buckets >= first) & (cells.buckets < past)
    for name, value in query.filters.given().items():
        at = facet.place_of(HIERARCHY[Dimension(name)])
        words, kinds = sheet.words[facet.codes[at]], dict(sheet.kinds)
        fitting = numpy.array([fits(name, value, word, kinds) for word in words], dtype=bool)
        chosen &= fitting[cells.codes[at]]
    return cells if chosen.all() else cells.where(chosen)


def _groups(axes: Sequence[_Axis], facet: Facet, cells: Cells) -> Places:
    groups = numpy.zeros(len(cells.buckets), dtype=numpy.intp)
    for axis in axes:
        groups = groups * len(axis.names) + axis.places(facet, cells)
    return groups


def _axis(sheet: Sheet, dimension: Dimension, cells_of: Mapping[Sum, Cells]) -> _Axis:
    hierarchy = HIERARCHY[dimension]
    if hierarchy is Hierarchy.TIME:
        low, days = _days([cells.buckets for cells in cells_of.values()])
        names, places = _places([time_key(dimension, day_of(day + low)) for day in days])
        table = numpy.zeros(max(days, default=0) + 1, dtype=numpy.intp)
        table[days] = places
        return _Axis(hierarchy, names, table, low)
    facet = next(iter(cells_of)).facet
    words = sheet.words[facet.codes[facet.place_of(hierarchy)]]
    return _level(dimension, words, sheet.kinds)


@lru_cache(maxsize=64)
def _level(dimension: Dimension, words: Words, kinds: Kinds) -> _Axis:
    """Words change seldom."""
    of_unit = dict(kinds)
    names, places = _places([level_key(dimension, word, of_unit) for word in words])
    return _Axis(HIERARCHY[dimension], names, places)


def _places(keys: Sequence[str | None]) -> tuple[Names, Places]:
    names = sorted(set(keys), key=by_key)
    places = {name: place for place, name in enumerate(names)}
    return names or [None], numpy.array([places[key] for key in keys], dtype=numpy.intp)


def _days(buckets: Sequence[Ints]) -> tuple[int, list[int]]:
    """The first of all, and each there is, counted from it."""
    every = [it for it in buckets if len(it)]
    if not every:
        return 0, []
    low = min(int(it.min()) for it in every)
    days: set[int] = set()
    for them in every:
        days.update(numpy.flatnonzero(numpy.bincount(them - low)).tolist())
    return low, sorted(days)
