"""Reading what the audit says of a request: who may, and that it leaves a trace too."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.audit import queries
from app.domain.audit_chain import verify_chain
from app.domain.identity import Role
from tests.audit.asking import ADDRESS, NAME, PHONE, REASON, ask, submit
from tests.city import (
    REQUESTS,
)
from tests.city import CityHall as Hall


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"reveals_per_day": 10, "requests_per_hour": 1_000}


async def read(caller: Any, request: Mapping[str, Any], **query: int) -> httpx.Response:
    answer: httpx.Response = await caller.get(f"{REQUESTS}/{request['id']}/audit", params=query)
    return answer


@pytest.mark.parametrize("role", ["auditor", "supervisor"])
async def test_auditors_and_supervisors_read_who_looked(hall: Hall, role: str) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=18)
    await ask(handler, request)
    answer = await read(await hall.as_staff(role), request)
    assert answer.status_code == 200, answer.text
    look = answer.json()["items"][-1]
    assert look["action_text"] == "查看诉求人"
    assert look["actor_role_text"] == "承办员"
    assert look["actor_id"] == str(handler.id)
    assert look["facts"]["reason"] == REASON
    assert datetime.fromisoformat(look["at"]) == hall.clock.now
    assert not any(secret in answer.text for secret in (NAME, PHONE, ADDRESS))


async def test_reading_the_audit_is_in_the_audit(hall: Hall) -> None:
    request = await submit(hall)
    auditor = await hall.as_staff("auditor")
    first = (await read(auditor, request)).json()["items"]
    second = (await read(auditor, request)).json()["items"]
    assert len(second) == len(first) + 1
    assert second[-1]["action"] == "audit_read"
    assert second[-1]["action_text"] == "查看审计"
    assert second[-1]["actor_id"] == str(auditor.id)
    assert second[-1]["facts"] == {"after": 0, "shown": len(first)}
    assert verify_chain(await queries.of_chain(hall.db, UUID(request["id"]))) is None


async def test_the_audit_is_read_in_pages(hall: Hall) -> None:
    request = await submit(hall)
    handler = await hall.as_staff("handler", number=19)
    for _ in range(5):
        await ask(handler, request)
    auditor = await hall.as_staff("auditor")
    everything = await queries.of_chain(hall.db, UUID(request["id"]))
    page = (await read(auditor, request, limit=2)).json()
    assert [item["seq"] for item in page["items"]] == [1, 2]
    seen = [item["hash"] for item in page["items"]]
    while page["next_after"] is not None:
        page = (await read(auditor, request, limit=2, after=page["next_after"])).json()
        seen += [item["hash"] for item in page["items"]]
    assert seen[: len(everything)] == [entry.hash.hex() for entry in everything]


async def test_a_resident_in_the_audit_has_no_id(hall: Hall) -> None:
    resident = await hall.as_resident()
    request = await submit(hall, caller=resident)
    answer = await read(await hall.as_staff("auditor"), request)
    assert str(resident.id) not in answer.text


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.AUDITOR, Role.SUPERVISOR, Role.SYSTEM}))
async def test_nobody_else_reads_the_audit(hall: Hall, role: Role) -> None:
    request = await submit(hall)
    is_resident = role is Role.RESIDENT
    caller = await hall.as_resident() if is_resident else await hall.as_staff(role)
    assert (await read(caller, request)).status_code == 403
    assert (await hall.client.get(f"{REQUESTS}/{request['id']}/audit")).status_code == 401


async def test_the_audit_of_nothing_does_not_exist(hall: Hall) -> None:
    auditor = await hall.as_staff("auditor")
    nothing = uuid4()
    assert (await read(auditor, {"id": nothing})).status_code == 404
    assert await queries.of_chain(hall.db, nothing) == []


@pytest.mark.parametrize("query", [{"after": -1}, {"limit": 0}, {"limit": 101}, {"after": 1 << 40}])
async def test_a_page_that_cannot_be_is_refused(hall: Hall, query: dict[str, int]) -> None:
    request = await submit(hall)
    assert (await read(await hall.as_staff("auditor"), request, **query)).status_code == 422
