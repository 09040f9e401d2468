"""Changing the slow tables. Every change is announced, so that all processes load it anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.working_time import OFFICE_WEEK
from app.reference import holiday_notice, queries
from app.reference.holiday_notice import HolidayFileInvalid, Notice, NoticeDay
from app.reference.models import CalendarDayRow, CalendarRow
from app.store.notices import announce

# Monday … Sunday, as the calendars table keeps them.
_FRAMES = [
    [[frame.opens.isoformat("minutes"), frame.closes.isoformat("minutes")] for frame in frames]
    for frames in OFFICE_WEEK
]


@dataclass(frozen=True, slots=True)
class CalendarImport:
    """What an import did. ``changed`` is false when the year was already known exactly so.

    Attributes:
        off_days, make_up_days: how many days the notice names.
        working_days: of the whole year, by the new version.
        missing_festivals: festivals for which the file names no day off; worth a second look.
    """

    year: int
    version: int
    changed: bool
    coverage_from: date
    coverage_to: date
    off_days: int
    make_up_days: int
    working_days: int
    missing_festivals: tuple[str, ...]


async def import_calendar(
    session: AsyncSession, document: object, *, now: datetime
) -> CalendarImport:
    """Publish a new calendar version in which one year is as a holiday-JSON document says.

    The year extends the coverage at either end, or replaces what was known of that year.

    Args:
        document: the parsed JSON (see ``holiday_notice``).

    Raises:
        HolidayFileInvalid: an entry is wrong, or years between are missing. Nothing changes.
        HolidaysNotPublished: the document names no days. Nothing changes.
    """
    notice = holiday_notice.read(document)
    await lock_calendars(session)
    newest = await queries.newest_calendar(session)
    known = [] if newest is None else await _notices(session, newest)
    if newest is not None:
        _require_adjoining(notice.year, newest)
    changed = newest is None or not any(_same(notice, old) for old in known)
    if changed:
        others = [old for old in known if old.year != notice.year]
        sources = () if newest is None else tuple(newest.sources)
        newest = await publish_calendar(
            session, [*others, notice], previous=newest, sources=sources, now=now
        )
    assert newest is not None  # noqa: S101 - published just now, or known before
    calendar = await queries.working_calendar(session, newest)
    return CalendarImport(
        year=notice.year,
        version=newest.version,
        changed=changed,
        coverage_from=newest.coverage_from,
        coverage_to=newest.coverage_to,
        off_days=sum(not day.working for day in notice.days),
        make_up_days=sum(day.working for day in notice.days),
        working_days=calendar.working_days_in(notice.year),
        missing_festivals=notice.missing_festivals,
    )


async def publish_calendar(
    session: AsyncSession,
    notices: Sequence[Notice],
    *,
    previous: CalendarRow | None = None,
    sources: Sequence[str] = (),
    now: datetime,
) -> CalendarRow:
    """Write a whole new version made of ``notices`` (years without a gap) and announce it.

    Args:
        previous: the version whose office frames go on, if there is one.
        sources: of earlier versions, kept in front of those of ``notices``.
    """
    years = [notice.year for notice in notices]
    row = CalendarRow(
        version=1 if previous is None else previous.version + 1,
        published_at=now,
        coverage_from=date(min(years), 1, 1),
        coverage_to=date(max(years), 12, 31),
        frames=_FRAMES if previous is None else previous.frames,
        sources=list(
            dict.fromkeys([*sources, *(source for notice in notices for source in notice.sources)])
        ),
    )
    session.add(row)
    await session.flush()
    await session.execute(
        insert(CalendarDayRow),
        [
            {
                "version": row.version,
                "notice_year": notice.year,
                "day": day.day,
                "working": day.working,
                "name": day.name,
            }
            for notice in notices
            for day in notice.days
        ],
    )
    await announce(session, queries.TOPIC)
    return row


async def lock_calendars(session: AsyncSession) -> None:
    """Until the end of the transaction nobody else publishes a calendar."""
    await session.execute(text("LOCK TABLE calendars IN SHARE ROW EXCLUSIVE MODE"))


def _require_adjoining(year: int, newest: CalendarRow) -> None:
    first, last = newest.coverage_from.year, newest.coverage_to.year
    if not first - 1 <= year <= last + 1:
        raise HolidayFileInvalid(
            f"工作日历现覆盖{first}至{last}年，{year}年不与之相连，请先导入中间的年份。"
        )


async def _notices(session: AsyncSession, calendar: CalendarRow) -> list[Notice]:
    """What the version knows, year by year, without the papers."""
    days: dict[int, list[NoticeDay]] = {
        year: [] for year in range(calendar.coverage_from.year, calendar.coverage_to.year + 1)
    }
    for row in await session.scalars(
        select(CalendarDayRow)
        .where(CalendarDayRow.version == calendar.version)
        .order_by(CalendarDayRow.day)
    ):
        days[row.notice_year].append(NoticeDay(row.day, row.working, row.name))
    return [Notice(year, (), tuple(known)) for year, known in days.items()]


def _same(one: Notice, other: Notice) -> bool:
    """The same days off and at work in the same year, whatever they are called."""
    return one.year == other.year and _facts(one) == _facts(other)


def _facts(notice: Notice) -> set[tuple[date, bool]]:
    return {(day.day, day.working) for day in notice.days}
