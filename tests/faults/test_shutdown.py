"""F21: told to stop under load, the service ends what it has begun, and then itself."""

import asyncio
import time

import asyncpg
import pytest

from tests.faults.rig import Rig, Scenario, Sizes, Tell, staged

pytestmark = pytest.mark.slow

_EXIT_S = 25.0
_WORKING = 5  # calls that wait for the database when the signal comes
_ARRIVED_S = 0.25  # a call that was sent so long ago has reached the idle service
_HELD_S = 0.3
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def _until_waiting(connection: asyncpg.Connection) -> None:
    until = time.monotonic() + 10
    while await connection.fetchval(_WAITING) < _WORKING:
        assert time.monotonic() < until, "nobody asks for anything"
        await asyncio.sleep(0.01)


async def _stop_in_the_middle(scenario: Scenario) -> tuple[float, int, float]:
    """Make the database slow, tell the service to stop, let the database go on.

    Returns: when it was told to stop (monotonic), the exit code, the seconds until the exit.
    """
    async with scenario.admin() as connection, connection.transaction():
        await connection.execute("LOCK TABLE requests IN SHARE ROW EXCLUSIVE MODE")
        await _until_waiting(connection)
        await asyncio.sleep(_ARRIVED_S)
        told_at = time.monotonic()
        stopping = asyncio.create_task(scenario.stop())
        await asyncio.sleep(_HELD_S)
    code = await stopping
    return told_at, code, time.monotonic() - told_at


async def test_sigterm_loses_no_request_that_had_arrived(
    rig: Rig, sizes: Sizes, tell: Tell
) -> None:
    # The slowness is ours: it must not look like the service's own.
    patient = {
        "LIANXIN_DATABASE__LOCK_TIMEOUT_MS": "4500",
        "LIANXIN_DATABASE__ACQUIRE_TIMEOUT_S": "8",
    }
    async with staged(rig, sizes, tell, "sigterm", workers=2, **patient) as scenario:
        async with scenario.load() as load:
            slowest_s, in_flight, lost = 0.0, 0, []
            for stop in range(sizes.stops):
                await load.progress(20)
                told_at, code, took_s = await _stop_in_the_middle(scenario)
                assert code == 0
                slowest_s = max(slowest_s, took_s)
                arrived = [
                    (call, attempt)
                    for call in load.calls
                    for attempt in call.attempts
                    if attempt.began < told_at - _ARRIVED_S
                    and (attempt.ended == 0.0 or attempt.ended > told_at)
                ]
                in_flight += len(arrived)
                lost += [
                    (call.operation, call.key, attempt.status)
                    for call, attempt in arrived
                    if attempt.status is None or attempt.status >= 500
                ]
                scenario.counts["stops"] = stop + 1
                scenario.counts["in flight"] = in_flight
                scenario.counts["lost"] = len(lost)
                scenario.counts["slowest exit"] = f"{slowest_s:.1f} s"
                await scenario.start()
            await load.progress(20)
            await load.finish()
        assert lost == []
        assert in_flight >= sizes.stops * _WORKING
        assert slowest_s <= _EXIT_S
        await scenario.verdict(load)
