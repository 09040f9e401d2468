"""The tree and the points over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from app.domain.geometry import to_bd09, to_gcj02
from app.grids import demo, endpoints, queries
from app.grids.schemas import POINTS_LIMIT, LocateIn
from app.people.models import AccountKind, LoginSession, Resident
from app.people.sessions import hash_of
from app.settings import Settings
from app.store.notices import Snapshot
from app.store.session import Database
from app.web import errors
from app.web.limits import RateLimiter

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
TOKEN = "a-resident-s-token"
GRID = "370281008603005"


@pytest.fixture(scope="module")
async def client(db: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with db.transaction() as session:
        resident = Resident(openid_index=b"i", openid_sealed=b"s", created_at=NOW)
        session.add(resident)
        await session.flush()
        session.add(
            LoginSession(
                token_hash=hash_of(TOKEN),
                kind=AccountKind.RESIDENT,
                account_id=resident.id,
                created_at=NOW,
                last_seen_at=NOW,
                expires_at=NOW + timedelta(days=7),
            )
        )
        await demo.seed(session, now=NOW)
    app = FastAPI()
    errors.install(app)
    app.include_router(endpoints.router)
    app.state.clock = _now
    snapshot = Snapshot(queries.TOPIC, queries.load)
    await snapshot.refresh(db)
    app.state.db, app.state.settings, app.state.grids = db, settings, snapshot
    app.state.limiter = RateLimiter()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://lianxin.test",
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:
        yield client


def _now() -> datetime:
    return NOW


def point(latitude: object, longitude: object, coord_sys: object = "wgs84") -> dict[str, object]:
    return {"latitude": latitude, "longitude": longitude, "coord_sys": coord_sys}


async def located(client: httpx.AsyncClient, *points: dict[str, object]) -> httpx.Response:
    return await client.post("/api/v1/grids/locate", json={"points": list(points)})


async def test_the_towns_are_the_roots(client):
    answer = (await client.get("/api/v1/grids")).json()
    assert [item["name"] for item in answer["items"]] == [
        "阜安街道",
        "中云街道",
        "三里河街道",
        "九龙街道",
        "胶东街道",
        "胶北街道",
        "胶西街道",
        "胶莱街道",
        "李哥庄镇",
        "铺集镇",
        "里岔镇",
        "洋河镇",
    ]
    assert answer["items"][0] == {
        "code": "370281001",
        "name": "阜安街道",
        "level": "town",
        "level_text": "镇街",
        "parent_code": None,
        "active": True,
        "child_count": 9,
        "path": [{"code": "370281001", "name": "阜安街道", "level": "town"}],
    }


async def test_the_children_of_a_place(client):
    children = (await client.get("/api/v1/grids", params={"parent": GRID[:12]})).json()["items"]
    assert len(children) > 15
    assert {child["parent_code"] for child in children} == {GRID[:12]}
    assert (await client.get("/api/v1/grids", params={"parent": GRID})).json() == {"items": []}


async def test_one_place_with_the_way_to_it(client):
    place = (await client.get(f"/api/v1/grids/{GRID}")).json()
    assert [step["code"] for step in place["path"]] == [GRID[:9], GRID[:12], GRID]
    assert (place["name"], place["level_text"]) == ("第5网格", "网格")


@pytest.mark.parametrize(
    "path", ["?parent=1", "?parent=", "/370281999", "/locate", "/%00", "/" + "9" * 300]
)
async def test_a_place_that_is_not_there_is_404(client, path):
    answer = await client.get(f"/api/v1/grids{path}")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_same_point_in_three_coordinate_systems_is_one_grid(client):
    spot = demo.demo_point(GRID)
    answer = await located(
        client,
        point(*spot),
        point(*to_gcj02(*spot), "gcj02"),
        point(*to_bd09(*spot), "bd09"),
    )
    assert answer.status_code == 200
    for item in answer.json()["items"]:
        assert item["grid"] == {"code": GRID, "name": "第5网格", "level": "grid"}
        assert [step["level"] for step in item["path"]] == ["town", "community", "grid"]
        assert (item["distance_m"], item["certain"]) == (0, True)


async def test_outside_is_said_in_the_order_of_the_question(client):
    beside = point(36.25, 119.63)
    while (await located(client, beside)).json()["items"][0]["certain"]:
        beside = point(36.25, beside["longitude"] - 0.001)
    answer = await located(client, point(51.5072, -0.1276), beside, point(*demo.demo_point(GRID)))
    far, near, inside = answer.json()["items"]
    assert far == {"grid": None, "path": [], "distance_m": None, "certain": False}
    assert near["grid"] is not None
    assert 0 < near["distance_m"] < 300
    assert not near["certain"]
    assert inside["certain"]


@pytest.mark.parametrize(
    ("wrong", "code", "pointer"),
    [
        (point("36.2", 120.0), "type_number", "/points/0/latitude"),
        (point(True, 120.0), "type_number", "/points/0/latitude"),
        (point(36.2, [120.0]), "type_number", "/points/0/longitude"),
        (point(118.77, 32.05), "coord_out_of_range", "/points/0/latitude"),
        (point(-90.0000001, 120.0), "coord_out_of_range", "/points/0/latitude"),
        (point(36.2, 180.5), "coord_out_of_range", "/points/0/longitude"),
        (point(36.2, 120.0, "BD-09"), "coord_unknown_crs", "/points/0/coord_sys"),
        (point(36.2, 120.0, "cgcs2000"), "coord_unknown_crs", "/points/0/coord_sys"),
        ({"latitude": 36.2, "longitude": 120.0}, "field_required", "/points/0/coord_sys"),
        ({**point(36.2, 120.0), "crs": "x"}, "field_unknown", "/points/0/crs"),
    ],
)
async def test_a_wrong_point_is_told(client, wrong, code, pointer):
    answer = await located(client, wrong)
    assert answer.status_code == 422
    assert [(error["code"], error["pointer"]) for error in answer.json()["errors"]] == [
        (code, pointer)
    ]


@pytest.mark.parametrize("latitude", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_without_an_end_are_refused(client, latitude):
    body = f'{{"points":[{{"latitude":{latitude},"longitude":120,"coord_sys":"wgs84"}}]}}'
    answer = await client.post(
        "/api/v1/grids/locate", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)


async def test_one_to_a_thousand_points_may_be_asked(client):
    many = [point(*demo.demo_point(GRID))] * POINTS_LIMIT
    assert len(LocateIn.model_validate({"points": many}).points) == 1_000
    assert len((await located(client, *many[:300])).json()["items"]) == 300
    assert (await located(client, *many, many[0])).status_code == 422
    assert (await located(client)).json()["errors"][0]["code"] == "list_too_short"


async def test_without_a_log_in_nothing_is_told(client):
    answer = await client.get("/api/v1/grids", headers={"Authorization": ""})
    assert answer.status_code == 401
