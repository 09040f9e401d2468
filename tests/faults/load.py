"""People who use the service and never forget what it told them.

Each client lives the lives of requests, one after the other: it submits, and staff and the resident
take the steps of a life of ``tests.faults.lives``. Every call has a key. A call whose fate is
unknown (no answer, 503) is repeated with the same key and the same bytes until it is known. So
nobody ever has a reason to answer anything but success: every other answer is kept in ``faults``.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import httpx

from tests.faults.lives import LIVES, OF_THE_GRID, OTHER_UNIT, Life, Moment, Step, letters

# Nobody waits longer for any answer. 10 s are promised; the machine may be busy with other things.
HANG_S = 20.0
_GIVE_UP_S = 120.0  # for one call, with all its repeats
_PROGRESS_S = 120.0
_REQUESTS = "/api/v1/requests"
_ROLE_OF = {"handler": "handler", "leader": "unit_leader"}


@dataclass(frozen=True, slots=True)
class Person:
    id: UUID
    token: str


@dataclass(slots=True)
class Attempt:
    """Times of the monotonic clock. ``status`` is None where no answer came."""

    began: float
    ended: float = 0.0
    status: int | None = None


@dataclass(slots=True)
class Call:
    """One thing somebody wanted done: the key, the bytes, every attempt, and the answer."""

    person: Person
    operation: str
    path: str
    body: bytes
    key: str
    version: int | None
    attempts: list[Attempt] = field(default_factory=list)
    answer: bytes = b""
    replayed: bool = False
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def actor_id(self) -> UUID:
        return self.person.id

    @property
    def request_id(self) -> UUID:
        return UUID(self.said["id"])

    @property
    def answered_version(self) -> int:
        return int(self.said["version"])


class _Finished(Exception):
    """The load was told to stop; or nothing could be done with this request any more."""


class Load:
    """``async with Load(base_url, logins, …) as load``: clients work until ``finish()``.

    Args:
        logins: of ``demo.json``.
        lives: what a client may do with a request, chosen at random.
        most: how many lives to live in all; None: until told to stop.
    """

    def __init__(
        self,
        base_url: str,
        logins: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        clients: int,
        lives: Sequence[Life] = LIVES,
        most: int | None = None,
    ) -> None:
        self.acknowledged: list[Call] = []
        self.calls: list[Call] = []
        self.faults: list[str] = []
        self.broken: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._random = random.Random(seed)
        self._logins, self._lives, self._left = logins, lives, most
        self._staff: dict[tuple[str, str | None, str | None], Person] = {}
        self._grid = next(it["grid"] for it in logins if it["role"] == "grid_leader")
        self._logging_in = asyncio.Lock()
        self._stopping = False
        self._clients = clients
        self._tasks: list[asyncio.Task[None]] = []
        self.http = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(HANG_S + 5),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=clients * 2),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        for number in range(self._clients):
            resident = await self._log_in(
                "/api/v1/auth/wechat",
                {"code": f"code-ok-fault{number}~{self._random.getrandbits(64):x}"},
            )
            self._tasks.append(asyncio.create_task(self._client(resident), name=f"client-{number}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.aclose()

    async def progress(self, more: int) -> float:
        """Wait until so many more calls were acknowledged; the seconds it took.

        Raises: TimeoutError.
        """
        began, goal = time.monotonic(), len(self.acknowledged) + more
        while len(self.acknowledged) < goal:
            if time.monotonic() - began > _PROGRESS_S:
                raise TimeoutError(f"not {more} answers in {_PROGRESS_S} s: {self.tally}")
            if all(task.done() for task in self._tasks):
                break
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    def waiting(self, *, longer_than_s: float) -> list[str]:
        """Calls that nobody has answered yet, although they were made so long ago."""
        before = time.monotonic() - longer_than_s
        return [
            f"{call.operation} {call.key}"
            for call in self.calls
            for attempt in call.attempts
            if attempt.ended == 0.0 and attempt.began < before
        ]

    async def finish(self, *, at_once: bool = True) -> None:
        """Let every client end the call it is in, so that the fate of each is known.

        Args:
            at_once: False: wait until all ``most`` lives were lived.
        """
        self._stopping = at_once
        await asyncio.gather(*self._tasks)

    @property
    def tally(self) -> str:
        replayed = sum(call.replayed for call in self.acknowledged)
        unknown = sum(len(call.attempts) - 1 for call in self.acknowledged)
        kinds = " ".join(f"{name}={number}" for name, number in sorted(self.broken.items()))
        steps = len({call.operation for call in self.acknowledged})
        return (
            f"{len(self.acknowledged)} acknowledged of {steps} kinds,"
            f" {unknown} of unknown fate retried ({kinds}), {replayed} replayed,"
            f" slowest answer {self.slowest_s:.1f} s"
        )

    # --- one client -------------------------------------------------------------------------

    async def _client(self, resident: Person) -> None:
        with suppress(_Finished):
            while self._left is None or self._left > 0:
                if self._left is not None:
                    self._left -= 1
                await self._live(resident)

    async def _live(self, resident: Person) -> None:
        life = self._random.choice(self._lives)
        beside = await self._submit(resident, Life()) if life.joins else {"id": ""}
        request = await self._submit(resident, life)
        for step in life.steps:
            person = resident if step.by == "resident" else await self._member(step, request)
            path = f"{_REQUESTS}/{request['id']}"
            key, page = self._key(), await self._page(person, path) if step.looks else {}
            request = await self._call(
                person,
                step.action,
                f"{path}/actions/{step.action}",
                step.form(Moment(key, page, beside["id"])),
                key=key,
                version=request["version"],
            )

    async def _submit(self, resident: Person, life: Life) -> dict[str, Any]:
        key = self._key()
        body: dict[str, Any] = {"text": f"路灯不亮 #{letters(key)}"}
        category = self._random.choice(life.categories)
        if category is not None:
            body["category_code"] = category
        if category == OF_THE_GRID:
            body["grid_code"] = self._grid
        return await self._call(resident, "submit", _REQUESTS, body, key=key)

    async def _page(self, person: Person, path: str) -> Mapping[str, Any]:
        """The request's own page; reading may fail as often as it likes. Raises: _Finished."""
        began = time.monotonic()
        while not self._stopping and time.monotonic() - began < _GIVE_UP_S:
            with suppress(httpx.TransportError):
                headers = {"Authorization": f"Bearer {person.token}"}
                answer = await self.http.get(path, headers=headers)
                if answer.status_code == 200:
                    page: dict[str, Any] = answer.json()
                    return page
                if answer.status_code != 503:
                    self.faults.append(f"{path}: {answer.status_code} {answer.text}")
                    break
            await asyncio.sleep(self._random.uniform(0.05, 0.4))
        raise _Finished

    def _key(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    async def _call(
        self,
        person: Person,
        operation: str,
        path: str,
        body: Mapping[str, Any],
        *,
        key: str,
        version: int | None = None,
    ) -> dict[str, Any]:
        """Call until it is known what became of it. Raises: _Finished."""
        if self._stopping:
            raise _Finished
        content = json.dumps(body, ensure_ascii=False).encode()
        call = Call(person, operation, path, content, key, version)
        self.calls.append(call)
        began = time.monotonic()
        while time.monotonic() - began < _GIVE_UP_S:
            answer = await self._attempt(call)
            if answer is not None and answer.status_code < 300:
                call.answer, call.said = answer.content, answer.json()
                call.replayed = answer.headers.get("Idempotent-Replayed") == "true"
                self.acknowledged.append(call)
                return call.said
            if answer is not None and not self._may_be_repeated(call, answer):
                raise _Finished
            await asyncio.sleep(self._random.uniform(0.05, 0.4))
        self.faults.append(f"{operation} {key}: no answer within {_GIVE_UP_S} s")
        raise _Finished

    async def _attempt(self, call: Call) -> httpx.Response | None:
        headers = {
            "Authorization": f"Bearer {call.person.token}",
            "Idempotency-Key": call.key,
            "Content-Type": "application/json",
        }
        if call.version is not None:
            headers["If-Match"] = f'"{call.version}"'
        attempt = Attempt(time.monotonic())
        call.attempts.append(attempt)
        try:
            answer = await self.http.post(call.path, content=call.body, headers=headers)
            attempt.status = answer.status_code
            return answer
        except httpx.TransportError as error:
            self.broken[type(error).__name__] += 1
            return None
        finally:
            attempt.ended = time.monotonic()
            took = attempt.ended - attempt.began
            self.slowest_s = max(self.slowest_s, took)
            if took > HANG_S:
                self.faults.append(f"{call.operation} {call.key}: {took:.1f} s for one answer")

    def _may_be_repeated(self, call: Call, answer: httpx.Response) -> bool:
        code = answer.json().get("code") if "json" in answer.headers["content-type"] else None
        self.broken[f"{answer.status_code}"] += 1
        if answer.status_code == 503 and "Retry-After" in answer.headers:
            return True
        if answer.status_code == 409 and code == "idempotency_in_progress":
            return True
        self.faults.append(f"{call.operation} {call.key}: {answer.status_code} {answer.text}")
        return answer.status_code >= 500

    # --- logging in -------------------------------------------------------------------------

    async def _member(self, step: Step, request: Mapping[str, Any]) -> Person:
        """Whoever takes this step of this request."""
        role, unit, grid = step.by, None, None
        if role in ("handler", "leader"):
            role, unit = _ROLE_OF[role], request["unit"]["code"]
        elif role == "other":
            role, unit = "handler", OTHER_UNIT
        elif role == "grid":
            role, grid = "grid_leader", self._grid
        async with self._logging_in:
            if (role, unit, grid) not in self._staff:
                login = next(
                    login
                    for login in self._logins
                    if (login["role"], login["unit"], login["grid"]) == (role, unit, grid)
                )
                given = {"username": login["username"], "password": login["password"]}
                self._staff[role, unit, grid] = await self._log_in("/api/v1/auth/staff", given)
            return self._staff[role, unit, grid]

    async def _log_in(self, path: str, given: Mapping[str, Any]) -> Person:
        for again in range(300):
            with suppress(httpx.TransportError):
                # A code of WeChat's is good for one call.
                code = {"code": f"{given['code']}-{again}"} if "code" in given else {}
                answer = await self.http.post(path, json={**given, **code})
                if answer.status_code == 200:
                    login = answer.json()
                    return Person(UUID(login["account"]["id"]), login["token"])
                if answer.status_code != 503:
                    raise AssertionError(f"log-in: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.1)
        raise AssertionError("nobody can log in")
