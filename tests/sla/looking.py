"""What tests of a published calendar look at."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from app.requests.city import City
from app.store.session import Statement
from tests.city import CHINA, REQUESTS

CLOCKS = Statement("""
SELECT metric, state, due_at, original_due_at, next_level, next_fire_at FROM request_clocks
WHERE request_id = :id
""")
MOVES = Statement("""
SELECT metric, calendar_version, due_before, due_after FROM request_due_moves
WHERE request_id = :id ORDER BY calendar_version
""")
FIRES = Statement("SELECT metric, level FROM clock_fires WHERE request_id = :id ORDER BY fire_at")

Publish = Callable[..., Awaitable[dict[str, Any]]]


async def until_known(hall, version: int) -> None:
    for _ in range(500):
        if hall.app.state.reference.current.calendar_version >= version:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the new calendar was not heard of")


def city_of(hall) -> City:
    state = hall.app.state
    return City(state.reference.current, state.grids.current, state.cipher)


async def read(caller, request) -> dict[str, Any]:
    answer = await caller.get(f"{REQUESTS}/{request['id']}")
    assert answer.status_code == 200
    return dict(answer.json())


async def clock_of(db, request, metric: str = "reply"):
    rows = await db.rows(CLOCKS, id=UUID(request["id"]))
    return next(row for row in rows if row["metric"] == metric)


def moves_of(preview: dict[str, Any], request: dict[str, Any]) -> list[dict[str, Any]]:
    return [move for move in preview["moves"] if move["request_id"] == request["id"]]


def local(row, name: str) -> str:
    return row[name].astimezone(CHINA).isoformat()
