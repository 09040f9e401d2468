"""A mix-up of coordinate systems is caught by the ground that the city knows."""

import copy
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.geometry import CoordSys
from app.grids.boundary_file import BoundaryFileRefused
from app.grids.kinds import GridLevel
from app.grids.models import GridRow
from app.store.session import Database
from tests.grids.shapes import COMMUNITY, TOWN, document, feature, square
from tests.grids.town import build, four_grids, grid, look, strip, take

OTHERS = [CoordSys.GCJ02, CoordSys.BD09]


@pytest.fixture
async def session(db: Database) -> AsyncIterator[AsyncSession]:
    async with db.sessions() as session:
        yield session
        await session.rollback()


async def refused(session, content, level=GridLevel.GRID, **options) -> BoundaryFileRefused:
    codes = (await session.scalars(select(GridRow.code))).all()
    with pytest.raises(BoundaryFileRefused) as refusal:
        await take(session, content, level, **options)
    assert (await session.scalars(select(GridRow.code))).all() == codes
    return refusal.value


@pytest.mark.parametrize("really", OTHERS)
async def test_grids_that_do_not_fit_their_community_are_in_another_system(session, really):
    """The first import of grids: only the ground above is known."""
    await take(session, document(feature(TOWN, strip(0, 4))), GridLevel.TOWN)
    await take(session, document(feature(COMMUNITY, strip(0, 4), name="新村")),
               GridLevel.COMMUNITY)  # fmt: skip
    told = await refused(session, four_grids(really))
    assert {error.code for error in told.errors} == {"geojson_crs_mixed_up"}
    assert "第1网格）：坐标系可能填错" in told.errors[0].message
    name = {"gcj02": "GCJ-02", "bd09": "BD-09"}[really]
    assert f"按 {name} 只有0平方米" in told.errors[0].message
    assert (await take(session, four_grids())).created == 4


@pytest.mark.parametrize("stated", OTHERS)
async def test_the_same_file_stated_otherwise_does_not_fit_what_it_was(session, stated):
    await build(session)
    with pytest.raises(BoundaryFileRefused, match="按 WGS-84 只有0平方米"):
        await look(session, four_grids(), coord_sys=stated)


async def test_towns_are_compared_with_their_county_and_with_each_other(session):
    county = feature("370281", strip(0, 4), name="胶州市")
    await take(session, document(county, feature(TOWN, strip(0, 2))), GridLevel.TOWN)
    beside = feature("370281002", strip(2, 4, CoordSys.GCJ02), name="中云街道")
    told = await refused(session, document(beside), GridLevel.TOWN)
    assert [error.code for error in told.errors] == ["geojson_crs_mixed_up"]
    beside = feature("370281002", strip(2, 4), name="中云街道")
    assert (await take(session, document(beside), GridLevel.TOWN)).created == 1


async def test_whoever_is_sure_is_only_warned(session):
    await build(session)
    diff = await look(session, four_grids(CoordSys.GCJ02), sure=True)
    assert {told.code for told in diff.warnings} == {"geojson_crs_mixed_up"}
    assert len(diff.places) == 4


async def test_a_redrawing_by_hand_is_no_mix_up(session):
    await build(session)
    assert (await take(session, document(grid(1, 0, 1.4), grid(2, 1.4, 2)))).updated == 2


async def test_a_place_that_lies_elsewhere_is_refused(session):
    await build(session)
    told = await refused(session, document(grid(5, 3.9, 5)))
    assert [error.code for error in told.errors] == ["geojson_outside_parent"]
    assert f"在上级 {COMMUNITY} 的边界之外" in told.errors[0].message
    assert "第5网格" in told.errors[0].message


async def test_a_place_that_sticks_out_is_worth_a_second_look(session):
    await build(session)
    diff = await look(session, document(grid(4, 3, 4.2)))
    assert [told.code for told in diff.warnings] == ["geojson_sticks_out"]


@pytest.mark.parametrize(
    ("west", "south"),
    [(121.4, 31.2), (118.0, 36.2), (120.3, 36.2), (120.0, 36.6)],
)
async def test_a_code_of_jiaozhou_lies_in_jiaozhou(session, west, south):
    told = await refused(session, document(feature(TOWN, square(west, south))), GridLevel.TOWN)
    assert [error.code for error in told.errors] == ["geojson_outside_city"]
    assert "请检查编码、坐标系和经纬度顺序" in told.errors[0].message


async def test_swapped_axes_are_named_before_anything_is_compared(session):
    swapped = copy.deepcopy(four_grids())
    for item in swapped["features"]:
        ring = item["geometry"]["coordinates"][0]
        item["geometry"]["coordinates"] = [[[y, x] for x, y in ring]]
    await build(session)
    with pytest.raises(BoundaryFileRefused) as refusal:
        await look(session, swapped)
    assert [error.code for error in refusal.value.errors] == ["geojson_swapped"] * 4


async def test_other_cities_have_no_box_but_their_own_ground(session):
    far = feature("320102001", square(118.78, 32.05), name="玄武门街道")
    assert (await take(session, document(far), GridLevel.TOWN)).created == 1
