"""The query engine: what is counted becomes cells with margins, and what is too small is hidden.

How it is counted: from sums (``rollups``), where they cover the question, else from the requests
themselves (``counting``). ``statistics.members`` opens a cell to the requests behind it. All put
their statements together from the same fixed pieces (``predicates``, ``dimensions``).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import repeat
from operator import sub
from typing import NamedTuple

from app.domain import measures
from app.domain.errors import Invalid
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.measures import DEFINITIONS, SMALL_SAMPLE, Measure, Unit, Weights
from app.statistics import counting, rollups, sheets, small_cells
from app.statistics.dimensions import PLACE_DIGITS
from app.statistics.questions import Column, Keys, Query, Tallies
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


class TooManyFigures(Invalid):
    """一次查询的数字太多，请减少指标或分组、缩小范围，或改用导出。"""

    code = "too_many_figures"


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
    most: int | None = None,
) -> Figures:
    """Return every cell that was asked for.

    Args:
        people: residents by grid code; None where nobody has counted them.
        most: how many cells may be asked for; None: whoever asks has the time.

    Raises:
        StatisticsTooFine: what is asked is finer than this actor may ask.
        TooManyFigures
    """
    veil, found = await look(db, query, actor=actor, now=now, weights=weights)
    if most is not None and (asked := len(found.keys) * len(query.measures)) > most:
        raise TooManyFigures(figures=asked, most=most)
    told = _told(query, veil, found, _Residents(people or {}), weights)
    depth = len(query.group_by)
    return Figures(
        total=told[()],
        subtotals={keys: it for keys, it in told.items() if 0 < len(keys) < depth},
        groups={keys: it for keys, it in told.items() if 0 < len(keys) == depth},
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


def _told(
    query: Query,
    veil: small_cells.Veil | None,
    found: Tallies,
    residents: "_Residents",
    weights: Weights,
) -> dict[Keys, dict[Measure, Cell]]:
    """What was counted, as cells, but for what is hidden: measure by measure, then row by row."""
    columns: dict[Measure, Iterable[Cell]] = {}
    hidden = veil.hidden_of(found.keys) if veil is not None else {}
    for measure, column in found.columns.items():
        people = None
        if DEFINITIONS[measure].unit is Unit.PER_1000:
            people = [residents.of(query, keys) for keys in found.keys]
        cells = _cells(DEFINITIONS[measure].unit, column, people, weights)
        columns[measure] = map(_unless, hidden[measure], cells) if measure in hidden else cells
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if Measure.COMPOSITE in query.measures:
        for row in rows:
            row[Measure.COMPOSITE] = _composite(row, weights)
        rows = [{measure: row[measure] for measure in query.measures} for row in rows]
    return dict(zip(found.keys, rows, strict=True))


def _unless(away: bool, cell: Cell) -> Cell:
    return HIDDEN if away else cell


def _cells(
    unit: Unit, column: Column, people: Sequence[int] | None, weights: Weights
) -> Iterator[Cell]:
    cohorts, dens, counted, halves, middles = column
    nums: Sequence[float] = counted
    if any(halves):
        less = 1 - weights.partly_solved
        nums = [
            num - half * less if half else num for num, half in zip(counted, halves, strict=True)
        ]
    excluded, small = map(sub, cohorts, dens), (den < SMALL_SAMPLE for den in dens)
    nothing: Iterable[None] = repeat(None)
    match unit:
        case Unit.RATIO:
            shares = map(measures.ratio, nums, dens)
            lows, highs = measures.wilsons(nums, dens)
            return map(Cell, nums, dens, shares, lows, highs, excluded, small)
        case Unit.COUNT:
            return map(Cell, nums, dens, map(float, nums), nothing, nothing, excluded, small)
        case Unit.HOURS:
            return map(Cell, nums, dens, middles, nothing, nothing, excluded, small)
        case _:
            living = people or []
            values = (measures.ratio(num * 1000, it) for num, it in zip(nums, living, strict=True))
            among = (it or None for it in living)
            return map(Cell, nums, among, values, nothing, nothing, excluded, small)


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
        falls = DEFINITIONS[measure].falls
        values = {
            keys: value if falls else -value
            for keys, cells in groups.items()
            if None not in keys
            and not (cells[measure].suppressed or cells[measure].small_sample)
            and (value := cells[measure].value) is not None
        }
        best_first = sorted(values.values())
        for keys, value in values.items():
            better = bisect_left(best_first, value)
            places[keys][measure] = places[keys][measure]._replace(rank=better + 1)
    return places


def with_ranks(found: Figures) -> Figures:
    return replace(found, groups=ranked(found.groups))
