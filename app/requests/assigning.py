"""Who does it: 派单, 签收, 退单, 转派, 改类改址."""

from sqlalchemy import select

from app.domain import sla
from app.domain.errors import FieldError, Invalid
from app.domain.identity import Role
from app.domain.matters import RETURN_REASON_TEXT
from app.domain.recalculation import Course, reply_due
from app.domain.routing import Reason
from app.domain.sla import ClockState, Metric, Pause
from app.domain.states import State
from app.people import queries as people
from app.requests import clocks, cohandling, submission, views
from app.requests.by_rule import PART_BY_RULE
from app.requests.children import PauseRow
from app.requests.forms import (
    AssignIn,
    CoAssignIn,
    DecideReturnIn,
    Form,
    ReclassifyIn,
    ReturnIn,
    TransferIn,
)
from app.requests.models import CitizenRequest
from app.requests.move import Move, Outcome, SameUnit


class HandlerUnknown(Invalid):
    """所选经办人不属于本单位。"""

    code = "handler_unknown"


class SameHandler(Invalid):
    """该诉求已由所选经办人办理。"""

    code = "same_handler"


class CategoryMissing(Invalid):
    """派单前请确定诉求类别。"""

    code = "category_missing"


class NothingReclassified(Invalid):
    """请选择新的类别、网格或位置。"""

    code = "nothing_reclassified"


class NotYourTransfer(Invalid):
    """单位负责人只能在本单位内转办，跨单位转派由调度员办理。"""

    code = "transfer_target_invalid"


def _missing(name: str, message: str) -> Invalid:
    return Invalid(errors=[FieldError(f"/{name}", "field_required", message)])


async def assign(move: Move, form: AssignIn) -> Outcome:
    request, reference = move.request, move.city.reference
    reference.active_unit(form.unit_code)
    if form.category_code is not None:
        reference.active_category(form.category_code)
        request.category_code = form.category_code
    if request.category_code is None:
        raise CategoryMissing(
            errors=[FieldError("/category_code", "field_required", CategoryMissing.title())]
        )
    await move.give_to(form.unit_code)
    if move.by_clock:  # what the grid had first is the unit's now
        choice = submission.choose_unit(
            move.city,
            request.category_code,
            request.grid_code,
            kind=request.kind,
            at=request.submitted_at,
        )
        _explain(move, choice.rule_id, choice.reason)
        for unit_code in choice.rule.co_unit_codes if choice.rule else ():
            await cohandling.co_assign(move, CoAssignIn(unit_code=unit_code, task=PART_BY_RULE))
        return Outcome(State.ASSIGNED, note=form.note, facts={"unit_code": form.unit_code})
    _explain(move, None, Reason("by_desk", "调度员人工派单"))
    return Outcome(State.ASSIGNED, note=form.note, facts={"unit_code": form.unit_code})


def _explain(move: Move, rule_id: int | None, reason: Reason) -> None:
    """Why this unit; why this grid is said already."""
    kept = [it for it in move.request.routing["reasons"] if it["code"].startswith("grid_")]
    told = [*kept, {"code": reason.code, "text": reason.text}]
    move.request.routing = {"rule": rule_id, "reasons": told}


async def sign(move: Move, form: Form) -> Outcome:
    move.request.handler_id = move.actor.id
    move.end(Metric.ACCEPT)
    return Outcome(State.IN_PROGRESS, note=form.note)


async def auto_sign(move: Move, _form: Form) -> Outcome:
    move.end(Metric.ACCEPT)
    move.clocks[Metric.ACCEPT].state = ClockState.MISSED  # even at the very instant it was due
    return Outcome(State.IN_PROGRESS, note="超时未签收，系统自动签收", facts={"auto": True})


async def send_back(move: Move, form: ReturnIn) -> Outcome:
    request = move.request
    if form.suggested_unit_code is not None:
        move.city.reference.active_unit(form.suggested_unit_code)
        if form.suggested_unit_code == request.unit_code:
            raise SameUnit
    request.returned_units = [*request.returned_units, request.unit_code or ""]
    request.hops += 1
    move.end(Metric.ACCEPT)
    return Outcome(
        State.RETURN_REVIEW,
        note=form.note,
        facts={
            "reason_code": form.reason_code,
            "reason": RETURN_REASON_TEXT[form.reason_code],
            "suggested_unit_code": form.suggested_unit_code,
            "hops": request.hops,
        },
    )


async def decide_return(move: Move, form: DecideReturnIn) -> Outcome:
    facts = {"decision": form.decision, "unit_code": form.unit_code}
    request = move.request
    if form.decision == "triage":
        await move.take_from_unit()
        return Outcome(State.TRIAGE, note=form.note, facts=facts)
    if move.actor.role is Role.SUPERVISOR:
        request.unit_fixed = True  # 首接负责: whoever it is given to now keeps it
    if form.decision == "refuse":
        return Outcome(State.IN_PROGRESS, note=form.note, facts=facts)
    if form.unit_code is None:
        raise _missing("unit_code", "请选择改派的单位")
    if form.unit_code == request.unit_code:
        raise SameUnit
    await move.give_to(form.unit_code)
    move.give_time()
    return Outcome(State.ASSIGNED, note=form.note, facts=facts)


async def transfer(move: Move, form: TransferIn) -> Outcome:
    request = move.request
    if move.actor.role is Role.UNIT_LEADER:
        if form.unit_code is not None or form.handler_id is None:
            raise NotYourTransfer
        staff = await people.staff_of_unit(move.session, request.unit_code or "", (Role.HANDLER,))
        if form.handler_id not in {member.id for member in staff}:
            raise HandlerUnknown
        if form.handler_id == request.handler_id:
            raise SameHandler
        request.handler_id = form.handler_id
        facts: dict[str, object] = {"inside": True, "handler_id": str(form.handler_id)}
        return Outcome(request.state, note=form.note, facts=facts, meaning="inside")
    if form.unit_code is None:
        raise _missing("unit_code", "请选择转派的单位")
    if form.unit_code == request.unit_code:
        raise SameUnit
    request.hops += 1
    before = request.unit_code
    await move.give_to(form.unit_code, to_sign=request.state is State.ASSIGNED)
    facts = {"from_unit_code": before, "unit_code": form.unit_code, "hops": request.hops}
    return Outcome(request.state, note=form.note, facts=facts, meaning="across")


async def reclassify(move: Move, form: ReclassifyIn) -> Outcome:
    """改类改址. A handler proposes; the desk decides, and where another unit follows from it, the
    request waits to be assigned. What was promised may become earlier by it, never later."""
    request = move.request
    if form.category_code is None and form.grid_code is None and form.location is None:
        raise NothingReclassified
    if move.actor.role is Role.HANDLER:
        proposed = {"category_code": form.category_code, "grid_code": form.grid_code}
        if form.category_code is not None:
            move.city.reference.active_category(form.category_code)
        return Outcome(
            request.state, note=form.note, facts={"proposed": proposed}, meaning="propose"
        )
    facts = _put_right(move, form)
    await _keep_the_better_promises(move)
    choice = submission.choose_unit(
        move.city,
        request.category_code,
        request.grid_code,
        kind=request.kind,
        at=request.submitted_at,
    )
    _explain(move, choice.rule_id, choice.reason)
    facts["suggested_unit_code"] = choice.unit_code
    target = request.state
    if _changes_hands(request, choice.unit_code):
        await move.take_from_unit()
        if request.state is State.NEED_INFO:
            request.previous_state = State.TRIAGE  # once the resident has answered
        else:
            target = State.TRIAGE
    return Outcome(target, note=form.note, facts=facts)


def _put_right(move: Move, form: ReclassifyIn) -> dict[str, str | None]:
    """Write the new category and place; what was and what is, by codes."""
    request, facts = move.request, dict[str, str | None]()
    if form.category_code is not None:
        move.city.reference.active_category(form.category_code)
        facts |= {"category_from": request.category_code, "category_to": form.category_code}
        request.category_code = form.category_code
    if form.location is not None:
        point, located = submission.locate(move.city, form.location)
        if point is not None:
            request.latitude, request.longitude = point
            request.location = submission.as_received(form.location)
        if form.location.address is not None:
            personal = views.unseal(move.city.cipher, request.personal, request.id)
            personal["address"] = form.location.address
            request.personal = views.seal(move.city.cipher, personal, request.id)
        facts["grid_from"] = request.grid_code
        request.grid_code = located[0] if located else None
        request.grid_certain = located is not None and located[1] == 0
        facts["grid_to"] = request.grid_code
    elif form.grid_code is not None:
        if move.city.grids.node(form.grid_code) is None:
            raise submission.GridUnknown
        facts |= {"grid_from": request.grid_code, "grid_to": form.grid_code}
        request.grid_code, request.grid_certain = form.grid_code, True
    return facts


def _changes_hands(request: CitizenRequest, unit_code: str | None) -> bool:
    """Another unit answers for it now: not where one is fixed, or has answered already."""
    answered = request.state in (State.REPLIED, State.REOPEN_REVIEW)
    given = request.unit_code is not None and not request.unit_fixed and not answered
    return given and unit_code not in (None, request.unit_code)


async def _keep_the_better_promises(move: Move) -> None:
    """Each promise by the policy of the category, if that is earlier. An extension stands."""
    request, calendar = move.request, move.city.reference.calendar
    policy = move.city.reference.policy_for(request.category_code)
    contact, reply = move.clocks[Metric.CONTACT], move.clocks[Metric.REPLY]
    if contact.stopped_at is None:
        due_at, _ = sla.settled(
            calendar, lambda by: sla.contact_due(policy, by, contact.started_at)
        )
        if due_at < contact.due_at:
            clocks.move_due(contact, due_at, city=move.city)
            request.contact_due_at = due_at
    if reply.stopped_at is not None or request.extensions:
        return
    course = Course(policy, reply.started_at, request.cycle_no, pauses=await _pauses(move))
    due_at, provisional = sla.settled(calendar, lambda by: reply_due(course, by))
    if due_at <= reply.due_at:
        request.policy_code, request.policy_version = policy.code, policy.version
        await move.move_reply_due(due_at, provisional=provisional)


async def _pauses(move: Move) -> tuple[Pause, ...]:
    """Those of this cycle that are over."""
    found = await move.session.execute(
        select(PauseRow.paused_at, PauseRow.resumed_at).where(
            PauseRow.request_id == move.request.id,
            PauseRow.cycle_no == move.request.cycle_no,
            PauseRow.resumed_at.is_not(None),
        )
    )
    return tuple(Pause(paused_at, resumed_at) for paused_at, resumed_at in found if resumed_at)
