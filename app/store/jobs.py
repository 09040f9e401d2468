"""What happens by itself: jobs that are woken now and then, in every process that runs jobs.

APScheduler only keeps the time. A job must be idempotent and safe beside itself in other
processes: what it works on are rows, claimed with SKIP LOCKED or guarded by a unique key.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

_log = structlog.get_logger(__name__)

Run = Callable[[datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """``run(now)`` is called about every ``period_s`` seconds, never beside itself."""

    name: str
    period_s: float
    run: Run


class JobRunner:
    """Wakes the jobs of one process. A job that fails is logged and woken again next time."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        for job in jobs:
            self._scheduler.add_job(
                self._wake,
                "interval",
                args=[job],
                id=job.name,
                seconds=job.period_s,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Wake nothing any more. What runs is finished or rolled back by its own transaction."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    @staticmethod
    async def _wake(job: Job) -> None:
        try:
            await job.run(datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - one bad turn must not end the job
            _log.warning("job_failed", job=job.name, error=type(error).__name__)


async def succeeds(item: Awaitable[bool], *, job: str) -> bool:
    """What one of the things a job works on says of itself; False if it fails, which is logged: the
    others need not wait for it."""
    try:
        return await item
    except Exception as error:  # noqa: BLE001 - one bad item must not end the job
        _log.warning("job_item_failed", job=job, error=type(error).__name__)
        return False
