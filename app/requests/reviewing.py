"""Once more, or not at all: 申请重办, 重办审核, 不予受理, 异议, 撤回, 归档, 纠错."""

from app.domain import guards, sla
from app.domain.errors import Invalid
from app.domain.identity import Role
from app.domain.matters import REJECTION_GROUND_TEXT, RejectionGround
from app.domain.sla import Metric
from app.domain.states import State
from app.people import queries as people
from app.requests import succession
from app.requests.forms import CorrectIn, DecideReopenIn, Form, RejectIn
from app.requests.move import Move, Outcome, ReasonMissing, refuse_personal_data


class GroundMissing(Invalid):
    """请选择不予受理的依据。"""

    code = "ground_missing"


class GroundUnfounded(Invalid):
    """两次要求补充后仍无有效内容的，才能以此为依据。"""

    code = "ground_unfounded"


class ApproverUnknown(Invalid):
    """批准人应为在岗的审计员。"""

    code = "approver_unknown"


async def request_reopen(move: Move, form: Form) -> Outcome:
    move.end(Metric.RATE)
    return Outcome(State.REOPEN_REVIEW, public_note=form.note)


async def appeal(_move: Move, form: Form) -> Outcome:
    return Outcome(State.REOPEN_REVIEW, public_note=form.note, facts={"appeal": True})


async def decide_reopen(move: Move, form: DecideReopenIn) -> Outcome:
    """A new cycle with new promises, or a refusal with its ground."""
    refuse_personal_data(form.note)
    request = move.request
    unit_code = form.unit_code or request.unit_code
    if form.decision == "reopen" and unit_code is None:
        raise ReasonMissing("请选择承办单位。")
    move.end(Metric.REVIEW)
    request.reviewed_by = move.actor.id
    if form.decision == "refuse":
        # An appeal that is refused leaves the request rejected; it never was answered.
        target = State.REJECTED if request.replied_at is None else State.CLOSED
        return Outcome(target, public_note=form.note, facts={"decision": "refuse"})
    assert unit_code is not None  # noqa: S101 - asked above
    await begin_cycle(move)
    await move.give_to(unit_code)
    return Outcome(
        State.ASSIGNED,
        public_note=form.note,
        facts={"decision": "reopen", "unit_code": unit_code, "cycle_no": request.cycle_no},
    )


async def begin_cycle(move: Move) -> None:
    """Start handling anew. The clocks, reply and rating of the old cycle stay as they are."""
    request, calendar = move.request, move.city.reference.calendar
    request.reopens += 1
    request.cycle_no += 1
    request.contacted_at = request.diligent_at = request.replied_at = request.rate_until = None
    request.satisfaction = request.solved = request.drafted_by = None
    request.said_contacted = request.office_s = None
    request.called_back_at, request.sampled, request.settled_by_grid = None, False, False
    request.contact_attempts = request.info_rounds = request.extensions = 0
    order = move.clocks.get(Metric.SUPERVISE)
    move.clocks.clear()
    if order is not None and order.stopped_at is None:
        move.clocks[Metric.SUPERVISE] = order  # it is still to be answered
    request.calendar_version = calendar.version
    promise = sla.promise(move.policy, calendar, move.now, cycle_no=request.cycle_no)
    request.contact_due_at, request.reply_due_at = promise.contact_due_at, promise.reply_due_at
    request.provisional = promise.provisional
    move.start(Metric.CONTACT, promise.contact_due_at)
    move.start(Metric.REPLY, promise.reply_due_at)


async def reject(move: Move, form: RejectIn) -> Outcome:
    """不予受理: one person names the ground, another one decides."""
    refuse_personal_data(form.note, form.where_to_go)
    request = move.request
    asked = request.rejection_asked
    if asked is None:
        if form.ground_code is None:
            raise GroundMissing
        unreachable = form.ground_code is RejectionGround.UNREACHABLE
        if unreachable and request.info_rounds < guards.INFO_ROUNDS_PER_CYCLE:
            raise GroundUnfounded
        request.rejection_asked = {
            "ground_code": form.ground_code,
            "note": form.note,
            "where_to_go": form.where_to_go,
            "by": str(move.actor.id),
        }
        facts = {"ground_code": form.ground_code}
        return Outcome(request.state, note=form.note, facts=facts, meaning="ask")
    if form.decision is None:
        raise ReasonMissing("已有人提出不予受理，请选择同意或不同意。")
    request.rejection_asked = None
    if form.decision == "deny":
        return Outcome(request.state, note=form.note, facts={"decision": "deny"}, meaning="deny")
    ground = REJECTION_GROUND_TEXT[RejectionGround(asked["ground_code"])]
    where = f"\n建议：{asked['where_to_go']}" if asked["where_to_go"] else ""
    return Outcome(
        State.REJECTED,
        note=form.note,
        public_note=f"依据：{ground}\n{asked['note']}{where}\n"
        f"如有异议，可在{move.policy.reopen_window_days}日内提出。",
        facts={"ground_code": asked["ground_code"], "asked_by": asked["by"]},
    )


async def withdraw(move: Move, form: Form) -> Outcome:
    """撤回. Where others follow it, the first of them takes its place."""
    facts: dict[str, object] = {"after_contact": move.request.contacted_at is not None}
    passed_on = await succession.pass_on(move) if move.request.followers else ()
    if passed_on:
        facts["passed_on_to"] = str(passed_on[0][0].id)
    return Outcome(State.WITHDRAWN, public_note=form.note, facts=facts, also=passed_on)


async def archive(move: Move, _form: Form) -> Outcome:
    move.request.previous_state = move.request.state  # how it ended, for the figures
    return Outcome(State.ARCHIVED)


async def correct(move: Move, form: CorrectIn) -> Outcome:
    """纠错: a line is added that says what was wrong; nothing that was written changes. The auditor
    approves on paper (``approval`` names the decision) and never writes here."""
    refuse_personal_data(form.field, form.was, form.correct, form.approval)
    auditors = {member.id for member in await people.by_role(move.session, Role.AUDITOR)}
    if form.approved_by not in auditors:
        raise ApproverUnknown
    return Outcome(
        move.request.state,
        note=f"{form.field}：“{form.was}”应为“{form.correct}”。{form.note}",
        facts={
            "approved_by": str(form.approved_by),
            "approval": form.approval,
        },
    )
