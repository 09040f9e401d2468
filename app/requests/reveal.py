"""Opening who asked: name, phone and address in clear, for a reason, and told for ever.

Everybody else sees masks (``views``). Opened is only what the work needs: by the unit that answers,
the grid it happened in and the desk, as long as there is something to do, and by who calls back
(回访) from the sample. Where the resident asked for confidentiality (保密), those are the ones it
is kept from: then only a supervisor opens it.
Who looks, when and why stands in the request's audit; nobody looks more often than
``limits.reveals_per_day`` a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import queries as audit_queries
from app.audit import service as audit
from app.domain.audit_chain import Entry
from app.domain.errors import Conflict, Forbidden
from app.domain.identity import Actor, Role
from app.domain.states import OPEN, State
from app.people import looks
from app.requests import queries, views
from app.requests.models import CitizenRequest
from app.store.crypto import FieldCipher
from app.store.session import Database

_Locked = Row[State, int, bool, str | None, bytes | None, bool, datetime | None]
AUDIT_READ = "audit_read"
ACTION_TEXT: dict[str, str] = {looks.REVEAL: "查看诉求人", AUDIT_READ: "查看审计"}

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


@dataclass(frozen=True, slots=True)
class Person:
    """Who asked, in clear. Never kept, never logged."""

    name: str | None
    phone: str | None
    address: str | None


def check(
    actor: Actor,
    *,
    state: State,
    confidential: bool,
    unit_code: str | None,
    to_call: bool = False,
) -> None:
    """May ``actor``, for whom the request exists, see who asked?

    Args:
        to_call: it is in the call-back sample (回访), and nobody called yet.

    Raises:
        RevealForbidden: not this role, or not the unit that answers.
        RevealConfidential: the resident asked that it be kept from this role.
        RevealClosed: there is nothing left to do.
    """
    if confidential and actor.role in _OPENERS:
        raise RevealConfidential
    may_call = to_call and actor.role in queries.CALLERS
    openers = _OPENERS_OF_CONFIDENTIAL if confidential else _OPENERS
    if actor.role not in openers and not may_call:
        raise RevealForbidden
    if actor.role in _UNIT and actor.unit_code != unit_code:
        raise RevealForbidden
    if state not in OPEN and not (may_call and state is State.CLOSED):
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
        looks.ReasonPersonal: the reason itself tells who asked.
        looks.RevealBudgetSpent: with ``retry_after_s`` until midnight.
    """
    request = await _locked(session, request_id, actor)
    check(
        actor,
        state=request.state,
        confidential=request.confidential,
        unit_code=request.unit_code,
        to_call=request.sampled and request.called_back_at is None,
    )
    personal = views.unseal(cipher, request.personal, request_id)
    await looks.look(
        session,
        request_id,
        reason=reason,
        personal=personal.values(),
        facts={"confidential": request.confidential, "request_version": request.version},
        actor=actor,
        per_day=per_day,
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
            CitizenRequest.sampled,
            CitizenRequest.called_back_at,
        )
        .where(CitizenRequest.id == request_id, text(scope.where))
        .with_for_update(key_share=True),
        dict(scope.values),
    )
    row = found.one_or_none()
    if row is None:
        raise queries.RequestNotFound
    return row
