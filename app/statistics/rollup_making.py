"""Making sums: the job that keeps them, span by span. ``rollup_proof`` says that they are right."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.working_time import SHANGHAI
from app.statistics.folding import NEVER, UNTIMED, Requests, fold, requests_of
from app.statistics.models import Span, Sum
from app.statistics.predicates import OFFICE_TENTHS, PLAIN
from app.statistics.spans import EPOCH, OVERLAP, TOUCHED
from app.statistics.sums import (
    CODES,
    CONDITIONS,
    DAY,
    DEFINED,
    INSTANTS,
    JOINS,
    MONTH,
    PERSON,
    SETTLED,
    SUBMITTED,
    TENTHS,
    TIMED_DEN,
    local_day,
)

# What one turn of the job makes at most; the rest is forgotten, and made in later turns.
MOST_DAYS, MOST_MONTHS = 31, 1
_RUN = 5  # days that are read together
_SCRUB_AFTER = timedelta(hours=6)  # then a span is made anew for no reason, one each turn
_LIVE_SHARE = 0.2  # more than so many: counting the requests themselves is no slower
_LOCK = 0x726F6C6C  # "roll"

Made = tuple[str, date]  # which span: its kind and its first day


def bound(sql: str) -> Any:
    """For SQLAlchemy, which wants casts of parameters in another way than ``Statement``."""
    return text(re.sub(r"(?<!:):([a-z_]+)::([a-z]+(?:\[\])?)", r"CAST(:\1 AS \2)", sql))


_INSIDE = "requests.submitted_at >= :begins AND requests.submitted_at < :ends"


def _columns() -> Iterator[tuple[str, str]]:
    yield "cohort", f"int4send({local_day(SUBMITTED)} - DATE '{EPOCH}')"
    for at, instant in enumerate(INSTANTS):
        day = f"{local_day(instant)} - DATE '{EPOCH}'"
        yield f"day_{at}", f"int4send(coalesce({day}, {NEVER}))"
    for code in CODES:
        yield f"code_{code}", f"int4send(key_{code}.number)"
    timed = f"{PLAIN[TIMED_DEN]} AND requests.office_s IS NOT NULL"
    yield f"code_{TENTHS}", f"int4send(CASE WHEN {timed} THEN {OFFICE_TENTHS} ELSE {UNTIMED} END)"
    bits = " | ".join(f"(({it})::int::bigint << {at})" for at, it in enumerate(CONDITIONS))
    yield "mask", f"int8send({bits})"
    yield "person", f"int4send({PERSON}::int)"


# Every settled request, each column put together as bytes: numbers need no reading one by one.
_READ = bound(f"""
SELECT {", ".join(f"string_agg({sql}, '') AS {name}" for name, sql in _columns())}
FROM requests {JOINS}
{
    " ".join(
        f"JOIN statistics_keys AS key_{code} ON key_{code}.code = '{code}'"
        f" AND key_{code}.key = coalesce({sql}, '')"
        for code, sql in CODES.items()
    )
}
WHERE {_INSIDE} AND {SETTLED}
""")  # noqa: S608
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
_LIVE = bound(f"""
SELECT {local_day(SUBMITTED)} AS cohort, count(*) AS every,
  array_agg(requests.id) FILTER (WHERE NOT {SETTLED}) AS live
FROM requests WHERE {_INSIDE} GROUP BY 1
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
_ANALYZE = text("ANALYZE statistics_spans, statistics_sums, statistics_keys, statistics_state")
_DROP_SUMS = text("DELETE FROM statistics_sums WHERE span = :span AND first = :first")
_DROP_SPAN = text("DELETE FROM statistics_spans WHERE span = :span AND first = :first")
_FORGET_SUMS = text("""
DELETE FROM statistics_sums AS sums USING statistics_spans AS kept
WHERE (sums.span, sums.first) = (kept.span, kept.first)
  AND kept.first <= :last AND kept.past > :first
""")
_FORGET_SPANS = text("DELETE FROM statistics_spans WHERE first <= :last AND past > :first")
# Left alone for long enough since: before, making them anew would not make them clean.
_STALE = bound(f"""
SELECT kept.span, kept.first FROM statistics_spans AS kept JOIN (
  SELECT '{DAY}' AS span, cohort AS first, at FROM ({TOUCHED}) AS by_day
  UNION ALL SELECT '{MONTH}', date_trunc('month', cohort::timestamp)::date, max(at)
  FROM ({TOUCHED}) AS by_month GROUP BY 2
) AS touched USING (span, first)
WHERE touched.at >= kept.computed_at - :overlap::interval
  AND touched.at <= :now::timestamptz - :overlap::interval
ORDER BY kept.first
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
    last = {DAY: today - timedelta(days=1), MONTH: _month_before(today)}
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


async def _drop(session: AsyncSession, made: Made) -> None:
    which = {"span": made[0], "first": made[1]}
    await session.execute(_DROP_SUMS, which)
    await session.execute(_DROP_SPAN, which)


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
        within = {**midnights(first, past), "now": now}
        found = {row.cohort: row for row in await session.execute(_LIVE, within)}
        await session.execute(_NUMBER_KEYS, midnights(first, past))
        requests: Requests | None = None
        for made in run:
            await _drop(session, made)
            cohorts = [row for day, row in found.items() if made[1] <= day < _past(made)]
            live = [it for row in cohorts for it in row.live or ()]
            ready = len(live) <= max(sum(row.every for row in cohorts) * _LIVE_SHARE, 2)
            note = {"span": made[0], "first": made[1], "past": _past(made), "computed_at": now}
            await session.execute(insert(Span), {**note, "ready": ready, "live": live * ready})
            if ready and cohorts:
                requests = requests or await _read(session, first, past, now)
                await _keep(session, made, requests.of_days(made[1], _past(made)))


async def _read(session: AsyncSession, first: date, past: date, now: datetime) -> Requests:
    """Some days at once: no statement is long."""
    rows, begin = [], first
    while begin < past:
        end = min(begin + timedelta(days=_RUN), past)
        row = (await session.execute(_READ, {**midnights(begin, end), "now": now})).mappings().one()
        rows.append(dict(row))
        begin = end
    return await asyncio.to_thread(requests_of, rows)


async def _keep(session: AsyncSession, made: Made, requests: Requests) -> None:
    span, first = made
    rows = await asyncio.to_thread(lambda: list(fold(requests, span)))
    if rows:
        await session.execute(insert(Sum), [{**row, "span": span, "first": first} for row in rows])
