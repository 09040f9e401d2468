"""Open promises counted once more after a calendar was published.

A request knows by which calendar it was counted (``calendar_version``): whoever counts it again
does so once per published version. Rungs that were told stay told; the next one follows the due
instant. Nothing answered or closed moves.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.events import PromiseMoved
from app.domain.identity import SYSTEM
from app.domain.sla import Metric
from app.outbox import service as outbox
from app.requests import standings
from app.requests.children import DueMove
from app.requests.city import City
from app.requests.standings import PROMISED, ClockMove, Plan

JOB = "recalculate_promises"

_WRITE_REQUESTS = text("""
UPDATE requests SET calendar_version = new.calendar_version, contact_due_at = new.contact_due_at,
  reply_due_at = new.reply_due_at, stands_due_at = new.stands_due_at,
  provisional = new.provisional, return_until = new.return_until
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (id uuid, calendar_version int,
  contact_due_at timestamptz, reply_due_at timestamptz, stands_due_at timestamptz,
  provisional bool, return_until timestamptz)
WHERE requests.id = new.id
""")
_WRITE_CLOCKS = text("""
UPDATE request_clocks AS clock
SET due_at = new.due_at, next_level = new.next_level, next_fire_at = new.next_fire_at
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (request_id uuid, cycle_no smallint,
  metric text, due_at timestamptz, next_level text, next_fire_at timestamptz)
WHERE (clock.request_id, clock.cycle_no, clock.metric)
    = (new.request_id, new.cycle_no, new.metric)
""")
# A co-task that was due with the whole moves with it, and none is due later than the whole.
_WRITE_CO_TASKS = text("""
UPDATE request_co_tasks AS task SET due_at = new.due_after
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (request_id uuid, cycle_no smallint,
  due_before timestamptz, due_after timestamptz)
WHERE (task.request_id, task.cycle_no) = (new.request_id, new.cycle_no) AND task.ended_at IS NULL
  AND (task.due_at = new.due_before OR task.due_at > new.due_after)
""")


async def bring_up_to_date(
    session: AsyncSession, city: City, ids: Sequence[UUID], *, now: datetime
) -> Sequence[Plan]:
    """Count those of ``ids`` that an older calendar counted; tell residents whose promise moved.

    Requests that somebody else holds are left for another time, closed ones for ever. Does nothing
    to a request that the present calendar has counted already.
    """
    new = city.reference.calendar
    found = await standings.locked(session, city.reference, ids)
    if not found:
        return ()
    old = await standings.calendars(session, {it.request.calendar_version for it in found})
    plans = [standings.plan(it, old=old[it.request.calendar_version], new=new) for it in found]
    await session.execute(_WRITE_REQUESTS, {"rows": _json([it.columns for it in plans])})
    clocks = [clock for it in plans for clock in it.clocks]
    if clocks:
        await session.execute(_WRITE_CLOCKS, {"rows": _json(clocks)})
    await _remember(session, plans, version=new.version, now=now)
    return plans


async def _remember(
    session: AsyncSession, plans: Sequence[Plan], *, version: int, now: datetime
) -> None:
    """Write down what moved: for the history, for co-tasks, for the audit, and to be told."""
    moves = [(it, move) for it in plans for move in it.moves]
    if not moves:
        return
    rows = [
        {
            "request_id": move.request_id,
            "cycle_no": move.cycle_no,
            "metric": move.metric,
            "calendar_version": version,
            "due_before": move.due_before,
            "due_after": move.due_after,
            "moved_at": now,
        }
        for _, move in moves
    ]
    await session.execute(insert(DueMove), rows)
    replies = [row for row in rows if row["metric"] is Metric.REPLY]
    await session.execute(_WRITE_CO_TASKS, {"rows": _json(replies)})
    facts = {it.request.id: _facts(it, version) for it in plans if it.moves}
    await audit.append_each(session, facts, actor=SYSTEM, action="recalculate", now=now)
    told = [
        _event(it, move, version=version, now=now)
        for it, move in moves
        if move.metric in PROMISED and move.shown
    ]
    await outbox.record(session, *told, now=now)


def _facts(plan: Plan, version: int) -> dict[str, object]:
    moves = [
        {
            "metric": move.metric.value,
            "due_before": move.due_before.isoformat(),
            "due_after": move.due_after.isoformat(),
        }
        for move in plan.moves
    ]
    return {"calendar_version": version, "moves": moves, "job": JOB}


def _event(plan: Plan, move: ClockMove, *, version: int, now: datetime) -> PromiseMoved:
    request = plan.request
    return PromiseMoved(
        request_id=str(request.id),
        number=request.number,
        at=now.isoformat(),
        grid_code=request.grid_code,
        unit_code=request.unit_code,
        resident_id=str(request.resident_id) if request.resident_id else None,
        metric=move.metric,
        due_before=move.due_before.isoformat(),
        due_after=move.due_after.isoformat(),
        provisional=move.provisional_after,
        calendar_version=version,
    )


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows, default=str).decode()
