"""A process that writes as a city at work does: steps of requests that are there already.

Reads one JSON line with ``url``, the period ``since``/``until`` of the submissions of those that it
touches, how many at once (``first``) and how many a second from then on (``per_s``). Answers ``{}``
when the first are done; when its input ends, how many more there were and in how many seconds.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from itertools import cycle
from typing import Any
from uuid import UUID

import uvloop
from sqlalchemy import text

from app.audit import service as audit
from app.domain.identity import SYSTEM
from app.settings import DatabaseSettings
from app.store.session import Database

_MOST = 20_000
_CHOSEN = text("""
SELECT id FROM requests WHERE submitted_at >= :since AND submitted_at < :until
ORDER BY md5(id::text) LIMIT :most
""")
_STEP = text("UPDATE requests SET version = version + 1 WHERE id = :id RETURNING version")


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    db = Database(told["url"], DatabaseSettings(statement_timeout_ms=900_000))
    try:
        requests = cycle(await _chosen(db, told))
        for _ in range(told["first"]):
            await _touch(db, next(requests))
        _say({})
        over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
        began, done = time.perf_counter(), 0
        while not over.done():
            await _touch(db, next(requests))
            done += 1
            ahead_s = began + done / told["per_s"] - time.perf_counter()
            await asyncio.wait([over], timeout=max(ahead_s, 0))
        _say({"done": done, "seconds": time.perf_counter() - began})
    finally:
        await db.close()


async def _chosen(db: Database, told: dict[str, Any]) -> list[UUID]:
    """In no order of time, but the same in every run."""
    period = {name: datetime.fromisoformat(told[name]) for name in ("since", "until")}
    async with db.transaction() as session:
        return list(await session.scalars(_CHOSEN, {**period, "most": _MOST}))


async def _touch(db: Database, request_id: UUID) -> None:
    """What is left of a step where nothing changes that a figure counts: its row and its entry."""
    async with db.transaction() as session:
        version = await session.scalar(_STEP, {"id": request_id})
        await audit.append(
            session,
            request_id,
            actor=SYSTEM,
            action="supervise",
            facts={"version": version},
            now=datetime.now(UTC),
        )


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
