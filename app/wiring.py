"""What belongs together, in three tables: routers, who hears of what, and the jobs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fastapi import APIRouter

from app.audit import service as audit
from app.domain.events import ClockFired, PromiseMoved, RequestMoved, RequestSubmitted
from app.domain.quiet_hours import QuietHours
from app.grids import endpoints as grids
from app.notifications import endpoints as notifications
from app.notifications.service import put_in_inbox
from app.outbox import service as outbox
from app.people import endpoints as people
from app.people import service as people_service
from app.reference import endpoints as reference
from app.requests import disclosure
from app.requests import endpoints as requests
from app.requests import service as requests_service
from app.requests.city import City
from app.settings import Settings
from app.sla import endpoints as sla_endpoints
from app.sla import recalculation
from app.sla import service as sla
from app.statistics import endpoints as statistics
from app.store.session import Database
from app.web import idempotency, limits
from app.wechat import endpoints as wechat

# The busiest first: a path is looked for in this order.
ROUTERS: tuple[APIRouter, ...] = (
    requests.router,
    people.router,
    wechat.router,
    reference.router,
    sla_endpoints.router,
    grids.router,
    disclosure.router,
    notifications.router,
    statistics.router,
)


def subscribers(settings: Settings) -> outbox.Subscribers:
    """Event → who hears of it."""
    hours = settings.notifications
    inbox = partial(put_in_inbox, quiet=QuietHours(hours.quiet_from, hours.quiet_to))
    return {
        RequestSubmitted: (inbox,),
        RequestMoved: (inbox,),
        ClockFired: (inbox,),
        PromiseMoved: (inbox,),
    }


@dataclass(frozen=True, slots=True)
class Works:
    """What a job may use. ``city()`` is the city as this process knows it now."""

    db: Database
    settings: Settings
    city: Callable[[], City]


async def sweep_clocks(works: Works, now: datetime) -> None:
    # A pass climbs one rung of each clock: after an outage there are several to climb.
    looked_at = 1
    while looked_at:
        async with works.db.transaction() as session:
            looked_at = await sla.sweep(
                session, works.city(), now=now, batch=works.settings.jobs.batch
            )


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


async def seal_audit(works: Works, now: datetime) -> None:
    async with works.db.transaction() as session:
        await audit.seal_days(session, now)


async def forget_old(works: Works, now: datetime) -> None:
    keep = timedelta(hours=works.settings.limits.idempotency_hours)
    async with works.db.transaction() as session:
        await idempotency.purge(session, now=now, keep=keep)
        await limits.purge(session, now=now, keep=timedelta(days=1))
        await people_service.forget_old_logins(session, now=now)


JobFunction = Callable[[Works, datetime], Awaitable[None]]


def jobs(settings: Settings) -> tuple[tuple[str, float, JobFunction], ...]:
    """Name, period in seconds, function."""
    return (
        ("sweep_clocks", settings.jobs.sweep_s, sweep_clocks),
        ("deliver_outbox", settings.jobs.deliver_s, deliver_outbox),
        ("recalculate_promises", 5.0, recalculate_promises),
        ("archive_ended", 300.0, archive_ended),
        ("seal_audit", 600.0, seal_audit),
        ("forget_old", 60.0, forget_old),
    )
