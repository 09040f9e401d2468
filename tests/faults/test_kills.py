"""F1: processes die at random moments under load; nobody who was answered loses anything."""

import asyncio
import signal
import time

import pytest

from tests.faults.rig import Rig, Sizes, Tell, staged

pytestmark = pytest.mark.slow

_BETWEEN = 3  # answers, so that each kill hits a service at work


async def test_killed_workers_lose_nothing_and_do_nothing_twice(
    rig: Rig, sizes: Sizes, tell: Tell
) -> None:
    async with staged(rig, sizes, tell, "killed_workers", workers=4) as scenario:
        async with scenario.load() as load:
            await load.progress(10)
            longest_s, began = 0.0, time.monotonic()
            for killed in range(sizes.kills):
                await asyncio.sleep(scenario.random.uniform(0, 0.2))
                await scenario.kill_a_worker()
                longest_s = max(longest_s, await load.progress(_BETWEEN))
                scenario.counts["kills"] = killed + 1
            per_kill_s = (time.monotonic() - began) / sizes.kills
            scenario.counts["a kill each"] = f"{per_kill_s:.2f} s"
            scenario.counts["longest to answer again"] = f"{longest_s:.1f} s"
            await load.finish()
        await scenario.verdict(load)


async def test_after_everything_was_killed_it_goes_on_where_it_stood(
    rig: Rig, sizes: Sizes, tell: Tell
) -> None:
    async with staged(rig, sizes, tell, "killed_everything", workers=2) as scenario:
        async with scenario.load() as load:
            for round_no in range(sizes.blackouts):
                await load.progress(10)
                await asyncio.sleep(scenario.random.uniform(0, 0.5))
                if scenario.random.random() < 0.5:
                    scenario.service.kill()
                    rig.end_database(signal.SIGKILL)
                else:
                    rig.end_database(signal.SIGKILL)
                    scenario.service.kill()
                await asyncio.to_thread(rig.server.start)
                await scenario.start()
                scenario.counts["kills of everything"] = round_no + 1
            await load.progress(10)
            await load.finish()
        await scenario.verdict(load)
