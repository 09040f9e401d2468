"""After a calendar was published: every open promise is counted anew, once, and listed before.

A publication asks for one walk over the requests, in the order of their ids. A turn of the walk
counts one batch and says in the same transaction how far it came, so it goes on where it stood
after any crash. Ten minutes later a second walk catches what a process wrote that had not heard of
the new version yet.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.working_time import WorkingCalendar
from app.reference.queries import Reference
from app.requests import standings
from app.requests.city import City
from app.requests.recalculation import bring_up_to_date
from app.requests.standings import FIRST, ClockMove, Plan
from app.sla.models import CalendarRecalculation

SECOND_WALK_AFTER = timedelta(minutes=10)
MOST_LISTED = 500
_WINDOW = 20_000  # requests looked at in one turn, open or not
_AT_ONCE = 250  # others use this process too
_log = structlog.get_logger(__name__)


async def recalculate(session: AsyncSession, city: City, *, now: datetime, batch: int) -> bool:
    """Take one turn of the walk that the present calendar asks for; return whether there was one.

    Of many workers one walks, the others find nothing to do.
    """
    version = city.reference.calendar_version
    walk = await _claim(session, version, now=now)
    if walk is None:
        return False
    ids, after = await standings.stale_ids(
        session, after=walk.after, version=version, window=_WINDOW, limit=batch
    )
    plans = await bring_up_to_date(session, city, ids, now=now) if ids else ()
    walk.counted += len(plans)
    walk.moved += sum(bool(plan.moves) for plan in plans)
    walk.left_out = walk.left_out or len(plans) < len(ids)
    if after is not None:
        walk.after = after
    else:
        _end_walk(walk, published_at=city.reference.calendar_published_at or now, now=now)
    await session.flush()
    return True


async def _claim(
    session: AsyncSession, version: int, *, now: datetime
) -> CalendarRecalculation | None:
    """The walk to go on with, locked; None if there is none, or somebody else walks."""
    if version == 0:
        return None
    walk = await session.get(CalendarRecalculation, version)
    if walk is None:
        await session.execute(
            insert(CalendarRecalculation)
            .values(version=version, after=FIRST, walk_began_at=now, next_walk_at=now)
            .on_conflict_do_nothing()
        )
    elif walk.finished_at is not None or walk.next_walk_at > now:
        return None
    claimed: CalendarRecalculation | None = await session.scalar(
        select(CalendarRecalculation)
        .where(
            CalendarRecalculation.version == version,
            CalendarRecalculation.finished_at.is_(None),
            CalendarRecalculation.next_walk_at <= now,
        )
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if claimed is not None and claimed.after == FIRST:
        claimed.walk_began_at = now
    return claimed


def _end_walk(walk: CalendarRecalculation, *, published_at: datetime, now: datetime) -> None:
    second = published_at + SECOND_WALK_AFTER
    walk.after = FIRST
    if walk.left_out:
        walk.left_out = False  # somebody worked on them; once more, at once
    elif walk.walk_began_at >= second:
        walk.finished_at = now
        _log.info(
            "calendar_recalculated",
            version=walk.version,
            counted=walk.counted,
            moved=walk.moved,
        )
    else:
        walk.next_walk_at = second


# --- before it is published ----------------------------------------------------------------------


@dataclass(slots=True)
class Consequences:
    """What a calendar would do to the open requests.

    Attributes:
        moves: the first 500, in the order of the requests.
        total, later, earlier: how many due times would move, and where to.
        confirmed: requests whose provisional promise would become a firm one.
    """

    moves: list[ClockMove] = field(default_factory=list)
    total: int = 0
    later: int = 0
    earlier: int = 0
    confirmed: int = 0


async def consequences(
    session: AsyncSession, reference: Reference, calendar: WorkingCalendar
) -> Consequences:
    """Count every open request by ``calendar``, which is not published. Writes nothing."""
    found = Consequences()
    old: dict[int, WorkingCalendar] = {}
    after: UUID | None = FIRST
    while after is not None:
        ids, after = await standings.stale_ids(
            session, after=after, version=calendar.version, window=_WINDOW, limit=_AT_ONCE
        )
        read = await standings.read(session, reference, ids)
        versions = {it.request.calendar_version for it in read}
        old |= await standings.calendars(session, versions - old.keys())
        for it in read:
            by = old[it.request.calendar_version]
            _count(standings.plan(it, old=by, new=calendar, rungs=False), found)
    return found


def _count(plan: Plan, found: Consequences) -> None:
    shown = [move for move in plan.moves if move.shown]
    found.confirmed += plan.confirmed
    found.total += len(shown)
    found.later += sum(move.due_after > move.due_before for move in shown)
    found.earlier += sum(move.due_after < move.due_before for move in shown)
    found.moves += shown[: MOST_LISTED - len(found.moves)]
