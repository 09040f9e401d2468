"""Changing the slow tables. Every change is announced, so that all processes load it anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict
from app.domain.identity import SYSTEM, Actor, Role
from app.domain.working_time import OFFICE_WEEK
from app.reference import calendar_facts, holiday_notice, queries
from app.reference.calendar_facts import CalendarDraft, CalendarFacts, frames_json
from app.reference.holiday_notice import HolidayFileInvalid, Notice
from app.reference.models import CalendarDayRow, CalendarRow
from app.store.notices import announce


class CalendarChanged(Conflict):
    """工作日历已有新版本，请重新预览后再发布。"""

    code = "calendar_changed"


class CalendarDraftChanged(Conflict):
    """草稿与预览时的内容不一致，请重新预览后再发布。"""

    code = "calendar_draft_changed"


class CalendarUnchanged(Conflict):
    """草稿与现行工作日历完全相同，无需发布。"""

    code = "calendar_unchanged"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a draft would publish. ``base`` is None before the first version (number 0)."""

    base_version: int
    base: CalendarFacts | None
    facts: CalendarFacts
    draft_hash: str

    @property
    def changed(self) -> bool:
        return self.base is None or self.base.rules() != self.facts.rules()

    @property
    def version(self) -> int:
        return self.base_version + 1

    @property
    def missing_festivals(self) -> dict[int, tuple[str, ...]]:
        """By year, for years that become different: festivals without a day off."""
        known = () if self.base is None else self.base.notices
        before = {notice.year: notice.days for notice in known}
        return {
            notice.year: notice.missing_festivals
            for notice in self.facts.notices
            if notice.year in self.facts.years
            and notice.days != before.get(notice.year)
            and notice.missing_festivals
        }


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
    base = None
    if newest is not None:
        _require_adjoining(notice.year, newest)
        base = await queries.calendar_facts(session, newest)
    facts = calendar_facts.draft_on(base, CalendarDraft(years=[document]))
    changed = base is None or base.rules() != facts.rules()
    if newest is None or changed:
        newest = await publish_calendar(session, facts, now=now)
    calendar = facts.calendar(newest.version)
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


async def prepare(session: AsyncSession, draft: CalendarDraft) -> Prepared:
    """What ``draft`` would make of the newest version. Writes nothing.

    Raises: CalendarDraftInvalid, HolidayFileInvalid, HolidaysNotPublished.
    """
    newest = await queries.newest_calendar(session)
    base = None if newest is None else await queries.calendar_facts(session, newest)
    version = 0 if newest is None else newest.version
    facts = calendar_facts.draft_on(base, draft)
    return Prepared(version, base, facts, facts.digest(version))


async def publish_draft(
    session: AsyncSession,
    draft: CalendarDraft,
    *,
    draft_hash: str,
    base_version: int,
    actor: Actor,
    now: datetime,
) -> CalendarRow:
    """Publish exactly what was previewed, as the next version.

    Args:
        draft_hash, base_version: as the preview answered them.

    Raises:
        CalendarChanged: another version was published since; ``version`` is the present one.
        CalendarDraftChanged: the draft is not the one that was previewed.
        CalendarUnchanged: it says what is known already.
        CalendarDraftInvalid, HolidayFileInvalid, HolidaysNotPublished.
    """
    await lock_calendars(session)
    newest = await queries.newest_calendar(session)
    version = 0 if newest is None else newest.version
    if version != base_version:
        raise CalendarChanged(version=version)
    prepared = await prepare(session, draft)
    if prepared.draft_hash != draft_hash:
        raise CalendarDraftChanged
    if not prepared.changed:
        raise CalendarUnchanged
    return await publish_calendar(
        session, prepared.facts, actor=actor, draft_hash=draft_hash, now=now
    )


async def publish_notices(
    session: AsyncSession, notices: Sequence[Notice], *, now: datetime
) -> CalendarRow:
    """Publish the first version: these years without a gap, and the ordinary office week."""
    years = [notice.year for notice in notices]
    facts = CalendarFacts(
        coverage_from=date(min(years), 1, 1),
        coverage_to=date(max(years), 12, 31),
        weekly=OFFICE_WEEK,
        notices=tuple(notices),
        sources=tuple(dict.fromkeys(source for notice in notices for source in notice.sources)),
    )
    return await publish_calendar(session, facts, now=now)


async def publish_calendar(
    session: AsyncSession,
    facts: CalendarFacts,
    *,
    actor: Actor = SYSTEM,
    draft_hash: str | None = None,
    now: datetime,
) -> CalendarRow:
    """Write a whole new version, into the audit too, and announce it. It never changes again.

    The caller holds ``lock_calendars``. Open requests follow by themselves: ``sla.recalculation``.
    """
    newest = await queries.newest_calendar(session)
    row = CalendarRow(
        version=1 if newest is None else newest.version + 1,
        published_at=now,
        coverage_from=facts.coverage_from,
        coverage_to=facts.coverage_to,
        frames=[frames_json(frames) for frames in facts.weekly],
        sources=list(facts.sources),
        published_by=None if actor.role is Role.SYSTEM else actor.id,
        draft_hash=draft_hash,
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
                "frames": frames_json(day.frames) or None,
            }
            for notice in facts.notices
            for day in notice.days
        ],
    )
    await audit.append(
        session,
        chain_of("calendar"),
        actor=actor,
        action="publish_calendar",
        facts={
            "calendar_version": row.version,
            "coverage_from": facts.coverage_from.isoformat(),
            "coverage_to": facts.coverage_to.isoformat(),
            "digest": facts.digest(row.version - 1),
        },
        now=now,
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
