"""What a step does to the clocks of its request. The arithmetic is ``domain.sla``'s."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import escalation, sla
from app.domain.escalation import Firing, Level
from app.domain.lifecycle import REPLY_CLOCK, Clock, State
from app.domain.sla import ClockState, Metric
from app.requests.city import City
from app.requests.models import CitizenRequest, RequestClock


async def of_cycle(session: AsyncSession, request: CitizenRequest) -> dict[Metric, RequestClock]:
    """The clocks of the present cycle, ready to be changed."""
    clocks = await session.scalars(
        select(RequestClock).where(
            RequestClock.request_id == request.id, RequestClock.cycle_no == request.cycle_no
        )
    )
    return {clock.metric: clock for clock in clocks}


def first_rung(city: City, metric: Metric, started_at: datetime, due_at: datetime) -> Firing | None:
    """The first thing to tell about a clock, if any is still ahead."""
    return escalation.first_rung(
        metric, started_at=started_at, due_at=due_at, calendar=city.reference.calendar
    )


def stop(clock: RequestClock, at: datetime) -> None:
    """The promise was kept, or kept too late."""
    clock.stopped_at = at
    clock.state = ClockState.MET if sla.met(clock.due_at, at, clock.metric) else ClockState.MISSED
    clock.next_level = clock.next_fire_at = None


def cancel(clock: RequestClock, at: datetime) -> None:
    """The promise is no longer owed: neither met nor missed."""
    clock.stopped_at = at
    clock.state = ClockState.CANCELLED
    clock.next_level = clock.next_fire_at = None


def enter(
    clocks: dict[Metric, RequestClock],
    request: CitizenRequest,
    target: State,
    *,
    city: City,
    now: datetime,
) -> None:
    """Let the clocks follow the request from its state into ``target``."""
    before, after = REPLY_CLOCK[request.state], REPLY_CLOCK[target]
    reply = clocks[Metric.REPLY]
    if before is Clock.RUNS and after is Clock.STANDS:
        reply.state, reply.paused_at = ClockState.PAUSED, now
        reply.next_fire_at = None  # ``next_level`` stays: the ladder goes on from there
        request.reply_due_at = None
    elif before is Clock.STANDS and after is Clock.RUNS:
        _resume(reply, request, city=city, now=now)
    elif after is Clock.ENDED and reply.stopped_at is None:
        stop(reply, now)
        contact = clocks[Metric.CONTACT]
        if contact.stopped_at is None:  # tried, never reached: nothing more to tell about it
            cancel(contact, now)
    elif after is Clock.CANCELLED:
        for clock in clocks.values():
            if clock.stopped_at is None:
                cancel(clock, now)


def _resume(reply: RequestClock, request: CitizenRequest, *, city: City, now: datetime) -> None:
    paused_at, due_at = reply.paused_at or now, reply.due_at
    reply.due_at, provisional = sla.settled(
        city.reference.calendar,
        lambda by: sla.due_after_pause(by, due_at, paused_at=paused_at, resumed_at=now),
    )
    reply.state, reply.paused_at = ClockState.RUNNING, None
    if reply.next_level is not None:
        rung = escalation.rung_from(
            Level(reply.next_level),
            Metric.REPLY,
            started_at=reply.started_at,
            due_at=reply.due_at,
            calendar=city.reference.calendar,
        )
        reply.next_level, reply.next_fire_at = (rung.level, rung.fire_at) if rung else (None, None)
    request.reply_due_at = reply.due_at
    request.provisional = request.provisional or provisional


def start_rating(
    request: CitizenRequest, policy: sla.Policy, *, city: City, now: datetime
) -> RequestClock:
    """Open the window in which the resident may rate."""
    due_at = sla.rate_due(policy, city.reference.calendar, now)
    rung = first_rung(city, Metric.RATE, now, due_at)
    request.rate_until = due_at
    return RequestClock(
        request_id=request.id,
        cycle_no=request.cycle_no,
        metric=Metric.RATE,
        state=ClockState.RUNNING,
        started_at=now,
        due_at=due_at,
        original_due_at=due_at,
        next_level=rung.level if rung else None,
        next_fire_at=rung.fire_at if rung else None,
    )
