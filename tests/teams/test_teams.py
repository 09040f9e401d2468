"""Teams over HTTP: terms, duties, rules, hand-overs; what is masked and what is told."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from app.domain.audit_chain import chain_of
from app.domain.grid_codes import GridLevel
from app.domain.teams import DUTIES, TEMPLATES
from app.store.base import new_id
from app.teams import rules
from app.teams.models import MemberRow
from tests.city import COMMUNITY, GRID, MICRO_GRID, OTHER_GRID, TOWN, point_in
from tests.teams.world import SINCE, TEAMS, TODAY, change, codes, leader, person, team

SECOND, THIRD, FOURTH, FIFTH = (f"{COMMUNITY}00{n}" for n in (2, 3, 4, 5))


@pytest.fixture(scope="module")
async def admin(as_staff):
    return await as_staff("admin")


@pytest.fixture(scope="module")
async def grid_leader(as_staff):
    return await as_staff("grid_leader")


async def problem(caller, path: str, body=None, *, code: str, status: int) -> str:
    return (await change(caller, path, body, code=code, status=status))["code"]


# --- members -------------------------------------------------------------------------------------


async def test_a_team_that_nobody_touched_lacks_everything(admin) -> None:
    found = await team(admin, SECOND)
    assert (found["version"], found["members"], found["plaque"]) == (1, [], None)
    assert codes(found) == ["seat_vacant"] * 3


async def test_a_whole_team_has_no_warnings(admin, grid_leader) -> None:
    eight = [it["code"] for it in (await admin.get(f"{TEAMS}/rules")).json()["duties"]]
    assert len(eight) == 8
    await change(admin, "/members", leader(staff_id=str(grid_leader.id), duties=eight))
    cadre = person(name="王二", phone="13900139000", duties=["policy"])
    await change(admin, "/members", {**cadre, "seat": "cadre", "since": SINCE})
    helper = person(name="赵六", phone=None, duties=["service"], title="农村公益岗")
    answer = await change(admin, "/members", {**helper, "seat": "helper", "since": SINCE})
    assert answer["warnings"] == []
    found = await team(admin)
    assert [(it["seat"], it["title"]) for it in found["members"]] == [
        ("leader", "网格长"),
        ("cadre", "包联村干部"),
        ("helper", "农村公益岗"),
    ]


async def test_only_what_was_published_is_clear(admin) -> None:
    [first, cadre, helper] = (await team(admin))["members"]
    assert (first["name"], first["phone"]) == ("欧阳小明", "13800138000")
    assert (cadre["name"], cadre["phone"]) == ("王**", "139****9000")
    assert (helper["name"], helper["phone"]) == ("赵**", None)
    path = f"/members/{cadre['id']}/amend"
    await change(admin, path, {"published": True})
    cadre = (await team(admin))["members"][1]
    assert (cadre["name"], cadre["phone"]) == ("王二", "139****9000")
    await change(admin, path, {"published": False})


async def test_names_and_numbers_are_sealed_where_they_are_kept(admin, hall) -> None:
    async with hall.db.transaction() as session:
        kept = await session.execute(
            text(
                "SELECT team_members::text FROM team_members"
                " UNION ALL SELECT convert_from(body, 'UTF8') FROM idempotency_keys"
                " UNION ALL SELECT facts::text FROM audit_entries"
            )
        )
        everything = "\n".join(row[0] for row in kept)
    assert "欧阳小明" not in everything
    assert "13800138000" not in everything


async def test_the_single_seat_has_one_at_a_time(admin) -> None:
    late = leader(since="2026-05-01", phone="13700137000")
    assert await problem(admin, "/members", late, code=GRID, status=409) == "team_seat_taken"
    before = leader(since="2025-01-01", until=SINCE, phone="13700137000")
    await change(admin, "/members", before)
    overlapping = leader(since="2024-01-01", until="2025-01-02")
    refused = await problem(admin, "/members", overlapping, code=GRID, status=409)
    assert refused == "team_seat_taken"
    former = (await team(admin, former="true"))["former"]
    assert [(it["since"], it["until"]) for it in former] == [("2025-01-01", SINCE)]


async def test_the_database_holds_it_too(admin, hall) -> None:
    row = {
        "id": new_id(), "grid_code": GRID, "seat": "leader", "title": "网格长", "leads": True,
        "single": True, "personal": b"x", "since": hall.clock.now.date(),
        "created_at": hall.clock.now,
    }  # fmt: skip
    with pytest.raises(IntegrityError, match="uq_team_members_open_single"):
        async with hall.db.transaction() as session:
            await session.execute(insert(MemberRow), row)
    ends = {"seat": "x", "until": row["since"] - timedelta(days=1)}
    with pytest.raises(IntegrityError, match="ends_after_begin"):
        async with hall.db.transaction() as session:
            await session.execute(insert(MemberRow), {**row, **ends})


async def test_of_two_at_once_one_decided_on_something_old(admin) -> None:
    both = [
        admin.post(f"{TEAMS}/{THIRD}/members", leader(phone=f"1380013800{n}"), version=1)
        for n in (1, 2)
    ]
    answers = await asyncio.gather(*both)
    assert sorted(answer.status_code for answer in answers) == [201, 412]
    assert len((await team(admin, THIRD))["members"]) == 1


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (leader(phone=None), "team_leader_phone_missing"),
        (leader(seat="gardener"), "team_seat_unknown"),
        (leader(title="村长"), "team_seat_unknown"),
        (leader(until=SINCE), "team_term_empty"),
        (leader(duties=["gardening"]), "team_duty_unknown"),
        (leader(staff_id="01980000-0000-7000-8000-000000000000"), "team_account_unknown"),
        (leader(phone="12"), "invalid_input"),
        (leader(name="张三\n李四"), "invalid_input"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(admin, form, code) -> None:
    before = await team(admin, FOURTH)
    assert await problem(admin, "/members", form, code=FOURTH, status=422) == code
    assert await team(admin, FOURTH) == before


async def test_only_grids_and_micro_grids_have_teams(admin) -> None:
    for code in ("370281001601999", "37028100160199901"):
        answer = await admin.get(f"{TEAMS}/{code}")
        assert (answer.status_code, answer.json()["code"]) == (404, "team_not_found")
    assert (await admin.get(f"{TEAMS}/{TOWN}")).status_code == 422


async def test_an_appointment_can_be_taken_back_as_if_it_had_never_been(admin) -> None:
    for since in (TODAY, "2026-05-01"):
        made = await change(admin, "/members", leader(since=since), code=SECOND)
        path = f"/members/{made['member_id']}/end"
        assert made["handover_id"] is None
        await change(admin, path, {"until": since}, code=SECOND)
        assert await problem(admin, path, {"until": since}, code=SECOND, status=409)
    found = await team(admin, SECOND, former="true")
    assert found["members"] == []
    assert len(found["former"]) == 2


async def test_a_person_who_leads_two_places_is_seen_in_both(admin) -> None:
    number = "13611112222"
    await change(admin, "/members", leader(phone=number), code=OTHER_GRID)
    answer = await change(admin, "/members", leader(phone=number), code=MICRO_GRID)
    [warning] = [it for it in answer["warnings"] if it["code"] == "leads_two_places"]
    assert warning["places"] == [OTHER_GRID]
    [warning] = [
        it for it in (await team(admin, OTHER_GRID))["warnings"] if it["code"] == "leads_two_places"
    ]
    assert warning["places"] == [MICRO_GRID]


async def test_the_list_goes_through_the_places_with_their_warnings(admin) -> None:
    seen, cursor = [], None
    while True:
        params = {"grid": TOWN, "limit": "4", **({"cursor": cursor} if cursor else {})}
        page = (await admin.get(TEAMS, params=params)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [it["grid"]["code"] for it in seen] == sorted({it["grid"]["code"] for it in seen})
    by_code = {it["grid"]["code"]: it for it in seen}
    assert by_code[GRID]["members"] == {"leader": 1, "cadre": 1, "helper": 1}
    assert "seat_vacant" in codes(by_code[SECOND])


async def test_opening_a_member_leaves_a_trace_and_keeps_to_the_place(
    admin, grid_leader, as_staff, hall
) -> None:
    cadre = (await team(admin))["members"][1]
    path = f"{TEAMS}/{GRID}/members/{cadre['id']}/reveal"
    answer = await grid_leader.post(path, {"reason": "联系工作"}, key=None)
    assert answer.json() == {"name": "王二", "phone": "13900139000"}
    stranger = await as_staff("grid_leader", grid=OTHER_GRID)
    answer = await stranger.post(path, {"reason": "联系工作"}, key=None)
    assert (answer.status_code, answer.json()["code"]) == (404, "team_member_not_found")
    async with hall.db.transaction() as session:
        actions = await session.scalars(
            text("SELECT action FROM audit_entries WHERE chain = :chain ORDER BY seq DESC LIMIT 1"),
            {"chain": chain_of(f"team:{GRID}")},
        )
        assert actions.all() == ["reveal"]


# --- the party group -----------------------------------------------------------------------------


async def test_the_secretary_of_the_party_group_is_a_member(admin) -> None:
    [_, cadre, _] = (await team(admin))["members"]
    group = {"name": "第一党小组", "secretary_id": cadre["id"], "since": SINCE}
    await change(admin, "/party-group", {"group": group})
    assert (await team(admin))["party_group"] == group
    stranger = {**group, "secretary_id": str(new_id())}
    refused = await problem(admin, "/party-group", {"group": stranger}, code=GRID, status=422)
    assert refused == "team_secretary_not_member"
    refused = await problem(admin, "/party-group", {"group": group}, code=MICRO_GRID, status=422)
    assert refused == "team_group_not_for_micro"


async def test_the_group_has_no_secretary_after_the_secretary_has_left(admin) -> None:
    [_, cadre, _] = (await team(admin))["members"]
    await change(admin, f"/members/{cadre['id']}/end", {"until": TODAY})
    found = await team(admin)
    assert found["party_group"] is None
    assert codes(found) == ["seat_vacant"]
    path = f"/members/{cadre['id']}/amend"
    refused = await problem(admin, path, {"published": True}, code=GRID, status=409)
    assert refused == "team_member_left"


# --- rules ---------------------------------------------------------------------------------------


async def test_templates_and_duties_are_data_with_versions(admin, hall) -> None:
    told = (await admin.get(f"{TEAMS}/rules")).json()
    grid = next(it for it in told["templates"] if it["level"] == "grid")
    assert [seat["name"] for seat in grid["seats"]] == ["包联村干部", "网格长", "网格员"]
    assert grid["seats"][2]["titles"] == ["党员中心户", "农村公益岗"]
    seats = [*grid["seats"], {"code": "doctor", "name": "村医", "least": 1, "most": 1}]
    form = {"name": "四类人员", "seats": seats}
    path = f"{TEAMS}/rules/templates/grid"
    answer = await admin.post(path, form, version=grid["version"])
    assert answer.status_code == 200, answer.text
    changed = next(it for it in answer.json()["templates"] if it["level"] == "grid")
    assert (changed["version"], changed["seats"][3]["name"]) == (2, "村医")
    assert "村医不足：应至少 1 人，现有 0 人" in [
        it["text"] for it in (await team(admin, SECOND))["warnings"]
    ]
    assert (await admin.post(path, form, version=1)).status_code == 412
    back = {"name": grid["name"], "seats": grid["seats"]}
    assert (await admin.post(path, back, version=2)).status_code == 200
    async with hall.db.transaction() as session:
        kept = await session.execute(
            text("SELECT version FROM team_rules WHERE name = 'template.grid' ORDER BY version")
        )
        assert [row[0] for row in kept] == [1, 2, 3]


async def test_the_first_versions_are_written_down_once(hall) -> None:
    for _ in range(2):
        async with hall.db.transaction() as session:
            await rules.seed(session, now=hall.clock.now)
    async with hall.db.transaction() as session:
        kept = await session.execute(
            text("SELECT name FROM team_rules WHERE version = 1 ORDER BY name")
        )
        assert [row[0] for row in kept] == ["duties", "template.grid", "template.micro"]
        current = await rules.current(session)
    assert current.duties == DUTIES
    assert current.templates[GridLevel.MICRO] == TEMPLATES[GridLevel.MICRO]


@pytest.mark.parametrize(
    "seats",
    [
        [{"code": "leader", "name": "网格长", "least": 1, "most": 1}],  # nobody leads
        [{"code": "leader", "name": "网格长", "least": 1, "leads": True}],  # several lead
        [{"code": "leader", "name": "网格长", "least": 1, "most": 1, "leads": True}] * 2,
        [
            {"code": "leader", "name": "网格长", "least": 1, "most": 1, "leads": True},
            {"code": "helper", "name": "网格员", "least": 5, "most": 2},
        ],
    ],
)
async def test_a_template_that_makes_no_sense_is_refused(admin, seats) -> None:
    path = f"{TEAMS}/rules/templates/micro"
    answer = await admin.post(path, {"name": "队伍", "seats": seats}, version=1)
    assert (answer.status_code, answer.json()["code"]) == (422, "team_template_unfit")


# --- hand-overs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def handed(hall, admin, as_staff):
    """A leader with two open requests and a closed one, followed by another."""
    heir = await as_staff("grid_leader", grid=FIFTH)
    resident = await hall.as_resident()
    requests = [await hall.submit(resident, location=point_in(FIFTH)) for _ in range(3)]
    await hall.act(resident, requests[2], "withdraw")
    first = await change(admin, "/members", leader(), code=FIFTH)
    form = {
        "until": TODAY,
        "successor": person(name="李四", phone="13500135000", staff_id=str(heir.id)),
    }
    ended = await change(admin, f"/members/{first['member_id']}/end", form, code=FIFTH)
    return heir, requests, ended


async def test_a_successor_is_handed_what_is_open(handed) -> None:
    heir, requests, ended = handed
    assert ended["open_requests"] == 2
    assert "handover_pending" in codes(ended)
    [item] = (await heir.get(f"{TEAMS}/handovers", params={"pending": "true"})).json()["items"]
    assert (item["id"], item["mine"]) == (ended["handover_id"], True)
    found = (await heir.get(f"{TEAMS}/handovers/{item['id']}")).json()
    assert sorted(found["request_ids"]) == sorted(it["id"] for it in requests[:2])
    assert sum(found["by_state"].values()) == found["still_open"] == 2


async def test_the_successor_finds_it_in_the_inbox(handed, hall) -> None:
    heir, _, _ = handed
    await hall.work("deliver_outbox")
    [message] = [
        it
        for it in (await heir.get("/api/v1/inbox")).json()["items"]
        if it["event"] == "LeaderHandedOver"
    ]
    assert message["title"] == "工作移交待确认"
    assert "网格长，有 2 件未办结诉求移交" in message["body"]
    assert (message["request_id"], message["number"]) == (None, None)


async def test_only_the_successor_acknowledges_and_only_once(handed, admin, as_staff) -> None:
    heir, _, ended = handed
    path = f"{TEAMS}/handovers/{ended['handover_id']}/acknowledge"
    answer = await admin.post(path, version=1)
    assert (answer.status_code, answer.json()["code"]) == (403, "handover_not_yours")
    stranger = await as_staff("grid_leader", grid=OTHER_GRID)
    assert (await stranger.post(path, version=1)).status_code == 404
    assert (await heir.post(path, version=7)).status_code == 412
    answer = await heir.post(path, version=1, key="once")
    assert answer.status_code == 200, answer.text
    assert answer.json()["acknowledged_at"] is not None
    assert (await heir.post(path, version=1, key="once")).content == answer.content
    again = await heir.post(path, version=2)
    assert (again.status_code, again.json()["code"]) == (409, "handover_done")
    assert "handover_pending" not in codes(await team(admin, FIFTH))


async def test_whoever_follows_after_a_gap_is_handed_the_work_as_well(admin, clock) -> None:
    clock.forward(days=1)
    tomorrow = "2026-03-03"
    [now] = (await team(admin, FIFTH))["members"]
    await change(admin, f"/members/{now['id']}/end", {"until": tomorrow}, code=FIFTH)
    paper = leader(since=tomorrow, phone="13300133000", name="周八")
    answer = await change(admin, "/members", paper, code=FIFTH)
    assert answer["open_requests"] == 2
    path = f"{TEAMS}/handovers/{answer['handover_id']}/acknowledge"
    done = await admin.post(path, version=1)  # on paper: this one has no account
    assert done.status_code == 200, done.text


async def test_a_hand_over_is_made_on_the_day_and_not_before(admin) -> None:
    now = (await team(admin, FIFTH))["members"][0]
    form = {"until": "2026-04-01", "successor": person()}
    path = f"/members/{now['id']}/end"
    refused = await problem(admin, path, form, code=FIFTH, status=422)
    assert refused == "team_successor_not_for_later"
    refused = await problem(admin, path, {"until": "2020-01-01"}, code=FIFTH, status=422)
    assert refused == "team_term_empty"


async def test_the_same_key_ends_a_term_once(admin) -> None:
    now = (await team(admin, FIFTH))["members"][0]
    version = (await team(admin, FIFTH))["version"]
    path, form = f"{TEAMS}/{FIFTH}/members/{now['id']}/end", {"until": "2026-04-01"}
    first = await admin.post(path, form, version=version, key="end-once")
    second = await admin.post(path, form, version=version, key="end-once")
    assert first.status_code == 200, first.text
    assert second.content == first.content
    assert (await team(admin, FIFTH))["version"] == version + 1
