"""The borders of the city as maps want them: drawn once for each state of the tree, then only sent.

An atlas belongs to one loaded state of the grids. Its version is a hash of all borders, so an
address with the version in it may be kept for ever, and another border is another address.
"""

import asyncio
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import cos, radians
from typing import Any

import numpy
import orjson
import shapely
from numpy.typing import NDArray

from app.domain import geometry
from app.domain.geometry import METRES_PER_DEGREE, CoordSys
from app.domain.topology import Polygons, pack
from app.grids.kinds import LEVEL_OF_DIGITS, GridLevel
from app.grids.locator import NEAREST_WITHIN_M
from app.grids.queries import GridIndex
from app.store.session import Database, Statement

Box = tuple[float, float, float, float]  # west, south, east, north, in degrees

_BORDERS = Statement("SELECT code, boundary FROM grids WHERE boundary IS NOT NULL ORDER BY code")
_VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Sheet:
    """One level in one coordinate system, ready to send."""

    body: bytes
    zipped: bytes


class Atlas:
    """All borders of one state. Sheets are drawn when they are first asked for, off the loop."""

    def __init__(self, codes: Sequence[str], boundaries: Sequence[bytes]) -> None:
        digest = sha256()
        for code, boundary in zip(codes, boundaries, strict=True):
            digest.update(code.encode() + b"\0" + sha256(boundary).digest())
        self.version = digest.hexdigest()[:_VERSION_DIGITS]
        self._codes = list(codes)
        self._shapes: NDArray[numpy.object_] = shapely.from_wkb(
            numpy.array(boundaries, dtype=object)
        )
        self._tree = shapely.STRtree(self._shapes)
        self._sheets: dict[tuple[GridLevel, CoordSys], Sheet] = {}
        self._drawing = asyncio.Lock()

    def bounds(self, coord_sys: CoordSys) -> Box | None:
        """The box around everything; None while no border is known."""
        if not self._codes:
            return None
        west, south, east, north = (float(side) for side in shapely.total_bounds(self._shapes))
        south, west = geometry.from_wgs84(south, west, coord_sys)
        north, east = geometry.from_wgs84(north, east, coord_sys)
        return west, south, east, north

    def levels(self) -> dict[GridLevel, int]:
        """How many places of each level have a border."""
        found: dict[GridLevel, int] = {}
        for code in self._codes:
            level = LEVEL_OF_DIGITS[len(code)]
            found[level] = found.get(level, 0) + 1
        return found

    def touched(self, box: Box) -> list[str]:
        """The places, of all levels, that a point in a WGS-84 box can belong to."""
        west, south, east, north = box
        up = NEAREST_WITHIN_M / METRES_PER_DEGREE
        aside = up / max(cos(radians(max(abs(south), abs(north)))), 1e-6)
        wider = shapely.box(west - aside, south - up, east + aside, north + up)
        return [self._codes[place] for place in self._tree.query(wider)]

    async def sheet(self, level: GridLevel, coord_sys: CoordSys) -> Sheet:
        """The level as ``domain.topology`` writes it, plain and gzipped."""
        async with self._drawing:
            found = self._sheets.get((level, coord_sys))
            if found is None:
                found = await asyncio.to_thread(self._draw, level, coord_sys)
                self._sheets[level, coord_sys] = found
        return found

    def _draw(self, level: GridLevel, coord_sys: CoordSys) -> Sheet:
        places = {
            code: _polygons(shape, coord_sys)
            for code, shape in zip(self._codes, self._shapes, strict=True)
            if LEVEL_OF_DIGITS[len(code)] is level
        }
        body = orjson.dumps(pack(places))
        return Sheet(body, gzip.compress(body, compresslevel=9, mtime=0))


def _polygons(shape: Any, coord_sys: CoordSys) -> Polygons:
    parts = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
    return [
        [
            [
                geometry.from_wgs84(y, x, coord_sys)[::-1]
                for x, y in shapely.get_coordinates(ring).tolist()
            ]
            for ring in (part.exterior, *part.interiors)
        ]
        for part in parts
    ]  # fmt: skip


class Atlases:
    """The atlas of the present state of the tree; loads another when the tree has changed."""

    def __init__(self) -> None:
        self._of: GridIndex | None = None
        self._atlas: Atlas | None = None
        self._loading = asyncio.Lock()

    async def current(self, db: Database, grids: GridIndex) -> Atlas:
        async with self._loading:
            if self._atlas is None or self._of is not grids:
                rows = await db.rows(_BORDERS)
                active = [row for row in rows if (node := grids.node(row[0])) and node.active]
                self._atlas = Atlas([row[0] for row in active], [row[1] for row in active])
                self._of = grids
            return self._atlas
