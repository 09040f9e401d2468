"""The words of a request's life: its states, what can be done, and how both are called.

What may follow what stands in ``lifecycle.TRANSITIONS``; how the clocks behave, in ``REPLY_CLOCK``.
Source: the workflow's table of states and actions.
"""

from enum import StrEnum


class State(StrEnum):
    SUBMITTED = "submitted"
    NEED_INFO = "need_info"
    TRIAGE = "triage"
    ASSIGNED = "assigned"
    RETURN_REVIEW = "return_review"
    IN_PROGRESS = "in_progress"
    SUSPENDED = "suspended"
    REPLY_REVIEW = "reply_review"
    REPLIED = "replied"
    REOPEN_REVIEW = "reopen_review"
    CLOSED = "closed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    MERGED = "merged"
    ARCHIVED = "archived"


class Action(StrEnum):
    SUBMIT = "submit"
    ASSIGN = "assign"
    QUEUE = "queue"
    ASK_INFO = "ask_info"
    SUPPLY = "supply"
    EXPIRE_INFO = "expire_info"
    SIGN = "sign"
    AUTO_SIGN = "auto_sign"
    RETURN = "return"
    DECIDE_RETURN = "decide_return"
    TRANSFER = "transfer"
    CONTACT = "contact"
    CO_ASSIGN = "co_assign"
    CO_FEEDBACK = "co_feedback"
    REQUEST_EXTENSION = "request_extension"
    DECIDE_EXTENSION = "decide_extension"
    SUSPEND = "suspend"
    RESUME = "resume"
    URGE = "urge"
    SUPERVISE = "supervise"
    REPLY = "reply"
    DECIDE_REPLY = "decide_reply"
    RATE = "rate"
    AUTO_CLOSE = "auto_close"
    CALL_BACK = "call_back"
    REQUEST_REOPEN = "request_reopen"
    DECIDE_REOPEN = "decide_reopen"
    REJECT = "reject"
    APPEAL = "appeal"
    WITHDRAW = "withdraw"
    MERGE = "merge"
    UNMERGE = "unmerge"
    SETTLE = "settle"
    RECLASSIFY = "reclassify"
    ARCHIVE = "archive"
    CORRECT = "correct"


# fmt: off
STATE_TEXT: dict[State, tuple[str, str]] = {
    #                    staff        resident
    State.SUBMITTED:     ("待受理",    "已提交"),
    State.NEED_INFO:     ("待补充",    "请补充材料"),
    State.TRIAGE:        ("待派单",    "已受理"),
    State.ASSIGNED:      ("待签收",    "已派单"),
    State.RETURN_REVIEW: ("退单待审",  "已派单"),
    State.IN_PROGRESS:   ("办理中",    "办理中"),
    State.SUSPENDED:     ("已挂起",    "暂缓办理"),
    State.REPLY_REVIEW:  ("答复待审",  "办理中"),
    State.REPLIED:       ("已答复",    "已答复，请评价"),
    State.REOPEN_REVIEW: ("申请重办待审", "复核中"),
    State.CLOSED:        ("已办结",    "已办结"),
    State.REJECTED:      ("不予受理",  "不予受理"),
    State.WITHDRAWN:     ("已撤回",    "已撤回"),
    State.MERGED:        ("已并单",    "已合并办理"),
    State.ARCHIVED:      ("已归档",    "已归档"),
}

ACTION_TEXT: dict[Action, str] = {
    Action.SUBMIT: "提交",
    Action.ASSIGN: "派单",
    Action.QUEUE: "转人工",
    Action.ASK_INFO: "要求补充",
    Action.SUPPLY: "补充",
    Action.EXPIRE_INFO: "补充超期",
    Action.SIGN: "签收",
    Action.AUTO_SIGN: "超时自动签收",
    Action.RETURN: "退单",
    Action.DECIDE_RETURN: "退单审核",
    Action.TRANSFER: "转派",
    Action.CONTACT: "联系登记",
    Action.CO_ASSIGN: "协办",
    Action.CO_FEEDBACK: "协办反馈",
    Action.REQUEST_EXTENSION: "申请延期",
    Action.DECIDE_EXTENSION: "审批延期",
    Action.SUSPEND: "挂起",
    Action.RESUME: "解挂",
    Action.URGE: "催办",
    Action.SUPERVISE: "督办",
    Action.REPLY: "答复",
    Action.DECIDE_REPLY: "答复审核",
    Action.RATE: "评价",
    Action.AUTO_CLOSE: "超期默认办结",
    Action.CALL_BACK: "回访",
    Action.REQUEST_REOPEN: "申请重办",
    Action.DECIDE_REOPEN: "重办审核",
    Action.REJECT: "不予受理",
    Action.APPEAL: "异议",
    Action.WITHDRAW: "撤回",
    Action.MERGE: "并单",
    Action.UNMERGE: "拆单",
    Action.SETTLE: "自办自结",
    Action.RECLASSIFY: "改类改址",
    Action.ARCHIVE: "归档",
    Action.CORRECT: "纠错",
}
# fmt: on

FINAL = frozenset({State.CLOSED, State.REJECTED, State.WITHDRAWN, State.MERGED, State.ARCHIVED})
OPEN = frozenset(State) - FINAL


class Clock(StrEnum):
    """What a clock does while a request is in a state."""

    RUNS = "runs"
    STANDS = "stands"
    ENDED = "ended"  # stopped: met or missed
    CANCELLED = "cancelled"  # neither met nor missed


# What the reply clock does on entering a state. The contact clock never stands: it ends with the
# first successful contact, whatever the state, and is cancelled where the reply clock is.
# fmt: off
REPLY_CLOCK: dict[State, Clock] = {
    State.SUBMITTED:     Clock.RUNS,
    State.NEED_INFO:     Clock.STANDS,  # the resident has the ball
    State.TRIAGE:        Clock.RUNS,
    State.ASSIGNED:      Clock.RUNS,
    State.RETURN_REVIEW: Clock.RUNS,    # units arguing cost the resident nothing
    State.IN_PROGRESS:   Clock.RUNS,
    State.SUSPENDED:     Clock.STANDS,
    State.REPLY_REVIEW:  Clock.RUNS,    # an answer nobody has sent is no answer
    State.REPLIED:       Clock.ENDED,
    State.REOPEN_REVIEW: Clock.ENDED,
    State.CLOSED:        Clock.ENDED,
    State.REJECTED:      Clock.CANCELLED,
    State.WITHDRAWN:     Clock.CANCELLED,
    State.MERGED:        Clock.CANCELLED,
    State.ARCHIVED:      Clock.ENDED,
}
# fmt: on
