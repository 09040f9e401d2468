"""Which polygon holds a point: prepared polygons in memory, found by squares of the map.

One point is looked up in a dictionary of squares, because making a geometry of it and asking the
R-tree costs several times the answer; the tree serves many points at once, and the nearest.

The polygons are sorted by rank, best answer first: the deepest level, then the lowest code. So a
point on a shared border always gets the same answer, and "the best of the hits" is the first one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, floor, radians

import numpy
import shapely
from numpy.typing import NDArray

from app.domain.geometry import METRES_PER_DEGREE

# A point outside every polygon belongs to the nearest one up to here, to be confirmed.
NEAREST_WITHIN_M = 300.0
# Squares of the map: small enough that few polygons share one, and not too many in all.
_SQUARE_DEGREES = 0.01
_MOST_SQUARES = 200_000
# Polygons that share a border are equally near; differences below this are rounding.
_SAME_DISTANCE_M = 0.1


@dataclass(frozen=True, slots=True)
class Located:
    """``distance_m`` is 0 inside; otherwise the place is only the nearest and not ``certain``."""

    code: str
    distance_m: float = 0.0
    certain: bool = True


class Locator:
    """Finds the place of a point. Immutable; building it takes some 10 µs a polygon."""

    def __init__(self, codes: Sequence[str], boundaries: Sequence[bytes]) -> None:
        """Args: WGS-84 polygons as WKB, and their codes, which are longer the deeper they lie."""
        order = sorted(range(len(codes)), key=lambda place: (-len(codes[place]), codes[place]))
        self._inside = [Located(codes[place]) for place in order]
        self._shapes: NDArray[numpy.object_] = shapely.from_wkb(
            numpy.array([boundaries[place] for place in order], dtype=object)
        )
        shapely.prepare(self._shapes)
        self._list: list[shapely.Geometry] = self._shapes.tolist()
        self._ranks = {found.code: rank for rank, found in enumerate(self._inside)}
        self._tree = shapely.STRtree(self._shapes)
        self._side, self._squares = _squares(shapely.bounds(self._shapes))

    def __len__(self) -> int:
        return len(self._inside)

    def shape(self, code: str) -> shapely.Geometry | None:
        """The polygon of a place; None if it has none."""
        rank = self._ranks.get(code)
        return None if rank is None else self._list[rank]

    def locate(self, latitude: float, longitude: float) -> Located | None:
        """The place of a WGS-84 point: the one that holds it, else the nearest within 300 m."""
        square = (floor(longitude / self._side), floor(latitude / self._side))
        shapes = self._list
        for rank, west, south, east, north in self._squares.get(square, ()):
            if (
                west <= longitude <= east
                and south <= latitude <= north
                and shapely.intersects_xy(shapes[rank], longitude, latitude)
            ):
                return self._inside[rank]
        return self._nearest(latitude, longitude)

    def locate_many(self, points: Sequence[tuple[float, float]]) -> list[Located | None]:
        """The place of each ``(latitude, longitude)``, as ``locate`` finds it."""
        if not points:
            return []
        latitudes, longitudes = numpy.array(points, dtype=float).T
        asked, ranks = self._tree.query(shapely.points(longitudes, latitudes))
        held = shapely.intersects_xy(self._shapes[ranks], longitudes[asked], latitudes[asked])
        best = numpy.full(len(points), len(self._inside))
        numpy.minimum.at(best, asked[held], ranks[held])
        return [
            self._inside[rank] if rank < len(self._inside) else self._nearest(*point)
            for rank, point in zip(best.tolist(), points, strict=True)
        ]

    def _nearest(self, latitude: float, longitude: float) -> Located | None:
        north = NEAREST_WITHIN_M / METRES_PER_DEGREE
        shrink = max(cos(radians(latitude)), 1e-6)
        east = north / shrink
        window = shapely.box(longitude - east, latitude - north, longitude + east, latitude + north)
        near = numpy.sort(self._tree.query(window))
        if not near.size:
            return None
        metres = numpy.array([shrink * METRES_PER_DEGREE, METRES_PER_DEGREE])
        here = numpy.array([longitude, latitude])
        # On the flat map around the point, in metres: a degree east is shorter than one north.
        flat = shapely.transform(self._shapes[near], lambda xy: (xy - here) * metres)
        distances = shapely.distance(flat, shapely.points(0.0, 0.0))
        shortest = float(distances.min())
        if shortest > NEAREST_WITHIN_M:
            return None
        first = int(numpy.argmax(distances <= shortest + _SAME_DISTANCE_M))
        # Never 0: that would say "inside".
        distance_m = max(round(shortest, 1), _SAME_DISTANCE_M)
        return Located(self._inside[int(near[first])].code, distance_m, certain=False)


Boxed = tuple[int, float, float, float, float]  # rank; west, south, east, north


def _squares(
    bounds: NDArray[numpy.float64],
) -> tuple[float, dict[tuple[int, int], tuple[Boxed, ...]]]:
    """Return the side of a square in degrees, and which boxes each square touches, by rank."""
    side = _SQUARE_DEGREES
    while True:
        spans = numpy.floor(bounds / side)
        touched = (spans[:, 2] - spans[:, 0] + 1) * (spans[:, 3] - spans[:, 1] + 1)
        if touched.sum() <= _MOST_SQUARES:
            break
        side *= 2
    squares: dict[tuple[int, int], list[Boxed]] = {}
    for rank, (box, (west, south, east, north)) in enumerate(
        zip(bounds.tolist(), spans.astype(int).tolist(), strict=True)
    ):
        boxed = (rank, *box)
        for column in range(west, east + 1):
            for row in range(south, north + 1):
                squares.setdefault((column, row), []).append(boxed)
    return side, {square: tuple(boxes) for square, boxes in squares.items()}
