"""Who sees figures only counts no hidden cell by reading lists, pages and files line by line."""

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import insert

from app.domain.identity import SYSTEM
from app.requests.models import CitizenRequest
from app.store.base import new_id
from app.store.session import Statement
from tests.city import CHINA, REQUESTS

STATISTICS = "/api/v1/statistics"
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}
FACETS = ("unit_code", "category_code", "kind", "channel", "grid_code")
# unit, category, how many, how many of them rated; everybody asks once
ASKED = (
    ("housing", "road.lamp", 12, 9),
    ("housing", "road.hole", 8, 6),
    ("water", "road.lamp", 10, 7),
    ("water", "env.garbage", 9, 2),
    ("power_company", "road.lamp", 9, 1),
    ("t-370281001", "road.hole", 3, 3),
    ("t-370281001", "env.garbage", 1, 0),
)


@pytest.fixture(scope="module")
async def march(hall):
    """A month of requests, some units and categories with hardly any; the clock stands in April."""
    numbers = count()
    at = datetime(2026, 3, 10, 9, tzinfo=CHINA)
    made = [
        {
            "id": new_id(),
            "number": f"F{next(numbers):06}",
            "version": 1,
            "state": "closed",
            "text": "路灯不亮",
            "category_code": category,
            "channel": "mini_program",
            "kind": "help",
            "confidential": False,
            "public": False,
            "resident_id": new_id(),
            "submitted_by": SYSTEM.id,
            "grid_code": "370281001601001",
            "grid_certain": True,
            "unit_code": unit,
            "routing": {"rule": None, "reasons": []},
            "policy_code": "default",
            "policy_version": 1,
            "calendar_version": 1,
            "submitted_at": at,
            "contact_due_at": at + timedelta(hours=6),
            "contacted_at": at + timedelta(hours=1),
            "reply_due_at": at + timedelta(days=7),
            "provisional": False,
            "replied_at": at + timedelta(days=2),
            "ended_at": at + timedelta(days=3),
            "satisfaction": 4 if one < rated else None,
        }
        for unit, category, many, rated in ASKED
        for one in range(many)
    ]
    before = hall.clock.now
    async with hall.db.transaction() as session:
        await session.execute(insert(CitizenRequest), made)
    hall.clock.set("2026-04-02T09:00:00")
    yield {row["number"]: row for row in made}
    hall.clock.now = before


@pytest.fixture(scope="module")
async def boss(as_staff):
    return await as_staff("supervisor")


@pytest.fixture(scope="module")
async def auditor(as_staff):
    return await as_staff("auditor")


async def listed(caller, **params):
    answer = await caller.get(f"{STATISTICS}/requests", params={**MARCH, "limit": 100, **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def told(caller, measure, group_by):
    params = {"measure": measure, "group_by": group_by, **MARCH}
    answer = await caller.get(STATISTICS, params=params)
    assert answer.status_code == 200, answer.text
    return {
        tuple(row["keys"]): row["figures"][measure]
        for row in (*answer.json()["subtotals"], *answer.json()["groups"])
    }


async def test_a_line_says_of_its_facets_what_the_question_said(march, boss, auditor):
    for params, named in (
        ({}, set()),
        ({"unit": "housing"}, {"unit_code"}),
        ({"group_by": "unit", "key": "water"}, {"unit_code"}),
        ({"group_by": "unit"}, set()),
        ({"group_by": "category_leaf", "key": "road.lamp"}, {"category_code"}),
        ({"group_by": "category", "key": "road"}, set()),
        ({"group_by": "town", "key": "370281001"}, set()),
        ({"kind": "help", "channel": "mini_program"}, {"kind", "channel"}),
    ):
        page = await listed(auditor, **params)
        assert page["items"], params
        for line in page["items"]:
            row = march[line["number"]]
            for facet in FACETS:
                assert line[facet] == (row[facet] if facet in named else None), (params, facet)
            assert (line["unit_name"] is None) == ("unit_code" not in named)
        seen = await listed(boss, **params)
        assert [it["number"] for it in seen["items"]] == [it["number"] for it in page["items"]]
        assert all(line[facet] for line in seen["items"] for facet in FACETS)


async def test_who_opens_a_list_and_sees_figures_only_is_told_of_in_the_audit(
    march, hall, as_staff
):
    looked = Statement(
        "SELECT actor_id, facts FROM audit_entries WHERE chain = :id AND action = 'open_figure'"
    )
    for role, number in (("admin", 1), ("supervisor", 0)):
        caller = await as_staff(role, number=2)
        assert (await listed(caller, unit="housing", part="den"))["items"]
        found = await hall.db.rows(looked, id=caller.id)
        assert len(found) == number
        for entry in found:
            facts = json.loads(entry["facts"])
            assert entry["actor_id"] == caller.id
            assert (facts["measure"], facts["part"]) == ("received", "den")
            assert facts["filters"] == {"unit": "housing"}


async def test_a_page_and_a_list_of_requests_name_no_facet_to_who_asked_for_none(march, auditor):
    items = (await auditor.get(REQUESTS, params={"limit": 100})).json()["items"]
    assert len(items) == len(march)
    page = (await auditor.get(f"{REQUESTS}/{items[0]['id']}")).json()
    for view in (*items, page):
        names = ("unit", "category", "grid", "kind", "kind_text", "channel")
        assert all(view[name] is None for name in names)
    assert page["routing"] == {"rule": None, "reasons": []}


@pytest.mark.parametrize("role", ["auditor", "admin"])
@pytest.mark.parametrize(
    "narrowing", [{"unit": "housing"}, {"grid": "370281001"}, {"category": "road"}], ids=str
)
async def test_requests_are_not_narrowed_past_the_figures(march, as_staff, boss, role, narrowing):
    answer = await (await as_staff(role)).get(REQUESTS, params=narrowing)
    assert (answer.status_code, answer.json()["code"]) == (403, "list_narrowing_forbidden")
    assert (await boss.get(REQUESTS, params=narrowing)).status_code == 200


async def exported(hall, caller, **more):
    body = {"format": "json", **MARCH, **more}
    answer = await caller.post(f"{STATISTICS}/exports", body)
    assert answer.status_code == 201, answer.text
    await hall.work("run_exports")
    export = (await caller.get(f"{STATISTICS}/exports/{answer.json()['id']}")).json()
    assert export["state"] == "done", export
    return json.loads((await hall.client.get(export["download_path"])).content)["detail"]


async def test_the_detail_of_a_file_names_what_its_table_tells_and_adds_up(march, hall, auditor):
    for measure, group_by, depth in (
        ("received", ["unit"], 1),
        ("satisfied", ["unit"], 1),
        ("received", ["unit", "category_leaf"], 2),
    ):
        detail = await exported(hall, auditor, measures=[measure], group_by=group_by)
        cells = await told(auditor, measure, group_by)
        assert any(cell["suppressed"] for cell in cells.values())
        counted: Counter = Counter()
        for line in detail:
            if line[f"in_{measure}"] != "不计入":
                counted[(line["unit_code"], line["category_code"])[:depth]] += 1
        for keys, cell in cells.items():
            found = sum(n for key, n in counted.items() if key[: len(keys)] == keys)
            assert found == (0 if cell["suppressed"] else cell["den"]), (group_by, keys)
        nameless = sum(n for key, n in counted.items() if None in key)
        assert nameless >= 5  # everybody asked once


async def test_what_one_figure_hides_the_detail_of_two_figures_hides(march, hall, auditor):
    """Else the lines that one figure names would be counted for the other."""
    received = await told(auditor, "received", ["unit"])
    satisfied = await told(auditor, "satisfied", ["unit"])
    only_one = {
        keys[0] for keys in received
        if not received[keys]["suppressed"] and satisfied[keys]["suppressed"]
    }  # fmt: skip
    assert only_one
    both = await exported(hall, auditor, measures=["received", "satisfied"], group_by=["unit"])
    assert not only_one & {line["unit_code"] for line in both}
    assert {line["category_code"] for line in both} == {None}
    assert {line["grid_code"] for line in both} == {None}


async def test_who_reads_the_requests_anyway_has_them_named(march, hall, boss):
    detail = await exported(hall, boss, measures=["received"], group_by=["unit"])
    assert Counter(line["unit_code"] for line in detail) == Counter(
        row["unit_code"] for row in march.values()
    )
