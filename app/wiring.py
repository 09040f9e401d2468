"""What belongs together, in three tables: routers, who hears of what, and the jobs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fastapi import APIRouter

from app.audit import service as audit
from app.domain.events import (
    ClockFired,
    LeaderHandedOver,
    PromiseMoved,
    RequestMoved,
    RequestSubmitted,
)
from app.domain.quiet_hours import QuietHours
from app.grids import administration as grid_administration
from app.grids import endpoints as grids
from app.intelligence import endpoints as intelligence
from app.maps import endpoints as maps
from app.notifications import endpoints as notifications
from app.notifications.service import put_in_inbox, tell_successors
from app.outbox import service as outbox
from app.people import endpoints as people
from app.people import service as people_service
from app.reference import endpoints as reference
from app.registry import collecting as registry_collecting
from app.registry import endpoints as registry
from app.requests import disclosure, grid_first
from app.requests import endpoints as requests
from app.requests import service as requests_service
from app.requests.city import City
from app.satisfaction import appeals as satisfaction_appeals
from app.satisfaction import endpoints as satisfaction
from app.settings import Settings
from app.sla import endpoints as sla_endpoints
from app.sla import recalculation, sweeping
from app.statistics import endpoints as statistics
from app.statistics import export_doors as statistics_exports
from app.statistics import export_job, rollup_making
from app.statistics import publishing as statistics_publishing
from app.store.session import Database
from app.teams import doors as team_doors
from app.teams import endpoints as teams
from app.teams import photo_doors as team_photos
from app.web import idempotency, limits
from app.wechat import endpoints as wechat

# The busiest first: a path is looked for in this order.
ROUTERS: tuple[APIRouter, ...] = (
    requests.hot,
    requests.router,
    people.router,
    wechat.router,
    reference.router,
    sla_endpoints.router,
    grid_administration.router,  # before /grids/{code}
    grids.router,
    registry.router,
    teams.router,
    team_doors.router,
    team_doors.public,
    team_photos.router,
    disclosure.router,
    notifications.router,
    satisfaction.router,
    satisfaction_appeals.router,
    statistics.router,
    statistics_publishing.router,
    statistics_exports.router,
    intelligence.router,
    maps.router,
)

# Which paths take other bodies than JSON, and how large.
BODIES = {**grid_administration.BODIES, **team_photos.BODIES}


def subscribers(settings: Settings) -> outbox.Subscribers:
    """Event → who hears of it."""
    hours = settings.notifications
    quiet = QuietHours(hours.quiet_from, hours.quiet_to)
    inbox = partial(put_in_inbox, quiet=quiet)
    return {
        RequestSubmitted: (inbox,),
        RequestMoved: (inbox,),
        ClockFired: (inbox,),
        PromiseMoved: (inbox,),
        LeaderHandedOver: (partial(tell_successors, quiet=quiet),),
    }


@dataclass(frozen=True, slots=True)
class Works:
    """What a job may use. ``city()`` is the city as this process knows it now."""

    db: Database
    settings: Settings
    city: Callable[[], City]


async def sweep_clocks(works: Works, now: datetime) -> None:
    await sweeping.sweep(works.db, works.city(), now=now, batch=works.settings.jobs.batch)


async def deliver_outbox(works: Works, now: datetime) -> None:
    batch, told = works.settings.jobs.batch, subscribers(works.settings)
    while await outbox.deliver(works.db, told, now=now, batch=batch) == batch:
        pass


async def recalculate_promises(works: Works, now: datetime) -> None:
    turn = True
    while turn:
        async with works.db.transaction() as session:
            turn = await recalculation.recalculate(
                session, works.city(), now=now, batch=works.settings.jobs.batch
            )


async def archive_ended(works: Works, now: datetime) -> None:
    archived = True
    while archived:
        async with works.db.transaction() as session:
            archived = await requests_service.archive_next(session, works.city(), now=now)


async def release_grid_first(works: Works, now: datetime) -> None:
    released = True
    while released:
        async with works.db.transaction() as session:
            released = await grid_first.release_next(session, works.city(), now=now)


async def sum_up(works: Works, now: datetime) -> None:
    async with works.db.transaction() as session:
        await rollup_making.refresh(session, now=now)


async def seal_audit(works: Works, now: datetime) -> None:
    async with works.db.transaction() as session:
        await audit.seal_days(session, now)


async def run_exports(works: Works, now: datetime) -> None:
    clock = export_job.clock_from(now)
    while await export_job.make_next(works.db, works.settings, works.city(), clock=clock):
        pass


async def purge_exports(works: Works, now: datetime) -> None:
    await export_job.purge(works.db, works.settings, now=now)


async def forget_old(works: Works, now: datetime) -> None:
    keep = timedelta(hours=works.settings.limits.idempotency_hours)
    async with works.db.transaction() as session:
        await idempotency.purge(session, now=now, keep=keep)
        await limits.purge(session, now=now, keep=timedelta(days=1))
        await people_service.forget_old_logins(session, now=now)
        await registry_collecting.forget_old(session, now=now, keep=timedelta(days=90))


JobFunction = Callable[[Works, datetime], Awaitable[None]]


def jobs(settings: Settings) -> tuple[tuple[str, float, JobFunction], ...]:
    """Name, period in seconds, function."""
    return (
        ("sweep_clocks", settings.jobs.sweep_s, sweep_clocks),
        ("deliver_outbox", settings.jobs.deliver_s, deliver_outbox),
        ("recalculate_promises", 5.0, recalculate_promises),
        ("release_grid_first", 10.0, release_grid_first),
        ("archive_ended", 300.0, archive_ended),
        ("sum_up", 60.0, sum_up),
        ("seal_audit", 600.0, seal_audit),
        ("run_exports", 2.0, run_exports),
        ("purge_exports", 300.0, purge_exports),
        ("forget_old", 60.0, forget_old),
    )
