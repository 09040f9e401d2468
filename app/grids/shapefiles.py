"""Reading boundaries out of an ESRI Shapefile: a ``.zip``, or its parts ``.shp`` and ``.dbf``.

The parts become a GeoJSON document, so that everything else is checked in one place.
"""

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import shapefile

from app.domain.errors import FieldError
from app.domain.geometry import CoordSys
from app.grids import geojson
from app.grids.boundary_file import (
    FEATURE_LIMIT,
    FILE_LIMIT_BYTES,
    POSITION_LIMIT,
    BoundaryFileRefused,
    BoundaryFileTooLarge,
    Reading,
)
from app.grids.kinds import GridLevel

PARTS = ("shp", "dbf", "prj", "cpg")
_NEEDED = ("shp", "dbf")
_POSITION_BYTES = 16
# Has a sign for every byte, and no white space that a Chinese text ends with: nothing gets lost.
_ANY_BYTES = "cp437"
_GB_NAMES = frozenset({"gbk", "gb2312", "gb18030", "936", "cp936"})
_WGS84 = re.compile(r"WGS[_ ]?(19)?84|CGCS[_ ]?2000|China[_ ]2000|China Geodetic", re.IGNORECASE)
# Whatever pyshp meets in a file that is none.
_DAMAGED = (
    shapefile.ShapefileException,
    struct.error,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    OverflowError,
    MemoryError,
    AssertionError,
)


def unzip(content: bytes) -> dict[str, bytes]:
    """The parts of the one Shapefile in a ZIP archive, by their endings.

    Raises:
        BoundaryFileRefused: no archive, not exactly one ``.shp``, or a part is missing.
        BoundaryFileTooLarge: unpacked it would be larger than a file may be.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _unpacked(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        raise BoundaryFileRefused("不是可以打开的 ZIP 文件（损坏或已加密）") from None


def _unpacked(archive: zipfile.ZipFile) -> dict[str, bytes]:
    # Archives of one operating system hold shadows of the files in another's.
    named = {
        info.filename: info
        for info in archive.infolist()
        if not info.filename.startswith("__MACOSX/")
    }
    shps = [name for name in named if name.lower().endswith(".shp")]
    if len(shps) != 1:
        raise BoundaryFileRefused(f"ZIP 中应恰有一个 .shp 文件，实有{len(shps)}个")
    stem = shps[0][:-3].lower()
    wanted = {
        name.lower()[len(stem) :]: info
        for name, info in named.items()
        if name.lower().startswith(stem) and name.lower()[len(stem) :] in PARTS
    }
    left = FILE_LIMIT_BYTES
    parts: dict[str, bytes] = {}
    for part, info in wanted.items():
        with archive.open(info) as file:  # what the archive says of sizes may be a lie
            parts[part] = file.read(left + 1)
        left -= len(parts[part])
        if left < 0:
            raise BoundaryFileTooLarge(f"解压后超过{FILE_LIMIT_BYTES // 2**20}MB")
    return parts


def read(parts: Mapping[str, bytes], *, coord_sys: CoordSys, level: GridLevel) -> Reading:
    """Read the parts of a Shapefile, by their endings, as places of ``level``.

    Raises:
        BoundaryFileRefused: with one ``FieldError`` for each record that is wrong.
    """
    for part in _NEEDED:
        if part not in parts:
            raise BoundaryFileRefused(f"缺少 .{part} 文件")
    if len(parts["shp"]) > POSITION_LIMIT * _POSITION_BYTES:
        raise BoundaryFileTooLarge(f"坐标点不能超过{POSITION_LIMIT}个")
    warnings = _check_projection(parts.get("prj"), coord_sys)
    reading = geojson.read(_document(parts), coord_sys=coord_sys, level=level)
    return Reading(reading.boundaries, (*warnings, *reading.warnings))


def _check_projection(prj: bytes | None, coord_sys: CoordSys) -> tuple[FieldError, ...]:
    text = "" if prj is None else prj.decode("utf-8", "replace").strip()
    if not text:
        told = f"没有 .prj 文件，按所填坐标系 {coord_sys.value} 导入"
        return (FieldError(".prj", "shapefile_prj_missing", told),)
    if re.match(r"PROJ(CS|CRS)\b", text, re.IGNORECASE):
        raise BoundaryFileRefused("坐标是投影坐标（.prj），请先转换成 CGCS2000 或 WGS-84 经纬度")
    if not _WGS84.search(text):
        raise BoundaryFileRefused("文件声明的坐标系（.prj）不是 WGS-84 或 CGCS2000 经纬度")
    if coord_sys not in (CoordSys.WGS84, CoordSys.CGCS2000):
        raise BoundaryFileRefused(
            f"文件声明为 WGS-84（.prj），与所填坐标系 {coord_sys.value} 不一致"
        )
    return ()


def _document(parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Raises: BoundaryFileRefused."""
    try:
        _check_length(parts["shp"])
        features = _features(parts)
    except _DAMAGED:
        raise BoundaryFileRefused("不是可以读取的 Shapefile（文件损坏）") from None
    said = parts.get("cpg", b"").decode("ascii", "replace").strip().lower()
    encodings = ("gb18030", "utf-8") if said in _GB_NAMES else ("utf-8", "gb18030")
    for encoding in encodings:
        try:
            for feature in features:
                feature["properties"] = _properties(feature["record"], encoding)
        except UnicodeDecodeError:
            continue
        return {"type": "FeatureCollection", "features": features}
    raise BoundaryFileRefused(".dbf 的文字既不是 UTF-8 编码，也不是 GB 18030 编码")


def _check_length(shp: bytes) -> None:
    """Raises: ValueError, if the file is not as long as it says."""
    (words,) = struct.unpack(">i", shp[24:28])
    if words * 2 != len(shp):
        raise ValueError


def _features(parts: Mapping[str, bytes]) -> list[dict[str, Any]]:
    with shapefile.Reader(
        shp=io.BytesIO(parts["shp"]), dbf=io.BytesIO(parts["dbf"]), encoding=_ANY_BYTES
    ) as reader:
        if len(reader) > FEATURE_LIMIT:
            raise BoundaryFileRefused(f"要素不能超过{FEATURE_LIMIT}个")
        shapes, records = list(reader.iterShapes()), list(reader.iterRecords())
    return [
        {"type": "Feature", "record": record.as_dict(), "geometry": _geometry(shape)}
        for shape, record in zip(shapes, records, strict=True)
    ]


def _properties(record: Mapping[str, Any], encoding: str) -> dict[str, Any]:
    """Names in small letters; codes that are kept as numbers become text."""
    return {
        _text(name, encoding).lower(): _value(value, encoding) for name, value in record.items()
    }


def _value(value: Any, encoding: str) -> Any:
    if isinstance(value, str):
        return _text(value, encoding)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _text(value: str, encoding: str) -> str:
    return value.encode(_ANY_BYTES).decode(encoding)


def _geometry(shape: Any) -> dict[str, Any] | None:
    if shape.shapeType == shapefile.NULL:
        return None
    if shape.shapeType not in (shapefile.POLYGON, shapefile.POLYGONZ, shapefile.POLYGONM):
        return {"type": shape.shapeTypeName, "coordinates": []}
    drawn = shape.__geo_interface__
    return {"type": drawn["type"], "coordinates": _listed(drawn["coordinates"])}


def _listed(coordinates: Any) -> Any:
    """Positions as lists of two numbers: heights and measures of a Shapefile are not of the map."""
    if coordinates and isinstance(coordinates[0], int | float):
        return [float(coordinates[0]), float(coordinates[1])]
    return [_listed(part) for part in coordinates]
