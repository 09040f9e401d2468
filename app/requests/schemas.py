"""What crosses the wire about requests."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.domain.lifecycle import Action, State
from app.domain.matters import (
    KIND_TEXT,
    Channel,
    ContactMethod,
    ContactResult,
    Kind,
    RejectionGround,
    ReturnReason,
)
from app.domain.satisfaction import RatingReason, Solved
from app.grids.schemas import LocationIn
from app.web.asked import QueryIn
from app.web.period import Moment
from app.web.wire import (
    Instant,
    Line,
    PageLimit,
    PersonName,
    PhoneNumber,
    WireIn,
    WireOut,
    line,
    prose,
)

TEXT_LIMIT = 4_000
_KIND_BY_TEXT = {text: kind.value for kind, text in KIND_TEXT.items()}


def _kind_word(value: object) -> object:
    """People and forms say 投诉; the house says ``complaint``."""
    return _KIND_BY_TEXT.get(value, value) if isinstance(value, str) else value


KindIn = Annotated[Kind, BeforeValidator(_kind_word)]
Code = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9._-]+$")]
Note = Annotated[str, prose(2_000)]
Text = Annotated[str, prose(TEXT_LIMIT)]
Title = Annotated[str, line(100)]


class ListIn(QueryIn):
    """What a list is narrowed by."""

    state: list[State] = Field(default_factory=list)
    unit: Line | None = None
    grid: Line | None = None
    category: Line | None = None
    overdue: bool | None = None
    first: Moment | None = Field(None, alias="from")
    last: Moment | None = Field(None, alias="to")
    limit: PageLimit = 20
    cursor: Line | None = None


class ContactIn(WireIn):
    """How to reach the resident about this request. Encrypted at rest, masked for staff."""

    name: PersonName | None = None
    phone: PhoneNumber | None = None


class SubmitIn(WireIn):
    """A matter, in the resident's own words. Only ``text`` is required."""

    text: Text
    title: Title | None = None
    kind: KindIn | None = None
    category_code: Code | None = None
    location: LocationIn | None = None
    grid_code: Code | None = None
    contact: ContactIn | None = None
    confidential: bool = False
    public: bool = False


class Form(WireIn):
    """Every action takes a form; ``note`` is what the table may demand."""

    note: Note | None = None

    def words(self) -> str:
        """The text that stands for the note the table demands."""
        return self.note or ""


class AssignIn(Form):
    unit_code: Code
    category_code: Code | None = None


class SupplyIn(Form):
    text: Text

    def words(self) -> str:
        return self.text


class ReturnIn(Form):
    reason_code: ReturnReason
    suggested_unit_code: Code | None = None


class DecideReturnIn(Form):
    """``reassign`` to another unit, ``refuse`` (the same unit goes on), or back to ``triage``."""

    decision: Literal["reassign", "refuse", "triage"]
    unit_code: Code | None = None


class ContactLogIn(Form):
    method: ContactMethod
    result: ContactResult
    at: Instant | None = None


class ReplyIn(Form):
    public_reply: Text
    internal_note: Note | None = None
    factual: bool | None = None
    solved: Solved
    unsolved_reason: Note | None = None


class RatingIn(Form):
    contacted: bool
    solved: Solved
    satisfaction: Annotated[int, Field(ge=1, le=5)]
    reasons: list[RatingReason] = Field(default_factory=list, max_length=10)
    text: Annotated[str, prose(1_000)] | None = None


class RejectIn(Form):
    ground_code: RejectionGround
    where_to_go: Annotated[str, prose(500)] | None = None


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
    channel: Channel
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


class RequestOut(RequestSummaryOut):
    location: LocationOut | None
    contact: ContactOut | None
    routing: RoutingOut
    reply: ReplyOut | None
    rating: RatingOut | None
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
