"""/satisfaction/exclusions over HTTP: asked, decided, revoked, by three people. No rules here."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import asyncpg
import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.exclusions import ASK, DECIDE, REVOKE, WITHDRAW
from app.domain.identity import Actor, Permission
from app.people.deps import permit
from app.reference.deps import ReferenceData
from app.satisfaction import exclusions, schemas, views
from app.satisfaction.exclusions import Asked as AskedExclusion
from app.satisfaction.models import Exclusion
from app.web import idempotency
from app.web.asked import Asked
from app.web.deps import Db, Now, Session
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.strict_json import StrictRoute
from app.web.wire import Id

router = APIRouter(
    prefix="/api/v1/satisfaction/exclusions", tags=["satisfaction"], route_class=StrictRoute
)

Asker = Annotated[Actor, Depends(permit(Permission.EXCLUSION_ASK))]
Decider = Annotated[Actor, Depends(permit(Permission.EXCLUSION_DECIDE))]
Reader = Annotated[Actor, Depends(permit(Permission.EXCLUSION_READ))]


@router.post("", response_model=schemas.ExclusionOut, status_code=201)
async def ask_exclusion(
    body: schemas.ExclusionIn,
    http: HttpRequest,
    session: Session,
    actor: Asker,
    reference: ReferenceData,
    key: IdempotencyKey,
    now: Now,
) -> Response:
    """剔除申请: ask that a request, in its present cycle, does not count in some measures."""

    async def ask() -> Exclusion:
        asked = AskedExclusion(
            body.request_id, frozenset(body.measures), body.ground, body.evidence
        )
        return await exclusions.ask(session, asked, actor=actor, now=now)

    answer = _answer(session, reference, ask)
    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=ASK,
        key=key,
        now=now,
        act=answer,
        status=201,
    )


@router.post("/{exclusion_id}/decide", response_model=schemas.ExclusionOut)
async def decide_exclusion(
    exclusion_id: Id,
    body: schemas.ExclusionDecisionIn,
    http: HttpRequest,
    session: Session,
    actor: Decider,
    reference: ReferenceData,
    key: IdempotencyKey,
    version: IfMatch,
    now: Now,
) -> Response:
    """审批剔除申请, by a second person, who is not of the unit."""

    async def decide() -> Exclusion:
        return await exclusions.decide(
            session,
            exclusion_id,
            approve=body.decision == "approve",
            note=body.note,
            version=version,
            actor=actor,
            now=now,
        )

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=DECIDE,
        key=key,
        now=now,
        act=_answer(session, reference, decide),
    )


@router.post("/{exclusion_id}/revoke", response_model=schemas.ExclusionOut)
async def revoke_exclusion(
    exclusion_id: Id,
    body: schemas.ExclusionRevocationIn,
    http: HttpRequest,
    session: Session,
    actor: Decider,
    reference: ReferenceData,
    key: IdempotencyKey,
    version: IfMatch,
    now: Now,
) -> Response:
    """撤销已同意的剔除, by a third person: the request counts again."""

    async def revoke() -> Exclusion:
        return await exclusions.revoke(
            session, exclusion_id, note=body.note, version=version, actor=actor, now=now
        )

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=REVOKE,
        key=key,
        now=now,
        act=_answer(session, reference, revoke),
    )


@router.post("/{exclusion_id}/withdraw", response_model=schemas.ExclusionOut)
async def withdraw_exclusion(
    exclusion_id: Id,
    http: HttpRequest,
    session: Session,
    actor: Asker,
    reference: ReferenceData,
    key: IdempotencyKey,
    version: IfMatch,
    now: Now,
) -> Response:
    """撤回剔除申请, by whoever asked, before it is decided."""

    async def withdraw() -> Exclusion:
        return await exclusions.withdraw(
            session, exclusion_id, version=version, actor=actor, now=now
        )

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=WITHDRAW,
        key=key,
        now=now,
        act=_answer(session, reference, withdraw),
    )


def _answer(
    session: Session, reference: ReferenceData, act: Callable[[], Awaitable[Exclusion]]
) -> Callable[[], Awaitable[schemas.ExclusionOut]]:
    async def answer() -> schemas.ExclusionOut:
        row = await act()
        number = await exclusions.number_of(session, row)
        return views.exclusion(views.columns(row, number), reference)

    return answer


@router.get("", response_model=schemas.ExclusionsOut)
async def list_exclusions(
    actor: Reader,
    db: Db,
    reference: ReferenceData,
    asked: Annotated[schemas.ExclusionsIn, Depends(Asked(schemas.ExclusionsIn))],
) -> schemas.ExclusionsOut:
    """剔除申请, newest first: of units their own, else all."""
    rows, next_cursor = await exclusions.page(
        db,
        actor=actor,
        state=asked.state,
        unit_code=asked.unit,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return schemas.ExclusionsOut(
        items=tuple(views.exclusion(_read(row), reference) for row in rows),
        next_cursor=next_cursor,
    )


@router.get("/{exclusion_id}", response_model=schemas.ExclusionOut)
async def get_exclusion(
    exclusion_id: Id, actor: Reader, db: Db, reference: ReferenceData
) -> Response:
    """One of them, with its version as ETag."""
    row = await exclusions.get(db, exclusion_id, actor=actor)
    answer = views.exclusion(_read(row), reference)
    return Response(
        answer.to_bytes(),
        headers={"ETag": f'"{answer.version}"'},
        media_type="application/json",
    )


def _read(row: asyncpg.Record) -> dict[str, object]:
    return dict(row) | {"measures": orjson.loads(row["measures"])}
