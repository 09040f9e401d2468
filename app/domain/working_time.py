"""Office days and office hours: when the city works, and what that makes of a promise.

A calendar is one published version of the facts: weekly office frames, holidays off, make-up days.
Instants come in aware and leave in UTC; days are dates in the calendar's zone. Every interval is
half-open. Nothing outside the published years is guessed: it raises, unless the caller asks for the
``provisional()`` view.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo

from app.domain.errors import Invalid

SHANGHAI = ZoneInfo("Asia/Shanghai")
_ONE_DAY = timedelta(days=1)
_NOTHING = timedelta(0)
_INSTANT = timedelta(microseconds=1)
_MIDNIGHT = time(0)
# How far the weekday rule is trusted when nothing was published.
PROVISIONAL_FROM = date(1970, 1, 1)
PROVISIONAL_TO = date(2199, 12, 31)


class CalendarCoverageError(Invalid):
    """日期超出已公布的工作日历范围。"""

    code = "calendar_not_covered"


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """Office hours [opens, closes) in local time. Closing at 00:00 is the end of the day."""

    opens: time
    closes: time

    def __post_init__(self) -> None:
        if self.closes != _MIDNIGHT and self.closes <= self.opens:
            raise ValueError("an office frame closes after it opens")


Frames = tuple[Frame, ...]
OFFICE_DAY: Frames = (Frame(time(8, 30), time(12)), Frame(time(13, 30), time(17, 30)))
OFFICE_WEEK: tuple[Frames, ...] = (OFFICE_DAY,) * 5 + ((), ())


@dataclass(frozen=True, eq=False)
class WorkingCalendar:
    """One version of the working calendar.

    Attributes:
        weekly: the office frames of Monday … Sunday; a day without frames is off.
        off_days: holidays; they win over the weekday.
        work_days: make-up days (调休); they win over everything. They keep the frames of their own
            weekday, or the longest frames of the week, unless ``own_frames`` names others.
        coverage_from, coverage_to: first and last date that is published, both included.
    """

    version: int
    coverage_from: date
    coverage_to: date
    off_days: frozenset[date] = frozenset()
    work_days: frozenset[date] = frozenset()
    weekly: tuple[Frames, ...] = OFFICE_WEEK
    own_frames: Mapping[date, Frames] = field(default_factory=dict)
    zone: ZoneInfo = SHANGHAI

    def __post_init__(self) -> None:
        if len(self.weekly) != 7 or not any(self.weekly):
            raise ValueError("a week has seven days and at least one office frame")
        for frames in (*self.weekly, *self.own_frames.values()):
            for earlier, later in pairwise(frames):
                if earlier.closes == _MIDNIGHT or later.opens < earlier.closes:
                    raise ValueError("office frames of a day are in order and do not overlap")

    # -- days ---------------------------------------------------------------------------------

    def local_date(self, instant: datetime) -> date:
        """The date on the wall at ``instant``."""
        return self._local(instant).date()

    def end_of_day(self, day: date) -> datetime:
        """24:00 of ``day``: the first instant that is no longer that day."""
        return self._instant(day + _ONE_DAY, _MIDNIGHT)

    def is_working_day(self, day: date) -> bool:
        """Raises: CalendarCoverageError."""
        self._require(day)
        return self._is_working(day)

    def nth_working_day(self, after: date, n: int) -> date:
        """Return the ``n``-th working day strictly after ``after``; ``n`` is at least 1.

        Raises:
            CalendarCoverageError: a date outside the published years is needed.
        """
        if n < 1:
            raise ValueError("n is at least 1")
        if after >= self.coverage_to:
            raise self._not_covered(after)
        self._require(after + _ONE_DAY)
        position = bisect_right(self._index, after.toordinal()) + n - 1
        if position >= len(self._index):
            raise self._not_covered(self.coverage_to + _ONE_DAY)
        return date.fromordinal(self._index[position])

    def nth_working_day_before(self, day: date, n: int) -> date:
        """Return the ``n``-th working day strictly before ``day``; ``n`` is at least 1.

        Raises:
            CalendarCoverageError: a date outside the published years is needed.
        """
        if n < 1:
            raise ValueError("n is at least 1")
        if day <= self.coverage_from:
            raise self._not_covered(day)
        self._require(day - _ONE_DAY)
        position = bisect_right(self._index, day.toordinal() - 1) - n
        if position < 0:
            raise self._not_covered(self.coverage_from - _ONE_DAY)
        return date.fromordinal(self._index[position])

    def working_days_between(self, after: date, until: date) -> int:
        """Count the working days d with ``after`` < d ≤ ``until``; zero when there is no such day.

        Raises: CalendarCoverageError.
        """
        if until <= after:
            return 0
        self._require(after + _ONE_DAY)
        self._require(until)
        index = self._index
        return bisect_right(index, until.toordinal()) - bisect_right(index, after.toordinal())

    def working_days_in(self, year: int) -> int:
        """Count the working days of a year. Raises: CalendarCoverageError."""
        return self.working_days_between(date(year - 1, 12, 31), date(year, 12, 31))

    # -- office time --------------------------------------------------------------------------

    @property
    def office_day(self) -> timedelta:
        """Office time of one full working day: the longest of the week."""
        return _length(self._fullest)

    def frames_of(self, day: date) -> Frames:
        """The office frames of ``day``; none when it is off. Raises: CalendarCoverageError."""
        if not self.is_working_day(day):
            return ()
        return self.own_frames.get(day) or self.weekly[day.weekday()] or self._fullest

    def opening(self, day: date) -> datetime:
        """When the office first opens on the working day ``day``. Raises: CalendarCoverageError."""
        return self._office_hours(day)[0][0]

    def closing(self, day: date) -> datetime:
        """When the office last closes on the working day ``day``. Raises: CalendarCoverageError."""
        return self._office_hours(day)[-1][1]

    def add(self, start: datetime, worked: timedelta) -> datetime:
        """Return the first instant at which ``worked`` office time has passed since ``start``.

        Args:
            start: aware instant; outside office hours the clock starts at the next opening.
            worked: office time, zero or more. One working day is the sum of its office frames,
                not 24 hours.

        Raises:
            CalendarCoverageError: a date outside the published years is needed.

        Source: General Office of the State Council, yearly holiday notice.
        """
        if worked < _NOTHING:
            raise ValueError("office time is not negative")
        day, begin = self.local_date(start), start.astimezone(UTC)
        self._require(day)
        if worked == _NOTHING:
            return begin
        for opens, closes in self._hours_from(day):
            since = max(opens, begin)
            left = max(closes - since, _NOTHING)
            if worked <= left:
                return since + worked
            worked -= left
        raise self._not_covered(self.coverage_to + _ONE_DAY)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the office time in [``start``, ``end``). Raises: CalendarCoverageError."""
        if end < start:
            raise ValueError("the end is not before the start")
        day, begin, stop = self.local_date(start), start.astimezone(UTC), end.astimezone(UTC)
        self._require(day)
        if stop == begin:
            return _NOTHING
        self._require(self.local_date(stop - _INSTANT))
        total = _NOTHING
        for opens, closes in self._hours_from(day):
            if opens >= stop:
                break
            total += max(min(closes, stop) - max(opens, begin), _NOTHING)
        return total

    def provisional(self) -> "WorkingCalendar":
        """The same calendar with the plain weekday rule where nothing is published (1970-2199)."""
        return self._beyond

    # -- inside -------------------------------------------------------------------------------

    @cached_property
    def _index(self) -> list[int]:
        """Ordinals of all working days within the coverage, in order."""
        first, last = self.coverage_from.toordinal(), self.coverage_to.toordinal()
        weekday_works = [bool(frames) for frames in self.weekly]
        off = {day.toordinal() for day in self.off_days}
        extra = {day.toordinal() for day in self.work_days}
        return [
            day  # ordinal 1 is a Monday
            for day in range(first, last + 1)
            if day in extra or (weekday_works[(day - 1) % 7] and day not in off)
        ]

    @cached_property
    def _beyond(self) -> "WorkingCalendar":
        return replace(
            self,
            coverage_from=min(self.coverage_from, PROVISIONAL_FROM),
            coverage_to=max(self.coverage_to, PROVISIONAL_TO),
        )

    @cached_property
    def _fullest(self) -> Frames:
        return max(self.weekly, key=_length)

    def _is_working(self, day: date) -> bool:
        if day in self.work_days:
            return True
        return bool(self.weekly[day.weekday()]) and day not in self.off_days

    def _hours_from(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """Office hours of ``day`` and of every later covered working day."""
        self._require(day)
        index = self._index
        for position in range(bisect_right(index, day.toordinal() - 1), len(index)):
            yield from self._office_hours(date.fromordinal(index[position]))

    @cached_property
    def _hours_by_day(self) -> dict[date, list[tuple[datetime, datetime]]]:
        return {}

    def _office_hours(self, day: date) -> list[tuple[datetime, datetime]]:
        hours = self._hours_by_day.get(day)
        if hours is None:
            hours = self._hours_by_day[day] = [
                (
                    self._instant(day, frame.opens),
                    self.end_of_day(day)
                    if frame.closes == _MIDNIGHT
                    else self._instant(day, frame.closes),
                )
                for frame in self.frames_of(day)
            ]
        return hours

    def _local(self, instant: datetime) -> datetime:
        if instant.tzinfo is None:
            raise ValueError("naive datetime")
        try:
            return instant.astimezone(self.zone)
        except OverflowError:  # the first or the last hours that a datetime can hold
            raise self._not_covered(instant.date()) from None

    def _instant(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, self.zone).astimezone(UTC)

    def _require(self, day: date) -> None:
        if not self.coverage_from <= day <= self.coverage_to:
            raise self._not_covered(day)

    def _not_covered(self, day: date) -> CalendarCoverageError:
        return CalendarCoverageError(
            f"工作日历第{self.version}版覆盖{self.coverage_from}至{self.coverage_to}，不含{day}。"
        )


def _length(frames: Frames) -> timedelta:
    """Office time of a day with these frames, by the wall clock."""
    spans = ((_wall(frame.closes) or _ONE_DAY) - _wall(frame.opens) for frame in frames)
    return sum(spans, _NOTHING)


def _wall(at: time) -> timedelta:
    return timedelta(
        hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond
    )
