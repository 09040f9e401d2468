"""What is asked, and what was counted for it: the words that every way of counting shares. Pure."""

from collections.abc import Iterable, Mapping, Sequence
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


class Tally(NamedTuple):  # thousands are made for a table: a frozen dataclass costs four times that
    """What was counted of one measure in one group. ``half`` is the part of ``num`` that is only
    partly solved; ``middle`` is in hours of office time."""

    cohort: int
    den: int
    num: int
    half: int = 0
    middle: float | None = None


Tallies = dict[Keys, dict[Measure, Tally]]  # the total under (), groups under their keys


def in_order(found: Iterable[tuple[Keys, dict[Measure, Tally]]]) -> Tallies:
    """By level, then by key."""
    return dict(sorted(found, key=lambda it: (len(it[0]), *map(by_key, it[0]))))


def by_key(key: str | None) -> tuple[bool, str]:
    """What is undetermined comes last."""
    return (key is None, key or "")


def conditions_of(measure: Measure) -> Mapping[str, str]:
    """What is counted of a measure, by the names in ``Tally``."""
    counted = COUNTED[measure]
    found = {"den": counted.den, "num": counted.num, "half": counted.half}
    return {name: condition for name, condition in found.items() if condition}
