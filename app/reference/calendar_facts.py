"""One whole version of the working calendar as data, and what a draft makes of it.

A version is the office week, the notices of the years it covers, and the city's own days, which
have the last word. A draft says only what becomes different; ``draft_on`` applies it to the version
it was made on, and refuses it by name: which day, which frame.
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, time
from itertools import pairwise

import orjson

from app.domain.errors import FieldError, Invalid
from app.domain.working_time import OFFICE_WEEK, Frame, Frames, WorkingCalendar
from app.reference import holiday_notice
from app.reference.holiday_notice import HolidayFileInvalid, Notice, NoticeDay

# Under this year stands what the city says of its own days: later than any notice.
CITY_YEAR = 9999
WEEKDAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
_MIDNIGHT = time(0)
_LONGEST = 8  # frames of one day


class CalendarDraftInvalid(Invalid):
    """工作日历草稿有误，请按提示修改。"""

    code = "calendar_draft_invalid"


@dataclass(frozen=True, slots=True)
class CalendarFacts:
    """Everything one version says.

    Attributes:
        weekly: office frames of Monday … Sunday.
        notices: in the order of their years, the city's own (``CITY_YEAR``) last.
    """

    coverage_from: date
    coverage_to: date
    weekly: tuple[Frames, ...]
    notices: tuple[Notice, ...]
    sources: tuple[str, ...]

    @property
    def years(self) -> frozenset[int]:
        """Years that a notice was published for."""
        return frozenset(notice.year for notice in self.notices) - {CITY_YEAR}

    @property
    def city_days(self) -> tuple[NoticeDay, ...]:
        return next((it.days for it in self.notices if it.year == CITY_YEAR), ())

    def calendar(self, version: int) -> WorkingCalendar:
        """As the domain counts with it. The later notice holds where two speak of one day."""
        said = {day.day: day for notice in self.notices for day in notice.days}
        return WorkingCalendar(
            version=version,
            coverage_from=self.coverage_from,
            coverage_to=self.coverage_to,
            off_days=frozenset(day for day, it in said.items() if not it.working),
            work_days=frozenset(day for day, it in said.items() if it.working),
            weekly=self.weekly,
            own_frames={day: it.frames for day, it in said.items() if it.working and it.frames},
        )

    def rules(self) -> object:
        """What is counted by, without names and papers: two versions with the same are one."""
        return (
            self.coverage_from,
            self.coverage_to,
            self.weekly,
            {
                (notice.year, day.day, day.working, day.frames)
                for notice in self.notices
                for day in notice.days
            },
        )

    def digest(self, base_version: int) -> str:
        """A fingerprint of every word of it, and of the version it was drafted on."""
        words = [
            base_version,
            self.coverage_from,
            self.coverage_to,
            [frames_json(frames) for frames in self.weekly],
            [
                [it.year, [[d.day, d.working, d.name, frames_json(d.frames)] for d in it.days]]
                for it in self.notices
            ],
            self.sources,
        ]
        return hashlib.sha256(orjson.dumps(words)).hexdigest()


def frames_json(frames: Frames) -> list[list[str]]:
    """``[["08:30", "12:00"], …]``, as the tables keep them."""
    return [
        [frame.opens.isoformat("minutes"), frame.closes.isoformat("minutes")] for frame in frames
    ]


def frames_from(words: Sequence[Sequence[str]]) -> Frames:
    return tuple(
        Frame(time.fromisoformat(opens), time.fromisoformat(ends)) for opens, ends in words
    )


# --- drafts ------------------------------------------------------------------------------------

Hours = Sequence[tuple[time, time]]  # opens, closes; as they were typed


@dataclass(frozen=True, slots=True)
class CityDay:
    """What the city says of a day. ``hours``: office hours of its own, for a day of work."""

    day: date
    name: str
    hours: Hours = ()


@dataclass(frozen=True, slots=True)
class CalendarDraft:
    """What becomes different; None leaves it as it is.

    Attributes:
        years: holiday-JSON documents (``holiday_notice``), each adds a year or replaces it.
        weekly: seven days.
        off_days, work_days: all of the city's own ones, not additions to those there are.
    """

    years: Sequence[object] = ()
    weekly: Sequence[Hours] | None = None
    off_days: Sequence[CityDay] | None = None
    work_days: Sequence[CityDay] | None = None
    coverage_from: date | None = None
    coverage_to: date | None = None


def draft_on(base: CalendarFacts | None, draft: CalendarDraft) -> CalendarFacts:
    """Return the version that ``draft`` would make of ``base``.

    Raises:
        HolidayFileInvalid, HolidaysNotPublished: a year's document.
        CalendarDraftInvalid: naming every wrong day and frame.
    """
    new = tuple(_read_years(draft.years))
    replaced = {notice.year for notice in new}
    known = () if base is None else base.notices
    kept = [it for it in known if it.year not in {*replaced, CITY_YEAR}]
    notices = sorted([*kept, *new], key=lambda notice: notice.year)
    if not notices:
        raise CalendarDraftInvalid("工作日历至少应有一个年份的放假安排。")
    faults = _Faults()
    weekly = _weekly(base, draft, faults)
    city_days = _city_days(base, draft, faults)
    first, last = _coverage(base, draft, {it.year for it in notices}, replaced, faults)
    for pointer, it in city_days:
        if not first <= it.day <= last:
            faults.add(pointer, f"{it.day} 不在覆盖范围 {first} 至 {last} 之内")
    faults.raise_any()
    if city_days:
        own = sorted((it for _, it in city_days), key=lambda it: it.day)
        notices.append(Notice(CITY_YEAR, (), tuple(own)))
    papers = [
        *(() if base is None else base.sources),
        *(paper for it in new for paper in it.sources),
    ]
    return CalendarFacts(first, last, weekly, tuple(notices), tuple(dict.fromkeys(papers)))


@dataclass(slots=True)
class _Faults:
    found: list[FieldError] = field(default_factory=list)

    def add(self, pointer: str, message: str) -> None:
        self.found.append(FieldError(pointer, "entry_invalid", message))

    def raise_any(self) -> None:
        if self.found:
            words = "；".join(fault.message for fault in self.found[:5])
            raise CalendarDraftInvalid(f"{words}。", errors=self.found)


def _read_years(documents: Sequence[object]) -> Iterator[Notice]:
    seen: set[int] = set()
    for position, document in enumerate(documents):
        pointer = f"/years/{position}"
        try:
            notice = holiday_notice.read(document)
        except Invalid as error:
            inner = [FieldError(pointer + it.pointer, it.code, it.message) for it in error.errors]
            whole = FieldError(pointer, error.code, error.detail or error.title())
            raise type(error)(error.detail, errors=inner or [whole]) from None
        if notice.year in seen:
            message = f"{notice.year}年的放假安排重复"
            fault = FieldError(pointer, "entry_invalid", message)
            raise HolidayFileInvalid(f"{message}。", errors=[fault])
        seen.add(notice.year)
        yield notice


def _coverage(
    base: CalendarFacts | None,
    draft: CalendarDraft,
    years: Set[int],
    added: Set[int],
    faults: _Faults,
) -> tuple[date, date]:
    """As the draft says, else what was covered and the whole of every added year."""
    starts = [date(year, 1, 1) for year in added] + ([base.coverage_from] if base else [])
    ends = [date(year, 12, 31) for year in added] + ([base.coverage_to] if base else [])
    first, last = draft.coverage_from or min(starts), draft.coverage_to or max(ends)
    if first > last:
        faults.add("/coverage_to", f"覆盖范围的截止日 {last} 早于起始日 {first}")
    for year in range(first.year, last.year + 1):
        if year not in years:
            faults.add("/years", f"覆盖范围内的{year}年没有放假安排")
    return first, last


def _weekly(
    base: CalendarFacts | None, draft: CalendarDraft, faults: _Faults
) -> tuple[Frames, ...]:
    if draft.weekly is None:
        return OFFICE_WEEK if base is None else base.weekly
    if len(draft.weekly) != 7:
        faults.add("/weekly_frames", "每周应恰有七天，从星期一到星期日")
        return OFFICE_WEEK
    weekly = tuple(
        _frames(hours, f"/weekly_frames/{position}", WEEKDAYS[position], faults)
        for position, hours in enumerate(draft.weekly)
    )
    if not any(draft.weekly):
        faults.add("/weekly_frames", "一周中至少应有一个办公时段")
    return weekly


def _city_days(
    base: CalendarFacts | None, draft: CalendarDraft, faults: _Faults
) -> list[tuple[str, NoticeDay]]:
    """The city's own days, each with where the draft says it."""
    known = () if base is None else base.city_days
    days: list[tuple[str, NoticeDay]] = []
    for name, said, working in (
        ("off_days", draft.off_days, False),
        ("work_days", draft.work_days, True),
    ):
        if said is None:
            days += [(f"/{name}", it) for it in known if it.working is working]
            continue
        for position, it in enumerate(said):
            pointer = f"/{name}/{position}"
            frames = _frames(it.hours, f"{pointer}/frames", str(it.day), faults)
            days.append((pointer, NoticeDay(it.day, working, it.name, frames)))
    seen: dict[date, bool] = {}
    for pointer, day in days:
        if day.day in seen:
            same = seen[day.day] is day.working
            faults.add(pointer, f"{day.day} {'重复' if same else '同时列为休息日和工作日'}")
        seen[day.day] = day.working
    return days


def _frames(hours: Hours, pointer: str, of: str, faults: _Faults) -> Frames:
    """The frames of one day; what is wrong with them is noted, and left out."""
    if len(hours) > _LONGEST:
        faults.add(pointer, f"{of}的办公时段不能超过{_LONGEST}段")
        return ()
    frames: list[Frame] = []
    for position, (opens, closes) in enumerate(hours):
        if closes != _MIDNIGHT and closes <= opens:
            faults.add(
                f"{pointer}/{position}",
                f"{of}第{position + 1}段：结束时间 {closes:%H:%M} 应晚于开始时间 {opens:%H:%M}",
            )
            return ()
        frames.append(Frame(opens, closes))
    for position, (earlier, later) in enumerate(pairwise(frames), start=2):
        if earlier.closes == _MIDNIGHT or later.opens < earlier.closes:
            faults.add(
                f"{pointer}/{position - 1}",
                f"{of}第{position}段 {later.opens:%H:%M} 开始，"
                f"但第{position - 1}段到 {earlier.closes:%H:%M} 才结束",
            )
            return ()
    return tuple(frames)
