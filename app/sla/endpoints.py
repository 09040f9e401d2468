"""Publishing a calendar: first see what it would move, then publish exactly that."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.identity import Actor, Permission
from app.people.deps import permit
from app.reference import service as reference_service
from app.reference.deps import ReferenceData
from app.sla import recalculation, views
from app.sla.schemas import PreviewIn, PreviewOut, PublishedOut, PublishIn
from app.web import idempotency
from app.web.deps import Now, Session
from app.web.idempotency import IdempotencyKey
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1/calendars", tags=["reference"], route_class=StrictRoute)

Publisher = Annotated[Actor, Depends(permit(Permission.CALENDAR_PUBLISH))]


@router.post("/preview", response_model=PreviewOut)
async def preview_calendar(
    body: PreviewIn, session: Session, reference: ReferenceData, _: Publisher
) -> PreviewOut:
    """What a draft would publish, and which open requests' due times it would move.

    Nothing is stored.
    """
    prepared = await reference_service.prepare(session, body.draft.draft())
    calendar = prepared.facts.calendar(prepared.version)
    found = await recalculation.consequences(session, reference, calendar)
    return views.preview(prepared, found)


@router.post("", response_model=PublishedOut, status_code=201)
async def publish_calendar(
    body: PublishIn,
    http: HttpRequest,
    session: Session,
    actor: Publisher,
    key: IdempotencyKey,
    now: Now,
) -> Response:
    """Publish what was previewed, as a new version. Open requests follow within seconds."""

    async def act() -> PublishedOut:
        row = await reference_service.publish_draft(
            session,
            body.draft.draft(),
            draft_hash=body.draft_hash,
            base_version=body.base_version,
            actor=actor,
            now=now,
        )
        return views.published(row)

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation="publish_calendar",
        key=key,
        now=now,
        act=act,
        status=201,
    )
