"""What clients send about requests: one form for each action."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from app.domain.cotasks import CoTaskStep
from app.domain.matters import (
    KIND_TEXT,
    ContactMethod,
    ContactResult,
    ExtensionReason,
    Kind,
    PauseReason,
    RejectionGround,
    ReturnReason,
)
from app.domain.satisfaction import RatingReason, ReplyResult, Solved
from app.domain.states import State
from app.grids.schemas import LocationIn
from app.web.asked import QueryIn
from app.web.period import Moment
from app.web.wire import (
    Day,
    Id,
    Instant,
    Line,
    PageLimit,
    PersonName,
    PhoneNumber,
    WireIn,
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
    """What a list is narrowed by. ``co``: those with an open co-task. ``sampled``: those to call
    back (回访); only for who may call."""

    state: list[State] = Field(default_factory=list)
    unit: Line | None = None
    grid: Line | None = None
    category: Line | None = None
    overdue: bool | None = None
    co: bool = False
    sampled: bool = False
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

    def others(self) -> tuple[UUID, ...]:
        """Other requests that the step changes too."""
        return ()


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
    result_type: ReplyResult | None = None
    planned_on: Day | None = None


class RatingIn(Form):
    contacted: bool
    solved: Solved
    satisfaction: Annotated[int, Field(ge=1, le=5)]
    reasons: list[RatingReason] = Field(default_factory=list, max_length=10)
    text: Annotated[str, prose(1_000)] | None = None


class TransferIn(Form):
    """Inside the unit by its leader (``handler_id``), or to another unit by the desk."""

    unit_code: Code | None = None
    handler_id: Id | None = None


class ReclassifyIn(Form):
    category_code: Code | None = None
    location: LocationIn | None = None
    grid_code: Code | None = None


class ExpireInfoIn(Form):
    """``resume`` the work without an answer, or ``close`` for want of material."""

    decision: Literal["resume", "close"]


class CoAssignIn(Form):
    unit_code: Code
    task: Note
    due_at: Instant | None = None


class CoFeedbackIn(Form):
    co_task_id: Id
    step: CoTaskStep


class ExtensionIn(Form):
    working_days: Annotated[int, Field(ge=1, le=60)]
    reason_code: ExtensionReason


class DecideIn(Form):
    decision: Literal["approve", "deny"]


class SuspendIn(Form):
    """The leader asks with ``reason_code`` and ``until``; the desk answers with ``decision``."""

    reason_code: PauseReason | None = None
    until: Day | None = None
    decision: Literal["approve", "deny"] | None = None


class ResumeIn(Form):
    text: Text | None = None


class SuperviseIn(Form):
    """An order (``level``, ``answer_due_at``) by the supervisor; the leader answers in ``note``."""

    level: Annotated[int, Field(ge=1, le=3)] | None = None
    answer_due_at: Instant | None = None


class CallBackIn(Form):
    reached: bool
    contacted: bool | None = None
    solved: Solved | None = None
    satisfaction: Annotated[int, Field(ge=1, le=5)] | None = None
    text: Annotated[str, prose(1_000)] | None = None


class DecideReopenIn(Form):
    decision: Literal["reopen", "refuse"]
    unit_code: Code | None = None


class RejectIn(Form):
    """First with ``ground_code``; then, by another person, with ``decision``."""

    ground_code: RejectionGround | None = None
    where_to_go: Annotated[str, prose(500)] | None = None
    decision: Literal["approve", "deny"] | None = None


class MergeIn(Form):
    master_id: Id

    def others(self) -> tuple[UUID, ...]:
        return (self.master_id,)


class UnmergeIn(Form):
    """``texts``: the matters that one request is split into."""

    texts: list[Text] = Field(default_factory=list, max_length=10)


class CorrectIn(Form):
    """纠错: what was wrong and what is right, and the auditor who approved it."""

    field: Annotated[str, line(60)]
    was: Annotated[str, line(500)]
    correct: Annotated[str, line(500)]
    approved_by: Id
    approval: Annotated[str, line(100)]
