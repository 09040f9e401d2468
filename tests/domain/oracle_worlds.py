"""Calendars, real and invented, written twice: for the product and for ``oracle``."""

import random
from dataclasses import dataclass
from datetime import date, datetime, time

from app.domain.working_time import Frame, WorkingCalendar
from tests.domain import oracle
from tests.domain.calendars import OFF_DAYS, WORK_DAYS
from tests.domain.oracle import DAY, MINUTE, Book

OFFICE = [(510, 720), (810, 1050)]


# -- calendars ------------------------------------------------------------------------------------


def announced(_: random.Random) -> Book:
    """2023-2026, as it was."""
    work = {oracle.from_date(day): [] for day in WORK_DAYS}
    return Book(
        oracle.day_number("2023-01-01"),
        oracle.day_number("2026-12-31"),
        [OFFICE] * 5 + [[], []],
        {oracle.from_date(day) for day in OFF_DAYS},
        dict(work),
    )


def invented(draw: random.Random) -> Book:
    """Any coverage, week, holidays; half of them in the years of summer time."""
    year = draw.choice((1985, 1986, 1988, 1990, 1991, 1996, 1999, 2024, 2028, 2098))
    first = oracle.from_date(date(year, 1, 1)) + draw.choice((0, 0, draw.randrange(300)))
    last = first + draw.randrange(120, 1_200)
    week = [_frames(draw) if draw.random() < 0.75 else [] for _ in range(7)]
    if not any(week):
        week[draw.randrange(7)] = OFFICE
    off: set[int] = set()
    for _ in range(draw.randrange(12)):
        begin = draw.randrange(first - 5, last + 5)
        off |= set(range(begin, begin + draw.randint(1, 10)))
    days = [draw.randrange(first - 5, last + 5) for _ in range(draw.randrange(12))]
    work = {day: _frames(draw) if draw.random() < 0.5 else [] for day in days}
    return Book(first, last, week, off, work)


def _frames(draw: random.Random) -> oracle.Minutes:
    """One to three frames on half hours; none begins or ends inside an hour that was moved."""
    if draw.random() < 0.4:
        return list(OFFICE)
    bounds = [minute for minute in range(0, 1_441, 30) if minute not in (90, 150)]
    at = sorted(draw.sample(bounds, 2 * draw.randint(1, 3)))
    return list(zip(at[::2], at[1::2], strict=True))


def calendar_of(book: Book) -> WorkingCalendar:
    """The product's calendar of the same facts."""
    return WorkingCalendar(
        version=1,
        coverage_from=oracle.to_date(book.first),
        coverage_to=oracle.to_date(book.last),
        off_days=frozenset(oracle.to_date(day) for day in book.off),
        work_days=frozenset(oracle.to_date(day) for day in book.work),
        weekly=tuple(_office(frames) for frames in book.week),
        own_frames={oracle.to_date(day): _office(it) for day, it in book.work.items() if it},
    )


def _office(frames: oracle.Minutes) -> tuple[Frame, ...]:
    return tuple(Frame(_clock(begin), _clock(end)) for begin, end in frames)


def _clock(minute: int) -> time:
    return time(minute // 60 % 24, minute % 60)


# -- cases ----------------------------------------------------------------------------------------


@dataclass
class World:
    """One calendar twice, and where the random cases on it come from."""

    draw: random.Random
    book: Book
    calendar: WorkingCalendar

    def day(self) -> int:
        """Any day about the coverage, rather often one where something happens."""
        draw, book = self.draw, self.book
        kind = draw.random()
        if kind < 0.1:
            return draw.choice((book.first, book.last)) + draw.randint(-8, 8)
        if kind < 0.25 and (book.off or book.work):
            return draw.choice([*book.off, *book.work]) + draw.randint(-3, 3)
        if kind < 0.3:
            inside = [day for day in oracle.MOVED_DAYS if book.first < day < book.last]
            if inside:
                return draw.choice(inside) + draw.randint(-1, 1)
        if kind < 0.33:
            leap = oracle.from_date(date(draw.choice((1988, 1996, 2000, 2024, 2028)), 2, 29))
            if book.first < leap < book.last:
                return leap + draw.randint(-3, 1)
        return draw.randint(book.first, book.last)

    def instant(self) -> int:
        """Any instant of such a day, rather often a microsecond about an edge."""
        draw, day = self.draw, self.day()
        kind = draw.random()
        if kind < 0.5:
            return oracle.midnight(day) + draw.randrange(DAY)
        tick = draw.choice((-1, 0, 1))
        if kind < 0.7:
            return oracle.midnight(day) + tick
        frames = draw.choice([it for it in self.book.week if it])
        minute = draw.choice(draw.choice(frames))
        return oracle.instant_of(day * DAY + minute * MINUTE) + tick

    def later(self, start: int, days: int) -> int:
        """An instant up to so many days after ``start``."""
        return start + self.draw.randrange(1, days * DAY)

    def at(self, instant: int) -> datetime:
        """For the product, in any time zone."""
        return oracle.to_datetime(instant, self.draw.choice((0, 0, 8, -5, 14, -11)))

    def pauses(self, start: int) -> list[tuple[int, int]]:
        pauses = []
        for _ in range(self.draw.choice((0, 1, 1, 2, 3))):
            paused = self.later(start, 12)
            pauses.append((paused, self.later(paused, self.draw.choice((1, 9)))))
        return pauses

    def grants(self, start: int) -> list[tuple[int, int]]:
        return [
            (self.draw.randint(1, 5), self.later(start, 15))
            for _ in range(self.draw.choice((0, 0, 1, 2)))
        ]
