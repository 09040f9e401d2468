"""Imports, audits and older units over HTTP, by administrators."""

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from app.domain.coverage import Dwelling
from app.grids.administration import UPLOAD_BYTES
from app.grids.models import GridImportRow, GridRow
from tests.city import Caller, CityHall
from tests.grids.shapes import document, feature, square
from tests.grids.test_shapefiles import made, ring, zipped

IMPORTS = "/api/v1/grids/imports"
GEOJSON = "application/geo+json"
# A town of its own, east of those of the demo city, with one community of four grids.
NEW, EAST = "370281990", 120.25
COMMUNITY = f"{NEW}601"
GRIDS = [f"{COMMUNITY}00{number}" for number in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
async def admin(hall: CityHall) -> Caller:
    return await hall.as_staff("admin")


def body(*features: Any) -> bytes:
    return json.dumps(document(*features), ensure_ascii=False).encode()


async def bring(
    admin: Caller,
    content: bytes,
    level: str = "town",
    kind: str = GEOJSON,
    crs: str = "wgs84",
    **options: Any,
):
    key = {"key": options.pop("key")} if "key" in options else {}
    return await admin.post(
        IMPORTS,
        content=content,
        params={"level": level, "crs": crs, **options},
        headers={"Content-Type": kind},
        **key,
    )


async def step(admin: Caller, shown: dict, name: str, **options: Any):
    path = f"{IMPORTS}/{shown['id']}/{name}"
    return await admin.post(path, version=options.pop("version", shown["version"]), **options)


def town(side: float = 0.01) -> dict:
    return feature(NEW, square(EAST, 36.2, side), name="新镇")


def strip(code: str, first: float, last: float) -> dict:
    """From the ``first`` to the ``last`` step of 0.004° eastwards."""
    west, east = EAST + first * 0.004, EAST + last * 0.004
    ring = [[west, 36.2], [east, 36.2], [east, 36.21], [west, 36.21], [west, 36.2]]
    return feature(code, [ring], name=f"第{int(code[-3:])}处")


async def applied(admin: Caller, content: bytes, level: str) -> None:
    shown = (await bring(admin, content, level)).json()
    assert (await step(admin, shown, "apply")).status_code == 200


async def test_from_preview_to_roll_back(admin, db):
    answer = await bring(admin, body(town()))
    assert answer.status_code == 201
    shown = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert (shown["state"], shown["state_text"], shown["added"]) == ("prepared", "已预览", 1)
    (item,) = shown["items"]
    assert (item["code"], item["change_text"], item["name_before"]) == (NEW, "新增", None)
    assert item["area_after_m2"] == pytest.approx(997_800, rel=1e-3)
    assert (await admin.get(f"/api/v1/grids/{NEW}")).status_code == 404
    async with db.sessions() as session:
        assert await session.get(GridRow, NEW) is None

    done = (await step(admin, shown, "apply")).json()
    assert (done["state"], done["version"]) == ("applied", 2)
    async with db.sessions() as session:
        assert (await session.get_one(GridRow, NEW)).active

    larger = (await bring(admin, body(town(0.015)))).json()
    (item,) = larger["items"]
    assert item["area_change_m2"] == pytest.approx(1.25 * 997_800, rel=1e-3)
    assert item["moved_m2"] == pytest.approx(item["area_change_m2"])
    done = (await step(admin, larger, "apply")).json()
    undone = (await step(admin, done, "rollback")).json()
    assert (undone["state_text"], undone["version"]) == ("已撤回", 3)
    same = (await bring(admin, body(town()))).json()
    assert (same["unchanged"], same["items"]) == (1, [])
    answer = await step(admin, same, "apply")
    assert (answer.status_code, answer.json()["code"]) == (409, "grid_import_unchanged")


async def test_a_step_is_taken_once_however_often_it_is_asked(admin, db):
    first = await bring(admin, body(town(0.012)), key="the-same")
    again = await bring(admin, body(town(0.012)), key="the-same")
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    other = await bring(admin, body(town(0.013)), key="the-same")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    shown = first.json()
    assert (await step(admin, shown, "apply", version=9)).status_code == 412
    done = [await step(admin, shown, "apply", key="once") for _ in range(2)]
    assert [answer.status_code for answer in done] == [200, 200]
    assert done[0].content == done[1].content
    assert (await step(admin, shown, "apply")).status_code == 412
    answer = await step(admin, done[0].json(), "apply")
    assert (answer.status_code, answer.json()["code"]) == (409, "grid_import_state")


async def test_an_import_can_be_read_page_by_page(admin):
    many = [
        feature(f"3702819{at:02}", square(EAST, 36.2 + at / 100), name=f"镇{at}")
        for at in range(10, 20)
    ]
    shown = (await bring(admin, body(*many))).json()
    path = f"{IMPORTS}/{shown['id']}"
    first = (await admin.get(path, params={"limit": 6})).json()
    rest = (await admin.get(path, params={"limit": 6, "cursor": first["next_cursor"]})).json()
    assert [item["code"] for item in first["items"] + rest["items"]] == [
        f"3702819{at:02}" for at in range(10, 20)
    ]
    assert rest["next_cursor"] is None
    listed = (await admin.get(IMPORTS)).json()["items"]
    assert listed[0]["id"] == shown["id"]
    assert "items" not in listed[0]


async def test_shapefiles_and_lists_are_taken_too(admin):
    parts = made((NEW, "新镇", ring(EAST, 36.2, 0.014)), encoding="gb18030")
    shown = (await bring(admin, zipped(parts), kind="application/zip")).json()
    assert [item["name"] for item in shown["items"]] == ["新镇"]
    listed = "code,name\n370281991,甲镇\n".encode("gb18030")
    shown = (await bring(admin, listed, kind="text/csv; charset=gb18030")).json()
    assert [item["area_after_m2"] for item in shown["items"]] == [None]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", GEOJSON, "不是正确的 JSON"),
        (b"{", GEOJSON, "第1行附近"),
        (b"\xff\xfe", GEOJSON, "不是 UTF-8"),
        (b"[" * 100_000, GEOJSON, "不是正确的 JSON"),
        (b"{}", "application/json", "FeatureCollection"),
        (body(town()).replace(b"120.25,", b"NaN,"), GEOJSON, "不是有限的经纬度数值"),
        (body(town()).replace(b"120.25,", b"-Infinity,"), GEOJSON, "不是有限的经纬度数值"),
        (body(town(), town()), GEOJSON, "第2个要素（370281990 新镇）：编码与第1个要素重复"),
        (b"PK", "application/zip", "ZIP"),
        (b"a,b\n1,2\n", "text/csv", "表头缺少：code、name"),
        (b'code,name\n"37', "text/csv", "不是正确的 CSV"),
    ],
)
async def test_a_bad_file_is_named_and_leaves_no_trace(admin, db, content, kind, said):
    async with db.sessions() as session:
        before = await session.scalar(select(func.count()).select_from(GridImportRow))
    answer = await bring(admin, content, kind=kind)
    assert answer.status_code == 422
    assert answer.json()["code"] == "geojson_invalid"
    assert said in answer.json()["detail"]
    async with db.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(GridImportRow)) == before


async def test_what_is_too_large_is_refused_at_the_door(admin):
    answer = await bring(admin, b" " * (UPLOAD_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    answer = await bring(admin, b"<gml/>", kind="application/gml+xml")
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")


@pytest.mark.parametrize(
    "options", [{"level": "village"}, {"crs": "epsg:4326"}, {"sure": "perhaps"}, {"apply": "true"}]
)
async def test_what_is_said_about_a_file_must_be_known(admin, options):
    assert (await bring(admin, body(town()), **options)).status_code == 422


async def test_the_audit_of_a_town_with_the_geometry_of_each_fault(admin, hall, db, app):
    await applied(admin, body(strip(NEW, 0, 4)), "town")
    await applied(admin, body(strip(COMMUNITY, 0, 4)), "community")
    four = [strip(code, place, place + 1) for place, code in enumerate(GRIDS)]
    await applied(admin, body(*four), "grid")
    await app.state.grids.refresh(db)
    clean = (await admin.get("/api/v1/grids/audit", params={"parent": COMMUNITY})).json()
    assert (clean["total"], clean["places_examined"]) == (0, 4)

    await applied(admin, body(strip(GRIDS[0], 0, 0.9), strip(GRIDS[1], 1, 2.1)), "grid")
    await app.state.grids.refresh(db)
    asked = {"parent": COMMUNITY, "limit": "1"}
    first = (await admin.get("/api/v1/grids/audit", params=asked)).json()
    second = (await admin.get("/api/v1/grids/audit", params={**asked, "cursor": "1"})).json()
    assert (first["total"], first["next_cursor"], second["next_cursor"]) == (2, "1", None)
    faults = [*first["items"], *second["items"]]
    assert {fault["kind"]: fault["codes"] for fault in faults} == {
        "gap": GRIDS[:2],
        "overlap": GRIDS[1:3],
    }
    for fault in faults:
        assert fault["geometry"]["type"] == "Polygon"
        assert fault["area_m2"] == pytest.approx(0.04 * 997_800, rel=1e-3)
    assert first["gap_m2"] == pytest.approx(first["overlap_m2"], rel=1e-3)
    assert not first["dwellings_known"]


async def test_houses_are_compared_where_the_city_has_a_register(admin, app):
    async def dwellings_of(_session, parent):
        assert parent == COMMUNITY
        return [Dwelling("a house", 36.205, EAST + 2.05 * 0.004)]

    before, app.state.dwellings_of = app.state.dwellings_of, dwellings_of
    try:
        asked = {"parent": COMMUNITY}
        found = (await admin.get("/api/v1/grids/audit", params=asked)).json()
    finally:
        app.state.dwellings_of = before
    assert (found["dwellings_known"], found["dwellings_misplaced"]) == (True, 1)
    assert "a house" in {item["id"] for item in found["items"]}
    assert found["load_warnings"] == 4


async def test_what_is_not_there_is_404(admin):
    for path in ("/api/v1/grids/audit?parent=370281888", "/api/v1/grids/370281888/versions",
                 f"{IMPORTS}/01980000-0000-7000-8000-000000000000"):  # fmt: skip
        assert (await admin.get(path)).status_code == 404
    for query in ("parent=x", "cursor=0", "cursor=x", "limit=101", "deep=2"):
        assert (await admin.get(f"/api/v1/grids/audit?{query}")).status_code == 422


async def test_what_a_place_was_is_open_to_all(admin, hall):
    resident = await hall.as_resident()
    versions = (await resident.get(f"/api/v1/grids/{GRIDS[0]}/versions")).json()["items"]
    assert [one["valid_to"] is None for one in versions] == [True, False]
    assert versions[0]["area_m2"] < versions[1]["area_m2"]
    units = (await resident.get("/api/v1/grids/legacy-units", params={"grid": NEW})).json()
    assert units == {"items": [], "next_cursor": None}


async def test_others_may_not_change_the_grids(hall):
    for role in ("dispatcher", "supervisor", "auditor", "grid_leader"):
        answer = await bring(await hall.as_staff(role), body(town()))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
