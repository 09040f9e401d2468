"""撤回主单: whoever asked first of those that followed it takes its place, and the work goes on.

What the unit did and was told for the withdrawn master (its hands, the parts others do of it, the
orders it has to answer) goes over; what was promised does not: each resident keeps their own
promise, and the new master the earliest of all that follow it. What only the withdrawn one's
resident was asked or told (a question, a suspension, an extension) lapses with it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from app.domain import sla
from app.domain.identity import SYSTEM
from app.domain.sla import ClockState, Metric
from app.domain.states import Action, State
from app.requests import clocks, cohandling, joining, pressing, recalculation
from app.requests.children import CoTask, Order
from app.requests.models import CitizenRequest, RequestClock
from app.requests.move import Move, Outcome

JOB = "pass_on"
Touched = tuple[tuple[CitizenRequest, Outcome], ...]

# Where the work stands with the new master. Whoever was asked, or told that it stands, was another.
_GOES_ON: dict[State, State] = {
    State.SUBMITTED: State.TRIAGE,
    State.TRIAGE: State.TRIAGE,
    State.ASSIGNED: State.ASSIGNED,
    State.RETURN_REVIEW: State.RETURN_REVIEW,
    State.IN_PROGRESS: State.IN_PROGRESS,
    State.SUSPENDED: State.IN_PROGRESS,
}
_HANDED_OVER = ("unit_code", "handler_id", "assigned_at", "return_until", "returned_units", "hops",
                "reassigned", "unit_fixed")  # fmt: skip


async def pass_on(move: Move) -> Touched:
    """Let the first follower take the place of the request, which is being withdrawn.

    Returns:
        The new master first, then those that follow it now; nobody where nobody followed.
    """
    followers = await _followers(move)
    if not followers:
        return ()
    heir, others = followers[0], followers[1:]
    running = await clocks.of_cycle(move.session, heir)
    taking = Move(move.session, move.city, heir, running, SYSTEM, move.now)
    await joining.run_again(taking)
    _take_its_place(move.request, heir, others)
    await _take_the_earlier_promises(taking, others)
    for metric in (Metric.ACCEPT, Metric.INTERNAL):
        _run_on(move, taking, metric)
    await _take_orders(move, taking)
    await _take_parts(move, taking)
    became = Outcome(
        heir.state,
        note="主单已撤回，由最早并入的诉求接续办理",
        public_note=f"合并办理的 {move.request.number} 已撤回，本诉求继续办理，承诺时限不变",
        facts={"inherited_from": str(move.request.id)},
        meaning="inherit",
        action=Action.MERGE,
        job=JOB,
    )
    joined = Outcome(
        State.MERGED,
        public_note=f"改与 {heir.number} 合并办理",
        facts={"master_id": str(heir.id)},
        action=Action.MERGE,
        job=JOB,
    )
    return (heir, became), *((other, joined) for other in others)


async def _followers(move: Move) -> list[CitizenRequest]:
    """Those that follow it, locked, counted by the present calendar; whoever asked first, first."""
    found = await move.session.scalars(
        select(CitizenRequest)
        .where(CitizenRequest.master_id == move.request.id, CitizenRequest.state == State.MERGED)
        .order_by(CitizenRequest.id)
        .with_for_update()
    )
    followers = list(found)
    version = move.city.reference.calendar_version
    stale = [it for it in followers if it.calendar_version < version]
    if stale:
        ids = [it.id for it in stale]
        await recalculation.bring_up_to_date(move.session, move.city, ids, now=move.now)
        for it in stale:
            await move.session.refresh(it)
    return sorted(followers, key=lambda it: (it.submitted_at, it.id))


def _take_its_place(
    master: CitizenRequest, heir: CitizenRequest, others: Sequence[CitizenRequest]
) -> None:
    """At once: nothing may flush a row that is only half in its new state."""
    stood = master.previous_state if master.state is State.NEED_INFO else master.state
    heir.state = _GOES_ON[stood or State.TRIAGE]
    heir.version += 1
    heir.master_id = heir.ended_at = heir.previous_state = None
    heir.rate_until = heir.satisfaction = heir.solved = heir.said_contacted = None
    for name in _HANDED_OVER:
        setattr(heir, name, getattr(master, name))
    grid = [it for it in heir.routing["reasons"] if it["code"].startswith("grid_")]
    told = {"code": "inherited", "text": f"接续办理已撤回的 {master.number}"}
    heir.routing = {"rule": None, "reasons": [*grid, told]}
    heir.followers, master.followers = len(others), 0
    for other in others:
        other.master_id = heir.id
        other.version += 1


async def _take_the_earlier_promises(taking: Move, others: Sequence[CitizenRequest]) -> None:
    """Of contact and reply the earliest due of all that follow now; a promise kept is none."""
    heir = taking.request
    found = await taking.session.scalars(
        select(RequestClock)
        .join(
            CitizenRequest,
            (CitizenRequest.id == RequestClock.request_id)
            & (CitizenRequest.cycle_no == RequestClock.cycle_no),
        )
        .where(
            CitizenRequest.id.in_([other.id for other in others]),
            RequestClock.metric.in_((Metric.CONTACT, Metric.REPLY)),
            RequestClock.state == ClockState.CANCELLED,
        )
    )
    owed = list(found)
    contact, reply = taking.clocks[Metric.CONTACT], taking.clocks[Metric.REPLY]
    dues = [it.due_at for it in owed if it.metric is Metric.CONTACT]
    if contact.stopped_at is None and dues and min(dues) < contact.due_at:
        clocks.move_due(contact, min(dues), city=taking.city)
        heir.contact_due_at = contact.due_at
    dues = [_promised(taking, it) for it in owed if it.metric is Metric.REPLY]
    if dues and min(dues) < reply.due_at:
        provisional = any(other.provisional for other in others)
        await taking.move_reply_due(min(dues), provisional=provisional)


def _promised(taking: Move, clock: RequestClock) -> datetime:
    """When a reply clock that ended with its merging would be due now."""
    paused_at, merged_at = clock.paused_at, clock.stopped_at
    if paused_at is None or merged_at is None:
        return clock.due_at
    due_at, _ = sla.settled(
        taking.city.reference.calendar,
        lambda by: sla.due_after_pause(by, clock.due_at, paused_at=paused_at, resumed_at=merged_at),
    )
    return due_at


def _run_on(move: Move, taking: Move, metric: Metric) -> None:
    clock = move.clocks.get(metric)
    if clock is not None and clock.stopped_at is None:
        taking.start(metric, clock.due_at)


async def _take_orders(move: Move, taking: Move) -> None:
    """What the city ordered of the unit is to be answered, whoever withdraws."""
    heir = taking.request
    for order in await pressing.open_orders(move):
        taking.session.add(
            Order(
                request_id=heir.id,
                level=order.level,
                text=order.text,
                ordered_by=order.ordered_by,
                ordered_at=move.now,
                answer_due_at=order.answer_due_at,
            )
        )
        heir.order_open = True
        heir.supervise_level = max(heir.supervise_level, order.level)
    if heir.order_open:
        _run_on(move, taking, Metric.SUPERVISE)


async def _take_parts(move: Move, taking: Move) -> None:
    """What other units do of it, they do for the new master, and not later than it is due."""
    heir, reply = taking.request, taking.clocks[Metric.REPLY]
    for task in await move.open_co_tasks():
        late = reply.due_at <= move.now
        taking.session.add(
            CoTask(
                request_id=heir.id,
                cycle_no=heir.cycle_no,
                unit_code=task.unit_code,
                state=task.state,
                task=task.task,
                due_at=task.due_at if late else min(task.due_at, reply.due_at),
                feedback=task.feedback,
                fed_back_at=task.fed_back_at,
                asked_by=task.asked_by,
                asked_at=task.asked_at,
            )
        )
        heir.open_co_tasks += 1
    if heir.open_co_tasks:
        await cohandling.run_to_the_earliest(taking)
