"""A small load generator, for machines without ``wrk``: sends ready-made bytes, counts answers.

A process of its own, so that it takes no time of the interpreter that is measured. On uvloop it
reaches several times what one worker of the service can answer.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, cast

import uvloop

_LENGTH = b"content-length: "


class _Gun(asyncio.Protocol):
    """One connection that always has one request under way."""

    transport: asyncio.Transport

    def __init__(self, range_: "_Range") -> None:
        self._range = range_
        self._got = b""
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._shoot()

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data if self._got else data
        end = got.find(b"\r\n\r\n")
        if end < 0:
            return
        at = got[:end].lower().find(_LENGTH)
        length = 0 if at < 0 else int(got[at + len(_LENGTH) : end].split(b"\r\n", 1)[0])
        if len(got) < end + 4 + length:
            return
        self._got = b""
        self._range.hit(int(got[9:12]), time.perf_counter() - self._since)
        if self._range.is_open:
            self._shoot()

    def connection_lost(self, _: Exception | None) -> None:
        if self._range.is_open:
            self._range.failed += 1

    def _shoot(self) -> None:
        self._since = time.perf_counter()
        self.transport.write(self._range.next_shot())


class _Range:
    """All connections together, and what they counted."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._shots: list[list[bytes]] = [
            [half.encode() for half in halves] for halves in plan["shots"]
        ]
        self._run: bytes = plan["run"].encode()
        self._expect: int = plan["expect"]
        self._next = self._keys = 0
        self.is_open = True
        self.failed = 0
        self.took: list[float] = []

    def next_shot(self) -> bytes:
        halves = self._shots[self._next % len(self._shots)]
        self._next += 1
        if len(halves) == 1:
            return halves[0]
        self._keys += 1
        return halves[0] + b"%s%024x" % (self._run, self._keys) + halves[1]

    def hit(self, status: int, seconds: float) -> None:
        self.failed += status != self._expect
        self.took.append(seconds)


async def fire(plan: dict[str, Any]) -> dict[str, float]:
    """Keep the plan's connections busy for its seconds; what came of it."""
    range_ = _Range(plan)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    guns = [
        await loop.create_connection(lambda: _Gun(range_), "127.0.0.1", plan["port"])
        for _ in range(plan["connections"])
    ]
    await asyncio.sleep(plan["seconds"])
    range_.is_open = False
    seconds = time.perf_counter() - began
    for transport, _ in guns:
        transport.close()
    took = sorted(range_.took) or [0.0]
    return {
        "done": len(range_.took),
        "seconds": seconds,
        "failed": range_.failed,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[len(took) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    print("RESULT", json.dumps(uvloop.run(fire(given))))
