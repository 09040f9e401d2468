"""Every error is the same shape and never repeats the input."""

from pathlib import Path

import pytest
from sqlalchemy import text

from app.settings import DatabaseSettings, Settings
from app.store.session import Database
from app.web import error_list
from tests.web import small

MEMBERS = ["type", "title", "status", "code", "detail", "request_id", "errors"]
DOCS = Path(__file__).parents[2] / "docs" / "errors.md"


async def test_a_wrong_field_is_pointed_at_and_not_repeated() -> None:
    async with small.client(small.build()) as client:
        answer = await client.post(
            "/api/v1/notes",
            json={"text": 13800138000, "number": "秘密", "at": "x", "密码 13800138000": 1},
        )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert "13800138000" not in answer.text
    assert "秘密" not in answer.text
    assert [name for name in MEMBERS if name in problem] == list(problem)
    assert (problem["code"], problem["status"]) == ("invalid_input", 422)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [
        ("/text", "type_string"),
        ("/number", "type_integer"),
        ("/at", "time_invalid"),
        ("/…", "field_unknown"),
    ]


async def test_a_missing_field_is_pointed_at() -> None:
    async with small.client(small.build()) as client:
        answer = await client.post("/api/v1/notes", json={})
    (error,) = answer.json()["errors"]
    assert error == {"pointer": "/text", "code": "field_required", "message": "此项必填"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/.env", 404, "not_found"),
        ("GET", "/api/v1/notes/", 404, "not_found"),
        ("PUT", "/api/v1/notes", 405, "http_method"),
        ("TRACE", "/api/v1/notes", 405, "http_method"),
        ("GET", "/api/v1/notes/faults/stale", 412, "stale_version"),
    ],
)
async def test_errors_of_the_framework_have_our_shape(
    method: str, path: str, status: int, code: str
) -> None:
    async with small.client(small.build()) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_refused_method_is_told_which_ones_there_are() -> None:
    async with small.client(small.build()) as client:
        assert (await client.delete("/api/v1/notes")).headers["allow"] == "GET, POST"
        assert (await client.post("/health/live")).headers["allow"] == "GET, HEAD"


async def test_who_comes_too_often_is_told_how_long_to_wait() -> None:
    async with small.client(small.build()) as client:
        answer = await client.get("/api/v1/notes/faults/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")


async def test_facts_stand_beside_the_rest_and_replace_nothing() -> None:
    async with small.client(small.build()) as client:
        problem = (await client.get("/api/v1/notes/faults/facts")).json()
    assert list(problem) == [*MEMBERS, "allowed"]
    assert (problem["status"], problem["allowed"]) == (409, ["sign"])
    assert problem["errors"] == [{"pointer": "/a", "code": "b", "message": "丙"}]


@pytest.mark.parametrize("road", ["query", "session"])
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("zero_byte", 422, "value_refused"),
        ("not_a_number", 422, "value_refused"),
        ("too_big", 422, "value_refused"),
        ("unique", 409, "already_exists"),
        ("foreign", 409, "reference_missing"),
        ("check", 409, "rule_broken"),
        ("serial", 503, "unavailable"),
        ("deadlock", 503, "unavailable"),
        ("lock", 503, "unavailable"),
        ("cancelled", 503, "unavailable"),
        ("full", 503, "unavailable"),
        ("killed", 503, "unavailable"),
        ("syntax", 500, "internal"),
    ],
)
async def test_database_errors_are_told_apart_by_sqlstate(
    settings: Settings, db: Database, road: str, name: str, status: int, code: str
) -> None:
    async with small.client(small.build(settings, db)) as client:
        answer = await client.get(f"/api/v1/notes/{road}/{name}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) is (status == 503)
    assert "SELECT" not in answer.text


async def test_without_a_database_the_answer_is_unavailable(settings: Settings) -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    nowhere = Database(url, settings.database)
    async with small.client(small.build(settings, nowhere)) as client:
        answer = await client.get("/api/v1/notes/session/full")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await nowhere.close()


async def test_without_a_free_connection_the_answer_is_unavailable(settings: Settings) -> None:
    narrow = DatabaseSettings(session_pool_size=1, acquire_timeout_s=0.1)
    assert settings.database_url
    busy = Database(settings.database_url, narrow)
    async with busy.transaction() as session, small.client(small.build(settings, busy)) as client:
        await session.execute(text("SELECT 1"))
        answer = await client.get("/api/v1/notes/session/full")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await busy.close()


async def test_a_commit_that_fails_is_no_success(settings: Settings, db: Database) -> None:
    async with db.transaction() as session:
        await session.execute(
            text("CREATE TABLE deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        )
    async with small.client(small.build(settings, db)) as client:
        answer = await client.get("/api/v1/notes/commit")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


def test_every_error_is_in_the_docs() -> None:
    """If not: python -m app.web.error_list > docs/errors.md"""
    written = DOCS.read_text("utf-8")
    missing = {kind.code for kind in error_list.every_kind() if f"| `{kind.code}` |" not in written}
    missing |= {code for code in error_list.field_codes() if f"| `{code}` |" not in written}
    assert missing == set()


def test_every_error_speaks_chinese_and_has_its_own_code() -> None:
    for kind in error_list.every_kind():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in kind.title()), kind
        assert kind.code.replace("_", "").isalnum(), kind
        assert kind.code.islower(), kind
