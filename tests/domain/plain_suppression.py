"""The rule for small cells as one would write it down: what ``suppression`` must do."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import product

from app.domain.suppression import LEAST, Cell

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
