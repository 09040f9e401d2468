"""The map of people, land and houses: points for who works with them, figures for the others."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import insert

from app.domain.registry import HouseUse, PlotUse, Source, Tag
from app.registry.models import House, Person, Plot
from app.store.base import new_id
from tests.city import COMMUNITY, GRID, OTHER_GRID, TOWN, point_in

MAP = "/api/v1/map"
BOX = "119,35,121,37"
_RECORDED = {"source": Source.DEMO, "updated_by": UUID(int=0), "updated_at": datetime.now(UTC)}


def located(grid_code: str) -> dict[str, object]:
    point = point_in(grid_code)
    return {"latitude": point["latitude"], "longitude": point["longitude"], "location": point}


@pytest.fixture(scope="module", autouse=True)
async def registered(app):
    """A house and a plot here, a house there; four people here, two of them in need of care."""
    async with app.state.db.transaction() as session:
        for grid_code in (GRID, OTHER_GRID):
            house = {"address": "村东1号", "use": HouseUse.SELF_OCCUPIED, **located(grid_code)}
            await session.execute(
                insert(House).values(id=new_id(), grid_code=grid_code, **house, **_RECORDED)
            )
        plot = {"use": PlotUse.FARMLAND, **located(GRID)}
        await session.execute(insert(Plot).values(id=new_id(), grid_code=GRID, **plot, **_RECORDED))
        for tags in ([], [], [Tag.LIVING_ALONE], [Tag.LOW_INCOME, Tag.VOLUNTEER]):
            person = {"grid_code": GRID, "tags": tags, "personal": b"sealed"}
            await session.execute(insert(Person).values(id=new_id(), **person, **_RECORDED))


async def get(caller, path: str, **params):
    answer = await caller.get(f"{MAP}{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_houses_and_plots_are_where_they_are(as_staff) -> None:
    dispatcher = await as_staff("dispatcher")
    houses = await get(dispatcher, "/houses", bbox=BOX)
    assert houses["columns"] == ["id", "longitude", "latitude", "use"]
    assert sorted((row[2], row[1]) for row in houses["rows"]) == sorted(
        (round(point["latitude"], 6), round(point["longitude"], 6))
        for point in (point_in(GRID), point_in(OTHER_GRID))
    )
    plots = await get(dispatcher, "/plots", bbox=BOX, coord_sys="gcj02")
    assert [row[3] for row in plots["rows"]] == ["farmland"]


async def test_grid_staff_see_the_houses_of_their_grid(as_staff) -> None:
    leader = await as_staff("grid_leader", grid=GRID)
    assert (await get(leader, "/houses", bbox=BOX))["count"] == 1


@pytest.mark.parametrize("role", ["handler", "auditor", "admin"])
async def test_others_get_no_houses(as_staff, role: str) -> None:
    caller = await as_staff(role)
    assert (await caller.get(f"{MAP}/houses", params={"bbox": BOX})).status_code == 403


async def test_there_are_no_other_registers_on_the_map(as_staff) -> None:
    dispatcher = await as_staff("dispatcher")
    assert (await dispatcher.get(f"{MAP}/persons", params={"bbox": BOX})).status_code in (404, 422)


async def test_requests_per_thousand_people_have_the_people_below_them(as_staff, hall) -> None:
    auditor = await as_staff("auditor")
    await hall.submit(await hall.as_resident(), location=point_in(GRID))
    assert (await get(auditor, "/figures", layer="residents"))["values"] == {GRID: [4, None, None]}
    supervisor = await as_staff("supervisor")
    found = await get(supervisor, "/figures", layer="per_1000", level="town")
    assert found["values"] == {TOWN: [1, 4, 250.0]}


async def test_care_is_told_by_grid_to_the_grid_only(as_staff) -> None:
    leader = await as_staff("grid_leader", grid=GRID)
    assert (await get(leader, "/figures", layer="care"))["values"] == {GRID: [2, None, None]}
    auditor = await as_staff("auditor")
    fine = await auditor.get(f"{MAP}/figures", params={"layer": "care", "level": "grid"})
    assert (fine.status_code, fine.json()["code"]) == (403, "map_care_too_fine")
    coarse = await get(auditor, "/figures", layer="care", level="community")
    assert coarse["values"] == {COMMUNITY: [2, None, None]}


async def test_care_is_not_for_units(as_staff) -> None:
    handler = await as_staff("handler")
    answer = await handler.get(f"{MAP}/figures", params={"layer": "care", "level": "town"})
    assert (answer.status_code, answer.json()["code"]) == (403, "map_care_not_for_role")
