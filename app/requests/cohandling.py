"""协办: another unit does a part of it."""

from app.domain import cotasks
from app.domain.cotasks import OPEN_CO_TASK, CoTaskState, CoTaskStep, Side
from app.domain.errors import Invalid, NotFound
from app.domain.identity import Role
from app.domain.sla import Metric
from app.requests import clocks
from app.requests.children import CoTask
from app.requests.forms import CoAssignIn, CoFeedbackIn
from app.requests.move import Move, Outcome, ReasonMissing, SameUnit


class CoTaskUnknown(NotFound):
    """没有找到该协办任务。"""

    code = "co_task_not_found"


class CoTaskDueWrong(Invalid):
    """协办期限应晚于现在，且不晚于答复时限。"""

    code = "time_out_of_range"


async def co_assign(move: Move, form: CoAssignIn) -> Outcome:
    request = move.request
    unit = move.city.reference.active_unit(form.unit_code)
    if unit.code == request.unit_code:
        raise SameUnit
    latest = move.clocks[Metric.REPLY].due_at
    due_at = form.due_at or latest
    if not move.now < due_at <= latest:
        raise CoTaskDueWrong
    task = CoTask(
        request_id=request.id,
        cycle_no=request.cycle_no,
        unit_code=unit.code,
        state=CoTaskState.ASSIGNED,
        task=form.task,
        due_at=due_at,
        asked_by=move.actor.id,
        asked_at=move.now,
    )
    move.session.add(task)
    await move.session.flush()
    request.open_co_tasks += 1
    await run_to_the_earliest(move)
    return Outcome(
        request.state,
        note=form.task,
        facts={"co_task_id": str(task.id), "unit_code": unit.code, "due_at": due_at.isoformat()},
        co_unit_code=unit.code,
    )


async def co_feedback(move: Move, form: CoFeedbackIn) -> Outcome:
    """A step of the co-task's own machine; the request stays where it is."""
    request = move.request
    task = await move.session.get(CoTask, form.co_task_id)
    if task is None or task.request_id != request.id or not _is_there(move, task):
        raise CoTaskUnknown
    step = cotasks.take(task.state, CoTaskStep(form.step), by=_side(move, task))
    if step.note_required and form.note is None:
        raise ReasonMissing
    task.state = step.target
    if step.step is CoTaskStep.FEED_BACK:
        task.feedback, task.fed_back_at = form.note, move.now
    if step.target not in OPEN_CO_TASK:
        task.ended_at = move.now
        request.open_co_tasks -= 1
    await run_to_the_earliest(move)
    return Outcome(
        request.state,
        note=form.note,
        facts={
            "co_task_id": str(task.id),
            "unit_code": task.unit_code,
            "step": step.step,
            "co_task_state": step.target,
        },
        meaning=step.step,
        co_unit_code=task.unit_code,
    )


def _is_there(move: Move, task: CoTask) -> bool:
    """A part of what is handled now; of other units' parts a unit knows nothing."""
    mine = move.actor.unit_code in (None, task.unit_code, move.request.unit_code)
    return mine and task.cycle_no == move.request.cycle_no


def _side(move: Move, task: CoTask) -> Side:
    """Whose step it is: the desk and the responsible unit are the host."""
    of_unit = move.actor.role in (Role.HANDLER, Role.UNIT_LEADER)
    co_unit = of_unit and move.actor.unit_code == task.unit_code
    return Side.CO_UNIT if co_unit else Side.HOST


async def run_to_the_earliest(move: Move) -> None:
    """One clock for all parts: it runs to the earliest that a unit still owes something to."""
    await move.session.flush()
    owed = [
        task.due_at
        for task in await move.open_co_tasks()
        if task.state in (CoTaskState.ASSIGNED, CoTaskState.WORKING)
    ]
    running = move.clocks.get(Metric.COTASK)
    if not owed:
        move.end(Metric.COTASK)
    elif running is None or running.stopped_at is not None:
        move.start(Metric.COTASK, min(owed))
    elif running.due_at != min(owed):
        clocks.move_due(running, min(owed), city=move.city)
