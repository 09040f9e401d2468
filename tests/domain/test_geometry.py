"""Coordinates against vectors of independent libraries, and distances."""

import csv
import json
from pathlib import Path

import pytest

from app.domain.geometry import (
    CoordSys,
    distance_m,
    inside_china_box,
    planar_distance_m,
    to_bd09,
    to_gcj02,
    to_wgs84,
)

SHARED = Path(__file__).parents[3] / "shared" / "data" / "coords"
JIAOZHOU = (36.2646, 120.0335)
POINTS = [JIAOZHOU, (22.543847, 113.912316), (39.911954, 116.377817), (43.8, 87.6), (18.25, 109.5)]


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the reference data folder is not here: {name}")
    return path


@pytest.mark.parametrize(
    ("wgs84", "gcj02"),
    [
        ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
        ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
        ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
        ((39.915, 116.404), (39.91640428150164, 116.41024449916938)),
        ((36.473205, 120.196864), (36.47347495, 120.2020166)),
    ],
)
def test_gcj02_is_where_other_libraries_see_it(wgs84, gcj02):
    assert distance_m(*to_gcj02(*wgs84), *gcj02) < 0.1
    assert distance_m(*to_wgs84(*gcj02, CoordSys.GCJ02), *wgs84) < 0.1


def test_bd09_is_where_other_libraries_see_it():
    gcj02 = to_wgs84(39.915, 116.404, CoordSys.GCJ02)
    assert distance_m(*to_bd09(*gcj02), 39.92133699351021, 116.41036949371029) < 0.1


@pytest.mark.parametrize("point", POINTS)
def test_the_way_there_and_back_ends_within_a_millimetre(point):
    assert distance_m(*to_wgs84(*to_gcj02(*point), CoordSys.GCJ02), *point) < 0.001
    assert distance_m(*to_wgs84(*to_bd09(*point), CoordSys.BD09), *point) < 0.001


@pytest.mark.parametrize("coord_sys", [CoordSys.WGS84, CoordSys.CGCS2000])
def test_wgs84_and_cgcs2000_stay_as_they_are(coord_sys):
    assert to_wgs84(*JIAOZHOU, coord_sys) == JIAOZHOU


@pytest.mark.parametrize("point", [(51.5072, -0.1276), (35.68, 139.69), (-33.87, 151.21)])
def test_outside_china_nothing_is_shifted(point):
    assert not inside_china_box(*point)
    assert to_gcj02(*point) == point
    assert to_wgs84(*point, CoordSys.GCJ02) == point


@pytest.mark.parametrize("point", [(0.0, 0.0), (90.0, 180.0), (-90.0, -180.0), (55.8271, 137.8347)])
@pytest.mark.parametrize("coord_sys", list(CoordSys))
def test_the_far_ends_of_the_world_end_too(point, coord_sys):
    latitude, longitude = to_wgs84(*point, coord_sys)
    assert abs(latitude - point[0]) < 0.05
    assert abs(longitude - point[1]) < 0.05


def test_a_mix_up_of_wgs84_and_gcj02_moves_a_point_in_jiaozhou_by_480_m():
    assert distance_m(*JIAOZHOU, *to_gcj02(*JIAOZHOU)) == pytest.approx(480, abs=1)


def test_distance_is_that_of_the_published_vector():
    far = distance_m(31.17530398364597, 121.531541859215, 39.91334545536069, 116.38404722455657)
    assert far == pytest.approx(1_078_164, abs=1)
    assert distance_m(*JIAOZHOU, *JIAOZHOU) == 0
    assert distance_m(0, 0, 0, 180) == pytest.approx(distance_m(90, 0, -90, 0))


@pytest.mark.parametrize("step", [0.00001, 0.003, 0.1, 0.4])
def test_the_flat_distance_agrees_with_the_round_one(step):
    there = (JIAOZHOU[0] + step, JIAOZHOU[1] - step)
    assert planar_distance_m(*JIAOZHOU, *there) == pytest.approx(
        distance_m(*JIAOZHOU, *there), rel=0.001
    )


@pytest.mark.shared
def test_two_hundred_points_around_qingdao():
    with shared("qingdao_wgs84_gcj02_pairs_200.csv").open(encoding="utf-8") as lines:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(lines)]
    assert len(rows) >= 200
    for row in rows:
        wgs84 = (row["wgs_lat"], row["wgs_lng"])
        gcj02 = to_gcj02(*wgs84)
        for library in ("eviltransform", "prcoords"):
            published = (row[f"gcj_lat_{library}"], row[f"gcj_lng_{library}"])
            assert distance_m(*gcj02, *published) < 0.1
            assert distance_m(*to_wgs84(*published, CoordSys.GCJ02), *wgs84) < 0.1


@pytest.mark.shared
def test_the_published_vectors_at_their_stated_tolerance():
    vectors = json.loads(shared("published_test_vectors.json").read_text(encoding="utf-8"))
    first, second = vectors["eviltransform"], vectors["coordtransform"]
    for latitude, longitude, *gcj02 in first["wgs_gcj"]:
        assert to_gcj02(latitude, longitude) == pytest.approx(gcj02, abs=5e-7)
        assert distance_m(*to_wgs84(*gcj02, CoordSys.GCJ02), latitude, longitude) < 0.5
    # This library's BD-09 wave is sin(πx) where Baidu's, and everybody else's, is sin(3000πx/180):
    # its points lie up to 42 m from the true ones.
    for latitude, longitude, *wgs84 in first["bd_wgs"]:
        assert distance_m(*to_wgs84(latitude, longitude, CoordSys.BD09), *wgs84) < 45
    for *ends, metres in first["distance"]:
        assert distance_m(*ends) == pytest.approx(metres, abs=1)

    longitude, latitude = second["input"]
    assert to_gcj02(latitude, longitude)[::-1] == pytest.approx(second["wgs84togcj02"], abs=1e-9)
    as_wgs84 = to_wgs84(latitude, longitude, CoordSys.GCJ02)
    assert to_bd09(*as_wgs84)[::-1] == pytest.approx(second["gcj02tobd09"], abs=1e-9)
    # Its ways back are single steps, good to some 2 m; ours is exact.
    assert distance_m(*as_wgs84, *second["gcj02towgs84"][::-1]) < 2.5
    as_gcj02 = to_gcj02(*to_wgs84(latitude, longitude, CoordSys.BD09))
    assert distance_m(*as_gcj02, *second["bd09togcj02"][::-1]) < 0.1
