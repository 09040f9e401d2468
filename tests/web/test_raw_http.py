"""What only shows on a real socket: broken heads, huge bodies, clients that leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from app.web import protocol
from app.web.protocol import CarefulProtocol
from tests.web import small

POST = b"POST /api/v1/notes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
GET = b"GET /api/v1/notes HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FIT = b'Content-Length: 13\r\n\r\n{"text":"ok"}'


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(
        small.build(),
        host="127.0.0.1",
        port=0,
        http=CarefulProtocol,
        lifespan="off",
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


class Wire:
    """One connection, bytes out, answers in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def is_closed(self) -> bool:
        async with asyncio.timeout(5):
            return await self.reader.read(1) == b""


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (POST + b"Content-Length: -1\r\n\r\n", 400, "http_malformed"),
        (POST + b"Content-Length: +5\r\n\r\nxxxxx", 400, "http_malformed"),
        (POST + b"Content-Length: 5 5\r\n\r\nxxxxx", 400, "http_malformed"),
        (POST + b"Content-Length: 0x5\r\n\r\nxxxxx", 400, "http_malformed"),
        (POST + b"Content-Length: 1e1\r\n\r\nxxxxx", 400, "http_malformed"),
        (POST + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n", 400, "http_malformed"),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nx", 400, "http_malformed"),
        (
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "http_malformed",
        ),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "http_malformed"),
        (b"FOO /api/v1/notes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, "http_malformed"),
        (b"rubbish\r\n\r\n", 400, "http_malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "http_malformed"),  # TLS on a plain port
        (b"GET / HTTP/1.1\r\n\r\n", 400, "http_host"),
        (b"TRACE /api/v1/notes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405, "http_method"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414, None),
        (b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", None, None),
        (GET + b"X-Big: " + b"a" * 65_536 + b"\r\n\r\n", 431, "http_header_too_large"),
        (GET + b"X-Endless: " + b"a" * 300_000, 431, "http_header_too_large"),
        (GET + b"X: y\r\n" * 200 + b"\r\n", 431, "http_header_too_large"),
        (POST + b"Content-Length: 400000\r\n\r\n{", 413, "body_too_large"),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b", 415, None),
    ],
)
async def test_what_is_broken_is_answered_as_a_problem(
    port: int, request_bytes: bytes, status: int | None, code: str | None
) -> None:
    async with wire(port) as connection:
        await connection.say(request_bytes)
        answered, headers, body = await connection.hear()
        assert headers["content-type"] == "application/problem+json"
        assert answered == status or (status is None and answered in (400, 404, 414, 431))
        if code is not None:
            assert json.loads(body)["code"] == code


async def test_two_megabytes_without_a_length_are_cut_off(port: int) -> None:
    async with wire(port) as connection:
        await connection.say(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        for _ in range(5):
            await connection.say(piece)
        status, headers, body = await connection.hear()
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")
    assert headers["connection"] == "close"


async def test_ten_megabytes_with_a_length_are_refused_to_an_ordinary_client(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(5):
            answer = await client.post("/api/v1/notes", json={"password": "x" * 10_000_000})
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_the_connection_outlives_a_crash(port: int) -> None:
    async with wire(port) as connection:
        await connection.say(GET.replace(b"notes", b"notes/faults/crash") + b"\r\n")
        assert (await connection.hear())[0] == 500
        await connection.say(POST + FIT)
        assert (await connection.hear())[0] == 201


async def test_one_connection_serves_many_requests(port: int) -> None:
    async with wire(port) as connection:
        for _ in range(3):
            await connection.say((POST + FIT) * 2)  # pipelined, too
            for _ in range(2):
                status, headers, body = await connection.hear()
                assert (status, json.loads(body)["text"]) == (201, "ok")
                assert "server" not in headers


async def test_a_body_in_small_pieces_arrives(port: int) -> None:
    async with wire(port) as connection:
        for byte in POST + FIT:
            await connection.say(bytes([byte]))
        assert (await connection.hear())[0] == 201


async def test_clients_that_leave_do_not_disturb_the_others(port: int) -> None:
    for data in (POST + b'Content-Length: 100\r\n\r\n{"text":', POST[:40], POST + FIT):
        for _ in range(20):
            async with wire(port) as connection:
                await connection.say(data)
    async with wire(port) as connection:
        await connection.say(POST + FIT)
        assert (await connection.hear())[0] == 201


async def test_a_head_that_dribbles_in_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.1)
    monkeypatch.setattr(protocol, "_LOOK_EVERY_S", 0.05)
    async with wire(port) as connection, wire(port) as silent:
        await connection.say(GET)
        status, _, body = await connection.hear()
        assert (status, json.loads(body)["code"]) == (408, "body_timeout")
        assert await connection.is_closed()
        assert (await silent.hear())[0] == 408


async def test_a_request_that_takes_long_is_not_a_slow_head(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.1)
    monkeypatch.setattr(protocol, "_LOOK_EVERY_S", 0.05)
    async with wire(port) as connection:
        await connection.say(POST + b"Content-Length: 13\r\n\r\n")
        await asyncio.sleep(0.3)
        await connection.say(b'{"text":"ok"}')
        assert (await connection.hear())[0] == 201
        await asyncio.sleep(0.3)  # idle between two requests: uvicorn's keep-alive decides
        await connection.say(POST + FIT)
        assert (await connection.hear())[0] == 201


async def test_an_answer_leaves_in_one_piece() -> None:
    pieces: list[bytes] = []

    class Transport:
        def write(self, piece: bytes) -> None:
            pieces.append(piece)

        def writelines(self, parts: tuple[bytes, ...]) -> None:
            pieces.append(b"".join(parts))

        def close(self) -> None:
            pieces.append(b"closed")

    head, large = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000
    out = protocol._InOnePiece(Transport())  # type: ignore[arg-type]
    for data in (head, b"{}", head, large, b"more", b"HTTP/1.1 100 Continue\r\n\r\n", head):
        out.write(data)
    out.close()
    assert pieces == [
        head + b"{}", head + large, b"more", b"HTTP/1.1 100 Continue\r\n\r\n", head, b"closed",
    ]  # fmt: skip


async def test_an_answer_without_a_body_and_a_continue_do_not_wait(port: int) -> None:
    async with wire(port) as line:
        await line.say(b"HEAD /api/v1/notes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(2):
            head = await line.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        await line.say(POST + b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\n")
        async with asyncio.timeout(2):
            assert (await line.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        await line.say(b'{"text":"ok"}')
        assert (await line.hear())[0] < 300
