"""The five kinds of records as one table: their columns, what is sealed, what they lean on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.registry import Kind
from app.registry.models import Building, House, Household, Person, Plot

# What every record's content begins with.
COMMON = ("code", "grid_code", "active")
RESIDENCES = "residences"

_TYPES: dict[str, str] = {
    "id": "uuid",
    "active": "boolean",
    "version": "integer",
    "collector_id": "uuid",
    "collected_at": "timestamptz",
    "updated_by": "uuid",
    "updated_at": "timestamptz",
    "latitude": "double precision",
    "longitude": "double precision",
    "area_m2": "integer",
    "floors": "integer",
    "member_count": "integer",
    "plot_id": "uuid",
    "building_id": "uuid",
    "household_id": "uuid",
    "personal": "bytea",
    "phone_index": "bytea",
    "id_number_index": "bytea",
}
# How a column that comes as text is read where it is written.
READ_AS: dict[str, str] = {"location": "jsonb", "tags": "varchar[]"}
_STAMP = ("version", "source", "collector_id", "collected_at", "updated_by", "updated_at")


def type_of(column: str) -> str:
    """PostgreSQL's type of a column as it is handed over; what is not in the table is text."""
    return _TYPES.get(column, "text")


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind.

    ``fields``: plain members of its content besides ``COMMON``. ``personal``: members that are
    sealed together. ``indexed``: those of them that are found by a keyed hash. ``leans_on``:
    members that are the id of another record. ``occupant``: its column in the residences.
    """

    kind: Kind
    plural: str
    table: str
    fields: tuple[str, ...]
    personal: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    leans_on: Mapping[str, Kind] = field(default_factory=dict)
    occupant: str | None = None

    @property
    def located(self) -> bool:
        return "location" in self.fields

    @property
    def content(self) -> tuple[str, ...]:
        """The members of a content, in order; residences, if it has some, come last."""
        return (*COMMON, *self.fields, *self.personal, *((RESIDENCES,) if self.occupant else ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its table, in the order in which lines are written."""
        return (
            "id",
            *COMMON,
            *_STAMP,
            *self.fields,
            *(("latitude", "longitude") if self.located else ()),
            *(("personal",) if self.personal else ()),
            *(f"{name}_index" for name in self.indexed),
        )


SPECS: dict[Kind, KindSpec] = {
    Kind.PLOT: KindSpec(
        Kind.PLOT, "plots", Plot.__tablename__, ("use", "area_m2", "address", "location")
    ),
    Kind.BUILDING: KindSpec(
        Kind.BUILDING,
        "buildings",
        Building.__tablename__,
        ("name", "address", "floors", "plot_id", "location"),
        leans_on={"plot_id": Kind.PLOT},
    ),
    Kind.HOUSE: KindSpec(
        Kind.HOUSE,
        "houses",
        House.__tablename__,
        ("address", "use", "building_id", "location"),
        leans_on={"building_id": Kind.BUILDING},
    ),
    Kind.HOUSEHOLD: KindSpec(
        Kind.HOUSEHOLD,
        "households",
        Household.__tablename__,
        ("member_count", "tags"),
        personal=("name",),
        occupant="household_id",
    ),
    Kind.PERSON: KindSpec(
        Kind.PERSON,
        "persons",
        Person.__tablename__,
        ("household_id", "relation", "tags"),
        personal=("name", "phone", "id_number"),
        indexed=("phone", "id_number"),
        leans_on={"household_id": Kind.HOUSEHOLD},
        occupant="person_id",
    ),
}
BY_PLURAL: dict[str, KindSpec] = {spec.plural: spec for spec in SPECS.values()}
