"""胶州市 as it is: the boundaries and lists of the reference data, imported and audited."""

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
import shapely
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.coverage import FaultKind, area_m2
from app.domain.geometry import CoordSys, to_gcj02
from app.grids import division_list, imports, queries, service
from app.grids.boundary_file import BoundaryFileRefused
from app.grids.conventions import name_levels
from app.grids.inspection import inspect
from app.grids.kinds import GridLevel
from app.grids.models import GridRow
from app.grids.queries import GridIndex
from app.store.session import Database
from tests.grids.town import NOW, look, take, take_back

SHARED = Path(__file__).parents[3] / "shared" / "data"
TOWNS = "boundaries/jiaozhou_370281_towns_osm_wgs84.geojson"
DACHANG = "370211104"
pytestmark = pytest.mark.shared
# The outline and the towns come from one source with shared vertices. What remains are the points
# where a town's border meets the outline between two of its vertices, rounded to 1e-14 degrees and
# 1e-6 degrees: less than a square metre in 1,286 km².
TOLERANCE_M2 = 1.0


def shared(name: str) -> bytes:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the reference data folder is not here: {name}")
    return path.read_bytes()


def towns() -> dict:
    return json.loads(shared(TOWNS))


@pytest.fixture(scope="module")
async def city(db: Database) -> GridIndex:
    async with db.transaction() as session:
        counts = await take(session, towns(), GridLevel.TOWN)
        assert (counts.created, counts.updated) == (13, 0)  # 12 towns and the outline
    return await queries.load(db)


async def take_list(session: AsyncSession, name: str, level: GridLevel, within: str):
    reading = division_list.read(shared(f"divisions/{name}.csv"), level=level, within=within)
    diff = await imports.compare(session, reading, coord_sys=CoordSys.WGS84, level=level)
    return await service.import_diff(session, diff, now=NOW)


def points_in(shape: shapely.Geometry, count: int, seed: int) -> Iterable[tuple[float, float]]:
    west, south, east, north = shape.bounds
    drawn = random.Random(seed)
    shapely.prepare(shape)
    while count:
        longitude, latitude = drawn.uniform(west, east), drawn.uniform(south, north)
        if shapely.contains_xy(shape, longitude, latitude):
            count -= 1
            yield latitude, longitude


def test_the_12_towns_tile_the_county(city):
    found = inspect(city, "370281", deep=False)
    assert found.examinations[0].children == 12
    outline = city.counties["370281"].shape
    assert area_m2(outline) == pytest.approx(1_285.556e6, rel=1e-6)
    for kind in (FaultKind.GAP, FaultKind.OVERLAP, FaultKind.OUTSIDE):
        assert found.total_m2(kind) < TOLERANCE_M2
    assert all(fault.sliver for fault in found.faults)


def test_each_of_100_000_points_inside_is_in_exactly_one_town(city):
    points = list(points_in(city.counties["370281"].shape, 100_000, seed=370_281))
    codes = [town.code for town in city.children()]
    shapes = [city.shape(code) for code in codes]
    tree = shapely.STRtree(shapes)
    spots = shapely.points([(longitude, latitude) for latitude, longitude in points])
    asked, held = tree.query(spots, predicate="intersects")
    assert asked.tolist() == list(range(100_000))  # once each: in none of them twice, none left out
    located = city.locate_many(points)
    assert [place.code for place in located] == [codes[at] for at in held.tolist()]
    assert all(place.certain for place in located)


def test_a_point_of_every_town_is_found_there(city):
    for town in city.children():
        point = city.shape(town.code).representative_point()
        assert city.locate(point.y, point.x).code == town.code
    assert city.name_path(city.locate(36.2646, 120.0335).code) == "三里河街道"


def test_a_mix_up_would_put_points_into_another_town(city):
    points = list(points_in(city.counties["370281"].shape, 5_000, seed=1))
    right = city.locate_many(points)
    wrong = city.locate_many([to_gcj02(*point) for point in points])
    differing = sum(
        a is None or b is None or a.code != b.code for a, b in zip(right, wrong, strict=True)
    )
    assert differing > 100


async def test_the_same_towns_stated_as_gcj02_are_refused(city, db):
    content = towns()
    del content["crs"]
    async with db.sessions() as session:
        with pytest.raises(BoundaryFileRefused) as refusal:
            await look(session, content, GridLevel.TOWN, CoordSys.GCJ02)
    errors = refusal.value.errors
    assert {error.code for error in errors} == {"geojson_crs_mixed_up"}
    assert len(errors) == 13
    assert "（370281111 洋河镇）" in errors[1].message


async def test_a_town_that_was_moved_by_a_mix_up_is_found_by_the_audit(city, db):
    async with db.sessions() as session:
        content = towns()
        del content["crs"]
        content["features"] = content["features"][1:2]
        await take(session, _said_gcj02(content), GridLevel.TOWN, sure=True)
        rows = await session.execute(
            select(GridRow.code, GridRow.boundary).where(GridRow.code == "370281111")
        )
        (_, boundary), = rows  # fmt: skip
        await session.rollback()
    moved = queries.build(
        [
            queries.GridRecord(
                town.code, None, GridLevel.TOWN, town.name, True,
                boundary if town.code == "370281111" else shapely.to_wkb(city.shape(town.code)),
            )
            for town in city.children()
        ],
        counties=city.counties.values(),
    )  # fmt: skip
    found = inspect(moved, "370281", deep=False)
    assert found.total_m2(FaultKind.GAP) > 1e6
    assert found.total_m2(FaultKind.OVERLAP) > 1e6


def _said_gcj02(content: dict) -> dict:
    """The same numbers as a reader takes them that believes them to be GCJ-02."""
    from app.domain.geometry import to_wgs84

    def move(part):
        if isinstance(part[0], float | int):
            return list(to_wgs84(part[1], part[0], CoordSys.GCJ02)[::-1])
        return [move(inner) for inner in part]

    for item in content["features"]:
        item["geometry"]["coordinates"] = move(item["geometry"]["coordinates"])
    return content


# --- the lists of divisions, and two kinds of levels ---------------------------------------------


async def test_the_county_s_towns_and_villages_come_from_lists(city, db):
    async with db.sessions() as session:
        listed = await take_list(session, "qingdao_townships", GridLevel.TOWN, "370281")
        assert (listed.created, listed.updated, listed.unchanged) == (2, 0, 12)
        villages = await take_list(session, "qingdao_villages", GridLevel.COMMUNITY, "370281")
        assert villages.created == 221
        kept = await session.scalar(select(GridRow.boundary).where(GridRow.code == "370281111"))
        assert kept is not None  # a list has no shapes, and takes none away
        await session.rollback()


async def test_two_cities_with_levels_of_their_own(city, db):
    """胶州市 says 镇街–新村–网格, 大场镇 镇–社区–网格–微网格: names are data, codes alike."""
    box = [[[119.62, 35.70], [119.66, 35.70], [119.66, 35.74], [119.62, 35.74], [119.62, 35.70]]]

    def place(code: str, name: str) -> dict:
        geometry = {"type": "Polygon", "coordinates": box}
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"code": code, "name": name},
                    "geometry": geometry,
                }
            ],
        }

    async with db.transaction() as session:
        listed = await take_list(session, "qingdao_townships", GridLevel.TOWN, DACHANG)
        assert listed.created == 1
        await take(session, place(DACHANG, "大场镇"), GridLevel.TOWN)
        await take(session, place(f"{DACHANG}001", "大场社区"), GridLevel.COMMUNITY)
        await take(session, place(f"{DACHANG}001001", "第一网格"), GridLevel.GRID)
        await take(session, place(f"{DACHANG}00100101", "第一微网格"), GridLevel.MICRO)
        four = ("镇", "社区", "网格", "微网格")
        await name_levels(session, DACHANG, dict(zip(GridLevel, four, strict=True)), now=NOW)
        three = {GridLevel.TOWN: "镇街", GridLevel.COMMUNITY: "新村"}
        await name_levels(session, "370281", three, now=NOW)
    grids = await queries.load(db)
    micro = f"{DACHANG}00100101"
    path = grids.path(micro)
    assert [grids.level_text(node.level, node.code) for node in path] == list(four)
    assert grids.name_path(micro) == "大场镇 / 大场社区 / 第一网格 / 第一微网格"
    assert grids.locate(35.72, 119.64).code == micro
    assert grids.level_text(GridLevel.COMMUNITY, "370281001601") == "新村"
    assert grids.level_text(GridLevel.GRID, "370281001601001") == "网格"
    async with db.transaction() as session:
        await take_back(session)


async def test_the_county_s_other_outline_is_read_in_gcj02(city, db):
    content = json.loads(shared("boundaries/jiaozhou_370281_county_gcj02.geojson"))
    async with db.sessions() as session:
        diff = await look(session, content, GridLevel.TOWN, CoordSys.GCJ02)
    (outline,) = diff.places
    # Another survey of the same county: 99 % alike, 30 km² differ along 350 km of border.
    assert outline.code == "370281"
    assert outline.moved_m2 < 0.03 * outline.area_before_m2
