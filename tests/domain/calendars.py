"""Calendars for the tests of time. The table is typed in here anew, not taken from the product."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.working_time import WorkingCalendar

SHANGHAI = ZoneInfo("Asia/Shanghai")

# off: first..last; work: weekend days that are worked.
_OFF = """
2022-12-31..2023-01-02 2023-01-21..2023-01-27 2023-04-05 2023-04-29..2023-05-03
2023-06-22..2023-06-24 2023-09-29..2023-10-06
2024-01-01 2024-02-10..2024-02-17 2024-04-04..2024-04-06 2024-05-01..2024-05-05 2024-06-10
2024-09-15..2024-09-17 2024-10-01..2024-10-07
2025-01-01 2025-01-28..2025-02-04 2025-04-04..2025-04-06 2025-05-01..2025-05-05
2025-05-31..2025-06-02 2025-10-01..2025-10-08
2026-01-01..2026-01-03 2026-02-15..2026-02-23 2026-04-04..2026-04-06 2026-05-01..2026-05-05
2026-06-19..2026-06-21 2026-09-25..2026-09-27 2026-10-01..2026-10-07
"""
_WORK = """
2023-01-28 2023-01-29 2023-04-23 2023-05-06 2023-06-25 2023-10-07 2023-10-08
2024-02-04 2024-02-18 2024-04-07 2024-04-28 2024-05-11 2024-09-14 2024-09-29 2024-10-12
2025-01-26 2025-02-08 2025-04-27 2025-09-28 2025-10-11
2026-01-04 2026-02-14 2026-02-28 2026-05-09 2026-09-20 2026-10-10
"""


def day(word: str) -> date:
    return date.fromisoformat(word)


def at(word: str) -> datetime:
    """``2026-02-13 17:00[:00.000000]`` on a wall clock in Shanghai, as an aware UTC instant."""
    return datetime.fromisoformat(word).replace(tzinfo=SHANGHAI).astimezone(UTC)


def _spread(span: str) -> list[date]:
    first, _, last = span.partition("..")
    length = (day(last or first) - day(first)).days + 1
    return [day(first) + timedelta(days=offset) for offset in range(length)]


OFF_DAYS = frozenset(off for span in _OFF.split() for off in _spread(span))
WORK_DAYS = frozenset(day(word) for word in _WORK.split())

CALENDAR = WorkingCalendar(
    version=1,
    coverage_from=day("2023-01-01"),
    coverage_to=day("2026-12-31"),
    off_days=OFF_DAYS,
    work_days=WORK_DAYS,
)
"""2023-2026 as announced."""

SUMMER_TIME = WorkingCalendar(
    version=1, coverage_from=day("1986-01-01"), coverage_to=day("1991-12-31")
)
"""The years in which China moved its clocks; no holidays."""


def is_off(some_day: date) -> bool:
    """The rule said once more, naively."""
    if some_day in WORK_DAYS:
        return False
    return some_day in OFF_DAYS or some_day.isoweekday() > 5
