"""Making sums: the job that keeps them, span by span. ``rollup_proof`` says that they are right."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.working_time import SHANGHAI
from app.statistics.cells import number_of
from app.statistics.cohorts import COLUMNS, JOIN_KEYS, NEXT_DUE, TOGETHER, Requests
from app.statistics.folding import fold
from app.statistics.models import Span, Sum
from app.statistics.predicates import UNEXCLUDED
from app.statistics.spans import OVERLAP, STALE, TOUCHED
from app.statistics.sums import (
    CODES,
    DAY,
    DEFINED,
    JOINS,
    MONTH,
    SUBMITTED,
    local_day,
)

# What one turn of the job makes at most; the rest is forgotten, and made in later turns.
MOST_DAYS, MOST_MONTHS = 31, 1
_RUN = 5  # days that are read together
_SCRUB_AFTER = timedelta(hours=6)  # then a span is made anew for no reason, one each turn
_LIVE_SHARE = 0.05  # more than so many: its cohorts tell it sooner than sums
_LOCK = 0x726F6C6C  # "roll"

Made = tuple[str, date]  # which span: its kind and its first day


def bound(sql: str) -> Any:
    """For SQLAlchemy, which wants casts of parameters in another way than ``Statement``."""
    return text(re.sub(r"(?<!:):([a-z_]+)::([a-z]+(?:\[\])?)", r"CAST(:\1 AS \2)", sql))


_INSIDE = "requests.submitted_at >= :begins AND requests.submitted_at < :ends"
_KEEP_COHORTS = bound(f"""
INSERT INTO statistics_cohorts (first, computed_at, holds_until, requests, apart, columns)
SELECT {local_day(SUBMITTED)}, :now::timestamptz, min({NEXT_DUE}), count(*),
  coalesce(array_agg(requests.id) FILTER (WHERE NOT {UNEXCLUDED}), '{{}}'),
  {TOGETHER}
FROM requests {JOINS} {JOIN_KEYS} WHERE {_INSIDE} GROUP BY 1
""")  # noqa: S608
_DROP_COHORTS = text("DELETE FROM statistics_cohorts WHERE first >= :first AND first < :past")
_COHORTS = text("""
SELECT first, requests, columns FROM statistics_cohorts
WHERE first >= :first AND first < :past ORDER BY first
""")
_NUMBER_KEYS = bound(f"""
INSERT INTO statistics_keys (number, code, key)
SELECT (SELECT coalesce(max(number), 0) FROM statistics_keys)
  + row_number() OVER (ORDER BY code, key), code, key
FROM (
  SELECT DISTINCT it.code, it.key FROM requests CROSS JOIN LATERAL (VALUES
    {", ".join(f"('{code}', coalesce({sql}, ''))" for code, sql in CODES.items())}
  ) AS it (code, key) WHERE {_INSIDE}
) AS found
WHERE NOT EXISTS (SELECT FROM statistics_keys AS known
  WHERE known.code = found.code AND known.key = found.key)
""")  # noqa: S608
_TRY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
# Folding a large month takes its time, and meanwhile nothing is said to the database.
_ANY_TIME = text("""
SELECT set_config('statement_timeout', '0', true),
  set_config('idle_in_transaction_session_timeout', '300000', true)
""")
_STATE = text("SELECT definitions, checked_at FROM statistics_state")
_CHECKED = text("""
INSERT INTO statistics_state (one, definitions, checked_at) VALUES (1, :definitions, :now)
ON CONFLICT (one) DO UPDATE
SET definitions = EXCLUDED.definitions, checked_at = EXCLUDED.checked_at
""")
_ANALYZE = text("""
ANALYZE statistics_spans, statistics_sums, statistics_cohorts, statistics_keys, statistics_state
""")
_DROP_SUMS = text("DELETE FROM statistics_sums WHERE span = :span AND first = :first")
_DROP_SPAN = text("DELETE FROM statistics_spans WHERE span = :span AND first = :first")
_FORGET_SUMS = text("""
DELETE FROM statistics_sums AS sums USING statistics_spans AS kept
WHERE (sums.span, sums.first) = (kept.span, kept.first)
  AND kept.first <= :last AND kept.past > :first
""")
_FORGET_SPANS = text("DELETE FROM statistics_spans WHERE first <= :last AND past > :first")
_FORGET_COHORTS = text("DELETE FROM statistics_cohorts WHERE first BETWEEN :first AND :last")
# Left alone for long enough since: before, making them anew would not make them clean. And days
# that hold no longer.
_STALE = bound(f"""
WITH touched AS MATERIALIZED ({TOUCHED}), stale AS MATERIALIZED ({STALE}), kept AS (
  SELECT span, first, computed_at FROM statistics_spans
  UNION ALL SELECT '{DAY}', first, computed_at FROM statistics_cohorts
)
SELECT span, first FROM kept JOIN stale USING (span, first)
WHERE stale.at >= kept.computed_at - :overlap::interval
  AND stale.at <= :now::timestamptz - :overlap::interval
UNION SELECT '{DAY}', first FROM statistics_cohorts WHERE holds_until < :now::timestamptz
ORDER BY first
""")  # noqa: S608
_MISSING = bound("""
SELECT step.first::date AS first FROM generate_series(
  (SELECT date_trunc(:span::text, min(submitted_at) AT TIME ZONE 'Asia/Shanghai') FROM requests),
  :last::date::timestamp, ('1 ' || :span::text)::interval
) AS step (first)
WHERE NOT EXISTS (SELECT FROM statistics_spans AS kept
  WHERE kept.span = :span::text AND kept.first = step.first::date)
ORDER BY step.first LIMIT :most
""")
_OLDEST = text("""
SELECT span, first FROM statistics_spans WHERE computed_at < :before ORDER BY computed_at LIMIT 1
""")


async def refresh(session: AsyncSession, *, now: datetime) -> int:
    """Make anew what is stale, and some of what was never made; how many spans that were.

    In the caller's transaction: all or nothing, so a crash leaves what was. Of several workers one
    does it, the others return at once. A second call has nothing to do.
    """
    if not await session.scalar(_TRY_LOCK):
        return 0
    await session.execute(_ANY_TIME)
    state = (await session.execute(_STATE)).one_or_none()
    stale: list[Made] = []
    if state is None or state.definitions != DEFINED:
        await forget(session, date.min, date.max)
    else:
        found = await session.execute(_STALE, {"overlap": OVERLAP, "now": now})
        stale = [(row.span, row.first) for row in found]
        oldest = await session.execute(_OLDEST, {"before": now - _SCRUB_AFTER})
        stale += [it for row in oldest if (it := (row.span, row.first)) not in stale]
    room = {DAY: MOST_DAYS, MONTH: MOST_MONTHS}
    making = await _some(session, stale, room)
    today = now.astimezone(SHANGHAI).date()
    last = {DAY: today, MONTH: _month_before(today)}
    for span, most in room.items():
        missing = {"span": span, "last": last[span], "most": most}
        making += [(span, first) for first in await session.scalars(_MISSING, missing)]
    wanted: dict[date, set[Made]] = defaultdict(set)
    for made in making:
        wanted[made[1].replace(day=1)].add(made)
    for them in wanted.values():
        await _make(session, them, now=now)
    await session.execute(_CHECKED, {"definitions": DEFINED, "now": now})
    if len(making) > _RUN:  # nobody else tells the planner in time
        await session.execute(_ANALYZE)
    return len(making)


async def _some(session: AsyncSession, stale: Sequence[Made], room: dict[str, int]) -> list[Made]:
    """As many as there is room for, and no room where they are; others are missing from now on."""
    chosen = []
    for made in stale:
        if room[made[0]]:
            room[made[0]] -= 1
            chosen.append(made)
        else:
            await _drop(session, made)
    return chosen


async def forget(session: AsyncSession, first: date, last: date) -> None:
    """Drop the sums of cohorts, both ends included: somebody has written past the audit."""
    ends = {"first": first, "last": last}
    await session.execute(_FORGET_SUMS, ends)
    await session.execute(_FORGET_SPANS, ends)
    await session.execute(_FORGET_COHORTS, ends)


async def _drop(session: AsyncSession, made: Made) -> None:
    which = {"span": made[0], "first": made[1]}
    await session.execute(_DROP_SUMS, which)
    await session.execute(_DROP_SPAN, which)
    if made[0] == DAY:
        await session.execute(_DROP_COHORTS, {"first": made[1], "past": _past(made)})


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def _past(made: Made) -> date:
    span, first = made
    if span == DAY:
        return first + timedelta(days=1)
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def midnights(first: date, past: date) -> dict[str, datetime]:
    begins, ends = (datetime(it.year, it.month, it.day, tzinfo=SHANGHAI) for it in (first, past))
    return {"begins": begins, "ends": ends}


def _runs(spans: set[Made]) -> Iterator[tuple[date, date, list[Made]]]:
    """What is read together: the month with its days, or a few days that follow each other."""
    months = [made for made in spans if made[0] == MONTH]
    if months:
        yield months[0][1], _past(months[0]), sorted(spans)
        return
    run: list[Made] = []
    for made in sorted(spans):
        if run and (made[1] != _past(run[-1]) or len(run) == _RUN):
            yield run[0][1], _past(run[-1]), run
            run = []
        run.append(made)
    if run:
        yield run[0][1], _past(run[-1]), run


async def _make(session: AsyncSession, spans: set[Made], *, now: datetime) -> None:
    """Make spans of one month anew."""
    for first, past, run in _runs(spans):
        for made in run:
            await _drop(session, made)
        requests = await _columns(session, first, past, now)
        for made in run:
            part = requests.of_days(made[1], _past(made))
            live = part.ids[~part.settled].tolist()
            ready = len(live) <= max(len(part) * _LIVE_SHARE, 2)
            note = {"span": made[0], "first": made[1], "past": _past(made), "computed_at": now}
            ids = [UUID(bytes=it) for it in live] if ready else []
            await session.execute(insert(Span), {**note, "ready": ready, "live": ids})
            if ready and len(part):
                await _keep(session, made, part.where(part.settled))


async def _columns(session: AsyncSession, first: date, past: date, now: datetime) -> Requests:
    """Make the cohorts of some days anew, and read them. A few at once: no statement is long."""
    await session.execute(_NUMBER_KEYS, midnights(first, past))
    days = {"first": first, "past": past}
    await session.execute(_DROP_COHORTS, days)
    begin = first
    while begin < past:
        end = min(begin + timedelta(days=_RUN), past)
        await session.execute(_KEEP_COHORTS, {**midnights(begin, end), "now": now})
        begin = end
    rows = (await session.execute(_COHORTS, days)).all()
    return await asyncio.to_thread(_read, rows)


def _read(rows: Sequence[Any]) -> Requests:
    pieces = {
        it.name: b"".join(
            row.columns[it.offset * row.requests : (it.offset + it.width) * row.requests]
            for row in rows
        )
        for it in COLUMNS.values()
    }
    days = [number_of(row.first) for row in rows]
    return Requests.read(days, [row.requests for row in rows], pieces)


async def _keep(session: AsyncSession, made: Made, requests: Requests) -> None:
    span, first = made
    rows = await asyncio.to_thread(lambda: list(fold(requests, span)))
    if rows:
        await session.execute(insert(Sum), [{**row, "span": span, "first": first} for row in rows])
