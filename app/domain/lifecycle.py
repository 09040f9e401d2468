"""The life of a citizen request, as one table.

Read ``TRANSITIONS`` from top to bottom: it is the workflow. The API, the buttons, the permission
check and the diagram in the docs are derived from it, so a change is made here and nowhere else.

Numbers in comments are the rows of the workflow page, which is the source of the table. Where a
step needs two people (suspension, rejection, a second look at a reply), the same action is taken
twice: the first asks, the second, somebody else, decides.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import Conflict, Forbidden, Invalid
from app.domain.guards import GUARD_TEXT, Facts, Guard
from app.domain.guards import closed as closed_guards
from app.domain.identity import Actor, Role
from app.domain.states import ACTION_TEXT, OPEN, STATE_TEXT, Action, State


@dataclass(frozen=True, slots=True)
class Transition:
    """``action`` leads from ``source`` to one of ``targets``; which one, the facts decide."""

    source: State
    action: Action
    targets: tuple[State, ...]
    by: Set[Role]
    note_required: bool = False
    guards: tuple[Guard, ...] = ()


S, A, R, C = State, Action, Role, Guard
RESIDENT = frozenset({R.RESIDENT})  # whose request it is
GRID = frozenset({R.GRID_LEADER, R.MICRO_GRID_LEADER})
DESK = frozenset({R.DISPATCHER})
CITY = frozenset({R.SUPERVISOR})
HANDLER = frozenset({R.HANDLER})
LEADER = frozenset({R.UNIT_LEADER})
UNIT = HANDLER | LEADER
CLOCKWORK = frozenset({R.SYSTEM})

RESUMABLE = (S.SUBMITTED, S.TRIAGE, S.IN_PROGRESS)  # where NEED_INFO can have come from
WORKED_ON = (S.ASSIGNED, S.IN_PROGRESS)
PARTS_RUN = (S.TRIAGE, S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS)  # whoever has the whole
BEFORE_REPLY = (S.SUBMITTED, S.TRIAGE, S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS, S.NEED_INFO,
                S.SUSPENDED, S.REPLY_REVIEW)  # fmt: skip
IN_ORDER = tuple(state for state in State if state in OPEN)
IN_HAND = (S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS, S.SUSPENDED, S.REPLY_REVIEW)  # of a unit
ENDED = (S.CLOSED, S.REJECTED, S.WITHDRAWN, S.MERGED)  # and not yet archived


def _rows(
    sources: Iterable[State],
    action: Action,
    targets: tuple[State, ...] | None,
    by: Set[Role],
    *guards: Guard,
    note: bool = False,
) -> tuple[Transition, ...]:
    """One row for each source; ``targets`` None: the request stays where it is.

    A unit sees a request when it answers for it, or for a part of it: it acts on the whole only in
    the first case.
    """
    if by & UNIT and action is not A.CO_FEEDBACK:
        guards = (C.HOST_UNIT, *guards)
    return tuple(
        Transition(source, action, targets or (source,), by, note, guards) for source in sources
    )


# fmt: off
TRANSITIONS: tuple[Transition, ...] = (
    #     from                            action               to                            by            guards
    *_rows((S.SUBMITTED, S.TRIAGE),       A.ASSIGN,            (S.ASSIGNED,),                DESK | CLOCKWORK),                     # 2
    *_rows((S.SUBMITTED,),                A.QUEUE,             (S.TRIAGE,),                  CLOCKWORK),                            # 3
    *_rows((S.SUBMITTED, S.TRIAGE),       A.ASK_INFO,          (S.NEED_INFO,),               DESK,         C.INFO_ROUNDS_LEFT, note=True),  # 4
    *_rows((S.IN_PROGRESS,),              A.ASK_INFO,          (S.NEED_INFO,),               DESK | HANDLER, C.INFO_ROUNDS_LEFT, note=True),
    *_rows((S.NEED_INFO,),                A.SUPPLY,            RESUMABLE,                    RESIDENT,     C.INFO_WINDOW_OPEN, note=True),  # 5
    *_rows((S.NEED_INFO,),                A.EXPIRE_INFO,       (*RESUMABLE, S.CLOSED),       DESK,         C.INFO_WINDOW_OVER, note=True),  # 6
    *_rows((S.ASSIGNED,),                 A.SIGN,              (S.IN_PROGRESS,),             UNIT),                                 # 7
    *_rows((S.ASSIGNED,),                 A.AUTO_SIGN,         (S.IN_PROGRESS,),             CLOCKWORK),                            # 8
    *_rows(WORKED_ON,                     A.RETURN,            (S.RETURN_REVIEW,),           UNIT,         C.UNIT_NOT_FIXED, C.RETURN_WINDOW_OPEN, C.NOT_RETURNED_BEFORE, note=True),  # 9
    *_rows((S.RETURN_REVIEW,),            A.DECIDE_RETURN,     (S.ASSIGNED, S.IN_PROGRESS, S.TRIAGE), DESK | CITY, C.ARBITRATION, note=True),  # 10
    *_rows(WORKED_ON,                     A.TRANSFER,          None,                         LEADER | DESK, C.HOPS_LEFT, note=True),  # 11
    *_rows((S.TRIAGE, S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS), A.CONTACT, None,          UNIT | GRID | DESK),                   # 12
    *_rows(WORKED_ON,                     A.CO_ASSIGN,         None,                         DESK | LEADER),                        # 13
    *_rows(PARTS_RUN,                     A.CO_FEEDBACK,       None,                         UNIT | DESK,  C.CO_TASK_OPEN),         # 14
    *_rows((S.IN_PROGRESS, S.SUSPENDED),  A.REQUEST_EXTENSION, None,                         UNIT,         C.CONTACTED, C.EXTENSION_FREE, C.EXTENSION_IN_TIME, note=True),  # 15
    *_rows((S.NEED_INFO, S.RETURN_REVIEW, S.IN_PROGRESS, S.SUSPENDED, S.REPLY_REVIEW),
                                          A.DECIDE_EXTENSION,  None,                         DESK | CITY | CLOCKWORK, C.EXTENSION_PENDING, C.EXTENSION_DECIDER),  # 16
    *_rows((S.IN_PROGRESS,),              A.SUSPEND,           (S.IN_PROGRESS, S.SUSPENDED), LEADER | DESK, C.CONTACTED, C.SUSPENSION_ASKED, note=True),  # 17
    *_rows((S.SUSPENDED,),                A.RESUME,            (S.IN_PROGRESS,),             LEADER | DESK | RESIDENT | CLOCKWORK), # 18
    *_rows((S.TRIAGE, S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS, S.SUSPENDED), A.URGE, None, RESIDENT | DESK, C.URGE_ALLOWED),     # 19
    *_rows((S.MERGED,),                   A.URGE,              None,                         RESIDENT,     C.URGE_ALLOWED),         # a follower's goes to the master
    *_rows(IN_ORDER,                      A.SUPERVISE,         None,                         CITY | LEADER | CLOCKWORK, C.ORDER_TO_ANSWER, note=True),  # 20
    *_rows((S.CLOSED,),                   A.SUPERVISE,         None,                         LEADER,       C.ORDER_TO_ANSWER, note=True),  # what was ordered is answered
    *_rows((S.IN_PROGRESS,),              A.REPLY,             (S.REPLIED, S.REPLY_REVIEW),  HANDLER,      C.CONTACTED, C.CO_TASKS_DONE),  # 21
    *_rows((S.REPLY_REVIEW,),             A.DECIDE_REPLY,      (S.REPLIED, S.IN_PROGRESS),   LEADER,       C.NOT_THE_DRAFTER),      # 22
    *_rows((S.REPLIED,),                  A.RATE,              (S.CLOSED, S.REOPEN_REVIEW),  RESIDENT,     C.RATING_WINDOW_OPEN),   # 23
    *_rows((S.CLOSED,),                   A.RATE,              (S.CLOSED, S.REOPEN_REVIEW),  RESIDENT,     C.ANSWERED, C.RATING_WINDOW_OPEN),
    *_rows((S.MERGED,),                   A.RATE,              None,                         RESIDENT,     C.ANSWERED, C.RATING_WINDOW_OPEN),
    *_rows((S.REPLIED,),                  A.AUTO_CLOSE,        (S.CLOSED,),                  CLOCKWORK,    C.RATING_WINDOW_OVER),   # 24
    *_rows((S.REPLIED,),                  A.CALL_BACK,         (S.REPLIED, S.REOPEN_REVIEW), DESK | CITY,  C.SAMPLED, C.NOT_CALLED_BACK),  # 25
    *_rows((S.CLOSED,),                   A.CALL_BACK,         (S.CLOSED, S.REOPEN_REVIEW),  DESK | CITY,  C.SAMPLED, C.NOT_CALLED_BACK),
    *_rows((S.REPLIED, S.CLOSED, S.REJECTED), A.REQUEST_REOPEN,    (S.REOPEN_REVIEW,),           RESIDENT,     C.REOPEN_WINDOW_OPEN, note=True),  # 26
    *_rows((S.REOPEN_REVIEW,),            A.DECIDE_REOPEN,     (S.ASSIGNED, S.CLOSED, S.REJECTED), DESK | CITY, C.REOPEN_DECIDER, note=True),  # 27
    *_rows((S.SUBMITTED,),                A.REJECT,            (S.SUBMITTED, S.REJECTED),    DESK | CITY,  C.SECOND_PERSON, note=True),  # 28
    *_rows((S.TRIAGE,),                   A.REJECT,            (S.TRIAGE, S.REJECTED),       DESK | CITY,  C.SECOND_PERSON, note=True),
    *_rows((S.NEED_INFO,),                A.REJECT,            (S.NEED_INFO, S.REJECTED),    DESK | CITY,  C.SECOND_PERSON, note=True),
    *_rows((S.REJECTED,),                 A.APPEAL,            (S.REOPEN_REVIEW,),           RESIDENT,     C.REOPEN_WINDOW_OPEN, note=True),  # 29
    *_rows(BEFORE_REPLY[:-1],             A.WITHDRAW,          (S.WITHDRAWN,),               RESIDENT),                             # 30
    *_rows(BEFORE_REPLY,                  A.MERGE,             (S.MERGED,),                  DESK,         C.NO_FOLLOWERS),         # 31
    *_rows((S.MERGED,),                   A.MERGE,             (S.MERGED, S.TRIAGE, S.ASSIGNED, S.RETURN_REVIEW, S.IN_PROGRESS), CLOCKWORK),  # its master was withdrawn (30): another one, or itself
    *_rows((S.MERGED,),                   A.UNMERGE,           (S.TRIAGE,),                  DESK, note=True),                      # 32
    *_rows((S.IN_PROGRESS,),              A.UNMERGE,           None,                         DESK, note=True),
    *_rows((S.SUBMITTED, S.TRIAGE),       A.SETTLE,            (S.REPLIED,),                 GRID,         C.GRID_MATTER, C.CONTACTED),  # 33
    *(row for state in IN_HAND for row in _rows(
        (state,),                         A.RECLASSIFY,        (state, S.TRIAGE),            DESK | HANDLER, note=True)),           # 34
    *_rows((S.SUBMITTED, S.NEED_INFO, S.TRIAGE, S.REPLIED, S.REOPEN_REVIEW), A.RECLASSIFY, None,   DESK | HANDLER, note=True),
    *_rows(ENDED,                         A.ARCHIVE,           (S.ARCHIVED,),                CLOCKWORK,    C.ARCHIVABLE),           # 35
    *_rows((S.CLOSED, S.ARCHIVED),        A.CORRECT,           None,                         CITY, note=True),                      # 36
)
# fmt: on

_BY_STEP = {(t.source, t.action): t for t in TRANSITIONS}
_BY_STATE = {
    (state, role): tuple(t for t in TRANSITIONS if t.source is state and role in t.by)
    for state in State
    for role in Role
}


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
    return _BY_STATE.get((state, by), ())


def take(
    state: State, action: Action, *, by: Actor, facts: Facts, now: datetime, note: str = ""
) -> Transition:
    """Return the transition that ``action`` means in ``state``, or say why not.

    Pure: it changes nothing. The caller moves the request to one of ``.targets``.

    Raises:
        StepForbidden: the action exists, but nowhere for this role.
        IllegalStep: not from this state; ``allowed`` lists what is.
        GuardClosed: a guard of the row is closed; ``guard`` names the first of them.
        NoteMissing: the row asks for a reason and ``note`` is blank.
    """
    if not any(t.action is action and by.role in t.by for t in TRANSITIONS):
        raise StepForbidden(action=action)
    step = _BY_STEP.get((state, action))
    if step is None or by.role not in step.by:
        raise IllegalStep(
            f"当前状态为“{STATE_TEXT[state][0]}”，不能{ACTION_TEXT[action]}。",
            state=state,
            action=action,
            allowed=[t.action for t in open_actions(state, by=by.role)],
        )
    closed = closed_guards(step.guards, facts, actor=by, now=now)
    for guard in step.guards:
        if guard in closed:
            raise GuardClosed(f"{GUARD_TEXT[guard]}。", action=action, guard=guard)
    if step.note_required and not note.strip():
        raise NoteMissing(action=action)
    return step
