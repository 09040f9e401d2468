"""Polygons that share their borders, each border written once and short.

Neighbouring grids have every border twice, and a border far from the origin has long numbers. Here
a border between two junctions is one *arc*, coordinates are whole steps of a fine net, and points
are differences to the point before, written as text: a city of grids becomes a fortieth of its
GeoJSON. ``pack`` returns

    {"step": 2e-05, "west": 119.6, "south": 36.0, "arcs": "gE-AC …", "places": {code: [[[0, -3]]]}}

* ``arcs``: one word an arc. A word is whole numbers dx, dy, dx, dy …, the first pair counted from
  the end of the arc before (from west/south for the first one). A number n is written as
  ``n < 0 ? ~(n << 1) : n << 1`` in groups of five bits, lowest first, each a digit of
  ``A-Za-z0-9-_`` with 32 added where more groups follow.
* ``places``: polygons of rings of arcs, in the order of ``arcs``: 0 is the next arc that was not
  used yet, k the one used k arcs before that, -k the same walked backwards.

The idea of arcs is TopoJSON's, that of the numbers the encoded polyline's.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

Point = tuple[float, float]
Step = tuple[int, int]
Polygons = Sequence[Sequence[Sequence[Point]]]  # of one place: polygons of rings of points

STEP_DEGREES = 2e-5  # about two metres
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def pack(places: Mapping[str, Polygons], *, step: float = STEP_DEGREES) -> dict[str, Any]:
    """Return the places in the form above.

    A ring that is smaller than the net is left out; so is a place of which nothing remains.

    Args:
        places: rings closed or not, ``(longitude, latitude)`` in degrees.
    """
    west, south = origin = _origin(places)
    rings = {
        code: [[_steps(ring, origin, step) for ring in polygon] for polygon in polygons]
        for code, polygons in places.items()
    }
    junctions = _junctions(
        ring for polygons in rings.values() for polygon in polygons for ring in polygon
    )
    arcs = _Arcs(junctions)
    shapes = {
        code: [
            [arcs.along(ring) for ring in polygon if ring]
            for polygon in polygons
            if polygon and polygon[0]
        ]
        for code, polygons in rings.items()
    }
    return {
        "step": step,
        "west": west,
        "south": south,
        "arcs": arcs.written(),
        "places": {code: shape for code, shape in shapes.items() if shape},
    }


def _origin(places: Mapping[str, Polygons]) -> Point:
    """The south-western corner, so that all steps are small and not negative."""
    points = [
        point
        for polygons in places.values()
        for polygon in polygons
        for ring in polygon
        for point in ring
    ]
    if not points:
        return 0.0, 0.0
    return round(min(x for x, _ in points), 6), round(min(y for _, y in points), 6)


def _steps(ring: Sequence[Point], origin: Point, step: float) -> list[Step]:
    """The ring on the net, not closed, without repeated points; empty if nothing is left of it."""
    west, south = origin
    found: list[Step] = []
    for x, y in ring:
        at = (round((x - west) / step), round((y - south) / step))
        if not found or at != found[-1]:
            found.append(at)
    while len(found) > 1 and found[0] == found[-1]:
        found.pop()
    return found if len(found) >= 3 else []


def _junctions(rings: Iterable[list[Step]]) -> set[Step]:
    """Points where borders part: met with different neighbours by different rings."""
    neighbours: dict[Step, tuple[Step, Step]] = {}
    junctions: set[Step] = set()
    for ring in rings:
        before = ring[-1] if ring else None
        for place, at in enumerate(ring):
            after = ring[place + 1] if place + 1 < len(ring) else ring[0]
            assert before is not None  # noqa: S101 - the ring has points
            pair = (before, after) if before < after else (after, before)
            if neighbours.setdefault(at, pair) != pair:
                junctions.add(at)
            before = at
    return junctions


class _Arcs:
    """The borders met so far, each once, whichever way it was walked first."""

    def __init__(self, junctions: set[Step]) -> None:
        self._junctions = junctions
        self._known: dict[tuple[Step, ...], int] = {}

    def along(self, ring: list[Step]) -> list[int]:
        """The ring as the arcs it is made of, each as ``places`` says it."""
        cuts = [place for place, at in enumerate(ring) if at in self._junctions]
        if not cuts:  # an island: begin where everybody would
            cuts = [min(range(len(ring)), key=ring.__getitem__)]
        first = cuts[0]
        turned = [*ring[first:], *ring[:first], ring[first]]
        ends = [*(cut - first for cut in cuts), len(ring)]
        return [self._use(tuple(turned[begin : end + 1])) for begin, end in pairwise(ends)]

    def _use(self, arc: tuple[Step, ...]) -> int:
        fresh = len(self._known)
        found = self._known.setdefault(arc, fresh)
        if found != fresh:
            return fresh - found
        backwards = self._known.get(arc[::-1], fresh)
        if backwards != fresh:
            del self._known[arc]
            return backwards - fresh
        return 0

    def written(self) -> str:
        """All arcs as words, in the order of their first use."""
        words = []
        x = y = 0
        for arc in self._known:
            numbers = []
            for to_x, to_y in arc:
                numbers += [_number(to_x - x), _number(to_y - y)]
                x, y = to_x, to_y
            words.append("".join(numbers))
        return " ".join(words)


def _number(value: int) -> str:
    rest = ~(value << 1) if value < 0 else value << 1
    digits = []
    while rest >= 32:
        digits.append(_DIGITS[32 | rest & 31])
        rest >>= 5
    digits.append(_DIGITS[rest])
    return "".join(digits)
