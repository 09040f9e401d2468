"""What crosses the wire about places and points."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from app.domain.geometry import CoordSys
from app.grids.kinds import GridLevel
from app.web.wire import Latitude, Longitude, WireIn, WireOut, line, refused_as

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
