"""Short ways to what tests of the workflow do and ask again and again."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.store.session import Database, Statement
from tests.city import REQUESTS, Caller, CityHall

BAD = {"contacted": True, "solved": "unsolved", "satisfaction": 1, "reasons": ["not_solved"]}
GOOD = {"contacted": True, "solved": "solved", "satisfaction": 5}
REPLY = {"public_reply": "已修好", "solved": "solved", "factual": True}
_CLOCKS = Statement("""
SELECT cycle_no, metric, state, started_at, due_at, original_due_at, stopped_at, paused_at
FROM request_clocks WHERE request_id = :id ORDER BY cycle_no, metric
""")


async def refused(
    caller: Caller, request: Mapping[str, Any], action: str, /, **members: Any
) -> str:
    """Try a step that must not be taken; the guard that is closed, else the code of the problem."""
    path = f"{REQUESTS}/{request['id']}/actions/{action}"
    answer = await caller.post(path, members, version=request["version"])
    problem = answer.json()
    assert answer.status_code in (403, 404, 409, 422), answer.text
    return str(problem.get("guard") or problem["code"])


async def seen(caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request's own page."""
    answer = await caller.get(f"{REQUESTS}/{request['id']}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def timeline(caller: Caller, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = await caller.get(f"{REQUESTS}/{request['id']}/timeline")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def letters(caller: Caller, request: Mapping[str, Any]) -> list[str]:
    """Titles of what the caller was told about the request, oldest first."""
    inbox = (await caller.get("/api/v1/inbox", params={"limit": 100})).json()["items"]
    return [item["title"] for item in reversed(inbox) if item["request_id"] == request["id"]]


def buttons(request: Mapping[str, Any]) -> dict[str, str | None]:
    """Action → why it is blocked."""
    return {step["action"]: step["blocked_reason"] for step in request["available_actions"]}


async def clocks(
    db: Database, request: Mapping[str, Any], cycle_no: int = 1
) -> dict[str, Mapping[str, Any]]:
    """The clocks of one cycle by their metrics."""
    rows = await db.rows(_CLOCKS, id=UUID(request["id"]))
    return {row["metric"]: row for row in rows if row["cycle_no"] == cycle_no}


async def clock_states(
    db: Database, request: Mapping[str, Any], cycle_no: int = 1
) -> dict[str, str]:
    return {metric: row["state"] for metric, row in (await clocks(db, request, cycle_no)).items()}


async def working(
    hall: CityHall, handler: Caller, resident: Caller | None = None, **form: Any
) -> dict[str, Any]:
    """A request that was signed, and whose resident was reached."""
    request = await hall.act(handler, await hall.submit(resident, **form), "sign")
    return await hall.act(handler, request, "contact", method="phone", result="reached")


async def rejected(hall: CityHall, resident: Caller | None = None) -> dict[str, Any]:
    """A request that was not taken on, by two people of the desk."""
    request = await hall.submit(resident, category_code=...)
    first, second = await hall.as_staff("dispatcher"), await hall.as_staff("dispatcher", number=2)
    request = await hall.act(first, request, "reject", ground_code="petition", note="已信访")
    return await hall.act(second, request, "reject", decision="approve", note="同意")


async def race(*calls: Any) -> Counter[int]:
    """Make the calls at once; how often each status came back."""
    answers = await asyncio.gather(*calls)
    return Counter(answer.status_code for answer in answers)
