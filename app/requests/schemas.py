"""What we answer about requests."""

from typing import Any

from pydantic import Field

from app.domain.cotasks import CoTaskState
from app.domain.matters import Channel, Kind, PauseReason, RejectionGround
from app.domain.satisfaction import ReplyResult, Solved
from app.domain.states import Action, State
from app.web.wire import Day, Instant, WireOut


class NamedOut(WireOut):
    code: str
    name: str


class GridOut(NamedOut):
    path: str = Field(description="镇街 / 社区 / 网格")
    certain: bool = Field(description="false: 待确认")


class LocationOut(WireOut):
    latitude: float = Field(description="WGS-84, degrees")
    longitude: float
    gcj02: dict[str, float] = Field(description="the same point for WeChat's map")
    accuracy_m: float | None
    address: str | None


class ContactOut(WireOut):
    name: str | None
    phone: str | None
    masked: bool


class ActionOut(WireOut):
    action: Action
    text: str
    blocked_reason: str | None


class ReasonOut(WireOut):
    code: str
    text: str


class RoutingOut(WireOut):
    rule: int | None
    reasons: list[ReasonOut]


class ReplyOut(WireOut):
    public_reply: str | None
    internal_note: str | None
    factual: bool | None
    solved: Solved
    solved_text: str
    unsolved_reason: str | None
    result_type: ReplyResult
    result_text: str
    planned_on: Day | None = Field(description="of what was put on a plan")
    at: Instant


class RatingOut(WireOut):
    contacted: bool
    solved: Solved
    solved_text: str
    satisfaction: int
    satisfaction_text: str
    reasons: list[str]
    text: str | None
    at: Instant


class RequestFactsOut(WireOut):
    """Facts without words: nothing here is personal."""

    id: str
    number: str
    version: int
    state: State
    state_text: str
    public_label: str
    cycle_no: int
    kind: Kind | None
    kind_text: str | None
    category: NamedOut | None
    grid: GridOut | None
    unit: NamedOut | None
    channel: Channel | None = Field(
        description="null, as grid, unit, category and kind, for auditors and administrators"
    )
    confidential: bool
    public: bool
    submitted_at: Instant
    contact_due_at: Instant
    reply_due_at: Instant | None = Field(description="null while the clock stands")
    provisional: bool
    contacted_at: Instant | None
    replied_at: Instant | None
    rate_until: Instant | None
    ended_at: Instant | None
    contact_overdue: bool
    reply_overdue: bool
    satisfaction: int | None


class RequestMovedOut(RequestFactsOut):
    """The answer to a submission and to every action."""

    routing: RoutingOut
    hint: str | None = Field(description="e.g. an emergency number to call at once")
    available_actions: list[ActionOut]


class RequestSummaryOut(RequestFactsOut):
    title: str | None
    text: str | None = Field(description="null for auditors and administrators")


class CycleOut(WireOut):
    cycle_no: int
    reply: ReplyOut | None
    rating: RatingOut | None


class OrderOut(WireOut):
    """A written order that waits for the unit leader's answer."""

    level: int
    text: str | None
    ordered_at: Instant
    answer_due_at: Instant


class CoTaskOut(WireOut):
    id: str
    unit: NamedOut | None
    state: CoTaskState
    state_text: str
    task: str | None
    feedback: str | None
    due_at: Instant


class ExtensionAskedOut(WireOut):
    working_days: int


class SuspensionAskedOut(WireOut):
    reason_code: PauseReason
    reason: str
    until: Day


class RejectionAskedOut(WireOut):
    ground_code: RejectionGround
    ground: str
    note: str | None
    where_to_go: str | None


class MasterOut(WireOut):
    """The request this one is handled with, and what it was answered."""

    id: str | None = Field(description="null for residents")
    number: str
    state: State
    state_text: str
    public_label: str
    reply: ReplyOut | None


class RequestOut(RequestSummaryOut):
    location: LocationOut | None
    contact: ContactOut | None
    routing: RoutingOut
    reply: ReplyOut | None
    rating: RatingOut | None
    earlier_cycles: list[CycleOut]
    urge_count: int
    supervise_level: int
    orders: list[OrderOut]
    co_tasks: list[CoTaskOut] = Field(description="those that are open")
    extensions: int = Field(description="granted in this cycle")
    extension_asked: ExtensionAskedOut | None
    internal_due_at: Instant | None = Field(
        description="of a unit that got what another one returned: until when it has time, "
        "though the resident was promised an earlier reply; null for residents"
    )
    suspension_asked: SuspensionAskedOut | None
    resume_on: Instant | None
    info_until: Instant | None
    rejection_asked: RejectionAskedOut | None
    settled_by_grid: bool
    followers: int
    master: MasterOut | None
    available_actions: list[ActionOut]


class RequestPage(WireOut):
    items: list[RequestSummaryOut]
    next_cursor: str | None


class TimelineEntryOut(WireOut):
    version: int
    at: Instant
    action: Action
    action_text: str
    state: State
    state_text: str
    public_label: str
    actor_role: str
    actor_role_text: str
    unit: NamedOut | None
    note: str | None
    public_note: str | None
    facts: dict[str, Any] | None


class TimelineOut(WireOut):
    items: list[TimelineEntryOut]


class StateOut(WireOut):
    code: State
    text: str
    public_label: str
    final: bool
    reply_clock: str


class TransitionOut(WireOut):
    source: State | None
    source_text: str | None
    action: Action
    action_text: str
    targets: list[State]
    by: list[str]
    by_text: list[str]
    note_required: bool
    guards: list[ReasonOut]


class WorkflowOut(WireOut):
    states: list[StateOut]
    transitions: list[TransitionOut]
