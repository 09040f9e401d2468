"""Everything that changes a request after it was taken in: one function, driven by the table."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import events, guards, lifecycle
from app.domain.errors import Stale
from app.domain.identity import SYSTEM, Actor, Role
from app.domain.sla import Metric
from app.domain.states import FINAL, REPLY_CLOCK, Action, Clock, State
from app.outbox import service as outbox
from app.requests import clocks, joining, queries, recalculation, views
from app.requests.city import City
from app.requests.forms import Form
from app.requests.models import CitizenRequest, RequestEvent
from app.requests.move import Move, Outcome
from app.requests.steps import STEPS


class VersionStale(Stale):
    """该诉求刚刚被更新过，请刷新后再操作。"""

    code = "stale_version"


_LOCK_IN_ORDER = text(
    "SELECT FROM requests WHERE id = ANY (CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE"
)


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
    job: str | None = None,
) -> CitizenRequest:
    """Take one step of the lifecycle and write everything that belongs to it.

    Args:
        version: what the actor decided on; None only for the system.
        job: by whose doing the system acts: always said of it, never of a person.

    Raises:
        RequestNotFound: it does not exist for this actor.
        StepForbidden, IllegalStep, GuardClosed, NoteMissing: see ``lifecycle.take``.
        VersionStale: somebody was faster; ``version`` in the answer is the present one.
        Whatever the step itself raises.
    """
    if (actor.role is Role.SYSTEM) is (job is None):
        raise RuntimeError(f"{action}: the system acts by a job, and nobody else does")
    others = form.others()
    if others:  # in one order for all, or two merged into each other would wait for ever
        await session.execute(_LOCK_IN_ORDER, {"ids": [request_id, *others]})
    request = await _lock(session, request_id, actor)
    # Nobody decides on a promise that an older calendar counted.
    if request.calendar_version < city.reference.calendar_version and (
        await recalculation.bring_up_to_date(session, city, [request.id], now=now)
    ):
        await session.refresh(request)
    step = lifecycle.take(
        request.state,
        action,
        by=actor,
        facts=views.facts(columns(request), city),
        now=now,
        note=form.words(),
    )
    if version is not None and version != request.version:
        raise VersionStale(version=request.version)
    running = await clocks.of_cycle(session, request)
    _form_type, effect = STEPS[action]
    move = Move(session, city, request, running, actor, now)
    outcome = await effect(move, form)
    if outcome.target not in step.targets:
        raise RuntimeError(f"{action} led to {outcome.target}, which the table does not know")
    await _follow(move, action, outcome.target)
    _enter(request, outcome.target, now)
    await session.flush()
    for touched, said in ((request, outcome), *outcome.also):
        await _write_down(session, touched, action, said, actor=actor, now=now, job=job)
    return request


# Those that nobody looks at just now. A merged one waits for its master, whose answer it reports.
_TO_ARCHIVE = text("""
SELECT id FROM requests
WHERE state IN ('closed', 'rejected', 'withdrawn', 'merged')
  AND ended_at <= :ended_before AND NOT order_open
  AND NOT EXISTS (
    SELECT FROM requests AS master
    WHERE master.id = requests.master_id
      AND (master.ended_at IS NULL OR master.ended_at > :ended_before))
ORDER BY ended_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")


async def archive_next(session: AsyncSession, city: City, *, now: datetime) -> bool:
    """Archive one request whose time has come; whether there was one."""
    request_id = await session.scalar(_TO_ARCHIVE, {"ended_before": now - guards.ARCHIVE_AFTER})
    if request_id is None:
        return False
    await act(
        session,
        city,
        request_id,
        Action.ARCHIVE,
        Form(),
        actor=SYSTEM,
        version=None,
        now=now,
        job="archive_ended",
    )
    return True


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


async def _follow(move: Move, action: Action, target: State) -> None:
    """Let everything that hangs on the request go with it into ``target``."""
    request = move.request
    if target is request.state:
        return
    request.rejection_asked = None
    before, after = REPLY_CLOCK[request.state], REPLY_CLOCK[target]
    stood_until = clocks.standing_ends_at(request, move.now)
    clocks.enter(move.clocks, request, target, city=move.city, now=move.now)
    if before is Clock.STANDS and after is not Clock.STANDS:
        await move.end_pause(stood_until, runs_on=after is Clock.RUNS)
    nobody_answers = target in FINAL and request.unit_code is None
    if after is Clock.CANCELLED or nobody_answers:
        request.order_open = False  # whoever was to answer for it has nothing to answer for
        clocks.let_go(move.clocks, Metric.SUPERVISE, move.now)
    if target in FINAL or target is State.REPLIED:
        await move.drop_what_was_asked()
        await move.end_co_tasks()
    if target is State.REOPEN_REVIEW:
        move.open_review()
    unanswered = target is State.CLOSED and request.replied_at is None
    if (unanswered or target in (State.REPLIED, State.REJECTED)) and request.followers:
        await joining.tell_followers(move, action)


def _enter(request: CitizenRequest, target: State, now: datetime) -> None:
    request.state = target
    request.version += 1
    if target not in FINAL:
        request.ended_at = None
    elif request.ended_at is None:
        request.ended_at = now


async def _write_down(
    session: AsyncSession,
    request: CitizenRequest,
    action: Action,
    outcome: Outcome,
    *,
    actor: Actor,
    now: datetime,
    job: str | None,
) -> None:
    """The line of the history, and the news. The request is already what the line says."""
    action = outcome.action or action
    if outcome.job is not None:
        actor, job = SYSTEM, outcome.job
    by_job = {"job": job} if job else {}
    facts = dict(outcome.facts or {}) | by_job
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
            facts=facts or None,
        )
    )
    await session.flush()
    await audit.append(
        session,
        request.id,
        actor=actor,
        action=action,
        facts={
            "version": request.version,
            "to": outcome.target,
            "cycle": request.cycle_no,
            "unit": request.unit_code,
            **by_job,
        },
        now=now,
    )
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
            meaning=outcome.meaning,
            co_unit_code=outcome.co_unit_code,
        ),
        now=now,
    )


def columns(request: CitizenRequest) -> dict[str, Any]:
    """The request as the views read it."""
    return {column.key: getattr(request, column.key) for column in CitizenRequest.__table__.columns}
