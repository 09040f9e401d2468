"""Who hears of what, and in which words. One row an event; no personal data in any of them.

The audiences are the field's own: the resident, the responsible unit, the desk (the town's
dispatchers), the grid's leaders, the supervisors.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from app.domain.cotasks import CoTaskStep
from app.domain.escalation import LEVEL_TEXT, Level
from app.domain.events import (
    ClockFired,
    PromiseMoved,
    RequestEvent,
    RequestMoved,
    RequestSubmitted,
)
from app.domain.sla import METRIC_TEXT, Metric
from app.domain.states import Action, State
from app.domain.working_time import SHANGHAI


class Audience(StrEnum):
    RESIDENT = "resident"
    HANDLERS = "handlers"
    UNIT = "unit"  # handlers and the unit's leader
    DESK = "desk"
    GRID = "grid"
    SUPERVISORS = "supervisors"
    CO_UNIT = "co_unit"  # of the co-task that the event is about


@dataclass(frozen=True, slots=True)
class Letter:
    to: Audience
    title: str
    body: str  # ``{number}`` is filled in
    reminder: bool = False

    @property
    def may_wait(self) -> bool:
        """Whether it keeps quiet hours: whatever staff read, and reminders to residents."""
        return self.to is not Audience.RESIDENT or self.reminder


RECEIPT = Letter(
    Audience.RESIDENT, "诉求已受理", "您的诉求 {number} 已收到，工作人员会在承诺的时限内与您联系。"
)
GRID_NEWS = Letter(Audience.GRID, "本网格新诉求", "本网格收到新诉求 {number}。")
TO_SIGN = Letter(
    Audience.UNIT, "待签收诉求", "诉求 {number} 已派至本单位，请及时签收并联系诉求人。"
)
TO_ASSIGN = Letter(Audience.DESK, "待派单诉求", "诉求 {number} 需要人工派单。")

TO_DECIDE = Letter(Audience.DESK, "待审批", "诉求 {number} 有申请待审批。")

# To one person, whom the event names: filled in with the event's own facts.
TO_SUCCESSOR = Letter(
    Audience.GRID,
    "工作移交待确认",
    "您已接任{place}{title}，有 {open_requests} 件未办结诉求移交，请查看并确认。",
)

R, U, D, S = Audience.RESIDENT, Audience.UNIT, Audience.DESK, Audience.SUPERVISORS
CO = Audience.CO_UNIT

REPLIED = Letter(R, "诉求已答复，请评价", "您的诉求 {number} 已答复，请查看并评价。")
REJECTED = Letter(R, "诉求不予受理", "您的诉求 {number} 不予受理，请打开小程序查看依据。")
RESUMED = Letter(R, "诉求恢复办理", "您的诉求 {number} 已恢复办理。")
URGED = Letter(U, "诉求人催办", "诉求 {number} 被催办，请尽快办理。")

# fmt: off
BY_ACTION: dict[Action, tuple[Letter, ...]] = {
    Action.ASSIGN:        (TO_SIGN, Letter(R, "诉求已派单", "您的诉求 {number} 已派给承办单位。")),
    Action.SIGN:          (Letter(R, "诉求办理中", "您的诉求 {number} 已由承办单位签收办理。"),),
    Action.AUTO_SIGN:     (Letter(U, "超时自动签收", "诉求 {number} 超时未签收，系统已自动签收，请立即办理。"),
                           Letter(R, "诉求办理中", "您的诉求 {number} 已转入办理。")),
    Action.ASK_INFO:      (Letter(R, "请补充材料", "您的诉求 {number} 需要补充信息，请打开小程序查看。"),),
    Action.RETURN:        (Letter(D, "退单待审", "诉求 {number} 被承办单位退回，请审核。"),),
    Action.CO_ASSIGN:     (Letter(CO, "待签收协办任务", "诉求 {number} 有协办任务派至本单位，请及时签收。"),),
    Action.REQUEST_EXTENSION: (TO_DECIDE,),
    Action.SETTLE:        (REPLIED,),
    Action.REQUEST_REOPEN: (Letter(D, "申请重办待审", "诉求 {number} 的诉求人申请重办，请审核。"),),
    Action.APPEAL:        (Letter(D, "异议待审", "诉求 {number} 的诉求人对不予受理提出异议，请审核。"),),
    Action.RATE:          (Letter(U, "诉求已评价", "诉求 {number} 的诉求人已评价。"),),
    Action.AUTO_CLOSE:    (Letter(R, "诉求已办结", "您的诉求 {number} 评价期限已过，已自动办结。"),),
    Action.WITHDRAW:      (Letter(U, "诉求已撤回", "诉求 {number} 已由诉求人撤回。"),),
}
# fmt: on

BY_STATE: dict[tuple[Action, State], tuple[Letter, ...]] = {
    (Action.DECIDE_RETURN, State.ASSIGNED): (
        TO_SIGN,
        Letter(R, "诉求已改派", "您的诉求 {number} 已改派给新的承办单位，承诺时限不变。"),
    ),
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
    (Action.EXPIRE_INFO, State.IN_PROGRESS): (
        Letter(U, "补充期限已过", "诉求 {number} 逾期未补充信息，请按现有材料继续办理。"),
    ),
    (Action.EXPIRE_INFO, State.CLOSED): (
        Letter(R, "诉求已办结", "您的诉求 {number} 逾期未补充材料，已办结。"),
    ),
    (Action.SUSPEND, State.SUSPENDED): (
        Letter(
            R, "诉求暂缓办理", "您的诉求 {number} 暂缓办理，请打开小程序查看原因和预计恢复日期。"
        ),
        Letter(U, "挂起已批准", "诉求 {number} 的挂起申请已批准。"),
    ),
    (Action.RESUME, State.IN_PROGRESS): (
        RESUMED,
        Letter(U, "诉求已解挂", "诉求 {number} 已解挂，请继续办理。"),
    ),
    (Action.REPLY, State.REPLIED): (REPLIED,),
    (Action.REPLY, State.MERGED): (REPLIED,),
    (Action.REPLY, State.REPLY_REVIEW): (
        Letter(U, "答复待审核", "诉求 {number} 的答复待单位负责人审核。"),
    ),
    (Action.DECIDE_REPLY, State.REPLIED): (REPLIED,),
    (Action.DECIDE_REPLY, State.MERGED): (REPLIED,),
    (Action.DECIDE_REPLY, State.IN_PROGRESS): (
        Letter(U, "答复被退回", "诉求 {number} 的答复未通过审核，请修改后重新提交。"),
    ),
    (Action.RATE, State.REOPEN_REVIEW): (
        Letter(D, "申请重办待审", "诉求 {number} 的诉求人不满意，请复核。"),
    ),
    (Action.CALL_BACK, State.REOPEN_REVIEW): (
        Letter(D, "申请重办待审", "诉求 {number} 的诉求人在回访中表示不满意，请复核。"),
    ),
    (Action.DECIDE_REOPEN, State.ASSIGNED): (
        TO_SIGN,
        Letter(R, "诉求重新办理", "您的诉求 {number} 已重新办理，工作人员会再次与您联系。"),
    ),
    (Action.DECIDE_REOPEN, State.CLOSED): (
        Letter(R, "申请重办未通过", "您的诉求 {number} 的重办申请未通过，请打开小程序查看理由。"),
    ),
    (Action.DECIDE_REOPEN, State.REJECTED): (
        Letter(R, "异议未通过", "您对诉求 {number} 的异议未通过，请打开小程序查看理由。"),
    ),
    (Action.EXPIRE_INFO, State.MERGED): (
        Letter(R, "诉求已办结", "与您的诉求 {number} 合并办理的诉求因逾期未补充材料，已办结。"),
    ),
    (Action.REJECT, State.REJECTED): (REJECTED,),
    (Action.REJECT, State.MERGED): (REJECTED,),
    (Action.MERGE, State.MERGED): (
        Letter(R, "诉求合并办理", "您的诉求 {number} 已与同一问题合并办理，承诺时限不变。"),
        Letter(U, "诉求已并单", "诉求 {number} 已并入另一件诉求，不再单独办理。"),
    ),
    (Action.UNMERGE, State.TRIAGE): (
        TO_ASSIGN,
        Letter(R, "诉求单独办理", "您的诉求 {number} 将单独办理。"),
    ),
    (Action.MERGE, State.TRIAGE): (TO_ASSIGN,),
    (Action.MERGE, State.RETURN_REVIEW): (
        Letter(D, "退单待审", "诉求 {number} 接替已撤回的主单，其退单待审核。"),
    ),
    (Action.RECLASSIFY, State.TRIAGE): (TO_ASSIGN,),
    **dict.fromkeys(
        (
            (Action.URGE, state)
            for state in (State.ASSIGNED, State.RETURN_REVIEW, State.IN_PROGRESS, State.SUSPENDED)
        ),
        (URGED,),
    ),
    (Action.URGE, State.TRIAGE): (Letter(D, "诉求人催办", "诉求 {number} 被催办，请尽快派单。"),),
}

# Of actions that can mean several things: who hears of each.
BY_MEANING: dict[tuple[Action, str], tuple[Letter, ...]] = {
    (Action.TRANSFER, "inside"): (
        Letter(Audience.HANDLERS, "诉求转办", "诉求 {number} 已在本单位内转办，请查看。"),
    ),
    (Action.TRANSFER, "across"): (
        Letter(U, "转入诉求", "诉求 {number} 已转至本单位，请及时办理。"),
        Letter(R, "诉求已转派", "您的诉求 {number} 已转给新的承办单位，承诺时限不变。"),
    ),
    (Action.DECIDE_EXTENSION, "approve"): (
        Letter(R, "答复时限延长", "您的诉求 {number} 的答复时限已延长，请打开小程序查看新的时限。"),
        Letter(U, "延期已批准", "诉求 {number} 的延期申请已批准。"),
    ),
    (Action.DECIDE_EXTENSION, "deny"): (
        Letter(U, "延期未批准", "诉求 {number} 的延期申请未获批准，请按原时限办理。"),
    ),
    (Action.SUSPEND, "ask"): (TO_DECIDE,),
    (Action.SUSPEND, "deny"): (
        Letter(U, "挂起未批准", "诉求 {number} 的挂起申请未获批准，请继续办理。"),
    ),
    (Action.REJECT, "ask"): (TO_DECIDE,),
    (Action.RECLASSIFY, "propose"): (
        Letter(D, "改类改址建议", "承办单位建议调整诉求 {number} 的类别或地址，请核定。"),
    ),
    (Action.MERGE, "inherit"): (
        Letter(
            R,
            "诉求继续办理",
            "与您的诉求 {number} 合并办理的诉求已撤回，您的诉求继续办理，承诺时限不变。",
        ),
        Letter(U, "接续办理", "诉求 {number} 接替已撤回的主单，请继续办理并联系诉求人。"),
    ),
    (Action.SUPERVISE, "order"): (
        Letter(U, "督办通知", "诉求 {number} 被督办，请单位负责人在期限内书面答复。"),
    ),
    (Action.SUPERVISE, "answer"): (
        Letter(S, "督办已答复", "诉求 {number} 的督办已由承办单位答复。"),
    ),
    (Action.CO_FEEDBACK, CoTaskStep.FEED_BACK): (
        Letter(U, "协办已反馈", "诉求 {number} 的协办单位已反馈，请确认。"),
    ),
    (Action.CO_FEEDBACK, CoTaskStep.DECLINE): (
        Letter(U, "协办被退回", "诉求 {number} 的协办任务被退回，请另行安排。"),
    ),
    (Action.CO_FEEDBACK, CoTaskStep.SEND_BACK): (
        Letter(CO, "协办需继续", "诉求 {number} 的协办反馈未通过，请继续办理。"),
    ),
}

_DUTY_LADDER: dict[Level, tuple[Audience, ...]] = {
    Level.DUE_SOON_1: (Audience.HANDLERS,),
    Level.DUE_SOON_2: (Audience.HANDLERS,),
    Level.BREACH_1: (Audience.UNIT,),
    Level.BREACH_2: (Audience.UNIT, Audience.DESK),
    Level.BREACH_3: (Audience.UNIT, Audience.DESK, Audience.SUPERVISORS),
}
_REMINDERS: dict[Metric, Letter] = {
    Metric.RATE: Letter(
        R, "请评价", "您的诉求 {number} 已答复，评价期限将至，请评价。", reminder=True
    ),
    Metric.INFO: Letter(
        R, "请补充材料", "您的诉求 {number} 仍待补充信息，补充期限将至。", reminder=True
    ),
}
_INFO_EXPIRED = Letter(D, "补充期限已过", "诉求 {number} 逾期未补充信息，请确认如何办理。")


def letters_for(event: RequestEvent) -> tuple[Letter, ...]:
    """Return who hears of ``event`` and what they read."""
    match event:
        case RequestSubmitted():
            duty = TO_SIGN if event.unit_code else TO_ASSIGN
            return (RECEIPT, duty, GRID_NEWS)
        case RequestMoved():
            action, state = Action(event.action), State(event.state)
            return (
                BY_ACTION.get(action, ())
                + BY_STATE.get((action, state), ())
                + BY_MEANING.get((action, event.meaning or ""), ())
            )
        case ClockFired():
            return _of_clock(Metric(event.metric), Level(event.level))
        case PromiseMoved():
            return _of_calendar(event)
        case _:
            return ()


def _of_clock(metric: Metric, level: Level) -> tuple[Letter, ...]:
    if level in (Level.REMIND_1, Level.REMIND_2):
        return (_REMINDERS[metric],)
    if level is Level.EXPIRED:
        return (_INFO_EXPIRED,) if metric is Metric.INFO else ()
    title = f"{METRIC_TEXT[metric]}时限{LEVEL_TEXT[level]}"
    body = f"诉求 {{number}} 的{METRIC_TEXT[metric]}时限{LEVEL_TEXT[level]}，请尽快处理。"
    heard_by = (D, S) if metric is Metric.REVIEW else _DUTY_LADDER.get(level, ())
    return tuple(Letter(to, title, body) for to in heard_by)


def _of_calendar(event: PromiseMoved) -> tuple[Letter, ...]:
    metric = METRIC_TEXT[Metric(event.metric)]
    before, after = _by_when(event.due_before), _by_when(event.due_after)
    words = f"诉求 {{number}} 的{metric}时限由{before}前调整为{after}前。"
    title = f"{metric}时限调整"
    return (
        Letter(R, title, f"因工作日历公布，您的{words}"),
        Letter(U, title, f"因工作日历公布，{words}"),
    )


def _by_when(due_at: str) -> str:
    """``2027年1月8日24时``, or the minute."""
    due = datetime.fromisoformat(due_at).astimezone(SHANGHAI)
    if due.time() != time(0):
        return f"{due.year}年{due.month}月{due.day}日{due:%H:%M}"
    day = due.date() - timedelta(days=1)
    return f"{day.year}年{day.month}月{day.day}日24时"
