"""Pressing for it: 催办 and 督办."""

from datetime import datetime

from sqlalchemy import select

from app.domain import guards, sla
from app.domain.errors import Conflict, Invalid
from app.domain.identity import SYSTEM, Role
from app.domain.lifecycle import open_actions
from app.domain.sla import Metric
from app.domain.states import Action, State
from app.requests import clocks
from app.requests.children import Order
from app.requests.forms import Form, SuperviseIn
from app.requests.models import CitizenRequest
from app.requests.move import Move, Outcome, refuse_personal_data

ANSWER_WITHIN_WORKING_DAYS = 1


class AnswerDueWrong(Invalid):
    """督办答复期限应晚于现在。"""

    code = "time_out_of_range"


class MasterNotUrgeable(Conflict):
    """合并办理的诉求当前不能催办。"""

    code = "master_not_urgeable"


async def urge(move: Move, form: Form) -> Outcome:
    """催办. A follower's goes to the master too: that is where the work is."""
    if move.actor.role is not Role.RESIDENT:
        refuse_personal_data(form.note)
    request = move.request
    if request.state is not State.MERGED:
        return Outcome(request.state, public_note=form.note, facts=_urge(move))
    master = await move.session.get(CitizenRequest, request.master_id, with_for_update=True)
    if master is None or Action.URGE not in {
        step.action for step in open_actions(master.state, by=Role.RESIDENT)
    }:
        raise MasterNotUrgeable
    running = await clocks.of_cycle(move.session, master)
    master.version += 1
    facts = _urge(Move(move.session, move.city, master, running, move.actor, move.now))
    request.urge_count += 1
    request.last_urged_at = move.now
    return Outcome(
        request.state,
        public_note=form.note,
        facts={"urges": request.urge_count, "master_id": str(master.id)},
        also=((master, Outcome(master.state, note=form.note, facts=facts)),),
    )


def _urge(move: Move) -> dict[str, object]:
    request = move.request
    request.urge_count += 1
    request.last_urged_at = move.now
    facts: dict[str, object] = {"urges": request.urge_count}
    if request.urge_count % guards.URGES_TO_SUPERVISION == 0 and not request.order_open:
        _order(move, level=1, text="三次催办，自动督办", within=None, by_system=True)
        facts["supervise_level"] = request.supervise_level
    return facts


async def supervise(move: Move, form: SuperviseIn) -> Outcome:
    """The supervisor (or the clock) orders; the unit's leader answers."""
    request = move.request
    if move.actor.role is Role.UNIT_LEADER:
        for order in await open_orders(move):
            order.answer, order.answered_by, order.answered_at = (
                form.note,
                move.actor.id,
                move.now,
            )
        request.order_open = False
        move.end(Metric.SUPERVISE)
        return Outcome(request.state, note=form.note, facts={"answered": True}, meaning="answer")
    level = form.level or min(request.supervise_level + 1, 3)
    within = form.answer_due_at
    if within is not None and within <= move.now:
        raise AnswerDueWrong
    _order(move, level=level, text=form.note or "", within=within, by_system=move.by_clock)
    return Outcome(request.state, note=form.note, facts={"supervise_level": level}, meaning="order")


async def open_orders(move: Move) -> list[Order]:
    found = await move.session.scalars(
        select(Order).where(Order.request_id == move.request.id, Order.answered_at.is_(None))
    )
    return list(found)


def _order(move: Move, *, level: int, text: str, within: datetime | None, by_system: bool) -> None:
    request = move.request
    due, _ = sla.settled(
        move.city.reference.calendar,
        lambda by: sla.working_days_later(by, move.now, ANSWER_WITHIN_WORKING_DAYS),
    )
    answer_due_at = within or due
    request.supervise_level = max(request.supervise_level, level)
    request.order_open = True
    move.session.add(
        Order(
            request_id=request.id,
            level=level,
            text=text,
            ordered_by=SYSTEM.id if by_system else move.actor.id,
            ordered_at=move.now,
            answer_due_at=answer_due_at,
        )
    )
    running = move.clocks.get(Metric.SUPERVISE)
    if running is None or running.stopped_at is not None or running.due_at <= move.now:
        move.start(Metric.SUPERVISE, answer_due_at)
    elif answer_due_at < running.due_at:  # all open orders are answered together: by the earliest
        clocks.move_due(running, answer_due_at, city=move.city)
