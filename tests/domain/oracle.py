"""The arithmetic of time once more, so naively that it can be read and believed.

Nothing here comes from the product, nor from a time zone library. An instant is a whole number of
microseconds since 1970 in UTC, a day the number of days since then on a wall clock in China. Days
are stepped one by one, office time minute by minute. Where a date is needed that the book does not
know, ``Unknown`` is raised.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = date(1970, 1, 1)

# China moved its clocks by an hour from these Sundays to those, at two in the morning.
_SUMMERS = (
    ("1986-05-04", "1986-09-14"),
    ("1987-04-12", "1987-09-13"),
    ("1988-04-17", "1988-09-11"),
    ("1989-04-16", "1989-09-17"),
    ("1990-04-15", "1990-09-16"),
    ("1991-04-14", "1991-09-15"),
)


class Unknown(Exception):
    """A date is needed that was not published."""


def day_number(word: str) -> int:
    return (date.fromisoformat(word) - EPOCH).days


def _summers() -> list[tuple[int, int]]:
    return [
        (day_number(begin) * DAY + 2 * HOUR - 8 * HOUR, day_number(end) * DAY + 2 * HOUR - 9 * HOUR)
        for begin, end in _SUMMERS
    ]


SUMMERS = _summers()
MOVED_DAYS = {day_number(word) for summer in _SUMMERS for word in summer}
_FIRST_SUMMER, _LAST_SUMMER = SUMMERS[0][0], SUMMERS[-1][1]


def wall(instant: int) -> int:
    """What a clock on a wall shows, in microseconds since 1970-01-01 00:00 on that wall."""
    if _FIRST_SUMMER <= instant < _LAST_SUMMER:
        for begin, end in SUMMERS:
            if begin <= instant < end:
                return instant + 9 * HOUR
    return instant + 8 * HOUR


def instant_of(shown: int) -> int:
    """When a wall clock shows this; the first time if twice, and if never, as it would have."""
    for hours in (9, 8):
        if wall(shown - hours * HOUR) == shown:
            return shown - hours * HOUR
    return shown - 8 * HOUR


def day_of(instant: int) -> int:
    return wall(instant) // DAY


def midnight(day: int) -> int:
    """The first instant of a day."""
    return instant_of(day * DAY)


Minutes = list[tuple[int, int]]  # from, to; minutes of the day, 1440 is its end


@dataclass
class Book:
    """What was published: a week of office minutes, days off, days of work with their own ones.

    ``trusting``: where nothing was published, the plain week is believed.
    """

    first: int
    last: int
    week: list[Minutes]
    off: set[int] = field(default_factory=set)
    work: dict[int, Minutes] = field(default_factory=dict)  # empty: as the day usually is
    trusting: bool = False

    def trust(self) -> "Book":
        return Book(self.first, self.last, self.week, self.off, self.work, trusting=True)

    def works(self, day: int) -> bool:
        if not (self.trusting or self.first <= day <= self.last):
            raise Unknown
        if day in self.work:
            return True
        return bool(self.week[(day + 3) % 7]) and day not in self.off

    def minutes(self, day: int) -> Minutes:
        if not self.works(day):
            return []
        return self.work.get(day) or self.week[(day + 3) % 7] or self.fullest()

    def fullest(self) -> Minutes:
        best: Minutes = []
        for frames in self.week:
            if total(frames) > total(best):
                best = frames
        return best


def total(frames: Minutes) -> int:
    return sum(end - begin for begin, end in frames)


def open_minutes(book: Book, day: int) -> Iterator[int]:
    """The first instant of every minute of ``day`` in which the office is open, in order."""
    frames = book.minutes(day)
    if day in MOVED_DAYS:
        at = midnight(day)
        while day_of(at) == day:
            minute = wall(at) % DAY // MINUTE
            if any(begin <= minute < end for begin, end in frames):
                yield at
            at += MINUTE
        return
    start = midnight(day)
    for begin, end in frames:
        for minute in range(begin, end):
            yield start + minute * MINUTE


def opening(book: Book, day: int) -> int:
    return instant_of(day * DAY + book.minutes(day)[0][0] * MINUTE)


def closing(book: Book, day: int) -> int:
    return instant_of(day * DAY + book.minutes(day)[-1][1] * MINUTE)


# -- days -----------------------------------------------------------------------------------------


def nth_after(book: Book, day: int, n: int) -> int:
    while n:
        day += 1
        n -= book.works(day)
    return day


def nth_before(book: Book, day: int, n: int) -> int:
    while n:
        day -= 1
        n -= book.works(day)
    return day


def days_between(book: Book, after: int, until: int) -> int:
    found = 0
    for day in range(after + 1, until + 1):
        found += book.works(day)
    return found


# -- office time ----------------------------------------------------------------------------------


def add(book: Book, start: int, worked: int) -> int:
    day = day_of(start)
    book.works(day)
    if worked == 0:
        return start
    while True:
        for minute in open_minutes(book, day):
            if minute + MINUTE <= start:
                continue
            begin = max(minute, start)
            used = min(worked, minute + MINUTE - begin)
            worked -= used
            if worked == 0:
                return begin + used
        day += 1


def between(book: Book, start: int, end: int) -> int:
    day = day_of(start)
    book.works(day)
    found = 0
    while end > start and midnight(day) < end:
        for minute in open_minutes(book, day):
            if minute >= end:
                break
            found += max(0, min(minute + MINUTE, end) - max(minute, start))
        day += 1
    return found


# -- promises -------------------------------------------------------------------------------------


def contact_due(book: Book, mode: str, span: int, start: int) -> int:
    if mode == "working":
        return add(book, start, span)
    hour, day = wall(start) % DAY // HOUR, day_of(start)
    if mode == "night_window" and hour >= 22:
        return instant_of((day + 1) * DAY + 9 * HOUR)
    if mode == "night_window" and hour < 7:
        return instant_of(day * DAY + 9 * HOUR)
    return start + span


def reply_due(book: Book, mode: str, days: int, start: int) -> int:
    if mode == "exact":
        return add(book, start, days * total(book.fullest()) * MINUTE)
    day = nth_after(book, day_of(start), days)
    return closing(book, day) if mode == "office_close" else midnight(day + 1)


def last_day(due: int) -> int:
    """The last day on which there is time."""
    return day_of(due - 1)


def moved(book: Book, due: int, day: int) -> int:
    """The same kind of end on another day."""
    old = last_day(due)
    if due == midnight(old + 1):
        return midnight(day + 1)
    if book.works(old) and due == closing(book, old):
        return closing(book, day)
    return instant_of(day * DAY + wall(due) % DAY)


def extended(book: Book, due: int, days: int) -> int:
    return moved(book, due, nth_after(book, last_day(due), days))


def after_pause(book: Book, due: int, paused: int, resumed: int) -> int:
    if day_of(paused) == day_of(resumed) or paused >= due:
        return due
    unused = days_between(book, day_of(paused), last_day(due))
    day = day_of(resumed)
    if unused == 0:
        while not book.works(day):
            day += 1
        return moved(book, due, day)
    return moved(book, due, nth_after(book, day, unused))


def joined(pauses: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pauses of which no two overlap or touch."""
    pauses = list(pauses)
    for one in pauses:
        for other in pauses:
            if one is not other and one[0] <= other[1] and other[0] <= one[1]:
                pauses.remove(one)
                pauses.remove(other)
                return joined([*pauses, (min(one[0], other[0]), max(one[1], other[1]))])
    return pauses


def after_all(
    book: Book, due: int, pauses: list[tuple[int, int]], grants: list[tuple[int, int]]
) -> int:
    """``grants``: working days and when they were granted. All in the order of time."""
    steps = [(resumed, "pause", paused) for paused, resumed in joined(pauses)]
    steps += [(granted, "grant", days) for days, granted in grants]
    for at, kind, value in sorted(steps):
        due = extended(book, due, value) if kind == "grant" else after_pause(book, due, value, at)
    return due


# -- the ladder -----------------------------------------------------------------------------------


def rungs(book: Book, metric: str, start: int, due: int) -> list[tuple[str, int]]:
    """Every rung that is told, and when."""
    book = book.trust()

    def before(days: int) -> int:
        return opening(book, nth_before(book, last_day(due), days))

    def morning(days: int) -> int:
        return instant_of((day_of(start) + days) * DAY + 9 * HOUR)

    half, odd = divmod(due - start, 2)
    ladder = {
        "contact": [
            ("due_soon_1", start + half + (odd and half % 2)),  # a half goes to the even number
            ("due_soon_2", due - 2 * HOUR),
            ("breach_1", due),
            ("breach_2", due + 4 * HOUR),
        ],
        "reply": [("due_soon_1", 2), ("due_soon_2", 1), ("breach_1", due)],
        "cotask": [("due_soon_1", 1), ("breach_1", due)],
        "rate": [("remind_1", morning(3)), ("remind_2", morning(6)), ("expired", due)],
    }[metric]
    if metric in ("reply", "cotask"):
        ladder = [(name, before(at) if name.startswith("due_soon") else at) for name, at in ladder]
    if metric == "reply":
        ladder += [("breach_2", extended(book, due, 1)), ("breach_3", extended(book, due, 3))]
    told: list[tuple[str, int]] = []
    warned = start
    for name, at in ladder:
        if not name.startswith(("due_soon", "remind")) or warned < at < due:
            told.append((name, at))
        if name.startswith(("due_soon", "remind")):
            warned = max(warned, at)
    return told


# -- quiet hours ----------------------------------------------------------------------------------


def seen_at(born: int, begins: int, ends: int) -> int:
    """When a message is seen that was written at ``born``; quiet from and to minutes of the day."""

    def quiet(at: int) -> bool:
        minute = wall(at) % DAY // MINUTE
        if begins <= ends:
            return begins <= minute < ends
        return minute >= begins or minute < ends

    if not quiet(born):
        return born
    at = born - born % MINUTE
    while quiet(at):
        at += MINUTE
    return at


def to_datetime(instant: int, hours: int = 0) -> datetime:
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=instant)  # noqa: UP017
    return at.astimezone(timezone(timedelta(hours=hours)))


def from_datetime(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_date(day: int) -> date:
    return EPOCH + timedelta(days=day)


def from_date(day: date) -> int:
    return (day - EPOCH).days
