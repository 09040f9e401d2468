"""What becomes of each replayed row: decided by its id alone, so that every run drives the same.

Together the lives go through every action of the lifecycle that people take.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple, TypeVar

from app.domain import geometry
from app.domain.geometry import CoordSys
from app.domain.matters import Kind
from app.domain.satisfaction import RatingReason, Solved

T = TypeVar("T")


class Area(NamedTuple):
    """Where the made-up places lie, in degrees WGS-84."""

    west: float
    south: float
    east: float
    north: float


# Well inside the demo city.
DEMO_AREA = Area(west=119.64, south=36.03, east=120.21, north=36.47)

# label of the file → categories of the service; several are spread over the rows
LABELS: dict[str, tuple[str, ...]] = {
    "城乡建设": ("estate.service", "house.demolition", "house.illegal"),
    "劳动和社会保障": ("welfare.pension", "welfare.medicare", "welfare.job"),
    "教育文体": ("public.school", "public.training", "public.culture"),
    "商贸旅游": ("policy.consumer", "policy.tourism"),
    "环境保护": ("env.pollution", "env.garbage"),
    "卫生计生": ("public.hospital", "public.clinic"),
    "交通运输": ("road.bus", "road.signal", "road.parking"),
}


class Outcome(StrEnum):
    RATED_5 = "rated 5 非常满意"
    RATED_4 = "rated 4 满意"
    RATED_3 = "rated 3 基本满意"
    RATED_4_UNSOLVED = "rated 4, but unsolved"
    RATED_2 = "rated 2 不满意"
    RATED_1 = "rated 1 非常不满意"
    UNRATED = "left unrated"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"


_OUTCOMES = {
    Outcome.RATED_5: 22,
    Outcome.RATED_4: 20,
    Outcome.RATED_3: 9,
    Outcome.RATED_4_UNSOLVED: 3,
    Outcome.RATED_2: 7,
    Outcome.RATED_1: 4,
    Outcome.UNRATED: 18,
    Outcome.WITHDRAWN: 8,
    Outcome.REJECTED: 9,
}
SCORES = {
    Outcome.RATED_5: (5, Solved.SOLVED),
    Outcome.RATED_4: (4, Solved.SOLVED),
    Outcome.RATED_3: (3, Solved.PARTLY),
    Outcome.RATED_4_UNSOLVED: (4, Solved.UNSOLVED),
    Outcome.RATED_2: (2, Solved.PARTLY),
    Outcome.RATED_1: (1, Solved.UNSOLVED),
}


class Moment(StrEnum):
    """When a resident withdraws."""

    AT_ONCE = "at_once"
    RETURNED = "returned"
    SIGNED = "signed"
    ASKED = "asked"
    CONTACTED = "contacted"


class Return(StrEnum):
    """When a unit says that a request is not its own."""

    NEVER = "never"
    UNSIGNED = "unsigned"
    SIGNED = "signed"


class Ruling(StrEnum):
    """What the dispatcher says to that."""

    REASSIGN = "reassign"
    REFUSE = "refuse"
    TRIAGE = "triage"


class Reach(StrEnum):
    """How often a unit calls before somebody answers."""

    FIRST = "first"
    SECOND = "second"
    NEVER = "never"  # three attempts stand for a contact


class Dice:
    """Answers every question about a row, always the same."""

    def __init__(self, row_id: str) -> None:
        self._seed = row_id

    def share(self, question: str) -> float:
        """A number in [0, 1)."""
        digest = sha256(f"{self._seed}\n{question}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def happens(self, question: str, share: float) -> bool:
        return self.share(question) < share

    def among(self, question: str, choices: Sequence[T]) -> T:
        return choices[int(self.share(question) * len(choices))]

    def weighed(self, question: str, weights: Mapping[T, int]) -> T:
        choices = list(weights)
        ends = list(accumulate(weights.values()))
        return choices[bisect_right(ends, self.share(question) * ends[-1])]


@dataclass(frozen=True)
class Life:
    """The decisions about one row. Those that do not fit its outcome are not asked."""

    dice: Dice

    @cached_property
    def outcome(self) -> Outcome:
        return self.dice.weighed("outcome", _OUTCOMES)

    @cached_property
    def withdrawn(self) -> Moment | None:
        if self.outcome is not Outcome.WITHDRAWN:
            return None
        return self.dice.among("withdrawn", tuple(Moment))

    @cached_property
    def returned(self) -> Return:
        if self.withdrawn is Moment.RETURNED:
            return Return.UNSIGNED
        odds = {Return.NEVER: 88, Return.UNSIGNED: 7, Return.SIGNED: 5}
        return self.dice.weighed("returned", odds)

    @cached_property
    def ruling(self) -> Ruling:
        odds = {Ruling.REASSIGN: 60, Ruling.REFUSE: 20, Ruling.TRIAGE: 20}
        return self.dice.weighed("ruling", odds)

    @cached_property
    def asked(self) -> bool:
        """Whether the unit asks the resident for more."""
        return self.withdrawn is Moment.ASKED or self.dice.happens("asked", 0.1)

    @cached_property
    def asked_by_desk(self) -> bool:
        """Whether the dispatcher does, where the request comes by."""
        return self.dice.happens("asked by desk", 0.25)

    @cached_property
    def unclear(self) -> bool:
        """Whether a rejected request is rejected for having no meaning after two questions."""
        return self.dice.happens("unclear", 0.3)

    @cached_property
    def reach(self) -> Reach:
        if self.withdrawn is Moment.CONTACTED:
            return Reach.FIRST
        odds = {Reach.FIRST: 84, Reach.SECOND: 11, Reach.NEVER: 5}
        return self.dice.weighed("reach", odds)

    @cached_property
    def undecided(self) -> bool:
        """Whether the resident chooses no category and the dispatcher has to."""
        return self.dice.happens("undecided", 0.1)

    @cached_property
    def kind(self) -> Kind | None:
        kinds: tuple[Kind | None, ...] = (*Kind, None)
        return self.dice.among("kind", kinds)

    @cached_property
    def confidential(self) -> bool:
        return self.dice.happens("confidential", 0.1)

    @cached_property
    def leaves_phone(self) -> bool:
        return self.dice.happens("phone", 0.5)

    def reasons(self) -> list[RatingReason]:
        first = self.dice.among("reason", tuple(RatingReason))
        second = self.dice.among("second reason", tuple(RatingReason))
        return list(dict.fromkeys((first, second)))

    def place(self, area: Area) -> dict[str, object] | None:
        """A point, as a phone (GCJ-02) or a receiver (WGS-84) says it; some rows have none."""
        if self.dice.happens("no place", 0.06):
            return None
        latitude = area.south + self.dice.share("latitude") * (area.north - area.south)
        longitude = area.west + self.dice.share("longitude") * (area.east - area.west)
        coord_sys = self.dice.among("coord_sys", (CoordSys.WGS84, CoordSys.GCJ02))
        if coord_sys is CoordSys.GCJ02:
            latitude, longitude = geometry.to_gcj02(latitude, longitude)
        return {
            "latitude": round(latitude, 6),
            "longitude": round(longitude, 6),
            "coord_sys": coord_sys.value,
            "accuracy_m": 15.0,
        }
