"""What must be true of the database whatever happened: rules as SQL that must return no row.

``violations(connection, now=…)`` runs them all and returns those that are broken, each with some
of its rows. ``INVARIANTS`` says that nothing is lost, doubled or half written; what a request may
look like at all, ``tests.machine.invariants`` says, and is asked as well (I6, I8). Some rules take
more than SQL: ``unkept`` (what clients were told), ``lost_rungs`` (what the ladders say),
``altered`` (the hashes of the audit). ``settle`` waits until a running service has nothing left to
do, so that "not yet" and "never" can be told apart.

The rules follow the tables of the application: a new action, letter or edge is known here at once.
A new table that belongs to a step goes into ``ROWS_OF_STEPS``; a rule of its own into
``INVARIANTS``, with a planted fault in ``test_invariants.py`` that proves that it can fail.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import asyncpg

from app.audit.inspection import inspect
from app.cli.audit import RECORDED
from app.domain import escalation
from app.domain.events import RequestMoved
from app.domain.sla import Metric
from app.domain.states import Action, State
from app.domain.working_time import WorkingCalendar
from app.notifications.letters import Audience, letters_for
from app.reference import queries as reference
from app.settings import DatabaseSettings
from app.store.session import Database, Statement
from tests.machine.invariants import INVARIANTS as OF_REQUESTS

PATIENCE = timedelta(seconds=10)
_SHOWN = 5


class RowsOfSteps(NamedTuple):
    """A table in which each of some actions writes one row, at the time of its event.

    ``perhaps``: of some other actions not every step does. ``replaced``: a later step of the same
    cycle may write over the row.
    """

    table: str
    at: str
    actions: tuple[Action, ...]
    perhaps: tuple[Action, ...] = ()
    replaced: bool = False


ROWS_OF_STEPS = (
    RowsOfSteps("request_contacts", "recorded_at", (Action.CONTACT,), (Action.SUPPLY,)),
    RowsOfSteps("request_ratings", "at", (Action.RATE,)),
    RowsOfSteps("request_replies", "at", (Action.REPLY, Action.SETTLE), replaced=True),
    RowsOfSteps("request_call_backs", "at", (Action.CALL_BACK,)),
    RowsOfSteps("request_co_tasks", "asked_at", (Action.CO_ASSIGN,)),
    RowsOfSteps("request_extensions", "asked_at", (Action.REQUEST_EXTENSION,)),
    RowsOfSteps("request_pauses", "paused_at", (Action.ASK_INFO,), (Action.SUSPEND,)),
    RowsOfSteps("request_orders", "ordered_at", (), (Action.SUPERVISE, Action.URGE)),
)
# Operations whose stored answer is the request as the step left it: {"id", "version", …}.
_STEPS = tuple(action for action in Action if action is not Action.SUBMIT)


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _tells_resident(action: Action, state: State) -> bool:
    event = RequestMoved(request_id="", number="", at="", action=action, state=state)
    return any(letter.to is Audience.RESIDENT for letter in letters_for(event))


_TOLD_TO_RESIDENT = ", ".join(
    f"('{action}', '{state}')" for action in Action for state in State
    if _tells_resident(action, state)
)  # fmt: skip

# An answer of ours as JSON; a key without an answer has none.
_ANSWERS = """
WITH answers AS MATERIALIZED (
  SELECT actor_id, operation, key, status, created_at,
    CASE WHEN status BETWEEN 200 AND 299 THEN convert_from(body, 'UTF8')::jsonb END AS said
  FROM idempotency_keys
), answered AS MATERIALIZED (
  SELECT *, (said->>'id')::uuid AS request_id, (said->>'version')::int AS version FROM answers
)
"""
# Split off another one, a request was not submitted; what was joined or split has rows of others.
_SUBMITTED = """EXISTS (SELECT FROM request_events AS first WHERE first.request_id = requests.id
          AND first.version = 1 AND first.action = 'submit')"""
_JOINED = "SELECT request_id FROM request_events WHERE action IN ('merge', 'unmerge')"


def _waiting(kind: str, request_id: str, at: str) -> str:
    """The outbox still holds the event that would tell of it."""
    return f"""EXISTS (SELECT FROM outbox WHERE dead_at IS NULL AND kind = '{kind}'
          AND (payload->>'request_id')::uuid = {request_id}
          AND (payload->>'at')::timestamptz = {at})"""


def _row_without_step(rows: RowsOfSteps) -> str:
    return f"""
        SELECT request_id, {rows.at} FROM {rows.table} AS made
        WHERE request_id NOT IN ({_JOINED}) AND NOT EXISTS (
          SELECT FROM request_events AS event WHERE event.request_id = made.request_id
          AND event.at = made.{rows.at} AND action IN ({_words(rows.actions + rows.perhaps)}))"""


def _step_without_row(rows: RowsOfSteps) -> str:
    same_time = "" if rows.replaced else f"AND made.{rows.at} = event.at"
    return f"""
        SELECT request_id, version FROM request_events AS event
        WHERE action IN ({_words(rows.actions)}) AND request_id NOT IN ({_JOINED})
        AND NOT EXISTS (SELECT FROM {rows.table} AS made
                        WHERE made.request_id = event.request_id {same_time})"""


# fmt: off
INVARIANTS: dict[str, str] = {
    "I2 one text of one person became two requests": """
        SELECT submitted_by, text FROM requests WHERE text ~ '#[a-p]{32}$'
        GROUP BY submitted_by, text HAVING count(*) > 1""",

    "I3 request without its first events": f"""
        SELECT id FROM requests WHERE {_SUBMITTED} AND NOT EXISTS (
          SELECT FROM request_events AS event WHERE event.request_id = requests.id
          AND event.version = 2 AND action IN ('assign', 'queue') AND at = submitted_at)""",
    "I3 request without its clocks": f"""
        SELECT id, metric FROM requests
        CROSS JOIN (VALUES ('contact'), ('reply'), ('accept')) AS due (metric)
        WHERE {_SUBMITTED} AND NOT EXISTS (
          SELECT FROM request_clocks AS clock WHERE clock.request_id = requests.id
          AND clock.metric = due.metric AND clock.cycle_no = 1)
        AND (metric <> 'accept' OR EXISTS (SELECT FROM request_events AS event
          WHERE event.request_id = requests.id AND event.version = 2 AND action = 'assign'))""",
    "I3 request without its stored answer": _ANSWERS + f"""
        SELECT requests.id FROM requests LEFT JOIN answered
          ON answered.request_id = requests.id AND answered.operation = 'submit'
          AND answered.actor_id = requests.submitted_by
        WHERE answered.key IS NULL AND {_SUBMITTED}""",
    "I3 stored answer without its request": _ANSWERS + """
        SELECT answered.key FROM answered LEFT JOIN requests
          ON requests.id = answered.request_id AND requests.submitted_by = answered.actor_id
        WHERE operation = 'submit' AND said IS NOT NULL AND requests.id IS NULL""",
    "I3 request that its quota does not count": f"""
        SELECT bucket FROM rate_counters JOIN requests
          ON bucket = 'submit:' || submitted_by
          AND window_start = date_trunc('hour', submitted_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        WHERE {_SUBMITTED} GROUP BY bucket, window_start, used HAVING used < count(*)""",
    "I3 step without its stored answer": _ANSWERS + """
        SELECT event.request_id, event.version, action FROM request_events AS event
        LEFT JOIN answered ON answered.operation = event.action
          AND answered.actor_id = event.actor_id AND answered.created_at = event.at
        WHERE event.version > 2 AND actor_role <> 'system' AND answered.key IS NULL""",
    "I3 stored answer without its step": _ANSWERS + f"""
        SELECT key, operation FROM answered LEFT JOIN request_events AS event
          ON event.request_id = answered.request_id AND event.version = answered.version
          AND event.action = operation
        WHERE operation IN ({_words(_STEPS)}) AND said IS NOT NULL AND event.version IS NULL""",
    **{f"I3 row of {rows.table} without its step": _row_without_step(rows)
       for rows in ROWS_OF_STEPS},
    **{f"I3 step without its row of {rows.table}": _step_without_row(rows)
       for rows in ROWS_OF_STEPS if rows.actions},
    "I3 step that the audit does not have once": """
        SELECT event.request_id, version, count(entry.seq) FROM request_events AS event
        LEFT JOIN audit_entries AS entry ON chain = event.request_id
          AND (entry.facts->>'version')::int = version AND entry.action = event.action
        GROUP BY event.request_id, version HAVING count(entry.seq) <> 1""",
    "I3 audit of a step that was not taken": """
        SELECT chain, seq FROM audit_entries AS entry JOIN requests ON requests.id = chain
        LEFT JOIN request_events AS event ON event.request_id = chain
          AND event.version = (entry.facts->>'version')::int AND event.action = entry.action
        WHERE entry.facts ? 'version' AND event.version IS NULL""",

    "I4 rung fired twice": """
        SELECT request_id, metric, level FROM clock_fires AS fire
        JOIN request_clocks AS clock USING (request_id, cycle_no, metric)
        WHERE clock.due_at = clock.original_due_at AND metric IN ('contact', 'reply')
        GROUP BY request_id, cycle_no, metric, level HAVING count(*) > 1""",
    "I4 rung fired before its time": """
        SELECT request_id, metric, level FROM clock_fires WHERE fired_at < fire_at""",
    "I4 rung fired after the end": """
        SELECT request_id, metric, level FROM clock_fires JOIN requests ON id = request_id
        WHERE fired_at > ended_at AND metric IN ('contact', 'reply', 'accept')""",
    "I4 rung overdue and not fired": """
        SELECT request_id, metric, next_level FROM request_clocks
        WHERE next_fire_at < :now::timestamptz - :patience::interval""",

    "I5 event given up": """
        SELECT id, kind FROM outbox WHERE dead_at IS NOT NULL""",
    "I5 event waits too long": """
        SELECT id, kind FROM outbox WHERE available_at < :now::timestamptz - :patience::interval""",
    "I5 person told twice": """
        SELECT request_id, recipient_id, title FROM inbox_messages
        GROUP BY request_id, recipient_id, event, title, occurred_at HAVING count(*) > 1""",
    "I5 submission that was never told": f"""
        SELECT id FROM requests WHERE resident_id IS NOT NULL AND {_SUBMITTED}
        AND NOT EXISTS (SELECT FROM inbox_messages AS message WHERE message.request_id = requests.id
          AND recipient_id = resident_id AND event = 'RequestSubmitted')
        AND NOT {_waiting("RequestSubmitted", "requests.id", "submitted_at")}""",
    "I5 step that was never told": f"""
        SELECT event.request_id, action FROM request_events AS event
        JOIN requests ON requests.id = event.request_id
        WHERE event.version > 2 AND (action, event.state) IN ({_TOLD_TO_RESIDENT})
        AND actor_id <> resident_id
        AND NOT EXISTS (SELECT FROM inbox_messages AS message
          WHERE message.request_id = event.request_id AND recipient_id = resident_id
          AND message.event = 'RequestMoved' AND occurred_at = event.at)
        AND NOT {_waiting("RequestMoved", "event.request_id", "event.at")}""",
    "I5 rung that was never told": f"""
        SELECT fire.request_id, metric, level FROM clock_fires AS fire
        JOIN requests ON requests.id = fire.request_id AND assigned_at <= fired_at
        JOIN staff ON staff.unit_code = requests.unit_code AND role = 'handler' AND active
        WHERE metric IN ('contact', 'reply')
        AND NOT EXISTS (SELECT FROM inbox_messages AS message
          WHERE message.request_id = fire.request_id AND recipient_id = staff.id
          AND event = 'ClockFired' AND occurred_at = fire_at)
        AND NOT {_waiting("ClockFired", "fire.request_id", "fire_at")}""",

    "I12 key without an answer": """
        SELECT operation, key FROM idempotency_keys WHERE status = 0""",

    "I14 transaction left open": """
        SELECT pid, query FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state LIKE 'idle in transaction%'
        AND clock_timestamp() - state_change > :idle::interval""",
}
# fmt: on
ALL = INVARIANTS | {f"I6 {sentence}": sql for sentence, sql in OF_REQUESTS.items()}

Rows = list[asyncpg.Record] | list[Any]


async def violations(
    connection: asyncpg.Connection,
    *,
    now: datetime | None = None,
    patience: timedelta = PATIENCE,
    idle: timedelta = timedelta(seconds=5),
    rules: Mapping[str, str] = ALL,
) -> dict[str, Rows]:
    """The broken rules, each with the first of its rows; empty when all is well.

    Args:
        now: what the service takes for the present.
        patience: how long what is due may wait for the sweep and the deliverer.
        idle: how long a transaction may stand open.
    """
    values = {"now": now or datetime.now(UTC), "patience": patience, "idle": idle}
    broken: dict[str, Rows] = {}
    for name, sql in rules.items():
        statement = Statement(sql)
        rows = await connection.fetch(statement.sql, *statement.arguments(values))
        if rows:
            broken[f"{name} ({len(rows)})"] = rows[:_SHOWN]
    return broken


class Kept(Protocol):
    """One acknowledged call: the key it was made with, and the bytes of the answer."""

    @property
    def actor_id(self) -> UUID: ...
    @property
    def operation(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def answer(self) -> bytes: ...
    @property
    def request_id(self) -> UUID: ...
    @property
    def answered_version(self) -> int: ...


_UNKEPT = """
SELECT acked.key, operation, answer.key IS NULL AS no_answer, event.version IS NULL AS no_event
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::int[])
  AS acked (actor_id, operation, key, digest, request_id, version)
LEFT JOIN idempotency_keys AS answer USING (actor_id, operation, key)
LEFT JOIN request_events AS event ON event.request_id = acked.request_id
  AND event.version = acked.version AND (event.action = operation OR operation = 'submit')
WHERE event.version IS NULL OR answer.key IS NULL OR sha256(answer.body) <> acked.digest
"""


async def unkept(connection: asyncpg.Connection, acknowledged: Sequence[Kept]) -> Rows:
    """I1: what somebody was told is done, and is not there, or is answered otherwise now."""
    return await connection.fetch(
        _UNKEPT,
        [call.actor_id for call in acknowledged],
        [call.operation for call in acknowledged],
        [call.key for call in acknowledged],
        [hashlib.sha256(call.answer).digest() for call in acknowledged],
        [call.request_id for call in acknowledged],
        [call.answered_version for call in acknowledged],
    )


async def calendar_of(url: str) -> WorkingCalendar:
    """The working calendar of the database at ``url``."""
    db = Database(url, DatabaseSettings())
    await db.open()
    try:
        return (await reference.load(db)).calendar
    finally:
        await db.close()


async def altered(url: str) -> list[str]:
    """I10: what reading the whole audit again finds wrong, as ``lianxin audit verify`` does."""
    db = Database(url, DatabaseSettings())
    try:
        async with db.transaction() as session:
            return [finding.line() for finding in (await inspect(session, RECORDED)).findings]
    finally:
        await db.engine.dispose()


# Promises that were never paused, moved or joined: their ladder is known from the start.
_PLAIN_CLOCKS = f"""
SELECT clock.*, coalesce(fires.told, '{{}}') AS told, coalesce(fires.told_at, '{{}}') AS told_at
FROM request_clocks AS clock LEFT JOIN (
  SELECT request_id, cycle_no, metric, array_agg(level::text ORDER BY fire_at, level) AS told,
    array_agg(fire_at ORDER BY fire_at, level) AS told_at
  FROM clock_fires GROUP BY request_id, cycle_no, metric
) AS fires USING (request_id, cycle_no, metric)
WHERE metric IN ('contact', 'reply') AND clock.due_at = clock.original_due_at
  AND request_id NOT IN (SELECT request_id FROM request_pauses UNION ALL {_JOINED})
"""


async def lost_rungs(
    connection: asyncpg.Connection,
    calendar: WorkingCalendar,
    *,
    now: datetime | None = None,
    patience: timedelta = PATIENCE,
) -> list[str]:
    """I4: rungs that the ladder has and ``clock_fires`` has not, or the other way round.

    Does not believe ``next_level`` and ``next_fire_at``: it climbs each ladder anew.
    """
    reached = (now or datetime.now(UTC)) - patience
    found = []
    for clock in await connection.fetch(_PLAIN_CLOCKS):
        ladder = _ladder(clock, calendar)
        told = list(zip(clock["told"], clock["told_at"], strict=True))
        due = sum(fire_at <= reached for _, fire_at in ladder)
        following = ladder[len(told)] if len(told) < len(ladder) else (None, None)
        if clock["stopped_at"] is None and (
            len(told) < due or (clock["next_level"], clock["next_fire_at"]) != following
        ):
            found.append(f"{clock['request_id']} {clock['metric']}: told {told} of {ladder}")
        elif told != ladder[: len(told)]:
            found.append(f"{clock['request_id']} {clock['metric']}: told {told}, not {ladder}")
    return found


def _ladder(clock: asyncpg.Record, calendar: WorkingCalendar) -> list[tuple[str, datetime]]:
    rungs: list[tuple[str, datetime]] = []
    level: escalation.Level | None = None
    while True:
        rung = escalation.next_rung(
            Metric(clock["metric"]),
            started_at=clock["started_at"],
            due_at=clock["due_at"],
            calendar=calendar,
            after_level=level,
        )
        if rung is None:
            return rungs
        level = rung.level
        rungs.append((level.value, rung.fire_at))


_TO_DO = """
SELECT (SELECT count(*) FROM outbox WHERE dead_at IS NULL AND available_at <= now() + '1 min')
     + (SELECT count(*) FROM request_clocks WHERE next_fire_at <= now()) AS left_over
"""


async def settle(connection: asyncpg.Connection, *, within_s: float) -> float:
    """Wait until nothing that is due is left to be told; how long that took, in seconds.

    Returns after ``within_s`` at the latest: the rules then say what is wrong.
    """
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        if await connection.fetchval(_TO_DO) == 0:
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - began
