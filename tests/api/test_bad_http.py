"""The HTTP cases of the corpus against the whole application, most of them on a real socket."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import uvicorn
from sqlalchemy import text
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.main import create_app
from app.web.protocol import CarefulProtocol
from tests.api.answers import assert_problem
from tests.city import REQUESTS, client_of, form
from tests.web.test_raw_http import wire

HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def limits():
    return {"requests_per_hour": 100_000}


@pytest.fixture(scope="module")
async def port(app) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=CarefulProtocol,
        lifespan="off",  # the fixture has started it
        log_config=None,
        access_log=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def exchanged(port: int, head: bytes) -> tuple[int, dict[str, str], dict]:
    """Send bytes as they are; the status, the headers and the JSON of the answer."""
    async with wire(port) as connection:
        await connection.say(head)
        status, headers, body = await connection.hear()
    return status, headers, json.loads(body) if body else {}


async def refused(port: int, head: bytes, statuses: set[int], codes: set[str]) -> dict[str, str]:
    status, headers, problem = await exchanged(port, head)
    assert status in statuses, (status, problem)
    assert headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "status", "code", "request_id"}
    assert {problem["code"], *(e["code"] for e in problem.get("errors", ()))} & codes, problem
    return headers


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE", "FOO", "CONNECT"])
async def test_a_method_that_a_path_does_not_take_is_refused(method, port):
    """HT-001: an invented method is no HTTP to the parser, so it is malformed."""
    target = "127.0.0.1:80" if method == "CONNECT" else REQUESTS
    head = f"{method} {target} HTTP/1.1\r\n".encode() + HEAD + b"\r\n"
    headers = await refused(
        port, head, {400, 404, 405}, {"http_method", "http_malformed", "not_found"}
    )
    if method not in ("FOO", "CONNECT"):
        assert headers["allow"] == "GET, POST"


async def test_every_route_says_which_methods_it_takes(client):
    described = (await client.get("/openapi.json")).json()["paths"]
    patterns = {
        re.sub(r"\{.*?\}", "[^/]+", path.replace("{version}", "[0-9]+")): set(ms)
        for path, ms in described.items()
    }
    for path in described:
        address = re.sub(r"\{.*?\}", "x", path.replace("{version}", "1"))
        # /grids/locate is also a /grids/{code}
        taken = set().union(*(ms for p, ms in patterns.items() if re.fullmatch(p, address)))
        for method in {"get", "put", "patch", "delete", "post"} - taken:
            answer = await client.request(method.upper(), address)
            assert_problem(answer, 405, "http_method")
            assert set(answer.headers["allow"].lower().split(", ")) == taken


async def test_an_endless_url_is_refused(port):
    """HT-005"""
    for path in (b"/" + b"a" * 65_536, REQUESTS.encode() + b"/" + b"9" * 20_000):
        head = b"GET " + path + b" HTTP/1.1\r\n" + HEAD + b"\r\n"
        await refused(
            port,
            head,
            {400, 414, 431},
            {"http_uri_too_long", "http_malformed", "http_header_too_large"},
        )


@pytest.mark.parametrize(
    "extra",
    [
        b"".join(b"X-A%d: x\r\n" % number for number in range(200)),
        b"X-Big: " + b"a" * 65_536 + b"\r\n",
        b"Cookie: " + b"; ".join(b"c%d=" % number + b"v" * 4_096 for number in range(50)) + b"\r\n",
        b"X-Same: y\r\n" * 200,
    ],
    ids=["200 headers", "one of 64 KB", "50 cookies of 4 KB", "one 200 times"],
)
async def test_too_many_or_too_long_headers_are_refused(extra, port):
    """HT-006"""
    head = f"GET {REQUESTS} HTTP/1.1\r\n".encode() + HEAD + extra + b"\r\n"
    await refused(port, head, {400, 431}, {"http_header_too_large"})


@pytest.mark.parametrize("length", ["-1", "+5", "5 5", "0x5", "1e1", "9" * 20, "", "5, 5", "٥"])
async def test_a_crooked_length_is_refused(length, port):
    """HT-008"""
    head = f"POST {REQUESTS} HTTP/1.1\r\n".encode() + HEAD
    head += f"Content-Length: {length}\r\n\r\n".encode() + b"{}"
    await refused(port, head, {400}, {"http_malformed"})


@pytest.mark.parametrize(
    "hosts",
    [
        [b"evil.test"],
        [b"127.0.0.1", b"evil.test"],
        [b"127.0.0.1", b"127.0.0.1"],
        [],
        [b""],
        [b"127.0.0.1@evil.test"],
        [b"evil.test/127.0.0.1"],
        [b"127.0.0.1:99999"],
        [b"127.0.0.1.evil.test"],
        [b"127.0.0.1 evil.test"],
        ["１２７.0.0.1".encode()],
    ],
)
async def test_a_strange_host_is_refused(hosts, port):
    """HT-010"""
    lines = b"".join(b"Host: " + host + b"\r\n" for host in hosts)
    head = f"GET {REQUESTS} HTTP/1.1\r\n".encode() + lines + b"\r\n"
    await refused(port, head, {400, 421}, {"http_host", "http_malformed"})


@pytest.mark.parametrize("origin", ["null", "https://evil.test", "https://ok.example.evil.test"])
async def test_no_other_origin_is_let_in(origin, client, as_resident):
    """HT-011"""
    resident = await as_resident("张三")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    for answer in (
        await resident.get(REQUESTS, headers={"Origin": origin}),
        await client.options(REQUESTS, headers={"Origin": origin, **asked}),
        await client.post(REQUESTS, json=form(), headers={"Origin": origin}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.status_code in (200, 401, 403, 405)


async def test_production_shows_nothing_of_itself(settings):
    """HT-012"""
    app = create_app(settings.model_copy(update={"profile": "production"}))
    async with client_of(app, "203.0.113.9") as stranger:
        for path in ("/docs", "/openapi.json", "/metrics", "/.git/config", "/.env", "/redoc"):
            assert_problem(await stranger.get(path), {401, 404}, "not_found")


async def test_a_fault_of_the_program_tells_nothing(app, port):
    """HT-013"""

    async def fault(_: HttpRequest) -> Response:
        secret = "13800138000"
        raise LookupError(f"SELECT text FROM requests WHERE phone = {secret} /srv/lianxin/app")

    app.router.add_route("/api/v1/faults", fault)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get("/api/v1/faults", headers={"X-Request-ID": "r-1"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "code", "request_id"}
    assert (problem["code"], problem["request_id"]) == ("internal", "r-1")
    for word in ("13800138000", "SELECT", "/srv", "LookupError", "Traceback", ".py"):
        assert word not in answer.text


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        (b"q=%u4e00", {"query_unknown"}),  # LS-013
        (b"unit=%ff%fe", {"query_invalid_utf8"}),
        (b"unit=%ED%A0%80", {"query_invalid_utf8"}),
        (b"unit=%00", {"text_control_char"}),
        (b"unit=a%0d%0aX:%20y", {"text_control_char"}),
        (b"limit=1&limit=1", {"query_duplicate"}),
        (b"limit=%EF%BC%91", {"page_limit"}),
        (b"&".join(b"a%d=1" % number for number in range(500)), {"query_unknown"}),
        (b"unit=" + b"x" * 7_000, {"text_too_long"}),
    ],
)
async def test_a_crooked_escape_in_a_query_is_refused(query, codes, port, as_resident):
    resident = await as_resident("张三")
    head = f"GET {REQUESTS}?".encode() + query + b" HTTP/1.1\r\n" + HEAD
    head += f"Authorization: {resident.headers['Authorization']}\r\n\r\n".encode()
    await refused(port, head, {422}, codes)


@pytest.mark.parametrize(
    "path",
    [b"%u4e00", b"%ff%fe", b"%ED%A0%80", b"%00", b"%0d%0a", b"%2e%2e", b"..%2f..%2fetc%2fpasswd",
     b"%", b"%zz", b"1;x=y", b"{}", b"01", b"0x10"],
)  # fmt: skip
async def test_a_crooked_escape_in_a_path_is_refused(path, port, as_resident):
    resident = await as_resident("张三")
    for where in (REQUESTS, "/api/v1/grids"):
        head = f"GET {where}/".encode() + path + b" HTTP/1.1\r\n" + HEAD
        head += f"Authorization: {resident.headers['Authorization']}\r\n\r\n".encode()
        codes = {"path_invalid", "grid_not_found", "request_not_found", "not_found"}
        await refused(port, head, {404, 422}, codes)


@pytest.mark.parametrize(
    "line",
    [
        b"OPTIONS * HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET http://evil.test/ HTTP/1.1",
        b"GET // HTTP/1.1",
        b"GET /api/v1//requests HTTP/1.1",
        b"GET ?a=b HTTP/1.1",
        b"GET api HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
        b"GET /api/v1/requests/ HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET / HTTP/1.0",
        b"get / HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /",
    ],
)
async def test_an_odd_first_line_is_refused(line, port):
    async with wire(port) as connection:
        await connection.say(line + b"\r\n" + HEAD + b"\r\n")
        status, headers, body = await connection.hear()
    assert status in (400, 404, 405), (status, body)
    assert headers["content-type"] == "application/problem+json"
    assert b"evil" not in body


WHOLE = """
SELECT count(*) FROM requests AS r WHERE resident_id = :resident AND (
  (SELECT count(*) FROM request_events WHERE request_id = r.id) <> 2
  OR (SELECT count(*) FROM request_clocks WHERE request_id = r.id) <> 3
  OR (SELECT count(*) FROM outbox WHERE payload->>'request_id' = r.id::text) <> 1)
"""
ANSWERED = """
SELECT (SELECT count(*) FROM requests WHERE resident_id = :resident),
       (SELECT count(*) FROM idempotency_keys WHERE actor_id = :resident)
"""


async def test_a_write_that_is_cut_off_happens_whole_or_not_at_all(port, hall, as_resident):
    """HT-017: 100 clients hang up somewhere in a submission."""
    resident = await as_resident("中断")
    chance = random.Random(17)
    body = json.dumps(form()).encode()

    async def hang_up_somewhere() -> None:
        head = f"POST {REQUESTS} HTTP/1.1\r\n".encode() + HEAD
        head += f"Authorization: {resident.headers['Authorization']}\r\n".encode()
        head += f"Idempotency-Key: {uuid4().hex}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        sent = head + body
        if chance.random() < 0.4:
            sent = sent[: chance.randrange(1, len(sent))]
        async with wire(port) as connection:
            await connection.say(sent)
            await asyncio.sleep(chance.random() * 0.02)
            if chance.random() < 0.5:
                connection.writer.transport.abort()

    for _ in range(10):
        await asyncio.gather(*(hang_up_somewhere() for _ in range(10)))
    answer = await resident.post(REQUESTS, form())
    assert answer.status_code == 201
    await asyncio.sleep(0.3)  # what is still under way ends
    async with hall.db.transaction() as session:
        values = {"resident": resident.id}
        assert await session.scalar(text(WHOLE), values) == 0
        requests, answers = (await session.execute(text(ANSWERED), values)).one()
    assert requests == answers
    assert requests > 1
