"""F6, F7: the line to the database breaks, at worst after a commit and before its reply.

Whoever asks again with the same key is told what was done; it is not done again.
"""

import asyncio
import re
import time

import pytest

from tests.faults.proxy import Command, Loss
from tests.faults.rig import Rig, Sizes, Tell, staged_behind_proxy

pytestmark = pytest.mark.slow

_BLACK_HOLE_S = 12.0
_WAIT_S = 10.0  # nobody waits longer
_RECOVERY_S = 10.0
_NOTICED_S = 3.0  # keepalives take 25 s: see app.store.session
_KEY = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def of_a_client(command: Command) -> bool:
    """Whether this commits what a client asked for: a submission, or a step."""
    if command.is_commit:
        return any("INTO idempotency_keys" in sql for sql in command.before)
    return "INSERT INTO requests" in command.sql


def of_a_job(command: Command) -> bool:
    """Whether this commits fired rungs or delivered events."""
    return command.is_commit and any(
        "INTO clock_fires" in sql or "DELETE FROM outbox" in sql for sql in command.before
    )


async def test_a_lost_reply_to_a_commit_is_asked_for_again_and_is_the_same(
    rig: Rig, sizes: Sizes, tell: Tell
) -> None:
    async with staged_behind_proxy(rig, sizes, tell, "lost_replies") as (scenario, proxy):
        lost = {"submissions": 0, "steps": 0, "jobs": 0}
        keys: set[str] = set()

        def choose(command: Command) -> Loss | None:
            if of_a_job(command) and scenario.random.random() < 0.1:
                lost["jobs"] += 1
                return scenario.random.choice((Loss.CUT, Loss.SWALLOW))
            of_clients = lost["submissions"] + lost["steps"]
            chosen = of_clients < sizes.lost and scenario.random.random() < 0.3
            if not chosen or not of_a_client(command):
                return None
            lost["steps" if command.is_commit else "submissions"] += 1
            keys.update(key.decode() for key in _KEY.findall(command.values))
            # Silence costs its client seconds: a few are enough to see what it does.
            few = of_clients % 50 == 25
            return Loss.SILENCE if few else scenario.random.choice((Loss.CUT, Loss.SWALLOW))

        async with scenario.load() as load:
            await load.progress(10)
            proxy.choose = choose
            while lost["submissions"] + lost["steps"] < sizes.lost:
                await load.progress(1)
            await load.progress(20)
            await load.finish()
            proxy.choose = None
        scenario.counts["lost"] = lost
        scenario.counts["how"] = {str(loss): n for loss, n in proxy.counts.lost.items()}
        scenario.counts["refused by the server"] = proxy.counts.failed
        assert lost["submissions"] > 0
        assert lost["steps"] > 0
        assert proxy.counts.failed == 0
        assert sum(proxy.counts.lost.values()) == sum(lost.values())
        # Each was committed, so each came back as the answer that was kept, and no other did.
        assert {call.key for call in load.acknowledged if call.replayed} == keys
        await scenario.verdict(load)


async def test_a_line_that_is_reset_or_silent_is_survived_and_nobody_waits_for_ever(
    rig: Rig, sizes: Sizes, tell: Tell
) -> None:
    async with staged_behind_proxy(rig, sizes, tell, "broken_line") as (scenario, proxy):
        async with scenario.load() as load:
            for _ in range(sizes.restarts // 2):
                await load.progress(10)
                proxy.reset()
            scenario.counts["resets of connections"] = proxy.counts.resets
            await load.progress(10)
            scenario.counts["half-open connections"] = proxy.freeze(noticed_after_s=_NOTICED_S)
            froze_at = time.monotonic()
            await load.progress(sizes.clients)
            scenario.counts["then recovered in"] = f"{time.monotonic() - froze_at:.1f} s"
            async with proxy.black_hole():
                await asyncio.sleep(_BLACK_HOLE_S)
                waiting = load.waiting(longer_than_s=_WAIT_S)
            passes_at = time.monotonic()
            await load.progress(sizes.clients)
            recovered_s = time.monotonic() - passes_at
            scenario.counts["silence"] = f"{_BLACK_HOLE_S} s"
            scenario.counts["then also in"] = f"{recovered_s:.1f} s"
            await load.finish()
        assert not waiting, waiting[:5]
        assert recovered_s <= _RECOVERY_S
        await scenario.verdict(load)
