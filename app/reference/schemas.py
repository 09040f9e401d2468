"""What crosses the wire about the slow tables."""

from datetime import date
from typing import Annotated

from pydantic import Field

from app.domain.sla import ContactMode, ReplyMode
from app.reference.kinds import UnitKind
from app.web.wire import Instant, WireIn, WireOut

MOST_INSTANTS = 1_000


class CategoryOut(WireOut):
    """A category and what is below it. ``gb_code``: its item in GB/T 47678.5-2026."""

    code: str
    name: str
    gb_code: str | None
    default_unit_code: str | None
    policy_code: str
    children: tuple["CategoryOut", ...]


class CategoriesOut(WireOut):
    items: tuple[CategoryOut, ...]


class UnitOut(WireOut):
    code: str
    name: str
    kind: UnitKind
    kind_text: str
    grid_code: str | None


class UnitsOut(WireOut):
    items: tuple[UnitOut, ...]


class WordOut(WireOut):
    code: str
    text: str


class PolicyOut(WireOut):
    """``*_days`` are working days, except ``rate_days``, ``reopen_window_days``, ``info_days``."""

    code: str
    version: int
    name: str
    contact_minutes: int
    contact_mode: ContactMode
    reply_days: int
    reply_mode: ReplyMode
    accept_office_minutes: int
    return_days: int
    review_days: int
    rate_days: int
    reopen_days: int
    reopen_window_days: int
    extension_days: int
    info_days: int
    internal_days: int
    review_required: bool


class PoliciesOut(WireOut):
    items: tuple[PolicyOut, ...]


class FrameOut(WireOut):
    """Local time, ``08:30``; closing at ``00:00`` is the end of the day."""

    opens: str
    closes: str


class DayHoursOut(WireOut):
    """A day of work that has office hours of its own."""

    day: date
    frames: tuple[FrameOut, ...]


class CalendarOut(WireOut):
    """One version of the calendar promises are counted by. Version 0: none was published yet.

    ``weekly_frames`` runs from Monday to Sunday. ``off_days`` and ``work_days`` are the days on
    which the covered years depart from it.
    """

    version: int
    published_at: Instant | None
    coverage_from: date | None
    coverage_to: date | None
    zone: str
    weekly_frames: tuple[tuple[FrameOut, ...], ...]
    off_days: tuple[date, ...]
    work_days: tuple[date, ...]
    own_hours: tuple[DayHoursOut, ...]
    sources: tuple[str, ...]


class SimulateIn(WireIn):
    """At which instants requests arrive, and by which policy (the default one if not given)."""

    submitted_at: Annotated[list[Instant], Field(min_length=1, max_length=MOST_INSTANTS)]
    policy_code: Annotated[str, Field(min_length=1, max_length=60)] | None = None


class SimulatedOut(WireOut):
    submitted_at: Instant
    contact_due_at: Instant
    reply_due_at: Instant
    provisional: bool


class SimulationOut(WireOut):
    items: tuple[SimulatedOut, ...]
