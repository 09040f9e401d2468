"""Conditions on a request that stop a step. Pure: every fact comes in with ``Facts``.

The table of the lifecycle names the guards; here stands what each means and how it is found out.
A guard may look at who acts: some steps are a superior's once they have been taken before.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.identity import Actor, Role


class Guard(StrEnum):
    HOST_UNIT = "host_unit"
    CONTACTED = "contacted"
    INFO_ROUNDS_LEFT = "info_rounds_left"
    INFO_WINDOW_OPEN = "info_window_open"
    INFO_WINDOW_OVER = "info_window_over"
    UNIT_NOT_FIXED = "unit_not_fixed"
    RETURN_WINDOW_OPEN = "return_window_open"
    NOT_RETURNED_BEFORE = "not_returned_before"
    ARBITRATION = "arbitration"
    HOPS_LEFT = "hops_left"
    CO_TASK_OPEN = "co_task_open"
    CO_TASKS_DONE = "co_tasks_done"
    EXTENSION_FREE = "extension_free"
    EXTENSION_IN_TIME = "extension_in_time"
    EXTENSION_PENDING = "extension_pending"
    EXTENSION_DECIDER = "extension_decider"
    SUSPENSION_ASKED = "suspension_asked"
    URGE_ALLOWED = "urge_allowed"
    ORDER_TO_ANSWER = "order_to_answer"
    NOT_THE_DRAFTER = "not_the_drafter"
    ANSWERED = "answered"
    RATING_WINDOW_OPEN = "rating_window_open"
    RATING_WINDOW_OVER = "rating_window_over"
    SAMPLED = "sampled"
    NOT_CALLED_BACK = "not_called_back"
    REOPEN_WINDOW_OPEN = "reopen_window_open"
    REOPEN_DECIDER = "reopen_decider"
    SECOND_PERSON = "second_person"
    NO_FOLLOWERS = "no_followers"
    GRID_MATTER = "grid_matter"
    ARCHIVABLE = "archivable"


INFO_ROUNDS_PER_CYCLE = 2
DILIGENT_ATTEMPTS = 3  # failed attempts that stand for a contact (已尽责未联系上)
ARBITRATION_HOPS = 3  # from here on the supervisor decides, and the unit is fixed (首接负责)
HOP_LIMIT = 5
EXTENSIONS_PER_CYCLE = 2  # the second one is the supervisor's to grant
URGE_AFTER = timedelta(hours=24)
URGE_EVERY = timedelta(days=1)
URGES_TO_SUPERVISION = 3
ARCHIVE_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the guards look at: columns of the request, and what was worked out from them."""

    unit_code: str | None = None
    submitted_at: datetime
    contacted_at: datetime | None = None
    contact_attempts: int = 0
    info_rounds: int = 0
    info_until: datetime | None = None
    return_until: datetime | None = None
    returned_units: tuple[str, ...] = ()
    hops: int = 0
    unit_fixed: bool = False
    open_co_tasks: int = 0
    extensions: int = 0
    extension_asked: bool = False
    extension_until: datetime | None = None  # last instant to ask; None where nothing is due
    reply_due_at: datetime | None = None  # while the clock stands: what it was
    stands_since: datetime | None = None  # the reply clock; None while it runs
    suspension_asked: bool = False
    due_soon_at: datetime | None = None
    last_urged_at: datetime | None = None
    order_open: bool = False
    drafted_by: UUID | None = None
    rate_until: datetime | None = None
    sampled: bool = False
    called_back_at: datetime | None = None
    reopen_until: datetime | None = None
    reviewed_by: UUID | None = None
    rejection_asked_by: UUID | None = None
    followers: int = 0
    grid_matter: bool = False
    ended_at: datetime | None = None


Holds = Callable[[Facts, Actor, datetime], bool]
_OF_UNITS = frozenset({Role.HANDLER, Role.UNIT_LEADER})


def _host_unit(facts: Facts, actor: Actor, _now: datetime) -> bool:
    """Of all units only the one that answers for the whole; other roles are not meant."""
    return actor.role not in _OF_UNITS or actor.unit_code == facts.unit_code


def _contacted(facts: Facts, _actor: Actor, _now: datetime) -> bool:
    return facts.contacted_at is not None or facts.contact_attempts >= DILIGENT_ATTEMPTS


def _arbitration(facts: Facts, actor: Actor, _now: datetime) -> bool:
    """From the third return on the supervisor decides (首接负责)."""
    return (facts.hops >= ARBITRATION_HOPS) is (actor.role is Role.SUPERVISOR)


def _hops_left(facts: Facts, actor: Actor, _now: datetime) -> bool:
    """Inside the unit nothing hops; across units there is an end, and the supervisor's word."""
    inside = actor.role is Role.UNIT_LEADER
    return inside or (facts.hops < HOP_LIMIT and not facts.unit_fixed)


def _extension_in_time(facts: Facts, _actor: Actor, now: datetime) -> bool:
    asked_at = facts.stands_since or now  # no time passes while the clock stands
    return facts.extension_until is not None and asked_at < facts.extension_until


def _extension_decider(facts: Facts, actor: Actor, now: datetime) -> bool:
    if actor.role is Role.SYSTEM:  # it refuses what nobody decided in time
        return True
    in_time = facts.reply_due_at is None or (facts.stands_since or now) < facts.reply_due_at
    return in_time and (facts.extensions == 0 or actor.role is Role.SUPERVISOR)


def _suspension_asked(facts: Facts, actor: Actor, _now: datetime) -> bool:
    """The leader asks once; the desk decides what was asked."""
    return facts.suspension_asked is (actor.role is not Role.UNIT_LEADER)


def _urge_allowed(facts: Facts, actor: Actor, now: datetime) -> bool:
    """A resident waits for a day, or until it is nearly due; nobody urges twice a day."""
    old = actor.role is Role.DISPATCHER or now >= facts.submitted_at + URGE_AFTER
    soon = facts.due_soon_at is not None and now >= facts.due_soon_at
    rested = facts.last_urged_at is None or now >= facts.last_urged_at + URGE_EVERY
    return (old or soon) and rested


def _reopen_decider(facts: Facts, actor: Actor, _now: datetime) -> bool:
    """The second dissatisfaction goes to the supervisor, and to somebody who has not decided."""
    first = facts.reviewed_by is None
    return first or (actor.role is Role.SUPERVISOR and facts.reviewed_by != actor.id)


def _archivable(facts: Facts, _actor: Actor, now: datetime) -> bool:
    ended = facts.ended_at is not None and now >= facts.ended_at + ARCHIVE_AFTER
    return ended and not facts.order_open


def _before(until: datetime | None, now: datetime) -> bool:
    return until is None or now < until


# fmt: off
HOLDS: dict[Guard, tuple[Holds, str]] = {
    Guard.HOST_UNIT:           (_host_unit, "由主办单位办理"),
    Guard.CONTACTED:           (_contacted, "请先登记与诉求人的联系"),
    Guard.INFO_ROUNDS_LEFT:    (lambda f, _, __: f.info_rounds < INFO_ROUNDS_PER_CYCLE, "本轮办理已两次要求补充，不能再次要求"),
    Guard.INFO_WINDOW_OPEN:    (lambda f, _, now: _before(f.info_until, now), "补充期限已过"),
    Guard.INFO_WINDOW_OVER:    (lambda f, _, now: f.info_until is not None and now >= f.info_until, "补充期限未到"),
    Guard.UNIT_NOT_FIXED:      (lambda f, _, __: not f.unit_fixed, "承办单位已由督办员裁定，不能退单"),
    Guard.RETURN_WINDOW_OPEN:  (lambda f, _, now: _before(f.return_until, now), "已超过退单时限"),
    Guard.NOT_RETURNED_BEFORE: (lambda f, _, __: f.unit_code not in f.returned_units, "本单位已退过此单，不能再次退单"),
    Guard.ARBITRATION:         (_arbitration, "退单三次以上由督办员裁定，三次以内由调度员审核"),
    Guard.HOPS_LEFT:           (_hops_left, "转派次数已达上限，或承办单位已由督办员裁定"),
    Guard.CO_TASK_OPEN:        (lambda f, _, __: f.open_co_tasks > 0, "没有未完成的协办任务"),
    Guard.CO_TASKS_DONE:       (lambda f, _, __: f.open_co_tasks == 0, "还有协办任务未完成"),
    Guard.EXTENSION_FREE:      (lambda f, _, __: not f.extension_asked and f.extensions < EXTENSIONS_PER_CYCLE, "已有延期申请，或本轮延期次数已满"),
    Guard.EXTENSION_IN_TIME:   (_extension_in_time, "应在到期一个工作日之前申请延期"),
    Guard.EXTENSION_PENDING:   (lambda f, _, __: f.extension_asked, "没有待审批的延期申请"),
    Guard.EXTENSION_DECIDER:   (_extension_decider, "已到期，或第二次延期须由督办员审批"),
    Guard.SUSPENSION_ASKED:    (_suspension_asked, "挂起须由承办单位负责人申请、调度员审批"),
    Guard.URGE_ALLOWED:        (_urge_allowed, "提交满24小时或临近到期后才能催办，每天一次"),
    Guard.ORDER_TO_ANSWER:     (lambda f, actor, _: f.order_open or actor.role is not Role.UNIT_LEADER, "没有待答复的督办单"),
    Guard.NOT_THE_DRAFTER:     (lambda f, actor, _: f.drafted_by != actor.id, "不能审核自己起草的答复"),
    Guard.ANSWERED:            (lambda f, _, __: f.rate_until is not None, "尚未答复"),
    Guard.RATING_WINDOW_OPEN:  (lambda f, _, now: _before(f.rate_until, now), "评价期限已过"),
    Guard.RATING_WINDOW_OVER:  (lambda f, _, now: not _before(f.rate_until, now), "评价期限未到"),
    Guard.SAMPLED:             (lambda f, _, __: f.sampled, "不在回访抽样名单中"),
    Guard.NOT_CALLED_BACK:     (lambda f, _, __: f.called_back_at is None, "已经回访过"),
    Guard.REOPEN_WINDOW_OPEN:  (lambda f, _, now: f.reopen_until is not None and now < f.reopen_until, "申请期限已过"),
    Guard.REOPEN_DECIDER:      (_reopen_decider, "再次不满意须由督办员复核，且不能由同一人复核"),
    Guard.SECOND_PERSON:       (lambda f, actor, _: f.rejection_asked_by != actor.id, "须由另一人审批"),
    Guard.NO_FOLLOWERS:        (lambda f, _, __: f.followers == 0, "已有其他诉求并入此单"),
    Guard.GRID_MATTER:         (lambda f, _, __: f.grid_matter, "不属于网格自办事项"),
    Guard.ARCHIVABLE:          (_archivable, "办结未满30天，或督办未完成"),
}
# fmt: on

GUARD_TEXT: dict[Guard, str] = {guard: text for guard, (_, text) in HOLDS.items()}


def closed(
    guards: Iterable[Guard], facts: Facts, *, actor: Actor, now: datetime
) -> frozenset[Guard]:
    """Return those of ``guards`` that stop ``actor`` at ``now``."""
    return frozenset(guard for guard in guards if not HOLDS[guard][0](facts, actor, now))
