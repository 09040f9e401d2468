"""The tree in memory: where a point lies, and what the places are called."""

import random
import time

import pytest

from app.domain.geometry import to_gcj02
from app.grids import demo
from app.grids.locator import Located
from app.grids.queries import GridIndex, build
from tests.grids.shapes import COMMUNITY, GRID, TOWN, record, square

NEXT_GRID = f"{COMMUNITY}002"
# Two grids of a hundredth of a degree side by side; they touch at 120.01 E.
PAIR = [
    record(TOWN, square(side=0.02), name="阜安街道"),
    record(COMMUNITY, None, name="福安新村"),
    record(GRID, square(), name="第1网格"),
    record(NEXT_GRID, square(west=120.01), name="第2网格"),
]


@pytest.fixture(scope="module")
def city() -> GridIndex:
    return build(demo.records())


def test_the_deepest_place_that_holds_the_point_is_found():
    micro = record(f"{GRID}02", square(side=0.005))
    grids = build([*PAIR, micro])
    assert grids.locate(36.202, 120.002) == Located(micro.code)
    assert grids.locate(36.207, 120.007) == Located(GRID)
    assert grids.locate(36.215, 120.005) == Located(TOWN)


@pytest.mark.parametrize("order", [PAIR, [PAIR[0], PAIR[1], PAIR[3], PAIR[2]]])
@pytest.mark.parametrize("latitude", [36.2, 36.205, 36.21])
def test_on_a_border_the_lowest_code_wins(order, latitude):
    grids = build(order)
    assert grids.locate(latitude, 120.01) == Located(GRID)
    assert grids.locate_many([(latitude, 120.01)]) == [Located(GRID)]


def test_outside_the_nearest_within_300_m_is_named_but_not_certain():
    grids = build(PAIR[:3])
    assert grids.locate(36.205, 119.9978) == Located(GRID, pytest.approx(197.6, abs=0.5), False)
    assert grids.locate(36.1981, 120.005) == Located(GRID, pytest.approx(211.5, abs=0.5), False)
    # A degree east is shorter than one north: the same 0.003° are 269 m and 334 m.
    assert grids.locate(36.205, 119.997) == Located(GRID, pytest.approx(269.4, abs=0.5), False)
    assert grids.locate(36.197, 120.005) is None
    assert grids.locate_many([(36.205, 119.997), (36.197, 120.005)]) == [
        grids.locate(36.205, 119.997),
        None,
    ]


def test_a_hair_outside_is_outside():
    assert build(PAIR[:3]).locate(36.205, 119.9999999) == Located(GRID, 0.1, certain=False)


def test_a_hole_is_outside():
    ring = [*square(side=0.02), square(west=120.005, south=36.205, side=0.01)[0]]
    grids = build([record(TOWN, ring)])
    assert grids.locate(36.202, 120.01) == Located(TOWN)
    assert grids.locate(36.2061, 120.01) == Located(TOWN, pytest.approx(122.4, abs=0.5), False)
    assert grids.locate(36.21, 120.01) is None


def test_the_city_covers_what_is_inside_or_close():
    grids = build(PAIR)
    assert grids.covers(36.205, 120.005)
    assert grids.covers(36.205, 119.997)
    assert not grids.covers(36.205, 119.9)
    assert not grids.covers(51.5072, -0.1276)


def test_without_any_boundary_nothing_is_found_and_nothing_is_refused():
    grids = build([record(TOWN, None)])
    assert grids.locate(36.205, 120.005) is None
    assert grids.locate_many([(36.205, 120.005)]) == [None]
    assert grids.covers(51.5072, -0.1276)
    assert build([]).children() == ()


def test_a_closed_place_keeps_its_name_but_is_not_found_nor_anything_below_it():
    closed = record(COMMUNITY, square(), name="福安新村", active=False)
    grids = build([PAIR[0], closed, PAIR[2]])
    assert grids.locate(36.205, 120.005) == Located(TOWN)
    assert grids.children(TOWN) == ()
    assert grids.name_path(GRID) == "阜安街道 / 福安新村 / 第1网格"
    node = grids.node(GRID)
    assert node is not None
    assert not node.active


def test_names_and_paths():
    grids = build(PAIR)
    assert [node.code for node in grids.path(GRID)] == [TOWN, COMMUNITY, GRID]
    assert [node.name for node in grids.children(COMMUNITY)] == ["第1网格", "第2网格"]
    assert [node.code for node in grids.children()] == [TOWN]
    assert grids.path("370281999") == ()
    assert grids.name_path("370281999") == ""
    assert grids.node("370281999") is None


def test_many_points_at_once_are_found_as_one_by_one(city):
    seeded = random.Random(20260301)
    points = [(seeded.uniform(35.99, 36.51), seeded.uniform(119.58, 120.27)) for _ in range(5_000)]
    found = city.locate_many(points)
    assert found == [city.locate(*point) for point in points]
    assert any(place is None for place in found)
    assert any(place is not None and not place.certain for place in found)
    assert city.locate_many([]) == []


def test_every_vertex_of_the_city_has_one_answer_however_it_was_built(city):
    backwards = demo.records()
    backwards.sort(key=lambda row: (len(row.code), -int(row.code)))
    other = build(backwards)
    points = [demo._spot(x, y)[::-1] for x in range(0, 257, 3) for y in range(0, 233, 3)]
    assert city.locate_many(points) == other.locate_many(points)


def test_a_mix_up_of_coordinate_systems_lands_in_another_grid(city):
    """The reason why every point must say its system: 480 m are several grids."""
    grids = [place.code for place in demo.city() if place.level == "grid"]
    points = [demo.demo_point(code) for code in grids]
    mixed_up = city.locate_many([to_gcj02(*point) for point in points])
    wrong = sum(
        found is None or found.code[:15] != code
        for found, code in zip(mixed_up, grids, strict=True)
    )
    assert wrong / len(grids) > 0.5


@pytest.mark.slow
def test_a_point_is_located_within_30_microseconds(city):
    seeded = random.Random(7)
    points = [(seeded.uniform(36.02, 36.48), seeded.uniform(119.63, 120.22)) for _ in range(5_000)]
    rounds = []
    for _ in range(6):
        started = time.perf_counter()
        for latitude, longitude in points:
            city.locate(latitude, longitude)
        rounds.append((time.perf_counter() - started) / len(points))
    assert min(rounds) < 30e-6


@pytest.mark.slow
def test_the_index_of_the_whole_city_is_built_within_half_a_second():
    rows = demo.records()
    started = time.perf_counter()
    build(rows)
    assert time.perf_counter() - started < 0.5
