"""Speaking with the resident: 联系登记, 要求补充, 补充, 补充超期."""

from datetime import datetime

from sqlalchemy import func, select

from app.domain import guards, sla
from app.domain.errors import Invalid
from app.domain.matters import ContactMethod, ContactResult, PauseReason
from app.domain.sla import Metric
from app.domain.states import State
from app.requests import clocks
from app.requests.forms import ContactLogIn, ExpireInfoIn, Form, SupplyIn
from app.requests.models import ContactLog
from app.requests.move import Move, Outcome, refuse_personal_data
from app.store.base import new_id


class ContactTimeWrong(Invalid):
    """联系时间应在诉求提交之后、当前时间之前。"""

    code = "time_out_of_range"


async def contact(move: Move, form: ContactLogIn) -> Outcome:
    request, at = move.request, form.at or move.now
    if not move.clocks[Metric.CONTACT].started_at <= at <= move.now:
        raise ContactTimeWrong
    _log(move, form.method, form.result, at, form.note)
    if form.result is ContactResult.REACHED:
        _reached(move, at)
    elif request.contacted_at is None:
        await _tried(move)
    return Outcome(
        request.state,
        note=form.note,
        facts={"method": form.method, "result": form.result, "at": at.isoformat()},
    )


def _log(
    move: Move, method: ContactMethod, result: ContactResult, at: datetime, note: str | None
) -> None:
    move.session.add(
        ContactLog(
            id=new_id(),
            request_id=move.request.id,
            cycle_no=move.request.cycle_no,
            method=method,
            result=result,
            at=at,
            note=note,
            by=move.actor.id,
            recorded_at=move.now,
        )
    )


def _reached(move: Move, at: datetime) -> None:
    """The first success stops the contact clock."""
    if move.request.contacted_at is not None:
        return
    move.request.contacted_at = at
    running = move.clocks[Metric.CONTACT]
    if running.stopped_at is None:
        clocks.stop(running, at)


async def _tried(move: Move) -> None:
    """Count the attempts at different times; enough of them in time are 已尽责未联系上."""
    request = move.request
    await move.session.flush()
    attempts = await move.session.execute(
        select(
            func.count(ContactLog.at.distinct()),
            func.count(ContactLog.at.distinct()).filter(ContactLog.at <= request.contact_due_at),
        ).where(ContactLog.request_id == request.id, ContactLog.cycle_no == request.cycle_no)
    )
    request.contact_attempts, in_time = attempts.one()
    if in_time >= guards.DILIGENT_ATTEMPTS and request.diligent_at is None:
        request.diligent_at = move.now


async def ask_info(move: Move, form: Form) -> Outcome:
    refuse_personal_data(form.note)
    request = move.request
    request.previous_state = request.state
    request.info_rounds += 1
    request.info_until = sla.natural_days_later(
        move.city.reference.calendar, move.now, move.policy.info_days
    )
    move.start(Metric.INFO, request.info_until)
    move.pause(PauseReason.NEED_INFO)
    return Outcome(State.NEED_INFO, public_note=form.note)


async def supply(move: Move, form: SupplyIn) -> Outcome:
    """What the resident answers; somebody who has answered a message was reached by it."""
    if move.request.contacted_at is None:
        _log(move, ContactMethod.MESSAGE, ContactResult.REACHED, move.now, None)
        _reached(move, move.now)
    return Outcome(_back(move), public_note=form.text)


async def expire_info(move: Move, form: ExpireInfoIn) -> Outcome:
    """The desk confirms that nothing came: the work goes on, or ends as 材料不全."""
    refuse_personal_data(form.note)
    target = _back(move)
    if form.decision == "close":
        return Outcome(
            State.CLOSED,
            public_note=f"多次提醒后仍未补充，按材料不全办结。\n{form.note}",
            facts={"result": "info_missing", "excluded_from_satisfaction": True},
        )
    return Outcome(target, note=form.note, facts={"result": "resumed"})


def _back(move: Move) -> State:
    request = move.request
    target = request.previous_state or State.TRIAGE
    request.previous_state = None
    return target
