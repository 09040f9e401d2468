"""A road to the service on which things go wrong: answers are lost, others are faster."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PROBLEM = b"Content-Type: application/problem+json\r\nContent-Length: 2\r\nConnection: close\r\n"
_NO_ANSWER_CONTACT = b'{"method":"phone","result":"no_answer"}'


@dataclass
class RoughRoad:
    """Hands each call on, but now and then answers 503 or 429 itself, loses the call or loses the
    answer; and lets somebody be faster who notes a contact just before the unit signs."""

    host: str
    port: int
    calls: int = 0
    signed: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    async def travel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: ([0-9]+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            answer = await self._answer(head, body)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes | None:
        self.calls += 1
        if b"/statistics/" in head:
            return await self._hand_on(head, body)
        match self.calls % 17:
            case 3:
                self.faults["call lost"] += 1
                return None
            case 7:
                self.faults["answer lost"] += 1
                await self._hand_on(head, body)
                return None
            case 11:
                self.faults["503"] += 1
                return b"HTTP/1.1 503 Unavailable\r\n" + _PROBLEM + b"\r\n{}"
            case 15:
                self.faults["429"] += 1
                return b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\n" + _PROBLEM + b"\r\n{}"
        if b"/actions/sign HTTP" in head:
            self.signed += 1
            if self.signed % 4 == 0:
                self.faults["overtaken"] += 1
                await self._hand_on(_contact_of(head), _NO_ANSWER_CONTACT)
        return await self._hand_on(head, body)

    async def _hand_on(self, head: bytes, body: bytes) -> bytes:
        head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def _contact_of(sign: bytes) -> bytes:
    """The head of a contact's note instead, by the same person on the same version."""
    head = sign.replace(b"/actions/sign HTTP", b"/contacts HTTP")
    head = re.sub(rb"(?i)(idempotency-key: [^\r]*)", rb"\1-faster", head)
    length = f"Content-Length: {len(_NO_ANSWER_CONTACT)}".encode()
    return re.sub(rb"(?i)content-length: [0-9]+", length, head)


@asynccontextmanager
async def rough_road_to(base_url: str) -> AsyncIterator[tuple[str, RoughRoad]]:
    """The address of the road, and what happened on it."""
    address = urlsplit(base_url)
    assert address.hostname
    assert address.port
    road = RoughRoad(address.hostname, address.port)
    server = await asyncio.start_server(road.travel, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", road
    finally:
        server.close()
        await server.wait_closed()
