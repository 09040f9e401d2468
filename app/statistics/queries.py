"""The numbers. Each SELECT follows a definition in ``domain.measures``, and only reads."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from app.domain.measures import Measure, ratio
from app.domain.satisfaction import SATISFIED_FROM
from app.requests.queries import CANCELLED, NO_CONTACT_AT
from app.statistics.schemas import GroupBy
from app.store.session import Columns, Database, Statement

# A request is counted where it is now: its present unit, grid and category.
_KEY: dict[GroupBy, str] = {
    GroupBy.NONE: "NULL::text",
    GroupBy.UNIT: "unit_code",
    GroupBy.TOWN: "left(grid_code, 9)",
    GroupBy.COMMUNITY: "CASE WHEN length(grid_code) >= 12 THEN left(grid_code, 12) END",
    GroupBy.GRID: "CASE WHEN length(grid_code) >= 15 THEN left(grid_code, 15) END",
    GroupBy.CATEGORY: "category_code",
    GroupBy.MONTH: "to_char(submitted_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM')",
}


@cache
def _statement(group_by: GroupBy) -> Statement:
    return Statement(f"""
WITH cohort AS (
  SELECT {_KEY[group_by]} AS key, state, satisfaction, contacted_at, contact_due_at, replied_at,
    reply_due_at, rate_until, {CANCELLED} AS cancelled,
    -- tried often enough in time (已尽责未联系上): neither met nor missed
    contacted_at IS NULL AND diligent_at IS NOT NULL AS diligent,
    {NO_CONTACT_AT} AS no_contact_at
  FROM requests
  WHERE submitted_at >= :submitted_from AND submitted_at < :submitted_to
)
SELECT key,
  count(*) AS received,
  count(*) FILTER (WHERE state = 'closed' OR state = 'archived' AND NOT cancelled) AS closed,
  count(*) FILTER (WHERE rate_until IS NOT NULL OR satisfaction IS NOT NULL) AS rateable,
  count(satisfaction) AS rated,
  count(*) FILTER (WHERE satisfaction >= {SATISFIED_FROM:d}) AS satisfied,
  count(*) FILTER (WHERE contacted_at <= contact_due_at) AS contact_met,
  count(*) FILTER (WHERE contacted_at > contact_due_at
    OR contacted_at IS NULL AND NOT cancelled AND NOT diligent
      AND contact_due_at < no_contact_at) AS contact_missed,
  count(*) FILTER (WHERE diligent AND NOT cancelled) AS diligent,
  count(*) FILTER (WHERE replied_at < reply_due_at) AS reply_met,
  count(*) FILTER (WHERE replied_at >= reply_due_at
    OR replied_at IS NULL AND NOT cancelled AND reply_due_at <= :now) AS reply_missed
FROM cohort GROUP BY key ORDER BY key NULLS LAST
""")  # noqa: S608 - put together from the table above


async def satisfaction(
    db: Database,
    *,
    submitted_from: datetime,
    submitted_to: datetime,
    group_by: GroupBy,
    now: datetime,
) -> tuple[dict[str, dict[str, Any]], list[tuple[str | None, dict[str, dict[str, Any]]]]]:
    """Return the figures in total and per group, for requests submitted in [from, to)."""
    rows = await db.rows(
        _statement(group_by), submitted_from=submitted_from, submitted_to=submitted_to, now=now
    )
    total = _figures(_sum(rows))
    if group_by is GroupBy.NONE:
        return total, []
    return total, [(row["key"], _figures(row)) for row in rows]


_COUNTS = ("received", "closed", "rateable", "rated", "satisfied", "contact_met", "contact_missed",
           "diligent", "reply_met", "reply_missed")  # fmt: skip


def _sum(rows: Sequence[Columns]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in _COUNTS}


def _figures(counts: Columns) -> dict[str, dict[str, Any]]:
    pairs = {
        Measure.RECEIVED: (counts["received"], counts["received"]),
        Measure.CLOSED: (counts["closed"], counts["received"]),
        Measure.RATED: (counts["rated"], counts["rateable"]),
        Measure.SATISFIED: (counts["satisfied"], counts["rated"]),
        Measure.CONTACT_ON_TIME: (
            counts["contact_met"],
            counts["contact_met"] + counts["contact_missed"],
        ),
        Measure.DILIGENT: (
            counts["diligent"],
            counts["contact_met"] + counts["contact_missed"] + counts["diligent"],
        ),
        Measure.REPLY_ON_TIME: (counts["reply_met"], counts["reply_met"] + counts["reply_missed"]),
    }
    return {
        measure: {"num": num, "den": den, "value": ratio(num, den)}
        for measure, (num, den) in pairs.items()
    }


# Of the register (人地房): who is known to live there now.
_RESIDENTS = Statement(
    "SELECT grid_code, count(*) AS people FROM registry_persons WHERE active GROUP BY grid_code"
)


async def residents(db: Database) -> dict[str, int]:
    """How many people are registered in each grid; a grid without a register is not in it."""
    return {row["grid_code"]: row["people"] for row in await db.rows(_RESIDENTS)}
