"""What phones send: batches of records. One that is wrong is answered alone; the others go on."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from app.domain.errors import FieldError
from app.domain.geometry import CoordSys
from app.domain.privacy import plain_id_number
from app.domain.registry import BATCH_LIMIT, HouseUse, Kind, PlotUse, Relation, Tag, Tenure
from app.registry.contents import Content, Stay, in_order
from app.registry.kinds import RESIDENCES, SPECS
from app.web.codes import code_and_message, pointer
from app.web.wire import (
    Id,
    Instant,
    Latitude,
    Longitude,
    PersonName,
    PhoneNumber,
    WireIn,
    line,
)

_YEARS = range(1900, 2101)


def _id_number(value: str) -> str:
    number = plain_id_number(value)
    if number is None:
        raise PydanticCustomError("id_number_invalid", "身份证号码不正确，请核对每一位")
    return number


def _day(value: Any) -> date:
    """Also long ago: people live in a house for decades."""
    try:
        if not isinstance(value, str) or len(value) != 10:
            raise ValueError
        day = date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("time_invalid", "日期格式应为 2026-01-31") from None
    if day.year not in _YEARS:
        raise PydanticCustomError("time_out_of_range", "年份应在 1900 至 2100 之间")
    return day


def _each_once(tags: list[Tag]) -> list[Tag]:
    return sorted(set(tags))


IdNumber = Annotated[str, AfterValidator(_id_number), WithJsonSchema({"type": "string"})]
LongAgo = Annotated[
    date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})
]
RecordCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,40}$")]
GridCode = Annotated[str, Field(pattern=r"^(?:[0-9]{15}|[0-9]{17})$")]
ClientId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
Tags = Annotated[list[Tag], Field(max_length=10), AfterValidator(_each_once)]
Address = Annotated[str, line(200)]
Version = Annotated[int, Field(ge=1, le=2_147_483_646)]


class PointIn(WireIn):
    latitude: Latitude
    longitude: Longitude
    coord_sys: Literal[CoordSys.WGS84, CoordSys.GCJ02, CoordSys.BD09]


class ResidenceIn(WireIn):
    """In a house, since and until a day (the last one); without ``until`` still."""

    house_id: Id
    tenure: Tenure = Tenure.OWNER
    since: LongAgo | None = None
    until: LongAgo | None = None

    def residence(self) -> Stay:
        return Stay(self.house_id, self.tenure, self.since, self.until)


def _dates_in_order(residences: list[ResidenceIn]) -> list[ResidenceIn]:
    for it in residences:
        if it.since is not None and it.until is not None and it.until < it.since:
            raise PydanticCustomError("residence_dates", "居住的截止日期不能早于起始日期")
    return residences


Residences = Annotated[list[ResidenceIn], Field(max_length=20), AfterValidator(_dates_in_order)]


class DataIn(WireIn):
    """The whole present content of a record: what is left out is not known, or no more so."""

    code: RecordCode | None = None
    grid_code: GridCode
    active: bool = True

    def content(self, kind: Kind) -> Content:
        """As ``contents`` keeps it."""
        content: Content = {}
        for name in SPECS[kind].content:
            value = getattr(self, name)
            if name == "tags":
                value = tuple(str(tag) for tag in value)
            elif name == "location" and value is not None:
                value = value.model_dump(mode="json")
            elif name == RESIDENCES:
                value = in_order(it.residence() for it in value)
            content[name] = value
        return content


class PlotIn(DataIn):
    use: PlotUse
    area_m2: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    address: Address | None = None
    location: PointIn | None = None


class BuildingIn(DataIn):
    name: Annotated[str, line(100)]
    address: Address | None = None
    floors: Annotated[int, Field(ge=1, le=200)] | None = None
    plot_id: Id | None = None
    location: PointIn | None = None


class HouseIn(DataIn):
    address: Address
    use: HouseUse = HouseUse.SELF_OCCUPIED
    building_id: Id | None = None
    location: PointIn | None = None


class HouseholdIn(DataIn):
    """``name`` is that of its head (户主)."""

    name: PersonName | None = None
    member_count: Annotated[int, Field(ge=1, le=99)] | None = None
    tags: Tags = Field(default_factory=list)
    residences: Residences = Field(default_factory=list)


class PersonIn(DataIn):
    name: PersonName
    phone: PhoneNumber | None = None
    id_number: IdNumber | None = None
    household_id: Id | None = None
    relation: Relation | None = None
    tags: Tags = Field(default_factory=list)
    residences: Residences = Field(default_factory=list)


class _RecordIn(WireIn):
    """A record that was collected, perhaps without a network.

    ``client_id`` is the phone's own word for this sending of it: sent again, it is answered again
    and not done again. ``id`` may be chosen by the phone for a new record, so that others of the
    batch can lean on it; ``base_version`` is the version that was changed, absent for a new one.
    """

    client_id: ClientId
    id: Id | None = None
    base_version: Version | None = None
    collected_at: Instant


class PlotRecordIn(_RecordIn):
    kind: Literal["plot"]
    data: PlotIn


class BuildingRecordIn(_RecordIn):
    kind: Literal["building"]
    data: BuildingIn


class HouseRecordIn(_RecordIn):
    kind: Literal["house"]
    data: HouseIn


class HouseholdRecordIn(_RecordIn):
    kind: Literal["household"]
    data: HouseholdIn


class PersonRecordIn(_RecordIn):
    kind: Literal["person"]
    data: PersonIn


RecordIn = PlotRecordIn | BuildingRecordIn | HouseRecordIn | HouseholdRecordIn | PersonRecordIn


class Refused:
    """A record that cannot be read: what is wrong, and its client id, if that can be."""

    def __init__(self, client_id: str | None, errors: list[FieldError]) -> None:
        self.client_id, self.errors = client_id, errors


def _answer_alone(value: Any, validate: Any) -> Any:
    try:
        return validate(value)
    except ValidationError as wrong:
        errors = [_fault(error) for error in wrong.errors(include_url=False, include_input=False)]
        said = value.get("client_id") if isinstance(value, dict) else None
        client_id = said if isinstance(said, str) and len(said) <= 64 and said.isascii() else None
        return Refused(client_id, errors[:20])


def _fault(error: Any) -> FieldError:
    """The place within the record; the first part of it is the kind, which no pointer names."""
    code, message = code_and_message({**error, "loc": ("body", *error["loc"])})
    return FieldError(pointer(("body", *error["loc"][1:])), code, message)


RecordOrRefused = Annotated[
    Annotated[RecordIn, Field(discriminator="kind")], WrapValidator(_answer_alone)
]


class BatchIn(WireIn):
    records: Annotated[list[RecordOrRefused], Field(min_length=1, max_length=BATCH_LIMIT)]


class RevealIn(WireIn):
    reason: Annotated[str, line(200)]


class LookupIn(WireIn):
    """Exactly one of the two: found is only who has exactly this number."""

    phone: PhoneNumber | None = None
    id_number: IdNumber | None = None
