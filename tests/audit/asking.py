"""Requests with somebody behind them, and opening who."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from app.audit import queries
from app.domain.audit_chain import Entry, verify_chain
from app.store.session import Database
from tests.city import (
    GRID,
    REQUESTS,
    point_in,
)
from tests.city import CityHall as Hall

NAME, PHONE, ADDRESS = "欧阳静", "13812345678", "幸福里三巷七号"
REASON = "与诉求人约定上门时间"


async def submit(hall: Hall, **overrides: Any) -> dict[str, Any]:
    members = {
        "contact": {"name": NAME, "phone": PHONE},
        "location": point_in(GRID) | {"address": ADDRESS},
    }
    return await hall.submit(**(members | overrides))


async def ask(caller: Any, request: Mapping[str, Any], reason: object = REASON) -> httpx.Response:
    path = f"{REQUESTS}/{request['id']}/reveal"
    answer: httpx.Response = await caller.post(path, {"reason": reason}, key=None)
    return answer


async def looks(db: Database, request: Mapping[str, Any]) -> list[Entry]:
    entries = await queries.of_chain(db, UUID(request["id"]))
    assert verify_chain(entries) is None
    return [entry for entry in entries if entry.action == "reveal"]
