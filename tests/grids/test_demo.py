"""The demo city: how many places, how they fit together, that it is always the same."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from hashlib import sha256
from time import perf_counter

import numpy
import pytest
import shapely
from sqlalchemy import func, select

from app.grids import demo, queries
from app.grids.inspection import inspect
from app.grids.kinds import GridLevel
from app.grids.models import GridRow
from app.grids.queries import GridRecord, build
from app.store.session import Database

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def records() -> list[GridRecord]:
    return demo.records()


@pytest.fixture(scope="module")
def shapes(records):
    return dict(
        zip(
            [row.code for row in records],
            shapely.from_wkb([row.boundary for row in records]),
            strict=True,
        )
    )


def test_the_city_has_12_towns_119_communities_and_2635_grids(records):
    count = Counter(row.level for row in records)
    assert count[GridLevel.TOWN] == 12
    assert count[GridLevel.COMMUNITY] == 119
    assert count[GridLevel.GRID] == 2_635
    below = Counter(row.parent_code for row in records if row.level is GridLevel.MICRO)
    assert set(below.values()) == {2}
    assert {code[:12] for code in below} == {demo.MICRO_GRID_COMMUNITY}


def test_names_are_unique_among_neighbours(records):
    assert len({row.code for row in records}) == len(records)
    assert len({(row.parent_code, row.name) for row in records}) == len(records)


def test_children_tile_their_parent_without_gap_or_overlap(records, shapes):
    children = defaultdict(list)
    for row in records:
        children[row.parent_code].append(shapes[row.code])
    assert all(shapely.is_valid(list(shapes.values())))
    for code, parts in children.items():
        together = shapely.union_all(parts)
        assert together.geom_type == "Polygon"
        assert not together.interiors
        assert shapely.area(parts).sum() == pytest.approx(together.area, rel=1e-12)
        if code is not None:
            assert together.equals(shapes[code])


def test_a_grid_has_some_twenty_vertices(records, shapes):
    corners = [
        shapely.get_num_coordinates(shapes[row.code]) - 1
        for row in records
        if row.level is GridLevel.GRID
    ]
    assert min(corners) >= 12
    assert max(corners) <= 25
    assert numpy.mean(corners) > 15


def test_the_demo_point_of_a_place_lies_inside_it(records):
    grids = build(records)
    for row in records:
        found = grids.locate(*demo.demo_point(row.code))
        assert found is not None
        assert found.certain
        assert found.code.startswith(row.code)
    with pytest.raises(KeyError):
        demo.demo_point("370281001999")


def test_the_city_is_always_the_same(records):
    digest = sha256()
    for row in records:
        digest.update(f"{row.code}{row.name}".encode() + (row.boundary or b""))
    assert digest.hexdigest() == (
        "2b2163c709e6832f15be7eeb546ebe704b54d144d416124892c0de4d50d12bf0"
    )


async def test_the_whole_seed_takes_less_than_one_and_a_half_seconds(db: Database):
    demo.city.cache_clear()
    demo._boxes.cache_clear()
    demo._spot.cache_clear()
    started = perf_counter()
    async with db.transaction() as session:
        count = await demo.seed(session, now=NOW)
    assert perf_counter() - started < 1.5
    grids = await queries.load(db)
    assert len(grids.nodes) == count
    found = grids.locate(*demo.demo_point("370281108601001"))
    assert found is not None
    assert found.code.startswith("370281108601001")
    found = inspect(grids)
    assert found.is_clean
    assert sum(one.children for one in found.examinations) == count
    assert grids.name_path("370281108601001") == "里岔镇 / 里岔新村 / 第1网格"


async def test_seeding_again_changes_nothing_that_was_edited(db: Database):
    async with db.transaction() as session:
        await demo.seed(session, now=NOW)
        town = await session.get_one(GridRow, "370281001")
        town.name = "新名街道"
    async with db.transaction() as session:
        await demo.seed(session, now=NOW)
        assert await session.scalar(select(GridRow.name).where(GridRow.code == "370281001")) == (
            "新名街道"
        )
        assert await session.scalar(select(func.count()).select_from(GridRow)) == len(demo.city())
