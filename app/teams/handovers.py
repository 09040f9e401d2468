"""Handing over the open work of a place when its leader changes.

The requests themselves do not move: they belong to the place, and whoever's account has its code
sees them. What is written down is which were open at that moment, and that the successor took note.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict, Forbidden, NotFound, Stale
from app.domain.events import LeaderHandedOver
from app.domain.identity import Actor, Role
from app.grids.queries import GridNode
from app.outbox import service as outbox
from app.teams import queries
from app.teams.models import HandoverRow, MemberRow


class HandoverNotFound(NotFound):
    """没有找到该移交记录，或您无权查看。"""

    code = "handover_not_found"


class HandoverNotYours(Forbidden):
    """移交应由接任人本人确认；接任人没有工作账号的，由管理员代为确认。"""

    code = "handover_not_yours"


class HandoverDone(Conflict):
    """该移交已确认，或已被新的移交取代。"""

    code = "handover_done"


async def last_leader(session: AsyncSession, grid_code: str, *, before: date) -> MemberRow | None:
    """Who led the place last before a day, and has left."""
    return (
        await session.scalars(
            select(MemberRow)
            .where(
                MemberRow.grid_code == grid_code,
                MemberRow.leads,
                MemberRow.until <= before,
                MemberRow.until > MemberRow.since,
            )
            .order_by(MemberRow.until.desc(), MemberRow.id.desc())
            .limit(1)
        )
    ).one_or_none()


async def hand_over(
    session: AsyncSession,
    place: GridNode,
    former: MemberRow,
    successor: MemberRow,
    *,
    actor: Actor,
    now: datetime,
) -> HandoverRow:
    """Write down what is open now, and tell the successor. The caller holds the team's row.

    A hand-over that nobody acknowledged is superseded: its successor has gone as well.
    """
    await session.execute(
        update(HandoverRow)
        .where(
            HandoverRow.grid_code == place.code,
            HandoverRow.acknowledged_at.is_(None),
            HandoverRow.superseded_at.is_(None),
        )
        .values(superseded_at=now, version=HandoverRow.version + 1)
    )
    found = await queries.open_requests(session, place.code)
    row = HandoverRow(
        grid_code=place.code,
        version=1,
        from_member_id=former.id,
        to_member_id=successor.id,
        request_ids=[request_id for request_id, _ in found],
        states=dict(Counter(state for _, state in found)),
        created_at=now,
        created_by=actor.id,
    )
    session.add(row)
    await session.flush()
    await _tell(session, row, "hand_over", actor, now, open_requests=len(found))
    if successor.staff_id is not None:
        happened = LeaderHandedOver(
            at=now.isoformat(),
            handover_id=str(row.id),
            grid_code=place.code,
            place=place.name_path,
            title=successor.title,
            successor_id=str(successor.staff_id),
            open_requests=len(found),
        )
        await outbox.record(session, happened, now=now)
    return row


async def acknowledge(
    session: AsyncSession, handover_id: UUID, *, version: int, actor: Actor, now: datetime
) -> HandoverRow:
    """The successor has taken note. For a successor without an account an administrator says so.

    Raises: HandoverNotFound, HandoverNotYours, HandoverDone, Stale.
    """
    row, successor = await get(session, handover_id, actor=actor, lock=True)
    if successor != actor.id and not (successor is None and actor.role is Role.ADMIN):
        raise HandoverNotYours
    if row.acknowledged_at is not None or row.superseded_at is not None:
        raise HandoverDone
    if row.version != version:
        raise Stale
    row.acknowledged_at, row.acknowledged_by, row.version = now, actor.id, version + 1
    await session.flush()
    await _tell(session, row, "acknowledge_handover", actor, now)
    return row


async def _tell(
    session: AsyncSession,
    row: HandoverRow,
    action: str,
    actor: Actor,
    now: datetime,
    **facts: object,
) -> None:
    said = {
        "grid_code": row.grid_code,
        "handover_id": str(row.id),
        "from_member_id": str(row.from_member_id),
        "to_member_id": str(row.to_member_id),
        **facts,
    }
    chain = chain_of(f"team:{row.grid_code}")
    await audit.append(session, chain, actor=actor, action=action, facts=said, now=now)


# --- reading -------------------------------------------------------------------------------------

_WITH_SUCCESSOR = select(HandoverRow, MemberRow.staff_id).join(
    MemberRow, MemberRow.id == HandoverRow.to_member_id
)


def _visible_to(actor: Actor) -> ColumnElement[bool]:
    """One's own, and those of the places one works for."""
    root = queries.root_of(actor)
    inside = (HandoverRow.grid_code >= root) & (HandoverRow.grid_code < root + ":")
    return or_(MemberRow.staff_id == actor.id, inside)


async def get(
    session: AsyncSession, handover_id: UUID, *, actor: Actor, lock: bool = False
) -> tuple[HandoverRow, UUID | None]:
    """A hand-over and the account of the successor. Raises: HandoverNotFound."""
    wanted = _WITH_SUCCESSOR.where(HandoverRow.id == handover_id, _visible_to(actor))
    if lock:
        wanted = wanted.with_for_update(of=HandoverRow)
    found = (await session.execute(wanted)).one_or_none()
    if found is None:
        raise HandoverNotFound
    return found[0], found[1]


async def page(
    session: AsyncSession,
    *,
    actor: Actor,
    grid_code: str | None,
    pending: bool,
    before: UUID | None,
    limit: int,
) -> Sequence[tuple[HandoverRow, UUID | None]]:
    """Up to ``limit`` + 1 hand-overs, the newest first. Ids sort by time."""
    wanted = _WITH_SUCCESSOR.where(_visible_to(actor))
    if grid_code is not None:
        wanted = wanted.where(HandoverRow.grid_code == grid_code)
    if pending:
        wanted = wanted.where(
            HandoverRow.acknowledged_at.is_(None), HandoverRow.superseded_at.is_(None)
        )
    if before is not None:
        wanted = wanted.where(HandoverRow.id < before)
    rows = await session.execute(wanted.order_by(HandoverRow.id.desc()).limit(limit + 1))
    return [(row, staff_id) for row, staff_id in rows]
