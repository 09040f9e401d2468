"""What a routing rule wants of a new request besides its unit: the grid first, other units too.

Few rules want any of it, so the one statement of a submission carries it only then: ``extended``
puts the further rows where the statement has marks for them.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from app.domain.escalation import Firing
from app.domain.events import RequestMoved, RequestSubmitted
from app.domain.routing import Reason, RoutingRule
from app.domain.sla import Metric, Promise
from app.domain.states import Action
from app.requests import clocks
from app.requests.city import City
from app.store.base import new_id

PART_BY_RULE = "按派单规则协同办理"

_MARKS = {
    "columns": ", grid_until, open_co_tasks",
    "values": ", :grid_until, :open_co_tasks",
    "clock": """,
     ('cotask', :part_due_at::timestamptz, :part_level::text, :part_fire_at::timestamptz)""",
    "parts": """, parts AS (
  INSERT INTO request_co_tasks
    (id, request_id, cycle_no, unit_code, state, task, due_at, asked_by, asked_at)
  SELECT part.id, :id, 1, part.unit_code, 'assigned', :part_task::text,
     :part_due_at, :system_id, :submitted_at
  FROM fresh, unnest(:part_ids::uuid[], :part_units::text[]) AS part (id, unit_code)
  RETURNING 1
), parts_told AS (
  INSERT INTO outbox (kind, payload, available_at)
  SELECT 'RequestMoved', part.event::jsonb, :submitted_at
  FROM fresh, unnest(:part_events::text[]) AS part (event)
  RETURNING 1
)""",
}


def extended(sql: str) -> str:
    """The statement of a submission with everything that a rule can want."""
    for mark, more in _MARKS.items():
        if f"/*{mark}*/" not in sql:
            raise RuntimeError(f"the statement has no place for {mark}")
        sql = sql.replace(f"/*{mark}*/", more)
    return sql


@dataclass(frozen=True, slots=True)
class ByRule:
    """``grid_until``: the grid has it till then (网格先办). Else ``units`` do parts (协办)."""

    reasons: tuple[Reason, ...] = ()
    grid_until: datetime | None = None
    units: tuple[str, ...] = ()
    part_due_at: datetime | None = None
    part_clock: Firing | None = None
    ids: tuple[UUID, ...] = field(default=())

    def values(self, row: dict[str, Any], submitted: RequestSubmitted) -> dict[str, Any]:
        """The parameters that ``extended`` adds."""
        moved = [
            RequestMoved(
                request_id=submitted.request_id,
                number=submitted.number,
                at=submitted.at,
                grid_code=submitted.grid_code,
                unit_code=submitted.unit_code,
                resident_id=submitted.resident_id,
                action=Action.CO_ASSIGN,
                state=row["state"],
                co_unit_code=unit_code,
            )
            for unit_code in self.units
        ]
        return {
            "grid_until": self.grid_until,
            "open_co_tasks": len(self.units),
            "part_task": PART_BY_RULE,
            "part_ids": list(self.ids),
            "part_units": list(self.units),
            "part_events": [orjson.dumps(event.payload()).decode() for event in moved],
            "part_due_at": self.part_due_at,
            "part_level": self.part_clock.level if self.part_clock else None,
            "part_fire_at": self.part_clock.fire_at if self.part_clock else None,
        }


def wanted(
    city: City,
    rule: RoutingRule,
    category_code: str | None,
    grid_code: str | None,
    promise: Promise,
    now: datetime,
) -> ByRule:
    """What the rule wants of a request submitted at ``now``. While the grid has it nobody else
    does, so parts are given with the whole."""
    unit = city.reference.unit(rule.unit_code)
    category = city.reference.categories.get(category_code or "")
    if rule.grid_first_minutes and grid_code and category is not None and category.grid_matter:
        text = f"网格自办事项，先由网格长办理，{rule.grid_first_minutes}分钟内未办结转{unit.name}"
        until = now + timedelta(minutes=rule.grid_first_minutes)
        return ByRule((Reason("grid_first", text),), grid_until=until)
    if not rule.co_unit_codes:
        return ByRule()
    units = rule.co_unit_codes
    names = "、".join(city.reference.unit(code).name for code in units)
    due_at = promise.reply_due_at
    return ByRule(
        (Reason("co_units", f"按规则由{names}协办"),),
        units=units,
        part_due_at=due_at,
        part_clock=clocks.first_rung(city, Metric.COTASK, now, due_at),
        ids=tuple(new_id() for _ in units),
    )
