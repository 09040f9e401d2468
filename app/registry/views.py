"""A record as the API shows it: masked, with the Chinese beside each word. One place decides."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain import geometry
from app.domain.registry import (
    HOUSE_USE_TEXT,
    KIND_TEXT,
    PLOT_USE_TEXT,
    RELATION_TEXT,
    SOURCE_TEXT,
    TAG_TEXT,
    TENURE_TEXT,
    HouseUse,
    Kind,
    PlotUse,
    Relation,
    Source,
    Tag,
    Tenure,
)
from app.registry import contents
from app.registry.contents import Content, Stay
from app.registry.kinds import RESIDENCES, KindSpec
from app.registry.schemas import (
    BuildingData,
    DwellerOut,
    HouseData,
    HouseholdData,
    PersonData,
    PlotData,
    PointOut,
    RecordOut,
    ResidenceOut,
    WordOut,
)
from app.store.crypto import FieldCipher
from app.store.session import Columns

_DATA: dict[Kind, type[PlotData | BuildingData | HouseData | HouseholdData | PersonData]] = {
    Kind.PLOT: PlotData,
    Kind.BUILDING: BuildingData,
    Kind.HOUSE: HouseData,
    Kind.HOUSEHOLD: HouseholdData,
    Kind.PERSON: PersonData,
}


def record_view(
    cipher: FieldCipher, spec: KindSpec, row: Columns, *, stale_before: datetime
) -> RecordOut:
    """A row that ``queries.get`` or ``queries.page`` read."""
    return RecordOut(**record_facts(cipher, spec, row, stale_before=stale_before))


def record_facts(
    cipher: FieldCipher, spec: KindSpec, row: Columns, *, stale_before: datetime
) -> dict[str, Any]:
    """The members of a ``RecordOut``."""
    collected_at = row["collected_at"]
    return {
        "id": str(row["id"]),
        "kind": spec.kind,
        "kind_text": KIND_TEXT[spec.kind],
        "code": row["code"],
        "grid_code": row["grid_code"],
        "grid_name": row["grid_name"],
        "active": row["active"],
        "version": row["version"],
        "source": Source(row["source"]),
        "source_text": SOURCE_TEXT[Source(row["source"])],
        "collector": row["collector"],
        "collected_at": collected_at,
        "updated_at": row["updated_at"],
        "stale": collected_at is None or collected_at < stale_before,
        "data": data_view(spec, contents.of_row(cipher, spec, row)),
    }


def data_view(
    spec: KindSpec, content: Content
) -> PlotData | BuildingData | HouseData | HouseholdData | PersonData:
    """What is particular to the kind."""
    members: dict[str, Any] = {name: content[name] for name in spec.fields}
    members |= contents.masked({name: content[name] for name in spec.personal})
    for name in spec.leans_on:
        members[name] = members[name] and str(members[name])
    match spec.kind:
        case Kind.PLOT:
            members["use_text"] = PLOT_USE_TEXT[PlotUse(content["use"])]
        case Kind.HOUSE:
            members["use_text"] = HOUSE_USE_TEXT[HouseUse(content["use"])]
        case Kind.PERSON:
            relation = content["relation"]
            members["relation_text"] = relation and RELATION_TEXT[Relation(relation)]
    if spec.located:
        members["location"] = _point(content["location"])
    if spec.occupant:
        members["tags"] = [WordOut(code=tag, text=TAG_TEXT[Tag(tag)]) for tag in content["tags"]]
        members[RESIDENCES] = [_residence(it) for it in content[RESIDENCES]]
    return _DATA[spec.kind](**members)


def _point(location: Mapping[str, Any] | None) -> PointOut | None:
    latitude, longitude = contents.point_of(location)
    if latitude is None or longitude is None:
        return None
    gcj02_latitude, gcj02_longitude = geometry.to_gcj02(latitude, longitude)
    return PointOut(
        latitude=round(latitude, 7),
        longitude=round(longitude, 7),
        gcj02_latitude=round(gcj02_latitude, 7),
        gcj02_longitude=round(gcj02_longitude, 7),
    )


def _residence(it: Stay) -> ResidenceOut:
    return ResidenceOut(
        house_id=str(it.house_id),
        tenure=it.tenure,
        tenure_text=TENURE_TEXT[it.tenure],
        since=it.since,
        until=it.until,
    )


def dwellers_view(rows: Iterable[Columns]) -> list[DwellerOut]:
    return [
        DwellerOut(
            household_id=_text(row["household_id"]),
            person_id=_text(row["person_id"]),
            tenure=Tenure(row["tenure"]),
            tenure_text=TENURE_TEXT[Tenure(row["tenure"])],
            since=row["since"],
            until=row["until"],
        )
        for row in rows
    ]


def difference_view(spec: KindSpec, name: str, content: Content) -> Any:
    """One member of a content as a difference shows it: masked, plain JSON."""
    value = content.get(name)
    if name in spec.personal:
        return contents.masked({name: value})[name]
    if name == RESIDENCES:
        return [_residence(it).model_dump(mode="json") for it in value or ()]
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: object) -> str | None:
    return None if value is None else str(value)
