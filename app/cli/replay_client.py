"""The HTTP side of ``lianxin replay``: who is logged in, and calls that survive a bad moment."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import BaseModel

_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_TIMEOUT_S = 30.0
# Not done, and no fault of the call: the same call with the same key may do it.
_AGAIN = frozenset({429, 502, 503, 504})
_SAME_CALL_RUNS = "idempotency_in_progress"


class Refused(Exception):
    """The service said no. ``code`` is that of the first field at fault, else of the answer."""

    def __init__(self, step: str, status: int, code: str, pointer: str | None = None) -> None:
        super().__init__(f"{status} {code}" + (f" {pointer}" if pointer else ""))
        self.step, self.status, self.code = step, status, code


class Unreachable(Exception):
    """The service did not answer as long as our patience lasted."""


@dataclass(eq=False)
class Caller:
    """Somebody who can log in. ``credentials`` makes the body of a log-in, anew for each try."""

    path: str
    credentials: Callable[[], dict[str, str]]
    token: str | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Measured:
    """What was seen on the way. Spans in seconds, of answered calls, waiting not included."""

    spans: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    retries: Counter[str] = field(default_factory=Counter)
    answers: int = 0

    def percentile(self, step: str, share: float) -> float:
        """The span that ``share`` of the calls of ``step`` did not exceed, in seconds."""
        spans = sorted(self.spans[step])
        return spans[min(int(share * len(spans)), len(spans) - 1)]


class Client:
    """Calls to one service. Close it with ``async with``."""

    def __init__(self, base_url: str, *, connections: int, patience_s: float) -> None:
        self.measured = Measured()
        self.patience_s = patience_s
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=_TIMEOUT_S,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(
        self, path: str, *, step: str, caller: Caller | None = None, **params: str
    ) -> httpx.Response:
        """Raises: Refused, Unreachable."""
        return await self._call("GET", path, step=step, caller=caller, params=params)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        step: str,
        caller: Caller,
        key: str,
        version: int | None = None,
    ) -> httpx.Response:
        """Send one command; sent again after a bad moment, it has the same key.

        Raises: Refused, Unreachable.
        """
        headers = {"Idempotency-Key": key}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self._call("POST", path, step=step, caller=caller, headers=headers, body=body)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        step: str,
        caller: Caller | None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        def call(token: str | None) -> httpx.Request:
            sent = dict(headers or {})
            if token is not None:
                sent["Authorization"] = f"Bearer {token}"
            return self._http.build_request(
                method, path, params=params or None, json=body, headers=sent
            )

        if caller is None:
            return await self._insist(step, lambda: call(None))
        token = await self._token_of(caller)
        try:
            return await self._insist(step, lambda: call(token))
        except Refused as refused:
            if refused.status != 401:
                raise
        if caller.token == token:  # run out; another call may have seen it first
            caller.token = None
        token = await self._token_of(caller)
        return await self._insist(step, lambda: call(token))

    async def _token_of(self, caller: Caller) -> str:
        async with caller.busy:
            if caller.token is None:
                answer = await self._insist(
                    "log in",
                    lambda: self._http.build_request(
                        "POST", caller.path, json=caller.credentials()
                    ),
                )
                caller.token = str(answer.json()["token"])
            return caller.token

    async def _insist(self, step: str, make: Callable[[], httpx.Request]) -> httpx.Response:
        """Send until the answer is final: bounded by our patience, at the pace the service asks."""
        until = time.monotonic() + self.patience_s
        pause_s = _SHORTEST_WAIT_S
        while True:
            began = time.perf_counter()
            try:
                answer = await self._http.send(make())
            except httpx.TransportError as error:
                why, wait_s = "connection", pause_s
                final: Exception = Unreachable(type(error).__name__)
            else:
                self.measured.answers += 1
                if answer.is_success:
                    self.measured.spans[step].append(time.perf_counter() - began)
                    return answer
                refused = _refusal(step, answer)
                if answer.status_code not in _AGAIN and refused.code != _SAME_CALL_RUNS:
                    raise refused
                why, final = str(answer.status_code), refused
                if answer.status_code in (502, 503, 504):
                    final = Unreachable(str(refused))
                wait_s = _asked_for(answer) or pause_s
            if time.monotonic() + wait_s > until:
                raise final
            self.measured.retries[why] += 1
            await asyncio.sleep(wait_s)
            pause_s = min(pause_s * 2, _LONGEST_WAIT_S)


def _asked_for(answer: httpx.Response) -> float | None:
    said = answer.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else None


def _refusal(step: str, answer: httpx.Response) -> Refused:
    try:
        problem = answer.json()
        wrong = problem.get("errors") or [{}]
        code = wrong[0].get("code") or problem["code"]
        return Refused(step, answer.status_code, str(code), wrong[0].get("pointer"))
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError, AttributeError, TypeError):
        return Refused(step, answer.status_code, "no_problem_json")


class LogIn(BaseModel):
    """A line of ``demo.json``."""

    role: str
    username: str
    password: str
    unit: str | None
    grid: str | None


class LoginMissing(Exception):
    """The log-in file has nobody for this."""


class People:
    """Everybody the replay speaks for: the staff of ``demo.json``, and residents of its own."""

    def __init__(self, logins: Sequence[LogIn], *, run: str) -> None:
        self._run = run
        self._residents: dict[int, Caller] = {}
        self._codes = 0
        self._handlers: dict[str, Caller] = {}
        self._desks: dict[str | None, Caller] = {}
        self._auditor: Caller | None = None
        self._supervisor: Caller | None = None
        for login in logins:
            caller = _staff(login.username, login.password)
            match login.role:
                case "handler" if login.unit:
                    self._handlers.setdefault(login.unit, caller)
                case "dispatcher":
                    self._desks.setdefault(login.grid, caller)
                case "auditor":
                    self._auditor = self._auditor or caller
                case "supervisor":
                    self._supervisor = self._supervisor or caller
        self.units = tuple(sorted(self._handlers))

    def handler(self, unit_code: str | None) -> Caller:
        """Raises: LoginMissing."""
        caller = self._handlers.get(unit_code or "")
        if caller is None:
            raise LoginMissing(f"no handler of unit {unit_code} can log in")
        return caller

    def desk(self, grid_code: str | None) -> Caller:
        """The dispatcher of the town a grid lies in, else of the whole city.

        Raises: LoginMissing.
        """
        for code, caller in self._desks.items():
            if code and grid_code and grid_code.startswith(code):
                return caller
        if None not in self._desks:
            raise LoginMissing("no dispatcher of the city can log in")
        return self._desks[None]

    @property
    def auditor(self) -> Caller:
        """Raises: LoginMissing."""
        if self._auditor is None:
            raise LoginMissing("no auditor can log in")
        return self._auditor

    @property
    def supervisor(self) -> Caller:
        """Raises: LoginMissing."""
        if self._supervisor is None:
            raise LoginMissing("no supervisor can log in")
        return self._supervisor

    def resident(self, number: int) -> Caller:
        """One of the synthetic residents of this run."""
        if number not in self._residents:
            self._residents[number] = Caller("/api/v1/auth/wechat", lambda: self._code(number))
        return self._residents[number]

    def _code(self, number: int) -> dict[str, str]:
        self._codes += 1  # a code is good once
        return {"code": f"code-ok-replay-{self._run}-{number}~{self._codes}"}


def _staff(username: str, password: str) -> Caller:
    body = {"username": username, "password": password}
    return Caller("/api/v1/auth/staff", lambda: body)
