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
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import product

LEAST = 5

# The keys from the top of a hierarchy downwards; () is the whole of it.
Path = tuple[str | None, ...]
# A path in every hierarchy of the table.
Cell = tuple[Path, ...]
Bits = Mapping[str, int]  # by atom

_MASK = (1 << 64) - 1


def people(bits: int) -> int:
    """At least so many people."""
    return (bits & _MASK).bit_count()


def is_safe(bits: Bits) -> bool:
    return all(people(it) >= LEAST for it in bits.values() if it)


def hidden(
    rows: Iterable[tuple[Cell, str, int]], *, start: Collection[Cell] = ()
) -> frozenset[Cell]:
    """Return the cells that must not be told, of every level.

    Args:
        rows: (cell of the finest level, atom, bits of its people there); all of one depth.
        start: cells that are not told anyway; cells below them are not told either.

    What is chosen to hide another one is the smallest that will do, by number and then by key: the
    same rows hide the same cells, whatever was asked.
    """
    levels = _levels(rows)
    away: set[Cell] = set()
    for shape in sorted(levels, key=lambda shape: (sum(shape), shape)):
        away |= _hidden_of_level(levels[shape], away, start)
    return frozenset(away)


def _levels(
    rows: Iterable[tuple[Cell, str, int]],
) -> dict[tuple[int, ...], dict[Cell, dict[str, int]]]:
    """The cells of every level with their bits: how deep in each hierarchy → cell → atom → bits."""
    levels: dict[tuple[int, ...], dict[Cell, dict[str, int]]] = {}
    for finest, atom, bits in rows:
        if not bits:
            continue
        for shape in product(*(range(len(path) + 1) for path in finest)):
            cell = tuple(path[:depth] for path, depth in zip(finest, shape, strict=True))
            known = levels.setdefault(shape, {}).setdefault(cell, {})
            known[atom] = known.get(atom, 0) | bits
    return levels


def parents(cell: Cell) -> list[Cell]:
    """The cells right around it: one level less in one hierarchy."""
    return [
        (*cell[:place], path[:-1], *cell[place + 1 :]) for place, path in enumerate(cell) if path
    ]


def _hidden_of_level(
    cells: Mapping[Cell, Bits], above: Collection[Cell], start: Collection[Cell]
) -> set[Cell]:
    away = {
        cell
        for cell, bits in cells.items()
        if cell in start or not is_safe(bits) or any(it in above for it in parents(cell))
    }
    families: dict[tuple[int, Cell], list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: (_size(cells[cell]), _order(cell))):
        for place, path in enumerate(cell):
            if path:
                around = (*cell[:place], path[:-1], *cell[place + 1 :])
                if around not in above:
                    families[place, around].append(cell)
    waiting = list(families)
    while waiting:
        family = families[waiting.pop()]
        told = [cell for cell in family if cell not in away]
        rest = _together(cells[cell] for cell in family if cell in away)
        for cell in told:
            if is_safe(rest):
                break
            away.add(cell)
            rest = _together((rest, cells[cell]))
            waiting += [
                (place, (*cell[:place], path[:-1], *cell[place + 1 :]))
                for place, path in enumerate(cell)
                if path and (place, (*cell[:place], path[:-1], *cell[place + 1 :])) in families
            ]
    return away


def _together(parts: Iterable[Bits]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for bits in parts:
        for atom, it in bits.items():
            whole[atom] = whole.get(atom, 0) | it
    return whole


def _size(bits: Bits) -> int:
    return sum(map(people, bits.values()))


def _order(cell: Cell) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple("" if key is None else f"={key}" for key in path) for path in cell)
