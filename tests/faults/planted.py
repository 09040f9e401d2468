"""For every rule of ``invariants`` a fault that breaks it: what proves that it can find something.

Names of requests (``:lived``, ``:waiting``, …) are those of ``test_invariants``; there foreign keys
are not asked, and everything is rolled back.
"""

from uuid import UUID, uuid4

from app.tables import metadata
from tests.faults.invariants import ROWS_OF_STEPS
from tests.faults.lives import letters

_NOBODY = UUID(int=7)


def _copied(table: str, where: str = "true", **changed: str) -> str:
    """Add once more what the table has, with some columns changed."""
    columns = metadata.tables[table].columns.keys()
    values = ", ".join(changed.get(column, column) for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where};"


def _clock(of: str, metric: str, changes: str) -> str:
    return f"UPDATE request_clocks SET {changes} WHERE request_id = {of} AND metric = '{metric}'"


def _told_twice(event: str) -> str:
    return _copied("inbox_messages", f"event = '{event}'", event_key="event_key + 1000000")


_NEVER_STOPPED = "state = 'running', stopped_at = NULL"

_OF_FAULTS: dict[str, str] = {
    "I2 one text of one person became two requests": f"""
        UPDATE requests SET text = 'x #{letters(uuid4().hex)}', submitted_by = '{_NOBODY}'""",
    "I3 request without its first events": """
        DELETE FROM request_events WHERE request_id = :waiting AND version = 2""",
    "I3 request without its clocks": """
        DELETE FROM request_clocks WHERE request_id = :waiting AND metric = 'accept'""",
    "I3 request without its stored answer": """
        DELETE FROM idempotency_keys WHERE operation = 'submit'""",
    "I3 stored answer without its request": _copied(
        "idempotency_keys",
        "operation = 'submit'",
        key="'x' || key",
        body="""convert_to(replace(convert_from(body, 'UTF8'), :waiting::text,
            gen_random_uuid()::text), 'UTF8')""",
    ),
    "I3 request that its quota does not count": "UPDATE rate_counters SET used = 0",
    "I3 step without its stored answer": "DELETE FROM idempotency_keys WHERE operation = 'sign'",
    "I3 stored answer without its step": """
        UPDATE request_events SET action = 'reply' WHERE action = 'sign'""",
    **{
        f"I3 row of {rows.table} without its step": f"""
            UPDATE {rows.table} SET {rows.at} = {rows.at} + interval '1 us'"""
        for rows in ROWS_OF_STEPS
    },
    **{
        f"I3 step without its row of {rows.table}": f"DELETE FROM {rows.table}"
        for rows in ROWS_OF_STEPS
        if rows.actions
    },
    "I3 step that the audit does not have once": """
        DELETE FROM audit_entries WHERE chain = :lived AND facts->>'version' = '4'""",
    "I3 audit of a step that was not taken": """
        DELETE FROM request_events WHERE request_id = :lived AND version = 4""",
    "I4 rung fired twice": _copied("clock_fires", due_at="due_at + interval '1 us'"),
    "I4 rung fired before its time": """
        UPDATE clock_fires SET fired_at = fire_at - interval '1 us'""",
    "I4 rung fired after the end": """
        INSERT INTO clock_fires (request_id, cycle_no, metric, level, due_at, fire_at, fired_at)
        SELECT request_id, 1, 'reply', 'breach_1', due_at, ended_at, ended_at + interval '1 us'
        FROM request_clocks JOIN requests ON id = request_id
        WHERE id = :lived AND metric = 'reply'""",
    "I4 rung overdue and not fired": """
        UPDATE request_clocks SET next_fire_at = started_at WHERE request_id = :waiting""",
    "I5 event given up": """
        INSERT INTO outbox (kind, payload, available_at, attempts, dead_at)
        VALUES ('RequestMoved', '{}', now(), 12, now())""",
    "I5 event waits too long": """
        INSERT INTO outbox (kind, payload, available_at) VALUES ('RequestMoved', '{}', '2026-01-01')
        """,
    "I5 person told twice": _copied("inbox_messages", event_key="event_key + 1000000"),
    "I5 submission that was never told": """
        DELETE FROM inbox_messages WHERE event = 'RequestSubmitted'""",
    "I5 step that was never told": "DELETE FROM inbox_messages WHERE event = 'RequestMoved'",
    "I5 rung that was never told": "DELETE FROM inbox_messages WHERE event = 'ClockFired'",
    "I12 key without an answer": _copied(
        "idempotency_keys", "operation = 'sign'", key="'half' || key", status="0", body="''"
    ),
}

# By the sentences of ``tests.machine.invariants``.
_OF_REQUESTS: dict[str, str] = {
    "a unit has what is with a unit": """
        ALTER TABLE requests DROP CONSTRAINT ck_requests_somebody_has_the_ball;
        UPDATE requests SET unit_code = NULL WHERE id = :waiting""",
    "somebody has the ball, whatever the state": """
        UPDATE requests SET rate_until = NULL WHERE id = :reviewed""",
    "what is merged follows a request that is not merged": """
        UPDATE requests SET master_id = NULL WHERE id = :follower""",
    "versions have no gap and end with the request's": """
        DELETE FROM request_events WHERE request_id = :lived AND version = 4""",
    "the state is the last event's": "UPDATE requests SET state = 'triage' WHERE id = :waiting",
    "time does not go backwards in a history": """
        UPDATE request_events SET at = at - interval '1 us' WHERE request_id = :lived
          AND version = 4""",
    "every step is a row of the table, by a role of that row": """
        UPDATE request_events SET actor_role = 'auditor' WHERE action = 'sign'""",
    "the system's steps are the system's, and nobody else's, and say which job did them": f"""
        UPDATE request_events SET actor_id = '{_NOBODY}' WHERE actor_role = 'system'""",
    "cycles are reopenings and one": "UPDATE requests SET reopens = 2 WHERE id = :again",
    "what has ended says when, what is open does not": """
        UPDATE requests SET ended_at = NULL WHERE id = :lived""",
    "two different people reject": f"""
        UPDATE request_events SET actor_id = '{_NOBODY}' WHERE action = 'reject'""",
    "nobody sends the reply they drafted, where it is looked at": """
        UPDATE request_replies SET by = (SELECT actor_id FROM request_events AS event
          WHERE event.request_id = :reviewed AND action = 'decide_reply')
        WHERE request_id = :reviewed""",
    "nothing is answered before somebody was reached, or tried three times": """
        UPDATE request_contacts SET result = 'no_answer' WHERE request_id = :lived""",
    "the attempts counted are the attempts logged": """
        UPDATE requests SET contact_attempts = 9 WHERE id = :waiting""",
    "contact comes before the reply, and after the request": """
        UPDATE request_contacts SET recorded_at = recorded_at + interval '1 day'
        WHERE request_id = :lived""",
    "nobody logs a contact before it was made": """
        UPDATE request_contacts SET recorded_at = at - interval '1 us' WHERE request_id = :lived""",
    "contacted means that somebody was reached in this cycle": """
        UPDATE requests SET contacted_at = contacted_at + interval '1 us' WHERE id = :busy""",
    "what was answered has its answer": "DELETE FROM request_replies WHERE request_id = :lived",
    "what was not answered was not rated": """
        UPDATE request_replies SET sent_at = NULL WHERE request_id = :lived""",
    "the request says what its resident said": """
        UPDATE requests SET satisfaction = NULL WHERE id = :lived""",
    "every cycle has its two promises": """
        DELETE FROM request_clocks WHERE request_id = :waiting AND metric = 'reply'""",
    "a clock has stopped, or it has not": _clock(":lived", "reply", "state = 'running'"),
    "met is met and missed is missed": _clock(":lived", "contact", "state = 'missed'"),
    "nothing runs in a request that has ended, but an order's answer": _clock(
        ":lived", "reply", _NEVER_STOPPED
    ),
    "nothing runs in a cycle that is over, but an order's answer": _clock(
        ":again", "reply", _NEVER_STOPPED
    ),
    "a clock runs only in its states": _clock(":waiting", "contact", "metric = 'review'"),
    "the reply clock does what the state says": _clock(
        ":waiting", "reply", "state = 'cancelled', stopped_at = started_at"
    ),
    "the contact clock runs until somebody was reached": _clock(
        ":waiting", "contact", "state = 'cancelled', stopped_at = started_at"
    ),
    "the request promises what its clocks promise": """
        UPDATE requests SET contact_due_at = contact_due_at + interval '1 us'
        WHERE id = :waiting""",
    "contact is due before the reply": _clock(":waiting", "contact", "due_at = '2100-01-01'"),
    "a running promise has a rung ahead, or has told its last": _clock(
        ":waiting", "reply", "next_fire_at = NULL, next_level = NULL"
    ),
    "no rung is told before its time, or after the answer": """
        UPDATE clock_fires SET fired_at = fire_at - interval '1 us'""",
    "while the reply clock stands there is one reason, otherwise none": """
        DELETE FROM request_pauses WHERE request_id = :standing""",
    "a pause ends after it began": """
        UPDATE request_pauses SET resumed_at = paused_at - interval '1 us'
        WHERE request_id = :busy""",
    "who waits for the resident knows until when": """
        UPDATE requests SET resume_on = NULL WHERE id = :standing""",
    "open co-tasks are counted": "UPDATE requests SET open_co_tasks = 2 WHERE id = :busy",
    "a co-task that is done or declined has ended": "UPDATE request_co_tasks SET state = 'done'",
    "an open co-task is another unit's, of this cycle, of a request that is open": """
        UPDATE request_co_tasks SET cycle_no = 2""",
    "the clock of co-tasks runs to the earliest that is owed": """
        UPDATE request_co_tasks SET due_at = due_at - interval '1 us'""",
    "a co-task is due after it was given": "UPDATE request_co_tasks SET due_at = asked_at",
    "followers are counted": "UPDATE requests SET followers = 2 WHERE id = :master",
    "an extension that was asked for waits, and only that": """
        UPDATE requests SET extension_asked = NULL WHERE id = :busy""",
    "extensions granted are counted": "UPDATE requests SET extensions = 1 WHERE id = :lived",
    "an order that waits for its answer is remembered until there is nothing to answer for": """
        UPDATE requests SET order_open = false WHERE id = :busy""",
    "an order that waits for its answer has its clock": """
        DELETE FROM request_clocks WHERE request_id = :busy AND metric = 'supervise'""",
    "urges are counted": "UPDATE requests SET urge_count = 2 WHERE id = :busy",
    "one call-back a cycle, of what was sampled": _copied(
        "request_call_backs", id="gen_random_uuid()"
    ),
    "a call-back has the rating of its cycle beside it, and the unit of its step": """
        UPDATE request_call_backs SET unit_code = 'nobody'""",
    "a rating has the unit of its step beside it, and is counted itself": """
        UPDATE request_ratings SET unit_code = 'nobody'""",
    "nobody is told of a rung twice": _told_twice("ClockFired"),
    "nobody is told of a submission twice": _told_twice("RequestSubmitted"),
    "nobody is told of more steps than were taken": _told_twice("RequestMoved"),
    "no rung waits to be told twice": """
        INSERT INTO outbox (kind, payload, available_at)
        SELECT 'ClockFired', '{}', now() FROM generate_series(1, 2)""",
    "nothing that is to be told was given up": """
        INSERT INTO outbox (kind, payload, available_at, attempts)
        VALUES ('RequestMoved', '{}', now(), 1)""",
}
PLANTED = _OF_FAULTS | {f"I6 {sentence}": planted for sentence, planted in _OF_REQUESTS.items()}
ELSEWHERE = frozenset({"I14 transaction left open"})  # takes a second connection
