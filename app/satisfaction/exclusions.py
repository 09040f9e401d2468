"""剔除申请: a unit asks, a second person decides, a third may undo it; the figures follow.

What is in force is written into the request's own row (``requests.exclusion``), by which it is
counted, and told to the request's audit, by which sums made before know that it was touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import exclusions as rules
from app.domain.errors import Conflict, Forbidden, NotFound, Stale
from app.domain.exclusions import ExclusionGround, ExclusionState
from app.domain.identity import Actor
from app.domain.measures import Measure
from app.requests import queries as requests
from app.requests.exclusion import leave_out
from app.requests.models import CitizenRequest
from app.satisfaction.models import Exclusion
from app.satisfaction.queries import read_id_cursor, write_cursor
from app.store.base import new_id
from app.store.session import Database, Statement


class NotTheHostUnit(Forbidden):
    """只有主办单位的负责人可以申请剔除。"""

    code = "not_the_host_unit"


class NothingToExclude(Conflict):
    """该诉求本轮尚未答复或办结，没有可剔除的指标。"""

    code = "nothing_to_exclude"


class ExclusionPending(Conflict):
    """该诉求已有待审批的剔除申请。"""

    code = "exclusion_pending"


class AlreadyExcluded(Conflict):
    """该诉求的这些指标已经剔除。"""

    code = "already_excluded"


class ExclusionNotFound(NotFound):
    """没有找到该剔除申请，或您无权查看。"""

    code = "exclusion_not_found"


class ExclusionStale(Stale):
    """该剔除申请刚刚被更新过，请刷新后再操作。"""

    code = "stale_version"


# --- asking and deciding -------------------------------------------------------------------------


_IN_FORCE = select(Exclusion.cycle_no, Exclusion.measures).where(
    Exclusion.request_id == bindparam("id"), Exclusion.state == ExclusionState.APPROVED
)


@dataclass(frozen=True, slots=True)
class Asked:
    request_id: UUID
    measures: frozenset[Measure]
    ground: ExclusionGround
    evidence: str


async def ask(session: AsyncSession, asked: Asked, *, actor: Actor, now: datetime) -> Exclusion:
    """Ask that the present cycle of a request does not count.

    Raises:
        RequestNotFound: it does not exist for this actor.
        NotTheHostUnit, NothingToExclude, ExclusionPending, AlreadyExcluded.
        MeasureNotExcludable, EvidenceNamesSomebody.
    """
    rules.check_asked(asked.measures, asked.evidence)
    request = await _lock_request(session, asked.request_id, actor)
    if actor.unit_code is None or request.unit_code != actor.unit_code:
        raise NotTheHostUnit
    if request.replied_at is None and request.ended_at is None:
        raise NothingToExclude
    before = await session.scalars(
        select(Exclusion).where(
            Exclusion.request_id == request.id, Exclusion.cycle_no == request.cycle_no
        )
    )
    in_force: set[str] = set()
    for earlier in before:
        if earlier.state is ExclusionState.ASKED:
            raise ExclusionPending
        if earlier.state is ExclusionState.APPROVED:
            in_force |= set(earlier.measures)
    if asked.measures <= in_force:
        raise AlreadyExcluded
    exclusion = Exclusion(
        id=new_id(),
        version=1,
        request_id=request.id,
        cycle_no=request.cycle_no,
        unit_code=request.unit_code,
        measures=sorted(asked.measures),
        state=ExclusionState.ASKED,
        ground=asked.ground,
        evidence=asked.evidence,
        asked_by=actor.id,
        asked_at=now,
        decided_by=None,
        decided_at=None,
        decision_note=None,
        revoked_by=None,
        revoked_at=None,
        revocation_note=None,
    )
    session.add(exclusion)
    await session.flush()
    await _tell(session, exclusion, rules.ASK, actor, now)
    return exclusion


async def decide(
    session: AsyncSession,
    exclusion_id: UUID,
    *,
    approve: bool,
    note: str,
    version: int,
    actor: Actor,
    now: datetime,
) -> Exclusion:
    """Decide what somebody else asked.

    Raises: ExclusionNotFound, OwnExclusion, ExclusionDecided, ExclusionStale,
        EvidenceNamesSomebody.
    """
    rules.check_words(note)
    exclusion = await _lock(session, exclusion_id, actor)
    rules.check_decider(
        exclusion.state, actor, asked_by=exclusion.asked_by, unit_code=exclusion.unit_code
    )
    _check_version(exclusion, version)
    exclusion.state = ExclusionState.APPROVED if approve else ExclusionState.DENIED
    exclusion.decided_by, exclusion.decision_note = actor.id, note
    return await _decided(session, exclusion, rules.DECIDE, actor, now)


async def revoke(
    session: AsyncSession,
    exclusion_id: UUID,
    *,
    note: str,
    version: int,
    actor: Actor,
    now: datetime,
) -> Exclusion:
    """Undo what was approved: the request counts again. By a third person, with a reason.

    Raises: ExclusionNotFound, OwnRevocation, ExclusionNotInForce, ExclusionStale,
        EvidenceNamesSomebody.
    """
    rules.check_words(note)
    exclusion = await _lock(session, exclusion_id, actor)
    rules.check_revoker(
        exclusion.state,
        actor,
        asked_by=exclusion.asked_by,
        decided_by=exclusion.decided_by,
        unit_code=exclusion.unit_code,
    )
    _check_version(exclusion, version)
    exclusion.state = ExclusionState.REVOKED
    exclusion.revoked_by, exclusion.revoked_at = actor.id, now
    exclusion.revocation_note = note
    return await _settled(session, exclusion, rules.REVOKE, actor, now)


async def withdraw(
    session: AsyncSession, exclusion_id: UUID, *, version: int, actor: Actor, now: datetime
) -> Exclusion:
    """Take back what one has asked, before it is decided.

    Raises: ExclusionNotFound, NotTheAsker, ExclusionDecided, ExclusionStale.
    """
    exclusion = await _lock(session, exclusion_id, actor)
    rules.check_withdrawal(exclusion.state, actor, asked_by=exclusion.asked_by)
    _check_version(exclusion, version)
    exclusion.state = ExclusionState.WITHDRAWN
    return await _decided(session, exclusion, rules.WITHDRAW, actor, now)


async def _decided(
    session: AsyncSession, exclusion: Exclusion, action: str, actor: Actor, now: datetime
) -> Exclusion:
    exclusion.decided_at = now
    return await _settled(session, exclusion, action, actor, now)


async def _settled(
    session: AsyncSession, exclusion: Exclusion, action: str, actor: Actor, now: datetime
) -> Exclusion:
    """Keep it, tell the request's row what it counts in from now on, and its audit why."""
    exclusion.version += 1
    await session.flush()
    in_force: dict[int, set[str]] = {}
    for cycle_no, measures in await session.execute(_IN_FORCE, {"id": exclusion.request_id}):
        in_force.setdefault(cycle_no, set()).update(measures)
    await leave_out(
        session, exclusion.request_id, {cycle: sorted(it) for cycle, it in in_force.items()}
    )
    await _tell(session, exclusion, action, actor, now)
    return exclusion


def _check_version(exclusion: Exclusion, version: int) -> None:
    if exclusion.version != version:
        raise ExclusionStale(version=exclusion.version)


async def _tell(
    session: AsyncSession, exclusion: Exclusion, action: str, actor: Actor, now: datetime
) -> None:
    """In the chain of the request: whoever reads what became of it reads this too."""
    await audit.append(
        session,
        exclusion.request_id,
        actor=actor,
        action=action,
        facts={
            "exclusion": str(exclusion.id),
            "cycle": exclusion.cycle_no,
            "measures": list(exclusion.measures),
            "ground": exclusion.ground,
            "state": exclusion.state,
            "unit": exclusion.unit_code,
        },
        now=now,
    )


async def _lock_request(session: AsyncSession, request_id: UUID, actor: Actor) -> CitizenRequest:
    scope = requests.visible_to(actor)
    request = await session.scalar(
        select(CitizenRequest)
        .where(CitizenRequest.id == request_id, text(scope.where))
        .with_for_update(),
        dict(scope.values),
    )
    if request is None:
        raise requests.RequestNotFound
    return request


async def _lock(session: AsyncSession, exclusion_id: UUID, actor: Actor) -> Exclusion:
    """The exclusion, locked with the request in whose chain it is told."""
    exclusion = await session.scalar(
        select(Exclusion).where(Exclusion.id == exclusion_id).with_for_update()
    )
    if exclusion is None or actor.unit_code not in (None, exclusion.unit_code):
        raise ExclusionNotFound
    await session.execute(
        select(CitizenRequest.id).where(CitizenRequest.id == exclusion.request_id).with_for_update()
    )
    return exclusion


async def number_of(session: AsyncSession, exclusion: Exclusion) -> str:
    """The number of its request."""
    request = await session.get_one(CitizenRequest, exclusion.request_id)
    return request.number


# --- reading -------------------------------------------------------------------------------------


@lru_cache
def _statement(where: str) -> Statement:
    return Statement(f"""
SELECT exclusion.*, requests.number FROM measure_exclusions AS exclusion
JOIN requests ON requests.id = exclusion.request_id
WHERE {where} ORDER BY exclusion.asked_at DESC, exclusion.id DESC LIMIT :limit
""")  # noqa: S608 - put together from the conditions below


def _scope(actor: Actor) -> tuple[list[str], dict[str, Any]]:
    """Units read their own, the others all."""
    if actor.unit_code is None:
        return ["true"], {}
    return ["exclusion.unit_code = :scope_unit"], {"scope_unit": actor.unit_code}


async def get(db: Database, exclusion_id: UUID, *, actor: Actor) -> asyncpg.Record:
    """Raises: ExclusionNotFound."""
    conditions, values = _scope(actor)
    statement = _statement(" AND ".join([*conditions, "exclusion.id = :id"]))
    row = await db.one_statement(statement, id=exclusion_id, limit=1, **values)
    if row is None:
        raise ExclusionNotFound
    return row


async def page(
    db: Database,
    *,
    actor: Actor,
    state: ExclusionState | None = None,
    unit_code: str | None = None,
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[asyncpg.Record], str | None]:
    """Return up to ``limit`` exclusions, newest first. Raises: CursorInvalid."""
    conditions, values = _scope(actor)
    if state is not None:
        conditions.append("exclusion.state = :state")
        values["state"] = state
    if unit_code is not None:
        conditions.append("exclusion.unit_code = :unit_code")
        values["unit_code"] = unit_code
    after_at, after_id = read_id_cursor(cursor)
    if after_at is not None:
        conditions.append("(exclusion.asked_at, exclusion.id) < (:after_at, :after_id)")
        values |= {"after_at": after_at, "after_id": after_id}
    rows = await db.rows(_statement(" AND ".join(conditions)), limit=limit + 1, **values)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write_cursor(last["asked_at"], last["id"].hex)
