"""What was published stays as it was; what is corrected stands beside it."""

import json
from datetime import UTC, datetime
from hashlib import sha256

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.audit_chain import chain_of
from app.domain.measures import CURRENT_WEIGHTS, DEFINITION_VERSION, Measure
from app.statistics import frozen, snapshots
from tests.audit.world import disarmed
from tests.city import REQUESTS, UNIT

SNAPSHOTS = "/api/v1/statistics/snapshots"
FIRST_KEY = "the-first"
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


@pytest.fixture(scope="module")
async def auditor(as_staff):
    return await as_staff("auditor")


@pytest.fixture(scope="module")
async def march(hall):
    """Seven requests of seven people in March; the clock stands in April."""
    before = hall.clock.now
    for _ in range(7):
        resident = await hall.as_resident()
        request = await hall.replied(resident)
        await hall.act(resident, request, "rate", contacted=True, solved="solved", satisfaction=5)
    late = await hall.submit()
    hall.clock.set("2026-04-02T09:00:00")
    yield late
    hall.clock.now = before


async def preview(caller, **asked):
    answer = await caller.get(f"{SNAPSHOTS}/preview", params={**MARCH, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def form(seen, **more):
    return {"title": "2026年3月", **MARCH, "hash": seen["hash"], **more}


async def published(caller, key=None, **more):
    options = {"key": key} if key else {}
    answer = await caller.post(SNAPSHOTS, form(await preview(caller), **more), **options)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture(scope="module")
async def first(march, auditor):
    return await published(auditor, FIRST_KEY)


def total(content, measure):
    [whole] = [table for table in content["tables"] if table["group_by"] == []]
    return whole["rows"][0]["figures"][measure]


async def test_a_publication_holds_figures_definitions_and_their_hash(first):
    content = first["content"]
    assert (first["revision"], first["revises"], first["intact"]) == (1, None, True)
    assert (total(content, "received")["num"], total(content, "received")["den"]) == (8, 8)
    assert total(content, "satisfied")["value"] == 1
    assert content["definition_version"] == DEFINITION_VERSION == first["definition_version"]
    assert content["definitions"].keys() == set(Measure)
    assert frozen.canonical(content).hash.hex() == first["hash"]
    tables = [table["group_by"] for table in content["tables"]]
    assert tables == [[], ["unit"], ["town"], ["category"]]
    [of_units] = [table for table in content["tables"] if table["group_by"] == ["unit"]]
    assert [row["names"] for row in of_units["rows"] if row["keys"] == [UNIT]] != [[UNIT]]


async def test_the_bytes_that_were_hashed_can_be_fetched(first, auditor):
    answer = await auditor.get(f"{SNAPSHOTS}/{first['id']}/content")
    assert sha256(answer.content).hexdigest() == first["hash"]
    assert answer.headers["etag"] == f'"{first["hash"]}"'


async def test_the_audit_is_told_in_the_same_transaction(first, db):
    async with db.transaction() as session:
        rows = await session.execute(
            text("SELECT action, facts FROM audit_entries WHERE chain = :chain"),
            {"chain": chain_of("snapshots")},
        )
        facts = [facts for action, facts in rows if action == "publish_figures"]
    assert [one["hash"] for one in facts if one["snapshot"] == first["id"]] == [first["hash"]]


async def test_the_same_sending_twice_publishes_once(first, auditor):
    answer = await auditor.post(SNAPSHOTS, form(first), key=FIRST_KEY)
    assert (answer.status_code, answer.json()) == (201, first)
    assert answer.headers["idempotent-replayed"] == "true"


async def test_a_period_is_published_once_but_for_corrections(first, auditor):
    seen = await preview(auditor)
    assert (seen["hash"], seen["revises"], seen["changes"]) == (first["hash"], first["id"], [])
    answer = await auditor.post(SNAPSHOTS, form(seen))
    assert (answer.status_code, answer.json()["code"]) == (409, "period_published")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"hash": "0" * 64}, 409, "figures_moved"),
        ({"reason": "更正"}, 422, "correction_unclear"),
        ({"title": "请联系 13800138000"}, 422, "text_contains_pii"),
        ({"from": "2026-04-01", "to": "2026-04-30"}, 422, "period_not_over"),
        ({"from": "2026-04-01", "to": "2026-03-01"}, 422, "query_range"),
    ],
)
async def test_what_cannot_be_published_is_refused(first, auditor, change, status, code):
    answer = await auditor.post(SNAPSHOTS, {**form(first), **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_nothing_new_is_no_correction(first, auditor):
    asked = form(first, revises=first["id"], reason="再发一次")
    answer = await auditor.post(SNAPSHOTS, asked)
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_corrected")


async def test_a_correction_is_a_revision_beside_it_that_says_what_how_much_and_why(
    march, first, hall, as_staff, auditor
):
    boss = await as_staff("supervisor")
    listed = (await auditor.get(REQUESTS, params={"limit": 100})).json()["items"]
    one = next(it["id"] for it in listed if it["id"] != march["id"])
    async with hall.db.transaction() as session:  # a figure moves after it was published
        await session.execute(
            text("UPDATE requests SET satisfaction = 1 WHERE id = :id"), {"id": one}
        )
    seen = await preview(boss)
    moved = {change["measure"] for change in seen["changes"]}
    assert {"satisfied", "satisfied_strict"} <= moved
    assert seen["revises"] == first["id"]
    second = await published(boss, revises=first["id"], reason="复核后更正一件评价")
    assert (second["revision"], second["revises"]) == (2, first["id"])

    told = (await auditor.get(f"{SNAPSHOTS}/{second['id']}/changes")).json()
    assert (told["before"]["id"], told["after"]["reason"]) == (first["id"], "复核后更正一件评价")
    [change] = [
        it for it in told["changes"] if it["measure"] == "satisfied" and it["group_by"] == []
    ]
    assert (change["was"]["num"], change["now"]["num"]) == (7, 6)
    assert change["difference"] == pytest.approx(6 / 7 - 1)
    assert (change["measure_name"], change["cause"]) == ("满意率", "data")

    again = (await auditor.get(f"{SNAPSHOTS}/{first['id']}")).json()
    assert again == first  # not over it
    revisions = (await auditor.get(f"{SNAPSHOTS}/{first['id']}/revisions")).json()["items"]
    assert [(it["revision"], it["changes"] > 0) for it in revisions] == [(1, False), (2, True)]
    listed = (await auditor.get(SNAPSHOTS)).json()["items"]
    assert [(it["id"], it["intact"]) for it in listed] == [(second["id"], True)]

    answer = await boss.post(
        SNAPSHOTS, form(await preview(boss), revises=first["id"], reason="更正第一版")
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "period_published")


async def test_only_revisions_of_one_period_are_compared(first, auditor):
    february = {"from": "2026-02-01", "to": "2026-02-28"}
    seen = await preview(auditor, **february)
    answer = await auditor.post(SNAPSHOTS, {**form(seen), **february})
    assert answer.status_code == 201
    path = f"{SNAPSHOTS}/{answer.json()['id']}/changes"
    answer = await auditor.get(path, params={"against": first["id"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "snapshot_periods_differ")


async def test_pages_of_the_list_join_up(first, auditor):
    page = (await auditor.get(SNAPSHOTS, params={"limit": 1})).json()
    rest = await auditor.get(SNAPSHOTS, params={"limit": 1, "cursor": page["next_cursor"]})
    assert rest.json()["items"][0]["id"] != page["items"][0]["id"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE figure_snapshots SET title = 'x'",
        "DELETE FROM figure_snapshots",
        "TRUNCATE figure_snapshots CASCADE",
    ],
)
async def test_the_database_refuses_to_change_what_was_published(first, db, statement):
    with pytest.raises(DBAPIError) as refused:
        async with db.transaction() as session:
            await session.execute(text(statement))
    assert getattr(refused.value.orig, "sqlstate", None) == "42501"


@pytest.mark.parametrize(
    "change",
    [
        "content = replace(content, '\"num\":8', '\"num\":9')",
        "content = content || ' ', hash = sha256(convert_to(content || ' ', 'UTF8'))",
        "until = until + interval '1 day'",
        "title = '另一个标题'",
    ],
)
async def test_what_was_altered_is_not_read_but_told(first, auditor, database_url, change):
    connection: asyncpg.Connection = await disarmed(database_url)
    kept = await connection.fetchrow(
        "SELECT content, hash, until, title FROM figure_snapshots WHERE id = $1", first["id"]
    )
    try:
        await connection.execute(f"UPDATE figure_snapshots SET {change} WHERE id = $1", first["id"])
        answer = await auditor.get(f"{SNAPSHOTS}/{first['id']}")
        assert (answer.status_code, answer.json()["code"]) == (409, "snapshot_altered")
    finally:
        await connection.execute(
            "UPDATE figure_snapshots SET content = $2, hash = $3, until = $4, title = $5"
            " WHERE id = $1",
            first["id"],
            *kept,
        )
        await connection.close()
    assert (await auditor.get(f"{SNAPSHOTS}/{first['id']}")).status_code == 200


# --- the canonical text --------------------------------------------------------------------------


def test_the_same_figures_have_the_same_text_whatever_their_order():
    one = frozen.canonical({"b": 1, "a": {"d": "汉字", "c": [0.1, None, True]}})
    other = frozen.canonical({"a": {"c": [0.1, None, True], "d": "汉字"}, "b": 1})
    assert one == other
    assert one.text == '{"a":{"c":[0.1,null,true],"d":"汉字"},"b":1}'
    assert json.loads(one.text) == one.content()
    assert one.hash == sha256(one.text.encode()).digest()


def test_a_figure_that_is_no_number_is_not_frozen():
    with pytest.raises(ValueError, match="JSON"):
        frozen.canonical({"value": float("nan")})


def _content(value, definition=None, keys=("a",)):
    cell = {"value": value, "suppressed": False}
    row = {"keys": list(keys), "names": ["甲"], "figures": {"received": cell}}
    return {
        "definitions": {"received": definition},
        "tables": [{"group_by": ["unit"], "rows": [row]}],
    }


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (_content(1), _content(1), []),
        (_content(1), _content(3), [("a", 2.0, False)]),
        (_content(1, "旧"), _content(2, "新"), [("a", 1.0, True)]),
        (_content(1, "旧"), _content(1, "新"), []),
        (_content(None), _content(2), [("a", None, False)]),
        (_content(1), _content(1, keys=("b",)), [("b", None, False), ("a", None, False)]),
    ],
)
def test_what_differs_is_told_by_figure(before, after, found):
    changes = frozen.changes(before, after)
    assert [(it.keys[0], it.difference, it.redefined) for it in changes] == found


def test_a_period_is_frozen_in_local_time():
    moment = datetime(2026, 2, 28, 16, tzinfo=UTC)
    made = frozen.freeze(moment, moment, [], name=lambda _, key: key or "", weights=CURRENT_WEIGHTS)
    assert made.content()["since"] == "2026-03-01T00:00:00+08:00"


async def test_counting_that_takes_too_long_is_given_up_and_says_when_to_come_back(
    auditor, monkeypatch
):
    monkeypatch.setattr(snapshots, "LONGEST_S", 0.0)
    answer = await auditor.get(f"{SNAPSHOTS}/preview", params=MARCH)
    assert (answer.status_code, answer.json()["code"]) == (503, "figures_not_ready")
    assert answer.headers["retry-after"] == "60"
    monkeypatch.undo()
    answer = await auditor.get(f"{SNAPSHOTS}/preview", params=MARCH)
    assert answer.status_code == 200
