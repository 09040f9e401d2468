"""The door: limits of head and body, headers of every answer, the last resort."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from app.settings import Settings, WebSettings
from app.web import log, middleware
from tests.web import small

NOTE = {"text": "路灯坏了"}
JSON = {"Content-Type": "application/json"}


def codes_of(problem: dict[str, Any]) -> set[str]:
    return {problem["code"], *(error["code"] for error in problem.get("errors", []))}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What the process writes to standard output, as the log is configured in production."""
    import logging

    import structlog

    root = logging.getLogger()
    before, level, config = root.handlers, root.level, structlog.get_config()
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=out))
    log.configure("info")
    yield out
    root.handlers, log._access_to = before, None
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.configure(**config)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "media_type_unsupported"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, 415, "media_type_unsupported"),
        ({"Content-Type": "application/json; charset=gbk"}, 415, "media_type_unsupported"),
        ({"Content-Type": "text/plain"}, 415, "media_type_unsupported"),
        ({"Content-Type": ""}, 415, "media_type_unsupported"),
        ({**JSON, "Content-Encoding": "gzip"}, 415, "media_type_content_encoding"),
        ({**JSON, "Content-Length": "300000"}, 413, "body_too_large"),
        ({**JSON, "Content-Length": "9" * 20}, 413, "body_too_large"),
        ({**JSON, "Host": "evil.test"}, 400, "http_host"),
        ({**JSON, "Host": "127.0.0.1@evil.test"}, 400, "http_host"),
        ({**JSON, "Host": "127.0.0.1/x"}, 400, "http_host"),
        ({**JSON, "Host": "127.0.0.1:99999"}, 400, "http_host"),
        ({**JSON, "Host": ""}, 400, "http_host"),
        ({**JSON, "X-Long": "x" * 17_000}, 431, "http_header_too_large"),
        ({**JSON, "Authorization": "Bearer " + "a" * 100_000}, 431, "http_header_too_large"),
        ({**JSON, **{f"X-A{i}": "x" for i in range(200)}}, 431, "http_header_too_large"),
    ],
)
async def test_a_bad_head_is_refused(headers: dict[str, str], status: int, code: str) -> None:
    async with small.client(small.build()) as client:
        answer = await client.post("/api/v1/notes", content=json.dumps(NOTE), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([("Host", "127.0.0.1"), ("Host", "evil.test")], 400),
        ([("Authorization", "Bearer a"), ("Authorization", "Bearer b")], 401),
        ([("Content-Type", "application/json"), ("Content-Type", "text/plain")], 400),
        ([("Cookie", "x" * 4096)] * 50, 431),
    ],
)
async def test_a_repeated_header_is_refused(pairs: list[tuple[str, str]], status: int) -> None:
    async with small.client(small.build()) as client:
        answer = await client.get("/api/v1/notes", headers=pairs)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
    ],
)
async def test_json_may_name_its_charset(media_type: str) -> None:
    async with small.client(small.build()) as client:
        answer = await client.post(
            "/api/v1/notes", content=json.dumps(NOTE), headers={"Content-Type": media_type}
        )
    assert (answer.status_code, answer.json()["text"]) == (201, "路灯坏了")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000"])
async def test_a_host_of_ours_is_let_in(host: str) -> None:
    async with small.client(small.build()) as client:
        assert (await client.get("/api/v1/notes", headers={"Host": host})).is_success


async def test_any_host_may_ask_for_health() -> None:
    async with small.client(small.build()) as client:
        assert (await client.get("/health/live", headers={"Host": "10.1.2.3"})).is_success


async def test_a_star_lets_every_host_in() -> None:
    app = small.build(Settings(web=WebSettings(allowed_hosts=["*"])))
    async with small.client(app) as client:
        assert (await client.get("/api/v1/notes", headers={"Host": "any.test"})).is_success


async def test_a_path_may_take_another_kind_of_body() -> None:
    async with small.client(small.build()) as client:
        answer = await client.post(
            "/api/v1/notes/upload",
            content=b"x" * 900_000,
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
        assert answer.json()["number"] == 900_000
        answer = await client.post(
            "/api/v1/notes/upload", content=b"x", headers={"Content-Type": "text/plain"}
        )
        assert answer.status_code == 415


async def test_every_answer_carries_the_security_headers() -> None:
    async with small.client(small.build()) as client:
        for path in ("/api/v1/notes", "/api/v1/nothing", "/api/v1/notes/faults/crash"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers
        assert "content-security-policy" not in (await client.get("/health/live")).headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc.DEF-123_4", True), ("x" * 65, False), ("a b", False), ("路", False), ("", False)],
)
async def test_a_sane_request_id_is_kept(given: str, kept: bool) -> None:
    async with small.client(small.build()) as client:
        answer = await client.get("/api/v1/notes", headers={"X-Request-ID": given.encode()})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]


async def test_a_crash_tells_the_client_nothing_and_the_log_no_data(lines: io.BytesIO) -> None:
    async with small.client(small.build()) as client:
        answer = await client.get("/api/v1/notes/faults/crash?")
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "urn:lianxin:error:internal",
        "title": "服务出现内部错误，请稍后再试；如反复出现，请告知编号。",
        "status": 500,
        "code": "internal",
        "request_id": answer.headers["x-request-id"],
    }
    log.flush()
    text = lines.getvalue().decode()
    assert "13800138000" not in text
    assert "/home" not in text
    crash, access = map(json.loads, text.splitlines())
    assert (crash["event"], crash["error"]) == ("crash", "Forgotten")
    assert crash["request_id"] == access["request_id"] == answer.json()["request_id"]
    assert any("strict_json.py" in frame for frame in crash["frames"])
    assert (access["route"], access["status"]) == ("/api/v1/notes/faults/{name}", 500)


async def test_a_request_is_one_log_line_without_its_data(lines: io.BytesIO) -> None:
    async with small.client(small.build()) as client:
        await client.get("/api/v1/notes?state=13800138000")
        await client.get("/api/v1/13800138000")
        await client.get("/health/live")
    log.flush()
    text = lines.getvalue().decode()
    assert "13800138000" not in text
    first, second = map(json.loads, text.splitlines())
    assert set(first) == {
        "time", "level", "event", "request_id", "method", "route", "status", "duration_ms",
    }  # fmt: skip
    assert (first["method"], first["route"], first["status"]) == ("GET", "/api/v1/notes", 200)
    assert second["route"] == "unmatched"


async def call(
    app: Any,
    messages: list[dict[str, Any]],
    heard: Callable[[], object] = lambda: None,
    **headers: str,
) -> list[dict[str, Any]]:
    """Speak ASGI to the application; after ``messages`` nothing more comes."""
    pairs = {"host": "127.0.0.1", "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/notes",
        "raw_path": b"/api/v1/notes",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), v.encode()) for name, v in pairs.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        heard()

    await app(scope, receive, send)
    return sent


def chunk(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_counted_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_LINGER_S", 0.05)
    messages = [chunk(b"x" * 65_536) for _ in range(32)]
    left: list[int] = []
    sent = await call(
        small.build(),
        messages,
        heard=lambda: left.append(len(messages)),
        transfer_encoding="chunked",
    )
    assert sent[0]["status"] == 413
    assert left[:2] == [27, 27]  # it was answered after five of them


async def test_a_body_in_pieces_is_put_together() -> None:
    body = json.dumps({"text": "路" * 3000}, ensure_ascii=False).encode()
    pieces = [chunk(body[i : i + 7]) for i in range(0, len(body), 7)]
    sent = await call(small.build(), [*pieces, chunk(b"", more=False)], transfer_encoding="chunked")
    assert sent[0]["status"] == 201
    assert json.loads(sent[1]["body"])["text"] == "路" * 3000


async def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(middleware, "_LINGER_S", 0.05)
    sent = await call(small.build(body_timeout_s=0.05), [chunk(b"{")], content_length="100")
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "body_timeout"


async def test_a_client_that_leaves_half_way_leaves_nothing(lines: io.BytesIO) -> None:
    messages = [chunk(b'{"text":"a'), {"type": "http.disconnect"}]
    assert await call(small.build(), messages, content_length="100") == []
    log.flush()
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["status"]) == ("http_request", 499)
