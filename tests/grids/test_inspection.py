"""The tree audited against itself: the demo city has no fault, a spoilt one has exactly those."""

import time

import pytest
import shapely

from app.domain.coverage import Dwelling, FaultKind, LoadRule
from app.grids import demo, views
from app.grids.inspection import inspect
from app.grids.kinds import GridLevel
from app.grids.queries import County, GridIndex, build
from tests.grids.shapes import COMMUNITY, GRID, TOWN, record, square

CITY = "370281"


def county(shape: shapely.Geometry | None) -> County:
    return County(CITY, "胶州市", shape)


def town_of(*grids: str, micro: bool = False) -> list:
    """A town of one community with these grids side by side, each 0.01° wide."""
    whole = square(side=0.01 * len(grids))
    whole = [[[x, min(y, 36.21)] for x, y in whole[0]]]
    rows = [record(TOWN, whole), record(COMMUNITY, whole)]
    return rows + [record(code, square(west=120 + 0.01 * at)) for at, code in enumerate(grids)]


@pytest.fixture(scope="module")
def city() -> GridIndex:
    towns = [row.boundary for row in demo.records() if row.parent_code is None]
    whole = shapely.union_all(shapely.from_wkb(towns))
    return build(demo.records(), counties=[county(whole)])


def test_the_demo_city_has_no_fault_at_any_level(city):
    began = time.perf_counter()
    found = inspect(city)
    assert time.perf_counter() - began < 5
    assert found.faults == ()
    assert found.is_clean
    # the county, 12 towns, 119 communities, and the grids that are divided further
    assert len(found.examinations) > 132
    assert sum(one.children for one in found.examinations) == len(demo.city())
    assert (found.misplaced, found.loads) == (None, None)


def test_only_what_is_asked_for_is_examined(city):
    assert [one.parent_code for one in inspect(city, CITY, deep=False).examinations] == [CITY]
    below = inspect(city, "370281108")
    assert {one.parent_code[:9] for one in below.examinations} == {"370281108"}
    assert inspect(city, "370281001601001").examinations == ()


def test_faults_of_all_levels_come_together_the_largest_first():
    one, two = GRID, f"{COMMUNITY}002"
    rows = town_of(one, two)
    rows[0] = record(TOWN, square(side=0.03))  # larger than its only community
    rows[3] = record(two, square(west=120.009))  # over its neighbour
    found = inspect(build(rows, counties=[county(None)]))
    kinds = [(fault.kind, fault.parent_code) for fault in found.faults]
    assert kinds == [
        (FaultKind.GAP, TOWN),
        (FaultKind.OVERLAP, COMMUNITY),
        (FaultKind.GAP, COMMUNITY),
        (FaultKind.NO_BOUNDARY, CITY),
    ]
    assert found.slivers == 0
    assert found.total_m2(FaultKind.OVERLAP) == pytest.approx(found.faults[2].area_m2, rel=1e-6)


def test_a_closed_place_leaves_a_gap():
    rows = town_of(GRID, f"{COMMUNITY}002")
    rows[2] = record(GRID, square(), active=False)
    (gap,) = inspect(build(rows), TOWN).faults
    assert (gap.kind, gap.codes) == (FaultKind.GAP, (f"{COMMUNITY}002",))


def test_houses_in_no_grid_or_in_two_and_loads_by_rule():
    one, two = GRID, f"{COMMUNITY}002"
    rows = town_of(one, two)
    rows[3] = record(two, square(west=120.009))
    rows.append(record(f"{one}01", square(side=0.005)))
    grids = build(rows, load_rules=[LoadRule(GridLevel.COMMUNITY, 1, 2)])
    houses = [Dwelling("in", 36.202, 120.002, 51)]
    houses += [Dwelling("both", 36.205, 120.0095), Dwelling("out", 36.3, 120.0)]
    found = inspect(grids, TOWN, dwellings=houses)
    assert [(it.dwelling.id, it.codes) for it in found.misplaced] == [
        ("both", (one, two)),
        ("out", ()),
    ]
    assert [(it.code, it.text()) for it in found.loads] == [
        (f"{one}01", "51户，多于规定的50户"),
        (two, "0户，少于规定的30户"),
    ]


def test_a_page_shows_the_geometry_of_each_fault(city):
    rows = town_of(GRID, f"{COMMUNITY}002")
    rows[3] = record(f"{COMMUNITY}002", square(west=120.009))
    grids = build(rows)
    found = inspect(grids, TOWN, dwellings=[Dwelling("out", 36.3, 120.0)])
    first = views.audit(grids, found, parent=TOWN, offset=0, limit=2)
    assert (first.total, first.next_cursor) == (5, "2")
    assert {item.kind for item in first.items} == {"gap", "overlap"}
    for item in first.items:
        assert item.geometry["type"] == "Polygon"
        assert item.area_m2 > 0
        assert item.sliver is False
    last = views.audit(grids, found, parent=TOWN, offset=2, limit=9)
    assert [item.kind for item in last.items] == ["dwelling_in_none", "load", "load"]
    assert last.items[0].geometry == {"type": "Point", "coordinates": [120.0, 36.3]}
    assert last.next_cursor is None
    assert (last.dwellings_misplaced, last.load_warnings) == (1, 2)


def test_a_fault_with_a_very_long_outline_is_drawn_coarser():
    ring = shapely.Point(120.005, 36.205).buffer(0.004, quad_segs=2_000)
    rows = town_of(GRID)
    rows[2] = record(GRID, [square()[0], [list(spot) for spot in ring.exterior.coords]])
    grids = build(rows)
    (item,) = views.audit(grids, inspect(grids, TOWN), parent=TOWN, offset=0, limit=9).items
    assert len(item.geometry["coordinates"][0]) < 200
    assert item.area_m2 == pytest.approx(499_000, rel=0.01)
