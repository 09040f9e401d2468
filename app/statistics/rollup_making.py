"""Making sums: the job that keeps them, cohort by cohort, and the proof that they are right."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.working_time import SHANGHAI
from app.statistics.rollups import (
    DEFINED,
    FACETS,
    INSTANTS,
    JOINS,
    OVERLAP,
    PLACES,
    SETTLED,
    STALE,
    SUBMITTED,
    local_day,
)

MISSING_AT_ONCE = 30  # cohorts that one turn of the job makes for the first time
_RUN = 5  # cohorts that one statement makes
_SCRUB_AFTER = timedelta(hours=6)  # then a cohort is made anew for no reason, one each turn
_LIVE_SHARE = 0.2  # more than so many: counting the requests themselves is no slower
_LOCK = 0x726F6C6C  # "roll"


def _sums() -> str:
    columns = [f"{key} AS {facet}" for facet, (key, _) in FACETS.items()]
    columns += [f"{local_day(instant)} AS day_{n}" for n, instant in enumerate(INSTANTS)]
    columns += [f"{condition} AS c{place}" for condition, place in PLACES.items()]
    counts = ", ".join(f"count(*) FILTER (WHERE c{place})" for place in PLACES.values())
    parts = []
    for n, (instant, facets) in enumerate(INSTANTS.items()):
        sets = ", ".join(f"(cohort, day_{n}, {facet})" for facet in facets)
        which = " ".join(f"WHEN GROUPING({facet}) = 0 THEN '{facet}'" for facet in facets)
        key = " ".join(f"WHEN GROUPING({facet}) = 0 THEN {facet}" for facet in facets)
        parts.append(f"""
  SELECT CASE {which} END AS facet, '{instant}' AS instant, day_{n} AS day,
    coalesce(CASE {key} END, '') AS key, cohort, ARRAY[{counts}]::int[] AS counts
  FROM summed WHERE day_{n} IS NOT NULL GROUP BY GROUPING SETS ({sets})""")  # noqa: S608
    return f"""
WITH summed AS MATERIALIZED (
  SELECT {local_day(SUBMITTED)} AS cohort, {", ".join(columns)} FROM requests {JOINS}
  WHERE requests.submitted_at >= :begins AND requests.submitted_at < :ends
    AND {local_day(SUBMITTED)} = ANY(:cohorts::date[]) AND {SETTLED}
){" UNION ALL ".join(parts)}"""  # noqa: S608 - our own words


def _bound(sql: str) -> Any:
    """For SQLAlchemy, which wants casts of parameters in another way than ``Statement``."""
    return text(re.sub(r"(?<!:):([a-z_]+)::([a-z]+(?:\[\])?)", r"CAST(:\1 AS \2)", sql))


_SUMS = _bound(_sums())
_KEEP = _bound(f"""
INSERT INTO statistics_rollups (facet, instant, day, key, cohort, counts) {_sums()}""")
_LIVE = _bound(f"""
SELECT {local_day(SUBMITTED)} AS cohort, count(*) AS every,
  array_agg(requests.id) FILTER (WHERE NOT {SETTLED}) AS live
FROM requests WHERE requests.submitted_at >= :begins AND requests.submitted_at < :ends GROUP BY 1
""")  # noqa: S608
_DROP = text("DELETE FROM statistics_rollups WHERE cohort = ANY(:cohorts)")
_NOTE = text("""
INSERT INTO statistics_days (cohort, computed_at, ready, live)
VALUES (:cohort, :now, :ready, :live)
ON CONFLICT (cohort) DO UPDATE
SET computed_at = EXCLUDED.computed_at, ready = EXCLUDED.ready, live = EXCLUDED.live
""")
_TRY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
_ANY_TIME = text("SET LOCAL statement_timeout = 0")
_STATE = text("SELECT definitions, checked_at FROM statistics_state")
_CHECKED = text("""
INSERT INTO statistics_state (one, definitions, checked_at) VALUES (1, :definitions, :now)
ON CONFLICT (one) DO UPDATE
SET definitions = EXCLUDED.definitions, checked_at = EXCLUDED.checked_at
""")
_ANALYZE = text("ANALYZE statistics_days, statistics_rollups, statistics_state")
_FORGET_SUMS = text("DELETE FROM statistics_rollups WHERE cohort BETWEEN :first AND :last")
_FORGET_DAYS = text("DELETE FROM statistics_days WHERE cohort BETWEEN :first AND :last")
_TOUCHED = _bound(f"""
SELECT day.cohort FROM statistics_days AS day JOIN (
  SELECT {local_day("requests.submitted_at")} AS cohort,
    max(entry.at) AS at
  FROM audit_entries AS entry JOIN requests ON requests.id = entry.chain
  WHERE entry.at >= :since GROUP BY 1
) AS touched USING (cohort)
WHERE touched.at >= day.computed_at
   OR touched.at >= day.computed_at - :overlap::interval
     AND touched.at <= :now::timestamptz - :overlap::interval
""")  # noqa: S608
_MISSING = text("""
SELECT series.day::date AS cohort FROM generate_series(
  (SELECT (min(submitted_at) AT TIME ZONE 'Asia/Shanghai')::date FROM requests)::timestamp,
  CAST(:last AS date)::timestamp, interval '1 day') AS series (day)
WHERE NOT EXISTS (SELECT FROM statistics_days WHERE cohort = series.day::date)
ORDER BY series.day LIMIT :most
""")
_OLDEST = text("""
SELECT cohort FROM statistics_days WHERE computed_at < :before ORDER BY computed_at LIMIT 1
""")


async def refresh(session: AsyncSession, *, now: datetime) -> int:
    """Make anew what is stale, and some of what was never made; how many cohorts that were.

    In the caller's transaction: all or nothing, so a crash leaves what was. Of several workers one
    does it, the others return at once. A second call has nothing to do.
    """
    if not await session.scalar(_TRY_LOCK):
        return 0
    await session.execute(_ANY_TIME)
    state = (await session.execute(_STATE)).one_or_none()
    if state is None or state.definitions != DEFINED:
        await forget(session, date.min, date.max)
        stale: set[date] = set()
    else:
        span = {"since": state.checked_at - OVERLAP, "overlap": OVERLAP, "now": now}
        stale = set(await session.scalars(_TOUCHED, span))
        stale.update(await session.scalars(_OLDEST, {"before": now - _SCRUB_AFTER}))
    today = now.astimezone(SHANGHAI).date()
    missing = {"last": today - timedelta(days=1), "most": MISSING_AT_ONCE}
    stale.update(await session.scalars(_MISSING, missing))
    for run in _runs(stale):
        await _make(session, run, now=now)
    await session.execute(_CHECKED, {"definitions": DEFINED, "now": now})
    if len(stale) > _RUN:  # nobody else tells the planner in time
        await session.execute(_ANALYZE)
    return len(stale)


async def forget(session: AsyncSession, first: date, last: date) -> None:
    """Drop the sums of cohorts, both ends included: somebody has written past the audit."""
    span = {"first": first, "last": last}
    await session.execute(_FORGET_SUMS, span)
    await session.execute(_FORGET_DAYS, span)


def _runs(cohorts: set[date]) -> Iterator[list[date]]:
    """Days that follow each other, so many at once."""
    run: list[date] = []
    for cohort in sorted(cohorts):
        if run and (cohort - run[-1] > timedelta(days=1) or len(run) == _RUN):
            yield run
            run = []
        run.append(cohort)
    if run:
        yield run


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)


def _span(cohorts: Sequence[date], now: datetime) -> dict[str, Any]:
    return {
        "begins": _midnight(cohorts[0]),
        "ends": _midnight(cohorts[-1] + timedelta(days=1)),
        "now": now,
    }


async def _make(session: AsyncSession, cohorts: Sequence[date], *, now: datetime) -> None:
    """Make days anew that follow each other."""
    span = _span(cohorts, now)
    await session.execute(_DROP, {"cohorts": list(cohorts)})
    found = {row.cohort: row for row in await session.execute(_LIVE, span)}
    notes, ready = [], []
    for cohort in cohorts:
        live = found[cohort].live or [] if cohort in found else []
        few = not live or len(live) <= max(found[cohort].every * _LIVE_SHARE, 2)
        ready += [cohort] if few else []
        notes.append({"cohort": cohort, "now": now, "ready": few, "live": live if few else []})
    if any(cohort in found for cohort in ready):
        await session.execute(_KEEP, {**span, "cohorts": ready})
    await session.execute(_NOTE, notes)


_KEPT = text("SELECT facet, instant, day, key, counts FROM statistics_rollups WHERE cohort = :it")
_STALE_ONES = _bound(f"SELECT cohort FROM ({STALE}) AS it")  # noqa: S608
_READY = text("SELECT cohort, computed_at FROM statistics_days WHERE ready ORDER BY cohort")


async def differences(session: AsyncSession) -> list[str]:
    """What the sums of clean cohorts say other than the requests do; nothing, when all is well."""
    stale = set(await session.scalars(_STALE_ONES, {"overlap": OVERLAP}))
    found = []
    for cohort, computed_at in (await session.execute(_READY)).all():
        if cohort in stale:
            continue
        kept = {tuple(row[:4]): row[4] for row in await session.execute(_KEPT, {"it": cohort})}
        asked = {**_span([cohort], computed_at), "cohorts": [cohort]}
        fresh = {tuple(row[:4]): row[5] for row in await session.execute(_SUMS, asked)}
        if kept != fresh:
            wrong = [key for key in {*kept, *fresh} if kept.get(key) != fresh.get(key)]
            found.append(f"{cohort}: {len(wrong)} rows, as {min(wrong)}")
    return found
