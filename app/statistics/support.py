"""Who stands behind the cells of a table, and which of its cells too few stand behind.

Looking takes milliseconds for each denominator; most of what is asked about was the same the last
time. So what was found is remembered by what it was found in: the same people in the same cells
hide the same cells.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, lru_cache
from hashlib import blake2b

import numpy
from numpy.typing import NDArray

from app.domain.suppression import Cell, Flags, Path, Paths, Table
from app.statistics.cells import Cells, Ints, People, number_of
from app.statistics.dimensions import Dimension, Hierarchy, level_key
from app.statistics.sheets import Kinds, Words
from app.statistics.sums import Facet

_MOST_LOOKS = 64  # remembered of one table


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The levels of a hierarchy that a query goes down to.

    Attributes:
        paths: the finest, and ``finest``: of each word its place among them.
        by_key: of every level, from the top downwards, by its key.
    """

    finest: NDArray[numpy.intp]
    paths: Paths
    by_key: Mapping[Dimension, Mapping[str | None, list[Path]]]


@lru_cache(maxsize=32)
def levels_of(shown: tuple[Dimension, ...], words: Words, kinds: Kinds) -> Levels:
    """Words change seldom."""
    of_unit = dict(kinds)
    every = [tuple(level_key(level, word, of_unit) for level in shown) for word in words]
    numbers = {path: number for number, path in enumerate(dict.fromkeys(every))}
    paths = Paths(list(numbers))
    by_key: dict[Dimension, dict[str | None, list[Path]]] = {level: {} for level in shown}
    for level, (prefixes, _) in zip(shown, paths.depths[1:], strict=True):
        for path in prefixes:
            by_key[level].setdefault(path[-1], []).append(path)
    finest = numpy.array([numbers[path] for path in every], dtype=numpy.intp)
    return Levels(finest, paths, by_key)


@dataclass(frozen=True, slots=True)
class Period:
    """What of a table is looked at.

    Attributes:
        since, until: the months touched, as days; ``by_day``: whether days of them are told apart.
        running: the month that is not over yet, counted from 1970.
    """

    since: date
    until: date
    by_day: bool
    running: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the cells of a sheet lie; the same, if the numbers are."""

    facet: Facet
    levels: tuple[tuple[Hierarchy, Levels], ...]
    digest: bytes
    buckets: Ints = field(compare=False)
    codes: tuple[Ints, ...] = field(compare=False)


def support_of(facet: Facet, cells: Cells, levels: Mapping[Hierarchy, Levels]) -> "Support":
    digest = _digest(cells.buckets, *cells.codes)
    return _support(_Layout(facet, tuple(levels.items()), digest, cells.buckets, cells.codes))


@lru_cache(maxsize=32)
def _support(layout: _Layout) -> "Support":
    return Support(layout)


def _digest(*columns: NDArray[numpy.generic]) -> bytes:
    digest = blake2b(digest_size=16)
    for column in columns:
        digest.update(numpy.ascontiguousarray(column).data)
    return digest.digest()


class Support:
    """Who stands behind the cells of every level: the people of the finest ones, by month or day.

    Which are the finest, the levels say that the query goes down to.
    """

    def __init__(self, layout: _Layout) -> None:
        self._levels = layout.levels
        together = numpy.zeros(len(layout.buckets), dtype=numpy.intp)
        places: list[NDArray[numpy.intp]] = []
        for hierarchy, them in layout.levels:
            of_cell = them.finest[layout.codes[layout.facet.place_of(hierarchy)]]
            together = together * len(them.finest) + of_cell
            places.append(of_cell)
        _, first, self._cell = numpy.unique(together, return_index=True, return_inverse=True)
        self._places = [it[first] for it in places]
        self._buckets = layout.buckets
        self._months = layout.buckets.astype("datetime64[D]").astype("datetime64[M]").astype(int)
        hierarchies = [them.paths for _, them in layout.levels]
        self._table = Table(hierarchies, self._places) if len(first) else None
        self._looks: dict[tuple[bytes, Period], frozenset[Cell]] = {}

    @cached_property
    def seen(self) -> Mapping[Hierarchy, Collection[Path]]:
        """Whom there is, on every level."""
        found: dict[Hierarchy, set[Path]] = {}
        for (hierarchy, them), places in zip(self._levels, self._places, strict=True):
            found[hierarchy] = {
                prefixes[it]
                for prefixes, which in them.paths.depths[1:]
                for it in numpy.flatnonzero(numpy.bincount(which[places])).tolist()
            }
        return found

    def hidden(self, people: People, period: Period) -> frozenset[Cell]:
        """Year by year; the running month only where the period reaches into it, and days only
        where days are asked for: each on top of what is hidden without them."""
        look = _digest(people), period
        if look not in self._looks:
            if len(self._looks) >= _MOST_LOOKS:
                self._looks.clear()
            self._looks[look] = self._look(people, period)
        return self._looks[look]

    def _look(self, people: People, period: Period) -> frozenset[Cell]:
        if self._table is None:
            return frozenset()
        first, past = number_of(period.since), number_of(period.until)
        days = (self._buckets >= first) & (self._buckets < past)
        reaches = month_number(period.until - timedelta(days=1)) >= period.running
        every: list[Flags] = []
        for year in sorted(set((self._months // 12).tolist())):
            of_year = self._months // 12 == year
            over = of_year & (self._months < period.running)
            found = self._table.hidden(self._atoms(people, over, self._months))
            if reaches and (of_year & ~over).any():
                atoms = self._atoms(people, of_year, self._months)
                found = self._table.hidden(atoms, start=found)
            if period.by_day:
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


def month_number(day: date) -> int:
    """Since 1970."""
    return (day.year - 1970) * 12 + day.month - 1
