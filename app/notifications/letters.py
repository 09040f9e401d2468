"""Who hears of what, and in which words. One row an event; no personal data in any of them.

The audiences are the field's own: the resident, the responsible unit, the desk (the town's
dispatchers), the grid's leaders, the supervisors.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.escalation import LEVEL_TEXT, Level
from app.domain.events import ClockFired, RequestEvent, RequestMoved, RequestSubmitted
from app.domain.lifecycle import Action, State
from app.domain.sla import METRIC_TEXT, Metric


class Audience(StrEnum):
    RESIDENT = "resident"
    HANDLERS = "handlers"
    UNIT = "unit"  # handlers and the unit's leader
    DESK = "desk"
    GRID = "grid"
    SUPERVISORS = "supervisors"


@dataclass(frozen=True, slots=True)
class Letter:
    to: Audience
    title: str
    body: str  # ``{number}`` is filled in


RECEIPT = Letter(
    Audience.RESIDENT, "诉求已受理", "您的诉求 {number} 已收到，工作人员会在承诺的时限内与您联系。"
)
GRID_NEWS = Letter(Audience.GRID, "本网格新诉求", "本网格收到新诉求 {number}。")
TO_SIGN = Letter(
    Audience.UNIT, "待签收诉求", "诉求 {number} 已派至本单位，请及时签收并联系诉求人。"
)
TO_ASSIGN = Letter(Audience.DESK, "待派单诉求", "诉求 {number} 需要人工派单。")

R, U, D = Audience.RESIDENT, Audience.UNIT, Audience.DESK

# fmt: off
BY_ACTION: dict[Action, tuple[Letter, ...]] = {
    Action.ASSIGN:        (TO_SIGN, Letter(R, "诉求已派单", "您的诉求 {number} 已派给承办单位。")),
    Action.SIGN:          (Letter(R, "诉求办理中", "您的诉求 {number} 已由承办单位签收办理。"),),
    Action.ASK_INFO:      (Letter(R, "请补充材料", "您的诉求 {number} 需要补充信息，请打开小程序查看。"),),
    Action.RETURN:        (Letter(D, "退单待审", "诉求 {number} 被承办单位退回，请审核。"),),
    Action.REPLY:         (Letter(R, "诉求已答复，请评价", "您的诉求 {number} 已答复，请查看并评价。"),),
    Action.RATE:          (Letter(U, "诉求已评价", "诉求 {number} 的诉求人已评价。"),),
    Action.AUTO_CLOSE:    (Letter(R, "诉求已办结", "您的诉求 {number} 评价期限已过，已自动办结。"),),
    Action.REJECT:        (Letter(R, "诉求不予受理", "您的诉求 {number} 不予受理，请打开小程序查看依据。"),),
    Action.WITHDRAW:      (Letter(U, "诉求已撤回", "诉求 {number} 已由诉求人撤回。"),),
}
# fmt: on

BY_STATE: dict[tuple[Action, State], tuple[Letter, ...]] = {
    (Action.DECIDE_RETURN, State.ASSIGNED): (TO_SIGN,),
    (Action.DECIDE_RETURN, State.TRIAGE): (TO_ASSIGN,),
    (Action.DECIDE_RETURN, State.IN_PROGRESS): (
        Letter(U, "退单未通过", "诉求 {number} 的退单未通过，请继续办理。"),
    ),
    (Action.SUPPLY, State.IN_PROGRESS): (
        Letter(U, "诉求人已补充", "诉求 {number} 的诉求人已补充信息，请继续办理。"),
    ),
    (Action.SUPPLY, State.TRIAGE): (
        Letter(D, "诉求人已补充", "诉求 {number} 的诉求人已补充信息，请派单。"),
    ),
    (Action.RATE, State.REOPEN_REVIEW): (
        Letter(D, "申请重办待审", "诉求 {number} 的诉求人不满意，请复核。"),
    ),
}

_DUTY_LADDER: dict[Level, tuple[Audience, ...]] = {
    Level.DUE_SOON_1: (Audience.HANDLERS,),
    Level.DUE_SOON_2: (Audience.HANDLERS,),
    Level.BREACH_1: (Audience.UNIT,),
    Level.BREACH_2: (Audience.UNIT, Audience.DESK),
    Level.BREACH_3: (Audience.UNIT, Audience.DESK, Audience.SUPERVISORS),
}
_RATE_REMINDER = Letter(R, "请评价", "您的诉求 {number} 已答复，评价期限将至，请评价。")


def letters_for(event: RequestEvent) -> tuple[Letter, ...]:
    """Return who hears of ``event`` and what they read."""
    match event:
        case RequestSubmitted():
            duty = TO_SIGN if event.unit_code else TO_ASSIGN
            return (RECEIPT, duty, GRID_NEWS)
        case RequestMoved():
            action, state = Action(event.action), State(event.state)
            return BY_ACTION.get(action, ()) + BY_STATE.get((action, state), ())
        case ClockFired():
            return _of_clock(Metric(event.metric), Level(event.level))
        case _:
            return ()


def _of_clock(metric: Metric, level: Level) -> tuple[Letter, ...]:
    if metric is Metric.RATE:
        return (_RATE_REMINDER,) if level in (Level.REMIND_1, Level.REMIND_2) else ()
    title = f"{METRIC_TEXT[metric]}时限{LEVEL_TEXT[level]}"
    body = f"诉求 {{number}} 的{METRIC_TEXT[metric]}时限{LEVEL_TEXT[level]}，请尽快处理。"
    return tuple(Letter(to, title, body) for to in _DUTY_LADDER.get(level, ()))
