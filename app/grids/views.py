"""Imports and audits of the tree as the API and the command line show them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import orjson
import shapely

from app.domain.coverage import FAULT_TEXT, Fault, FaultKind, LoadWarning, Misplaced
from app.grids.inspection import Inspection
from app.grids.kinds import IMPORT_STATE_TEXT, LEGACY_KIND_TEXT, LEVEL_TEXT, PLACE_CHANGE_TEXT
from app.grids.legacy import LegacyLink
from app.grids.models import GridImportPlaceRow, GridImportRow
from app.grids.queries import GridIndex
from app.grids.schemas import (
    GridAuditOut,
    GridFaultOut,
    GridImportOut,
    GridImportRefOut,
    LegacyLinkOut,
    PlaceChangeOut,
    WarningOut,
)

# Larger outlines of faults are drawn a little coarser: to see where, not to survey.
_POSITIONS_SHOWN = 2_000
_COARSE_DEGREES = 0.00005
_CODES_SHOWN = 1_000


def import_ref(row: GridImportRow) -> GridImportRefOut:
    return GridImportRefOut.model_validate(_members(row))


def an_import(
    row: GridImportRow, places: Sequence[GridImportPlaceRow], next_cursor: str | None
) -> GridImportOut:
    return GridImportOut.model_validate(
        {
            **_members(row),
            "missing": row.summary["missing"][:_CODES_SHOWN],
            "warnings": [WarningOut.model_validate(told) for told in row.summary["warnings"]],
            "items": [place_change(place) for place in places],
            "next_cursor": next_cursor,
        }
    )


def _members(row: GridImportRow) -> dict[str, object]:
    return {
        "id": row.id,
        "version": row.version,
        "state": row.state,
        "state_text": IMPORT_STATE_TEXT[row.state],
        "level": row.level,
        "level_text": LEVEL_TEXT[row.level],
        "coord_sys": row.coord_sys,
        **{name: row.summary[name] for name in ("added", "changed", "removed", "unchanged")},
        "created_at": row.created_at,
        "applied_at": row.applied_at,
        "rolled_back_at": row.rolled_back_at,
    }


def place_change(place: GridImportPlaceRow) -> PlaceChangeOut:
    known = place.area_before_m2 is not None or place.area_after_m2 is not None
    difference = (place.area_after_m2 or 0.0) - (place.area_before_m2 or 0.0)
    return PlaceChangeOut(
        code=place.code,
        name=place.name,
        name_before=place.before_name,
        change=place.change,
        change_text=PLACE_CHANGE_TEXT[place.change],
        area_before_m2=place.area_before_m2,
        area_after_m2=place.area_after_m2,
        area_change_m2=round(difference, 2) if known else None,
        moved_m2=place.moved_m2,
        predecessors=place.predecessors,
    )


def audit(
    grids: GridIndex, found: Inspection, *, parent: str | None, offset: int, limit: int
) -> GridAuditOut:
    """A page of what an inspection found; geometries are only made for the page."""
    misplaced, loads = found.misplaced or (), found.loads or ()
    total = len(found.faults) + len(misplaced) + len(loads)
    items = list(islice(_items(grids, found), offset, offset + limit))
    end = offset + len(items)
    return GridAuditOut(
        parent_code=parent,
        parents_examined=len(found.examinations),
        places_examined=sum(one.children for one in found.examinations),
        area_m2=round(sum(one.area_m2 or 0.0 for one in found.examinations), 2),
        gap_m2=round(found.total_m2(FaultKind.GAP), 2),
        overlap_m2=round(found.total_m2(FaultKind.OVERLAP), 2),
        outside_m2=round(found.total_m2(FaultKind.OUTSIDE), 2),
        slivers=found.slivers,
        dwellings_known=found.misplaced is not None,
        dwellings_misplaced=len(misplaced),
        load_warnings=len(loads),
        total=total,
        items=items,
        next_cursor=str(end) if end < total else None,
    )


def _items(grids: GridIndex, found: Inspection) -> Iterator[GridFaultOut]:
    yield from map(_fault, found.faults)
    yield from map(_house, found.misplaced or ())
    yield from (_load(grids, load) for load in found.loads or ())


def _fault(fault: Fault) -> GridFaultOut:
    drawn = fault.shape is not None
    return GridFaultOut(
        kind=fault.kind,
        kind_text=FAULT_TEXT[fault.kind],
        parent_code=fault.parent_code,
        codes=list(fault.codes),
        id=None,
        area_m2=round(fault.area_m2, 2) if drawn else None,
        width_m=round(fault.width_m, 2) if drawn else None,
        sliver=fault.sliver,
        households=None,
        message=None,
        geometry=_geometry(fault.shape),
    )


def _house(house: Misplaced) -> GridFaultOut:
    several = bool(house.codes)
    kind = "dwelling_in_several" if several else "dwelling_in_none"
    point = (house.dwelling.longitude, house.dwelling.latitude)
    return GridFaultOut(
        kind=kind,
        kind_text="房屋同属几个网格" if several else "房屋不在任何网格内",
        parent_code=None,
        codes=list(house.codes),
        id=house.dwelling.id,
        area_m2=None,
        width_m=None,
        sliver=False,
        households=house.dwelling.households,
        message=None,
        geometry={"type": "Point", "coordinates": list(point)},
    )


def _load(grids: GridIndex, load: LoadWarning) -> GridFaultOut:
    node = grids.node(load.code)
    return GridFaultOut(
        kind="load",
        kind_text="户数不合规定",
        parent_code=node.parent_code if node else None,
        codes=[load.code],
        id=None,
        area_m2=None,
        width_m=None,
        sliver=False,
        households=load.households,
        message=load.text(),
        geometry=None,
    )


def _geometry(shape: shapely.Geometry | None) -> dict[str, object] | None:
    if shape is None:
        return None
    if shapely.get_num_coordinates(shape) > _POSITIONS_SHOWN:
        shape = shapely.simplify(shape, _COARSE_DEGREES)
    drawn: dict[str, object] = orjson.loads(shapely.to_geojson(shape))
    return drawn


def legacy_links(grids: GridIndex, links: Iterable[LegacyLink]) -> list[LegacyLinkOut]:
    return [
        LegacyLinkOut(
            kind=link.kind,
            kind_text=LEGACY_KIND_TEXT[link.kind],
            code=link.code,
            name=link.name,
            grid_code=link.grid_code,
            grid_name=grids.name_path(link.grid_code) or None,
            valid_from=link.valid_from,
            valid_to=link.valid_to,
        )
        for link in links
    ]
