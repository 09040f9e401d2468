"""What each action does beyond moving the request: one function a step, one row each in ``STEPS``.

A step checks what its form says, writes the rows that belong to it, and returns where the request
goes. The table of the lifecycle has already said that the step may be taken.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import privacy, satisfaction, sla
from app.domain.errors import FieldError, Invalid
from app.domain.identity import Actor
from app.domain.lifecycle import Action, State
from app.domain.matters import REJECTION_GROUND_TEXT, RETURN_REASON_TEXT, ContactResult
from app.domain.sla import Metric
from app.requests import clocks
from app.requests.city import City
from app.requests.models import CitizenRequest, ContactLog, Rating, Reply, RequestClock
from app.requests.schemas import (
    AssignIn,
    ContactLogIn,
    DecideReturnIn,
    Form,
    RatingIn,
    RejectIn,
    ReplyIn,
    ReturnIn,
    SupplyIn,
)
from app.store.base import new_id


class PersonalDataInReply(Invalid):
    """诉求人能看到的文字中不能出现身份证号或手机号码，请删除后再提交。"""

    code = "text_contains_pii"


class ReasonMissing(Invalid):
    """请填写原因。"""

    code = "reason_missing"


class ContactTimeWrong(Invalid):
    """联系时间应在诉求提交之后、当前时间之前。"""

    code = "time_out_of_range"


class SameUnit(Invalid):
    """不能派给同一个单位。"""

    code = "same_unit"


def refuse_personal_data(*texts: str | None) -> None:
    """What goes out to a resident names nobody. Raises: PersonalDataInReply."""
    if any(text and privacy.find_personal_data(text) for text in texts):
        raise PersonalDataInReply


@dataclass(frozen=True, slots=True)
class Move:
    """A step being taken: the request is locked, nothing has been changed yet."""

    session: AsyncSession
    city: City
    request: CitizenRequest
    clocks: dict[Metric, RequestClock]
    actor: Actor
    now: datetime

    @property
    def policy(self) -> sla.Policy:
        return self.city.reference.policy(self.request.policy_code, self.request.policy_version)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the request goes, and what its history says of the step."""

    target: State
    note: str | None = None
    public_note: str | None = None
    facts: Mapping[str, Any] | None = None


def _give_to(move: Move, unit_code: str) -> None:
    """Hand the request to a unit: what was promised to the resident does not move."""
    unit = move.city.reference.active_unit(unit_code)
    request = move.request
    request.unit_code, request.handler_id = unit.code, None
    request.assigned_at = move.now
    request.return_until, _ = sla.settled(
        move.city.reference.calendar, lambda by: sla.return_due(move.policy, by, move.now)
    )


async def assign(move: Move, form: AssignIn) -> Outcome:
    if form.category_code is not None:
        move.city.reference.active_category(form.category_code)
        move.request.category_code = form.category_code
    _give_to(move, form.unit_code)
    return Outcome(State.ASSIGNED, note=form.note, facts={"unit_code": form.unit_code})


async def ask_info(move: Move, form: Form) -> Outcome:
    refuse_personal_data(form.note)
    move.request.previous_state = move.request.state
    move.request.info_rounds += 1
    return Outcome(State.NEED_INFO, public_note=form.note)


async def supply(move: Move, form: SupplyIn) -> Outcome:
    target = move.request.previous_state or State.TRIAGE
    move.request.previous_state = None
    return Outcome(target, public_note=form.text)


async def sign(move: Move, form: Form) -> Outcome:
    move.request.handler_id = move.actor.id
    return Outcome(State.IN_PROGRESS, note=form.note)


async def send_back(move: Move, form: ReturnIn) -> Outcome:
    if form.suggested_unit_code is not None:
        move.city.reference.active_unit(form.suggested_unit_code)
        if form.suggested_unit_code == move.request.unit_code:
            raise SameUnit
    move.request.returned_units = [*move.request.returned_units, move.request.unit_code or ""]
    return Outcome(
        State.RETURN_REVIEW,
        note=form.note,
        facts={
            "reason_code": form.reason_code,
            "reason": RETURN_REASON_TEXT[form.reason_code],
            "suggested_unit_code": form.suggested_unit_code,
        },
    )


async def decide_return(move: Move, form: DecideReturnIn) -> Outcome:
    facts = {"decision": form.decision, "unit_code": form.unit_code}
    request = move.request
    if form.decision == "refuse":
        return Outcome(State.IN_PROGRESS, note=form.note, facts=facts)
    if form.decision == "triage":
        request.unit_code = request.handler_id = request.return_until = None
        return Outcome(State.TRIAGE, note=form.note, facts=facts)
    if form.unit_code is None:
        raise Invalid(errors=[FieldError("/unit_code", "field_required", "请选择改派的单位")])
    if form.unit_code == request.unit_code:
        raise SameUnit
    _give_to(move, form.unit_code)
    return Outcome(State.ASSIGNED, note=form.note, facts=facts)


async def contact(move: Move, form: ContactLogIn) -> Outcome:
    request, at = move.request, form.at or move.now
    if not request.submitted_at <= at <= move.now:
        raise ContactTimeWrong
    move.session.add(
        ContactLog(
            id=new_id(),
            request_id=request.id,
            cycle_no=request.cycle_no,
            method=form.method,
            result=form.result,
            at=at,
            note=form.note,
            by=move.actor.id,
            recorded_at=move.now,
        )
    )
    request.contact_attempts += 1
    if form.result is ContactResult.REACHED and request.contacted_at is None:
        request.contacted_at = at
        clocks.stop(move.clocks[Metric.CONTACT], at)
    return Outcome(
        request.state,
        note=form.note,
        facts={"method": form.method, "result": form.result, "at": at.isoformat()},
    )


async def reply(move: Move, form: ReplyIn) -> Outcome:
    refuse_personal_data(form.public_reply, form.unsolved_reason)
    if form.solved is not satisfaction.Solved.SOLVED and form.unsolved_reason is None:
        raise ReasonMissing(
            errors=[FieldError("/unsolved_reason", "field_required", "未全部解决时请填写原因")]
        )
    request = move.request
    move.session.add(
        Reply(
            request_id=request.id,
            cycle_no=request.cycle_no,
            public_reply=form.public_reply,
            internal_note=form.internal_note,
            factual=form.factual,
            solved=form.solved,
            unsolved_reason=form.unsolved_reason,
            by=move.actor.id,
            at=move.now,
        )
    )
    if move.policy.review_required:
        return Outcome(State.REPLY_REVIEW, note=form.note)
    request.replied_at = move.now
    move.session.add(clocks.start_rating(request, move.policy, city=move.city, now=move.now))
    return Outcome(State.REPLIED, note=form.note, public_note=form.public_reply)


async def rate(move: Move, form: RatingIn) -> Outcome:
    if not satisfaction.is_satisfied(form.satisfaction) and not form.reasons:
        raise ReasonMissing(
            errors=[FieldError("/reasons", "field_required", "不满意时请选择至少一个原因")]
        )
    request = move.request
    move.session.add(
        Rating(
            request_id=request.id,
            cycle_no=request.cycle_no,
            resident_id=move.actor.id,
            contacted=form.contacted,
            solved=form.solved,
            satisfaction=form.satisfaction,
            reasons=list(form.reasons),
            text=form.text,
            at=move.now,
        )
    )
    request.satisfaction, request.solved = form.satisfaction, form.solved
    clocks.stop(move.clocks[Metric.RATE], move.now)
    target = satisfaction.after_rating(
        satisfaction=form.satisfaction, solved=form.solved, cycle_no=request.cycle_no
    )
    return Outcome(target, public_note=form.text, facts={"satisfaction": form.satisfaction})


async def auto_close(move: Move, _form: Form) -> Outcome:
    clocks.stop(move.clocks[Metric.RATE], move.now)
    return Outcome(State.CLOSED, public_note="评价期限已过，系统自动办结（未评价）")


async def reject(_move: Move, form: RejectIn) -> Outcome:
    refuse_personal_data(form.note, form.where_to_go)
    ground = REJECTION_GROUND_TEXT[form.ground_code]
    where = f"\n建议：{form.where_to_go}" if form.where_to_go else ""
    return Outcome(
        State.REJECTED,
        public_note=f"依据：{ground}\n{form.note}{where}",
        facts={"ground_code": form.ground_code},
    )


async def withdraw(move: Move, form: Form) -> Outcome:
    return Outcome(
        State.WITHDRAWN,
        public_note=form.note,
        facts={"after_contact": move.request.contacted_at is not None},
    )


Step = Callable[[Move, Any], Awaitable[Outcome]]

# fmt: off
STEPS: dict[Action, tuple[type[Form], Step]] = {
    Action.ASSIGN:        (AssignIn,       assign),
    Action.ASK_INFO:      (Form,           ask_info),
    Action.SUPPLY:        (SupplyIn,       supply),
    Action.SIGN:          (Form,           sign),
    Action.RETURN:        (ReturnIn,       send_back),
    Action.DECIDE_RETURN: (DecideReturnIn, decide_return),
    Action.CONTACT:       (ContactLogIn,   contact),
    Action.REPLY:         (ReplyIn,        reply),
    Action.RATE:          (RatingIn,       rate),
    Action.AUTO_CLOSE:    (Form,           auto_close),
    Action.REJECT:        (RejectIn,       reject),
    Action.WITHDRAW:      (Form,           withdraw),
}
# fmt: on
