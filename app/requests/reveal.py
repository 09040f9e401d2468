"""Opening who asked: name, phone and address in clear, for a reason, and told for ever.

Everybody else sees masks (``views``). Opened is only what the work needs: by the unit that answers,
the grid it happened in and the desk, as long as there is something to do. Where the resident asked
for confidentiality (保密), those are the ones it is kept from: then only a supervisor opens it.
Who looks, when and why stands in the request's audit; nobody looks more often than
``limits.reveals_per_day`` a day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import queries as audit_queries
from app.audit import service as audit
from app.domain import audit_chain, privacy
from app.domain.audit_chain import Entry
from app.domain.errors import Conflict, Forbidden, Invalid, TooMany
from app.domain.identity import Actor, Role
from app.domain.states import OPEN, State
from app.requests import queries, views
from app.requests.models import CitizenRequest
from app.store.crypto import FieldCipher
from app.store.session import Database
from app.web import limits

_Locked = Row[State, int, bool, str | None, bytes | None]
REVEAL, AUDIT_READ = "reveal", "audit_read"
ACTION_TEXT: dict[str, str] = {REVEAL: "查看诉求人", AUDIT_READ: "查看审计"}

_UNIT = frozenset({Role.HANDLER, Role.UNIT_LEADER})
_OPENERS = _UNIT | {Role.MICRO_GRID_LEADER, Role.GRID_LEADER, Role.DISPATCHER}
_OPENERS_OF_CONFIDENTIAL = frozenset({Role.SUPERVISOR})


class RevealForbidden(Forbidden):
    """您不能查看这件诉求的诉求人。"""

    code = "reveal_forbidden"


class RevealConfidential(Forbidden):
    """诉求人要求保密，只有督办员可以查看。"""

    code = "reveal_confidential"


class RevealClosed(Conflict):
    """诉求已经办结，不再显示诉求人的联系方式。"""

    code = "reveal_closed"


class RevealBudgetSpent(TooMany):
    """今天查看诉求人的次数已用完，请明天再查看。"""

    code = "reveal_budget_spent"


class ReasonPersonal(Invalid):
    """理由会长期保存，请不要写入姓名、电话、身份证号码或住址。"""

    code = "reason_personal"


@dataclass(frozen=True, slots=True)
class Person:
    """Who asked, in clear. Never kept, never logged."""

    name: str | None
    phone: str | None
    address: str | None


def check(actor: Actor, *, state: State, confidential: bool, unit_code: str | None) -> None:
    """May ``actor``, for whom the request exists, see who asked?

    Raises:
        RevealForbidden: not this role, or not the unit that answers.
        RevealConfidential: the resident asked that it be kept from this role.
        RevealClosed: there is nothing left to do.
    """
    if confidential and actor.role in _OPENERS:
        raise RevealConfidential
    if actor.role not in (_OPENERS_OF_CONFIDENTIAL if confidential else _OPENERS):
        raise RevealForbidden
    if actor.role in _UNIT and actor.unit_code != unit_code:
        raise RevealForbidden
    if state not in OPEN:
        raise RevealClosed


async def reveal(
    session: AsyncSession,
    cipher: FieldCipher,
    request_id: UUID,
    *,
    reason: str,
    actor: Actor,
    per_day: int,
    now: datetime,
) -> Person:
    """Return who asked, and write down who looked and why: both or neither.

    Args:
        per_day: how often one person may look in one local day.

    Raises:
        RequestNotFound: it does not exist for this actor.
        RevealForbidden, RevealConfidential, RevealClosed: see ``check``.
        ReasonPersonal: the reason itself tells who asked.
        RevealBudgetSpent: with ``retry_after_s`` until midnight.
    """
    request = await _locked(session, request_id, actor)
    check(
        actor,
        state=request.state,
        confidential=request.confidential,
        unit_code=request.unit_code,
    )
    personal = views.unseal(cipher, request.personal, request_id)
    if _tells(reason, personal):
        raise ReasonPersonal
    await _take(session, actor, per_day, now)
    await audit.append(
        session,
        request_id,
        actor=actor,
        action=REVEAL,
        facts={
            "reason": reason,
            "confidential": request.confidential,
            "request_version": request.version,
        },
        now=now,
    )
    return Person(personal.get("name"), personal.get("phone"), personal.get("address"))


async def trail(
    session: AsyncSession,
    db: Database,
    request_id: UUID,
    *,
    actor: Actor,
    after: int,
    limit: int,
    now: datetime,
) -> tuple[Sequence[Entry], int | None]:
    """Return up to ``limit`` entries of the request's audit with a number over ``after``, oldest
    first, and the number to go on after. That it was read becomes its next entry.

    Raises: RequestNotFound.
    """
    await _locked(session, request_id, actor)
    entries = await audit_queries.of_chain(db, request_id, after=after, limit=limit + 1)
    more = entries[limit - 1].seq if len(entries) > limit else None
    entries = entries[:limit]
    await audit.append(
        session,
        request_id,
        actor=actor,
        action=AUDIT_READ,
        facts={"after": after, "shown": len(entries)},
        now=now,
    )
    return entries, more


async def _locked(session: AsyncSession, request_id: UUID, actor: Actor) -> _Locked:
    """The request, held against other changes of it until the transaction ends."""
    scope = queries.visible_to(actor)
    found = await session.execute(
        select(
            CitizenRequest.state,
            CitizenRequest.version,
            CitizenRequest.confidential,
            CitizenRequest.unit_code,
            CitizenRequest.personal,
        )
        .where(CitizenRequest.id == request_id, text(scope.where))
        .with_for_update(key_share=True),
        dict(scope.values),
    )
    row = found.one_or_none()
    if row is None:
        raise queries.RequestNotFound
    return row


def _tells(reason: str, personal: Mapping[str, str | None]) -> bool:
    """Whether ``reason`` holds a number, or something of this very person."""
    if privacy.find_personal_data(reason):
        return True
    return any(said is not None and len(said) > 1 and said in reason for said in personal.values())


async def _take(session: AsyncSession, actor: Actor, per_day: int, now: datetime) -> None:
    today = audit_chain.local_day(now)
    try:
        await limits.take_with(
            session,
            f"reveal:{actor.id}",
            per_day,
            starts_at=audit_chain.day_begins(today),
            ends_at=audit_chain.day_begins(today + timedelta(days=1)),
            now=now,
        )
    except TooMany as full:
        raise RevealBudgetSpent(retry_after_s=full.retry_after_s) from None
