"""What we answer about the registers. Personal data is masked, always."""

from datetime import date
from typing import Any

from app.domain.registry import HouseUse, Kind, Outcome, PlotUse, Relation, Source, Tenure
from app.web.wire import Instant, WireOut


class WordOut(WireOut):
    code: str
    text: str


class PointOut(WireOut):
    """``latitude`` and ``longitude`` in WGS-84; ``gcj02_*`` as the mini-program's map wants it."""

    latitude: float
    longitude: float
    gcj02_latitude: float
    gcj02_longitude: float


class ResidenceOut(WireOut):
    house_id: str
    tenure: Tenure
    tenure_text: str
    since: date | None
    until: date | None


class DwellerOut(WireOut):
    household_id: str | None
    person_id: str | None
    tenure: Tenure
    tenure_text: str
    since: date | None
    until: date | None


class PlotData(WireOut):
    use: PlotUse
    use_text: str
    area_m2: int | None
    address: str | None
    location: PointOut | None


class BuildingData(WireOut):
    name: str
    address: str | None
    floors: int | None
    plot_id: str | None
    location: PointOut | None


class HouseData(WireOut):
    address: str
    use: HouseUse
    use_text: str
    building_id: str | None
    location: PointOut | None


class HouseholdData(WireOut):
    """``name``: of the head, masked."""

    name: str | None
    member_count: int | None
    tags: list[WordOut]
    residences: list[ResidenceOut]


class PersonData(WireOut):
    """Name and numbers masked."""

    name: str | None
    phone: str | None
    id_number: str | None
    household_id: str | None
    relation: Relation | None
    relation_text: str | None
    tags: list[WordOut]
    residences: list[ResidenceOut]


class RecordOut(WireOut):
    id: str
    kind: Kind
    kind_text: str
    code: str | None
    grid_code: str
    grid_name: str | None
    active: bool
    version: int
    source: Source
    source_text: str
    collector: str | None
    collected_at: Instant | None
    updated_at: Instant
    stale: bool
    data: PersonData | HouseholdData | HouseData | BuildingData | PlotData


class RecordPage(WireOut):
    items: list[RecordOut]
    next_cursor: str | None


class RecordDetail(RecordOut):
    """``members`` of a household; ``dwellers`` of a house."""

    members: list[RecordOut] | None
    dwellers: list[DwellerOut] | None


class FoundOut(WireOut):
    items: list[RecordOut]


class PersonalOut(WireOut):
    """In clear."""

    name: str | None
    phone: str | None
    id_number: str | None


# --- batches -------------------------------------------------------------------------------------


class FaultOut(WireOut):
    pointer: str
    code: str
    message: str


class DifferenceOut(WireOut):
    """What stands there and what was sent; of people's names and numbers the masks."""

    field: str
    kept: Any
    sent: Any


class ConflictOut(WireOut):
    """The last writer's record, which stays as it is."""

    id: str
    version: int
    updated_by: str | None
    updated_at: Instant
    source: Source
    source_text: str
    differences: list[DifferenceOut]


class TakenOut(WireOut):
    """The answer to the record at ``index`` of the batch."""

    index: int
    client_id: str | None
    outcome: Outcome
    outcome_text: str
    id: str | None
    version: int | None
    errors: list[FaultOut]
    conflict: ConflictOut | None


class BatchOut(WireOut):
    items: list[TakenOut]
    counts: dict[Outcome, int]


# --- progress ------------------------------------------------------------------------------------


class CountOut(WireOut):
    """``expected``: in the register; ``collected``: confirmed on the spot; ``stale``: of these,
    too long ago."""

    expected: int
    collected: int
    stale: int


class PlaceProgressOut(WireOut):
    code: str
    name: str
    level: str
    households: CountOut
    persons: CountOut
    houses: CountOut


class ProgressTotalOut(WireOut):
    households: CountOut
    persons: CountOut
    houses: CountOut


class ProgressOut(WireOut):
    items: list[PlaceProgressOut]
    total: ProgressTotalOut
    stale_days: int
