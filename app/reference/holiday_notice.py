"""A year's holiday notice: as our own table states it, or as a holiday-JSON document says it.

The document: ``{"year": 2026, "papers": [url, …], "days": [{"name", "date", "isOffDay"}, …]}``;
``$schema`` and ``$id`` are ignored. It is believed only if every entry is exactly that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from app.domain.errors import FieldError, Invalid
from app.domain.working_time import Frames

FESTIVALS = ("元旦", "春节", "清明", "劳动节", "端午", "中秋", "国庆")
_YEARS = range(1990, 2101)
_MEMBERS = frozenset({"year", "papers", "days"})
_IGNORED = frozenset({"$schema", "$id"})
_ENTRY = frozenset({"name", "date", "isOffDay"})
_MAX_ENTRIES = 400
_MAX_NAME = 50
MAKE_UP_NAME = "调休"


class HolidayFileInvalid(Invalid):
    """节假日文件有误，日历没有改变。"""

    code = "holiday_file_invalid"


class HolidaysNotPublished(Invalid):
    """该年的放假安排尚未公布，日历没有改变。"""

    code = "holidays_not_published"


@dataclass(frozen=True, slots=True)
class NoticeDay:
    """One day that departs from the plain week. ``frames``: its own office hours, if it has any."""

    day: date
    working: bool
    name: str
    frames: Frames = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """What was announced for ``year``; ``sources`` are titles or addresses of the papers."""

    year: int
    sources: tuple[str, ...]
    days: tuple[NoticeDay, ...]

    @property
    def missing_festivals(self) -> tuple[str, ...]:
        """Festivals without a day off in it: a sign of an incomplete file."""
        named = "、".join(day.name for day in self.days if not day.working)
        return tuple(festival for festival in FESTIVALS if festival not in named)


def stated(year: int, sources: tuple[str, ...], *, off: Mapping[str, str], work: str) -> Notice:
    """Read our own shorthand: ``off`` festival → ``first/last``, ``work`` the make-up days.

    Days are ``MM-DD``, or ``YYYY-MM-DD`` where they lie outside ``year``.
    """

    def at(word: str) -> date:
        return date.fromisoformat(word if len(word) > 5 else f"{year}-{word}")

    def days() -> Iterator[NoticeDay]:
        for name, span in off.items():
            first, _, last = span.partition("/")
            length = (at(last or first) - at(first)).days + 1
            for offset in range(length):
                yield NoticeDay(at(first) + timedelta(days=offset), working=False, name=name)
        for word in work.split():
            yield NoticeDay(at(word), working=True, name=MAKE_UP_NAME)

    return Notice(year, sources, tuple(days()))


def read(document: object) -> Notice:
    """Read a holiday-JSON document.

    Raises:
        HolidayFileInvalid: naming every entry that is wrong.
        HolidaysNotPublished: it is right, and has no days.
    """
    if not isinstance(document, dict):
        raise HolidayFileInvalid("文件内容应为一个 JSON 对象。")
    unknown = sorted(map(str, document.keys() - _MEMBERS - _IGNORED))
    missing = sorted(_MEMBERS - document.keys())
    if unknown or missing:
        raise HolidayFileInvalid(
            "；".join(
                [f"多出字段 {name}" for name in unknown] + [f"缺少字段 {name}" for name in missing]
            )
        )
    year, papers, entries = document["year"], document["papers"], document["days"]
    if type(year) is not int or year not in _YEARS:
        raise HolidayFileInvalid("year 应为 1990 至 2100 之间的整数。")
    if not isinstance(papers, list) or not all(_is_line(paper, 500) for paper in papers):
        raise HolidayFileInvalid("papers 应为文件地址的列表。")
    if not isinstance(entries, list) or len(entries) > _MAX_ENTRIES:
        raise HolidayFileInvalid(f"days 应为不超过 {_MAX_ENTRIES} 项的列表。")
    if not entries:
        raise HolidaysNotPublished(f"{year}年的放假安排尚未公布，日历没有改变。")
    return Notice(year, tuple(papers), _days(year, entries))


def _days(year: int, entries: list[Any]) -> tuple[NoticeDay, ...]:
    days: dict[date, NoticeDay] = {}
    wrong: list[FieldError] = []
    for position, entry in enumerate(entries):
        found = _day(year, entry)
        if isinstance(found, NoticeDay) and found.day in days:
            found = f"日期 {found.day} 重复"
        if isinstance(found, NoticeDay):
            days[found.day] = found
        else:
            wrong.append(
                FieldError(f"/days/{position}", "entry_invalid", f"第{position + 1}项：{found}")
            )
    if wrong:
        raise HolidayFileInvalid("；".join(error.message for error in wrong[:5]), errors=wrong)
    return tuple(days[day] for day in sorted(days))


def _day(year: int, entry: object) -> NoticeDay | str:
    """The day, or what is wrong with it."""
    if not isinstance(entry, dict) or entry.keys() != _ENTRY:
        return "应恰有 name、date、isOffDay 三个字段"
    name, word, off = entry["name"], entry["date"], entry["isOffDay"]
    if not _is_line(name, _MAX_NAME):
        return f"name 应为不超过 {_MAX_NAME} 字的文字"
    if type(off) is not bool:
        return "isOffDay 应为 true 或 false"
    day = _date(word)
    if day is None:
        return f"date {str(word)[:20]!r} 不是日期，应为 {year}-01-31 的形式"
    # New Year's holiday may begin in December: 2018-12-29 stands in the notice of 2019.
    if day.year != year and (day.year, day.month) != (year - 1, 12):
        return f"日期 {day} 不属于{year}年的安排"
    return NoticeDay(day, working=not off, name=name)


def _date(word: object) -> date | None:
    if not isinstance(word, str) or len(word) != 10:
        return None
    try:
        day = date.fromisoformat(word)
    except ValueError:
        return None
    return day if day.isoformat() == word else None  # not 2026-W01-1


def _is_line(text: object, longest: int) -> bool:
    return isinstance(text, str) and 0 < len(text) <= longest and text.isprintable()
