"""What happens while a clock runs out: the ladder of warnings, breaches and escalations.

Each clock climbs the rungs of its metric one by one. An event is unique by (clock, level, due
instant), so replicas, restarts and catch-up runs fire it once; if the due instant moves, the rungs
not yet fired follow it. The time of an event knows no quiet hours; the message about it may.

T is the due instant. "T - n working days" is the office's opening on the day that is n working days
before the due day: whoever comes to work that morning finds the warning. "T + n working days" is
the due instant moved by n working days: the 24:00 of that day.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from app.domain.sla import Metric, due_day, extend
from app.domain.states import Action
from app.domain.working_time import WorkingCalendar


class Level(StrEnum):
    """A rung. One event per clock, level and due instant: that triple is the unique key."""

    DUE_SOON_1 = "due_soon_1"
    DUE_SOON_2 = "due_soon_2"
    BREACH_1 = "breach_1"
    BREACH_2 = "breach_2"
    BREACH_3 = "breach_3"
    REMIND_1 = "remind_1"
    REMIND_2 = "remind_2"
    EXPIRED = "expired"


WARNINGS = frozenset({Level.DUE_SOON_1, Level.DUE_SOON_2, Level.REMIND_1, Level.REMIND_2})

LEVEL_TEXT: dict[Level, str] = {
    Level.DUE_SOON_1: "即将到期",
    Level.DUE_SOON_2: "临近到期",
    Level.BREACH_1: "已超时",
    Level.BREACH_2: "超时升级",
    Level.BREACH_3: "超时督办",
    Level.REMIND_1: "首次提醒",
    Level.REMIND_2: "再次提醒",
    Level.EXPIRED: "已到期",
}


class Firing(NamedTuple):
    level: Level
    fire_at: datetime


When = Callable[[WorkingCalendar, datetime, datetime], datetime]


def _share(part: float) -> When:
    return lambda _, started_at, due_at: started_at + (due_at - started_at) * part


def _hours(hours: int) -> When:
    return lambda _, __, due_at: due_at + timedelta(hours=hours)


def _working_days(days: int) -> When:
    """Before: the office opens on the day that is so many working days before the due day.
    After: the due instant, so many working days later.
    """

    def when(calendar: WorkingCalendar, _: datetime, due_at: datetime) -> datetime:
        if days > 0:
            return extend(calendar, due_at, days)
        return calendar.opening(calendar.nth_working_day_before(due_day(calendar, due_at), -days))

    return when


def _morning(day: int) -> When:
    """09:00 on the given natural day after the start."""

    def when(calendar: WorkingCalendar, started_at: datetime, _: datetime) -> datetime:
        local = calendar.local_date(started_at) + timedelta(days=day)
        return datetime.combine(local, time(9), calendar.zone).astimezone(UTC)

    return when


_DUE = _hours(0)

# fmt: off
LADDER: dict[Metric, tuple[tuple[Level, When], ...]] = {
    Metric.CONTACT: (
        (Level.DUE_SOON_1, _share(0.5)),         # handler
        (Level.DUE_SOON_2, _hours(-2)),
        (Level.BREACH_1,   _DUE),                # handler and unit leader
        (Level.BREACH_2,   _hours(4)),           # dispatch centre and town leader
    ),
    Metric.REPLY: (
        (Level.DUE_SOON_1, _working_days(-2)),
        (Level.DUE_SOON_2, _working_days(-1)),
        (Level.BREACH_1,   _DUE),
        (Level.BREACH_2,   _working_days(1)),
        (Level.BREACH_3,   _working_days(3)),    # the city: supervision level 1
    ),
    Metric.RATE: (
        (Level.REMIND_1,   _morning(3)),         # resident
        (Level.REMIND_2,   _morning(6)),
        (Level.EXPIRED,    _DUE),                # closed as not rated
    ),
    Metric.ACCEPT:    ((Level.BREACH_1, _DUE),),
    Metric.REVIEW:    ((Level.BREACH_1, _DUE),),
    Metric.COTASK:    ((Level.DUE_SOON_1, _working_days(-1)), (Level.BREACH_1, _DUE)),
    Metric.SUPERVISE: ((Level.BREACH_1, _DUE),),
    Metric.RETURN:    (),                        # a window, not a duty
    Metric.INTERNAL:  (),                        # the unit's own; the reply's ladder goes on
    Metric.INFO: (
        (Level.REMIND_1,   _morning(2)),         # resident
        (Level.REMIND_2,   _morning(4)),
        (Level.EXPIRED,    _DUE),                # the desk confirms
    ),
    Metric.SUSPENSION: ((Level.EXPIRED, _DUE),),  # work goes on
}
# fmt: on


# What the clock itself does at a rung, besides telling of it.
AUTOMATIC: dict[tuple[Metric, Level], Action] = {
    (Metric.ACCEPT, Level.BREACH_1): Action.AUTO_SIGN,
    (Metric.RATE, Level.EXPIRED): Action.AUTO_CLOSE,
    (Metric.SUSPENSION, Level.EXPIRED): Action.RESUME,
    (Metric.REPLY, Level.BREACH_1): Action.DECIDE_EXTENSION,  # refuses what nobody decided
    (Metric.REPLY, Level.BREACH_3): Action.SUPERVISE,
}


def first_rung(
    metric: Metric, *, started_at: datetime, due_at: datetime, calendar: WorkingCalendar
) -> Firing | None:
    """The first event of a clock that has just started."""
    return next_rung(
        metric, started_at=started_at, due_at=due_at, calendar=calendar, after_level=None
    )


def next_rung(
    metric: Metric,
    *,
    started_at: datetime,
    due_at: datetime,
    calendar: WorkingCalendar,
    after_level: Level | None,
) -> Firing | None:
    """Return the rung after ``after_level`` and when it fires (perhaps in the past), else None.

    A warning that a short clock leaves no room for (not after the start and the warning before it,
    or not before the due instant) is passed over. Unpublished years follow the weekday rule.
    """
    by, seen = calendar.provisional(), after_level is None
    earlier: list[When] = []  # warnings; computed only where one more has to come after them
    for level, when in LADDER[metric]:
        if seen:
            fire_at = when(by, started_at, due_at)
            if level not in WARNINGS:
                return Firing(level, fire_at)
            latest = max([started_at, *(it(by, started_at, due_at) for it in earlier)])
            if latest < fire_at < due_at:
                return Firing(level, fire_at)
        if level in WARNINGS:
            earlier.append(when)
        seen = seen or level == after_level
    return None


def rung_from(
    level: Level,
    metric: Metric,
    *,
    started_at: datetime,
    due_at: datetime,
    calendar: WorkingCalendar,
) -> Firing | None:
    """Return ``level``'s own rung, or the next one there is room for: what follows when the due
    instant has moved and the rungs before ``level`` were told already."""
    levels = [rung for rung, _ in LADDER[metric]]
    position = levels.index(level)
    return next_rung(
        metric,
        started_at=started_at,
        due_at=due_at,
        calendar=calendar,
        after_level=levels[position - 1] if position else None,
    )
