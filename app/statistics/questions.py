"""What is asked, and what was counted for it: the words that every way of counting shares. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from app.domain.errors import Invalid
from app.domain.measures import DEFINITIONS, Basis, Measure, Weights
from app.statistics.dimensions import Dimension, Filters
from app.statistics.predicates import COUNTED, instant_of

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


def over(query: Query, since: datetime, until: datetime) -> Query:
    """The same query of another period."""
    return replace(query, since=since, until=until)


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


class Tally(NamedTuple):
    """What was counted of one measure in one group. ``half`` is the part of ``num`` that is only
    partly solved; ``middle`` is in hours of office time."""

    cohort: int
    den: int
    num: int
    half: int = 0
    middle: float | None = None


class Column(NamedTuple):
    """The tallies of one measure in many groups: what ``Tally`` has, for each of them."""

    cohort: Sequence[int]
    den: Sequence[int]
    num: Sequence[int]
    half: Sequence[int]
    middle: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Tallies:
    """What was counted: of the total, then of the groups, by level and by key.

    Attributes:
        keys: of the total (), of each group its own; of all who have a request for any measure.
        columns: by measure, in the order of ``keys``. Tables have tens of thousands of figures: in
            columns they are counted and told ten at a time for what an object each would cost.
    """

    keys: Sequence[Keys]
    columns: Mapping[Measure, Column]

    def of(self, keys: Keys, measure: Measure) -> Tally:
        """One figure; nobody is behind that of a group which is not there."""
        if keys not in self.keys:
            return Tally(0, 0, 0)
        at = self.keys.index(keys)
        cohort, den, num, half, middle = self.columns[measure]
        return Tally(cohort[at], den[at], num[at], half[at], middle[at])


def by_key(key: str | None) -> tuple[bool, str]:
    """What is undetermined comes last."""
    return (key is None, key or "")


def conditions_of(measure: Measure) -> Mapping[str, str]:
    """What is counted of a measure, by the names in ``Tally``."""
    counted = COUNTED[measure]
    found = {"den": counted.den, "num": counted.num, "half": counted.half}
    return {name: condition for name, condition in found.items() if condition}
