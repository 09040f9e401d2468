"""Uvicorn's HTTP protocol with three gaps closed: run it with ``http=CarefulProtocol``.

What never becomes a request never reaches the middleware: a malformed head is answered here as
problem+json too, a head that does not end is cut off by size, one that dribbles in by time.

Answers leave in one piece: uvicorn writes head and body apart, which costs two system calls and
wakes the client twice.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.web.errors import WebError, problem
from app.web.middleware import BodyTooSlow, HeaderTooLarge

MAX_HEAD = 128 * 1024
HEAD_TIMEOUT_S = 15.0
_LOOK_EVERY_S = 5.0
_LINGER_S = 1.0
_SMALL = 64 * 1024  # up to here a copy costs less than a second piece


class _InOnePiece:
    """The transport of a connection; the head of an answer waits for what is written next."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            if len(data) <= _SMALL:
                self._transport.write(head + data)
            else:
                self._transport.writelines((head, data))
        elif data[:9] == b"HTTP/1.1 " and data[9:10] != b"1":  # 100: the client waits for it
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()


class CarefulProtocol(HttpToolsProtocol):
    """One connection."""

    _out: _InOnePiece

    _head_bytes = 0
    _head_since: float | None = None
    _watch: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._out = _InOnePiece(transport)
        super().connection_made(self._out)  # type: ignore[arg-type]
        self._head_since = self.loop.time()
        self._watch = self.loop.call_later(_LOOK_EVERY_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self._head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._refuse(HeaderTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._head_since = self.loop.time()

    def on_response_complete(self) -> None:
        self._out.flush()  # the answer to a HEAD has no body to go with
        super().on_response_complete()

    def on_headers_complete(self) -> None:
        self._head_since = None
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        self._refuse(WebError())

    def eof_received(self) -> None:
        if self._refused:
            self.transport.close()

    def _look(self) -> None:
        since = self._head_since
        if since is not None and self.loop.time() - since > HEAD_TIMEOUT_S:
            self._refuse(BodyTooSlow())
        else:
            self._watch = self.loop.call_later(_LOOK_EVERY_S, self._look)

    def _refuse(self, error: WebError) -> None:
        if self._refused or self.transport.is_closing():
            return
        if self._watch is not None:
            self._watch.cancel()
        answer: Any = problem(error, "", {"Connection": "close"})
        lines = [STATUS_LINE[answer.status_code]]
        for name, value in answer.raw_headers:
            lines += [name, b": ", value, b"\r\n"]
        self._out.write(b"".join([*lines, b"\r\n", answer.body]))
        self._out.flush()
        # Not closed at once: a socket with unread bytes is reset, and the answer lost.
        self._refused = True
        self._head_since = None
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._watch = self.loop.call_later(_LINGER_S, self.transport.close)
