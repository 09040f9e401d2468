"""What open promises went through, and what another calendar would make of them.

``read`` and ``locked`` gather it, ``plan`` counts. Nothing is written here: a preview is made of
plans, and ``recalculation`` writes them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import escalation
from app.domain.escalation import Level
from app.domain.recalculation import Course, Grant, due_again
from app.domain.sla import ClockState, Metric, Pause
from app.domain.states import OPEN, State
from app.domain.working_time import WorkingCalendar
from app.reference import queries as reference_queries
from app.reference.queries import NO_CALENDAR, Reference

# A merged request follows its master, but its own promise stays known: it may stand alone again.
RECOUNTED = (OPEN - {State.REPLIED}) | {State.MERGED}
PROMISED = frozenset({Metric.CONTACT, Metric.REPLY})  # to the resident; the others are the city's
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
# What the request says of a clock: while it stands, the reply's due instant waits aside.
_COLUMNS_OF = {
    Metric.CONTACT: ("contact_due_at",),
    Metric.REPLY: ("reply_due_at", "stands_due_at"),
}
_STATES = [str(state) for state in RECOUNTED]

_UPTO = text("SELECT id FROM requests WHERE id > :after ORDER BY id OFFSET :window LIMIT 1")
_STALE = text("""
SELECT id FROM requests
WHERE id > :after AND id <= :upto AND state = ANY(:states) AND calendar_version < :version
ORDER BY id LIMIT :limit
""")
_COLUMNS = """
SELECT id, number, state, cycle_no, grid_code, unit_code, resident_id, policy_code, policy_version,
  calendar_version, assigned_at, return_until, contact_due_at, reply_due_at, stands_due_at,
  provisional, followers
FROM requests
"""
_READ = text(f"{_COLUMNS} WHERE id = ANY(:ids) ORDER BY id")
_LOCK = text(f"""
{_COLUMNS} WHERE id = ANY(:ids) AND state = ANY(:states) AND calendar_version < :version
ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")
_CLOCKS = text("""
SELECT clock.request_id, clock.cycle_no, clock.metric, clock.state, clock.started_at,
  clock.due_at, clock.next_level, clock.next_fire_at
FROM request_clocks AS clock
JOIN requests ON requests.id = clock.request_id AND requests.cycle_no = clock.cycle_no
WHERE clock.request_id = ANY(:ids) AND (clock.stopped_at IS NULL
  OR (requests.state = 'merged' AND clock.state = 'cancelled'
      AND clock.metric IN ('contact', 'reply')))
""")
_FOLLOWERS = text("""
SELECT follower.master_id, follower.policy_code, follower.policy_version, clock.request_id,
  clock.cycle_no, clock.metric, clock.started_at
FROM requests AS follower
JOIN request_clocks AS clock
  ON clock.request_id = follower.id AND clock.cycle_no = follower.cycle_no
WHERE follower.master_id = ANY(:ids) AND follower.state = 'merged'
  AND clock.metric IN ('contact', 'reply')
""")
_PAUSES = text("""
SELECT request_id, cycle_no, paused_at, resumed_at FROM request_pauses
WHERE request_id = ANY(:ids) AND resumed_at IS NOT NULL
""")
_GRANTS = text("""
SELECT request_id, cycle_no, working_days, decided_at FROM request_extensions
WHERE request_id = ANY(:ids) AND granted
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """A request whose promises are open, with its running clocks and what they went through.

    ``courses``: for each clock its own course first, then those of the requests merged into it.
    """

    request: Row[Any]
    clocks: tuple[Row[Any], ...]
    courses: Mapping[Metric, tuple[Course, ...]]


@dataclass(frozen=True, slots=True)
class ClockMove:
    """A clock whose due instant another calendar moves. ``shown``: somebody sees it (it runs)."""

    request_id: UUID
    number: str
    cycle_no: int
    metric: Metric
    due_before: datetime
    due_after: datetime
    provisional_before: bool
    provisional_after: bool
    shown: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes different of one request. ``clocks`` and ``columns`` as they are written."""

    request: Row[Any]
    moves: tuple[ClockMove, ...]
    clocks: tuple[dict[str, Any], ...]
    columns: dict[str, Any]

    @property
    def confirmed(self) -> bool:
        """It was provisional for somebody to see, and is not any more."""
        was: bool = self.request.provisional and self.request.state != State.MERGED
        return was and not self.columns["provisional"]


async def stale_ids(
    session: AsyncSession, *, after: UUID, version: int, window: int, limit: int
) -> tuple[Sequence[UUID], UUID | None]:
    """Requests that were counted by an older calendar than ``version``, in the order of their ids.

    Looks at no more than ``window`` requests, so that it is quick however many are closed.

    Returns:
        Up to ``limit`` ids, and where to go on after; None when this was the end.
    """
    upto = await session.scalar(_UPTO, {"after": after, "window": window - 1})
    ids = (
        await session.scalars(
            _STALE,
            {
                "after": after,
                "upto": upto or LAST,
                "states": _STATES,
                "version": version,
                "limit": limit,
            },
        )
    ).all()
    return ids, ids[-1] if len(ids) == limit else upto


async def read(
    session: AsyncSession, reference: Reference, ids: Sequence[UUID]
) -> tuple[Standing, ...]:
    """The standings of these requests, as they are now."""
    return await _standings(session, reference, (await session.execute(_READ, {"ids": ids})).all())


async def locked(
    session: AsyncSession, reference: Reference, ids: Sequence[UUID]
) -> tuple[Standing, ...]:
    """The standings of those of ``ids`` that are open, that an older calendar counted, and that
    nobody else holds; nobody else can change them until the transaction ends."""
    names = {"ids": ids, "states": _STATES, "version": reference.calendar_version}
    return await _standings(session, reference, (await session.execute(_LOCK, names)).all())


async def calendars(session: AsyncSession, versions: set[int]) -> dict[int, WorkingCalendar]:
    """The calendars of these versions; 0 is the one before the first."""
    known = {0: NO_CALENDAR}
    for version in versions - known.keys():
        row = await reference_queries.calendar_of_version(session, version)
        if row is not None:
            known[version] = await reference_queries.working_calendar(session, row)
    return known


async def _standings(
    session: AsyncSession, reference: Reference, requests: Sequence[Row[Any]]
) -> tuple[Standing, ...]:
    ids = [request.id for request in requests]
    clocks: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for clock in await session.execute(_CLOCKS, {"ids": ids}):
        clocks[clock.request_id].append(clock)
    followers: dict[tuple[UUID, str], list[Row[Any]]] = defaultdict(list)
    masters = [request.id for request in requests if request.followers]
    if masters:
        for clock in await session.execute(_FOLLOWERS, {"ids": masters}):
            followers[clock.master_id, clock.metric].append(clock)
    merged = {clock.request_id for found in followers.values() for clock in found}
    course = await _courses(session, reference, [*ids, *merged])
    return tuple(
        Standing(
            request,
            tuple(clocks[request.id]),
            {
                Metric(clock.metric): (
                    course(request, clock),
                    *(course(it, it) for it in followers[request.id, clock.metric]),
                )
                for clock in clocks[request.id]
            },
        )
        for request in requests
    )


async def _courses(session: AsyncSession, reference: Reference, ids: Sequence[UUID]) -> Any:
    """A function (request, clock) → ``Course``, knowing all pauses and extensions of ``ids``."""
    pauses: dict[tuple[UUID, int], list[Pause]] = defaultdict(list)
    for row in await session.execute(_PAUSES, {"ids": ids}):
        pauses[row.request_id, row.cycle_no].append(Pause(row.paused_at, row.resumed_at))
    grants: dict[tuple[UUID, int], list[Grant]] = defaultdict(list)
    for row in await session.execute(_GRANTS, {"ids": ids}):
        grants[row.request_id, row.cycle_no].append(Grant(row.working_days, row.decided_at))

    def course(request: Row[Any], clock: Row[Any]) -> Course:
        cycle = clock.request_id, clock.cycle_no
        return Course(
            policy=reference.policy(request.policy_code, request.policy_version),
            started_at=clock.started_at,
            cycle_no=clock.cycle_no,
            pauses=tuple(pauses[cycle]),
            grants=tuple(grants[cycle]),
        )

    return course


def plan(
    standing: Standing, *, old: WorkingCalendar, new: WorkingCalendar, rungs: bool = True
) -> Plan:
    """Count the promises of one request by ``new``; they were counted by ``old``.

    ``rungs``: also when the next rung of each ladder is reached; only who writes needs it.
    """
    request = standing.request
    columns: dict[str, Any] = {
        "id": request.id,
        "calendar_version": new.version,
        "contact_due_at": request.contact_due_at,
        "reply_due_at": request.reply_due_at,
        "stands_due_at": request.stands_due_at,
        "provisional": request.provisional,
        "return_until": _return_until(standing, old, new),
    }
    dues = {
        clock.metric: due_again(
            Metric(clock.metric),
            clock.due_at,
            standing.courses[Metric(clock.metric)],
            old=old,
            new=new,
        )
        for clock in standing.clocks
    }
    _follow_the_whole(dues, standing.clocks)
    promised = [provisional for metric, (_, provisional) in dues.items() if metric in PROMISED]
    if promised:
        columns["provisional"] = any(promised)
    moves: list[ClockMove] = []
    changed: list[dict[str, Any]] = []
    for clock in standing.clocks:
        metric, due_at = Metric(clock.metric), dues[clock.metric][0]
        level, fire_at = clock.next_level, clock.next_fire_at
        if rungs:
            level, fire_at = _next_rung(clock, due_at, new)
        if (due_at, level, fire_at) != (clock.due_at, clock.next_level, clock.next_fire_at):
            changed.append(
                {
                    "request_id": request.id,
                    "cycle_no": clock.cycle_no,
                    "metric": metric,
                    "due_at": due_at,
                    "next_level": level,
                    "next_fire_at": fire_at,
                }
            )
        if due_at == clock.due_at:
            continue
        moves.append(
            ClockMove(
                request_id=request.id,
                number=request.number,
                cycle_no=clock.cycle_no,
                metric=metric,
                due_before=clock.due_at,
                due_after=due_at,
                provisional_before=request.provisional,
                provisional_after=columns["provisional"],
                shown=clock.state == ClockState.RUNNING,
            )
        )
        for column in _COLUMNS_OF.get(metric, ()):
            if columns[column] is not None:
                columns[column] = due_at
    return Plan(request, tuple(moves), tuple(changed), columns)


def _follow_the_whole(dues: dict[str, tuple[datetime, bool]], clocks: Sequence[Row[Any]]) -> None:
    """Parts that were due with the whole stay so, and none is due later: with them, their clock."""
    before = {clock.metric: clock.due_at for clock in clocks}
    if Metric.COTASK not in before or Metric.REPLY not in before:
        return
    part, whole = before[Metric.COTASK], dues[Metric.REPLY][0]
    if part == before[Metric.REPLY] or part > whole:
        dues[Metric.COTASK] = whole, False


def _next_rung(
    clock: Row[Any], due_at: datetime, calendar: WorkingCalendar
) -> tuple[str | None, datetime | None]:
    """The rung that waits to be told, at its new time; never one before it."""
    if clock.state != ClockState.RUNNING or clock.next_level is None:
        return clock.next_level, clock.next_fire_at
    rung = escalation.rung_from(
        Level(clock.next_level),
        Metric(clock.metric),
        started_at=clock.started_at,
        due_at=due_at,
        calendar=calendar,
    )
    return (rung.level, rung.fire_at) if rung else (None, None)


def _return_until(
    standing: Standing, old: WorkingCalendar, new: WorkingCalendar
) -> datetime | None:
    """Until when the unit may send the request back, counted from its assignment."""
    request = standing.request
    until: datetime | None = request.return_until
    if until is None or request.assigned_at is None or not standing.courses:
        return until
    policy = next(iter(standing.courses.values()))[0].policy
    window = Course(policy, request.assigned_at)
    return due_again(Metric.RETURN, until, (window,), old=old, new=new)[0]
