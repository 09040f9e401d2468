"""What was promised, counted once more by another calendar.

A calendar is published after promises were made by an older one. What a promise went through
(policy, pauses, extensions) stays; only the days are counted anew, from its own start. Answered
promises never come here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.sla import (
    Metric,
    Pause,
    Policy,
    accept_due,
    contact_due,
    due_after_pause,
    due_after_pauses,
    due_day,
    extend,
    internal_due,
    merged,
    return_due,
    review_due,
    settled,
)
from app.domain.sla import reply_due as first_reply_due
from app.domain.working_time import WorkingCalendar


@dataclass(frozen=True, slots=True)
class Grant:
    """An extension that was granted: so many working days, added to what was due then."""

    working_days: int
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """Everything that decides when something is due, except the calendar.

    Attributes:
        pauses: those that are over. While a clock stands, its due instant is the one it had when
            it stopped; the open pause counts when it ends.
    """

    policy: Policy
    started_at: datetime
    cycle_no: int = 1
    pauses: tuple[Pause, ...] = ()
    grants: tuple[Grant, ...] = ()


def reply_due(course: Course, calendar: WorkingCalendar) -> datetime:
    """When the reply is due after all pauses and extensions, in the order they took effect.

    Raises: CalendarCoverageError.
    """
    policy = course.policy
    days = policy.reply_days if course.cycle_no == 1 else policy.reopen_days
    due_at = first_reply_due(policy, calendar, course.started_at, days=days)
    steps: list[tuple[datetime, Pause | Grant]] = [
        *((pause.resumed_at, pause) for pause in merged(course.pauses)),
        *((grant.granted_at, grant) for grant in course.grants),
    ]
    for _, step in sorted(steps, key=lambda step: step[0]):
        if isinstance(step, Grant):
            due_at = extend(calendar, due_at, step.working_days)
        else:
            due_at = due_after_pause(
                calendar, due_at, paused_at=step.paused_at, resumed_at=step.resumed_at
            )
    return due_at


def own_due(course: Course, calendar: WorkingCalendar) -> datetime:
    """When the time is over that a unit has for itself, after the pauses since it got the request.

    Raises: CalendarCoverageError.
    """
    since = [pause for pause in course.pauses if pause.paused_at >= course.started_at]
    due_at = internal_due(course.policy, calendar, course.started_at)
    return due_after_pauses(calendar, due_at, since)


Formula = Callable[[Course, WorkingCalendar], datetime]

# Clocks whose due instant is counted by the calendar. All others were set to an instant.
FORMULAS: dict[Metric, Formula] = {
    Metric.CONTACT: lambda course, by: contact_due(course.policy, by, course.started_at),
    Metric.REPLY: reply_due,
    Metric.ACCEPT: lambda course, by: accept_due(course.policy, by, course.started_at),
    Metric.RETURN: lambda course, by: return_due(course.policy, by, course.started_at),
    Metric.INTERNAL: own_due,
    Metric.REVIEW: lambda course, by: review_due(course.policy, by, course.started_at),
}


def due_again(
    metric: Metric,
    due_at: datetime,
    courses: Sequence[Course],
    *,
    old: WorkingCalendar,
    new: WorkingCalendar,
) -> tuple[datetime, bool]:
    """Return when a clock that was due at ``due_at`` by ``old`` is due by ``new``, and whether that
    is provisional.

    A reply whose due instant has a reason that its courses do not tell (an earlier promise taken
    over from elsewhere) keeps its number of working days; any other such clock keeps its instant.

    Args:
        courses: the clock's own one, then those of the requests merged into it: the earliest wins.
    """
    formula = FORMULAS.get(metric)
    if formula is None:
        return due_at, False

    def earliest(by: WorkingCalendar) -> datetime:
        return min(formula(course, by) for course in courses)

    result, provisional = settled(new, earliest)
    if due_at in (result, settled(old, earliest)[0]):
        return result, provisional
    if metric is not Metric.REPLY:
        return due_at, False
    started_at = courses[0].started_at
    return settled(new, lambda by: _same_days(started_at, due_at, old=old, new=by))


def _same_days(
    started_at: datetime, due_at: datetime, *, old: WorkingCalendar, new: WorkingCalendar
) -> datetime:
    """As many working days after the start as before, at the same time of the day."""
    old = old.provisional()
    start, last = old.local_date(started_at), due_day(old, due_at)
    days = old.working_days_between(start, last)
    if days == 0:
        return due_at
    day = new.nth_working_day(start, days)
    if due_at == old.end_of_day(last):
        return new.end_of_day(day)
    if old.is_working_day(last) and due_at == old.closing(last):
        return new.closing(day)
    at = due_at.astimezone(new.zone).time()
    return datetime.combine(day, at, new.zone).astimezone(UTC)
