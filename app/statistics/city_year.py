"""A year of a city that never was: how many requests on which day, about what, where, how it ended.

Everything is drawn from a seed, day by day, so that any process can make any day, and a year comes
out the same however the days are shared out. What becomes of one request is told by ``city_lives``.

The totals are exact and scale with the number of requests. Source: C7 of the page on the domain,
Jiaozhou 2023: 396,000 received, 395,000 closed (99.75 %), 372,011 of 395,000 satisfied (94.18 %).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import numpy

from app.domain.errors import Invalid
from app.domain.sla import Policy
from app.domain.working_time import WorkingCalendar

RECEIVED, CLOSED, SATISFIED = 396_000, 395_000, 372_011
# The last of them are archived in the spring after: nothing of a year lies in the future.
OVER_AFTER = timedelta(days=150)
LOCAL_S = 8 * 3_600  # Asia/Shanghai, which has not changed its clocks since 1991
DAY_S = 86_400
UNIFORMS, NORMALS = 26, 4  # drawn for each request

# Of the mean. January … December; Monday … Sunday; days off; the hours of a day.
_MONTHS = (0.98, 0.82, 1.0, 0.98, 1.02, 1.08, 1.16, 1.14, 1.0, 0.92, 0.96, 0.94)
_WEEKDAYS = (1.2, 1.12, 1.08, 1.05, 1.04, 0.8, 0.72)
_HOLIDAY = 0.62
_HOURS = (4, 2, 1, 1, 1, 3, 9, 24, 52, 66, 62, 46, 32, 40, 54, 58, 54, 46, 36, 33, 31, 24, 15, 8)
# How easily people are dissatisfied, by the month.
_DISCONTENT = (1.25, 1.15, 0.95, 0.9, 0.9, 1.0, 1.15, 1.1, 0.95, 0.85, 1.0, 1.2)

# By the first part of a category's code: how often, and in which months more than that.
_OFTEN: dict[str, float] = {
    "env": 13, "road": 12, "utility": 14, "farm": 4, "house": 6, "dispute": 5, "welfare": 9,
    "public": 6, "safety": 7, "estate": 14, "policy": 6, "idea": 1.5, "praise": 0.8, "wish": 0.7,
    "other": 1.0,
}  # fmt: skip
_SEASONS: dict[str, tuple[float, frozenset[int]]] = {
    "utility.heating": (7.0, frozenset({1, 2, 3, 11, 12})),
    "utility.water_outage": (2.5, frozenset({6, 7, 8})),
    "utility.power_outage": (2.5, frozenset({7, 8})),
    "env.burning": (5.0, frozenset({6, 10})),
    "env.garbage": (1.6, frozenset({6, 7, 8})),
    "env.pollution": (2.0, frozenset({1, 2, 12})),
    "road.ice": (9.0, frozenset({1, 2, 12})),
    "farm.irrigation": (4.0, frozenset({3, 4, 5, 6})),
    "public.school": (3.5, frozenset({6, 7, 8, 9})),
    "welfare.job": (2.0, frozenset({1, 2, 12})),
    "estate.noise": (1.8, frozenset({5, 6, 7, 8, 9})),
    "estate.leak": (1.8, frozenset({7, 8})),
}
_OUT_OF_SEASON = 0.35
_HARD_TO_PLEASE = frozenset({"dispute", "house", "estate", "utility"})
_HARDER = 1.7


class YearNotOver(Invalid):
    """只能生成已经结束的年份：当年的诉求应已全部办结归档。"""

    code = "year_not_over"


@dataclass(frozen=True, slots=True)
class Matter:
    """A leaf of the categories (None: not said), with what is promised."""

    code: str | None
    name: str
    policy: Policy
    grid_matter: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A grid. Any point within ``radius`` degrees of the spot lies in it.

    ``region``: which grids the routing rules tell apart from it at all.
    """

    code: str
    latitude: float
    longitude: float
    radius: float
    region: int


@dataclass(frozen=True, slots=True)
class Route:
    unit_code: str | None
    rule_id: int | None
    reason_code: str
    reason_text: str


@dataclass(frozen=True, slots=True)
class Ground:
    """The city that the year happens in: all that its processes need to know.

    ``routes``: by the positions of the matter and of the place's region.
    """

    calendar: WorkingCalendar
    matters: tuple[Matter, ...]
    places: tuple[Place, ...]
    routes: dict[tuple[int, int], Route]
    units: tuple[str, ...]
    numbers: dict[str, int]  # of the units
    unit_of_town: dict[str, str]
    residents: int


@dataclass(frozen=True, slots=True)
class Day:
    """What a day brings. ``first``: how many requests of the year were before it."""

    day: date
    first: int
    received: int
    closed: int
    dissatisfied: int


@dataclass(frozen=True, slots=True)
class Year:
    year: int
    seed: int
    received: int
    days: tuple[Day, ...]

    @property
    def closed(self) -> int:
        return sum(day.closed for day in self.days)

    @property
    def satisfied(self) -> int:
        return self.closed - sum(day.dissatisfied for day in self.days)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One request before its life: positions in the ground, moments and chances.

    ``end``: closed, satisfied or not, or not closed at all.
    """

    index: int
    submitted_at: int  # seconds since 1970, UTC
    matter: int
    place: int
    closed: bool
    satisfied: bool
    bits: int
    chances: list[float]  # [0, 1)
    normals: list[float]


def plan(year: int, requests: int, *, seed: int, calendar: WorkingCalendar, now: datetime) -> Year:
    """Share the requests of a year out over its days. Raises: YearNotOver."""
    if datetime(year + 1, 1, 1, tzinfo=UTC) + OVER_AFTER > now:
        raise YearNotOver(year=year)
    closed = round(requests * Fraction(CLOSED, RECEIVED))
    dissatisfied = closed - round(closed * Fraction(SATISFIED, CLOSED))
    by = calendar.provisional()
    first = date(year, 1, 1)
    days = [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]
    mood = numpy.random.default_rng([seed, year]).normal(1, 0.06, len(days)).clip(0.7, 1.3)
    received_on = _shares(
        requests,
        [
            _MONTHS[day.month - 1]
            * (_WEEKDAYS[day.weekday()] if by.is_working_day(day) or day.weekday() > 4
               else _HOLIDAY)
            * mood[n]
            for n, day in enumerate(days)
        ],
    )  # fmt: skip
    closed_on = _shares(closed, received_on, most=received_on)
    weights = [
        count * _DISCONTENT[day.month - 1] for day, count in zip(days, closed_on, strict=True)
    ]
    dissatisfied_on = _shares(dissatisfied, weights, most=closed_on)
    before = numpy.cumsum([0, *received_on])
    return Year(
        year,
        seed,
        requests,
        tuple(
            Day(day, int(before[n]), received_on[n], closed_on[n], dissatisfied_on[n])
            for n, day in enumerate(days)
        ),
    )


def _shares(
    total: int, weights: Sequence[float], *, most: Sequence[int] | None = None
) -> list[int]:
    """Whole parts of ``total`` in the ratio of the weights, none above ``most`` of its place."""
    ends = numpy.rint(numpy.cumsum(weights) * (total / sum(weights))).astype(int)
    ends[-1] = total
    parts: list[int] = numpy.diff(ends, prepend=0).tolist()
    if most is None:
        return parts
    over = 0
    for n, limit in enumerate(most):  # what has no room here goes where there is some
        over += parts[n]
        parts[n] = min(over, limit)
        over -= parts[n]
    for n, limit in enumerate(most):
        taken = min(over, limit - parts[n])
        parts[n] += taken
        over -= taken
    return parts


def draw(ground: Ground, year: Year, day: Day) -> list[Drawn]:
    """The requests of a day, in the order of time."""
    count = day.received
    if not count:
        return []
    dice = numpy.random.default_rng([year.seed, year.year, day.day.timetuple().tm_yday])
    hours = numpy.array(_HOURS) / sum(_HOURS)
    at = dice.choice(24, count, p=hours) * 3_600 + dice.integers(0, 3_600, count)
    at = numpy.sort(at) + (day.day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_S - LOCAL_S
    matters = dice.choice(len(ground.matters), count, p=_of_matters(ground, day.day.month))
    places = dice.choice(len(ground.places), count, p=_of_places(ground, year.seed))
    hard = numpy.array(
        [(matter.code or "").split(".")[0] in _HARD_TO_PLEASE for matter in ground.matters]
    )
    order = dice.permutation(count)
    closed = numpy.zeros(count, bool)
    closed[order[: day.closed]] = True
    # The first of a race that those who are hard to please run faster.
    race = dice.exponential(1, count) / numpy.where(hard[matters], _HARDER, 1.0)
    race[~closed] = numpy.inf
    satisfied = closed.copy()
    satisfied[numpy.argsort(race, kind="stable")[: day.dissatisfied]] = False
    bits = dice.integers(0, 1 << 62, count)
    columns = (
        range(day.first, day.first + count), at.tolist(), matters.tolist(), places.tolist(),
        closed.tolist(), satisfied.tolist(), bits.tolist(),
        dice.random((count, UNIFORMS)).tolist(), dice.standard_normal((count, NORMALS)).tolist(),
    )  # fmt: skip
    return [Drawn(*values) for values in zip(*columns, strict=True)]


def _of_matters(ground: Ground, month: int) -> numpy.ndarray:
    """How likely a request of a month is about each matter."""
    leaves: dict[str, int] = {}
    for matter in ground.matters:
        root = (matter.code or "").split(".")[0]
        leaves[root] = leaves.get(root, 0) + 1
    weights = []
    for matter in ground.matters:
        root = (matter.code or "").split(".")[0]
        weight = (_OFTEN.get(root, 3.0) if root else 2.0) / leaves[root]
        more, months = _SEASONS.get(matter.code or "", (1.0, frozenset(range(1, 13))))
        weights.append(weight * (more if month in months else _OUT_OF_SEASON))
    return numpy.array(weights) / sum(weights)


def _of_places(ground: Ground, seed: int) -> numpy.ndarray:
    """Some towns have more people than others, and some grids far more than their neighbours."""
    towns = sorted({place.code[:9] for place in ground.places})
    busy = {town: 2.2 / (1 + 0.22 * rank) for rank, town in enumerate(towns)}
    uneven = numpy.random.default_rng([seed, 7]).lognormal(0, 0.6, len(ground.places))
    weights: numpy.ndarray = uneven * numpy.array([busy[place.code[:9]] for place in ground.places])
    whole: numpy.ndarray = weights / weights.sum()
    return whole
