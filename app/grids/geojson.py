"""Reading boundaries out of a GeoJSON document (RFC 7946), and saying what is wrong with it.

Pure: it looks at nothing but the document. Coordinates become WGS-84 here and nowhere else.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import shapely

from app.domain.errors import FieldError
from app.domain.geometry import (
    CHINA_LATITUDES,
    CHINA_LONGITUDES,
    CoordSys,
    inside_china_box,
    to_wgs84,
)
from app.grids.boundary_file import (
    FEATURE_LIMIT,
    POSITION_LIMIT,
    BoundaryFileRefused,
    Fault,
    Feature,
    Reading,
    check_properties,
    places,
)
from app.grids.kinds import GridLevel

# How documents name WGS-84 and CGCS2000, which count as one.
_WGS84_NAMES = ("CRS84", "4326", "4490", "WGS84", "CGCS2000")


def parse(content: bytes) -> object:
    """The document in these bytes. Raises: BoundaryFileRefused."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BoundaryFileRefused("文件不是 UTF-8 编码") from None
    except (ValueError, RecursionError) as error:
        spot = f"第{error.lineno}行" if isinstance(error, json.JSONDecodeError) else "嵌套或数字"
        raise BoundaryFileRefused(f"文件不是正确的 JSON（{spot}附近）") from None


def read(document: object, *, coord_sys: CoordSys, level: GridLevel) -> Reading:
    """Read every feature as a place of ``level`` whose positions are in ``coord_sys``.

    Raises:
        BoundaryFileRefused: with one ``FieldError`` for each feature that is wrong.
    """
    features = _features(document, coord_sys)
    high: list[int] = []

    def shape_of(place: int) -> bytes:
        drawing = _Drawing(coord_sys)
        wkb = drawing.wkb(features[place].get("geometry"))
        if drawing.has_heights:
            high.append(place)
        return wkb

    found = places(_labelled(features), level, shape_of)
    warnings = tuple(
        FieldError(
            f"/features/{place}",
            "geojson_height_left_out",
            f"第{place + 1}个要素：坐标带有高程，高程未导入",
        )
        for place in high
    )
    return Reading(found, warnings)


def _labelled(features: Sequence[Any]) -> Iterator[Feature]:
    for place, feature in enumerate(features):
        properties: Mapping[str, Any] | Fault
        if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
            properties = Fault("geojson_not_a_feature", "不是 Feature")
        else:
            properties = check_properties(feature.get("properties"))
        yield f"/features/{place}", f"第{place + 1}个要素", properties


def _features(document: object, coord_sys: CoordSys) -> Sequence[Any]:
    if not isinstance(document, Mapping) or document.get("type") != "FeatureCollection":
        raise BoundaryFileRefused("文件应为 GeoJSON 的 FeatureCollection")
    features = document.get("features")
    if not isinstance(features, list) or not features:
        raise BoundaryFileRefused("features 应为非空列表")
    if len(features) > FEATURE_LIMIT:
        raise BoundaryFileRefused(f"要素不能超过{FEATURE_LIMIT}个")
    if "crs" in document and document["crs"] is not None:
        _check_crs(document["crs"], coord_sys)
    if _count_positions(features) > POSITION_LIMIT:
        raise BoundaryFileRefused(f"坐标点不能超过{POSITION_LIMIT}个")
    return features


def _check_crs(crs: object, coord_sys: CoordSys) -> None:
    """A document that names its coordinate system must agree with what the caller says."""
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str) or not name.upper().endswith(_WGS84_NAMES):
        raise BoundaryFileRefused("文件声明的坐标系（crs）不是 WGS-84 或 CGCS2000 经纬度")
    if coord_sys not in (CoordSys.WGS84, CoordSys.CGCS2000):
        raise BoundaryFileRefused(f"文件声明为 WGS-84，与所填坐标系 {coord_sys.value} 不一致")


def _count_positions(features: Sequence[Any]) -> int:
    """Roughly: every list of numbers below ``geometry``. Iterative, so depth does no harm."""
    count = 0
    open_: list[Any] = [
        feature["geometry"].get("coordinates")
        for feature in features
        if isinstance(feature, Mapping) and isinstance(feature.get("geometry"), Mapping)
    ]
    while open_:
        part = open_.pop()
        if isinstance(part, list):
            if part and isinstance(part[0], list):
                open_ += part
            else:
                count += 1
    return count


class _Drawing:
    """One geometry on its way from positions to a shape. ``has_heights``: some had a third number,
    which the map does not need."""

    def __init__(self, coord_sys: CoordSys) -> None:
        self._coord_sys = coord_sys
        self.has_heights = False

    def wkb(self, geometry: object) -> bytes:
        """Raises: Fault."""
        if not isinstance(geometry, Mapping):
            raise Fault("geojson_geometry_missing", "没有边界（geometry）")
        kind, coordinates = geometry.get("type"), geometry.get("coordinates")
        if kind == "Polygon":
            shape: shapely.Geometry = self._polygon(coordinates)
        elif kind == "MultiPolygon":
            if not isinstance(coordinates, list) or not coordinates:
                raise Fault("geojson_empty", "边界是空的")
            shape = shapely.MultiPolygon([self._polygon(part) for part in coordinates])
        else:
            raise Fault("geojson_geometry_type", "边界应为 Polygon 或 MultiPolygon")
        if not shapely.is_valid(shape):
            raise Fault("geojson_self_crossing", f"边界自相交或部件重叠：{_where(shape)}")
        if shapely.area(shape) == 0:
            raise Fault("geojson_empty", "边界没有面积")
        wkb: bytes = shapely.to_wkb(shape, byte_order=1)
        return wkb

    def _polygon(self, rings: object) -> shapely.Polygon:
        if not isinstance(rings, list) or not rings:
            raise Fault("geojson_empty", "边界是空的")
        shell, *holes = (self._ring(ring) for ring in rings)
        return shapely.Polygon(shell, holes)

    def _ring(self, ring: object) -> list[tuple[float, float]]:
        if not isinstance(ring, list) or not ring:
            raise Fault("geojson_empty", "边界是空的")
        if len(ring) < 4:
            raise Fault("geojson_ring_short", "一圈边界至少要有4个坐标点")
        spots = [self._spot(position) for position in ring]
        if spots[0] != spots[-1]:
            raise Fault("geojson_ring_open", "边界没有闭合：首尾坐标点应相同")
        return spots

    def _spot(self, position: object) -> tuple[float, float]:
        """``(longitude, latitude)`` in WGS-84."""
        if not isinstance(position, list) or len(position) not in (2, 3):
            raise Fault("geojson_position", "坐标点应为 [经度, 纬度]")
        for number in position:
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise Fault("geojson_position", "坐标应为数字")
            if abs(number) > 1e6 or not isfinite(number):
                raise Fault("geojson_not_finite", "坐标不是有限的经纬度数值")
        self.has_heights = self.has_heights or len(position) == 3
        longitude, latitude = position[0], position[1]
        if not inside_china_box(latitude, longitude):
            _tell_outside(latitude, longitude)
        latitude, longitude = to_wgs84(float(latitude), float(longitude), self._coord_sys)
        return longitude, latitude


def _tell_outside(latitude: float, longitude: float) -> None:
    if inside_china_box(longitude, latitude):
        raise Fault("geojson_swapped", "经度和纬度可能写反了，应为 [经度, 纬度]")
    raise Fault(
        "geojson_outside_china",
        f"坐标不在中国范围内（经度{CHINA_LONGITUDES[0]}至{CHINA_LONGITUDES[1]}，"
        f"纬度{CHINA_LATITUDES[0]}至{CHINA_LATITUDES[1]}）",
    )


def _where(shape: shapely.Geometry) -> str:
    """The place that GEOS names: ``Self-intersection[120.1 36.2]`` → ``120.1 36.2 附近``."""
    reason = str(shapely.is_valid_reason(shape))
    spot = reason.partition("[")[2].rstrip("]")
    return f"{spot} 附近" if spot else "位置不明"
