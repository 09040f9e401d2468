"""The query engine: what is counted becomes cells with margins, and what is too small is hidden.

How it is counted: from sums (``rollups``), where they cover the question, else from the requests
themselves (``counting``). ``statistics.members`` opens a cell to the requests behind it. All put
their statements together from the same fixed pieces (``predicates``, ``dimensions``).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from app.domain import measures
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.measures import DEFINITIONS, SMALL_SAMPLE, Measure, Unit, Weights
from app.statistics import counting, rollups, sheets, small_cells
from app.statistics.dimensions import PLACE_DIGITS
from app.statistics.questions import Keys, Query, Tallies, Tally
from app.statistics.tallying import tallies_of
from app.store.session import Database


class Cell(NamedTuple):
    """One figure. Suppressed: everything else is None. ``num`` is fractional where partly solved
    matters count by a weight; ``den`` of a count by residents is people."""

    num: float | None = None
    den: int | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    excluded: int | None = None
    small_sample: bool = False
    suppressed: bool = False
    rank: int | None = None


HIDDEN = Cell(suppressed=True)
_NOBODY = Tally(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Figures:
    """The total, the first level's groups where there are two, and the groups, by their keys."""

    total: dict[Measure, Cell]
    subtotals: dict[Keys, dict[Measure, Cell]] = field(default_factory=dict)
    groups: dict[Keys, dict[Measure, Cell]] = field(default_factory=dict)


async def figures(
    db: Database,
    query: Query,
    *,
    actor: Actor,
    now: datetime,
    people: Mapping[str, int] | None = None,
    weights: Weights = measures.CURRENT_WEIGHTS,
) -> Figures:
    """Return every cell that was asked for.

    Args:
        people: residents by grid code; None where nobody has counted them.

    Raises:
        StatisticsTooFine: what is asked is finer than this actor may ask.
    """
    veil, found = await look(db, query, actor=actor, now=now, weights=weights)
    telling = _Telling(query, veil, _Residents(people or {}), weights)
    by_keys = {keys: telling.cells(keys, counts) for keys, counts in found.items()}
    depth = len(query.group_by)
    return Figures(
        total=by_keys.get((), telling.cells((), {})),
        subtotals={keys: it for keys, it in by_keys.items() if 0 < len(keys) < depth},
        groups={keys: it for keys, it in by_keys.items() if 0 < len(keys) == depth},
    )


async def look(
    db: Database,
    query: Query,
    *,
    actor: Actor,
    now: datetime,
    weights: Weights = measures.CURRENT_WEIGHTS,
) -> tuple[small_cells.Veil | None, Tallies]:
    """What is counted, and what of it is not told: as of one moment, where sums tell both.

    Raises: StatisticsTooFine.
    """
    summed = rollups.covers(query, weights)
    if actor.role not in BLIND_ROLES:
        count = rollups.tallies if summed else counting.tallies
        return None, await count(db, query, now=now, weights=weights)
    counted = replace(query, measures=query.counted(weights))
    if not summed:
        veil = await small_cells.veil(db, counted, now=now)
        return veil, await counting.tallies(db, query, now=now, weights=weights)
    windows = small_cells.windows_of(counted)
    sums = rollups.wanted_of(query, weights, veiled=True)
    sheet = await sheets.read(db, sums, windows, now=now)
    return small_cells.veil_of(sheet, counted, now=now), tallies_of(sheet, query, weights)


class _Telling:
    """What was counted, as cells."""

    def __init__(
        self,
        query: Query,
        veil: small_cells.Veil | None,
        residents: "_Residents",
        weights: Weights,
    ) -> None:
        self._query, self._veil, self._residents = query, veil, residents
        self._weights = weights
        self._counted = [(it, DEFINITIONS[it].unit) for it in query.counted(weights)]

    def cells(self, keys: Keys, counts: Mapping[Measure, Tally]) -> dict[Measure, Cell]:
        away = self._veil.hidden_of(keys) if self._veil is not None else ()
        cells = {
            measure: HIDDEN
            if measure in away
            else self._cell(unit, counts.get(measure, _NOBODY), keys)
            for measure, unit in self._counted
        }
        if Measure.COMPOSITE in self._query.measures:
            cells[Measure.COMPOSITE] = _composite(cells, self._weights)
            return {measure: cells[measure] for measure in self._query.measures}
        return cells

    def _cell(self, unit: Unit, tally: Tally, keys: Keys) -> Cell:
        cohort, den, counted, half, middle = tally
        excluded, small = cohort - den, den < SMALL_SAMPLE
        num: float = counted - half * (1 - self._weights.partly_solved) if half else counted
        match unit:
            case Unit.RATIO:
                low, high = measures.wilson(num, den) or (None, None)
                return Cell(num, den, num / den if den else None, low, high, excluded, small)
            case Unit.COUNT:
                return Cell(num, den, float(num), None, None, excluded, small)
            case Unit.HOURS:
                return Cell(num, den, middle, None, None, excluded, small)
            case _:
                people = self._residents.of(self._query, keys)
                value = measures.ratio(num * 1000, people)
                return Cell(num, people or None, value, None, None, excluded, small)


def _composite(cells: Mapping[Measure, Cell], weights: Weights) -> Cell:
    parts = [cells[measure] for measure in weights.parts]
    if any(part.suppressed for part in parts):
        return HIDDEN
    value = measures.composite({it: cells[it].value for it in weights.parts}, weights)
    return Cell(value=value, small_sample=any(part.small_sample for part in parts))


class _Residents:
    """How many live in a place, by the first digits of its code."""

    def __init__(self, people: Mapping[str, int]) -> None:
        self._people = people
        self._by_length: dict[int, Counter[str]] = {}

    def of(self, query: Query, keys: Keys) -> int:
        """Those who live where the cell is: the whole area where it is not narrowed by place."""
        place = query.filters.grid or ""
        for dimension, key in zip(query.group_by, keys, strict=False):
            if dimension in PLACE_DIGITS:
                if key is None:
                    return 0  # nobody lives nowhere
                place = max(place, key, key=len)
        if len(place) not in self._by_length:
            counter = self._by_length[len(place)] = Counter()
            for code, number in self._people.items():
                counter[code[: len(place)]] += number
        return self._by_length[len(place)][place]


# --- ranking -------------------------------------------------------------------------------------


def ranked(
    groups: Mapping[Keys, Mapping[Measure, Cell]],
) -> dict[Keys, dict[Measure, Cell]]:
    """Give each cell its place among the groups, the best first; equal values share a place.

    A sample under ``SMALL_SAMPLE``, a suppressed cell and a group that nobody determined have none.
    """
    places: dict[Keys, dict[Measure, Cell]] = {keys: dict(cells) for keys, cells in groups.items()}
    for measure in next(iter(groups.values()), {}):
        values = {
            keys: value
            for keys, cells in groups.items()
            if None not in keys
            and not (cells[measure].suppressed or cells[measure].small_sample)
            and (value := cells[measure].value) is not None
        }
        falls = DEFINITIONS[measure].falls
        for keys, value in values.items():
            better = sum(it < value if falls else it > value for it in values.values())
            places[keys][measure] = places[keys][measure]._replace(rank=better + 1)
    return places


def with_ranks(found: Figures) -> Figures:
    return replace(found, groups=ranked(found.groups))
