"""The answer and what the resident says of it: 答复, 评价, 默认办结, 回访, 自办自结."""

from sqlalchemy import update

from app.domain import satisfaction, sla
from app.domain.errors import FieldError, Invalid
from app.domain.satisfaction import ReplyResult, Solved
from app.domain.sla import Metric
from app.domain.states import State
from app.requests import crowds
from app.requests.children import CallBack
from app.requests.forms import CallBackIn, DecideIn, Form, RatingIn, ReplyIn
from app.requests.models import CitizenRequest, Rating, Reply
from app.requests.move import Move, Outcome, ReasonMissing, refuse_personal_data


class PlanUnclear(Invalid):
    """答复结果为“列入计划”时，应填写计划完成日期。"""

    code = "plan_unclear"


# What is meant where nothing more exact is said.
_RESULT_OF: dict[Solved, ReplyResult] = {
    Solved.SOLVED: ReplyResult.SOLVED,
    Solved.PARTLY: ReplyResult.PARTLY,
    Solved.UNSOLVED: ReplyResult.EXPLAINED,
}


async def reply(move: Move, form: ReplyIn) -> Outcome:
    written = await _draft(move, form)
    if move.policy.review_required:
        move.request.drafted_by = move.actor.id
        return Outcome(State.REPLY_REVIEW, note=form.note)
    return _sent(move, written, form.note)


async def settle(move: Move, form: ReplyIn) -> Outcome:
    """自办自结: the grid answers by itself, without any unit."""
    written = await _draft(move, form)
    move.request.settled_by_grid = True
    return _sent(move, written, form.note)


async def _draft(move: Move, form: ReplyIn) -> Reply:
    refuse_personal_data(form.public_reply, form.unsolved_reason)
    if form.solved is not satisfaction.Solved.SOLVED and form.unsolved_reason is None:
        raise ReasonMissing(
            errors=[FieldError("/unsolved_reason", "field_required", "未全部解决时请填写原因")]
        )
    result = form.result_type or _RESULT_OF[form.solved]
    if (result is ReplyResult.PLANNED) is (form.planned_on is None):
        raise PlanUnclear(
            errors=[FieldError("/planned_on", "field_required", "列入计划的请填写计划完成日期")]
        )
    if form.planned_on is not None and form.planned_on < move.today:
        raise PlanUnclear("计划完成日期不能早于今天。")
    request = move.request
    written = await move.session.get(Reply, (request.id, request.cycle_no))
    if written is None:  # sent back before: the new draft takes the place of the old one
        written = Reply(request_id=request.id, cycle_no=request.cycle_no)
        move.session.add(written)
    written.public_reply = form.public_reply
    written.internal_note = form.internal_note
    written.factual = form.factual
    written.solved = form.solved
    written.unsolved_reason = form.unsolved_reason
    written.result_type, written.planned_on = result, form.planned_on
    written.by, written.at = move.actor.id, move.now
    return written


async def decide_reply(move: Move, form: DecideIn) -> Outcome:
    request = move.request
    request.drafted_by = None
    if form.decision == "deny":
        if form.note is None:
            raise ReasonMissing
        return Outcome(State.IN_PROGRESS, note=form.note, facts={"decision": "deny"})
    written = await move.session.get_one(Reply, (request.id, request.cycle_no))
    return _sent(move, written, form.note)


def _sent(move: Move, written: Reply, note: str | None) -> Outcome:
    """The answer reaches the resident: here the promise ends and the window for rating opens."""
    request = move.request
    request.replied_at = written.sent_at = move.now
    written.took = move.now - request.assigned_at if request.assigned_at else None
    until = max(move.now, request.submitted_at)
    worked, _ = sla.settled(
        move.city.reference.calendar, lambda by: by.between(request.submitted_at, until)
    )
    request.office_s = int(worked.total_seconds())
    request.sampled = satisfaction.is_sampled(request.id, request.cycle_no)
    move.open_rating()
    return Outcome(
        State.REPLIED,
        note=note,
        public_note=written.public_reply,
        facts={"solved": written.solved, "result_type": written.result_type},
    )


async def rate(move: Move, form: RatingIn) -> Outcome:
    """The resident's word. Inside the window it may be changed."""
    if not satisfaction.is_satisfied(form.satisfaction) and not form.reasons:
        raise ReasonMissing(
            errors=[FieldError("/reasons", "field_required", "不满意时请选择至少一个原因")]
        )
    request = move.request
    await _write_beside_call_back(move, form)
    await crowds.write(move.session, request, form, resident_id=move.actor.id, now=move.now)
    request.satisfaction, request.solved = form.satisfaction, form.solved
    request.said_contacted = form.contacted
    move.end(Metric.RATE)
    if request.state is State.MERGED:  # a follower's own word; the master goes its own way
        target = State.MERGED
    else:
        target = _after_word(request, form.satisfaction, form.solved)
    return Outcome(
        target,
        public_note=form.text,
        facts={
            "satisfaction": form.satisfaction,
            "solved": form.solved,
            "contacted": form.contacted,
            "cycle_no": request.cycle_no,
        },
    )


async def _write_beside_call_back(move: Move, form: RatingIn) -> None:
    """Who was called already is compared by what they write now."""
    request = move.request
    if request.called_back_at is None:
        return
    await move.session.execute(
        update(CallBack)
        .where(CallBack.request_id == request.id, CallBack.cycle_no == request.cycle_no)
        .values(written=form.satisfaction, written_solved=form.solved, written_by=move.actor.id)
    )


def _after_word(request: CitizenRequest, word: int, solved: Solved) -> State:
    """Where the resident's word leads. Once it was looked at again, only asking opens it anew."""
    looked_at = request.reviewed_by is not None
    return satisfaction.after_rating(
        satisfaction=word, solved=solved, cycle_no=max(request.cycle_no, 2 if looked_at else 1)
    )


async def auto_close(move: Move, _form: Form) -> Outcome:
    move.end(Metric.RATE)
    return Outcome(State.CLOSED, public_note="评价期限已过，系统自动办结（未评价）")


async def call_back(move: Move, form: CallBackIn) -> Outcome:
    """回访: asked by somebody outside the unit; a bad answer is looked at like a bad rating."""
    request = move.request
    if form.reached and (form.satisfaction is None or form.solved is None):
        raise ReasonMissing("已联系上的回访请填写是否解决和满意度。")
    rating = await move.session.get(Rating, (request.id, request.cycle_no))
    move.session.add(
        CallBack(
            request_id=request.id,
            cycle_no=request.cycle_no,
            reached=form.reached,
            contacted=form.contacted,
            solved=form.solved,
            satisfaction=form.satisfaction,
            text=form.text,
            by=move.actor.id,
            at=move.now,
            unit_code=request.unit_code,
            written=rating.satisfaction if rating else None,
            written_solved=rating.solved if rating else None,
            written_by=rating.resident_id if rating else None,
        )
    )
    request.called_back_at = move.now
    target = request.state
    if form.reached and form.satisfaction is not None and form.solved is not None:
        if request.satisfaction is None:  # what was said stands for what was not written
            request.satisfaction, request.solved = form.satisfaction, form.solved
            request.said_contacted = form.contacted
        if _after_word(request, form.satisfaction, form.solved) is State.REOPEN_REVIEW:
            move.end(Metric.RATE)
            target = State.REOPEN_REVIEW
    return Outcome(
        target,
        note=form.note,
        facts={
            "source": "call_back",
            "reached": form.reached,
            "satisfaction": form.satisfaction,
            "solved": form.solved,
            "cycle_no": request.cycle_no,
        },
    )
