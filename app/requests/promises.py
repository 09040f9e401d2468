"""The promise itself: 延期, 挂起, 解挂. Always asked by one person and decided by another."""

from datetime import date

from sqlalchemy import select

from app.domain import sla
from app.domain.errors import Invalid
from app.domain.identity import Role
from app.domain.matters import SUSPENSION_DAYS, PauseReason
from app.domain.sla import Metric
from app.domain.states import State
from app.requests.children import Extension
from app.requests.forms import DecideIn, ExtensionIn, ResumeIn, SuspendIn
from app.requests.move import Move, Outcome, ReasonMissing, refuse_personal_data


class ExtensionTooLong(Invalid):
    """延期天数超过上限。"""

    code = "extension_too_long"


class SuspensionEndWrong(Invalid):
    """预计恢复日期应在明天或以后、90天之内。"""

    code = "time_out_of_range"


async def request_extension(move: Move, form: ExtensionIn) -> Outcome:
    request = move.request
    most = move.policy.extension_days
    if form.working_days > most:
        raise ExtensionTooLong(f"一次最多延期{most}个工作日。", most=most)
    move.session.add(
        Extension(
            request_id=request.id,
            cycle_no=request.cycle_no,
            working_days=form.working_days,
            reason=form.reason_code,
            note=form.note or "",
            asked_by=move.actor.id,
            asked_at=move.now,
        )
    )
    request.extension_asked = {"working_days": form.working_days, "by": str(move.actor.id)}
    return Outcome(
        request.state,
        note=form.note,
        facts={"working_days": form.working_days, "reason_code": form.reason_code},
    )


async def pending_extension(move: Move) -> Extension:
    """The extension that waits for a decision; the guard has seen that there is one."""
    found = await move.session.scalars(
        select(Extension).where(
            Extension.request_id == move.request.id, Extension.decided_at.is_(None)
        )
    )
    return found.one()


async def decide_extension(move: Move, form: DecideIn) -> Outcome:
    request = move.request
    granted = form.decision == "approve"
    if not granted and form.note is None:
        raise ReasonMissing
    refuse_personal_data(form.note if granted else None)
    extension = await pending_extension(move)
    extension.decided_by = None if move.by_clock else move.actor.id
    extension.decided_at, extension.granted = move.now, granted
    request.extension_asked = None
    facts: dict[str, object] = {"decision": form.decision, "working_days": extension.working_days}
    if not granted:
        return Outcome(request.state, note=form.note, facts=facts, meaning="deny")
    request.extensions += 1
    reply = move.clocks[Metric.REPLY]
    extension.due_before = reply.due_at
    due_at, provisional = sla.settled(
        move.city.reference.calendar,
        lambda by: sla.extend(by, reply.due_at, extension.working_days),
    )
    await move.move_reply_due(due_at, provisional=provisional)
    extension.due_after = due_at
    facts["reply_due_at"] = due_at.isoformat()
    return Outcome(request.state, public_note=form.note, facts=facts, meaning="approve")


async def suspend(move: Move, form: SuspendIn) -> Outcome:
    """The unit's leader asks; the desk allows or refuses. The clock stands from being allowed."""
    request = move.request
    if move.actor.role is Role.UNIT_LEADER:
        if form.reason_code in (None, PauseReason.NEED_INFO) or form.until is None:
            raise ReasonMissing("请选择挂起原因并填写预计恢复日期。")
        days = (form.until - move.today).days
        if not 1 <= days <= SUSPENSION_DAYS:
            raise SuspensionEndWrong
        request.suspension_asked = {
            "reason_code": form.reason_code,
            "until": form.until.isoformat(),
            "by": str(move.actor.id),
        }
        facts = dict(request.suspension_asked)
        return Outcome(State.IN_PROGRESS, note=form.note, facts=facts, meaning="ask")
    if form.decision is None:
        raise ReasonMissing("请选择同意或不同意。")
    asked = request.suspension_asked or {}
    request.suspension_asked = None
    if form.decision == "deny":
        return Outcome(
            State.IN_PROGRESS, note=form.note, facts={"decision": "deny"}, meaning="deny"
        )
    refuse_personal_data(form.note)
    resume_on = sla.start_of_day(move.city.reference.calendar, date.fromisoformat(asked["until"]))
    if resume_on <= move.now:
        raise SuspensionEndWrong
    request.resume_on = resume_on
    move.start(Metric.SUSPENSION, resume_on)
    move.pause(PauseReason(asked["reason_code"]))
    return Outcome(
        State.SUSPENDED,
        public_note=form.note,
        facts={"decision": "approve", "reason_code": asked["reason_code"], "until": asked["until"]},
    )


async def resume(move: Move, form: ResumeIn) -> Outcome:
    """The work goes on: the day has come, staff say so, or the resident has something new."""
    if move.actor.role is Role.RESIDENT:
        if form.text is None:
            raise ReasonMissing("请填写新的情况。")
    else:
        refuse_personal_data(form.text, form.note)
    return Outcome(State.IN_PROGRESS, public_note=form.text or form.note)
