"""F2: thousands of clocks fall due within seconds while those who watch them are killed."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.domain import escalation
from app.domain.sla import Metric
from tests.faults import invariants
from tests.faults.lives import ONLY_SUBMITTED
from tests.faults.rig import Rig, Scenario, Sizes, Tell, staged

pytestmark = pytest.mark.slow

_SPREAD_S = 6.0
_STARTED = timedelta(days=30)  # long ago: both warnings of each ladder lie behind us
_RUNGS = 3  # two warnings that are overdue, and the breach
_TAKEN_OVER_S = 60.0

_CLOCKS = """
SELECT request_id, metric FROM request_clocks WHERE metric IN ('contact', 'reply') AND cycle_no = 1
"""
_MOVE = """
UPDATE request_clocks AS clock
SET started_at = moved.started_at, due_at = moved.due_at, original_due_at = moved.due_at,
  next_level = moved.level, next_fire_at = moved.fire_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[],
  $6::timestamptz[]) AS moved (request_id, metric, started_at, due_at, level, fire_at)
WHERE (clock.request_id, clock.cycle_no, clock.metric) = (moved.request_id, 1, moved.metric)
"""
_PROMISED = """
UPDATE requests SET contact_due_at = contact.due_at, reply_due_at = reply.due_at
FROM request_clocks AS contact, request_clocks AS reply
WHERE (contact.request_id, contact.cycle_no, contact.metric) = (id, requests.cycle_no, 'contact')
  AND (reply.request_id, reply.cycle_no, reply.metric) = (id, requests.cycle_no, 'reply')
"""
_FIRED = "SELECT count(*) FROM clock_fires WHERE metric IN ('contact', 'reply')"
_EACH = """
SELECT request_id, metric, array_agg(level::text ORDER BY fire_at) AS told
FROM clock_fires WHERE metric IN ('contact', 'reply') GROUP BY request_id, metric
"""
_LATE = """
SELECT max(fired_at - fire_at), percentile_disc(0.99) WITHIN GROUP (ORDER BY fired_at - fire_at)
FROM clock_fires WHERE level = 'breach_1'
"""


async def _make_due(scenario: Scenario, connection: asyncpg.Connection) -> int:
    """Let every clock break its promise within the next seconds; how many there are."""
    calendar = await invariants.calendar_of(scenario.rig.url(scenario.name))
    clocks = await connection.fetch(_CLOCKS)
    begins_at = datetime.now(UTC) + timedelta(seconds=1)
    moved: list[Sequence[object]] = []
    for request_id, metric in clocks:
        due_at = begins_at + timedelta(seconds=scenario.random.uniform(0, _SPREAD_S))
        started_at = due_at - _STARTED
        rung = escalation.first_rung(
            Metric(metric), started_at=started_at, due_at=due_at, calendar=calendar
        )
        assert rung is not None
        moved.append((request_id, metric, started_at, due_at, rung.level, rung.fire_at))
    async with connection.transaction():
        await connection.execute(_MOVE, *map(list, zip(*moved, strict=True)))
        await connection.execute(_PROMISED)
    return len(clocks)


async def test_each_rung_fires_once_whoever_is_killed(rig: Rig, sizes: Sizes, tell: Tell) -> None:
    async with staged(rig, sizes, tell, "timers", workers=4) as scenario:
        async with scenario.load(lives=ONLY_SUBMITTED, most=sizes.clocks // 2) as load:
            await load.finish(at_once=False)
        async with scenario.admin() as connection:
            clocks = await _make_due(scenario, connection)
            scenario.counts["clocks"] = clocks
            assert clocks == sizes.clocks // 2 * 2
            ends_at = time.monotonic() + _SPREAD_S + 1
            between_s = _SPREAD_S / sizes.clock_kills
            for killed in range(sizes.clock_kills):
                await asyncio.sleep(between_s * scenario.random.uniform(0.5, 1))
                await scenario.kill_a_worker()
                scenario.counts["kills"] = killed + 1
            await asyncio.sleep(max(0, ends_at - time.monotonic()))
            while await connection.fetchval(_FIRED) < clocks * _RUNGS:
                if time.monotonic() > ends_at + _TAKEN_OVER_S:
                    break
                await asyncio.sleep(0.1)
            ladders = {tuple(told) for _, _, told in await connection.fetch(_EACH)}
            scenario.counts["fired"] = await connection.fetchval(_FIRED)
            latest, most = await connection.fetchrow(_LATE)
            scenario.counts["late p99"] = f"{most.total_seconds():.1f} s"
            scenario.counts["latest"] = f"{latest.total_seconds():.1f} s"
        assert scenario.counts["fired"] == clocks * _RUNGS
        assert ladders == {("due_soon_1", "due_soon_2", "breach_1")}
        assert latest.total_seconds() <= _TAKEN_OVER_S
        await scenario.verdict(load)
