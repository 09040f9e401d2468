"""The map: borders sent once and kept, figures and points by what the caller may see."""

import asyncio
import gzip

import pytest
import shapely
from httpx import AsyncClient

from app.domain import geometry
from app.grids import queries as grids
from app.grids.models import GridRow
from app.maps import queries as maps
from app.store.notices import announce
from tests.city import GRID, MICRO_GRID, OTHER_GRID, OTHER_TOWN, TOWN, point_in
from tests.domain.test_topology import read

MAP = "/api/v1/map"


@pytest.fixture(scope="module")
async def auditor(as_staff):
    return await as_staff("auditor")


@pytest.fixture(scope="module")
async def dispatcher(as_staff):
    return await as_staff("dispatcher")


@pytest.fixture(scope="module")
async def placed(hall):
    """Three requests here, one of them closed by withdrawal, and one there."""
    resident = await hall.as_resident()
    here = [await hall.submit(resident, location=point_in(GRID)) for _ in range(3)]
    there = await hall.submit(resident, location=point_in(OTHER_GRID))
    await hall.act(resident, here[2], "withdraw")
    return [request["id"] for request in here], there["id"]


async def get(caller, path: str, **params):
    answer = await caller.get(f"{MAP}{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_borders_are_sent_once_under_an_address_with_their_version(auditor, app) -> None:
    told = await get(auditor, "")
    level = next(level for level in told["levels"] if level["level"] == "grid")
    answer = await auditor.get(level["urls"]["wgs84"])
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    places = read(answer.json())
    assert len(places) == level["places"]
    assert GRID in places
    west, south, east, north = told["bounds"]["wgs84"]
    found = places[GRID].bounds
    assert west - 1e-5 <= found[0] < found[2] <= east + 1e-5
    assert south - 1e-5 <= found[1] < found[3] <= north + 1e-5


async def test_both_systems_are_drawn_and_lie_apart_as_they_should(auditor) -> None:
    told = await get(auditor, "")
    level = next(level for level in told["levels"] if level["level"] == "town")
    wgs84 = read((await auditor.get(level["urls"]["wgs84"])).json())
    gcj02 = read((await auditor.get(level["urls"]["gcj02"])).json())
    for code, town in wgs84.items():
        there, here = gcj02[code].centroid, town.centroid
        assert 400 < geometry.distance_m(here.y, here.x, there.y, there.x) < 560


async def test_a_browser_that_unpacks_gets_the_borders_packed(auditor: AsyncClient) -> None:
    told = await get(auditor, "")
    url = told["levels"][0]["urls"]["gcj02"]
    plain = await auditor.get(url, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = await auditor.get(url, headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert len(gzip.compress(plain.content)) < len(plain.content)


async def test_another_version_of_the_borders_is_not_there(auditor) -> None:
    answer = await auditor.get(f"{MAP}/borders/0123456789abcdef/grid/wgs84")
    assert (answer.status_code, answer.json()["code"]) == (404, "map_version_unknown")


async def test_a_changed_border_is_another_version(app, auditor) -> None:
    before = (await get(auditor, ""))["version"]
    async with app.state.db.transaction() as session:
        row = await session.get(GridRow, MICRO_GRID)
        assert row is not None
        row.boundary = shapely.to_wkb(shapely.from_wkb(row.boundary).buffer(-1e-5))
        await announce(session, grids.TOPIC)
    async with asyncio.timeout(2):
        while (after := (await get(auditor, ""))["version"]) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    answer = await auditor.get(f"{MAP}/borders/{after}/micro/wgs84")
    assert MICRO_GRID in read(answer.json())


async def test_figures_are_keyed_by_the_place_at_the_level_that_is_drawn(
    dispatcher, placed
) -> None:
    grid = await get(dispatcher, "/figures", layer="received")
    assert grid["values"] == {GRID: [3, None, None], OTHER_GRID: [1, None, None]}
    town = await get(dispatcher, "/figures", layer="open", level="town")
    assert town["values"] == {TOWN: [2, None, None], OTHER_TOWN: [1, None, None]}
    overdue = await get(dispatcher, "/figures", layer="overdue", level="town")
    assert overdue["values"] == {TOWN: [0, 2, 0.0], OTHER_TOWN: [0, 1, 0.0]}
    rated = await get(dispatcher, "/figures", layer="satisfaction")
    assert rated["values"] == {}  # nobody rated: no figure, not 0 %


async def test_grid_staff_see_their_own_grid_only(as_staff, placed) -> None:
    leader = await as_staff("grid_leader", grid=GRID)
    assert (await get(leader, "/figures", layer="received"))["values"] == {GRID: [3, None, None]}
    box = ",".join(str(side) for side in (await get(leader, ""))["bounds"]["wgs84"])
    found = await get(leader, "/requests", bbox=box)
    assert {row[0] for row in found["rows"]} == set(placed[0][:2])


async def test_points_are_where_the_requests_are(dispatcher, placed) -> None:
    told = await get(dispatcher, "")
    for system in ("wgs84", "gcj02"):
        box = ",".join(str(side) for side in told["bounds"][system])
        found = await get(dispatcher, "/requests", bbox=box, coord_sys=system)
        assert found["columns"] == list(maps.POINT_COLUMNS)
        rows = {row[0]: row for row in found["rows"]}
        assert rows.keys() == {*placed[0][:2], placed[1]}
        meant = point_in(GRID)
        at = geometry.to_wgs84(meant["latitude"], meant["longitude"], meant["coord_sys"])
        if system == "gcj02":
            at = geometry.to_gcj02(*at)
        longitude, latitude = rows[placed[0][0]][1:3]
        assert geometry.distance_m(*at, latitude, longitude) < 0.5


async def test_states_and_closed_ones_can_be_asked_for(dispatcher, placed) -> None:
    box = ",".join(str(side) for side in (await get(dispatcher, ""))["bounds"]["wgs84"])
    everything = await get(dispatcher, "/requests", bbox=box, open="false")
    assert everything["count"] == 4
    gone = await get(dispatcher, "/requests", bbox=box, state="withdrawn")
    assert [row[0] for row in gone["rows"]] == [placed[0][2]]


async def test_above_the_limit_there_are_clusters(dispatcher, placed, monkeypatch, app) -> None:
    box = (await get(dispatcher, ""))["bounds"]["wgs84"]
    monkeypatch.setattr(maps, "MOST_POINTS", 2)
    maps._points_statement.cache_clear()
    found = await get(dispatcher, "/requests", bbox=",".join(map(str, box)), open="false")
    maps._points_statement.cache_clear()
    assert found["clustered"]
    assert found["rows"] == []
    assert found["count"] == sum(cluster[2] for cluster in found["clusters"]) == 4


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_who_sees_figures_only_gets_no_points(as_staff, role: str) -> None:
    caller = await as_staff(role)
    answer = await caller.get(f"{MAP}/requests", params={"bbox": "119,35,121,37"})
    assert (answer.status_code, answer.json()["code"]) == (403, "map_points_not_for_role")


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_who_is_not_told_small_cells_is_sent_to_the_statistics_for_requests(
    as_staff, placed, dispatcher, role: str
) -> None:
    caller = await as_staff(role)
    offered = {it["layer"] for it in (await get(caller, ""))["layers"]}
    assert offered == {"residents", "care"}
    everything = {it["layer"] for it in (await get(dispatcher, ""))["layers"]}
    for layer in everything - offered:
        for level in ("town", "community", "grid", "micro"):
            params = {"layer": layer, "level": level}
            answer = await caller.get(f"{MAP}/figures", params=params)
            assert (answer.status_code, answer.json()["code"]) == (403, "map_layer_in_statistics")
    assert (await get(caller, "/figures", layer="residents"))["layer"] == "residents"
    # What it is coloured by instead: the same places, by the codes of the borders.
    url = "/api/v1/statistics"
    asked = {"measure": "received", "group_by": "town", "from": "2026-03-01", "to": "2026-03-31"}
    told = await caller.get(url, params=asked)
    assert told.status_code == 200, told.text
    borders = (await get(caller, ""))["levels"]
    drawn = read((await caller.get(borders[0]["urls"]["wgs84"])).json())
    assert TOWN in drawn.keys() & {it["keys"][0] for it in told.json()["groups"]}


@pytest.mark.parametrize(
    "bbox",
    ["", "1,2,3", "a,b,c,d", "121,35,119,37", "119,37,121,35", "119,35,121,nan", "-181,0,1,1",
     "119,35,121,inf"],
)  # fmt: skip
async def test_a_box_that_is_none_is_refused(dispatcher, bbox: str) -> None:
    answer = await dispatcher.get(f"{MAP}/requests", params={"bbox": bbox})
    assert answer.status_code == 422


async def test_residents_have_no_map(hall) -> None:
    resident = await hall.as_resident()
    assert (await resident.get(MAP)).status_code == 403


async def test_a_figure_and_the_points_are_one_statement_each(
    dispatcher, placed, count_queries
) -> None:
    await get(dispatcher, "")
    for path, params in (
        ("/figures", {"layer": "open"}),
        ("/requests", {"bbox": "119,35,121,37"}),
    ):
        await get(dispatcher, path, **params)
        with count_queries() as seen:
            await get(dispatcher, path, **params)
        assert len(seen) == 1, seen
