from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from app.domain.identity import Role
from app.people import service as people
from app.people.models import AccountKind, LoginSession
from app.people.service import NewStaff
from app.people.sessions import hash_of, new_token
from app.reference import endpoints, queries
from app.reference.models import CategoryRow, UnitRow
from app.reference.seeds import seed
from app.settings import Settings
from app.store.notices import Snapshot
from app.store.session import Database
from app.web import errors
from app.web.limits import RateLimiter

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
async def app(db: Database, settings: Settings) -> FastAPI:
    """An app with only the reference's routes, over a seeded city."""
    async with db.transaction() as session:
        await seed(session, now=NOW)
        await session.execute(
            update(CategoryRow).where(CategoryRow.code == "wish").values(active=False)
        )
        await session.execute(update(UnitRow).where(UnitRow.code == "culture").values(active=False))
    app = FastAPI()
    errors.install(app)
    app.include_router(endpoints.router)
    app.state.db, app.state.settings, app.state.limiter = db, settings, RateLimiter()
    app.state.reference = Snapshot(queries.TOPIC, queries.load)
    await app.state.reference.refresh(db)
    app.state.clock = lambda: NOW
    return app


def client_of(app: FastAPI, token: str | None = None) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://lianxin.test", headers=headers)


async def token_of(db: Database, role: Role) -> str:
    token = new_token()
    async with db.transaction() as session:
        new = NewStaff(f"{role}-{token[:6].lower().replace('_', '-')}", "某人", role)
        account_id = await people.create_staff(session, new, now=NOW)
        session.add(
            LoginSession(
                token_hash=hash_of(token),
                kind=AccountKind.STAFF,
                account_id=account_id,
                created_at=NOW,
                expires_at=NOW + timedelta(hours=1),
                last_seen_at=NOW,
            )
        )
    return token


@pytest.fixture
async def anybody(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def dispatcher(app: FastAPI, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, await token_of(db, Role.DISPATCHER)) as client:
        yield client


@pytest.fixture
async def admin(app: FastAPI, db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, await token_of(db, Role.ADMIN)) as client:
        yield client


async def test_anybody_reads_the_tree_of_categories(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.get("/api/v1/categories")
    assert answer.status_code == 200
    roots = answer.json()["items"]
    assert [root["code"] for root in roots][:3] == ["env", "road", "utility"]
    assert "wish" not in {root["code"] for root in roots}  # switched off
    road = roots[1]
    assert road["children"][0] == {
        "code": "road.damage",
        "name": "道路破损",
        "gb_code": "06013",
        "default_unit_code": "transport",
        "policy_code": "default",
        "children": [],
    }
    tourism = next(
        leaf for root in roots for leaf in root["children"] if leaf["code"] == "policy.tourism"
    )
    assert tourism["default_unit_code"] is None  # that unit is switched off


async def test_the_dictionaries_name_every_word_in_chinese(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.get("/api/v1/dictionaries")
    assert answer.status_code == 200
    words = answer.json()
    assert words["kinds"][2] == {"code": "complaint", "text": "投诉"}
    assert {"code": "gcj02", "text": "GCJ-02（微信、腾讯、高德）"} in words["coord_systems"]
    assert [word["code"] for word in words["contact_methods"]] == ["phone", "visit", "message"]
    assert {"code": "in_progress", "text": "办理中"} in words["states"]
    assert {"code": "5", "text": "非常满意"} in words["satisfaction"]
    assert "system" not in {word["code"] for word in words["roles"]}
    assert all(word["text"] for table in words.values() for word in table)


@pytest.mark.parametrize("path", ["/api/v1/dictionaries", "/api/v1/categories"])
async def test_what_is_known_already_is_not_sent_again(
    anybody: httpx.AsyncClient, path: str
) -> None:
    first = await anybody.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await anybody.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    other = await anybody.get(path, headers={"if-none-match": '"other"'})
    assert other.status_code == 200
    assert other.content == first.content


@pytest.mark.parametrize("path", ["units", "policies", "calendars"])
async def test_the_rest_needs_a_log_in(anybody: httpx.AsyncClient, path: str) -> None:
    answer = await anybody.get(f"/api/v1/{path}")
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


async def test_units_are_listed_without_those_switched_off(dispatcher: httpx.AsyncClient) -> None:
    units = (await dispatcher.get("/api/v1/units")).json()["items"]
    assert units[0] == {
        "code": "housing",
        "name": "胶州市住房和城乡建设局",
        "kind": "city_department",
        "kind_text": "市直部门",
        "grid_code": None,
    }
    assert "culture" not in {unit["code"] for unit in units}
    assert units[-1]["grid_code"] == "370281111"


async def test_policies_say_what_is_promised(dispatcher: httpx.AsyncClient) -> None:
    policies = (await dispatcher.get("/api/v1/policies")).json()["items"]
    assert [policy["code"] for policy in policies] == ["default", "urgent"]
    default = policies[0]
    assert (default["contact_minutes"], default["reply_days"]) == (360, 5)
    assert (default["contact_mode"], default["reply_mode"]) == ("natural", "end_of_day")


async def test_the_calendar_says_what_it_covers(dispatcher: httpx.AsyncClient) -> None:
    calendar = (await dispatcher.get("/api/v1/calendars")).json()
    assert calendar["version"] == 1
    assert calendar["published_at"] == "2026-11-20T10:00:00+08:00"
    assert (calendar["coverage_from"], calendar["coverage_to"]) == ("2019-01-01", "2026-12-31")
    assert calendar["weekly_frames"][0] == [
        {"opens": "08:30", "closes": "12:00"},
        {"opens": "13:30", "closes": "17:30"},
    ]
    assert calendar["weekly_frames"][6] == []
    assert "2026-02-14" in calendar["work_days"]
    assert "2026-02-16" in calendar["off_days"]


async def test_the_simulator_answers_in_the_order_asked(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(
        "/api/v1/calendars/simulate",
        json={
            "submitted_at": [
                "2026-12-31T10:00:00+08:00",
                "2026-02-13T09:00:00Z",
                "2026-09-19T23:59:59.999999+08:00",
            ]
        },
    )
    assert answer.status_code == 200
    assert answer.json()["items"] == [
        {
            "submitted_at": "2026-12-31T10:00:00+08:00",
            "contact_due_at": "2026-12-31T16:00:00+08:00",
            "reply_due_at": "2027-01-08T00:00:00+08:00",
            "provisional": True,
        },
        {
            "submitted_at": "2026-02-13T17:00:00+08:00",
            "contact_due_at": "2026-02-13T23:00:00+08:00",
            "reply_due_at": "2026-02-28T00:00:00+08:00",
            "provisional": False,
        },
        {
            "submitted_at": "2026-09-19T23:59:59.999999+08:00",
            "contact_due_at": "2026-09-20T05:59:59.999999+08:00",
            "reply_due_at": "2026-09-25T00:00:00+08:00",
            "provisional": False,
        },
    ]


async def test_the_simulator_takes_a_thousand_instants_and_a_policy(
    admin: httpx.AsyncClient,
) -> None:
    answer = await admin.post(
        "/api/v1/calendars/simulate",
        json={"submitted_at": ["2026-11-20T10:00:00+08:00"] * 1_000, "policy_code": "urgent"},
    )
    items = answer.json()["items"]
    assert len(items) == 1_000
    assert {item["reply_due_at"] for item in items} == {"2026-11-24T00:00:00+08:00"}


@pytest.mark.parametrize("instant", ["1990-01-01T00:00:00+14:00", "2100-12-31T23:59:59-12:00"])
async def test_the_furthest_instants_get_a_provisional_answer(
    admin: httpx.AsyncClient, instant: str
) -> None:
    answer = await admin.post("/api/v1/calendars/simulate", json={"submitted_at": [instant]})
    assert answer.status_code == 200
    assert answer.json()["items"][0]["provisional"] is True


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, None),
        ({"submitted_at": []}, None),
        ({"submitted_at": ["2026-11-20T10:00:00+08:00"] * 1_001}, None),
        ({"submitted_at": "2026-11-20T10:00:00+08:00"}, None),
        ({"submitted_at": ["2026-11-20T10:00:00"]}, None),
        ({"submitted_at": ["2026-02-30T10:00:00+08:00"]}, None),
        ({"submitted_at": ["0001-01-01T00:00:00+00:00"]}, None),
        ({"submitted_at": [1_763_600_000]}, None),
        ({"submitted_at": [None]}, None),
        ({"submitted_at": ["2026-11-20T10:00:00+08:00"], "other": 1}, None),
        ({"submitted_at": ["2026-11-20T10:00:00+08:00"], "policy_code": "no"}, "policy_unknown"),
        ({"submitted_at": ["2026-11-20T10:00:00+08:00"], "policy_code": ""}, None),
        ({"submitted_at": ["2026-11-20T10:00:00+08:00"], "policy_code": "\u0000"}, None),
    ],
)
async def test_the_simulator_refuses_what_is_not_an_instant(
    admin: httpx.AsyncClient, body: dict[str, Any], code: str | None
) -> None:
    answer = await admin.post("/api/v1/calendars/simulate", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    if code is not None:
        assert answer.json()["code"] == code


async def test_only_an_administrator_may_simulate(
    dispatcher: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    body = {"submitted_at": ["2026-11-20T10:00:00+08:00"]}
    assert (await dispatcher.post("/api/v1/calendars/simulate", json=body)).status_code == 403
    assert (await anybody.post("/api/v1/calendars/simulate", json=body)).status_code == 401
