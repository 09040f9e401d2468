"""The door: what every HTTP request passes before and after the application.

One class, so that the price is paid once: request id, limits of head and body, host and media type,
security headers, access log, metrics, and the last resort when a program fault gets this far.
The body is read here, whole (it is small), so no transaction is ever open for a slow sender, and a
sender who goes away has touched nothing.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from time import perf_counter

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import AppError, Invalid
from app.settings import WebSettings
from app.web import log, metrics
from app.web.errors import Internal, WebError, problem, sqlstate

_log = structlog.get_logger(__name__)

MAX_URL = 8 * 1024
MAX_HEADERS = 100
MAX_HEADER = 16 * 1024
MAX_HEADERS_BYTES = 32 * 1024
CLIENT_GONE = 499

# Request ids are unique, not secret: a random beginning for this process, then a count.
_PROCESS = os.urandom(8).hex().encode() + b"-"
_COUNTED = count(1)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_JSON = re.compile(rb'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*', re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_TWICE = (b"host", b"authorization", b"content-type", b"content-encoding", b"content-length")
_CLOSE = {"Connection": "close"}
_MOST_HOSTS_KEPT = 64
_LINGER_S = 2.0
_LINGER_BYTES = 16 * 1024 * 1024

_EVERYWHERE = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")


class HostUnknown(WebError):
    """网址中的主机名不正确。"""

    code = "http_host"
    status = 400


class UriTooLong(WebError):
    """网址过长。"""

    code = "http_uri_too_long"
    status = 414


class HeaderTooLarge(WebError):
    """请求头过多或过长。"""

    code = "http_header_too_large"
    status = 431


class HeaderRepeated(WebError):
    """请求头重复。"""

    code = "http_header_repeated"
    status = 400


class AuthorizationRepeated(WebError):
    """登录凭证重复，请重新登录。"""

    code = "invalid_token"
    status = 401


class MediaTypeUnsupported(WebError):
    """只接受 UTF-8 编码的 application/json。"""

    code = "media_type_unsupported"
    status = 415


class ContentEncodingRefused(WebError):
    """不接受压缩过的内容。"""

    code = "media_type_content_encoding"
    status = 415


class BodyTooLarge(WebError):
    """提交的内容过大。"""

    code = "body_too_large"
    status = 413


class BodyTooSlow(WebError):
    """提交的内容没有在规定时间内到达。"""

    code = "body_timeout"
    status = 408


class PathInvalid(Invalid):
    """网址不正确。"""

    code = "path_invalid"


class _ClientGone(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True, slots=True)
class BodyRule:
    """What a path takes that is not JSON: media types (lower case, no parameters) and size."""

    media_types: frozenset[bytes]
    max_bytes: int


class Door:
    """Pure ASGI: ``app.add_middleware(Door, settings=settings.web)``.

    ``bodies`` lets paths (by prefix) take other bodies than JSON, uploads for instance.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: WebSettings,
        bodies: Mapping[str, BodyRule] | None = None,
        body_timeout_s: float = 15,
    ) -> None:
        self._app = app
        self._hosts = {host.lower() for host in settings.allowed_hosts}
        self._good_hosts: set[bytes] = set()
        self._json = BodyRule(frozenset(), settings.max_body_bytes)
        self._bodies = tuple((bodies or {}).items())
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        if given is None or _REQUEST_ID.fullmatch(given) is None:
            given = _PROCESS + b"%x" % next(_COUNTED)
        request_id = given.decode()
        scope.setdefault("state", {})["request_id"] = request_id
        context = log.REQUEST_ID.set(request_id)
        status = 0
        of_api = scope["path"].startswith("/api/")
        has_body = b"content-length" in headers or b"transfer-encoding" in headers

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message.get("headers", ())
                out = [*own, *_EVERYWHERE, (b"x-request-id", given)]
                if of_api:
                    said = {name for name, _ in own}
                    # A page among the answers says itself what it may load.
                    if _NOTHING[0] not in said:
                        out.append(_NOTHING)
                    if _NO_STORE[0] not in said:
                        out.append(_NO_STORE)
                message = {"type": "http.response.start", "status": status, "headers": out}
            await send(message)

        try:
            try:
                self._check_head(scope, headers)
                if has_body:
                    receive = await self._body(scope, headers, receive)
            except AppError as refused:
                refusal = problem(refused, request_id, _CLOSE)
                await _refuse(refusal, receive, answer, has_body=has_body)
            else:
                await self._app(scope, receive, answer)
        except _ClientGone:
            status = CLIENT_GONE
        except Exception as error:  # noqa: BLE001 - the last resort: the connection stays usable
            _tell(error)
            if status == 0:
                await problem(Internal(), request_id)(scope, receive, answer)
        finally:
            log.REQUEST_ID.reset(context)
            _record(scope, request_id, status or CLIENT_GONE, perf_counter() - started)

    # --- before -----------------------------------------------------------------------------

    def _check_head(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raises: the first thing that is wrong with the request line and the headers."""
        path: str = scope["path"]
        if len(scope.get("raw_path") or path) + len(scope["query_string"]) > MAX_URL:
            raise UriTooLong
        pairs = scope["headers"]
        repeated = len(pairs) != len(headers)
        if repeated:
            _check_repeated(pairs)
        size = sum(map(len, headers)) + sum(map(len, headers.values()))
        if len(pairs) > MAX_HEADERS or ((repeated or size > MAX_HEADER) and _too_large(pairs)):
            raise HeaderTooLarge
        host = headers.get(b"host")
        if host not in self._good_hosts and not path.startswith("/health/"):
            self._check_host(host)
        if _CONTROL.search(path) is not None:
            raise PathInvalid

    def _check_host(self, raw: bytes | None) -> None:
        if "*" in self._hosts:
            return
        match = _HOST.fullmatch((raw or b"").decode("latin-1"))
        if match is None or int(match[2] or 0) > 65_535 or match[1].lower() not in self._hosts:
            raise HostUnknown
        if raw is not None and len(self._good_hosts) < _MOST_HOSTS_KEPT:
            self._good_hosts.add(raw)

    async def _body(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Check and read the body; returns a ``receive`` that hands it on in one piece."""
        length = headers.get(b"content-length")
        if length is not None and not length.isdigit():
            raise WebError
        if length == b"0":
            return receive
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise ContentEncodingRefused
        rule = self._rule(scope["path"], headers.get(b"content-type", b""))
        if length is not None and (len(length) > 18 or int(length) > rule.max_bytes):
            raise BodyTooLarge
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await _read(receive, rule.max_bytes)
        except TimeoutError:
            raise BodyTooSlow from None
        return _handing_on(body, receive)

    def _rule(self, path: str, media_type: bytes) -> BodyRule:
        also = ""
        for prefix, rule in self._bodies:
            if path.startswith(prefix):
                if media_type.partition(b";")[0].strip().lower() in rule.media_types:
                    return rule
                also = "、".join(sorted(kind.decode() for kind in rule.media_types))
                break
        if media_type != b"application/json" and _JSON.fullmatch(media_type) is None:
            raise MediaTypeUnsupported(f"此处也接受 {also}。" if also else None)
        return self._json


def _check_repeated(pairs: list[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in pairs]
    for name in _NOT_TWICE:
        if names.count(name) > 1:
            if name == b"authorization":
                raise AuthorizationRepeated
            raise HostUnknown if name == b"host" else HeaderRepeated


def _too_large(pairs: list[tuple[bytes, bytes]]) -> bool:
    sizes = [len(name) + len(value) for name, value in pairs]
    return max(sizes) > MAX_HEADER or sum(sizes) > MAX_HEADERS_BYTES


async def _read(receive: Receive, max_bytes: int, *, keep: bool = True) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge
        if keep:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _handing_on(body: bytes, receive: Receive) -> Receive:
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def hand_on() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        handed, message = message, None
        return handed

    return hand_on


async def _refuse(answer: Response, receive: Receive, send: Send, *, has_body: bool) -> None:
    """Send ``answer``, then take what still comes for a moment.

    A socket that is closed with unread bytes is reset, and the client would lose the answer.
    """
    await send(
        {
            "type": "http.response.start",
            "status": answer.status_code,
            "headers": answer.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    if has_body:
        with suppress(TimeoutError, _ClientGone, BodyTooLarge):
            async with asyncio.timeout(_LINGER_S):
                await _read(receive, _LINGER_BYTES, keep=False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


# --- after ----------------------------------------------------------------------------------------


def _record(scope: Scope, request_id: str, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None)
    if route is None:
        if scope["path"].startswith(("/health/", "/metrics")):
            return
        route = "unmatched"
    method = scope["method"]
    metrics.observe(method, route, status, seconds)
    log.access(request_id, method, route, status, round(seconds * 1000, 2))


def _tell(error: Exception) -> None:
    _log.error(
        "crash",
        error=type(error).__name__,
        frames=log.frames(error),
        caused_by=log.causes(error),
        sqlstate=sqlstate(error),
    )
