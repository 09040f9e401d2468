"""Batches from the phone: once each, conflicts shown, nothing lost, nobody else's grid."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from tests.city import COMMUNITY, GRID, MICRO_GRID, OTHER_GRID
from tests.registry.world import AT, REGISTRY, id_number, record, send, taken


@pytest.fixture
async def collector(as_staff: Any) -> Any:
    return await as_staff("grid_leader")


async def shown(caller: Any, plural: str, record_id: str) -> dict[str, Any]:
    answer = await caller.get(f"{REGISTRY}/{plural}/{record_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(db: Any, sql: str, **values: Any) -> list[Any]:
    async with db.transaction() as session:
        return list(await session.execute(text(sql), values))


async def test_records_of_a_batch_may_lean_on_each_other_in_any_order(collector: Any) -> None:
    plot, building, house, household = (str(uuid4()) for _ in range(4))
    lives = [{"house_id": house, "tenure": "owner", "since": "1975-05-01"}]
    await taken(
        collector,
        record("person", {"household_id": household, "relation": "head"}),
        record("household", {"residences": lives, "tags": ["volunteer"]}, id=household),
        record("house", {"building_id": building}, id=house),
        record("building", {"plot_id": plot, "floors": 6}, id=building),
        record("plot", {"area_m2": 200}, id=plot),
    )
    seen = await shown(collector, "households", household)
    assert seen["data"]["name"] == "欧阳**"
    assert seen["data"]["tags"] == [{"code": "volunteer", "text": "志愿者"}]
    assert seen["data"]["residences"][0]["since"] == "1975-05-01"
    assert [it["data"]["relation_text"] for it in seen["members"]] == ["户主"]
    dwellers = (await shown(collector, "houses", house))["dwellers"]
    assert [it["household_id"] for it in dwellers] == [household]


async def test_a_batch_sent_again_is_answered_again_and_not_done_again(
    collector: Any, db: Any
) -> None:
    sent = [record("house"), record("person", {"phone": "13900139000"})]
    first = await send(collector, *sent)
    again = await send(collector, *reversed(sent))
    assert again[::-1] == [{**it, "index": 1 - it["index"]} for it in first]
    chains = [UUID(it["id"]) for it in first]
    told = await stored(db, "SELECT * FROM audit_entries WHERE chain = ANY(:ids)", ids=chains)
    assert len(told) == 2


async def test_a_client_id_stands_for_one_content(collector: Any) -> None:
    first = record("house")
    await taken(collector, first)
    other = {**first, "data": {**first["data"], "address": "向阳路8号"}}
    [again] = await send(collector, other)
    assert (again["outcome"], again["errors"][0]["code"]) == ("invalid", "client_id_reused")
    twice = record("house")
    one, two = await send(collector, twice, twice)
    assert (one["outcome"], two["errors"][0]["code"]) == ("created", "client_id_repeated")


async def test_who_wrote_last_is_shown_and_what_differs_masked(as_staff: Any) -> None:
    mine, colleague = await as_staff("grid_leader"), await as_staff("grid_leader", number=2)
    [made] = await taken(mine, record("person", {"phone": "13700137000"}))
    change = {"id": made["id"], "base_version": 1}
    [theirs] = await send(colleague, record("person", {"phone": "13711137111"}, **change))
    assert (theirs["outcome"], theirs["version"]) == ("updated", 2)
    sent = record("person", {"phone": "13722137222", "tags": ["low_income"]}, **change)
    [late] = await send(mine, sent)
    assert (late["outcome"], late["version"]) == ("conflict", 2)
    assert late["conflict"]["updated_by"] == "王五"
    assert late["conflict"]["source_text"] == "上门采集"
    assert late["conflict"]["differences"] == [
        {"field": "phone", "kept": "137****7111", "sent": "137****7222"},
        {"field": "tags", "kept": [], "sent": ["low_income"]},
    ]
    # Looked at and decided: the same again on the present version.
    [now] = await send(mine, {**sent, "client_id": "decided", "base_version": 2})
    assert (now["outcome"], now["version"]) == ("updated", 3)


async def test_the_same_content_twice_is_no_conflict_and_makes_it_fresh(
    collector: Any, clock: Any
) -> None:
    [made] = await taken(collector, record("house"))
    clock.forward(days=200)
    assert (await shown(collector, "houses", made["id"]))["stale"] is True
    later = clock.now.isoformat()
    [again] = await send(collector, record("house", id=made["id"], collected_at=later))
    assert (again["outcome"], again["version"]) == ("unchanged", 1)
    seen = await shown(collector, "houses", made["id"])
    assert (seen["stale"], seen["collected_at"]) == (False, later)


async def test_one_wrong_record_does_not_stop_the_others(collector: Any) -> None:
    answers = await send(
        collector,
        record("person", {"phone": "123"}),
        record("person", {"phone": "13600136000"}),
        {"kind": "castle", "client_id": "c"},
        record("house", {"grid_code": OTHER_GRID}),
        record("person", {"id_number": id_number(1)[:-1] + "0"}),
        record("person", {"household_id": str(uuid4())}),
        record("house", id=str(uuid4()), base_version=3),
        record("house", collected_at="2026-03-03T09:00:00+08:00"),
        record("household", {"religion": "x"}),
    )
    assert [it["outcome"] for it in answers] == ["invalid", "created", *["invalid"] * 7]
    assert [(it["errors"] or [{"code": ""}])[0]["code"] for it in answers] == [
        "phone_invalid",
        "",
        "value_invalid",
        "grid_not_yours",
        "id_number_invalid",
        "reference_missing",
        "record_not_found",
        "time_in_future",
        "field_unknown",
    ]
    assert answers[0]["errors"][0]["pointer"] == "/data/phone"


async def test_minors_are_left_out(collector: Any) -> None:
    child = id_number(2, "20150601")
    [answer] = await send(collector, record("person", {"id_number": child}))
    assert answer["errors"][0]["code"] == "minor_left_out"


async def test_an_identity_number_is_registered_once(as_staff: Any) -> None:
    mine, elsewhere = await as_staff("grid_leader"), await as_staff("grid_leader", grid=OTHER_GRID)
    number = {"id_number": id_number(3), "phone": "13500135000"}
    [made] = await taken(mine, record("person", number))
    # In the same grid that is the same person: the colleague's record is shown.
    [again] = await send(mine, record("person", {**number, "phone": "13500135001"}))
    assert (again["outcome"], again["id"]) == ("conflict", made["id"])
    # From elsewhere nothing is shown of it.
    [theirs] = await send(elsewhere, record("person", {**number, "grid_code": OTHER_GRID}))
    assert (theirs["outcome"], theirs["errors"][0]["code"]) == ("invalid", "id_number_taken")
    assert (theirs["id"], theirs["conflict"]) == (None, None)
    # Nor does an id tell that there is a record.
    sent = record("person", {"grid_code": OTHER_GRID}, id=made["id"], base_version=1)
    [hidden] = await send(elsewhere, sent)
    assert hidden["errors"][0]["code"] == "record_not_found"


async def test_two_of_a_batch_see_each_other(collector: Any) -> None:
    number = id_number(4)
    first, second = await send(
        collector,
        record("person", {"id_number": number, "name": "甲某"}),
        record("person", {"id_number": number, "name": "乙某"}),
    )
    assert (first["outcome"], second["outcome"]) == ("created", "conflict")
    assert first["id"] == second["id"]


async def test_a_micro_grid_leader_collects_in_the_micro_grid_only(as_staff: Any) -> None:
    micro = await as_staff("micro_grid_leader")
    one, two = await send(
        micro,
        record("house", {"grid_code": MICRO_GRID}),
        record("house", {"grid_code": MICRO_GRID[:15]}),
    )
    assert (one["outcome"], two["outcome"]) == ("created", "invalid")


async def test_only_grids_hold_records_and_only_grid_staff_collect(as_staff: Any) -> None:
    leader = await as_staff("grid_leader", grid=COMMUNITY)
    [answer] = await send(leader, record("house", {"grid_code": GRID}))
    assert answer["outcome"] == "created"
    for role in ("dispatcher", "supervisor", "handler", "auditor", "admin"):
        caller = await as_staff(role)
        refused = await caller.post(f"{REGISTRY}/batches", {"records": [record("house")]}, key=None)
        assert refused.status_code == 403


@pytest.mark.parametrize("count", [0, 201])
async def test_a_batch_has_1_to_200_records(collector: Any, count: int) -> None:
    sent = {"records": [record("house") for _ in range(count)]}
    assert (await collector.post(f"{REGISTRY}/batches", sent, key=None)).status_code == 422


async def test_a_full_batch_takes_the_same_few_statements(
    collector: Any, count_queries: Any
) -> None:
    with count_queries() as few:
        await send(collector, record("house"), record("person"))
    with count_queries() as many:
        await send(collector, *(record("house") for _ in range(150)), record("person"))
    assert len(many) == len(few) < 25


async def test_people_are_sealed_and_the_audit_knows_no_names(collector: Any, db: Any) -> None:
    number = id_number(5)
    sent = record("person", {"id_number": number, "name": "司马相如", "phone": "13400134000"})
    [made] = await taken(collector, sent)
    [row] = await stored(
        db, "SELECT to_jsonb(p)::text FROM registry_persons AS p WHERE id = :id", id=made["id"]
    )
    [entry] = await stored(
        db, "SELECT facts::text FROM audit_entries WHERE chain = :id", id=made["id"]
    )
    for secret in (number, "司马", "13400134000"):
        assert secret not in row[0]
        assert secret not in entry[0]
        assert secret.encode().hex() not in row[0]


async def test_collected_by_whom_and_when_is_kept(collector: Any, db: Any) -> None:
    [made] = await taken(collector, record("plot"))
    seen = await shown(collector, "plots", made["id"])
    assert (seen["collector"], seen["collected_at"], seen["source"]) == ("王五", AT, "collected")


async def test_a_point_is_shown_in_both_systems(collector: Any) -> None:
    point = {"latitude": 36.2646, "longitude": 120.0335, "coord_sys": "gcj02"}
    [made] = await taken(collector, record("house", {"location": point}))
    location = (await shown(collector, "houses", made["id"]))["data"]["location"]
    assert abs(location["gcj02_latitude"] - point["latitude"]) < 1e-6
    assert abs(location["latitude"] - point["latitude"]) > 1e-4


async def test_the_same_batch_twice_at_once_is_done_once(collector: Any, db: Any) -> None:
    sent = [record("household"), record("person", {"phone": "13200132000"})]
    both = await asyncio.gather(*(send(collector, *sent) for _ in range(3)))
    assert both[0] == both[1] == both[2]
    client_ids = [it["client_id"] for it in sent]
    taken = "SELECT 1 FROM registry_collections WHERE client_id = ANY(:ids)"
    assert len(await stored(db, taken, ids=client_ids)) == 2


async def test_of_colleagues_who_change_a_record_at_once_one_is_told(as_staff: Any) -> None:
    colleagues = [await as_staff("grid_leader", number=number) for number in (1, 2, 3)]
    [made] = await taken(colleagues[0], record("house"))
    answers = await asyncio.gather(
        *(
            send(it, record("house", {"address": f"{at}号"}, id=made["id"], base_version=1))
            for at, it in enumerate(colleagues)
        )
    )
    outcomes = sorted(answer["outcome"] for [answer] in answers)
    assert outcomes == ["conflict", "conflict", "updated"]


@pytest.mark.parametrize(
    "sent",
    [
        1,
        None,
        "person",
        [],
        {},
        {"kind": "person"},
        {"kind": None, "client_id": 5},
        {**record("person"), "collected_at": "yesterday"},
        {**record("person"), "base_version": 0},
        {**record("person"), "base_version": 2**40},
        {**record("person"), "id": "not-a-uuid"},
        {**record("person"), "client_id": "有 空格"},
        record("person", {"tags": ["disabled"]}),
        record("person", {"name": "‮"}),
        record("person", {"residences": [{"house_id": str(uuid4()), "since": "0001-01-01"}]}),
        record("person", {"residences": [
            {"house_id": str(uuid4()), "since": "2020-01-02", "until": "2020-01-01"}]}),
        record("household", {"member_count": 3.5}),
        record("house", {"location": {"latitude": 91, "longitude": 0, "coord_sys": "wgs84"}}),
        record("house", {"location": {"latitude": 36, "longitude": 120}}),
        record("plot", {"area_m2": -1}),
    ],
)  # fmt: skip
async def test_whatever_a_phone_sends_is_answered(collector: Any, sent: Any) -> None:
    body = {"records": [sent, record("house")]}
    answer = await collector.post(f"{REGISTRY}/batches", body, key=None)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["items"]
    assert (first["outcome"], second["outcome"]) == ("invalid", "created")
    assert all(it["code"] and it["message"] for it in first["errors"])
    assert first["errors"]
