"""What crosses the wire about call-back samples, anomalies and exclusions."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain.anomalies import Anomaly
from app.domain.exclusions import ExclusionGround, ExclusionState
from app.domain.measures import Measure
from app.web.asked import QueryIn
from app.web.period import Moment
from app.web.wire import Id, Instant, Line, PageLimit, WireIn, WireOut, line, prose

MOST_DRAWN = 5_000
SampleSize = Annotated[int, Field(ge=1, le=MOST_DRAWN)]
Minimum = Annotated[int, Field(ge=0, le=MOST_DRAWN)]

# --- call-back samples ---------------------------------------------------------------------------


class FrameIn(QueryIn):
    """Answered in [from, to): a day means the whole of it."""

    first: Annotated[Moment, Field(alias="from")]
    last: Annotated[Moment, Field(alias="to")]
    sample_size: SampleSize
    minimum: Minimum = 1


class CampaignIn(WireIn):
    """``replied_from`` and ``replied_to`` as ``from`` and ``to`` of the frame. ``frame_digest``,
    if given: of the frame that was looked at; another one is refused."""

    title: Annotated[str, line(100)]
    replied_from: Moment
    replied_to: Moment
    sample_size: SampleSize
    minimum: Minimum = 1
    frame_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class StratumOut(WireOut):
    """One unit's part of the frame; ``unit_code`` null: settled by the grid."""

    unit_code: str | None
    unit_name: str
    size: int
    drawn: int


class FrameOut(WireOut):
    replied_from: Instant
    replied_to: Instant
    frame_size: int
    frame_digest: str
    drawn: int
    strata: tuple[StratumOut, ...]


class CampaignOut(WireOut):
    id: Id
    title: str
    replied_from: Instant
    replied_to: Instant
    sample_size: int
    minimum: int
    seed: str
    frame_size: int
    frame_digest: str
    drawn: int
    drawn_by: Id
    drawn_at: Instant


class ProgressOut(StratumOut):
    """``called`` of those drawn, ``reached`` of those; ``lapsed``: cannot be called any more
    (handled anew, or archived), and nobody had; ``waiting``: the rest."""

    called: int
    reached: int
    lapsed: int
    waiting: int


class CampaignProgressOut(CampaignOut):
    called: int
    reached: int
    lapsed: int
    waiting: int
    strata: tuple[ProgressOut, ...]


class CampaignsOut(WireOut):
    items: tuple[CampaignOut, ...]
    next_cursor: str | None


class MemberOut(WireOut):
    """``position`` in the draw of the unit; null: not drawn."""

    request_id: Id
    number: str
    position: int | None


class MembersOut(WireOut):
    unit_code: str | None
    size: int
    drawn: int
    items: tuple[MemberOut, ...]
    next_cursor: str | None


class PageIn(QueryIn):
    limit: PageLimit = 20
    cursor: Line | None = None


class MembersIn(PageIn):
    """Without ``unit``: what the grid settled by itself."""

    unit: Line | None = None


class AgreementIn(QueryIn):
    """Call-backs made in [from, to), or those of one campaign. For auditors and administrators: in
    whole months."""

    first: Moment | None = Field(None, alias="from")
    last: Moment | None = Field(None, alias="to")
    campaign: Id | None = None


class AgreementFigures(WireOut):
    """``share`` is ``agree / n``; ``kappa`` Cohen's κ; both null where nothing can be said."""

    n: int
    agree: int
    share: float | None
    kappa: float | None


class AgreementRow(WireOut):
    """``satisfied``: satisfied or not; ``level``: the same of five; ``solved``: the same of three.
    ``better_in_writing``: satisfied in writing and not when asked; ``worse_in_writing``: the other
    way round."""

    unit_code: str | None
    unit_name: str
    small_sample: bool
    satisfied: AgreementFigures
    level: AgreementFigures
    solved: AgreementFigures
    better_in_writing: int
    worse_in_writing: int


class AgreementOut(WireOut):
    """``suppressed``: some unit has too few people for auditors and administrators to be told any
    unit; ``total`` null: the total has, too."""

    total: AgreementRow | None
    units: tuple[AgreementRow, ...]
    suppressed: bool


# --- anomalies -----------------------------------------------------------------------------------


class AnomaliesIn(PageIn):
    """What happened in [from, to); by default the last 30 days."""

    first: Moment | None = Field(None, alias="from")
    last: Moment | None = Field(None, alias="to")
    kind: Anomaly | None = None
    unit: Line | None = None


class NamedRequest(WireOut):
    id: Id
    number: str
    cycle_no: int


class AnomalyOut(WireOut):
    """``unit_code`` null: of several units, or of none. Of many requests the first 100 are named;
    ``requests_total`` counts all. ``evidence``: times, counts and codes."""

    kind: Anomaly
    kind_text: str
    at: Instant
    unit_code: str | None
    unit_name: str | None
    requests: tuple[NamedRequest, ...]
    requests_total: int
    evidence: dict[str, Any]


class AnomaliesOut(WireOut):
    """``thresholds``: from where on something is listed, now."""

    since: Instant
    until: Instant
    thresholds: dict[str, int]
    items: tuple[AnomalyOut, ...]
    next_cursor: str | None


# --- exclusions ----------------------------------------------------------------------------------


class ExclusionIn(WireIn):
    """One request, in the cycle that is shown, and the measures in which it should not count."""

    request_id: Id
    measures: Annotated[list[Measure], Field(min_length=1, max_length=30)]
    ground: ExclusionGround
    evidence: Annotated[str, prose(2_000)]


class ExclusionDecisionIn(WireIn):
    decision: Literal["approve", "deny"]
    note: Annotated[str, prose(2_000)]


class ExclusionRevocationIn(WireIn):
    note: Annotated[str, prose(2_000)]


class ExclusionOut(WireOut):
    """``version`` is what ``If-Match`` compares; it is also the answer's ETag."""

    id: Id
    version: int
    state: ExclusionState
    state_text: str
    request_id: Id
    number: str
    cycle_no: int
    unit_code: str
    unit_name: str
    measures: tuple[str, ...]
    measure_texts: tuple[str, ...]
    ground: ExclusionGround
    ground_text: str
    evidence: str
    asked_by: Id
    asked_at: Instant
    decided_by: Id | None
    decided_at: Instant | None
    decision_note: str | None
    revoked_by: Id | None
    revoked_at: Instant | None
    revocation_note: str | None


class ExclusionsIn(PageIn):
    state: ExclusionState | None = None
    unit: Line | None = None


class ExclusionsOut(WireOut):
    items: tuple[ExclusionOut, ...]
    next_cursor: str | None
