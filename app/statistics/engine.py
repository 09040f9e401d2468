"""The query engine: what is asked becomes one statement, its rows become cells with margins.

``tallies`` counts, ``figures`` makes cells of it and hides what is too small to be told;
``statistics.members`` opens a cell to the requests behind it. All put their statements together
from the same fixed pieces (``predicates``, ``dimensions``).
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from app.domain import measures
from app.domain.errors import Invalid
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.measures import DEFINITIONS, SMALL_SAMPLE, Basis, Measure, Unit, Weights
from app.statistics import small_cells
from app.statistics.dimensions import (
    JOIN_UNITS,
    PLACE_DIGITS,
    Dimension,
    Filters,
    key_sql,
    values_of,
    where_sql,
)
from app.statistics.predicates import COUNTED, OFFICE_HOURS, PERCENTILE, instant_of
from app.store.session import Database, Statement

MOST_GROUPS = 2
Keys = tuple[str | None, ...]


class GroupsUnclear(Invalid):
    """分组方式最多两个，且不能重复。"""

    code = "group_by_invalid"


class MeasureMissing(Invalid):
    """请选择至少一个指标。"""

    code = "measure_missing"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked. [since, until) are instants; ``basis`` None: each measure's own."""

    measures: tuple[Measure, ...]
    group_by: tuple[Dimension, ...]
    filters: Filters
    since: datetime
    until: datetime
    basis: Basis | None = None

    def __post_init__(self) -> None:
        """Raises: MeasureMissing, GroupsUnclear."""
        if not self.measures:
            raise MeasureMissing
        if len(self.group_by) > MOST_GROUPS or len(set(self.group_by)) < len(self.group_by):
            raise GroupsUnclear

    def basis_of(self, measure: Measure) -> Basis:
        return self.basis or DEFINITIONS[measure].basis

    def counted(self, weights: Weights) -> tuple[Measure, ...]:
        """What must be counted for it: a composite is put together from its parts."""
        parts = tuple(weights.parts) if Measure.COMPOSITE in self.measures else ()
        wanted = (*(it for it in self.measures if it is not Measure.COMPOSITE), *parts)
        return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted of one measure in one group. ``half`` is the part of ``num`` that is only
    partly solved; ``middle`` is in hours of office time."""

    cohort: int
    den: int
    num: int
    half: int = 0
    middle: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
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


@dataclass(frozen=True, slots=True)
class Figures:
    """The total, the first level's groups where there are two, and the groups, by their keys."""

    total: dict[Measure, Cell]
    subtotals: dict[Keys, dict[Measure, Cell]] = field(default_factory=dict)
    groups: dict[Keys, dict[Measure, Cell]] = field(default_factory=dict)


class Counting(Protocol):
    """Counts a query: from the requests themselves (``tallies``), or from sums made before."""

    def __call__(
        self, db: Database, query: Query, *, now: datetime, weights: Weights
    ) -> Awaitable[dict[Keys, dict[Measure, Tally]]]: ...


async def figures(
    db: Database,
    query: Query,
    *,
    actor: Actor,
    now: datetime,
    people: Mapping[str, int] | None = None,
    weights: Weights = measures.CURRENT_WEIGHTS,
    count: Counting | None = None,
) -> Figures:
    """Return every cell that was asked for.

    Args:
        people: residents by grid code; None where nobody has counted them.
        count: how to count; ``tallies`` if nobody knows better.

    Raises:
        StatisticsTooFine: what is asked is finer than this actor may ask.
    """
    counted = query.counted(weights)
    veil = None
    if actor.role in BLIND_ROLES:
        veil = await small_cells.veil(db, replace(query, measures=counted), now=now)
    found = await (count or tallies)(db, query, now=now, weights=weights)
    by_keys = {
        keys: _cells(query, keys, counts, veil, people, weights) for keys, counts in found.items()
    }
    depth = len(query.group_by)
    nothing = _cells(query, (), {}, veil, people, weights)
    return Figures(
        total=by_keys.get((), nothing),
        subtotals={keys: it for keys, it in by_keys.items() if 0 < len(keys) < depth},
        groups={keys: it for keys, it in by_keys.items() if 0 < len(keys) == depth},
    )


def _cells(
    query: Query,
    keys: Keys,
    counts: Mapping[Measure, Tally],
    veil: small_cells.Veil | None,
    people: Mapping[str, int] | None,
    weights: Weights,
) -> dict[Measure, Cell]:
    nobody = Tally(0, 0, 0)
    cells = {}
    for measure in query.counted(weights):
        if veil is not None and veil.hides(measure, dict(zip(query.group_by, keys, strict=False))):
            cells[measure] = HIDDEN
        else:
            residents = _residents(query, keys, people) if measure is Measure.PER_1000 else 0
            cells[measure] = _cell(measure, counts.get(measure, nobody), residents, weights)
    if Measure.COMPOSITE in query.measures:
        cells[Measure.COMPOSITE] = _composite(cells, weights)
    return {measure: cells[measure] for measure in query.measures}


def _cell(measure: Measure, tally: Tally, residents: int, weights: Weights) -> Cell:
    excluded, small = tally.cohort - tally.den, tally.den < SMALL_SAMPLE
    num: float = tally.num
    if tally.half:
        num -= tally.half * (1 - weights.partly_solved)
    match DEFINITIONS[measure].unit:
        case Unit.COUNT:
            return Cell(num, tally.den, float(num), excluded=excluded, small_sample=small)
        case Unit.HOURS:
            return Cell(num, tally.den, tally.middle, excluded=excluded, small_sample=small)
        case Unit.PER_1000:
            value = measures.ratio(num * 1000, residents)
            return Cell(num, residents or None, value, excluded=excluded, small_sample=small)
        case _:
            low, high = measures.wilson(num, tally.den) or (None, None)
            value = measures.ratio(num, tally.den)
            return Cell(num, tally.den, value, low, high, excluded, small)


def _composite(cells: Mapping[Measure, Cell], weights: Weights) -> Cell:
    parts = [cells[measure] for measure in weights.parts]
    if any(part.suppressed for part in parts):
        return HIDDEN
    value = measures.composite({it: cells[it].value for it in weights.parts}, weights)
    return Cell(value=value, small_sample=any(part.small_sample for part in parts))


def _residents(query: Query, keys: Keys, people: Mapping[str, int] | None) -> int:
    """Those who live where the cell is: the whole area where it is not narrowed by place."""
    place = query.filters.grid or ""
    for dimension, key in zip(query.group_by, keys, strict=False):
        if dimension in PLACE_DIGITS:
            if key is None:
                return 0  # nobody lives nowhere
            place = max(place, key, key=len)
    return sum(number for code, number in (people or {}).items() if code.startswith(place))


# --- counting ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Measures that share the instant by which they are put into a period."""

    instant: str
    measures: tuple[Measure, ...]

    @property
    def joins(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(COUNTED[it].join for it in self.measures if COUNTED[it].join))


def parts_of(wanted: Sequence[Measure], basis: Basis | None) -> tuple[Part, ...]:
    by_instant: dict[str, list[Measure]] = {}
    for measure in wanted:
        instant = instant_of(measure, basis or DEFINITIONS[measure].basis)
        by_instant.setdefault(instant, []).append(measure)
    return tuple(Part(instant, tuple(them)) for instant, them in by_instant.items())


async def tallies(
    db: Database, query: Query, *, now: datetime, weights: Weights = measures.CURRENT_WEIGHTS
) -> dict[Keys, dict[Measure, Tally]]:
    """Count everything in one statement: the total under (), groups under their keys."""
    wanted = query.counted(weights)
    statement = _statement(wanted, query.group_by, tuple(query.filters.given()), query.basis)
    rows = await db.rows(
        statement,
        since=query.since,
        until=query.until,
        **({"now": now} if "now" in statement.names else {}),
        **values_of(query.filters),
    )
    parts = parts_of(wanted, query.basis)
    found: dict[Keys, dict[Measure, Tally]] = {}
    for row in rows:
        keys = tuple(row[f"k{place}"] for place in range(len(query.group_by) - row["above"]))
        into = found.setdefault(keys, {})
        counts, middles = iter(row["counts"]), iter(row["middles"])
        for measure in parts[row["part"]].measures:
            den, num = next(counts), next(counts)
            half = next(counts) if COUNTED[measure].half else 0
            middle = next(middles) if measure in PERCENTILE else None
            into[measure] = Tally(row["cohort"], den, num, half, middle)
    return dict(sorted(found.items(), key=lambda it: (len(it[0]), *map(_in_order, it[0]))))


def _in_order(key: str | None) -> tuple[bool, str]:
    """What is undetermined comes last."""
    return (key is None, key or "")


@lru_cache(maxsize=512)
def _statement(
    wanted: tuple[Measure, ...],
    group_by: tuple[Dimension, ...],
    filters: tuple[str, ...],
    basis: Basis | None,
) -> Statement:
    parts = [
        _part(number, part, group_by, filters)
        for number, part in enumerate(parts_of(wanted, basis))
    ]
    return Statement("\nUNION ALL\n".join(parts))


def _part(
    number: int, part: Part, group_by: tuple[Dimension, ...], filters: tuple[str, ...]
) -> str:
    keys = [f"key.k{place}" for place in range(len(group_by))]
    sets = ", ".join(f"({', '.join(keys[:length])})" for length in range(len(keys) + 1))
    above = " + ".join(f"GROUPING({key})" for key in keys) or "0"
    named = "".join(f"{key}::text AS k{place}, " for place, key in enumerate(keys))
    grouped = f"GROUP BY GROUPING SETS ({sets})" if keys else ""
    return f"""SELECT {number} AS part, {above} AS above, {named}count(*) AS cohort,
  ARRAY[{", ".join(_counts(part))}]::bigint[] AS counts,
  ARRAY[{", ".join(_middles(part))}]::float8[] AS middles
{source(part, group_by, filters)}
{grouped}"""


def _counts(part: Part) -> list[str]:
    return [
        "count(*)" if condition == "true" else f"count(*) FILTER (WHERE {condition})"
        for measure in part.measures
        for condition in (COUNTED[measure].den, COUNTED[measure].num, COUNTED[measure].half)
        if condition
    ]


def _middles(part: Part) -> list[str]:
    return [
        f"percentile_disc({PERCENTILE[measure]}) WITHIN GROUP (ORDER BY {OFFICE_HOURS})"
        f" FILTER (WHERE {COUNTED[measure].den})"
        for measure in part.measures
        if measure in PERCENTILE
    ]


def source(part: Part, group_by: tuple[Dimension, ...], filters: tuple[str, ...]) -> str:
    """FROM and WHERE: the requests of a part whose instant lies in the period."""
    joins = list(part.joins)
    if Dimension.UNIT_KIND in group_by or "unit_kind" in filters:
        joins.append(JOIN_UNITS)
    if group_by:
        named = ", ".join(
            f"{key_sql(dimension, part.instant)} AS k{place}"
            for place, dimension in enumerate(group_by)
        )
        joins.append(f"CROSS JOIN LATERAL (SELECT {named}) AS key")
    conditions = [
        f"{part.instant} >= :since",
        f"{part.instant} < :until",
        *map(where_sql, filters),
    ]
    return f"""FROM requests {" ".join(joins)}
WHERE {" AND ".join(conditions)}"""


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
            places[keys][measure] = replace(places[keys][measure], rank=better + 1)
    return places


def with_ranks(found: Figures) -> Figures:
    return replace(found, groups=ranked(found.groups))


def over(query: Query, since: datetime, until: datetime) -> Query:
    """The same query of another period."""
    return replace(query, since=since, until=until)
