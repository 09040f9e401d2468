"""The demo city: 胶州市's 12 towns by name and code, 119 新村, 2,635 grids, all made up below that.

The ground plan is drawn on a lattice of integer nodes. Every place is a rectangle of the lattice,
cut out of its parent's rectangle, and its border walks over every node on the way; each node lies
at one fixed, slightly displaced spot. So neighbours share identical vertices, children tile their
parent exactly, and nothing overlaps, while no border is straight. No surveyed boundary is used.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import pi, sin
from typing import Any

import numpy
import shapely
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.grids import service
from app.grids.kinds import GridLevel
from app.grids.models import CountyRow, GridRow
from app.grids.queries import TOPIC, GridRecord
from app.store.notices import announce

GRID_COUNT = 2_635
_COUNTY = "370281"
# The one 新村 whose grids are divided further.
MICRO_GRID_COMMUNITY = "370281108601"

# code, name, number of 新村: 119 together
_TOWNS: dict[str, tuple[str, int]] = {
    "370281001": ("阜安街道", 9),
    "370281002": ("中云街道", 8),
    "370281004": ("三里河街道", 9),
    "370281006": ("九龙街道", 10),
    "370281007": ("胶东街道", 10),
    "370281008": ("胶北街道", 10),
    "370281009": ("胶西街道", 11),
    "370281010": ("胶莱街道", 12),
    "370281102": ("李哥庄镇", 10),
    "370281105": ("铺集镇", 11),
    "370281108": ("里岔镇", 10),
    "370281111": ("洋河镇", 9),
}

# Roughly where the towns lie: columns from west to east, rows from south to north, a row again
# from west to east.
_PLAN: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("370281105", "370281108"), ("370281009",)),
    (("370281111",), ("370281004",), ("370281002", "370281001"), ("370281008",)),
    (("370281006",), ("370281007", "370281102"), ("370281010",)),
)

# fmt: off
_VILLAGE_WORDS = (
    "福安", "向阳", "永兴", "和顺", "东风", "清河", "柳林", "龙泉", "石桥", "双庙",
    "大沟", "前店", "官庄", "南岭", "北滩", "杏园", "枣林", "安乐", "新胜", "望海",
)
# fmt: on

_COLUMNS, _ROWS = 256, 232
_WEST, _EAST = 119.61, 120.24
_SOUTH, _NORTH = 36.005, 36.495
# In lattice steps; together they keep neighbouring nodes apart by more than a quarter of a step.
_JITTER, _SWAY, _SWAY_PERIOD = 0.4, 1.6, 48


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of lattice nodes, from (left, bottom) to (right, top), both included."""

    left: int
    bottom: int
    right: int
    top: int

    def cut(self, share: float, *, across: bool) -> tuple["Box", "Box"]:
        """In two at ``share`` of the width: west, east. ``across``: of the height: south, north."""
        if across:
            at = self.bottom + round((self.top - self.bottom) * share)
            return Box(self.left, self.bottom, self.right, at), Box(
                self.left, at, self.right, self.top
            )
        at = self.left + round((self.right - self.left) * share)
        return Box(self.left, self.bottom, at, self.top), Box(at, self.bottom, self.right, self.top)

    def border(self) -> Iterator[tuple[int, int]]:
        """The nodes around it, counter-clockwise, the first one again at the end."""
        yield from ((x, self.bottom) for x in range(self.left, self.right))
        yield from ((self.right, y) for y in range(self.bottom, self.top))
        yield from ((x, self.top) for x in range(self.right, self.left, -1))
        yield from ((self.left, y) for y in range(self.top, self.bottom, -1))
        yield self.left, self.bottom

    @property
    def is_tall(self) -> bool:
        return self.top - self.bottom > self.right - self.left


@dataclass(frozen=True, slots=True)
class Place:
    code: str
    parent_code: str | None
    level: GridLevel
    name: str
    box: Box


@cache
def city() -> tuple[Place, ...]:
    """All places of the demo city, parents before their children. Always the same."""
    return tuple(_places())


def records() -> list[GridRecord]:
    """The demo city as rows of the table; some 0.2 s."""
    places = city()
    rings: list[tuple[float, float]] = []
    owners: list[int] = []
    for owner, place in enumerate(places):
        ring = [_spot(x, y) for x, y in place.box.border()]
        rings += ring
        owners += [owner] * len(ring)
    shapes = shapely.polygons(shapely.linearrings(numpy.array(rings), indices=numpy.array(owners)))
    boundaries: list[bytes] = numpy.asarray(shapely.to_wkb(shapes, byte_order=1)).tolist()
    return [
        GridRecord(place.code, place.parent_code, place.level, place.name, True, boundary)
        for place, boundary in zip(places, boundaries, strict=True)
    ]


def demo_point(code: str) -> tuple[float, float]:
    """``(latitude, longitude)`` well inside a place of the demo city. Raises: KeyError."""
    box = _boxes()[code]
    x, y = (box.left + box.right) // 2, (box.bottom + box.top) // 2
    corners = [_spot(x, y), _spot(x + 1, y), _spot(x + 1, y + 1), _spot(x, y + 1)]
    return sum(spot[1] for spot in corners) / 4, sum(spot[0] for spot in corners) / 4


async def seed(session: AsyncSession, *, now: datetime) -> int:
    """Insert the demo city; places that are there already stay as they are.

    Returns: how many places the demo city has.
    """
    rows = [
        {
            "code": record.code,
            "parent_code": record.parent_code,
            "level": record.level,
            "name": record.name,
            "boundary": record.boundary,
            "active": True,
            "sort": 0,
            "created_at": now,
            "updated_at": now,
        }
        for record in records()
    ]
    known = set(await session.scalars(select(GridRow.code)))
    new = [row for row in rows if row["code"] not in known]
    if new:
        await session.execute(insert(GridRow), new)
        if await session.get(CountyRow, _COUNTY) is None:
            outline = _outline(rows)
            await session.execute(insert(CountyRow), {**outline, "updated_at": now})
            new.insert(0, {**outline, "parent_code": None})
        await service.tell(session, new, action="seed_grids", now=now)
        await announce(session, TOPIC)
    return len(rows)


def _outline(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The county: what its towns cover."""
    towns = [row["boundary"] for row in rows if row["parent_code"] is None]
    whole = shapely.union_all(shapely.from_wkb(towns))
    return {"code": _COUNTY, "name": "胶州市", "boundary": shapely.to_wkb(whole, byte_order=1)}


@cache
def _boxes() -> dict[str, Box]:
    return {place.code: place.box for place in city()}


def _places() -> Iterator[Place]:
    towns = dict(_town_boxes())
    sizes = iter(_grid_counts())
    for town_code, (town_name, community_count) in _TOWNS.items():
        yield Place(town_code, None, GridLevel.TOWN, town_name, towns[town_code])
        counts = [next(sizes) for _ in range(community_count)]
        names = _community_names(town_name, town_code, community_count)
        communities = _in_reading_order(_split(towns[town_code], counts), counts)
        for place, (box, count) in enumerate(communities):
            # 601 and up are merged communities (CJ/T 349), unlike the statistical village codes.
            code = f"{town_code}{601 + place}"
            yield Place(code, town_code, GridLevel.COMMUNITY, names[place], box)
            yield from _grids(code, box, count)


def _grids(community_code: str, community: Box, count: int) -> Iterator[Place]:
    ones = [1] * count
    for number, (box, _) in enumerate(_in_reading_order(_split(community, ones), ones), 1):
        code = f"{community_code}{number:03}"
        yield Place(code, community_code, GridLevel.GRID, f"第{number}网格", box)
        if community_code == MICRO_GRID_COMMUNITY:
            for half, part in enumerate(box.cut(0.5, across=box.is_tall), 1):
                yield Place(f"{code}{half:02}", code, GridLevel.MICRO, f"第{half}微网格", part)


def _grid_counts() -> list[int]:
    """How many grids each 新村 has: 18 to 27, ``GRID_COUNT`` together."""
    communities = sum(count for _, count in _TOWNS.values())
    counts = [GRID_COUNT // communities + (place * 7) % 9 - 4 for place in range(communities)]
    missing = GRID_COUNT - sum(counts)
    for place in range(abs(missing)):
        counts[place * 5 % communities] += 1 if missing > 0 else -1
    return counts


def _community_names(town_name: str, town_code: str, count: int) -> list[str]:
    stem = town_name.removesuffix("街道").removesuffix("镇")
    start = int(town_code[-3:]) * 7
    words = [_VILLAGE_WORDS[(start + place) % len(_VILLAGE_WORDS)] for place in range(count - 1)]
    return [f"{word}新村" for word in (stem, *words)]


def _town_boxes() -> Iterator[tuple[str, Box]]:
    whole = Box(0, 0, _COLUMNS, _ROWS)
    columns = _slices(whole, [_weight(*rows) for rows in _PLAN], across=False)
    for column, rows in zip(columns, _PLAN, strict=True):
        bands = _slices(column, [_weight(row) for row in rows], across=True)
        for band, row in zip(bands, rows, strict=True):
            weights = [_weight((town,)) for town in row]
            yield from zip(row, _slices(band, weights, across=False), strict=True)


def _weight(*rows: Sequence[str]) -> int:
    return sum(_TOWNS[town][1] for row in rows for town in row)


def _slices(box: Box, weights: Sequence[int], *, across: bool) -> list[Box]:
    """Parallel slices whose areas go like ``weights``."""
    slices: list[Box] = []
    left_over = sum(weights)
    for weight in weights[:-1]:
        first, box = box.cut(weight / left_over, across=across)
        slices.append(first)
        left_over -= weight
    return [*slices, box]


def _split(box: Box, weights: Sequence[int]) -> list[Box]:
    """Compact parts whose areas go like ``weights``: halved along the longer side, repeatedly."""
    if len(weights) == 1:
        return [box]
    middle = len(weights) // 2
    share = sum(weights[:middle]) / sum(weights)
    first, second = box.cut(share, across=box.is_tall)
    return _split(first, weights[:middle]) + _split(second, weights[middle:])


def _in_reading_order(boxes: Sequence[Box], weights: Sequence[int]) -> list[tuple[Box, int]]:
    """North before south, then west before east, as the standard numbers grids."""
    return sorted(zip(boxes, weights, strict=True), key=lambda item: (-item[0].top, item[0].left))


@cache
def _spot(x: int, y: int) -> tuple[float, float]:
    """Where a node lies: ``(longitude, latitude)``, on 0.1 m, the same on every machine."""
    east = x + _SWAY * sin(2 * pi * y / _SWAY_PERIOD) + _JITTER * _noise(x, y, 1)
    north = y + _SWAY * sin(2 * pi * x / _SWAY_PERIOD) + _JITTER * _noise(x, y, 2)
    longitude = _WEST + (_EAST - _WEST) * east / _COLUMNS
    latitude = _SOUTH + (_NORTH - _SOUTH) * north / _ROWS
    return round(longitude, 6), round(latitude, 6)


def _noise(x: int, y: int, salt: int) -> float:
    """A number from -0.5 to 0.5 that looks random and depends on nothing but the arguments."""
    mixed = (x * 374_761_393 + y * 668_265_263 + salt * 2_246_822_519) & 0xFFFF_FFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1_274_126_177) & 0xFFFF_FFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 0xFFFF - 0.5
