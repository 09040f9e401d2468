"""The rules find what is wrong: a healthy city breaks none, a planted fault breaks its own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text

from tests.city import OTHER_UNIT, Caller, CityHall
from tests.faults import invariants
from tests.faults.invariants import ALL
from tests.faults.planted import ELSEWHERE, PLANTED
from tests.requests.doing import BAD, GOOD, REPLY, rejected, working


@dataclass
class Acknowledged:
    """What a client would have kept of one submission."""

    actor_id: UUID
    key: str
    answer: bytes
    request_id: UUID
    operation: str = "submit"
    answered_version: int = 2


@dataclass
class Lives:
    """Requests in a small city, everything done that was due; by what they stand for."""

    hall: CityHall
    ids: dict[str, str]
    acknowledged: Acknowledged

    async def breaks(self, connection: asyncpg.Connection, rule: str) -> bool:
        rules = {rule: ALL[rule]}
        return bool(await invariants.violations(connection, now=self.hall.clock.now, rules=rules))


@pytest.fixture(scope="module")
async def lives(hall: CityHall) -> Lives:
    resident = await hall.as_resident()
    requests = await _lived(hall, resident)
    key = uuid4().hex
    waiting, answer = await _submitted(resident, key)
    hall.clock.forward(hours=3)
    await hall.work()
    await hall.work()
    ids = {name: request["id"] for name, request in requests.items()}
    kept = Acknowledged(resident.id, key, answer, UUID(waiting))
    return Lives(hall, {**ids, "waiting": waiting}, kept)


async def _lived(hall: CityHall, resident: Caller) -> dict[str, dict[str, Any]]:
    """One request for each thing that can be wrong with one."""
    act, handler, desk = hall.act, await hall.as_staff("handler"), await hall.as_staff("dispatcher")
    leader, supervisor = await hall.as_staff("unit_leader"), await hall.as_staff("supervisor")

    lived = await act(resident, await hall.replied(resident), "rate", **GOOD)
    again = await act(resident, await hall.replied(resident), "rate", **BAD)
    again = await act(desk, again, "decide_reopen", decision="reopen", note="再办")

    busy = await working(hall, handler, resident)
    busy = await act(handler, busy, "ask_info", note="在哪里？")
    busy = await act(resident, busy, "supply", text="在村口")
    busy = await act(leader, busy, "co_assign", unit_code=OTHER_UNIT, task="断水配合")
    busy = await act(handler, busy, "request_extension", working_days=2, reason_code="survey",
                     note="要查勘")  # fmt: skip
    busy = await act(supervisor, busy, "supervise", level=1, note="请答复")
    busy = await act(desk, busy, "urge")

    standing = await working(hall, handler, resident)
    standing = await act(leader, standing, "suspend", reason_code="weather", until="2026-03-09",
                         note="汛期")  # fmt: skip
    standing = await act(desk, standing, "suspend", decision="approve", note="同意")

    reviewed = await _looked_at(hall, resident)
    master, follower = await hall.submit(resident), await hall.submit(resident)
    follower = await act(desk, follower, "merge", master_id=master["id"], note="同一件事")
    return {
        "lived": lived,
        "again": again,
        "busy": busy,
        "standing": standing,
        "reviewed": reviewed,
        "master": master,
        "follower": follower,
        "rejected": await rejected(hall, resident),
    }


async def _looked_at(hall: CityHall, resident: Caller) -> dict[str, Any]:
    """A request whose reply the unit's leader sent, and whose resident was called back."""
    category, unit = "utility.power_outage", "power_company"
    handler = await hall.as_staff("handler", unit=unit)
    leader = await hall.as_staff("unit_leader", unit=unit)
    async with hall.db.transaction() as session:
        await session.execute(text("UPDATE sla_policies SET review_required = true"
                                   " WHERE code = 'urgent'"))  # fmt: skip
    await hall.app.state.reference.refresh(hall.db)
    request = await working(hall, handler, resident, category_code=category)
    request = await hall.act(handler, request, "reply", **REPLY)
    request = await hall.act(leader, request, "decide_reply", decision="approve")
    async with hall.db.transaction() as session:
        await session.execute(text("UPDATE requests SET sampled = true WHERE id = :id"),
                              {"id": request["id"]})  # fmt: skip
    desk = await hall.as_staff("dispatcher")
    return await hall.act(desk, request, "call_back", reached=True, **GOOD)


async def _submitted(resident: Caller, key: str) -> tuple[str, bytes]:
    form = {"text": "路灯不亮", "category_code": "road.lamp"}
    answer = await resident.post("/api/v1/requests", form, key=key)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.content


async def _meddler(database_url: str) -> asyncpg.Connection:
    """A connection that no foreign key and no trigger holds up."""
    return await asyncpg.connect(
        database_url, server_settings={"session_replication_role": "replica", "jit": "off"}
    )


@pytest.fixture
async def connection(lives: Lives, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A meddler's transaction that is rolled back after the test."""
    connection = await _meddler(database_url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def test_a_healthy_city_breaks_no_rule(
    lives: Lives, connection: asyncpg.Connection, database_url: str
) -> None:
    assert await invariants.violations(connection, now=lives.hall.clock.now) == {}
    assert await invariants.unkept(connection, [lives.acknowledged]) == []
    assert await invariants.altered(database_url) == []
    calendar = await invariants.calendar_of(database_url)
    now = lives.hall.clock.now
    assert await invariants.lost_rungs(connection, calendar, now=now) == []


def test_every_rule_has_a_planted_fault() -> None:
    assert set(PLANTED) | ELSEWHERE == set(ALL)


@pytest.mark.parametrize("rule", PLANTED)
async def test_a_planted_fault_is_found(
    lives: Lives, connection: asyncpg.Connection, rule: str
) -> None:
    planted = PLANTED[rule]
    for name, request_id in lives.ids.items():
        planted = planted.replace(f":{name}", f"'{request_id}'::uuid")
    await connection.execute(planted)
    assert await lives.breaks(connection, rule)


async def test_an_altered_entry_of_the_audit_is_found(lives: Lives, database_url: str) -> None:
    connection = await _meddler(database_url)
    change = "UPDATE audit_entries SET actor_role = $2 WHERE chain = $1 AND seq = 3"
    entry = UUID(lives.ids["lived"])
    role = await connection.fetchval(
        "SELECT actor_role FROM audit_entries WHERE chain = $1 AND seq = 3", entry
    )
    await connection.execute(change, entry, "auditor")
    try:
        assert await invariants.altered(database_url)
    finally:
        await connection.execute(change, entry, role)
        await connection.close()
    assert await invariants.altered(database_url) == []


async def test_a_transaction_left_open_is_found(
    lives: Lives, connection: asyncpg.Connection, database_url: str
) -> None:
    other = await asyncpg.connect(database_url)
    rules = {name: ALL[name] for name in ELSEWHERE}
    async with other.transaction():
        await other.execute("SELECT 1")
        for idle, found in ((timedelta(0), ELSEWHERE), (timedelta(minutes=1), set())):
            broken = await invariants.violations(connection, idle=idle, rules=rules)
            assert {name.rpartition(" (")[0] for name in broken} == found
    await other.close()


@pytest.mark.parametrize(
    "planted",
    [
        "DELETE FROM idempotency_keys WHERE key = '{key}'",
        "UPDATE idempotency_keys SET body = '{{}}' WHERE key = '{key}'",
        "DELETE FROM request_events WHERE request_id = '{request}' AND version = 2",
    ],
)
async def test_an_acknowledged_request_that_is_lost_is_found(
    lives: Lives, connection: asyncpg.Connection, planted: str
) -> None:
    kept = lives.acknowledged
    await connection.execute(planted.format(key=kept.key, request=kept.request_id))
    assert len(await invariants.unkept(connection, [kept])) == 1


@pytest.mark.parametrize(
    "planted",
    [
        # Lost although nothing looks due; lost for ever; told at another time.
        "DELETE FROM clock_fires",
        "UPDATE request_clocks SET next_fire_at = NULL, next_level = NULL WHERE metric = 'contact'",
        "UPDATE clock_fires SET fire_at = fire_at + interval '1 us'",
    ],
)
async def test_a_lost_rung_is_found(
    lives: Lives, connection: asyncpg.Connection, database_url: str, planted: str
) -> None:
    calendar = await invariants.calendar_of(database_url)
    await connection.execute(planted)
    now = lives.hall.clock.now
    assert await invariants.lost_rungs(connection, calendar, now=now, patience=timedelta(0))
