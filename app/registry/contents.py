"""A record's content, as plain values that can be compared, and as the columns of its row.

A content has the members of ``KindSpec.content``: ids are UUIDs, ``tags`` a sorted tuple,
``location`` the point as it was received, ``residences`` a sorted tuple of ``Stay``. What
nobody said is None, or an empty tuple.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from app.domain import geometry, privacy
from app.domain.geometry import CoordSys
from app.domain.registry import Source, Tenure
from app.registry.kinds import RESIDENCES, KindSpec
from app.store.crypto import FieldCipher
from app.store.session import Columns

Content = dict[str, Any]
_MASKS = {"name": privacy.mask_name, "phone": privacy.mask_phone, "id_number": privacy.mask_id}


class Stay(NamedTuple):
    """A residence: in a house, since and until a day (the last one; None: still)."""

    house_id: UUID
    tenure: Tenure
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who wrote a content, how and when. ``collector_id``: who saw it on the spot, if anybody."""

    source: Source
    updated_by: UUID
    updated_at: datetime
    collector_id: UUID | None = None
    collected_at: datetime | None = None


def in_order(residences: Iterable[Stay]) -> tuple[Stay, ...]:
    """Each once, in one order."""
    return tuple(
        sorted(
            set(residences),
            key=lambda it: (it.house_id, it.tenure, str(it.since), it.until or date.max),
        )
    )


# --- sealed --------------------------------------------------------------------------------------


def _place(spec: KindSpec, record_id: UUID) -> str:
    return f"{spec.table}.personal/{record_id}"


def index_of(cipher: FieldCipher, spec: KindSpec, name: str, value: str) -> bytes:
    """The keyed hash by which a number (``phone``, ``id_number``) is found."""
    return cipher.blind_index(value, place=f"{spec.table}.{name}")


def seal(
    cipher: FieldCipher, spec: KindSpec, record_id: UUID, content: Mapping[str, Any]
) -> bytes | None:
    """Its personal members together, bound to this record. None if there are none."""
    personal = {name: content[name] for name in spec.personal if content[name] is not None}
    if not personal:
        return None
    return cipher.encrypt(orjson.dumps(personal).decode(), place=_place(spec, record_id))


def unseal(
    cipher: FieldCipher, spec: KindSpec, record_id: UUID, sealed: bytes | None
) -> dict[str, str | None]:
    """Raises: UnreadableValue."""
    opened: dict[str, str] = {}
    if sealed is not None:
        opened = orjson.loads(cipher.decrypt(sealed, place=_place(spec, record_id)))
    return {name: opened.get(name) for name in spec.personal}


def masked(personal: Mapping[str, str | None]) -> dict[str, str | None]:
    """As everybody sees it who may see the record."""
    return {
        name: None if value is None else _MASKS[name](value) for name, value in personal.items()
    }


# --- rows ----------------------------------------------------------------------------------------


def of_row(cipher: FieldCipher, spec: KindSpec, row: Columns) -> Content:
    """The content of a row that was read by ``queries.columns_of``."""
    content: Content = {name: row[name] for name in ("code", "grid_code", "active")}
    for name in spec.fields:
        value = row[name]
        if name == "location" and value is not None:
            value = orjson.loads(value)
        elif name == "tags":
            value = tuple(value)
        content[name] = value
    if spec.personal:
        content |= unseal(cipher, spec, row["id"], row["personal"])
    if spec.occupant:
        content[RESIDENCES] = residences_of(row[RESIDENCES])
    return content


def residences_of(told: str | None) -> tuple[Stay, ...]:
    """Residences as the database tells them: a JSON list of [house, tenure, since, until]."""
    return in_order(
        Stay(
            UUID(house),
            Tenure(tenure),
            since and date.fromisoformat(since),
            until and date.fromisoformat(until),
        )
        for house, tenure, since, until in orjson.loads(told or "[]")
    )


def line_of(
    cipher: FieldCipher,
    spec: KindSpec,
    record_id: UUID,
    content: Mapping[str, Any],
    *,
    version: int,
    stamp: Stamp,
) -> tuple[Any, ...]:
    """The values of ``spec.columns``."""
    values: list[Any] = [
        record_id,
        content["code"],
        content["grid_code"],
        content["active"],
        version,
        stamp.source.value,
        stamp.collector_id,
        stamp.collected_at,
        stamp.updated_by,
        stamp.updated_at,
    ]
    for name in spec.fields:
        value = content[name]
        if name == "location":
            value = value and orjson.dumps(value).decode()
        elif name == "tags":
            value = f"{{{','.join(value)}}}"  # words of a closed list
        values.append(value)
    if spec.located:
        values += point_of(content["location"])
    if spec.personal:
        values.append(seal(cipher, spec, record_id, content))
    for name in spec.indexed:
        said = content[name]
        values.append(None if said is None else index_of(cipher, spec, name, said))
    return tuple(values)


def point_of(location: Mapping[str, Any] | None) -> Sequence[float | None]:
    """``(latitude, longitude)`` in WGS-84 of a point as it was received."""
    if location is None:
        return None, None
    return geometry.to_wgs84(
        location["latitude"], location["longitude"], CoordSys(location["coord_sys"])
    )
