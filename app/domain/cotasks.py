"""协办: the small machine of a co-task, as one table.

待签收 → 办理中 → 已反馈 → 主办确认 or 退回. The co-unit signs, feeds back or declines; the unit
that answers for the whole (or the desk) confirms or sends back.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import Conflict, Forbidden


class CoTaskState(StrEnum):
    ASSIGNED = "assigned"
    WORKING = "working"
    FED_BACK = "fed_back"
    DONE = "done"
    DECLINED = "declined"


class CoTaskStep(StrEnum):
    SIGN = "sign"
    FEED_BACK = "feed_back"
    DECLINE = "decline"
    CONFIRM = "confirm"
    SEND_BACK = "send_back"


CO_TASK_STATE_TEXT: dict[CoTaskState, str] = {
    CoTaskState.ASSIGNED: "待签收",
    CoTaskState.WORKING: "办理中",
    CoTaskState.FED_BACK: "已反馈",
    CoTaskState.DONE: "已确认",
    CoTaskState.DECLINED: "已退回",
}
OPEN_CO_TASK = frozenset({CoTaskState.ASSIGNED, CoTaskState.WORKING, CoTaskState.FED_BACK})


class Side(StrEnum):
    CO_UNIT = "co_unit"
    HOST = "host"  # the unit that answers for the whole, or the desk


@dataclass(frozen=True, slots=True)
class CoTransition:
    source: CoTaskState
    step: CoTaskStep
    target: CoTaskState
    by: Side
    note_required: bool = False


T, P = CoTaskState, CoTaskStep

# fmt: off
CO_TRANSITIONS: tuple[CoTransition, ...] = (
    CoTransition(T.ASSIGNED, P.SIGN,      T.WORKING,  Side.CO_UNIT),
    CoTransition(T.ASSIGNED, P.DECLINE,   T.DECLINED, Side.CO_UNIT, note_required=True),
    CoTransition(T.WORKING,  P.FEED_BACK, T.FED_BACK, Side.CO_UNIT, note_required=True),
    CoTransition(T.FED_BACK, P.CONFIRM,   T.DONE,     Side.HOST),
    CoTransition(T.FED_BACK, P.SEND_BACK, T.WORKING,  Side.HOST,    note_required=True),
)
# fmt: on

_BY_STEP = {(row.source, row.step): row for row in CO_TRANSITIONS}


class IllegalCoTaskStep(Conflict):
    """协办任务当前状态下不能这样做。"""

    code = "illegal_co_task_step"


class NotYourCoTask(Forbidden):
    """这一步不由您的单位办理。"""

    code = "not_your_co_task"


def take(state: CoTaskState, step: CoTaskStep, *, by: Side) -> CoTransition:
    """Return the row. Raises: IllegalCoTaskStep, NotYourCoTask."""
    row = _BY_STEP.get((state, step))
    if row is None:
        raise IllegalCoTaskStep(state=state, step=step)
    if row.by is not by:
        raise NotYourCoTask(step=step)
    return row
