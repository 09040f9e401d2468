"""A file of places, however it comes: on this machine, or as the body of an HTTP request."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain.geometry import CoordSys
from app.grids import division_list, geojson, shapefiles
from app.grids.boundary_file import BoundaryFileRefused, Reading, refuse_larger
from app.grids.kinds import GridLevel

GEOJSON, ZIP, CSV = "application/geo+json", "application/zip", "text/csv"
_TYPES = {".geojson": GEOJSON, ".json": GEOJSON, ".zip": ZIP, ".csv": CSV}


@dataclass(frozen=True, slots=True)
class Asked:
    """What whoever brings a file says about it. ``within``: of a list, only codes below this."""

    coord_sys: CoordSys
    level: GridLevel
    within: str = ""


def read_body(content: bytes, media_type: str, asked: Asked) -> Reading:
    """Read a file by its media type; GeoJSON unless it is a ZIP archive or a CSV list.

    Raises: BoundaryFileRefused.
    """
    refuse_larger(len(content))
    if media_type == ZIP:
        parts = shapefiles.unzip(content)
        return shapefiles.read(parts, coord_sys=asked.coord_sys, level=asked.level)
    if media_type == CSV:
        return division_list.read(content, level=asked.level, within=asked.within)
    return geojson.read(geojson.parse(content), coord_sys=asked.coord_sys, level=asked.level)


def read_file(file: Path, asked: Asked) -> Reading:
    """Read a file by its ending; of a ``.shp`` its neighbours too. Too large a one is not opened.

    Raises: BoundaryFileRefused, OSError.
    """
    ending = file.suffix.lower()
    if ending == ".shp":
        parts = _parts(file)
        return shapefiles.read(parts, coord_sys=asked.coord_sys, level=asked.level)
    if ending not in _TYPES:
        known = "、".join((*_TYPES, ".shp"))
        raise BoundaryFileRefused(f"不认识这种文件，应为{known}之一")
    refuse_larger(file.stat().st_size)
    return read_body(file.read_bytes(), _TYPES[ending], asked)


def _parts(file: Path) -> Mapping[str, bytes]:
    found: dict[str, Path] = {}
    for path in file.parent.iterdir():
        part = path.suffix.lower().removeprefix(".")
        if path.stem == file.stem and part in shapefiles.PARTS and path.is_file():
            found[part] = path
    refuse_larger(sum(path.stat().st_size for path in found.values()))
    return {part: path.read_bytes() for part, path in found.items()}
