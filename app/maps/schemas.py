"""What crosses the wire of the map."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.domain import geometry
from app.domain.geometry import CoordSys
from app.domain.states import State
from app.grids.kinds import GridLevel
from app.maps.atlas import Box
from app.web.asked import QueryIn
from app.web.period import Moment
from app.web.wire import Line, WireOut, refused_as

# What clients draw on: WeChat's map is GCJ-02, everything else WGS-84.
MapCoordSys = Annotated[
    Literal[CoordSys.WGS84, CoordSys.GCJ02],
    refused_as("coord_unknown_crs", "坐标系只能是 wgs84 或 gcj02"),
]


class Layer(StrEnum):
    """What the grids are coloured by."""

    OPEN = "open"
    OVERDUE = "overdue"
    RECEIVED = "received"
    SATISFACTION = "satisfaction"
    RESIDENTS = "residents"
    PER_1000 = "per_1000"
    CARE = "care"


LAYER_TEXT: dict[Layer, str] = {
    Layer.OPEN: "在办诉求",
    Layer.OVERDUE: "超期诉求",
    Layer.RECEIVED: "受理诉求",
    Layer.SATISFACTION: "满意率",
    Layer.RESIDENTS: "登记人口",
    Layer.PER_1000: "每千人诉求量",
    Layer.CARE: "关爱人群",
}


# What counts requests: the statistics tell it as well.
OF_REQUESTS = frozenset(
    {Layer.OPEN, Layer.OVERDUE, Layer.RECEIVED, Layer.SATISFACTION, Layer.PER_1000}
)


def _box(said: str) -> str:
    refused = PydanticCustomError("bbox_invalid", "范围应为“西,南,东,北”四个经纬度")
    parts = said.split(",")
    try:
        west, south, east, north = (float(part) for part in parts)
    except ValueError:
        raise refused from None
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise refused
    return said


class LayerIn(QueryIn):
    """Which colouring, of which places, over which requests."""

    layer: Layer
    level: GridLevel = GridLevel.GRID
    category: Line | None = None
    first: Moment | None = Field(None, alias="from")
    last: Moment | None = Field(None, alias="to")


class BoxIn(QueryIn):
    """What is looked at. ``bbox`` is said in ``coord_sys``."""

    bbox: Annotated[Line, AfterValidator(_box)]
    coord_sys: MapCoordSys = CoordSys.WGS84

    def box(self) -> Box:
        """In WGS-84: both systems are so nearly parallel that the corners will do."""
        west, south, east, north = (float(part) for part in self.bbox.split(","))
        south, west = geometry.to_wgs84(south, west, self.coord_sys)
        north, east = geometry.to_wgs84(north, east, self.coord_sys)
        return west, south, east, north


class RequestPointsIn(BoxIn):
    """Which requests."""

    state: list[State] = Field(default_factory=list)
    category: Line | None = None
    open: bool = True
    first: Moment | None = Field(None, alias="from")
    last: Moment | None = Field(None, alias="to")


class MapLevelOut(WireOut):
    level: GridLevel
    level_text: str
    places: int
    urls: dict[CoordSys, str]


class MapLayerOut(WireOut):
    layer: Layer
    text: str


class MapOut(WireOut):
    """What there is to draw. ``version`` changes with any border; so do the addresses."""

    version: str
    bounds: dict[CoordSys, tuple[float, float, float, float] | None]
    levels: list[MapLevelOut]
    layers: list[MapLayerOut]
    notice: str


class LayerOut(WireOut):
    """``values``: code → [numerator, denominator or null, value or null]; places without any are
    left out. ``version`` tells of which borders."""

    version: str
    layer: Layer
    level: GridLevel
    submitted_from: datetime | None
    submitted_to: datetime | None
    values: dict[str, tuple[int, int | None, float | None]]


class PointsOut(WireOut):
    """``rows`` follow ``columns``. Above the limit there are ``clusters``: [longitude, latitude,
    how many]."""

    coord_sys: CoordSys
    count: int
    clustered: bool
    columns: list[str]
    rows: list[list[Any]]
    clusters: list[tuple[float, float, int]]
