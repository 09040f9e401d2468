"""Which sums are kept, and by what; the rows of ``statistics_sums`` follow this. Pure.

A *cohort* is what was submitted on one local day; a *span* is one cohort, or those of one month. A
*cell* holds what one span has in one bucket of time (the local day, or month, of an instant) under
one key of a facet, or under two: how many requests meet each condition, and by bits how many people
are behind each denominator. The cells of a span, a facet and an instant are one row: vectors of
numbers, condition after condition, so that who asks for one condition reads no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import combinations

from app.domain.measures import DEFINITIONS, Measure
from app.statistics.dimensions import HIERARCHY, Dimension, Filters, Hierarchy
from app.statistics.predicates import (
    COUNTED,
    OFFICE_TENTHS,
    PERCENTILE,
    PLAIN,
    UNEXCLUDED,
    instant_of,
)

_FORM = 2  # of the vectors and columns: others are not ours to read

EPOCH = date(1970, 1, 1)  # days are counted from here

# What cells are kept by, over requests. Numbered in ``statistics_keys``, but for the last.
CODES: Mapping[str, str] = {
    "unit": "requests.unit_code",
    "place": "left(requests.grid_code, 12)",
    "grid": "left(requests.grid_code, 15)",
    "category": "requests.category_code",
    "channel": "requests.channel",
    "kind": "requests.kind",
}
TENTHS = "tenths"  # office time, a number by itself
EVERYBODY = "true"  # the condition that all meet
_CODE_OF = {
    Hierarchy.UNITS: "unit",
    Hierarchy.PLACES: "place",
    Hierarchy.CATEGORIES: "category",
    Hierarchy.CHANNELS: "channel",
    Hierarchy.KINDS: "kind",
}
_HIERARCHY = {**{code: it for it, code in _CODE_OF.items()}, "grid": Hierarchy.PLACES}
_PLACE_MOST, _GRID_MOST = 12, 15  # digits
_ANY = "channel"  # the one with the fewest keys

SUBMITTED = "requests.submitted_at"
DAY, MONTH = "day", "month"  # spans


@dataclass(frozen=True, slots=True)
class Facet:
    """One code, two of different hierarchies, or one and office time."""

    codes: tuple[str, ...]

    @property
    def name(self) -> str:
        return "+".join(self.codes)

    @property
    def is_daily(self) -> bool:
        """Whether it is kept for days too: a day has hardly two requests of one grid, or pair."""
        return "grid" not in self.codes and (len(self.codes) == 1 or TENTHS in self.codes)

    def place_of(self, hierarchy: Hierarchy) -> int:
        """Of the code that tells the keys of a hierarchy."""
        return next(at for at, it in enumerate(self.codes) if _HIERARCHY.get(it) is hierarchy)

    @property
    def timed(self) -> "Facet":
        """The same with office time."""
        return Facet((*self.codes, TENTHS))


@dataclass(frozen=True, slots=True)
class Sum:
    """What one row holds: ``conditions`` in their order, the first of them everybody; the people
    of ``dens`` in theirs. Kept are plain conditions (``predicates.PLAIN``), wanted those of the
    measures."""

    facet: Facet
    instant: str
    conditions: tuple[str, ...]
    dens: tuple[str, ...]


_SINGLE = tuple(Facet((code,)) for code in CODES)
_PAIRS = tuple(Facet(pair) for pair in combinations([it for it in CODES if it != "grid"], 2))
FACETS = (*_SINGLE, *_PAIRS)
TIMED = tuple(facet.timed for facet in _SINGLE)

# Whose office time is summed: the one denominator of all percentiles.
[TIMED_DEN] = {COUNTED[measure].den for measure in PERCENTILE}


def _own(instant: str) -> list[Measure]:
    """The measures that are put into a period by this instant, if nobody asks for another one."""
    return [it for it in COUNTED if instant_of(it, DEFINITIONS[it].basis) == instant]


def _conditions(instant: str) -> tuple[str, ...]:
    """Of the measures' own instant; by submission anything may be asked."""
    measures = list(COUNTED) if instant == SUBMITTED else _own(instant)
    every = ((COUNTED[it].den, COUNTED[it].num, COUNTED[it].half) for it in measures)
    return tuple(dict.fromkeys([EVERYBODY, *(PLAIN[it] for them in every for it in them if it)]))


INSTANTS = tuple(
    dict.fromkeys([SUBMITTED, *(instant_of(it, DEFINITIONS[it].basis) for it in COUNTED)])
)
_COUNTS = {instant: _conditions(instant) for instant in INSTANTS}
_PEOPLE = {
    instant: tuple(dict.fromkeys(PLAIN[COUNTED[it].den] for it in _own(instant)))
    for instant in INSTANTS
}
SUMS: Mapping[tuple[Facet, str], Sum] = {
    (facet, instant): Sum(facet, instant, _COUNTS[instant], _PEOPLE[instant])
    for facet in FACETS
    for instant in INSTANTS
} | {(facet, SUBMITTED): Sum(facet, SUBMITTED, (EVERYBODY,), ()) for facet in TIMED}

# All conditions once: bit by bit they say everything of a request.
CONDITIONS = tuple(dict.fromkeys(condition for them in _COUNTS.values() for condition in them))
JOINS = " ".join(dict.fromkeys(it.join for it in COUNTED.values() if it.join))
# A request that counts for the same for ever, unless somebody touches it; and for all measures
# alike: the few that were excluded from some are counted one by one.
SETTLED = f"""(requests.ended_at IS NOT NULL AND {UNEXCLUDED}
  AND greatest(requests.contact_due_at, requests.reply_due_at) <= :now::timestamptz)"""
# Of a person one of 64 bits; whoever has no account is somebody of their own.
PERSON = "(uuid_hash(coalesce(requests.resident_id, requests.id)) & 63)"
# Sums that were made by other definitions are no sums of ours.
DEFINED = sha256(
    repr((_FORM, CODES, SUMS, JOINS, SETTLED, PERSON, OFFICE_TENTHS, TIMED_DEN)).encode()
).hexdigest()


def local_day(instant: str) -> str:
    return f"({instant} AT TIME ZONE 'Asia/Shanghai')::date"


def facet_of(group_by: tuple[Dimension, ...], filters: Filters) -> Facet | None:
    """The one that says enough; None: no single one does."""
    cuts = filters.narrowed()
    codes = {_CODE_OF[HIERARCHY[it]] for it in (*group_by, *cuts)
             if HIERARCHY[it] is not Hierarchy.TIME}  # fmt: skip
    digits = len(filters.grid or "")
    if digits > _GRID_MOST:
        return None
    if digits > _PLACE_MOST or Dimension.GRID in (*group_by, *cuts):
        codes = {*codes - {"place"}, "grid"}
    facet = Facet(tuple(it for it in CODES if it in codes) or (_ANY,))
    return facet if facet in FACETS else None
