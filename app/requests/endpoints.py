"""/requests and /workflow over HTTP. No rules here."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, status
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import TooMany
from app.domain.identity import Actor, Permission, Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import ACTION_TEXT, Action
from app.people.deps import permit
from app.people.queries import home_grid_of
from app.requests import dossier, queries, reading, rulebook, service, submission, views
from app.requests.deps import Acting, Rating, Reading, Submitting
from app.requests.forms import ContactLogIn, Form, ListIn, RatingIn, SubmitIn
from app.requests.schemas import (
    RequestMovedOut,
    RequestOut,
    RequestPage,
    TimelineOut,
    WorkflowOut,
)
from app.requests.steps import STEPS
from app.store.base import new_id
from app.web import idempotency
from app.web.asked import Asked
from app.web.deps import Session
from app.web.direct import DirectRoute
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.period import span
from app.web.strict_json import StrictRoute
from app.web.wire import Id

router = APIRouter(prefix="/api/v1", tags=["requests"], route_class=StrictRoute)
hot = APIRouter(prefix="/api/v1", tags=["requests"], route_class=DirectRoute)


def _json(body: bytes, etag: str | None = None, status_code: int = 200) -> Response:
    headers = {"ETag": etag} if etag else None
    return Response(body, status_code, headers, "application/json")


@hot.post("/requests", status_code=status.HTTP_201_CREATED, response_model=RequestMovedOut)
async def submit_request(
    form: SubmitIn, http: HttpRequest, desk: Submitting, key: IdempotencyKey
) -> Response:
    """提交诉求。Answers with the number, the responsible unit and the two promised times."""
    actor, now = desk.actor, desk.now
    body_hash = await idempotency.fingerprint_of(http)
    home = None
    if actor.role is Role.RESIDENT and form.location is None and form.grid_code is None:
        home = await home_grid_of(desk.db, actor.id)
    draft = submission.draft(
        desk.city,
        form,
        actor=actor,
        home=home,
        request_id=new_id(),
        serial=await desk.serials.take(),
        now=now,
    )
    by_resident = actor.role is Role.RESIDENT
    body = await submission.write(
        desk.db,
        desk.city,
        draft,
        actor=actor,
        key=key,
        body_hash=body_hash,
        quota=desk.limits.requests_per_hour if by_resident else desk.limits.staff_requests_per_hour,
    )
    if body is not None:
        return _json(body, f'"{draft.row["version"]}"', status.HTTP_201_CREATED)
    again = await idempotency.replay(
        desk.db, actor_id=actor.id, operation=submission.OPERATION, key=key, body_hash=body_hash
    )
    if again is None:
        raise TooMany(
            "您提交得太频繁了，请稍后再提交。", retry_after_s=submission.quota_opens_in_s(now)
        )
    return again


@hot.get("/requests", response_model=RequestPage)
async def list_requests(
    desk: Reading, asked: Annotated[ListIn, Depends(Asked(ListIn, many=frozenset({"state"})))]
) -> Response:
    """诉求列表, newest first: one's own, one's unit's, one's grid's, or all, by role.

    ``co=true``: those with an open co-task (协办), of one's own unit for units. ``sampled=true``:
    those that wait to be called back (回访), for who may call.
    """
    submitted_from, submitted_to = span(asked.first, asked.last)
    filters = queries.Filters(
        states=tuple(asked.state),
        unit_code=asked.unit,
        grid_code=asked.grid,
        category_code=asked.category,
        overdue=asked.overdue,
        co=asked.co,
        sampled=asked.sampled,
        submitted_from=submitted_from,
        submitted_to=submitted_to,
    )
    rows, next_cursor = await queries.page(
        desk.db,
        filters,
        actor=desk.actor,
        limit=asked.limit,
        cursor=asked.cursor,
        now=desk.now,
    )
    items = [views.summary_view(row, desk.city, desk.actor, now=desk.now) for row in rows]
    return _json(orjson.dumps({"items": items, "next_cursor": next_cursor}))


@hot.get("/requests/{request_id}", response_model=RequestOut)
async def get_request(request_id: Id, desk: Reading) -> Response:
    """诉求详情, with what the caller may do next."""
    row = await reading.get(desk.db, request_id, actor=desk.actor)
    view = dossier.request_view(row, desk.city, desk.actor, now=desk.now)
    return _json(orjson.dumps(view), f'"{row["version"]}"')


@router.get("/requests/{request_id}/timeline", response_model=TimelineOut)
async def get_timeline(request_id: Id, desk: Reading) -> Response:
    """办理过程, oldest first."""
    events = await reading.timeline(desk.db, request_id, actor=desk.actor)
    items = [views.event_view(event, desk.city, desk.actor) for event in events]
    return _json(orjson.dumps({"items": items}))


@router.get("/workflow", response_model=WorkflowOut)
async def get_workflow(
    _actor: Annotated[Actor, Depends(permit(Permission.REFERENCE_READ))],
) -> Response:
    """流程表: every state and every action with its Chinese name, roles and guards."""
    return _json(orjson.dumps(rulebook.workflow_view()))


def _endpoint(
    action: Action, form_type: type[Form], desk_type: Any, status_code: int
) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def endpoint(
        request_id: Id,
        form: form_type,  # type: ignore[valid-type]
        http: HttpRequest,
        session: Session,
        desk: desk_type,
        key: IdempotencyKey,
        version: IfMatch,
    ) -> Response:
        actor, now = desk.actor, desk.now

        async def act() -> RequestMovedOut:
            request = await service.act(
                session, desk.city, request_id, action, form, actor=actor, version=version, now=now
            )
            row = service.columns(request)
            return RequestMovedOut.model_validate(views.moved_view(row, desk.city, actor, now=now))

        return await idempotency.once(
            http,
            session,
            actor_id=actor.id,
            operation=action,
            key=key,
            now=now,
            act=act,
            status=status_code,
        )

    endpoint.__doc__ = f"{ACTION_TEXT[action]}。"
    endpoint.__name__ = f"{action}_request"
    return endpoint


def _add(path: str, action: Action, form_type: type[Form], desk: Any, status_code: int) -> None:
    router.add_api_route(
        path,
        _endpoint(action, form_type, desk, status_code),
        methods=["POST"],
        status_code=status_code,
        response_model=RequestMovedOut,
    )


for _action, (_form_type, _) in STEPS.items():
    _takers = {role for step in TRANSITIONS if step.action is _action for role in step.by}
    if _takers != {Role.SYSTEM}:
        _who = Rating if _action is Action.RATE else Acting
        _add(f"/requests/{{request_id}}/actions/{_action}", _action, _form_type, _who, 200)
_add("/requests/{request_id}/contacts", Action.CONTACT, ContactLogIn, Acting, 201)
_add("/requests/{request_id}/rating", Action.RATE, RatingIn, Rating, 201)
