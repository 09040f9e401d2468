"""What crosses the wire about figures."""

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import Field

from app.domain.exclusions import ExclusionGround
from app.domain.matters import Channel, Kind
from app.domain.measures import Basis, Measure, Unit
from app.domain.states import State
from app.statistics.dimensions import Dimension
from app.statistics.members import Part
from app.web.asked import QueryIn
from app.web.period import Moment
from app.web.wire import Instant, Line, PageLimit, WireOut


class GroupBy(StrEnum):
    NONE = "none"
    UNIT = "unit"
    TOWN = "town"
    COMMUNITY = "community"
    GRID = "grid"
    CATEGORY = "category"
    MONTH = "month"


class FigureOut(WireOut):
    """``suppressed``: too few people are behind it for who asks; nothing else is told of it."""

    num: int | None
    den: int | None
    value: float | None
    suppressed: bool


class FiguresOut(WireOut):
    received: FigureOut
    closed: FigureOut
    rated: FigureOut
    satisfied: FigureOut
    contact_on_time: FigureOut
    diligent: FigureOut
    reply_on_time: FigureOut


class GroupOut(FiguresOut):
    key: str | None
    name: str


class SatisfactionOut(WireOut):
    """``basis``: which instant of a request lies in the period, for each figure."""

    definition_version: str
    submitted_from: Instant
    submitted_to: Instant
    basis: dict[str, Basis]
    group_by: GroupBy
    total: FiguresOut
    groups: list[GroupOut]


# --- definitions ---------------------------------------------------------------------------------


class DefinitionOut(WireOut):
    code: str
    name: str
    numerator: str
    denominator: str
    formula: str
    unit: Unit
    basis: Basis
    basis_text: str
    clause: str
    exclusions: str
    version: str
    example: str
    lower_is_better: bool


class WeightsOut(WireOut):
    version: str
    since: date
    parts: dict[str, float]
    partly_solved: float


class DefinitionsOut(WireOut):
    definition_version: str
    items: list[DefinitionOut]
    weights: list[WeightsOut]


# --- any question --------------------------------------------------------------------------------


class Comparison(StrEnum):
    PREVIOUS = "previous"  # the period before, of the same length
    YEAR = "year"  # the same period a year before


class StatisticsIn(QueryIn):
    """What is asked. Filters take a code with all below it."""

    measure: list[Measure] = Field(default_factory=lambda: [Measure.RECEIVED], min_length=1)
    group_by: list[Dimension] = Field(default_factory=list)
    unit_kind: Line | None = None
    unit: Line | None = None
    grid: Line | None = None
    category: Line | None = None
    channel: Channel | None = None
    kind: Kind | None = None
    first: Moment | None = Field(None, alias="from")
    last: Moment | None = Field(None, alias="to")
    basis: Basis | None = None


class FiguresIn(StatisticsIn):
    compare: Comparison | None = None
    ranked: bool = False


class MembersIn(StatisticsIn):
    """``key``: one for each ``group_by``, in their order; none for the total. An empty key means
    what nobody determined."""

    part: Part = Part.NUM
    key: list[str] = Field(default_factory=list)
    limit: PageLimit = 20
    cursor: Line | None = None


class CellOut(WireOut):
    num: float | int | None
    den: int | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    excluded: int | None
    small_sample: bool
    suppressed: bool
    rank: int | None


class BeforeOut(WireOut):
    """A cell of the period that is compared with. ``change``: of the value, in its unit."""

    num: float | int | None
    den: int | None
    value: float | None
    suppressed: bool
    change: float | None


class RowOut(WireOut):
    keys: list[str | None]
    names: list[str]
    figures: dict[str, CellOut]
    before: dict[str, BeforeOut] | None


class StatisticsOut(WireOut):
    definition_version: str
    weights_version: str
    since: Instant
    until: Instant
    before_since: Instant | None
    before_until: Instant | None
    group_by: list[Dimension]
    basis: dict[str, Basis]
    total: RowOut
    subtotals: list[RowOut]
    groups: list[RowOut]


class ExcludedOut(WireOut):
    """By which decision a request does not count: ``/satisfaction/exclusions/{id}``."""

    id: str
    ground: ExclusionGround
    ground_text: str


class MemberOut(WireOut):
    """A request as a line under a figure. ``weight``: what it adds to the numerator.

    Auditors and administrators are told its unit, category, kind and channel only where the figure
    is of one.
    """

    id: str
    number: str
    state: State
    state_text: str
    cycle_no: int
    kind: Kind | None
    channel: Channel | None
    category_code: str | None
    category_name: str | None
    unit_code: str | None
    unit_name: str | None
    grid_code: str | None
    submitted_at: Instant
    contact_due_at: Instant
    contacted_at: Instant | None
    reply_due_at: Instant | None
    replied_at: Instant | None
    ended_at: Instant | None
    office_hours: float | None
    reassigned: int
    extensions: int
    reopens: int
    supervise_level: int
    weight: float
    exclusion: ExcludedOut | None


class MembersOut(WireOut):
    measure: Measure
    part: Literal["num", "den", "excluded"]
    total: int | None
    suppressed: bool
    items: list[MemberOut]
    next_cursor: str | None
