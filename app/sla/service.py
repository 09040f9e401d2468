"""Watching the clocks: every rung of every ladder is told exactly once, however many watch.

A rung is a row's ``next_fire_at``. The sweep claims what is due with SKIP LOCKED, writes one
``clock_fires`` row per rung (its key makes a second one impossible), one outbox event, and the next
rung, in one transaction. Breach itself is never stored: it is read from the clock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
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
from app.requests import service as requests
from app.requests.city import City
from app.requests.forms import DecideIn, Form, ResumeIn, SuperviseIn
from app.requests.queries import RequestNotFound

_CLAIM = text("""
SELECT clock.request_id, clock.cycle_no, clock.metric, clock.started_at, clock.due_at,
  clock.next_level, clock.next_fire_at, requests.number, requests.grid_code, requests.unit_code,
  requests.resident_id
FROM request_clocks AS clock JOIN requests ON requests.id = clock.request_id
WHERE clock.next_fire_at <= :now
ORDER BY clock.next_fire_at LIMIT :batch
FOR NO KEY UPDATE OF clock, requests SKIP LOCKED
""")

_FIRE = text("""
WITH fired AS (
  SELECT * FROM jsonb_to_recordset(CAST(:fired AS jsonb)) AS fired (
    request_id uuid, cycle_no smallint, metric text, level text, due_at timestamptz,
    fire_at timestamptz, next_level text, next_fire_at timestamptz, event jsonb)
), told AS (
  INSERT INTO clock_fires (request_id, cycle_no, metric, level, due_at, fire_at, fired_at)
  SELECT request_id, cycle_no, metric, level, due_at, fire_at, :now FROM fired
  ON CONFLICT DO NOTHING
  RETURNING request_id, cycle_no, metric, level, due_at
), outbox_rows AS (
  INSERT INTO outbox (kind, payload, available_at)
  SELECT 'ClockFired', fired.event, :now FROM fired
  JOIN told USING (request_id, cycle_no, metric, level, due_at)
  RETURNING 1
), moved AS (
  UPDATE request_clocks AS clock
  SET next_level = fired.next_level, next_fire_at = fired.next_fire_at
  FROM fired
  WHERE (clock.request_id, clock.cycle_no, clock.metric)
      = (fired.request_id, fired.cycle_no, fired.metric)
  RETURNING 1
)
SELECT request_id, metric, level FROM told
""")


async def sweep(session: AsyncSession, city: City, *, now: datetime, batch: int) -> int:
    """Fire up to ``batch`` rungs that are due at ``now``; return how many clocks were looked at."""
    due = (await session.execute(_CLAIM, {"now": now, "batch": batch})).all()
    if due:
        fired = [_fired(clock, city, now) for clock in due]
        told = await session.execute(_FIRE, {"fired": orjson.dumps(fired).decode(), "now": now})
        await _act(session, city, told.all(), now)
    return len(due)


def _fired(clock: Row[Any], city: City, now: datetime) -> dict[str, Any]:
    metric, level = Metric(clock.metric), Level(clock.next_level)
    following = escalation.next_rung(
        metric,
        started_at=clock.started_at,
        due_at=clock.due_at,
        calendar=city.reference.calendar,
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
    return {
        "request_id": event.request_id,
        "cycle_no": clock.cycle_no,
        "metric": metric,
        "level": level,
        "due_at": clock.due_at,
        "fire_at": clock.next_fire_at,
        "next_level": following.level if following else None,
        "next_fire_at": following.fire_at if following else None,
        "event": event.payload(),
    }


# What the clock says where an action wants words.
_FORMS: dict[Action, Form] = {
    Action.DECIDE_EXTENSION: DecideIn(decision="deny", note="到期未审批，视为不同意"),
    Action.RESUME: ResumeIn(),
    Action.SUPERVISE: SuperviseIn(level=1, note="答复超期三个工作日，自动督办"),
}


async def _act(session: AsyncSession, city: City, told: Sequence[Row[Any]], now: datetime) -> None:
    """Take the steps that the clocks themselves take at the rungs that were told just now."""
    for clock in told:
        action = AUTOMATIC.get((Metric(clock.metric), Level(clock.level)))
        if action is None:
            continue
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
            continue  # somebody was faster, or there is nothing to refuse: what is, stands
