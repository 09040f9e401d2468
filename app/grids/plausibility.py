"""Can a file be what it says it is? A guard against mixed-up coordinate systems and wrong places.

A mix-up of WGS-84 and GCJ-02 moves everything by some 480 m, which no single polygon shows. But
the city knows where its places lie: the one above, the neighbours, the same place until now. If the
file fits that ground much better when it is read in another coordinate system, it is refused. Where
nothing is known yet, nothing can be found out but whether it is the right part of the country.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy
import shapely
from numpy.typing import NDArray

from app.domain.coverage import Shape, areas_m2
from app.domain.errors import FieldError
from app.domain.geometry import CoordSys, from_wgs84, to_wgs84
from app.grids.boundary_file import Boundary
from app.grids.kinds import COUNTY_DIGITS

Shapes = NDArray[numpy.object_]

# A file is suspicious if more than this share of its ground lies where it cannot, while another
# coordinate system halves that and leaves little.
_MISFIT_SHARE = 0.005
_MUCH_BETTER = 0.5
_LITTLE_SHARE = 0.05
# So many places of a file, evenly chosen, are read in every system: a mix-up moves all of them.
_SAMPLE = 200
# A place that has less than this share of its ground inside the one above lies elsewhere.
_INSIDE_SHARE = 0.5
_STICKS_OUT_SHARE = 0.01
_READINGS = (CoordSys.WGS84, CoordSys.GCJ02, CoordSys.BD09)
_SYSTEM_TEXT = {
    CoordSys.WGS84: "WGS-84",
    CoordSys.GCJ02: "GCJ-02",
    CoordSys.BD09: "BD-09",
    CoordSys.CGCS2000: "CGCS2000",
}

# Where a code's ground lies, generously: west, south, east, north.
KNOWN_BOXES: Mapping[str, tuple[float, float, float, float]] = {
    "37": (114.7, 34.3, 122.8, 38.5),  # 山东
    "3702": (119.4, 35.5, 121.1, 37.3),  # 青岛
    "370281": (119.58, 35.97, 120.27, 36.54),  # 胶州
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the city knows: grounds above by their codes, the same places until now, and places of
    the same level that are not in the file."""

    above: Mapping[str, Shape] = field(default_factory=dict)
    before: Mapping[str, Shape] = field(default_factory=dict)
    beside: Sequence[Shape] = ()


def check(
    boundaries: Sequence[Boundary], known: Known, coord_sys: CoordSys
) -> tuple[list[FieldError], list[FieldError]]:
    """Return what must be wrong with the file, and what is worth a second look."""
    drawn = [boundary for boundary in boundaries if boundary.wkb is not None]
    if not drawn:
        return [], []
    shapes: Shapes = shapely.from_wkb(numpy.array([one.wkb for one in drawn], dtype=object))
    errors = _elsewhere(drawn, shapes)
    if not errors:
        step = max(1, len(drawn) // _SAMPLE)
        errors = _mixed_up(drawn[::step], shapes[::step], known, coord_sys)
    if errors:
        return errors, []
    return _against_above(drawn, shapes, known)


def _elsewhere(drawn: Sequence[Boundary], shapes: Shapes) -> list[FieldError]:
    errors = []
    for boundary, shape in zip(drawn, shapes, strict=True):
        fitting = [prefix for prefix in KNOWN_BOXES if boundary.code.startswith(prefix)]
        if not fitting:
            continue
        prefix = max(fitting, key=len)
        if not shapely.within(shape, shapely.box(*KNOWN_BOXES[prefix])):
            told = (
                f"{boundary.label}：不在编码 {prefix} 所属的区域内，请检查编码、坐标系和经纬度顺序"
            )
            errors.append(FieldError(boundary.pointer, "geojson_outside_city", told))
    return errors


def _ground_of(boundary: Boundary, known: Known) -> Shape | None:
    if boundary.is_county:
        return None
    return known.above.get(boundary.parent_code or boundary.code[:COUNTY_DIGITS])


def _mixed_up(
    drawn: Sequence[Boundary], shapes: Shapes, known: Known, coord_sys: CoordSys
) -> list[FieldError]:
    stated = _misfits(drawn, shapes, known)
    ground = sum(areas_m2(shapes))
    if sum(stated) <= _MISFIT_SHARE * ground:
        return []
    best, misfits = coord_sys, stated
    for other in _READINGS:
        if other is coord_sys or {other, coord_sys} == {CoordSys.WGS84, CoordSys.CGCS2000}:
            continue
        found = _misfits(drawn, _read_as(shapes, coord_sys, other), known)
        if sum(found) < sum(misfits):
            best, misfits = other, found
    if sum(misfits) > min(_MUCH_BETTER * sum(stated), _LITTLE_SHARE * ground):
        return []
    return [
        FieldError(
            boundary.pointer,
            "geojson_crs_mixed_up",
            f"{boundary.label}：坐标系可能填错，按 {_SYSTEM_TEXT[coord_sys]} 有{was:.0f}平方米"
            f"与上级、相邻或原有边界不合，按 {_SYSTEM_TEXT[best]} 只有{would:.0f}平方米",
        )
        for boundary, was, would in zip(drawn, stated, misfits, strict=True)
        if was > would
    ]


def _misfits(drawn: Sequence[Boundary], shapes: Shapes, known: Known) -> list[float]:
    """For each place the square metres that lie where they cannot."""
    total = [0.0] * len(drawn)
    tree = shapely.STRtree(list(known.beside))
    for place, (boundary, shape) in enumerate(zip(drawn, shapes, strict=True)):
        wrong = []
        ground, before = _ground_of(boundary, known), known.before.get(boundary.code)
        if ground is not None:
            wrong.append(shapely.difference(shape, ground))
        if before is not None:
            wrong.append(shapely.symmetric_difference(shape, before))
        beside = tree.query(shape, predicate="intersects").tolist()
        wrong += [shapely.intersection(shape, known.beside[at]) for at in beside]
        total[place] = sum(areas_m2(wrong))
    return total


def _read_as(shapes: Shapes, stated: CoordSys, other: CoordSys) -> Shapes:
    """Where the same numbers lie if they are read as ``other``."""

    def move(degrees: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
        spots = [
            to_wgs84(*from_wgs84(latitude, longitude, stated), other)
            for longitude, latitude in degrees.tolist()
        ]
        return numpy.array(spots).reshape(-1, 2)[:, ::-1]

    moved: Shapes = shapely.transform(shapes, move)
    # The shift bends: a polygon with a very thin neck may cross itself afterwards.
    made: Shapes = shapely.make_valid(moved)
    return made


def _against_above(
    drawn: Sequence[Boundary], shapes: Shapes, known: Known
) -> tuple[list[FieldError], list[FieldError]]:
    errors, warnings = [], []
    areas = areas_m2(shapes)
    for boundary, shape, area in zip(drawn, shapes, areas, strict=True):
        ground = _ground_of(boundary, known)
        if ground is None:
            continue
        outside = areas_m2([shapely.difference(shape, ground)])[0]
        above = boundary.parent_code or boundary.code[:COUNTY_DIGITS]
        told = f"{boundary.label}：有{outside:.0f}平方米在上级 {above} 的边界之外"
        if outside > (1 - _INSIDE_SHARE) * area:
            errors.append(FieldError(boundary.pointer, "geojson_outside_parent", told))
        elif outside > _STICKS_OUT_SHARE * area:
            warnings.append(FieldError(boundary.pointer, "geojson_sticks_out", told))
    return errors, warnings
