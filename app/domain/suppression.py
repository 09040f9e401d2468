"""Which cells of a table must not be told, so that nobody is found by them. Pure.

A cell is a set of requests given by conditions (this unit, this place); an atom is a smallest
stretch of time (a month, a day) of which every period is put together. A set of requests is *safe*
in an atom if it is empty there, or concerns at least ``LEAST`` people.

The rule, told at length in ``docs/decisions/0014-small-cells.md``: a cell is told only if it is
safe in every atom, if every cell it lies in is told, and if what its told siblings leave of the
cell around them is safe too (complementary suppression). So whatever told cell lies in another told
cell, over whatever periods, the difference is a union of safe sets: nobody, or ``LEAST`` people.

People are counted by bits: each has one of 64, by a hash. Two may share one; so a number of bits is
never more than the number of people, and bits of parts are put together by OR.

A table has thousands of cells, and figures wait for it: so it is laid out as matrices of cells by
atoms, and only families that are not safe are gone through one by one. ``tests/domain`` compares it
with the rule as one would write it down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy
from numpy.typing import NDArray

LEAST = 5

# The keys from the top of a hierarchy downwards; () is the whole of it.
Path = tuple[str | None, ...]
# A path in every hierarchy of the table.
Cell = tuple[Path, ...]

Bits = NDArray[numpy.uint64]  # of cells, by atom
Places = NDArray[numpy.intp]
Flags = NDArray[numpy.bool_]
Hidden = Sequence[Flags]  # by level, of each of its cells


def people(bits: Bits) -> NDArray[numpy.uint8]:
    """At least so many people."""
    return numpy.bitwise_count(bits)


def is_safe(bits: Bits) -> bool:
    """In every atom."""
    counts = people(bits)
    return not ((counts > 0) & (counts < LEAST)).any()


@dataclass(frozen=True)
class _Level:
    """The cells of one depth in each hierarchy, in the order of their keys.

    Attributes:
        cells: of each its path in each hierarchy, as a place in ``paths``.
        of_finest: of each finest cell the one it lies in.
        around: of each cell those right around it, one level less in one hierarchy: as the number
            of that level, and places there.
    """

    cells: tuple[Places, ...]
    paths: tuple[Sequence[Path], ...]
    of_finest: Places
    around: tuple[tuple[int, Places], ...]

    @cached_property
    def _together(self) -> tuple[Places, Places]:
        order = numpy.argsort(self.of_finest, kind="stable")
        return order, numpy.searchsorted(self.of_finest[order], numpy.arange(len(self)))

    def __len__(self) -> int:
        return len(self.cells[0]) if self.cells else 1

    def bits(self, finest: Bits) -> Bits:
        order, starts = self._together
        whole: Bits = numpy.bitwise_or.reduceat(finest[order], starts, axis=0)
        return whole

    def named(self, chosen: Places) -> Iterable[Cell]:
        if not self.cells:
            return [()] * len(chosen)
        pairs = zip(self.paths, self.cells, strict=True)
        return zip(*([paths[at] for at in of[chosen].tolist()] for paths, of in pairs), strict=True)


class Paths:
    """The paths of one hierarchy, all of one depth, each once.

    Attributes:
        depths: by depth, the paths so far in the order of their keys, and of each path which.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.depths: list[tuple[list[Path], Places]] = []
        ordered = sorted(paths, key=_order)
        for depth in range(len(paths[0]) + 1):
            prefixes = list(dict.fromkeys(path[:depth] for path in ordered))
            numbers = {prefix: number for number, prefix in enumerate(prefixes)}
            which = numpy.array([numbers[path[:depth]] for path in paths], dtype=numpy.intp)
            self.depths.append((prefixes, which))


class Table:
    """The cells of every level, from the finest ones up.

    Args:
        hierarchies: the paths of each.
        cells: the finest cells, each once: of each hierarchy the places of their paths. There is
            at least one.
    """

    def __init__(self, hierarchies: Sequence[Paths], cells: Sequence[Places]) -> None:
        cuts = [
            [(prefixes, which[places]) for prefixes, which in them.depths]
            for them, places in zip(hierarchies, cells, strict=True)
        ]
        shapes = sorted(product(*map(range, map(len, cuts))), key=lambda it: (sum(it), it))
        numbers = {shape: number for number, shape in enumerate(shapes)}
        self._levels: list[_Level] = []
        for shape in shapes:
            axes = [cut[depth] for cut, depth in zip(cuts, shape, strict=True)]
            place = numpy.zeros(len(cells[0]) if cells else 1, dtype=numpy.intp)
            for prefixes, at in axes:
                place = place * len(prefixes) + at
            _, first, of_finest = numpy.unique(place, return_index=True, return_inverse=True)
            around = tuple(
                (above, self._levels[above].of_finest[first])
                for at, depth in enumerate(shape)
                if depth
                for above in (numbers[(*shape[:at], depth - 1, *shape[at + 1 :])],)
            )
            self._levels.append(
                _Level(
                    tuple(at[first] for _, at in axes),
                    tuple(prefixes for prefixes, _ in axes),
                    of_finest,
                    around,
                )
            )

    def hidden(self, bits: Bits, *, start: Hidden | None = None) -> list[Flags]:
        """Return which cells must not be told, of every level.

        Args:
            bits: of the finest cells, by atom; a cell without any is not there.
            start: what is not told anyway; cells below are not told either.

        What is chosen to hide another one is the smallest that will do, by number and then by key:
        the same people hide the same cells, whatever was asked.
        """
        away: list[Flags] = []
        for number, level in enumerate(self._levels):
            whole = level.bits(bits)
            counts = people(whole)
            there: Flags = numpy.asarray(counts.any(axis=1))
            hidden: Flags = numpy.asarray(((counts > 0) & (counts < LEAST)).any(axis=1))
            if start is not None:
                hidden |= start[number]
            for above, places in level.around:
                hidden |= away[above][places]
            hidden &= there
            size = counts.sum(axis=1, dtype=numpy.int64)
            families = [
                _Families(at, len(away[above]), places, away[above], there)
                for at, (above, places) in enumerate(level.around)
            ]
            _complement(whole, hidden, numpy.lexsort((numpy.arange(len(size)), size)), families)
            away.append(hidden)
        return away

    def cells(self, hidden: Hidden) -> frozenset[Cell]:
        found: set[Cell] = set()
        for level, flags in zip(self._levels, hidden, strict=True):
            found.update(level.named(numpy.flatnonzero(flags)))
        return frozenset(found)


def _order(path: Path) -> tuple[str, ...]:
    return tuple("" if key is None else f"={key}" for key in path)


class _Families:
    """The children of each cell of one level above, in one hierarchy."""

    def __init__(self, at: int, size: int, places: Places, above: Flags, there: Flags) -> None:
        self.at = at  # which hierarchy
        self._size, self.places, self._there = size, places, there
        self._open = ~above  # those of a hidden cell are hidden without more

    def is_open(self, cell: int) -> bool:
        return bool(self._open[self.places[cell]])

    def unsafe(self, whole: Bits, hidden: Flags) -> list[int]:
        """Families whose hidden children are not safe together, though others are told."""
        rest = numpy.zeros((self._size, whole.shape[1]), dtype=numpy.uint64)
        numpy.bitwise_or.at(rest, self.places[hidden], whole[hidden])
        counts = people(rest)
        found = ((counts > 0) & (counts < LEAST)).any(axis=1) & self._open
        told = numpy.zeros(self._size, dtype=bool)
        told[self.places[self._there & ~hidden]] = True
        unsafe: list[int] = numpy.flatnonzero(found & told).tolist()
        return unsafe

    def arrange(self, order: Places) -> None:
        """Lay the children of each family side by side, in this order."""
        order = order[self._there[order]]
        self._children = order[numpy.argsort(self.places[order], kind="stable")]
        edges = numpy.arange(self._size + 1)
        self._edges = numpy.searchsorted(self.places[self._children], edges)

    def children(self, family: int) -> Places:
        return self._children[self._edges[family] : self._edges[family + 1]]


def _complement(whole: Bits, hidden: Flags, order: Places, families: Sequence[_Families]) -> None:
    """Hide more cells, the first in ``order`` first, until what is hidden of every family is safe
    together, or all of it is hidden."""
    unsafe = [(them, family) for them in families for family in them.unsafe(whole, hidden)]
    if not unsafe:
        return
    for them in families:
        them.arrange(order)
    rank = numpy.empty_like(order)
    rank[order] = numpy.arange(len(order))
    unsafe.sort(key=lambda it: (int(rank[it[0].children(it[1])[0]]), it[0].at))
    while unsafe:
        them, family = unsafe.pop()
        children = them.children(family)
        away = hidden[children]
        rest = numpy.bitwise_or.reduce(whole[children[away]], axis=0)
        for cell in children[~away].tolist():
            if is_safe(rest):
                break
            hidden[cell] = True
            rest |= whole[cell]
            unsafe += [
                (others, int(others.places[cell])) for others in families if others.is_open(cell)
            ]
