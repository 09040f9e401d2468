"""Versions of the routing rules over HTTP: draft, change, check, try, activate."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from app.audit import queries as audit
from app.domain.audit_chain import chain_of
from app.store.session import Statement
from tests.city import CATEGORY, GRID, NOW, OTHER_UNIT, TOWN, UNIT, VILLAGE_CATEGORY, point_in

VERSIONS = "/api/v1/routing/versions"
GRID_MATTER = "other.unsorted"
NIGHT = {"opens": "22:00", "closes": "06:00"}


@pytest.fixture(scope="module")
async def admin(as_staff):
    return await as_staff("admin")


@pytest.fixture
async def draft(admin):
    """A new draft; given up after the test unless it was activated."""
    answer = await admin.post(VERSIONS, {"note": "试改"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    yield made
    now = (await admin.get(f"{VERSIONS}/{made['set_version']}")).json()
    if now["state"] == "draft":
        path = f"{VERSIONS}/{made['set_version']}/discard"
        assert (await admin.post(path, version=now["version"])).status_code == 200


async def change(admin, draft, **body):
    path = f"{VERSIONS}/{draft['set_version']}/rules"
    answer = await admin.post(path, body, version=draft["version"])
    assert answer.status_code == 200, answer.text
    return answer.json()


async def activate(hall, admin, draft):
    path = f"{VERSIONS}/{draft['set_version']}/activate"
    answer = await admin.post(path, version=draft["version"])
    assert answer.status_code == 200, answer.text
    active = answer.json()
    for _ in range(100):  # every process hears of it within two seconds
        if hall.app.state.reference.current.rules_version == active["set_version"]:
            return active
        await asyncio.sleep(0.02)
    raise AssertionError("nobody heard of it")


async def test_a_city_starts_with_one_active_version(admin):
    items = (await admin.get(VERSIONS)).json()["items"]
    first = items[-1]
    assert (first["set_version"], first["state"], first["state_text"]) == (1, "active", "生效中")
    page = (await admin.get(f"{VERSIONS}/1/rules?limit=2")).json()
    assert len(page["items"]) == 2
    rest = (await admin.get(f"{VERSIONS}/1/rules?after={page['next_after']}&limit=1")).json()
    assert rest["items"][0]["id"] > page["items"][1]["id"]


async def test_the_seeded_rules_have_no_fault_and_another_version_is_not_there(admin):
    found = (await admin.get("/api/v1/routing/conflicts")).json()
    # The small city has two of the twelve towns.
    assert {it["kind"] for it in found["items"]} == {"unknown"}
    answer = await admin.get(f"{VERSIONS}/999/conflicts")
    assert (answer.status_code, answer.json()["code"]) == (404, "rule_set_not_found")


async def test_a_draft_begins_with_the_rules_of_the_active_version(admin, draft):
    base = (await admin.get(f"{VERSIONS}/{draft['base_version']}")).json()
    assert (draft["state"], draft["rules"], draft["version"]) == ("draft", base["rules"], 1)


async def test_changes_name_the_revision_and_are_told_in_the_audit(admin, draft, db):
    rule = {"category_code": CATEGORY, "grid_code": TOWN, "unit_code": OTHER_UNIT}
    changed = await change(admin, draft, add=[rule])
    assert (changed["version"], changed["rules"]) == (2, draft["rules"] + 1)
    path = f"{VERSIONS}/{draft['set_version']}/rules"
    stale = await admin.post(path, {"rules": []}, version=1)
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")
    entry = (await audit.of_chain(db, chain_of("routing_rules")))[-1]
    assert entry.action == "change_routing_rules"
    assert entry.said()["added"] == [f"{CATEGORY}@{TOWN} -> {OTHER_UNIT} p=0"]
    assert entry.said()["removed"] == []


async def test_rules_and_changes_at_once_and_unknown_codes_are_refused(admin, draft):
    path = f"{VERSIONS}/{draft['set_version']}/rules"
    wrong = await admin.post(path, {"rules": [], "remove": [1]}, version=1)
    assert wrong.status_code == 422
    body = {"add": [{"unit_code": "nobody", "category_code": "sea"}]}
    wrong = await admin.post(path, body, version=1)
    assert wrong.json()["code"] == "routing_rules_invalid"
    assert [it["pointer"] for it in wrong.json()["errors"]] == [
        "/rules/0/category_code",
        "/rules/0/unit_code",
    ]


async def test_the_active_version_is_never_changed(admin):
    answer = await admin.post(f"{VERSIONS}/1/rules", {"rules": []}, version=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "rule_set_not_draft")


async def test_conflicts_of_a_draft_are_reported(admin, draft):
    rules = [
        {"category_code": CATEGORY, "unit_code": UNIT},
        {"category_code": CATEGORY, "unit_code": OTHER_UNIT},
    ]
    await change(admin, draft, rules=rules)
    found = (await admin.get(f"{VERSIONS}/{draft['set_version']}/conflicts")).json()
    assert [it["kind"] for it in found["items"]] == ["conflict", "unreachable"]
    assert not any(it["refused"] for it in found["items"])


async def test_a_faulty_draft_is_not_activated(admin, draft):
    changed = await change(admin, draft, rules=[{"unit_code": UNIT, "co_unit_codes": [UNIT]}])
    path = f"{VERSIONS}/{draft['set_version']}/activate"
    answer = await admin.post(path, version=changed["version"])
    assert (answer.status_code, answer.json()["code"]) == (409, "rule_set_faulty")
    assert answer.json()["faults"][0]["kind"] == "wrong"


async def test_a_dry_run_lists_what_would_move_and_changes_nothing(hall, admin, draft, submit, db):
    here = [await submit(location=point_in(GRID)) for _ in range(3)]
    other = await submit(location=point_in(GRID), category_code=VILLAGE_CATEGORY)
    rule = {"category_code": CATEGORY, "grid_code": TOWN, "unit_code": OTHER_UNIT}
    await change(admin, draft, add=[rule])
    path = f"{VERSIONS}/{draft['set_version']}/dry-run"
    first = (await admin.get(f"{path}?days=7&limit=2")).json()
    assert (first["moved"], first["against_version"]) == (3, draft["base_version"])
    assert first["examined"] >= 4
    [way] = first["ways"]
    assert (way["from_unit"]["code"], way["to_unit"]["code"], way["count"]) == (UNIT, OTHER_UNIT, 3)
    second = (await admin.get(f"{path}?days=7&limit=2&cursor={first['next_cursor']}")).json()
    assert (second["moved"], second["next_cursor"]) == (None, None)
    listed = [it["id"] for it in (*first["items"], *second["items"])]
    assert listed == [it["id"] for it in reversed(here)]
    assert other["id"] not in listed
    assert "text" not in first["items"][0]
    rows = await db.rows(_units_of(here))
    assert {row["unit_code"] for row in rows} == {UNIT}


def _units_of(requests):
    ids = ", ".join(f"'{it['id']}'" for it in requests)
    return Statement(f"SELECT unit_code FROM requests WHERE id IN ({ids})")


async def test_a_dry_run_looks_back_no_further_than_asked(admin, draft, clock, submit):
    rule = {"category_code": CATEGORY, "grid_code": TOWN, "unit_code": OTHER_UNIT}
    await change(admin, draft, add=[rule])
    clock.forward(days=40)
    path = f"{VERSIONS}/{draft['set_version']}/dry-run"
    assert (await admin.get(f"{path}?days=7")).json()["examined"] == 0
    bad = await admin.get(f"{path}?cursor=xx")
    assert (bad.status_code, bad.json()["code"]) == (422, "cursor_invalid")


async def test_an_activated_version_routes_the_next_request_with_kind_time_and_explanation(
    hall, admin, draft, submit, clock
):
    changed = await change(
        admin,
        draft,
        add=[
            {"category_code": CATEGORY, "unit_code": OTHER_UNIT, "kind": "report"},
            {"category_code": CATEGORY, "unit_code": "transport", "window": NIGHT},
        ],
    )
    await activate(hall, admin, changed)
    assert (await submit(location=point_in(GRID)))["unit"]["code"] == UNIT
    report = await submit(location=point_in(GRID), kind="report")
    assert report["unit"]["code"] == OTHER_UNIT
    assert [it["code"] for it in report["routing"]["reasons"]] == ["grid_by_point", "rule_matched"]
    assert report["routing"]["rule"] is not None
    clock.set(NOW + timedelta(hours=14))
    assert (await submit(location=point_in(GRID)))["unit"]["code"] == "transport"


async def test_a_draft_of_an_older_version_is_outdated(hall, admin, draft):
    other = (await admin.post(VERSIONS, {})).json()
    await activate(hall, admin, other)
    path = f"{VERSIONS}/{draft['set_version']}/activate"
    answer = await admin.post(path, version=draft["version"])
    assert (answer.status_code, answer.json()["code"]) == (409, "rule_set_outdated")


async def test_two_administrators_who_activate_at_once_are_one(admin, db):
    drafts = [(await admin.post(VERSIONS, {})).json() for _ in range(2)]
    paths = [f"{VERSIONS}/{it['set_version']}/activate" for it in drafts]
    answers = await asyncio.gather(*(admin.post(path, version=1) for path in paths))
    assert sorted(it.status_code for it in answers) == [200, 409]
    items = (await admin.get(VERSIONS)).json()["items"]
    assert [it["state"] for it in items].count("active") == 1


async def test_the_same_key_activates_once(hall, admin, draft):
    path = f"{VERSIONS}/{draft['set_version']}/activate"
    # Whatever became active meanwhile, the draft of this test was made from it.
    answers = [await admin.post(path, version=1, key="once-and-again") for _ in range(2)]
    assert [it.status_code for it in answers] == [200, 200]
    assert answers[0].content == answers[1].content


async def test_a_rule_may_have_other_units_do_parts_and_another_policy(
    hall, admin, draft, submit, as_staff, db
):
    rule = {
        "category_code": CATEGORY,
        "grid_code": GRID,
        "unit_code": UNIT,
        "co_unit_codes": [OTHER_UNIT],
        "policy_code": "urgent",
    }
    await activate(hall, admin, await change(admin, draft, add=[rule]))
    request = await submit(location=point_in(GRID))
    codes = [it["code"] for it in request["routing"]["reasons"]]
    assert codes == ["grid_by_point", "rule_matched", "co_units"]
    co_handler = await as_staff("handler", unit=OTHER_UNIT)
    seen = (await co_handler.get("/api/v1/requests?co=true")).json()["items"]
    assert request["id"] in {it["id"] for it in seen}
    connection = await asyncpg.connect(hall.db.url)
    try:
        row = await connection.fetchrow(
            "SELECT policy_code, open_co_tasks FROM requests WHERE id = $1::uuid", request["id"]
        )
        clock_row = await connection.fetchrow(
            "SELECT state FROM request_clocks WHERE request_id = $1::uuid AND metric = 'cotask'",
            request["id"],
        )
    finally:
        await connection.close()
    assert tuple(row) == ("urgent", 1)
    assert clock_row["state"] == "running"


async def test_the_grid_has_its_own_matters_first_and_then_the_unit_gets_them(
    hall, admin, draft, submit, clock, as_staff
):
    rule = {
        "category_code": GRID_MATTER,
        "grid_code": GRID,
        "unit_code": UNIT,
        "co_unit_codes": [OTHER_UNIT],
        "grid_first_minutes": 90,
    }
    await activate(hall, admin, await change(admin, draft, add=[rule]))
    request = await submit(location=point_in(GRID), category_code=GRID_MATTER)
    assert (request["state"], request["unit"]) == ("triage", None)
    assert request["routing"]["reasons"][-1]["code"] == "grid_first"
    await hall.work("release_grid_first")
    dispatcher = await as_staff("dispatcher")
    path = f"/api/v1/requests/{request['id']}"
    assert (await dispatcher.get(path)).json()["state"] == "triage"
    clock.forward(minutes=90)
    await hall.work("release_grid_first")
    after = (await dispatcher.get(path)).json()
    assert (after["state"], after["unit"]["code"]) == ("assigned", UNIT)
    assert after["routing"]["reasons"][-1]["code"] == "rule_matched"
    timeline = (await dispatcher.get(f"{path}/timeline")).json()["items"]
    assert (timeline[-1]["action"], timeline[-1]["actor_role"]) == ("assign", "system")
    assert timeline[-1]["facts"]["job"] == "release_grid_first"


async def test_what_the_grid_settled_in_time_never_reaches_the_unit(hall, submit, clock, as_staff):
    request = await submit(location=point_in(GRID), category_code=GRID_MATTER)
    leader = await as_staff("grid_leader")
    request = await hall.act(leader, request, "contact", method="visit", result="reached")
    request = await hall.act(
        leader, request, "settle", public_reply="已清理", solved="solved", factual=True
    )
    clock.forward(hours=2)
    await hall.work("release_grid_first")
    assert (await leader.get(f"/api/v1/requests/{request['id']}")).json()["state"] == "replied"


async def test_only_administrators_change_rules(as_staff, draft):
    dispatcher = await as_staff("dispatcher")
    assert (await dispatcher.get(VERSIONS)).status_code == 200
    assert (await dispatcher.post(VERSIONS, {})).status_code == 403
