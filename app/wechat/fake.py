"""A WeChat of our own, for demos and tests: it plays the behaviours that our client relies on.

An ASGI app. Log-in codes:

* ``code-ok-<name>`` logs in the person ``<name>`` (any text; always the same openid), once;
* ``code-ok-<name>~<anything>`` are further codes of the same person, each good once;
* ``code-expired`` → 40029, ``code-used`` → 40163, ``code-risk`` → 40226, anything else → 40029.

Faults are switched on in ``Faults`` or, over HTTP, by ``POST /__fake__/faults`` with its fields as
JSON; ``GET /__fake__/ledger`` says what was answered. Source: wechat A2, A3, A10.
"""

import asyncio
import base64
import os
import secrets
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_OK = "code-ok-"
_REMEMBERED_CODES = 200_000
_TOKEN_LIFE_S = 7_200
_TOKEN_RENEWAL_S = 300
_FORCES_A_DAY = 20
_BETWEEN_FORCES_S = 30
_MESSAGES = {
    -1: "system error",
    40002: "invalid grant_type",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    40226: "code blocked",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    43002: "require POST method",
    45011: "api minute-quota reach limit  must slower  retry next minute",
    47001: "data format error",
}


def openid_of(name: str) -> str:
    """The openid of the person who logs in with ``code-ok-<name>``: 28 characters, as real ones."""
    return "o" + sha256(unicodedata.normalize("NFC", name).encode()).hexdigest()[:27]


@dataclass(slots=True)
class Faults:
    """What goes wrong. Counts run down with each call; the others stay until they are taken back.

    ``reset_calls`` breaks the connection after the call was processed, so that its code is used up.
    """

    latency_s: float = 0.0
    busy_calls: int = 0
    quota_calls: int = 0
    html_calls: int = 0
    truncated_calls: int = 0
    reset_calls: int = 0
    errcode: int = 0  # every call answers this; 0: none

    def use(self, name: str) -> bool:
        """Whether this call is hit by the fault that counts in ``name``."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


class ConnectionReset(Exception):
    """The server hung up instead of answering."""


class FakeWechat:
    """The state of the fake, and its two endpoints. ``clock`` gives seconds."""

    def __init__(self, app_id: str, app_secret: str, clock: Callable[[], float]) -> None:
        self.faults = Faults()
        self.ledger: deque[dict[str, Any]] = deque(maxlen=1_000)
        self._app_id = app_id
        self._app_secret = app_secret
        self._clock = clock
        self._used_codes: OrderedDict[str, None] = OrderedDict()
        self._tokens: list[tuple[str, float]] = []  # with the moment each runs out, newest last
        self._forced_at: deque[float] = deque(maxlen=_FORCES_A_DAY)

    async def code_to_session(self, http: HttpRequest) -> Response:
        query = http.query_params
        return await self._answer("jscode2session", lambda: self._session(query))

    async def stable_token(self, http: HttpRequest) -> Response:
        if http.method != "POST":
            return await self._answer("stable_token", lambda: _refusal(43002))
        try:
            body = await http.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return await self._answer("stable_token", lambda: _refusal(47001))
        return await self._answer("stable_token", lambda: self._token(body))

    async def set_faults(self, http: HttpRequest) -> Response:
        known = {field.name for field in fields(Faults)}
        wanted = await http.json()
        if not isinstance(wanted, dict) or set(wanted) - known:
            return JSONResponse({"known": sorted(known)}, 422)
        for name, value in wanted.items():
            setattr(self.faults, name, value)
        return JSONResponse(asdict(self.faults))

    async def show_ledger(self, _: HttpRequest) -> Response:
        return JSONResponse(list(self.ledger))

    async def _answer(self, endpoint: str, play: Callable[[], dict[str, Any]]) -> Response:
        """Play the endpoint, unless a fault comes first or spoils the answer."""
        faults = self.faults
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        if faults.use("html_calls"):
            return Response("<html><body>502 Bad Gateway</body></html>", media_type="text/html")
        if faults.use("busy_calls"):
            answer = _refusal(-1)
        elif faults.use("quota_calls"):
            answer = _refusal(45011)
        elif faults.errcode:
            answer = _refusal(faults.errcode)
        else:
            answer = play()
        self.ledger.append({"endpoint": endpoint, "errcode": answer.get("errcode", 0)})
        if faults.use("reset_calls"):
            raise ConnectionReset
        response = JSONResponse(answer)
        if faults.use("truncated_calls"):
            return Response(bytes(response.body)[:-7], media_type="application/json")
        return response

    def _session(self, query: Mapping[str, str]) -> dict[str, Any]:
        refused = self._check_app(query)
        if refused is not None:
            return _refusal(refused)
        if query.get("grant_type") != "authorization_code":
            return _refusal(40002)
        code = query.get("js_code", "")
        if not code:
            return _refusal(41008)
        if code == "code-used" or code in self._used_codes:
            return _refusal(40163)
        if code == "code-risk":
            return _refusal(40226)
        name = code.removeprefix(_OK).partition("~")[0]
        if not code.startswith(_OK) or not name:
            return _refusal(40029)
        self._used_codes[code] = None
        if len(self._used_codes) > _REMEMBERED_CODES:
            self._used_codes.popitem(last=False)
        return {
            "openid": openid_of(name),
            "session_key": base64.b64encode(os.urandom(16)).decode(),
        }

    def _token(self, body: Mapping[str, Any]) -> dict[str, Any]:
        refused = self._check_app(body)
        if refused is not None:
            return _refusal(refused)
        if body.get("grant_type") != "client_credential":
            return _refusal(40002)
        now = self._clock()
        self._tokens = [(token, ends) for token, ends in self._tokens if ends > now]
        force = body.get("force_refresh") is True and self._may_force(now)
        if force:
            self._tokens.clear()
            self._forced_at.append(now)
        if not self._tokens or self._tokens[-1][1] - now <= _TOKEN_RENEWAL_S:
            # The old one keeps working for the minutes that it has left.
            self._tokens.append((secrets.token_urlsafe(102), now + _TOKEN_LIFE_S))
        token, ends = self._tokens[-1]
        return {"access_token": token, "expires_in": int(ends - now)}

    def token_works(self, token: str) -> bool:
        """Whether an endpoint that asks for an access token would take this one now."""
        now = self._clock()
        return any(known == token and ends > now for known, ends in self._tokens)

    def _may_force(self, now: float) -> bool:
        if self._forced_at and now - self._forced_at[-1] < _BETWEEN_FORCES_S:
            return False
        today = [moment for moment in self._forced_at if now - moment < 86_400]
        return len(today) < _FORCES_A_DAY

    def _check_app(self, given: Mapping[str, Any]) -> int | None:
        if not given.get("appid"):
            return 41002
        if given["appid"] != self._app_id:
            return 40013
        if not given.get("secret"):
            return 41004
        return None if given["secret"] == self._app_secret else 40125


class _HangUp:
    """Answers a ``ConnectionReset`` as a server that died: with half a message, or none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionReset:
            # A promised length that never comes makes the server close the connection.
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-length", b"100"), (b"connection", b"close")],
                }
            )
            await send({"type": "http.response.body", "body": b'{"open', "more_body": True})


def create_fake(
    app_id: str = "wxdemo",
    app_secret: str = "demo-secret",  # noqa: S107 - the fake's own
    *,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """The fake as an ASGI app; ``fake_of`` gives the state behind it."""
    fake = FakeWechat(app_id, app_secret, clock)
    app = Starlette(
        routes=[
            Route("/sns/jscode2session", fake.code_to_session, methods=["GET"]),
            Route("/cgi-bin/stable_token", fake.stable_token, methods=["GET", "POST"]),
            Route("/__fake__/faults", fake.set_faults, methods=["POST"]),
            Route("/__fake__/ledger", fake.show_ledger, methods=["GET"]),
        ],
    )
    app.add_middleware(_HangUp)
    app.state.fake = fake
    return app


def fake_of(app: Starlette) -> FakeWechat:
    """The state behind an app that ``create_fake`` made."""
    return cast(FakeWechat, app.state.fake)


def _refusal(errcode: int) -> dict[str, Any]:
    rid = "-".join(secrets.token_hex(4) for _ in range(3))
    message = _MESSAGES.get(errcode, "error")
    return {"errcode": errcode, "errmsg": f"{message}, rid: {rid}"}
