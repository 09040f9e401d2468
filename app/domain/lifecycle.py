"""The life of a citizen request, as tables.

Read ``TRANSITIONS`` from top to bottom: it is the workflow. The API, the buttons, the permission
check and the clocks are derived from it, so a change is made here and nowhere else. Chinese names
of states and actions stand in ``STATE_TEXT`` and ``ACTION_TEXT``.

Source: the workflow's table of states and actions; numbers in comments are its row numbers.
"""

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import Conflict, Forbidden, Invalid
from app.domain.identity import Role


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
    SIGN = "sign"
    RETURN = "return"
    DECIDE_RETURN = "decide_return"
    CONTACT = "contact"
    REPLY = "reply"
    RATE = "rate"
    AUTO_CLOSE = "auto_close"
    REJECT = "reject"
    WITHDRAW = "withdraw"


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
    Action.SIGN: "签收",
    Action.RETURN: "退单",
    Action.DECIDE_RETURN: "退单审核",
    Action.CONTACT: "联系登记",
    Action.REPLY: "答复",
    Action.RATE: "评价",
    Action.AUTO_CLOSE: "超期默认办结",
    Action.REJECT: "不予受理",
    Action.WITHDRAW: "撤回",
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


class Guard(StrEnum):
    """A condition on the request itself. ``domain.guards`` knows how each is found out."""

    CONTACTED = "contacted"
    INFO_ROUNDS_LEFT = "info_rounds_left"
    RETURN_WINDOW_OPEN = "return_window_open"
    NOT_RETURNED_BEFORE = "not_returned_before"
    RATING_WINDOW_OPEN = "rating_window_open"
    RATING_WINDOW_OVER = "rating_window_over"


GUARD_TEXT: dict[Guard, str] = {
    Guard.CONTACTED: "请先登记与诉求人的联系",
    Guard.INFO_ROUNDS_LEFT: "本轮办理已两次要求补充，不能再次要求",
    Guard.RETURN_WINDOW_OPEN: "已超过退单时限",
    Guard.NOT_RETURNED_BEFORE: "本单位已退过此单，不能再次退单",
    Guard.RATING_WINDOW_OPEN: "评价期限已过",
    Guard.RATING_WINDOW_OVER: "评价期限未到",
}

INFO_ROUNDS_PER_CYCLE = 2
DILIGENT_ATTEMPTS = 3  # failed attempts that stand for a contact (已尽责未联系上)


@dataclass(frozen=True, slots=True)
class Transition:
    """``action`` leads from ``source`` to one of ``targets``; which one, the facts decide."""

    source: State
    action: Action
    targets: tuple[State, ...]
    by: Set[Role]
    note_required: bool = False
    guards: tuple[Guard, ...] = ()


S, A, R = State, Action, Role
RESIDENT = frozenset({R.RESIDENT})
GRID = frozenset({R.GRID_LEADER, R.MICRO_GRID_LEADER})
DESK = frozenset({R.DISPATCHER})
HANDLER = frozenset({R.HANDLER})
UNIT = frozenset({R.HANDLER, R.UNIT_LEADER})
CLOCKWORK = frozenset({R.SYSTEM})

RESUMABLE = (S.SUBMITTED, S.TRIAGE, S.IN_PROGRESS)  # where NEED_INFO can have come from
INFO = (Guard.INFO_ROUNDS_LEFT,)
RETURNABLE = (Guard.RETURN_WINDOW_OPEN, Guard.NOT_RETURNED_BEFORE)

# fmt: off
TRANSITIONS: tuple[Transition, ...] = (
    #          from             action           to                               by
    Transition(S.SUBMITTED,     A.ASSIGN,        (S.ASSIGNED,),                   DESK | CLOCKWORK),          # 2
    Transition(S.TRIAGE,        A.ASSIGN,        (S.ASSIGNED,),                   DESK | CLOCKWORK),
    Transition(S.SUBMITTED,     A.QUEUE,         (S.TRIAGE,),                     CLOCKWORK),                 # 3
    Transition(S.SUBMITTED,     A.ASK_INFO,      (S.NEED_INFO,),                  DESK,                       # 4
               note_required=True, guards=INFO),
    Transition(S.TRIAGE,        A.ASK_INFO,      (S.NEED_INFO,),                  DESK,
               note_required=True, guards=INFO),
    Transition(S.IN_PROGRESS,   A.ASK_INFO,      (S.NEED_INFO,),                  DESK | HANDLER,
               note_required=True, guards=INFO),
    Transition(S.NEED_INFO,     A.SUPPLY,        RESUMABLE,                       RESIDENT,                   # 5
               note_required=True),
    Transition(S.ASSIGNED,      A.SIGN,          (S.IN_PROGRESS,),                UNIT),                      # 7
    Transition(S.ASSIGNED,      A.RETURN,        (S.RETURN_REVIEW,),              UNIT,                       # 9
               note_required=True, guards=RETURNABLE),
    Transition(S.IN_PROGRESS,   A.RETURN,        (S.RETURN_REVIEW,),              UNIT,
               note_required=True, guards=RETURNABLE),
    Transition(S.RETURN_REVIEW, A.DECIDE_RETURN, (S.ASSIGNED, S.IN_PROGRESS, S.TRIAGE), DESK,                 # 10
               note_required=True),
    Transition(S.TRIAGE,        A.CONTACT,       (S.TRIAGE,),                     UNIT | GRID | DESK),        # 12
    Transition(S.ASSIGNED,      A.CONTACT,       (S.ASSIGNED,),                   UNIT | GRID | DESK),
    Transition(S.RETURN_REVIEW, A.CONTACT,       (S.RETURN_REVIEW,),              UNIT | GRID | DESK),
    Transition(S.IN_PROGRESS,   A.CONTACT,       (S.IN_PROGRESS,),                UNIT | GRID | DESK),
    Transition(S.IN_PROGRESS,   A.REPLY,         (S.REPLIED, S.REPLY_REVIEW),     HANDLER,                    # 21
               guards=(Guard.CONTACTED,)),
    Transition(S.REPLIED,       A.RATE,          (S.CLOSED, S.REOPEN_REVIEW),     RESIDENT,                   # 23
               guards=(Guard.RATING_WINDOW_OPEN,)),
    Transition(S.REPLIED,       A.AUTO_CLOSE,    (S.CLOSED,),                     CLOCKWORK,                  # 24
               guards=(Guard.RATING_WINDOW_OVER,)),
    Transition(S.SUBMITTED,     A.REJECT,        (S.REJECTED,),                   DESK, note_required=True),  # 28
    Transition(S.TRIAGE,        A.REJECT,        (S.REJECTED,),                   DESK, note_required=True),
    Transition(S.NEED_INFO,     A.REJECT,        (S.REJECTED,),                   DESK, note_required=True),
    *(Transition(state,         A.WITHDRAW,      (S.WITHDRAWN,),                  RESIDENT)                   # 30
      for state in (S.SUBMITTED, S.TRIAGE, S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS, S.NEED_INFO,
                    S.SUSPENDED)),
)
# fmt: on

_BY_STEP = {(t.source, t.action): t for t in TRANSITIONS}


class IllegalStep(Conflict):
    """当前状态下不能进行此操作。"""

    code = "illegal_step"


class StepForbidden(Forbidden):
    """您的角色不能进行此操作。"""

    code = "step_forbidden"


class NoteMissing(Invalid):
    """请填写说明。"""

    code = "note_missing"


class GuardClosed(Conflict):
    """现在还不能进行此操作。"""

    code = "step_blocked"


def open_actions(state: State, *, by: Role) -> tuple[Transition, ...]:
    """What ``by`` may do in ``state``, in table order, guards not yet asked."""
    return tuple(t for t in TRANSITIONS if t.source is state and by in t.by)


def take(
    state: State, action: Action, *, by: Role, note: str = "", closed: Set[Guard] = frozenset()
) -> Transition:
    """Return the transition that ``action`` means in ``state``, or say why not.

    Pure: it changes nothing. The caller moves the request to one of ``.targets``.

    Args:
        closed: the guards that stop this request now.

    Raises:
        StepForbidden: the action exists, but nowhere for this role.
        IllegalStep: not from this state; ``allowed`` lists what is.
        NoteMissing: the row asks for a reason and ``note`` is blank.
        GuardClosed: a guard of the row is closed; ``guard`` names it.
    """
    if not any(t.action is action and by in t.by for t in TRANSITIONS):
        raise StepForbidden(action=action)
    step = _BY_STEP.get((state, action))
    if step is None or by not in step.by:
        raise IllegalStep(
            f"当前状态为“{STATE_TEXT[state][0]}”，不能{ACTION_TEXT[action]}。",
            state=state,
            action=action,
            allowed=[t.action for t in open_actions(state, by=by)],
        )
    for guard in step.guards:
        if guard in closed:
            raise GuardClosed(f"{GUARD_TEXT[guard]}。", action=action, guard=guard)
    if step.note_required and not note.strip():
        raise NoteMissing(action=action)
    return step
