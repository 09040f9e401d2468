"""Does a net of places cover its ground? 全覆盖、无缝隙、不遗漏, in square metres.

Shapes are WGS-84 polygons, longitude first. Overlays are made in degrees, where neighbours that
share vertices share them exactly; only what is measured is brought to a flat map. That map is
Lambert's cylindrical equal-area projection of the WGS-84 ellipsoid with its standard parallel in
the middle of what is measured: areas are true, lengths within 0.5 % up to 40 km north or south.
Source: J. P. Snyder, Map Projections, USGS Professional Paper 1395, equations 3-12, 10-13 to 10-15.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import cos, log, radians, sin, sqrt
from typing import Any

import shapely

from app.domain.grid_codes import LEVEL_OF_DIGITS, GridLevel

Shape = shapely.Geometry
Shapes = Sequence[Shape]

_AXIS_M = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_E2 = _FLATTENING * (2 - _FLATTENING)
_E = sqrt(_E2)

# Below a hundredth of a square metre nothing was drawn: overlays round to some 1e-9 m in place,
# which along 1,000 km of border is a thousandth of a square metre.
NOISE_M2 = 0.01
# Narrower than a metre is not a piece of land but two drawings of one border.
SLIVER_WIDTH_M = 1.0


class FaultKind(StrEnum):
    GAP = "gap"
    OVERLAP = "overlap"
    OUTSIDE = "outside"
    NO_BOUNDARY = "no_boundary"


FAULT_TEXT: dict[FaultKind, str] = {
    FaultKind.GAP: "缝隙：没有任何下级覆盖",
    FaultKind.OVERLAP: "重叠：同属两个下级",
    FaultKind.OUTSIDE: "越界：超出上级边界",
    FaultKind.NO_BOUNDARY: "没有边界",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One connected piece of ground that is in no place, in two, or outside the one above.

    Attributes:
        codes: of a gap its neighbours, of an overlap the two, else the one place.
        width_m: mean width, twice the area by the perimeter.
        shape: None for a place without boundary.
    """

    kind: FaultKind
    parent_code: str
    codes: tuple[str, ...]
    area_m2: float = 0.0
    width_m: float = 0.0
    shape: Shape | None = None

    @property
    def sliver(self) -> bool:
        return self.shape is not None and self.width_m < SLIVER_WIDTH_M


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found below one place. ``area_m2`` is its own; None if nobody drew it."""

    parent_code: str
    children: int
    area_m2: float | None
    faults: tuple[Fault, ...]

    def total_m2(self, kind: FaultKind) -> float:
        return sum(fault.area_m2 for fault in self.faults if fault.kind is kind)


def flat(shapes: Shapes) -> Any:
    """The shapes in metres on an equal-area map around their middle, as an array of shapely's."""
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    latitude, longitude = radians((south + north) / 2), (west + east) / 2
    scale = cos(latitude) / sqrt(1 - _E2 * sin(latitude) ** 2)
    metres_a_degree, metres_a_part = radians(_AXIS_M * scale), _AXIS_M / (2 * scale)

    def project(degrees: Any) -> Any:
        degrees[:, 0] = (degrees[:, 0] - longitude) * metres_a_degree
        degrees[:, 1] = [metres_a_part * _authalic(north) for north in degrees[:, 1].tolist()]
        return degrees

    return shapely.transform(shapes, project)


def _authalic(latitude: float) -> float:
    """Snyder's q (3-12): as the area north of the equator grows."""
    turn = sin(radians(latitude))
    part = log((1 - _E * turn) / (1 + _E * turn)) / (2 * _E)
    return (1 - _E2) * (turn / (1 - _E2 * turn * turn) - part)


def areas_m2(shapes: Iterable[Shape]) -> list[float]:
    """The areas of WGS-84 shapes on the ellipsoid."""
    listed = list(shapes)
    if not listed or all(shapely.is_empty(listed)):
        return [0.0] * len(listed)
    areas: list[float] = shapely.area(flat(listed)).tolist()
    return areas


def area_m2(shape: Shape) -> float:
    return areas_m2([shape])[0]


def examine(
    parent_code: str, parent: Shape | None, children: Mapping[str, Shape | None]
) -> Examination:
    """Compare the places right below one place with it, and with each other.

    Args:
        parent: None if it has no boundary: then only overlaps can be found.
        children: by code; None for those without boundary.
    """
    drawn = {code: shape for code, shape in children.items() if shape is not None}
    codes, shapes = list(drawn), list(drawn.values())
    pieces: list[tuple[FaultKind, tuple[str, ...], Shape]] = []
    if shapes:
        pieces += _overlaps(codes, shapes)
        if parent is not None:
            pieces += _beyond(codes, shapes, parent)
    missing = [
        Fault(FaultKind.NO_BOUNDARY, parent_code, (code,))
        for code, shape in children.items()
        if shape is None
    ]
    if parent is None:
        missing.insert(0, Fault(FaultKind.NO_BOUNDARY, parent_code, (parent_code,)))
    elif shapes:
        pieces += _gaps(codes, shapes, parent)
    area = None if parent is None else area_m2(parent)
    found = sorted(_measured(parent_code, pieces), key=lambda fault: -fault.area_m2)
    return Examination(parent_code, len(children), area, (*missing, *found))


def _measured(
    parent_code: str, pieces: Sequence[tuple[FaultKind, tuple[str, ...], Shape]]
) -> Iterable[Fault]:
    if not pieces:
        return
    level = flat([shape for *_, shape in pieces])
    measures = zip(shapely.area(level).tolist(), shapely.length(level).tolist(), strict=True)
    for (kind, codes, shape), (area, around) in zip(pieces, measures, strict=True):
        if area >= NOISE_M2:
            yield Fault(kind, parent_code, codes, area, 2 * area / around, shape)


def _polygons(shape: Any) -> list[Shape]:
    """The connected pieces with an area; lines and points of an overlay have none."""
    if shape.geom_type not in ("Polygon", "MultiPolygon", "GeometryCollection"):
        return []
    if shape.geom_type == "Polygon":
        return [] if shape.is_empty else [shape]
    return [piece for part in shape.geoms for piece in _polygons(part)]


def _pairs(shapes: Shapes) -> Iterable[tuple[int, int]]:
    tree = shapely.STRtree(shapes)
    asked, found = tree.query(shapes, predicate="intersects")
    return sorted((one, two) for one, two in zip(asked.tolist(), found.tolist(), strict=True)
                  if one < two)  # fmt: skip


def _overlaps(
    codes: Sequence[str], shapes: Shapes
) -> Iterable[tuple[FaultKind, tuple[str, ...], Shape]]:
    for one, two in _pairs(shapes):
        for part in _polygons(shapely.intersection(shapes[one], shapes[two])):
            yield FaultKind.OVERLAP, (codes[one], codes[two]), part


def _beyond(
    codes: Sequence[str], shapes: Shapes, parent: Shape
) -> Iterable[tuple[FaultKind, tuple[str, ...], Shape]]:
    for code, outside in zip(codes, shapely.difference(shapes, parent), strict=True):
        for part in _polygons(outside):
            yield FaultKind.OUTSIDE, (code,), part


def _gaps(
    codes: Sequence[str], shapes: Shapes, parent: Shape
) -> Iterable[tuple[FaultKind, tuple[str, ...], Shape]]:
    uncovered = shapely.difference(parent, shapely.union_all(shapes))
    tree = shapely.STRtree(shapes)
    for part in _polygons(uncovered):
        beside = sorted(codes[at] for at in tree.query(part, predicate="intersects").tolist())
        yield FaultKind.GAP, tuple(beside), part


# --- houses, and how much one leader has to do ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dwelling:
    """A house: where it stands (WGS-84), and how many households live in it."""

    id: str
    latitude: float
    longitude: float
    households: int = 1


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A house in no place of the level, or inside two; ``codes`` says which."""

    dwelling: Dwelling
    codes: tuple[str, ...]


def place_dwellings(
    shapes: Mapping[str, Shape], dwellings: Sequence[Dwelling]
) -> tuple[dict[str, int], list[Misplaced]]:
    """Households by place, and the houses that are in no place or in the inside of several.

    A house right on a common border belongs to the place of the lowest code, as everywhere.
    """
    households = dict.fromkeys(shapes, 0)
    if not dwellings:
        return households, []
    codes = sorted(shapes)
    ground = [shapes[code] for code in codes]
    points = shapely.points(
        [house.longitude for house in dwellings], [house.latitude for house in dwellings]
    )
    touching: list[list[int]] = [[] for _ in dwellings]
    within: list[list[int]] = [[] for _ in dwellings]
    if codes:
        tree = shapely.STRtree(ground)
        hits = (tree.query(points, "intersects"), tree.query(points, "within"))
        for into, (houses, places) in zip((touching, within), hits, strict=True):
            for house, place in zip(houses.tolist(), places.tolist(), strict=True):
                into[house].append(place)
    misplaced = []
    for house, touched, inside in zip(dwellings, touching, within, strict=True):
        if touched:
            households[codes[min(touched)]] += house.households
        if not touched or len(inside) > 1:
            misplaced.append(Misplaced(house, tuple(codes[place] for place in sorted(inside))))
    return households, misplaced


@dataclass(frozen=True, slots=True)
class LoadRule:
    """How many households a place of a level should have. ``scope``: below which code."""

    level: GridLevel
    least: int | None
    most: int | None
    scope: str = ""


# 30–60 households a grid; one micro-grid leader for 50.
LOAD_RULES = (LoadRule(GridLevel.GRID, 30, 60), LoadRule(GridLevel.MICRO, None, 50))


@dataclass(frozen=True, slots=True)
class LoadWarning:
    code: str
    households: int
    rule: LoadRule

    def text(self) -> str:
        least, most = self.rule.least, self.rule.most
        if least is not None and self.households < least:
            return f"{self.households}户，少于规定的{least}户"
        return f"{self.households}户，多于规定的{most}户"


def load_warnings(households: Mapping[str, int], rules: Sequence[LoadRule]) -> list[LoadWarning]:
    """The places with too few or too many households; of several rules the narrowest counts."""
    found = []
    for code, count in sorted(households.items()):
        rule = _rule_of(code, rules)
        if rule is None:
            continue
        too_few = rule.least is not None and count < rule.least
        if too_few or (rule.most is not None and count > rule.most):
            found.append(LoadWarning(code, count, rule))
    return found


def _rule_of(code: str, rules: Sequence[LoadRule]) -> LoadRule | None:
    level = LEVEL_OF_DIGITS.get(len(code))
    fitting = [rule for rule in rules if rule.level is level and code.startswith(rule.scope)]
    return max(fitting, key=lambda rule: len(rule.scope), default=None)
