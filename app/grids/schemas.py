"""What crosses the wire about places and points."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from app.domain.geometry import CoordSys
from app.grids.kinds import GridLevel, ImportState, LegacyKind, PlaceChange
from app.web.wire import Day, Id, Instant, Latitude, Longitude, WireIn, WireOut, line, refused_as

POINTS_LIMIT = 1_000


def _finite(value: Any, validate: Any) -> Any:
    try:
        return validate(value)
    except ValidationError as refused:
        if refused.errors(include_input=False, include_url=False)[0]["type"] == "finite_number":
            raise PydanticCustomError("coord_not_finite", "坐标必须是有限的数值") from None
        raise


# CGCS2000 comes in surveyed files only; no phone or map service hands it out.
PointCoordSys = Annotated[
    Literal[CoordSys.WGS84, CoordSys.GCJ02, CoordSys.BD09],
    refused_as("coord_unknown_crs", "坐标系只能是 wgs84、gcj02 或 bd09"),
]


class PointIn(WireIn):
    """A point in degrees. Its coordinate system must be said: a mix-up moves it about 480 m."""

    latitude: Annotated[Latitude, WrapValidator(_finite)]
    longitude: Annotated[Longitude, WrapValidator(_finite)]
    coord_sys: PointCoordSys


class LocationIn(PointIn):
    """Where something is: the point, how sure the phone was of it, what people call the place."""

    accuracy_m: Annotated[float, Field(ge=0, le=100_000)] | None = None
    address: Annotated[str, line(200)] | None = None


class LocateIn(WireIn):
    points: Annotated[list[PointIn], Field(min_length=1, max_length=POINTS_LIMIT)]


class GridRefOut(WireOut):
    code: str
    name: str
    level: GridLevel


class GridOut(GridRefOut):
    """A place with the way down to it, the town first and itself last."""

    level_text: str
    parent_code: str | None
    active: bool
    child_count: int
    path: list[GridRefOut]


class GridsOut(WireOut):
    items: list[GridOut]


class LocatedOut(WireOut):
    """``grid`` is null more than 300 m outside; not ``certain`` means the nearest, unconfirmed."""

    grid: GridRefOut | None
    path: list[GridRefOut]
    distance_m: float | None
    certain: bool


class LocatedListOut(WireOut):
    items: list[LocatedOut]


# --- for administrators --------------------------------------------------------------------------


class WarningOut(WireOut):
    pointer: str
    code: str
    message: str


class PlaceChangeOut(WireOut):
    """What an import does to one place. ``moved_m2``: ground gained and lost together."""

    code: str
    name: str
    name_before: str | None
    change: PlaceChange
    change_text: str
    area_before_m2: float | None
    area_after_m2: float | None
    area_change_m2: float | None
    moved_m2: float | None
    predecessors: list[str]


class GridImportRefOut(WireOut):
    """One import of a file."""

    id: Id
    version: int
    state: ImportState
    state_text: str
    level: GridLevel
    level_text: str
    coord_sys: CoordSys
    added: int
    changed: int
    removed: int
    unchanged: int
    created_at: Instant
    applied_at: Instant | None
    rolled_back_at: Instant | None


class GridImportOut(GridImportRefOut):
    """``missing``: places of the same parents that the file does not name; they stay as they are.
    ``items``: a page of the places that change, by their codes."""

    missing: list[str]
    warnings: list[WarningOut]
    items: list[PlaceChangeOut]
    next_cursor: str | None


class GridImportsOut(WireOut):
    items: list[GridImportRefOut]


class GridVersionOut(WireOut):
    """What a place was or is; ``valid_to`` is null for the present."""

    name: str
    active: bool
    area_m2: float | None
    valid_from: Instant
    valid_to: Instant | None


class GridVersionsOut(WireOut):
    items: list[GridVersionOut]


class GridFaultOut(WireOut):
    """``geometry``: GeoJSON in WGS-84. ``codes``: of a gap its neighbours, of an overlap the two,
    of a house the grids it is in. ``id``: of a house."""

    kind: str
    kind_text: str
    parent_code: str | None
    codes: list[str]
    id: str | None
    area_m2: float | None
    width_m: float | None
    sliver: bool
    households: int | None
    message: str | None
    geometry: JsonValue


class GridAuditOut(WireOut):
    """All sums are of everything that was found; ``items`` are a page of it, the largest first.

    ``dwellings_known``: whether houses were compared too.
    """

    parent_code: str | None
    parents_examined: int
    places_examined: int
    area_m2: float
    gap_m2: float
    overlap_m2: float
    outside_m2: float
    slivers: int
    dwellings_known: bool
    dwellings_misplaced: int
    load_warnings: int
    total: int
    items: list[GridFaultOut]
    next_cursor: str | None


class LegacyLinkOut(WireOut):
    kind: LegacyKind
    kind_text: str
    code: str
    name: str
    grid_code: str
    grid_name: str | None
    valid_from: Day
    valid_to: Day | None


class LegacyLinksOut(WireOut):
    items: list[LegacyLinkOut]
    next_cursor: str | None
