"""The tree audited against itself: 全覆盖、无缝隙、不遗漏. Pure, on the index of a process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.coverage import (
    Dwelling,
    Examination,
    Fault,
    FaultKind,
    LoadWarning,
    Misplaced,
    Shape,
    examine,
    load_warnings,
    place_dwellings,
)
from app.grids.kinds import COUNTY_DIGITS, GridLevel
from app.grids.queries import GridIndex


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. ``misplaced`` and ``loads`` are None where no house is known."""

    examinations: tuple[Examination, ...]
    misplaced: tuple[Misplaced, ...] | None
    loads: tuple[LoadWarning, ...] | None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The largest first; those without boundary last."""
        every = [fault for one in self.examinations for fault in one.faults]
        return tuple(sorted(every, key=lambda fault: (-fault.area_m2, fault.parent_code)))

    def total_m2(self, kind: FaultKind) -> float:
        return sum(one.total_m2(kind) for one in self.examinations)

    @property
    def slivers(self) -> int:
        return sum(fault.sliver for one in self.examinations for fault in one.faults)

    @property
    def is_clean(self) -> bool:
        return not (self.faults or self.misplaced or self.loads)


def inspect(
    grids: GridIndex,
    parent: str | None = None,
    *,
    deep: bool = True,
    dwellings: Sequence[Dwelling] = (),
) -> Inspection:
    """Compare places with what lies right below them, and houses with the grids.

    Args:
        parent: the code of a place or a county; None for all counties.
        deep: also everything further down.
        dwellings: all houses of that ground that are known.
    """
    examinations = []
    waiting = list(_counties(grids)) if parent is None else [parent]
    while waiting:
        code = waiting.pop()
        below = _below(grids, code)
        if below:
            examinations.append(examine(code, grids.shape(code), below))
            if deep:
                waiting += sorted(below, reverse=True)
    if not dwellings:
        return Inspection(tuple(examinations), None, None)
    households, misplaced = place_dwellings(_of_level(grids, GridLevel.GRID, parent), dwellings)
    smaller, _ = place_dwellings(_of_level(grids, GridLevel.MICRO, parent), dwellings)
    loads = load_warnings({**households, **smaller}, grids.load_rules)
    return Inspection(tuple(examinations), tuple(misplaced), tuple(loads))


def _counties(grids: GridIndex) -> Iterable[str]:
    of_towns = {town.code[:COUNTY_DIGITS] for town in grids.children(None)}
    return sorted(of_towns | grids.counties.keys(), reverse=True)


def _below(grids: GridIndex, code: str) -> dict[str, Shape | None]:
    if len(code) == COUNTY_DIGITS:
        nodes = [town for town in grids.children(None) if town.code.startswith(code)]
    else:
        nodes = list(grids.children(code))
    return {node.code: grids.shape(node.code) for node in nodes}


def _of_level(grids: GridIndex, level: GridLevel, parent: str | None) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for node in grids.nodes.values():
        if node.level is level and node.active and node.code.startswith(parent or ""):
            shape = grids.shape(node.code)
            if shape is not None:
                found[node.code] = shape
    return found
