"""A proxy between the service and PostgreSQL that understands when something is being committed.

The service reaches it over TCP on the loopback; it reaches PostgreSQL as the given URL says,
usually over a Unix socket. It can lose the reply to a commit (``choose``), reset every connection
(``reset``), or let nothing pass for a while (``black_hole``).

It reads just enough of the wire protocol (v3, no SSL) to tell one command from the next: the SQL of
simple queries, of prepared statements as they are executed, and the end of the server's reply.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from sqlalchemy.engine import make_url

_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset
_QUESTIONS = (b"Q", b"S", b"H")  # a query, the end of a pipeline, a request to flush
_PIPELINED = (b"P", b"B", b"D", b"E", b"C")
_REPLY_S = 10.0
_STOPPED = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
_FAREWELL = b"E" + struct.pack("!i", 4 + len(_STOPPED)) + _STOPPED


class Loss(StrEnum):
    """How the reply to a command that was forwarded is lost."""

    CUT = "cut"  # the service's connection is reset while the server still works
    SWALLOW = "swallow"  # the server's reply is read and dropped, then the connection is reset
    SILENCE = "silence"  # dropped, and the connection stays open until the service gives up


@dataclass(frozen=True, slots=True)
class Command:
    """A command that commits something: ``COMMIT``, or a statement outside of a transaction.

    ``before`` are the statements that ``COMMIT`` makes last, ``values`` their parameters as they
    were sent.
    """

    sql: str
    before: tuple[str, ...] = ()
    values: bytes = b""

    @property
    def is_commit(self) -> bool:
        return self.sql.lstrip()[:6].upper() == "COMMIT"


Chooser = Callable[[Command], Loss | None]


@dataclass(slots=True)
class Counts:
    """What the proxy has done. ``lost`` counts only what the server did commit."""

    connections: int = 0
    lost: dict[Loss, int] = field(default_factory=lambda: dict.fromkeys(Loss, 0))
    failed: int = 0  # the server itself refused what we had chosen
    resets: int = 0


class Proxy:
    """``async with Proxy(database_url) as proxy``: then ``proxy.url`` is what the service gets."""

    def __init__(self, url: str) -> None:
        self._upstream = make_url(url)
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._passable = asyncio.Event()
        self._passable.set()
        self.choose: Chooser | None = None
        self.questions = 0  # messages so far that wait for an answer
        self.freeze_at: int | None = None  # go silent at this one, see ``freeze``
        self.counts = Counts()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._passable.set()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user = self._upstream.username or "postgres"
        return f"postgresql://{user}@127.0.0.1:{port}/{self._upstream.database}"

    def reset(self) -> int:
        """Reset every connection that is open now; how many."""
        links = list(self._links.values())
        for link in links:
            link.abort()
        self.counts.resets += len(links)
        return len(links)

    def freeze(self, *, noticed_after_s: float | None = None) -> int:
        """Let all connections be silent for ever, as half-open ones are; how many there were.

        New ones work.

        Args:
            noticed_after_s: when the server finds out, by its keepalives, and ends its side.
        """
        for link in self._links.values():
            link.passable = asyncio.Event()
            if noticed_after_s is not None:
                asyncio.get_running_loop().call_later(noticed_after_s, link.abort_upstream)
        return len(self._links)

    def _count(self, kind: bytes) -> None:
        if kind in _QUESTIONS:
            self.questions += 1
            if self.questions == self.freeze_at:
                self.freeze()

    def farewell(self) -> None:
        """Say to every connection what a server says that is being stopped, and close none."""
        for link in self._links.values():
            link.tell(_FAREWELL)

    @asynccontextmanager
    async def black_hole(self) -> AsyncIterator[None]:
        """Within it nothing passes, in neither direction; nobody is told. New connections hang."""
        self._passable.clear()
        try:
            yield
        finally:
            self._passable.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        link = _Link(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._links[task] = link
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await link.run()
        finally:
            link.abort()
            del self._links[task]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = self._upstream.query.get("host") or self._upstream.host or "127.0.0.1"
        assert isinstance(host, str)
        port = self._upstream.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


class _Link:
    """One connection of the service, and ours to PostgreSQL for it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._upstream: asyncio.StreamWriter | None = None
        self._statements: dict[bytes, str] = {}
        self._bound = self._executed = ""
        self._values = bytearray()
        self._transaction: list[str] | None = None
        self.passable = proxy._passable
        self._muted = False
        self._reply = bytearray()
        self._refused = False
        self._replied = asyncio.Event()

    def abort(self) -> None:
        """Reset the service's side, let go of the server's."""
        abort(self._writer)
        self.abort_upstream()

    def abort_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.transport.abort()

    def tell(self, message: bytes) -> None:
        """Say something in the server's name."""
        self._writer.write(message)

    async def run(self) -> None:
        first = await self._first_message()
        await self.passable.wait()
        server_reader, self._upstream = await self._proxy._connect()
        self._upstream.write(first)
        back = asyncio.create_task(self._back(server_reader))
        forth = asyncio.create_task(self._forth(self._upstream))
        try:
            await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (back, forth):
                task.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)

    async def _first_message(self) -> bytes:
        while True:
            head = await self._reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                return head + await self._reader.readexactly(length - 8)
            self._writer.write(b"N")  # neither here: everything is on this machine

    async def _forth(self, upstream: asyncio.StreamWriter) -> None:
        sent_together = bytearray()
        while True:
            head = await self._reader.readexactly(5)
            body = await self._reader.readexactly(int.from_bytes(head[1:]) - 4)
            command = self._heard(head[:1], body)
            sent_together += head + body
            if head[:1] in _PIPELINED:  # a broken line does not part what travels in one packet
                continue
            self._proxy._count(head[:1])
            await self.passable.wait()
            loss = None
            if command is not None and self._proxy.choose is not None:
                loss = self._proxy.choose(command)
            # Before the command is sent: whatever the server says from here on is its reply.
            self._muted = loss is not None
            upstream.write(bytes(sent_together))
            sent_together.clear()
            await upstream.drain()
            if loss is not None:
                await self._lose(loss)
                return

    def _heard(self, kind: bytes, body: bytes) -> Command | None:
        """Follow what the service says; a command, when this message lets it be committed."""
        if kind == b"Q":
            return self._command(body.rstrip(b"\0").decode(errors="replace"))
        if kind == b"P":
            name, sql = body.split(b"\0", 2)[:2]
            self._statements[name] = sql.decode(errors="replace")
        elif kind == b"B":
            self._bound = self._statements.get(body.split(b"\0", 2)[1], "")
            if self._transaction is None:
                self._values.clear()
            self._values += body
        elif kind == b"E":
            self._executed = self._bound
        elif kind == b"S" and self._executed:
            sql, self._executed = self._executed, ""
            return self._command(sql)
        return None

    def _command(self, sql: str) -> Command | None:
        word = sql.lstrip()[:8].upper()
        if word.startswith("BEGIN"):
            self._transaction = []
            self._values.clear()
            return None
        if word.startswith(("COMMIT", "ROLLBACK")) and self._transaction is not None:
            before, self._transaction = tuple(self._transaction), None
            return Command(sql, before, bytes(self._values)) if word.startswith("COMMIT") else None
        if self._transaction is not None:
            self._transaction.append(sql)
            return None
        return Command(sql, values=bytes(self._values))

    async def _lose(self, loss: Loss) -> None:
        if loss is Loss.CUT:
            abort(self._writer)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._replied.wait(), _REPLY_S)
        if self._replied.is_set() and not self._refused:
            self._proxy.counts.lost[loss] += 1
        else:
            self._proxy.counts.failed += 1
        if loss is Loss.SILENCE:
            await self._reader.read()  # until the service closes its side

    async def _back(self, server: asyncio.StreamReader) -> None:
        while data := await server.read(65_536):
            await self.passable.wait()
            if self._muted:
                self._look_at(data)
            else:
                self._writer.write(data)
                await self._writer.drain()
        if self._muted:  # let the other side finish its count
            await asyncio.sleep(_REPLY_S)

    def _look_at(self, data: bytes) -> None:
        self._reply += data
        while len(self._reply) >= 5:
            length = int.from_bytes(self._reply[1:5])
            if len(self._reply) <= length:
                return
            kind = bytes(self._reply[:1])
            tag = bytes(self._reply[5 : 1 + length])
            del self._reply[: 1 + length]
            if kind == b"E" or (kind == b"C" and tag.startswith(b"ROLLBACK")):
                self._refused = True
            elif kind == b"Z":
                self._replied.set()


def abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a broken network or a killed peer would."""
    door: socket.socket | None = writer.get_extra_info("socket")
    if door is not None and not writer.transport.is_closing():
        with suppress(OSError):
            door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    writer.transport.abort()
