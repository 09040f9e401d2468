"""/requests and /workflow over HTTP. No rules here."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, status
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import TooMany
from app.domain.identity import Actor, Permission, Role
from app.domain.lifecycle import ACTION_TEXT, TRANSITIONS, Action, State
from app.people.deps import permit
from app.people.queries import home_grid_of
from app.requests import queries, service, submission, views
from app.requests.deps import CityNow, SerialNumbers
from app.requests.schemas import (
    ContactLogIn,
    Form,
    RatingIn,
    RequestMovedOut,
    RequestOut,
    RequestPage,
    SubmitIn,
    TimelineOut,
    WorkflowOut,
)
from app.requests.steps import STEPS
from app.store.base import new_id
from app.web import idempotency
from app.web.deps import Config, Db, Now, Session
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.period import Period
from app.web.strict_json import StrictRoute
from app.web.wire import Id, Line, PageLimit

router = APIRouter(prefix="/api/v1", tags=["requests"], route_class=StrictRoute)

Submitter = Annotated[Actor, Depends(permit(Permission.REQUEST_SUBMIT))]
Reader = Annotated[Actor, Depends(permit(Permission.REQUEST_READ))]
Doer = Annotated[Actor, Depends(permit(Permission.REQUEST_ACT))]
Rater = Annotated[Actor, Depends(permit(Permission.REQUEST_RATE))]
Visitor = Annotated[Actor, Depends(permit(Permission.REFERENCE_READ))]


def _json(body: bytes, etag: str | None = None, status_code: int = 200) -> Response:
    headers = {"ETag": etag} if etag else None
    return Response(body, status_code, headers, "application/json")


@router.post("/requests", status_code=status.HTTP_201_CREATED, response_model=RequestMovedOut)
async def submit_request(
    form: SubmitIn,
    http: HttpRequest,
    actor: Submitter,
    key: IdempotencyKey,
    city: CityNow,
    serials: SerialNumbers,
    db: Db,
    config: Config,
    now: Now,
) -> Response:
    """提交诉求。Answers with the number, the responsible unit and the two promised times."""
    body_hash = await idempotency.fingerprint_of(http)
    home = None
    if actor.role is Role.RESIDENT and form.location is None and form.grid_code is None:
        home = await home_grid_of(db, actor.id)
    draft = submission.draft(
        city,
        form,
        actor=actor,
        home=home,
        request_id=new_id(),
        serial=await serials.take(),
        now=now,
    )
    limits = config.limits
    body = await submission.write(
        db,
        city,
        draft,
        actor=actor,
        key=key,
        body_hash=body_hash,
        quota=limits.requests_per_hour
        if actor.role is Role.RESIDENT
        else limits.staff_requests_per_hour,
    )
    if body is not None:
        return _json(body, f'"{draft.row["version"]}"', status.HTTP_201_CREATED)
    again = await idempotency.replay(
        db, actor_id=actor.id, operation=submission.OPERATION, key=key, body_hash=body_hash
    )
    if again is None:
        raise TooMany(
            "您提交得太频繁了，请稍后再提交。", retry_after_s=submission.quota_opens_in_s(now)
        )
    return again


@router.get("/requests", response_model=RequestPage)
async def list_requests(
    actor: Reader,
    city: CityNow,
    db: Db,
    now: Now,
    submitted: Period,
    state: Annotated[list[State] | None, Query()] = None,
    unit: Line | None = None,
    grid: Line | None = None,
    category: Line | None = None,
    overdue: bool | None = None,
    limit: PageLimit = 20,
    cursor: Line | None = None,
) -> Response:
    """诉求列表, newest first: one's own, one's unit's, one's grid's, or all, by role."""
    filters = queries.Filters(
        states=tuple(state or ()),
        unit_code=unit,
        grid_code=grid,
        category_code=category,
        overdue=overdue,
        submitted_from=submitted[0],
        submitted_to=submitted[1],
    )
    rows, next_cursor = await queries.page(
        db, filters, actor=actor, limit=limit, cursor=cursor, now=now
    )
    items = [views.summary_view(row, city, actor, now=now) for row in rows]
    return _json(orjson.dumps({"items": items, "next_cursor": next_cursor}))


@router.get("/requests/{request_id}", response_model=RequestOut)
async def get_request(request_id: Id, actor: Reader, city: CityNow, db: Db, now: Now) -> Response:
    """诉求详情, with what the caller may do next."""
    row = await queries.get(db, request_id, actor=actor)
    view = views.request_view(row, city, actor, now=now)
    return _json(orjson.dumps(view), f'"{row["version"]}"')


@router.get("/requests/{request_id}/timeline", response_model=TimelineOut)
async def get_timeline(request_id: Id, actor: Reader, city: CityNow, db: Db) -> Response:
    """办理过程, oldest first."""
    events = await queries.timeline(db, request_id, actor=actor)
    items = [views.event_view(event, city, actor) for event in events]
    return _json(orjson.dumps({"items": items}))


@router.get("/workflow", response_model=WorkflowOut)
async def get_workflow(_actor: Visitor) -> Response:
    """流程表: every state and every action with its Chinese name, roles and guards."""
    return _json(orjson.dumps(views.workflow_view()))


async def _act(
    action: Action,
    form: Form,
    http: HttpRequest,
    session: Session,
    city: CityNow,
    actor: Actor,
    *,
    request_id: Id,
    key: str,
    version: int,
    now: datetime,
    status_code: int,
) -> Response:
    async def act() -> RequestMovedOut:
        request = await service.act(
            session, city, request_id, action, form, actor=actor, version=version, now=now
        )
        row = service.columns(request)
        return RequestMovedOut.model_validate(views.moved_view(row, city, actor, now=now))

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


def _endpoint(
    action: Action, form_type: type[Form], actor_type: Any, status_code: int
) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def endpoint(
        request_id: Id,
        form: form_type,  # type: ignore[valid-type]
        http: HttpRequest,
        session: Session,
        city: CityNow,
        actor: actor_type,
        key: IdempotencyKey,
        version: IfMatch,
        now: Now,
    ) -> Response:
        return await _act(
            action,
            form,
            http,
            session,
            city,
            actor,
            request_id=request_id,
            key=key,
            version=version,
            now=now,
            status_code=status_code,
        )

    endpoint.__doc__ = f"{ACTION_TEXT[action]}。"
    endpoint.__name__ = f"{action}_request"
    return endpoint


def _add(path: str, action: Action, form_type: type[Form], actor: Any, status_code: int) -> None:
    router.add_api_route(
        path,
        _endpoint(action, form_type, actor, status_code),
        methods=["POST"],
        status_code=status_code,
        response_model=RequestMovedOut,
    )


for _action, (_form_type, _) in STEPS.items():
    _takers = {role for step in TRANSITIONS if step.action is _action for role in step.by}
    if _takers != {Role.SYSTEM}:
        _who = Rater if _action is Action.RATE else Doer
        _add(f"/requests/{{request_id}}/actions/{_action}", _action, _form_type, _who, 200)
_add("/requests/{request_id}/contacts", Action.CONTACT, ContactLogIn, Doer, 201)
_add("/requests/{request_id}/rating", Action.RATE, RatingIn, Rater, 201)
