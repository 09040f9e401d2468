"""The teams of grids and micro-grids (1+1+N): what seats there are, and what a team lacks. Pure.

What stands here in ``TEMPLATES`` and ``DUTIES`` is version 1, for a city that has said nothing of
its own; every later version is data. Days are local days; a term is half-open: ``until`` is the
first day out of office.

Source: domain C5 (党员中心户, 网格长, 志愿者); the two forms of the 1+1+N teams in practice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import combinations
from uuid import UUID

from app.domain.grid_codes import GridLevel


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in a team. ``most`` None: any number. Who sits there bears one of ``titles``."""

    code: str
    name: str
    least: int
    most: int | None
    leads: bool = False
    titles: tuple[str, ...] = ()

    @property
    def is_single(self) -> bool:
        return self.most == 1

    @property
    def borne(self) -> tuple[str, ...]:
        """The titles one can have here: the seat's own name if it lists none."""
        return self.titles or (self.name,)


@dataclass(frozen=True, slots=True)
class Template:
    """What a team of a level consists of. Exactly one seat leads, and it is a single one."""

    level: GridLevel
    version: int
    name: str
    seats: tuple[Seat, ...]

    def seat(self, code: str) -> Seat | None:
        return next((seat for seat in self.seats if seat.code == code), None)


@dataclass(frozen=True, slots=True)
class Duty:
    code: str
    name: str


# fmt: off
TEMPLATES: Mapping[GridLevel, Template] = {
    GridLevel.GRID: Template(GridLevel.GRID, 1, "网格“1+1+N”队伍", (
        Seat("cadre",     "包联村干部", 1, 1),
        Seat("leader",    "网格长",     1, 1, leads=True),
        Seat("helper",    "网格员",     1, None, titles=("党员中心户", "农村公益岗")),
    )),
    GridLevel.MICRO: Template(GridLevel.MICRO, 1, "微网格“1+1+N”队伍", (
        Seat("leader",    "微网格长",         1, 1, leads=True),
        Seat("reporting", "机关报到党员干部", 1, 1),
        Seat("volunteer", "志愿者",           1, None),
    )),
}
DUTIES: tuple[Duty, ...] = (
    Duty("policy",      "政策宣传"),
    Duty("information", "信息采集"),
    Duty("requests",    "诉求收集"),
    Duty("mediation",   "矛盾化解"),
    Duty("hazards",     "隐患排查"),
    Duty("environment", "环境整治"),
    Duty("service",     "便民服务"),
    Duty("emergency",   "应急处置"),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Term:
    """Somebody in a seat, from ``since`` until the day before ``until`` (None: still).

    An appointment that was taken back ends on the day it began. ``staff_id`` and ``phone_key`` say
    who it is, without saying the name.
    """

    member_id: UUID
    seat: str
    title: str
    since: date
    until: date | None
    staff_id: UUID | None = None
    phone_key: bytes | None = None
    duties: tuple[str, ...] = ()

    def holds_on(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day < self.until)

    @property
    def is_void(self) -> bool:
        """Taken back: never in office."""
        return self.until == self.since

    def overlaps(self, since: date, until: date | None) -> bool:
        if self.is_void or since == until:
            return False
        return (until is None or self.since < until) and (self.until is None or since < self.until)

    def is_same_person(self, other: "Term") -> bool:
        by_account = self.staff_id is not None and self.staff_id == other.staff_id
        return by_account or (self.phone_key is not None and self.phone_key == other.phone_key)


class Fault(StrEnum):
    SEAT_VACANT = "seat_vacant"
    SEAT_OVERFULL = "seat_overfull"
    SEAT_UNKNOWN = "seat_unknown"
    PERSON_TWICE = "person_twice"
    TERM_OVERLAP = "term_overlap"
    LEADS_TWO_PLACES = "leads_two_places"
    NO_DUTY = "no_duty"
    DUTY_UNCOVERED = "duty_uncovered"
    ACCOUNT_MISMATCH = "account_mismatch"
    HANDOVER_PENDING = "handover_pending"


FAULT_TEXT: dict[Fault, str] = {
    Fault.SEAT_VACANT: "{seat}不足：应至少 {least} 人，现有 {there} 人",
    Fault.SEAT_OVERFULL: "{seat}超员：应至多 {most} 人，现有 {there} 人",
    Fault.SEAT_UNKNOWN: "现行模板中没有这个岗位或称谓",
    Fault.PERSON_TWICE: "同一人在本队伍中兼任多个岗位",
    Fault.TERM_OVERLAP: "同一人在同一岗位的任期重叠",
    Fault.LEADS_TWO_PLACES: "同一人同时担任多处负责人",
    Fault.NO_DUTY: "成员没有分配职责",
    Fault.DUTY_UNCOVERED: "职责无人承担：{duties}",
    Fault.ACCOUNT_MISMATCH: "负责人未关联工作账号，或账号已停用、不在本网格",
    Fault.HANDOVER_PENDING: "工作移交尚未确认",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is not as it should be. ``places``: other places that it is about."""

    fault: Fault
    text: str
    seat: str | None = None
    member_ids: tuple[UUID, ...] = ()
    places: tuple[str, ...] = ()


def faults_of(
    template: Template, duties: Sequence[Duty], terms: Iterable[Term], *, on: date
) -> list[Found]:
    """What a team lacks, or has too much of, on a day: in the order of ``Fault``.

    Args:
        terms: those in office on that day, and those to come.
    """
    terms = list(terms)
    present = [term for term in terms if term.holds_on(on)]
    found = [*_of_seats(template, present), *_of_persons(terms), *_of_duties(duties, present)]
    order = list(Fault)
    return sorted(found, key=lambda it: order.index(it.fault))


def _of_seats(template: Template, present: Sequence[Term]) -> Iterator[Found]:
    for seat in template.seats:
        there = [term for term in present if term.seat == seat.code]
        facts = {"seat": seat.name, "least": seat.least, "most": seat.most, "there": len(there)}
        if len(there) < seat.least:
            yield Found(Fault.SEAT_VACANT, FAULT_TEXT[Fault.SEAT_VACANT].format(**facts), seat.code)
        if seat.most is not None and len(there) > seat.most:
            yield Found(
                Fault.SEAT_OVERFULL,
                FAULT_TEXT[Fault.SEAT_OVERFULL].format(**facts),
                seat.code,
                tuple(term.member_id for term in there),
            )
    for term in present:
        held = template.seat(term.seat)
        if held is None or term.title not in held.borne:
            text = FAULT_TEXT[Fault.SEAT_UNKNOWN]
            yield Found(Fault.SEAT_UNKNOWN, text, term.seat, (term.member_id,))


def _of_persons(terms: Sequence[Term]) -> Iterator[Found]:
    for one, other in combinations(terms, 2):
        if one.is_same_person(other) and one.overlaps(other.since, other.until):
            fault = Fault.TERM_OVERLAP if one.seat == other.seat else Fault.PERSON_TWICE
            members = (one.member_id, other.member_id)
            yield Found(fault, FAULT_TEXT[fault], one.seat, members)


def _of_duties(duties: Sequence[Duty], present: Sequence[Term]) -> Iterator[Found]:
    known = {duty.code for duty in duties}
    for term in present:
        if not known.intersection(term.duties):
            text = FAULT_TEXT[Fault.NO_DUTY]
            yield Found(Fault.NO_DUTY, text, term.seat, (term.member_id,))
    borne = {code for term in present for code in term.duties}
    left = [duty.name for duty in duties if duty.code not in borne]
    if left and present:
        text = FAULT_TEXT[Fault.DUTY_UNCOVERED].format(duties="、".join(left))
        yield Found(Fault.DUTY_UNCOVERED, text)
