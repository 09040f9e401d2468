"""Everything that changes a request after it was taken in: one function, driven by the table."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import events, guards, lifecycle
from app.domain.errors import Conflict, Stale
from app.domain.identity import Actor, Role
from app.domain.lifecycle import FINAL, Action
from app.outbox import service as outbox
from app.requests import clocks, queries, views
from app.requests.city import City
from app.requests.models import CitizenRequest, RequestEvent
from app.requests.schemas import Form
from app.requests.steps import STEPS, Move, Outcome


class VersionStale(Stale):
    """该诉求刚刚被更新过，请刷新后再操作。"""

    code = "stale_version"


class AlreadyRated(Conflict):
    """您已经评价过了。"""

    code = "already_rated"


async def act(
    session: AsyncSession,
    city: City,
    request_id: UUID,
    action: Action,
    form: Form,
    *,
    actor: Actor,
    version: int | None,
    now: datetime,
) -> CitizenRequest:
    """Take one step of the lifecycle and write everything that belongs to it.

    Args:
        version: what the actor decided on; None only for the system.

    Raises:
        RequestNotFound: it does not exist for this actor.
        StepForbidden, IllegalStep, GuardClosed, NoteMissing: see ``lifecycle.take``.
        VersionStale: somebody was faster; ``version`` in the answer is the present one.
        Whatever the step itself raises.
    """
    request = await _lock(session, request_id, actor)
    row = columns(request)
    if action is Action.RATE and request.satisfaction is not None:
        raise AlreadyRated
    closed = guards.closed(views.facts(row), now=now)
    step = lifecycle.take(request.state, action, by=actor.role, note=form.words(), closed=closed)
    if version is not None and version != request.version:
        raise VersionStale(version=request.version)
    running = await clocks.of_cycle(session, request)
    _form_type, effect = STEPS[action]
    outcome = await effect(Move(session, city, request, running, actor, now), form)
    if outcome.target not in step.targets:
        raise RuntimeError(f"{action} led to {outcome.target}, which the table does not know")
    clocks.enter(running, request, outcome.target, city=city, now=now)
    await _remember(session, request, action, outcome, actor=actor, now=now)
    return request


async def _lock(session: AsyncSession, request_id: UUID, actor: Actor) -> CitizenRequest:
    scope = queries.visible_to(actor)
    request = await session.scalar(
        select(CitizenRequest)
        .where(CitizenRequest.id == request_id, text(scope.where))
        .with_for_update(),
        dict(scope.values),
    )
    if request is None:
        raise queries.RequestNotFound
    return request


async def _remember(
    session: AsyncSession,
    request: CitizenRequest,
    action: Action,
    outcome: Outcome,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    request.state = outcome.target
    request.version += 1
    if outcome.target in FINAL:
        request.ended_at = now
    session.add(
        RequestEvent(
            request_id=request.id,
            version=request.version,
            at=now,
            action=action,
            state=outcome.target,
            actor_id=actor.id,
            actor_role=actor.role,
            unit_code=request.unit_code,
            note=outcome.note,
            public_note=outcome.public_note,
            facts=dict(outcome.facts) if outcome.facts else None,
        )
    )
    await session.flush()
    await outbox.record(
        session,
        events.RequestMoved(
            request_id=str(request.id),
            number=request.number,
            at=now.isoformat(),
            grid_code=request.grid_code,
            unit_code=request.unit_code,
            resident_id=str(request.resident_id) if request.resident_id else None,
            action=action,
            state=request.state,
            actor_id=None if actor.role is Role.SYSTEM else str(actor.id),
        ),
        now=now,
    )


def columns(request: CitizenRequest) -> dict[str, Any]:
    """The request as the views read it."""
    return {column.key: getattr(request, column.key) for column in CitizenRequest.__table__.columns}
