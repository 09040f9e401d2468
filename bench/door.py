"""Asking the service as one person, over one connection that stays open, without compression."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from bench.fire import Misfire
from bench.people import Caller

TURNS = 7
_FEW_TURNS, _LONG_MS = 3, 1_000.0
_PATIENCE_S = 120.0
_IDLE_S = 1.0  # after some time the service hangs up

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer. ``total`` is its X-Total-Count, where it has one."""

    status: int
    body: bytes
    total: int | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Door(AbstractContextManager["Door"]):
    """``http.client`` sends as little as there can be, and takes a fraction of a ms itself."""

    def __init__(self, port: int, caller: Caller) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        self._headers = {"Authorization": f"Bearer {caller.token}", "Accept-Encoding": "identity"}
        self._used_at = 0.0

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> Heard:
        """Raises: OSError, http.client.HTTPException: nobody answered."""
        if time.monotonic() - self._used_at > _IDLE_S:
            self._connection.close()  # the next request opens it again
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body, total = answer.read(), answer.headers["X-Total-Count"]
        self._used_at = time.monotonic()
        return Heard(answer.status, body, None if total is None else int(total))

    def must(self, path: str) -> Heard:
        """Raises: Misfire: it is not a 200."""
        heard = self.get(path)
        if heard.status != 200:
            said = heard.body[:500].decode(errors="replace")
            raise Misfire(f"GET {path}: {heard.status} {said}")
        return heard


def timed(ask: Callable[[], T]) -> tuple[float, T]:
    """The median in ms of some warm turns, fewer where one takes long, and what the first said."""
    first_ms, told = once(ask)
    if first_ms > _LONG_MS:
        return median([first_ms, *(once(ask)[0] for _ in range(_FEW_TURNS - 1))]), told
    return median(once(ask)[0] for _ in range(TURNS)), told


def once(ask: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    told = ask()
    return (time.perf_counter() - began) * 1_000, told
