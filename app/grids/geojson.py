"""Reading boundaries out of a GeoJSON document (RFC 7946), and saying what is wrong with it.

Pure: it looks at nothing but the document. Every fault of every feature is told, in Chinese, with
the feature's number, code and name; coordinates become WGS-84 here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import shapely

from app.domain.errors import FieldError, Invalid
from app.domain.geometry import (
    CHINA_LATITUDES,
    CHINA_LONGITUDES,
    CoordSys,
    inside_china_box,
    to_wgs84,
)
from app.grids.kinds import CODE_DIGITS, COUNTY_DIGITS, LEVEL_TEXT, PARENT_LEVEL, GridLevel

FEATURE_LIMIT = 20_000
POSITION_LIMIT = 3_000_000
NAME_LIMIT = 60
_CODE_NAMES = ("code", "stat_code", "division_code")
_PARENT_NAMES = ("parent_code", "parent")
# How documents name WGS-84 and CGCS2000, which count as one.
_WGS84_NAMES = ("CRS84", "4326", "4490", "WGS84", "CGCS2000")


class GeojsonRefused(Invalid):
    """边界文件有误，未导入任何内容。"""

    code = "geojson_invalid"


class _Fault(Exception):
    """One thing wrong with one feature; becomes a ``FieldError`` of ``GeojsonRefused``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Boundary:
    """A feature that was read. ``wkb`` is WGS-84, longitude first."""

    pointer: str
    label: str
    code: str
    name: str
    parent_code: str | None
    wkb: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """``skipped`` counts features of the county above, which has no row."""

    boundaries: tuple[Boundary, ...]
    skipped: int


def read(document: object, *, coord_sys: CoordSys, level: GridLevel) -> Reading:
    """Read every feature as a place of ``level`` whose positions are in ``coord_sys``.

    Raises:
        GeojsonRefused: with one ``FieldError`` for each feature that is wrong.
    """
    features = _features(document, coord_sys)
    boundaries: list[Boundary] = []
    errors: list[FieldError] = []
    seen: dict[str, int] = {}
    skipped = 0
    for place, feature in enumerate(features):
        label = f"第{place + 1}个要素"
        pointer = f"/features/{place}"
        try:
            properties = _properties(feature)
            code, name = _code(properties), _name(properties)
            label = f"{label}（{code} {name}）"
            if len(code) == COUNTY_DIGITS:
                skipped += 1
                continue
            _check_code(code, level)
            if code in seen:
                raise _Fault("geojson_code_twice", f"编码与第{seen[code] + 1}个要素重复")
            seen[code] = place
            parent_code = _parent_code(properties, code, level)
            wkb = _geometry(feature.get("geometry"), coord_sys)
        except _Fault as fault:
            errors.append(FieldError(pointer, fault.code, f"{label}：{fault}"))
        else:
            boundaries.append(Boundary(pointer, label, code, name, parent_code, wkb))
    if errors:
        raise GeojsonRefused(f"共{len(errors)}处有误，第一处：{errors[0].message}", errors=errors)
    if not boundaries:
        raise GeojsonRefused(f"文件里没有{LEVEL_TEXT[level]}一级的要素")
    return Reading(tuple(boundaries), skipped)


def _features(document: object, coord_sys: CoordSys) -> Sequence[Any]:
    if not isinstance(document, Mapping) or document.get("type") != "FeatureCollection":
        raise GeojsonRefused("文件应为 GeoJSON 的 FeatureCollection")
    features = document.get("features")
    if not isinstance(features, list) or not features:
        raise GeojsonRefused("features 应为非空列表")
    if len(features) > FEATURE_LIMIT:
        raise GeojsonRefused(f"要素不能超过{FEATURE_LIMIT}个")
    if "crs" in document and document["crs"] is not None:
        _check_crs(document["crs"], coord_sys)
    if _count_positions(features) > POSITION_LIMIT:
        raise GeojsonRefused(f"坐标点不能超过{POSITION_LIMIT}个")
    return features


def _check_crs(crs: object, coord_sys: CoordSys) -> None:
    """A document that names its coordinate system must agree with what the caller says."""
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str) or not name.upper().endswith(_WGS84_NAMES):
        raise GeojsonRefused("文件声明的坐标系（crs）不是 WGS-84 或 CGCS2000 经纬度")
    if coord_sys not in (CoordSys.WGS84, CoordSys.CGCS2000):
        raise GeojsonRefused(f"文件声明为 WGS-84，与所填坐标系 {coord_sys.value} 不一致")


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


def _properties(feature: object) -> Mapping[str, Any]:
    if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
        raise _Fault("geojson_not_a_feature", "不是 Feature")
    properties = feature.get("properties")
    if not isinstance(properties, Mapping):
        raise _Fault("geojson_properties", "缺少 properties")
    return properties


def _code(properties: Mapping[str, Any]) -> str:
    code = next((properties[name] for name in _CODE_NAMES if properties.get(name)), None)
    if code is None:
        raise _Fault("geojson_code_missing", "缺少编码（code、stat_code 或 division_code）")
    if not isinstance(code, str) or not (code.isascii() and code.isdigit()):
        raise _Fault("geojson_code", "编码应为数字组成的文字")
    return code


def _name(properties: Mapping[str, Any]) -> str:
    name = properties.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _Fault("geojson_name", "缺少名称（name）")
    name = name.strip()
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise _Fault("geojson_name", f"名称应为不超过{NAME_LIMIT}个字的一行文字")
    return name


def _check_code(code: str, level: GridLevel) -> None:
    if len(code) != CODE_DIGITS[level]:
        raise _Fault(
            "geojson_code",
            f"{LEVEL_TEXT[level]}的编码应为{CODE_DIGITS[level]}位，实为{len(code)}位",
        )


def _parent_code(properties: Mapping[str, Any], code: str, level: GridLevel) -> str | None:
    above = PARENT_LEVEL[level]
    expected = code[: CODE_DIGITS[above] if above is not None else COUNTY_DIGITS]
    given = next((properties[name] for name in _PARENT_NAMES if properties.get(name)), expected)
    if given != expected:
        raise _Fault("geojson_parent", f"上级编码应为 {expected}，即本编码的开头部分")
    return expected if above is not None else None


def _geometry(geometry: object, coord_sys: CoordSys) -> bytes:
    if not isinstance(geometry, Mapping):
        raise _Fault("geojson_geometry_missing", "没有边界（geometry）")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        shape: shapely.Geometry = _polygon(coordinates, coord_sys)
    elif kind == "MultiPolygon":
        if not isinstance(coordinates, list) or not coordinates:
            raise _Fault("geojson_empty", "边界是空的")
        shape = shapely.MultiPolygon([_polygon(part, coord_sys) for part in coordinates])
    else:
        raise _Fault("geojson_geometry_type", "边界应为 Polygon 或 MultiPolygon")
    if not shapely.is_valid(shape):
        raise _Fault("geojson_self_crossing", f"边界自相交或部件重叠：{_where(shape)}")
    if shapely.area(shape) == 0:
        raise _Fault("geojson_empty", "边界没有面积")
    wkb: bytes = shapely.to_wkb(shape, byte_order=1)
    return wkb


def _where(shape: shapely.Geometry) -> str:
    """The place that GEOS names: ``Self-intersection[120.1 36.2]`` → ``120.1 36.2 附近``."""
    reason = str(shapely.is_valid_reason(shape))
    spot = reason.partition("[")[2].rstrip("]")
    return f"{spot} 附近" if spot else "位置不明"


def _polygon(rings: object, coord_sys: CoordSys) -> shapely.Polygon:
    if not isinstance(rings, list) or not rings:
        raise _Fault("geojson_empty", "边界是空的")
    shell, *holes = (_ring(ring, coord_sys) for ring in rings)
    return shapely.Polygon(shell, holes)


def _ring(ring: object, coord_sys: CoordSys) -> list[tuple[float, float]]:
    if not isinstance(ring, list) or not ring:
        raise _Fault("geojson_empty", "边界是空的")
    if len(ring) < 4:
        raise _Fault("geojson_ring_short", "一圈边界至少要有4个坐标点")
    spots = [_spot(position, coord_sys) for position in ring]
    if spots[0] != spots[-1]:
        raise _Fault("geojson_ring_open", "边界没有闭合：首尾坐标点应相同")
    return spots


def _spot(position: object, coord_sys: CoordSys) -> tuple[float, float]:
    """``(longitude, latitude)`` in WGS-84. A third number, the height, is left out."""
    if not isinstance(position, list) or len(position) not in (2, 3):
        raise _Fault("geojson_position", "坐标点应为 [经度, 纬度]")
    longitude, latitude = position[0], position[1]
    for number in (longitude, latitude):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise _Fault("geojson_position", "坐标应为数字")
        if abs(number) > 1e6 or not isfinite(number):
            raise _Fault("geojson_not_finite", "坐标不是有限的经纬度数值")
    if not inside_china_box(latitude, longitude):
        if inside_china_box(longitude, latitude):
            raise _Fault("geojson_swapped", "经度和纬度可能写反了，应为 [经度, 纬度]")
        raise _Fault(
            "geojson_outside_china",
            f"坐标不在中国范围内（经度{CHINA_LONGITUDES[0]}至{CHINA_LONGITUDES[1]}，"
            f"纬度{CHINA_LATITUDES[0]}至{CHINA_LATITUDES[1]}）",
        )
    latitude, longitude = to_wgs84(float(latitude), float(longitude), coord_sys)
    return longitude, latitude
