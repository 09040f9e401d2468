"""A small town for tests: itself, one community, four grids of 0.01° in a row, as GeoJSON."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.geometry import CoordSys, from_wgs84
from app.domain.identity import SYSTEM
from app.grids import geojson, imports, service
from app.grids.imports import Diff
from app.grids.kinds import GridLevel
from app.grids.models import GridImportRow
from app.grids.service import ImportCounts
from tests.grids.shapes import COMMUNITY, GRID, TOWN, document, feature

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
GRIDS = [f"{COMMUNITY}00{number}" for number in (1, 2, 3, 4)]
assert GRIDS[0] == GRID
WEST, SOUTH, STEP = 120.0, 36.2, 0.01


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def strip(first: float, last: float, coord_sys: CoordSys = CoordSys.WGS84) -> list[Any]:
    """A polygon from the ``first`` to the ``last`` step eastwards, as high as the town."""
    west, east, south, north = WEST + first * STEP, WEST + last * STEP, SOUTH, SOUTH + STEP
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return [[list(from_wgs84(y, x, coord_sys)[::-1]) for x, y in corners]]


def grid(number: int, first: float, last: float, **properties: Any) -> dict[str, Any]:
    code = f"{COMMUNITY}{number:03}"
    name = properties.pop("name", f"第{number}网格")
    coord_sys = properties.pop("coord_sys", CoordSys.WGS84)
    return feature(code, strip(first, last, coord_sys), name=name, **properties)


def four_grids(coord_sys: CoordSys = CoordSys.WGS84) -> dict[str, Any]:
    return document(*(grid(place + 1, place, place + 1, coord_sys=coord_sys) for place in range(4)))


async def look(
    session: AsyncSession,
    content: object,
    level: GridLevel = GridLevel.GRID,
    coord_sys: CoordSys = CoordSys.WGS84,
    **options: bool,
) -> Diff:
    reading = geojson.read(content, coord_sys=coord_sys, level=level)
    return await imports.compare(session, reading, coord_sys=coord_sys, level=level, **options)


async def take(
    session: AsyncSession,
    content: object,
    level: GridLevel = GridLevel.GRID,
    *,
    now: datetime = NOW,
    **options: bool,
) -> ImportCounts:
    return await service.import_diff(session, await look(session, content, level, **options),
                                     now=now)  # fmt: skip


async def take_back(session: AsyncSession, *, now: datetime = NOW) -> GridImportRow:
    last = await service.last_applied(session)
    assert last is not None
    return await service.roll_back(session, last.id, version=last.version, actor=SYSTEM, now=now)


async def build(session: AsyncSession) -> None:
    """The town with everything in it."""
    whole = strip(0, 4)
    await take(session, document(feature(TOWN, whole)), GridLevel.TOWN)
    await take(session, document(feature(COMMUNITY, whole, name="福安新村")), GridLevel.COMMUNITY)
    await take(session, four_grids())
