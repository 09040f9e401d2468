"""Reading the registers: who sees what, masks, lists, look-up, opening, progress."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.city import COMMUNITY, GRID, OTHER_GRID, OTHER_TOWN, TOWN, CityHall
from tests.registry.world import REGISTRY, id_number, record, taken

NUMBER, PHONE, NAME = id_number(900), "15012345678", "东方不败"


@pytest.fixture(scope="module")
async def filled(hall: CityHall) -> dict[str, str]:
    """Two grids in two towns; ids by words."""
    here = await hall.as_staff("grid_leader")
    there = await hall.as_staff("grid_leader", grid=OTHER_GRID)
    house, household = str(uuid4()), str(uuid4())
    lives = [{"house_id": house}]
    person = {"name": NAME, "phone": PHONE, "id_number": NUMBER, "household_id": household}
    items = await taken(
        here,
        record("house", id=house),
        record("household", {"residences": lives}, id=household),
        record("person", {**person, "tags": ["low_income"], "relation": "head"}),
        record("person", {"name": "张三", "phone": ...}),
        record("person", {"name": "李四", "phone": ..., "tags": ["volunteer"]}),
    )
    other = record("person", {"name": "王五", "phone": PHONE, "grid_code": OTHER_GRID})
    [elsewhere] = await taken(there, other)
    return {
        "house": house,
        "household": household,
        "person": items[2]["id"],
        "elsewhere": elsewhere["id"],
    }


async def listed(caller: Any, plural: str = "persons", **query: Any) -> list[dict[str, Any]]:
    answer = await caller.get(f"{REGISTRY}/{plural}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.mark.parametrize(
    ("role", "grid", "count"),
    [
        ("grid_leader", GRID, 3),
        ("grid_leader", OTHER_GRID, 1),
        ("dispatcher", TOWN, 3),
        ("dispatcher", OTHER_TOWN, 1),
        ("dispatcher", None, 4),
        ("supervisor", None, 4),
    ],
)
async def test_everybody_sees_their_own_subtree_masked(
    filled: Any, as_staff: Any, role: str, grid: str | None, count: int
) -> None:
    caller = await as_staff(role, grid=grid)
    answer = await caller.get(f"{REGISTRY}/persons", params={"limit": 100})
    assert len(answer.json()["items"]) == count
    for secret in (NAME, PHONE, NUMBER):
        assert secret not in answer.text


async def test_what_lies_elsewhere_is_as_what_never_was(filled: Any, as_staff: Any) -> None:
    there = await as_staff("grid_leader", grid=OTHER_GRID)
    paths = [f"persons/{filled['person']}", f"persons/{uuid4()}", f"houses/{filled['house']}"]
    answers = [await there.get(f"{REGISTRY}/{path}") for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    told = [{**answer.json(), "request_id": ""} for answer in answers]
    assert told[0] == told[1] == told[2]
    hidden = await there.post(
        f"{REGISTRY}/persons/{filled['person']}/reveal", {"reason": "核实"}, key=None
    )
    assert hidden.json()["code"] == "record_not_found"


@pytest.mark.parametrize("role", ["handler", "unit_leader", "auditor", "admin"])
async def test_units_auditors_and_administrators_see_no_record(
    filled: Any, as_staff: Any, role: str
) -> None:
    caller = await as_staff(role)
    for path in ("persons", f"persons/{filled['person']}", "houses"):
        assert (await caller.get(f"{REGISTRY}/{path}")).status_code == 403
    progress = await caller.get(f"{REGISTRY}/progress")
    assert progress.status_code == (403 if "unit" in role or role == "handler" else 200)
    assert NAME not in progress.text


async def test_residents_see_nothing_of_the_registers(filled: Any, as_resident: Any) -> None:
    resident = await as_resident()
    for path in ("persons", "households", f"households/{filled['household']}", "progress"):
        assert (await resident.get(f"{REGISTRY}/{path}")).status_code == 403


async def test_masks(filled: Any, as_staff: Any) -> None:
    leader = await as_staff("grid_leader")
    answer = await leader.get(f"{REGISTRY}/persons/{filled['person']}")
    assert answer.headers["ETag"] == '"1"'
    data = answer.json()["data"]
    assert (data["name"], data["phone"]) == ("东方**", "150****5678")
    assert data["id_number"] == f"{NUMBER[:6]}********{NUMBER[-4:]}"
    assert answer.json()["grid_name"]


async def test_a_list_is_turned_page_by_page(filled: Any, as_staff: Any) -> None:
    boss = await as_staff("supervisor")
    found, cursor = [], None
    for _ in range(4):
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await boss.get(f"{REGISTRY}/persons", params=query)).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert found == [item["id"] for item in await listed(boss, limit=100)]
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"tag": "low_income"}, 1),
        ({"grid": COMMUNITY}, 3),
        ({"grid": OTHER_GRID}, 1),
        ({"grid": OTHER_GRID, "tag": "volunteer"}, 0),
        ({"stale": "true"}, 0),
        ({"stale": "false"}, 4),
        ({"active": "false"}, 0),
    ],
)
async def test_filters(filled: Any, as_staff: Any, query: dict[str, str], count: int) -> None:
    assert len(await listed(await as_staff("supervisor"), **query)) == count


async def test_a_household_filter_and_filters_that_do_not_fit(filled: Any, as_staff: Any) -> None:
    leader = await as_staff("grid_leader")
    assert len(await listed(leader, household=filled["household"])) == 1
    for path in ("houses?tag=volunteer", f"houses?household={filled['household']}"):
        assert (await leader.get(f"{REGISTRY}/{path}")).json()["code"] == "filter_unfit"
    for path in ("persons?cursor=xx", "persons?cursor=fHw=", "persons?grid=1", "castles"):
        assert (await leader.get(f"{REGISTRY}/{path}")).status_code in (404, 422)


@pytest.mark.parametrize("asked", [{"phone": "+86 150-1234-5678"}, {"id_number": NUMBER.lower()}])
async def test_a_person_is_found_by_the_exact_number(
    filled: Any, as_staff: Any, db: Any, asked: dict[str, str]
) -> None:
    leader = await as_staff("grid_leader")
    answer = await leader.post(f"{REGISTRY}/persons/lookup", asked, key=None)
    assert [item["id"] for item in answer.json()["items"]] == [filled["person"]]
    assert PHONE not in answer.text
    async with db.transaction() as session:
        told = text(
            "SELECT facts FROM audit_entries WHERE chain = :id AND action = 'registry_lookup'"
            " ORDER BY seq DESC"
        )
        facts = await session.scalar(told, {"id": leader.id})
    assert facts == {"by": next(iter(asked)), "found": 1}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "lookup_unclear"),
        ({"phone": PHONE, "id_number": NUMBER}, "lookup_unclear"),
        ({"phone": "1501234"}, "invalid_input"),  # no beginnings, no ends
    ],
)
async def test_a_look_up_needs_one_whole_number(
    as_staff: Any, asked: dict[str, str], code: str
) -> None:
    leader = await as_staff("grid_leader")
    answer = await leader.post(f"{REGISTRY}/persons/lookup", asked, key=None)
    assert answer.json()["code"] == code


async def test_opening_a_person_leaves_a_trace(filled: Any, as_staff: Any, db: Any) -> None:
    leader = await as_staff("grid_leader")
    path = f"{REGISTRY}/persons/{filled['person']}/reveal"
    refused = await leader.post(path, {"reason": f"找{NAME}核实"}, key=None)
    assert refused.json()["code"] == "reason_personal"
    answer = await leader.post(path, {"reason": "上门走访前联系"}, key=None)
    assert answer.json() == {"name": NAME, "phone": PHONE, "id_number": NUMBER}
    assert answer.headers["Cache-Control"] == "no-store"
    async with db.transaction() as session:
        entry = (
            await session.execute(
                text("SELECT * FROM audit_entries WHERE chain = :id AND action = 'reveal'"),
                {"id": filled["person"]},
            )
        ).one()
    assert entry.actor_id == leader.id
    assert entry.facts == {"reason": "上门走访前联系", "kind": "person", "record_version": 1}
    house = await leader.post(
        f"{REGISTRY}/houses/{filled['house']}/reveal", {"reason": "核实"}, key=None
    )
    assert house.json()["code"] == "nothing_personal"


async def test_looks_are_counted_over_the_day(filled: Any, as_staff: Any, clock: Any) -> None:
    leader = await as_staff("grid_leader", number=7)
    path = f"{REGISTRY}/households/{filled['household']}/reveal"
    for _ in range(50):
        assert (await leader.post(path, {"reason": "核实"}, key=None)).status_code == 200
    spent = await leader.post(path, {"reason": "核实"}, key=None)
    assert (spent.status_code, spent.json()["code"]) == (429, "reveal_budget_spent")
    clock.forward(days=1)
    assert (await leader.post(path, {"reason": "核实"}, key=None)).status_code == 200


async def test_progress_by_place(filled: Any, as_staff: Any, clock: Any, db: Any) -> None:
    boss = await as_staff("auditor")
    async with db.transaction() as session:  # one more that nobody has been to
        await session.execute(
            text(
                "INSERT INTO registry_households (id, grid_code, source, updated_by, updated_at)"
                " VALUES (gen_random_uuid(), :grid, 'imported', gen_random_uuid(), now())"
            ),
            {"grid": GRID},
        )
    towns = (await boss.get(f"{REGISTRY}/progress")).json()
    assert [place["level"] for place in towns["items"]] == ["town", "town"]
    counts = {place["code"]: place["persons"]["expected"] for place in towns["items"]}
    assert counts == {TOWN: 3, OTHER_TOWN: 1}
    assert towns["total"]["households"] == {"expected": 2, "collected": 1, "stale": 0}
    clock.forward(days=31)
    leader = await as_staff("grid_leader")
    own = (await leader.get(f"{REGISTRY}/progress", params={"stale_days": 30})).json()
    assert [place["code"] for place in own["items"]] == [GRID]
    assert own["total"]["households"] == {"expected": 2, "collected": 1, "stale": 1}
    grids = (await boss.get(f"{REGISTRY}/progress", params={"level": "grid", "grid": TOWN})).json()
    assert len(grids["items"]) == 6
    assert (
        await leader.get(f"{REGISTRY}/progress", params={"grid": OTHER_GRID})
    ).status_code == 404


async def test_taken_sendings_are_forgotten_some_day(
    hall: CityHall, as_staff: Any, clock: Any, db: Any
) -> None:
    leader = await as_staff("grid_leader")
    await taken(leader, record("plot"))
    clock.now += timedelta(days=91)
    await hall.work("forget_old")
    async with db.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM registry_collections")) == 0
