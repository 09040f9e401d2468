"""The two doors that leave a trace over HTTP: who asked, and the trace itself. No rules here."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from app.domain import exclusions
from app.domain.audit_chain import Entry
from app.domain.identity import ROLE_TEXT, Actor, Permission, Role
from app.domain.states import ACTION_TEXT
from app.people.deps import Cipher, permit
from app.requests import reveal, sampling
from app.web.deps import Config, Db, Now, Session
from app.web.strict_json import StrictRoute
from app.web.wire import Id, Instant, PageLimit, WireIn, WireOut, line

router = APIRouter(prefix="/api/v1/requests", tags=["requests"], route_class=StrictRoute)

Opener = Annotated[Actor, Depends(permit(Permission.PERSONAL_REVEAL))]
Examiner = Annotated[Actor, Depends(permit(Permission.AUDIT_READ))]

_ACTION_TEXT = (
    {str(action): text for action, text in ACTION_TEXT.items()}
    | reveal.ACTION_TEXT
    | sampling.ACTION_TEXT
    | exclusions.ACTION_TEXT
)


class RevealIn(WireIn):
    reason: Annotated[str, line(200)]


class PersonOut(WireOut):
    name: str | None
    phone: str | None
    address: str | None


class AuditEntryOut(WireOut):
    seq: int
    at: Instant
    actor_id: str | None
    actor_role: str
    actor_role_text: str
    action: str
    action_text: str
    facts: dict[str, Any]
    hash: str


class AuditOut(WireOut):
    items: list[AuditEntryOut]
    next_after: int | None


@router.post("/{request_id}/reveal", response_model=PersonOut)
async def reveal_person(
    request_id: Id,
    form: RevealIn,
    actor: Opener,
    session: Session,
    cipher: Cipher,
    config: Config,
    now: Now,
) -> Response:
    """查看诉求人, in clear, for a reason that is kept.

    Takes no ``Idempotency-Key``, because an answer kept for replay would lie readable beside the
    sealed original; and no ``If-Match``, because nothing of the request changes. Every call is a
    look of its own: it costs one of the day's and writes one line of the audit.
    """
    person = await reveal.reveal(
        session,
        cipher,
        request_id,
        reason=form.reason,
        actor=actor,
        per_day=config.limits.reveals_per_day,
        now=now,
    )
    answer = PersonOut(name=person.name, phone=person.phone, address=person.address)
    return Response(
        answer.to_bytes(), headers={"Cache-Control": "no-store"}, media_type="application/json"
    )


@router.get("/{request_id}/audit", response_model=AuditOut)
async def get_audit(
    request_id: Id,
    actor: Examiner,
    session: Session,
    db: Db,
    now: Now,
    after: Annotated[int, Query(ge=0, le=2_147_483_647)] = 0,
    limit: PageLimit = 100,
) -> AuditOut:
    """审计记录, oldest first: who did what and who looked. Reading it is recorded too."""
    entries, more = await reveal.trail(
        session, db, request_id, actor=actor, after=after, limit=limit, now=now
    )
    return AuditOut(items=[_entry(entry) for entry in entries], next_after=more)


def _entry(entry: Entry) -> AuditEntryOut:
    """Staff by id; of a resident only that it was one."""
    is_resident = entry.actor_role == Role.RESIDENT
    return AuditEntryOut(
        seq=entry.seq,
        at=entry.at,
        actor_id=None if is_resident else str(entry.actor_id),
        actor_role=entry.actor_role,
        actor_role_text=ROLE_TEXT[Role(entry.actor_role)],
        action=entry.action,
        action_text=_ACTION_TEXT.get(entry.action, entry.action),
        facts=entry.said(),
        hash=entry.hash.hex(),
    )
