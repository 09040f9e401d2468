"""Areas against known ones; gaps, overlaps and slivers of squares that were cut by hand."""

import math

import pytest
import shapely

from app.domain.coverage import (
    SLIVER_WIDTH_M,
    Dwelling,
    FaultKind,
    LoadRule,
    area_m2,
    areas_m2,
    examine,
    load_warnings,
    place_dwellings,
)
from app.domain.grid_codes import GridLevel

METRE = 1 / 111_000  # of latitude, about
PARENT = "370281001"
WHOLE = shapely.box(120.0, 36.2, 120.02, 36.21)
WEST, EAST = shapely.box(120.0, 36.2, 120.01, 36.21), shapely.box(120.01, 36.2, 120.02, 36.21)


# --- areas ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "known"),
    [
        # The WGS-84 ellipsoid, and an eighth of it.
        ((-180, -90, 180, 90), 510_065_621_724_089),
        ((0, 0, 90, 90), 63_758_202_715_511),
    ],
)
def test_the_area_of_the_earth(box, known):
    assert area_m2(shapely.box(*box)) == pytest.approx(known, abs=1)


def test_a_diamond_at_the_equator_as_geographiclib_has_it():
    diamond = shapely.Polygon([(-1, 0), (0, -1), (1, 0), (0, 1)])
    assert area_m2(diamond) == pytest.approx(24_619_419_146, rel=2e-4)


@pytest.mark.parametrize("latitude", [18.2, 36.25, 45.7])
def test_a_small_rectangle_is_as_large_as_its_sides_say(latitude):
    """Radii of curvature of the ellipsoid, an independent way to a small area."""
    axis, e2 = 6_378_137.0, 0.00669437999014
    bend = 1 - e2 * math.sin(math.radians(latitude)) ** 2
    north = math.radians(0.001) * axis * (1 - e2) / bend**1.5
    east = math.radians(0.001) * axis * math.cos(math.radians(latitude)) / math.sqrt(bend)
    found = area_m2(shapely.box(120, latitude - 0.0005, 120.001, latitude + 0.0005))
    assert found == pytest.approx(north * east, rel=1e-8)


def test_what_is_measured_together_is_as_large_as_alone():
    far = shapely.box(119.6, 36.4, 119.61, 36.41)
    together = areas_m2([WEST, far, shapely.Polygon()])
    assert together == pytest.approx([area_m2(WEST), area_m2(far), 0.0], rel=1e-9)
    assert areas_m2([]) == []
    assert areas_m2([shapely.Polygon()]) == [0.0]


# --- coverage ------------------------------------------------------------------------------------


def found(parent, **children):
    return examine(PARENT, parent, children)


def test_two_halves_cover_the_whole():
    whole = found(WHOLE, a=WEST, b=EAST)
    assert whole.faults == ()
    assert whole.children == 2
    assert whole.area_m2 == pytest.approx(area_m2(WEST) + area_m2(EAST))


def test_a_gap_is_named_with_its_neighbours_and_measured():
    hole = shapely.box(120.004, 36.203, 120.005, 36.204)
    (gap,) = found(WHOLE, a=shapely.difference(WEST, hole), b=EAST).faults
    assert (gap.kind, gap.codes, gap.parent_code) == (FaultKind.GAP, ("a",), PARENT)
    assert gap.area_m2 == pytest.approx(area_m2(hole))
    assert not gap.sliver
    assert shapely.equals(gap.shape, hole)


def test_each_piece_of_a_gap_is_a_fault_of_its_own():
    holes = [shapely.box(120.001 + x, 36.203, 120.002 + x, 36.204) for x in (0, 0.003, 0.006)]
    faults = found(WHOLE, a=shapely.difference(WEST, shapely.union_all(holes)), b=EAST).faults
    assert [fault.kind for fault in faults] == [FaultKind.GAP] * 3


def test_an_overlap_is_named_with_both():
    wider = shapely.box(120.0, 36.2, 120.011, 36.21)
    (overlap,) = found(WHOLE, a=wider, b=EAST).faults
    assert (overlap.kind, overlap.codes) == (FaultKind.OVERLAP, ("a", "b"))
    assert overlap.area_m2 == pytest.approx(area_m2(wider) - area_m2(WEST))


def test_what_is_beyond_the_parent_is_named():
    wider = shapely.box(119.999, 36.2, 120.01, 36.21)
    (outside,) = found(WHOLE, a=wider, b=EAST).faults
    assert (outside.kind, outside.codes) == (FaultKind.OUTSIDE, ("a",))


@pytest.mark.parametrize(("metres", "sliver"), [(0.3, True), (3.0, False)])
def test_a_strip_narrower_than_a_metre_is_a_sliver(metres, sliver):
    narrower = shapely.box(120.0, 36.2, 120.01, 36.21 - metres * METRE)
    (gap,) = found(WHOLE, a=narrower, b=EAST).faults
    assert gap.sliver is sliver
    assert gap.width_m == pytest.approx(metres, rel=0.02)
    assert gap.area_m2 == pytest.approx(metres * 899, rel=0.02)
    assert SLIVER_WIDTH_M == 1


def test_rounding_is_no_fault():
    hair = shapely.box(120.0, 36.2, 120.01 - 1e-13, 36.21)
    assert found(WHOLE, a=hair, b=EAST).faults == ()


def test_the_largest_fault_comes_first():
    small, large = shapely.box(120.001, 36.201, 120.002, 36.202), shapely.box(*EAST.bounds)
    faults = found(WHOLE, a=shapely.difference(WEST, small), b=None).faults
    assert [(fault.kind, fault.codes) for fault in faults] == [
        (FaultKind.NO_BOUNDARY, ("b",)),
        (FaultKind.GAP, ("a",)),
        (FaultKind.GAP, ("a",)),
    ]
    assert faults[1].area_m2 == pytest.approx(area_m2(large))


def test_without_an_outline_overlaps_are_still_found():
    faults = found(None, a=WHOLE, b=EAST).faults
    assert [(fault.kind, fault.codes) for fault in faults] == [
        (FaultKind.NO_BOUNDARY, (PARENT,)),
        (FaultKind.OVERLAP, ("a", "b")),
    ]


def test_where_nobody_drew_anything_there_is_no_gap_but_nothing_at_all():
    kinds = [fault.kind for fault in found(WHOLE, a=None).faults]
    assert kinds == [FaultKind.NO_BOUNDARY]
    assert found(WHOLE).faults == ()


# --- houses and loads ----------------------------------------------------------------------------


def house(name, longitude, latitude=36.205, households=1):
    return Dwelling(name, latitude, longitude, households)


def test_a_house_in_no_place_or_in_two_is_told():
    wider = shapely.box(120.0, 36.2, 120.012, 36.21)
    houses = [house("a", 120.001, households=2), house("b", 120.011), house("c", 120.03)]
    households, misplaced = place_dwellings({"1": wider, "2": EAST}, houses)
    assert households == {"1": 3, "2": 0}
    assert [(it.dwelling.id, it.codes) for it in misplaced] == [("b", ("1", "2")), ("c", ())]


def test_a_house_on_the_common_border_belongs_to_the_lower_code():
    assert place_dwellings({"2": EAST, "1": WEST}, [house("a", 120.01)]) == ({"2": 0, "1": 1}, [])
    assert place_dwellings({}, []) == ({}, [])
    households, misplaced = place_dwellings({}, [house("a", 120.0)])
    assert (households, len(misplaced)) == ({}, 1)


GRID = "370281001601001"


@pytest.mark.parametrize(
    ("count", "said"),
    [(29, "29户，少于规定的30户"), (30, None), (60, None), (61, "61户，多于规定的60户")],
)
def test_30_to_60_households_a_grid(count, said):
    rules = (LoadRule(GridLevel.GRID, 30, 60), LoadRule(GridLevel.MICRO, None, 50))
    assert [it.text() for it in load_warnings({GRID: count}, rules)] == ([said] if said else [])
    assert load_warnings({f"{GRID}01": 0, f"{GRID}02": 50}, rules) == []
    (over,) = load_warnings({f"{GRID}02": 51}, rules)
    assert over.text() == "51户，多于规定的50户"


def test_the_narrowest_rule_counts():
    rules = (LoadRule(GridLevel.GRID, 30, 60), LoadRule(GridLevel.GRID, None, 80, "370281001"))
    assert load_warnings({GRID: 70}, rules) == []
    assert len(load_warnings({"370281002601001": 70}, rules)) == 1
    assert load_warnings({"370281001": 1_000}, rules) == []
