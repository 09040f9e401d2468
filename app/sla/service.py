"""Watching the clocks: every rung of every ladder is told exactly once, however many watch.

A rung is a row's ``next_fire_at``. The sweep claims what is due with SKIP LOCKED, writes one
``clock_fires`` row per rung (its key makes a second one impossible), one outbox event, and the next
rung, in one transaction: of a batch of rungs that only tell, or of one rung at which the clock
itself takes a step. Breach itself is never stored: it is read from the clock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import escalation
from app.domain.errors import Conflict
from app.domain.escalation import AUTOMATIC, Level
from app.domain.events import ClockFired
from app.domain.identity import SYSTEM
from app.domain.sla import Metric
from app.domain.states import Action
from app.domain.working_time import WorkingCalendar
from app.requests import service as requests
from app.requests.city import City
from app.requests.forms import DecideIn, Form, ResumeIn, SuperviseIn
from app.requests.queries import RequestNotFound
from app.store.session import Database, Statement

# The earliest, not EXISTS: that is read off the index, whatever the planner thinks is due.
_IS_ANY_DUE = Statement("SELECT min(next_fire_at) <= :now AS is_any FROM request_clocks")
_MOST = 10_000  # steps to take one after the other before it is asked again

# At most replies nobody has asked for more time: there is nothing to refuse, only to tell.
_WHERE_THERE_IS_NEED = {
    Action.DECIDE_EXTENSION: " AND COALESCE(requests.extension_asked, 'null') <> 'null'"
}
_MOVES = " OR ".join(
    f"(clock.metric = '{metric}' AND clock.next_level = '{level}'"
    f"{_WHERE_THERE_IS_NEED.get(action, '')})"
    for (metric, level), action in AUTOMATIC.items()
)

_DUE = """
FROM request_clocks AS clock JOIN requests ON requests.id = clock.request_id
WHERE clock.next_fire_at <= :now
"""
_CLAIM = f"""
SELECT clock.request_id, clock.cycle_no, clock.metric, clock.started_at, clock.due_at,
  clock.next_level, clock.next_fire_at, requests.number, requests.grid_code, requests.unit_code,
  requests.resident_id
{_DUE}
"""
# Whoever takes a step holds its request. Nobody is waited for: so nobody waits in a circle.
_FREE = "FOR NO KEY UPDATE OF clock, requests SKIP LOCKED"
_CLAIM_TO_TELL = text(
    f"{_CLAIM} AND NOT ({_MOVES}) ORDER BY clock.next_fire_at LIMIT :batch {_FREE}"
)
_TO_MOVE = Statement(f"""
SELECT clock.request_id, clock.cycle_no, clock.metric {_DUE} AND ({_MOVES})
ORDER BY clock.next_fire_at LIMIT :limit
""")
_CLAIM_TO_MOVE = text(f"""
{_CLAIM} AND ({_MOVES}) AND clock.request_id = :request_id AND clock.cycle_no = :cycle_no
  AND clock.metric = :metric {_FREE}
""")

_FIRE = text("""
WITH fired AS (
  SELECT * FROM unnest(CAST(:requests AS uuid[]), CAST(:cycles AS smallint[]),
    CAST(:metrics AS text[]), CAST(:levels AS text[]), CAST(:dues AS timestamptz[]),
    CAST(:fires AS timestamptz[]), CAST(:next_levels AS text[]),
    CAST(:next_fires AS timestamptz[]), CAST(:events AS text[]))
  AS fired (request_id, cycle_no, metric, level, due_at, fire_at, next_level, next_fire_at, event)
), told AS (
  INSERT INTO clock_fires (request_id, cycle_no, metric, level, due_at, fire_at, fired_at)
  SELECT request_id, cycle_no, metric, level, due_at, fire_at, :now FROM fired
  ON CONFLICT DO NOTHING
  RETURNING request_id, cycle_no, metric
), outbox_rows AS (
  INSERT INTO outbox (kind, payload, available_at)
  SELECT 'ClockFired', CAST(fired.event AS jsonb), :now FROM fired
  JOIN told USING (request_id, cycle_no, metric)
), moved AS (
  UPDATE request_clocks AS clock
  SET next_level = fired.next_level, next_fire_at = fired.next_fire_at
  FROM fired
  WHERE (clock.request_id, clock.cycle_no, clock.metric)
      = (fired.request_id, fired.cycle_no, fired.metric)
)
SELECT count(*) FROM told
""")
_COLUMNS = (
    *("requests", "cycles", "metrics", "levels", "dues", "fires"),
    *("next_levels", "next_fires", "events"),
)


class ClockKey(NamedTuple):
    request_id: UUID
    cycle_no: int
    metric: str


async def is_any_due(db: Database, now: datetime) -> bool:
    """Whether there is a rung to fire. All that an idle turn costs."""
    row = await db.one_statement(_IS_ANY_DUE, now=now)
    return bool(row and row["is_any"])


async def waiting_to_move(db: Database, now: datetime) -> list[ClockKey]:
    """The clocks due to take a step, the oldest first; ``move`` each in its own transaction."""
    return [ClockKey(*row) for row in await db.rows(_TO_MOVE, now=now, limit=_MOST)]


async def tell(session: AsyncSession, city: City, *, now: datetime, batch: int) -> int:
    """Fire up to ``batch`` of the rungs due that only tell; return how many there were."""
    due = (await session.execute(_CLAIM_TO_TELL, {"now": now, "batch": batch})).all()
    if due:
        await _fire(session, due, city.reference.calendar, now)
    return len(due)


async def move(session: AsyncSession, city: City, clock: ClockKey, *, now: datetime) -> bool:
    """Fire a rung at which the clock takes a step; False if it is not due, or somebody holds it."""
    due = (await session.execute(_CLAIM_TO_MOVE, {"now": now, **clock._asdict()})).all()
    if due and await _fire(session, due, city.reference.calendar, now):
        await _act(session, city, due[0], now)
    return bool(due)


async def _fire(
    session: AsyncSession, due: Sequence[Row[Any]], calendar: WorkingCalendar, now: datetime
) -> int:
    """Tell of these rungs and aim their clocks at the next; how many had not been told before."""
    columns = zip(*(_fired(clock, calendar, now) for clock in due), strict=True)
    values = dict(zip(_COLUMNS, map(list, columns), strict=True))
    told: int = await session.scalar(_FIRE, {**values, "now": now})
    return told


def _fired(clock: Row[Any], calendar: WorkingCalendar, now: datetime) -> tuple[Any, ...]:
    """A row of ``_COLUMNS``."""
    metric, level = Metric(clock.metric), Level(clock.next_level)
    following = escalation.next_rung(
        metric,
        started_at=clock.started_at,
        due_at=clock.due_at,
        calendar=calendar,
        after_level=level,
    )
    event = ClockFired(
        request_id=str(clock.request_id),
        number=clock.number,
        at=clock.next_fire_at.isoformat(),
        grid_code=clock.grid_code,
        unit_code=clock.unit_code,
        resident_id=str(clock.resident_id) if clock.resident_id else None,
        metric=metric,
        level=level,
        due_at=clock.due_at.isoformat(),
        fired_late_by_s=int((now - clock.next_fire_at).total_seconds()),
    )
    return (
        *(clock.request_id, clock.cycle_no, metric, level, clock.due_at, clock.next_fire_at),
        *(following or (None, None)),
        orjson.dumps(event.payload()).decode(),
    )


# What the clock says where an action wants words.
_FORMS: dict[Action, Form] = {
    Action.DECIDE_EXTENSION: DecideIn(decision="deny", note="到期未审批，视为不同意"),
    Action.RESUME: ResumeIn(),
    Action.SUPERVISE: SuperviseIn(level=1, note="答复超期三个工作日，自动督办"),
}


async def _act(session: AsyncSession, city: City, clock: Row[Any], now: datetime) -> None:
    """Take the step that the clock itself takes at the rung that was told just now."""
    action = AUTOMATIC[Metric(clock.metric), Level(clock.next_level)]
    try:
        async with session.begin_nested():
            await requests.act(
                session,
                city,
                UUID(str(clock.request_id)),
                action,
                _FORMS.get(action, Form()),
                actor=SYSTEM,
                version=None,
                now=now,
                job="sweep_clocks",
            )
    except (Conflict, RequestNotFound):
        return  # somebody was faster, or there is nothing to refuse: what is, stands
