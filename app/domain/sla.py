"""How long it may take: due instants, met or missed, pauses, extensions.

Functions that count working days raise ``CalendarCoverageError`` when a date is needed that nobody
has published; ``settled`` runs them again by the plain weekday rule and says so. What happens while
a clock runs out stands in ``escalation``.

Day counting: the day on which something happens is not counted (Civil Code, articles 201 and 203).
A promise in days ends at 24:00 of its last day, written as the exclusive instant 00:00 after it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar

from app.domain.working_time import CalendarCoverageError, WorkingCalendar

_INSTANT = timedelta(microseconds=1)
_ONE_DAY = timedelta(days=1)
_NIGHT_FROM, _NIGHT_TO, _NIGHT_DUE = time(22), time(7), time(9)

T = TypeVar("T")


class Metric(StrEnum):
    CONTACT = "contact"
    REPLY = "reply"
    ACCEPT = "accept"
    RETURN = "return"
    COTASK = "cotask"
    REVIEW = "review"
    RATE = "rate"
    SUPERVISE = "supervise"
    INFO = "info"
    SUSPENSION = "suspension"
    INTERNAL = "internal"


METRIC_TEXT: dict[Metric, str] = {
    Metric.CONTACT: "联系",
    Metric.REPLY: "答复",
    Metric.ACCEPT: "签收",
    Metric.RETURN: "退单窗口",
    Metric.COTASK: "协办",
    Metric.REVIEW: "重办审核",
    Metric.RATE: "评价窗口",
    Metric.SUPERVISE: "督办",
    Metric.INFO: "补充期限",
    Metric.SUSPENSION: "挂起期限",
    Metric.INTERNAL: "内部时限",
}


# Counted in spans: stopping exactly at the due instant is in time. All others are counted in days.
_SPAN_METRICS = frozenset({Metric.CONTACT, Metric.ACCEPT, Metric.SUPERVISE})


class ClockState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    MISSED = "missed"
    CANCELLED = "cancelled"


CLOCK_STATE_TEXT: dict[ClockState, str] = {
    ClockState.RUNNING: "计时中",
    ClockState.PAUSED: "已暂停",
    ClockState.MET: "按时",
    ClockState.MISSED: "超时",
    ClockState.CANCELLED: "已取消",
}


class ContactMode(StrEnum):
    """How the contact promise is counted."""

    NATURAL = "natural"  # hours by the wall clock, day and night
    WORKING = "working"  # office hours only
    NIGHT_WINDOW = "night_window"  # natural; submitted 22:00-07:00 → due 09:00


class ReplyMode(StrEnum):
    """At which instant of the due day the reply promise ends."""

    END_OF_DAY = "end_of_day"
    OFFICE_CLOSE = "office_close"
    EXACT = "exact"  # no due day: so many full office days of office time


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of what is promised. ``*_days`` are working days unless said otherwise."""

    code: str = "default"
    version: int = 1
    name: str = "标准时限"
    contact: timedelta = timedelta(hours=6)
    contact_mode: ContactMode = ContactMode.NATURAL
    reply_days: int = 5
    reply_mode: ReplyMode = ReplyMode.END_OF_DAY
    accept: timedelta = timedelta(hours=2)  # office time
    return_days: int = 1
    review_days: int = 1
    rate_days: int = 7  # natural days
    reopen_days: int = 3
    reopen_window_days: int = 15  # natural days after the reply
    extension_days: int = 5
    info_days: int = 5  # natural days
    internal_days: int = 2  # at least, for a unit that gets what another one returned
    review_required: bool = False


DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Promise:
    """What the resident is told. ``provisional``: a year was needed that is not published yet."""

    contact_due_at: datetime
    reply_due_at: datetime
    provisional: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """[paused_at, resumed_at)."""

    paused_at: datetime
    resumed_at: datetime


def settled(calendar: WorkingCalendar, compute: Callable[[WorkingCalendar], T]) -> tuple[T, bool]:
    """Return ``compute(calendar)`` and whether it is provisional.

    Provisional means that a date outside the published years was needed, and that the plain weekday
    rule stood in for it.

    Raises:
        CalendarCoverageError: not even the weekday rule reaches that far (1970-2199).
    """
    try:
        return compute(calendar), False
    except CalendarCoverageError:
        return compute(calendar.provisional()), True


def promise(
    policy: Policy, calendar: WorkingCalendar, submitted_at: datetime, *, cycle_no: int = 1
) -> Promise:
    """Return the two promises for a request received at ``submitted_at`` (aware).

    Args:
        cycle_no: 1 for the first handling; from 2 on the reply takes ``policy.reopen_days``.

    Raises:
        CalendarCoverageError: only outside 1970-2199; an unpublished year makes it provisional.
    """
    reply_days = policy.reply_days if cycle_no == 1 else policy.reopen_days

    def both(by: WorkingCalendar) -> tuple[datetime, datetime]:
        return (
            contact_due(policy, by, submitted_at),
            reply_due(policy, by, submitted_at, days=reply_days),
        )

    (contact_due_at, reply_due_at), provisional = settled(calendar, both)
    return Promise(contact_due_at, reply_due_at, provisional)


def contact_due(policy: Policy, calendar: WorkingCalendar, started_at: datetime) -> datetime:
    """When the resident must have been reached. Raises: CalendarCoverageError (WORKING only)."""
    if policy.contact_mode is ContactMode.WORKING:
        return calendar.add(started_at, policy.contact)
    if policy.contact_mode is ContactMode.NIGHT_WINDOW:
        local = started_at.astimezone(calendar.zone)
        if local.time() >= _NIGHT_FROM or local.time() < _NIGHT_TO:
            morning = local.date() + (_ONE_DAY if local.time() >= _NIGHT_FROM else timedelta(0))
            return datetime.combine(morning, _NIGHT_DUE, calendar.zone).astimezone(UTC)
    return started_at.astimezone(UTC) + policy.contact


def reply_due(
    policy: Policy, calendar: WorkingCalendar, started_at: datetime, *, days: int | None = None
) -> datetime:
    """When the reply must have been sent (exclusive). Raises: CalendarCoverageError."""
    days = policy.reply_days if days is None else days
    if policy.reply_mode is ReplyMode.EXACT:
        return calendar.add(started_at, days * calendar.office_day)
    due_day = calendar.nth_working_day(calendar.local_date(started_at), days)
    if policy.reply_mode is ReplyMode.OFFICE_CLOSE:
        return calendar.closing(due_day)
    return calendar.end_of_day(due_day)


def accept_due(policy: Policy, calendar: WorkingCalendar, assigned_at: datetime) -> datetime:
    """When the unit must have signed. Raises: CalendarCoverageError."""
    return calendar.add(assigned_at, policy.accept)


def return_due(policy: Policy, calendar: WorkingCalendar, assigned_at: datetime) -> datetime:
    """Until when (exclusive) the unit may return the request. Raises: CalendarCoverageError."""
    return working_days_later(calendar, assigned_at, policy.return_days)


def internal_due(policy: Policy, calendar: WorkingCalendar, assigned_at: datetime) -> datetime:
    """Until when (exclusive) a unit that got what another one returned has time for itself, though
    the resident was promised an earlier reply. Raises: CalendarCoverageError."""
    return working_days_later(calendar, assigned_at, policy.internal_days)


def review_due(policy: Policy, calendar: WorkingCalendar, asked_at: datetime) -> datetime:
    """When a wish to reopen must have been decided (exclusive). Raises: CalendarCoverageError."""
    return working_days_later(calendar, asked_at, policy.review_days)


def rate_due(policy: Policy, calendar: WorkingCalendar, replied_at: datetime) -> datetime:
    """Until when (exclusive) the resident may rate: natural days, published or not."""
    return natural_days_later(calendar, replied_at, policy.rate_days)


def working_days_later(calendar: WorkingCalendar, since: datetime, days: int) -> datetime:
    """24:00 of the ``days``-th working day after the day of ``since``.

    Raises: CalendarCoverageError.
    """
    return calendar.end_of_day(calendar.nth_working_day(calendar.local_date(since), days))


def natural_days_later(calendar: WorkingCalendar, since: datetime, days: int) -> datetime:
    """24:00 of the ``days``-th natural day after the day of ``since``."""
    return calendar.end_of_day(calendar.local_date(since) + timedelta(days=days))


def working_days_earlier(calendar: WorkingCalendar, due_at: datetime, days: int) -> datetime:
    """The due instant ``days`` working days earlier: 24:00 of that day.

    Raises: CalendarCoverageError.
    """
    return calendar.end_of_day(calendar.nth_working_day_before(due_day(calendar, due_at), days))


def start_of_day(calendar: WorkingCalendar, day: date) -> datetime:
    """00:00 of a local date."""
    return calendar.end_of_day(day - _ONE_DAY)


# -- met or missed ----------------------------------------------------------------------------


def met(due_at: datetime, stopped_at: datetime, metric: Metric) -> bool:
    """Whether a clock stopped in time.

    Spans (contact, accept, supervise): at the due instant is still in time. Days (reply and the
    rest): the due instant is the first one that is too late.
    """
    return stopped_at <= due_at if metric in _SPAN_METRICS else stopped_at < due_at


def is_breached(
    due_at: datetime, stopped_at: datetime | None, now: datetime, metric: Metric
) -> bool:
    """Derived when read, so that a dead sweep cannot make a late request look fine.

    Args:
        stopped_at: when the clock stopped, ``None`` while it runs. Do not ask for paused or
            cancelled clocks: they have no due instant.
    """
    return not met(due_at, now if stopped_at is None else stopped_at, metric)


# -- pauses and extensions --------------------------------------------------------------------


def due_day(calendar: WorkingCalendar, due_at: datetime) -> date:
    """The last local date on which there is still time."""
    return calendar.local_date(due_at - _INSTANT)


def due_after_pause(
    calendar: WorkingCalendar, due_at: datetime, *, paused_at: datetime, resumed_at: datetime
) -> datetime:
    """Return the new due instant after a pause of the reply clock, counted in days.

    With P the local date of the pause, E of the resumption, D the due day: the working days d with
    P < d ≤ D remain and are counted anew after E. None remain (P = D): E itself if it works, else
    the next working day. Same day: nothing moves. A clock that was already due is not revived.

    Raises: CalendarCoverageError.
    """
    paused_day, resumed_day = calendar.local_date(paused_at), calendar.local_date(resumed_at)
    if paused_day == resumed_day or paused_at >= due_at:
        return due_at
    remaining = calendar.working_days_between(paused_day, due_day(calendar, due_at))
    if remaining == 0:
        today = calendar.is_working_day(resumed_day)
        new_day = resumed_day if today else calendar.nth_working_day(resumed_day, 1)
    else:
        new_day = calendar.nth_working_day(resumed_day, remaining)
    return _moved(calendar, due_at, new_day)


def merged(pauses: Iterable[Pause]) -> list[Pause]:
    """Pauses in order, overlapping and touching ones as one."""
    whole: list[Pause] = []
    for pause in sorted(pauses, key=lambda pause: pause.paused_at):
        if whole and pause.paused_at <= whole[-1].resumed_at:
            last = whole.pop()
            pause = Pause(last.paused_at, max(last.resumed_at, pause.resumed_at))
        whole.append(pause)
    return whole


def due_after_pauses(
    calendar: WorkingCalendar, due_at: datetime, pauses: Iterable[Pause]
) -> datetime:
    """The due instant after all ``pauses``; overlapping ones count once.

    Raises: CalendarCoverageError.
    """
    for pause in merged(pauses):
        due_at = due_after_pause(
            calendar, due_at, paused_at=pause.paused_at, resumed_at=pause.resumed_at
        )
    return due_at


def extend(calendar: WorkingCalendar, due_at: datetime, working_days: int) -> datetime:
    """Return the due instant ``working_days`` working days after the current one.

    Raises: CalendarCoverageError.
    """
    new_day = calendar.nth_working_day(due_day(calendar, due_at), working_days)
    return _moved(calendar, due_at, new_day)


def _moved(calendar: WorkingCalendar, due_at: datetime, new_day: date) -> datetime:
    """``due_at`` on another working day: 24:00 stays 24:00, closing time stays closing time."""
    old_day = due_day(calendar, due_at)
    if due_at == calendar.end_of_day(old_day):
        return calendar.end_of_day(new_day)
    if calendar.is_working_day(old_day) and due_at == calendar.closing(old_day):
        return calendar.closing(new_day)
    at = due_at.astimezone(calendar.zone).time()
    return datetime.combine(new_day, at, calendar.zone).astimezone(UTC)
