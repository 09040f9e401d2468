"""What a step does to the clocks of its request. The arithmetic is ``domain.sla``'s."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import escalation, sla
from app.domain.escalation import Firing, Level
from app.domain.sla import ClockState, Metric
from app.domain.states import REPLY_CLOCK, Clock, State
from app.requests.city import City
from app.requests.models import CitizenRequest, ClockFire, RequestClock

PAUSABLE = (Metric.REPLY, Metric.COTASK, Metric.INTERNAL)
# Of the unit: without an answer neither is owed any more.
_OF_UNIT = (Metric.ACCEPT, Metric.INTERNAL)
# Clocks of a state: leaving it stops them.
WINDOWS = {State.NEED_INFO: Metric.INFO, State.SUSPENDED: Metric.SUSPENSION}


async def of_cycle(session: AsyncSession, request: CitizenRequest) -> dict[Metric, RequestClock]:
    """The clocks of the present cycle, ready to be changed, and that of an order from before."""
    ordered = (RequestClock.metric == Metric.SUPERVISE) & RequestClock.stopped_at.is_(None)
    clocks = await session.scalars(
        select(RequestClock)
        .where(
            RequestClock.request_id == request.id,
            (RequestClock.cycle_no == request.cycle_no) | ordered,
        )
        .order_by(RequestClock.cycle_no)
    )
    return {clock.metric: clock for clock in clocks}


def first_rung(city: City, metric: Metric, started_at: datetime, due_at: datetime) -> Firing | None:
    """The first thing to tell about a clock, if any is still ahead."""
    return escalation.first_rung(
        metric, started_at=started_at, due_at=due_at, calendar=city.reference.calendar
    )


def started(
    request_id: UUID,
    cycle_no: int,
    metric: Metric,
    due_at: datetime,
    *,
    city: City,
    now: datetime,
    known: RequestClock | None = None,
) -> RequestClock:
    """A clock that starts now: a new one, or ``known`` anew (another unit, another order)."""
    clock = known or RequestClock(request_id=request_id, cycle_no=cycle_no, metric=metric)
    clock.state = ClockState.RUNNING
    clock.started_at, clock.due_at, clock.original_due_at = now, due_at, due_at
    clock.paused_at = clock.stopped_at = None
    _aim(clock, first_rung(city, metric, now, due_at))
    return clock


def stop(clock: RequestClock, at: datetime) -> None:
    """The promise was kept, or kept too late."""
    clock.stopped_at = at
    clock.state = ClockState.MET if sla.met(clock.due_at, at, clock.metric) else ClockState.MISSED
    _aim(clock, None)


def cancel(clock: RequestClock, at: datetime) -> None:
    """The promise is no longer owed: neither met nor missed."""
    clock.stopped_at = at
    clock.state = ClockState.CANCELLED
    _aim(clock, None)


def let_go(clocks: dict[Metric, RequestClock], metric: Metric, at: datetime) -> None:
    """Cancel the clock of ``metric``, if one still runs or stands."""
    for clock in _of(clocks, (metric,)):
        cancel(clock, at)


def move_due(clock: RequestClock, due_at: datetime, *, city: City) -> None:
    """Another due instant: the rungs that were not told yet follow it."""
    clock.due_at = due_at
    if clock.state is ClockState.RUNNING:
        level = Level(clock.next_level) if clock.next_level else None
        _aim(clock, _from(clock, level, city) if level else None)


def enter(
    clocks: dict[Metric, RequestClock],
    request: CitizenRequest,
    target: State,
    *,
    city: City,
    now: datetime,
) -> None:
    """Let the promises follow the request from its state into ``target``."""
    before, after = REPLY_CLOCK[request.state], REPLY_CLOCK[target]
    reply = clocks[Metric.REPLY]
    if before is Clock.STANDS and after is not Clock.STANDS:
        resumed_at = standing_ends_at(request, now)
        if after is Clock.RUNS and reply.stopped_at is None:
            for clock in _standing(clocks):
                provisional = resume(clock, resumed_at, city=city)
                request.provisional = request.provisional or provisional
            request.reply_due_at = reply.due_at
        request.stands_since = request.stands_due_at = None
        request.info_until = request.resume_on = None
    elif before is Clock.RUNS and after is Clock.STANDS:
        request.stands_since, request.stands_due_at = now, reply.due_at
        request.reply_due_at = None
        for clock in _of(clocks, PAUSABLE):
            clock.state, clock.paused_at = ClockState.PAUSED, now
            clock.next_fire_at = None  # ``next_level`` stays: the ladder goes on from there
    if target is State.REPLIED:
        for clock in _of(clocks, (Metric.REPLY, Metric.INTERNAL)):
            stop(clock, now)
        for clock in _of(clocks, (Metric.CONTACT, Metric.ACCEPT)):
            cancel(clock, now)  # tried, never reached: nothing more to tell about it
    elif after is Clock.ENDED and reply.stopped_at is None:
        for clock in _of(clocks, (Metric.CONTACT, Metric.REPLY, *_OF_UNIT)):
            cancel(clock, now)  # closed without an answer: neither met nor missed
    elif after is Clock.CANCELLED:
        for clock in _of(clocks, tuple(Metric)):
            cancel(clock, now)
    window = WINDOWS.get(request.state)
    if window is not None and target is not request.state:
        for clock in _of(clocks, (window,)):
            stop(clock, now)


def standing_ends_at(request: CitizenRequest, now: datetime) -> datetime:
    """When the clock that stands runs on: never later than it was said, whoever notices when."""
    ends_at = request.info_until or request.resume_on
    return now if ends_at is None else min(now, ends_at)


def resume(clock: RequestClock, resumed_at: datetime, *, city: City) -> bool:
    """Let a standing clock run on; whether its due instant is provisional."""
    paused_at = clock.paused_at or resumed_at
    due_at, provisional = sla.settled(
        city.reference.calendar,
        lambda by: sla.due_after_pause(
            by, clock.due_at, paused_at=paused_at, resumed_at=resumed_at
        ),
    )
    clock.state, clock.paused_at = ClockState.RUNNING, None
    move_due(clock, due_at, city=city)
    return provisional


def run_again(clock: RequestClock, *, city: City, told: Level | None) -> None:
    """A cancelled promise is owed again, as if it had run on.

    Args:
        told: the last rung that was told of it; neither it nor one before is told again.
    """
    clock.state, clock.stopped_at, clock.paused_at = ClockState.RUNNING, None, None
    rung = escalation.next_rung(
        clock.metric,
        started_at=clock.started_at,
        due_at=clock.due_at,
        calendar=city.reference.calendar,
        after_level=told,
    )
    _aim(clock, rung)


async def told_of(session: AsyncSession, request: CitizenRequest) -> dict[Metric, Level]:
    """The last rung that was told of each clock of the present cycle."""
    fires = await session.execute(
        select(ClockFire.metric, ClockFire.level).where(
            ClockFire.request_id == request.id, ClockFire.cycle_no == request.cycle_no
        )
    )
    levels: dict[Metric, set[Level]] = defaultdict(set)
    for metric, level in fires:
        levels[metric].add(Level(level))
    return {
        metric: [level for level, _ in escalation.LADDER[metric] if level in told][-1]
        for metric, told in levels.items()
    }


def _of(clocks: dict[Metric, RequestClock], metrics: Iterable[Metric]) -> list[RequestClock]:
    """Those of ``metrics`` that are not stopped."""
    found = (clocks.get(metric) for metric in metrics)
    return [clock for clock in found if clock is not None and clock.stopped_at is None]


def _standing(clocks: dict[Metric, RequestClock]) -> list[RequestClock]:
    return [clock for clock in _of(clocks, PAUSABLE) if clock.state is ClockState.PAUSED]


def _from(clock: RequestClock, level: Level, city: City) -> Firing | None:
    return escalation.rung_from(
        level,
        clock.metric,
        started_at=clock.started_at,
        due_at=clock.due_at,
        calendar=city.reference.calendar,
    )


def _aim(clock: RequestClock, rung: Firing | None) -> None:
    clock.next_level, clock.next_fire_at = (rung.level, rung.fire_at) if rung else (None, None)
