"""A million clocks that run, and those of them that fell due in one night without a sweeper.

The moments are not drawn: requests are imagined at every few minutes of a fortnight, their clocks
started and their ladders climbed by the domain's own rules, up to where they stood when the sweeper
went away. Which of them are due when it comes back, at nine in the morning, follows by itself:
warnings of the office's opening, replies that were due at midnight, contacts of the evening.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from app.domain import escalation, sla
from app.domain.escalation import AUTOMATIC, Level
from app.domain.events import RequestSubmitted
from app.domain.sla import DEFAULT_POLICY, Metric
from app.domain.working_time import SHANGHAI, WorkingCalendar

WENT_AWAY_AT = datetime(2026, 3, 3, 23, tzinfo=SHANGHAI)  # a Tuesday
NOW = datetime(2026, 3, 4, 9, 1, tzinfo=SHANGHAI)
_FORTNIGHT = timedelta(days=14)
_EVERY = timedelta(minutes=3, seconds=7)


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock as it stands when the sweeper went away."""

    metric: Metric
    started_at: datetime
    due_at: datetime
    level: Level
    fire_at: datetime
    due_now: bool


def clocks(calendar: WorkingCalendar) -> Iterator[Clock]:
    """The clocks of the imagined requests that are running and have something to tell.

    Left out is what would be told twice in that one night, and what moves a request.
    """
    at = NOW - _FORTNIGHT
    while at < WENT_AWAY_AT:
        policy = DEFAULT_POLICY
        promise = sla.promise(policy, calendar, at)
        for metric, due_at in (
            (Metric.CONTACT, promise.contact_due_at),
            (Metric.REPLY, promise.reply_due_at),
            (Metric.RATE, sla.rate_due(policy, calendar, at)),
            (Metric.INFO, sla.natural_days_later(calendar, at, policy.info_days)),
        ):
            clock = _standing(calendar, metric, at, due_at)
            if clock is not None:
                yield clock
        at += _EVERY


def _standing(
    calendar: WorkingCalendar, metric: Metric, started_at: datetime, due_at: datetime
) -> Clock | None:
    rungs = []
    level: Level | None = None
    while rung := escalation.next_rung(
        metric, started_at=started_at, due_at=due_at, calendar=calendar, after_level=level
    ):
        level = rung.level
        rungs.append(rung)
    ahead = [rung for rung in rungs if rung.fire_at > WENT_AWAY_AT]
    due = [rung for rung in ahead if rung.fire_at <= NOW]
    moves = any(
        (metric, rung.level) in AUTOMATIC and (metric, rung.level) != (Metric.REPLY, Level.BREACH_1)
        for rung in due
    )
    if not ahead or len(due) > 1 or moves:
        return None
    return Clock(metric, started_at, due_at, ahead[0].level, ahead[0].fire_at, bool(due))


# Every request has two clocks: of its reply (first half of the numbers), and another one. Those
# that are due lie everywhere in the table.
_FILL = """
WITH kinds AS (
  SELECT metric, started_at, due_at, level, fire_at, due, metric = 'reply' AS of_reply,
    row_number() OVER (PARTITION BY metric = 'reply', due ORDER BY started_at, metric) - 1 AS k,
    count(*) OVER (PARTITION BY metric = 'reply', due) AS many
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::timestamptz[],
    $6::bool[]) AS kind (metric, started_at, due_at, level, fire_at, due)
), many AS (SELECT DISTINCT of_reply, due, many FROM kinds), numbered AS (
  SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM requests
), slots AS (
  SELECT id, n, of_reply,
    (n * 2 + of_reply::int) * $7 / $8 <> (n * 2 + of_reply::int + 1) * $7 / $8 AS due
  FROM numbered, (VALUES (true), (false)) AS halves (of_reply)
)
INSERT INTO request_clocks (request_id, cycle_no, metric, state, started_at, due_at,
  original_due_at, next_level, next_fire_at)
SELECT slots.id, 1, kinds.metric, 'running', kinds.started_at, kinds.due_at, kinds.due_at,
  kinds.level, kinds.fire_at
FROM slots JOIN many USING (of_reply, due)
JOIN kinds ON kinds.of_reply = slots.of_reply AND kinds.due = slots.due
  AND kinds.k = slots.n % many.many
"""
_REMEMBER = """
CREATE TABLE bench_due AS
SELECT request_id, cycle_no, metric, next_level, next_fire_at FROM request_clocks
WHERE next_fire_at <= $1
"""
_INDEX = "CREATE UNIQUE INDEX ON bench_due (request_id, cycle_no, metric)"
_AS_BEFORE = """
UPDATE request_clocks AS clock
SET next_level = bench_due.next_level, next_fire_at = bench_due.next_fire_at
FROM bench_due WHERE (clock.request_id, clock.cycle_no, clock.metric)
  = (bench_due.request_id, bench_due.cycle_no, bench_due.metric)
"""
_UNSIGNED = """
INSERT INTO request_clocks (request_id, cycle_no, metric, state, started_at, due_at,
  original_due_at, next_level, next_fire_at)
SELECT id, 1, 'accept', 'running', $2::timestamptz - interval '2 hours', $2, $2, 'breach_1', $2
FROM requests WHERE state = 'assigned' AND NOT EXISTS (
  SELECT FROM request_clocks WHERE request_id = requests.id AND metric = 'accept')
LIMIT $1
"""
_SUBMITTED = f"""
INSERT INTO outbox (kind, payload, available_at)
SELECT '{RequestSubmitted.__name__}', jsonb_build_object('request_id', id, 'number', number,
  'at', submitted_at, 'grid_code', grid_code, 'unit_code', unit_code, 'resident_id', resident_id,
  'state', state), $2
FROM (SELECT * FROM requests ORDER BY md5(id::text) LIMIT $1) AS chosen
"""
_TALLY = """
SELECT (SELECT count(*) FROM clock_fires) AS fires, (SELECT count(*) FROM outbox) AS outbox,
  (SELECT count(DISTINCT (payload->>'request_id', payload->>'metric')) FROM outbox
   WHERE kind = 'ClockFired') AS told,
  (SELECT count(*) FROM request_clocks WHERE next_fire_at <= $1) AS due,
  (SELECT count(*) FROM request_clocks WHERE next_fire_at > $1) AS pending,
  (SELECT count(*) FROM requests WHERE state = 'in_progress') AS signed,
  (SELECT count(*) FROM inbox_messages) AS messages
"""


async def fill(admin: asyncpg.Connection, *, clock_count: int, due_count: int) -> None:
    """Give every request of the database two clocks, ``clock_count`` in all."""
    calendar = WorkingCalendar(1, NOW.date(), NOW.date()).provisional()
    kinds = list(clocks(calendar))
    columns = zip(
        *(
            (kind.metric, kind.started_at, kind.due_at, kind.level, kind.fire_at, kind.due_now)
            for kind in kinds
        ),
        strict=True,
    )
    await admin.execute("SET session_replication_role = replica")
    await admin.execute(_FILL, *columns, due_count, clock_count, timeout=900)
    # Replies are counted by the calendar of the day: nobody shall count them anew meanwhile.
    await admin.execute(
        "UPDATE requests SET calendar_version = (SELECT max(version) FROM calendars)"
    )
    await admin.execute(_REMEMBER.replace("$1", f"'{NOW.isoformat()}'"))
    await admin.execute(_INDEX)
    await tidy(admin)


async def reset(admin: asyncpg.Connection) -> None:
    """As if the night had not been swept, and nobody had been told anything."""
    await admin.execute("SET session_replication_role = replica")
    await admin.execute(_AS_BEFORE, timeout=300)
    await forget(admin)
    await tidy(admin)


async def forget(admin: asyncpg.Connection) -> None:
    await admin.execute("TRUNCATE clock_fires, outbox, inbox_messages")


async def tidy(admin: asyncpg.Connection) -> None:
    """What autovacuum would do by and by, so that it does not do it meanwhile."""
    for table in ("request_clocks", "requests", "bench_due"):
        await admin.execute(f"VACUUM (ANALYZE) {table}", timeout=300)


async def leave_unsigned(admin: asyncpg.Connection, count: int) -> None:
    """So many requests that nobody has signed in time."""
    await admin.execute(_UNSIGNED, count, NOW - timedelta(minutes=1))


async def submit(admin: asyncpg.Connection, count: int) -> None:
    """So many submissions that nobody was told of."""
    await admin.execute(_SUBMITTED, count, NOW)


async def tally(admin: asyncpg.Connection) -> dict[str, int]:
    """What is there now: ``fires, outbox, told, due, pending, signed, messages``."""
    row = await admin.fetchrow(_TALLY, NOW, timeout=300)
    assert row is not None
    return dict(row)
