"""What must be true of the database after every step, whoever did what: one SELECT a sentence.

Each SELECT names the offending request and says what is wrong with it; it must return no row. They
read only what is stored, and nothing of the code that stored it but the table of the workflow.
Source: the invariants of the workflow page (§1) and of the fault plan (I3-I6, I8).
"""

from app.domain.lifecycle import TRANSITIONS
from app.domain.states import FINAL, REPLY_CLOCK, Clock


def _words(words: object) -> str:
    return ", ".join(f"'{word}'" for word in words)  # type: ignore[attr-defined]


def _in_clock(clock: Clock) -> str:
    return _words(state for state, kept in REPLY_CLOCK.items() if kept is clock)


_FINAL = _words(FINAL)
_EDGES = ",\n".join(
    f"('{row.source}', '{row.action}', '{target}', '{role}')"
    for row in TRANSITIONS
    for target in row.targets
    for role in row.by
)
# In which states a clock of the present cycle may run at all. Contact and reply have rules below.
_RUNS_ONLY_IN = {
    "accept": "'assigned'",
    "review": "'reopen_review'",
    "rate": "'replied'",
    "info": "'need_info'",
    "suspension": "'suspended'",
}
_ONLY_IN = " OR ".join(
    f"(clock.metric = '{metric}' AND requests.state NOT IN ({states}))"
    for metric, states in _RUNS_ONLY_IN.items()
)
# A request that was split off another one stands on what that one had heard and said before.
_SPLIT = """EXISTS (SELECT FROM request_events AS first WHERE first.request_id = requests.id
  AND first.version = 1 AND first.action = 'unmerge')"""
# Attempts at different times.
_ATTEMPTS = """(SELECT count(DISTINCT contact.at) FROM request_contacts AS contact
  WHERE contact.request_id = requests.id AND contact.cycle_no = requests.cycle_no)"""

# Another master than before, or none.
_PARTED = "(action = 'unmerge' OR action = 'merge' AND actor_role = 'system')"

INVARIANTS: dict[str, str] = {
    # --- who has the ball ------------------------------------------------------------------------
    "a unit has what is with a unit": """
        SELECT id, state FROM requests WHERE unit_code IS NULL
          AND (state IN ('assigned', 'return_review', 'in_progress', 'suspended', 'reply_review')
            OR state = 'replied' AND NOT settled_by_grid)""",
    "somebody has the ball, whatever the state": """
        SELECT id, state FROM requests WHERE CASE state
          WHEN 'need_info' THEN previous_state IS NULL
            OR previous_state = 'in_progress' AND unit_code IS NULL
          WHEN 'replied' THEN rate_until IS NULL
          WHEN 'reply_review' THEN drafted_by IS NULL
          WHEN 'merged' THEN master_id IS NULL
          WHEN 'reopen_review' THEN NOT EXISTS (SELECT FROM request_clocks AS clock
            WHERE clock.request_id = requests.id AND clock.cycle_no = requests.cycle_no
              AND metric = 'review' AND clock.state = 'running')
          ELSE false END""",
    "what is merged follows a request that is not merged": """
        SELECT follower.id, concat_ws(' ', follower.state, '→', master.state)
        FROM requests AS follower LEFT JOIN requests AS master ON master.id = follower.master_id
        WHERE CASE follower.state WHEN 'merged' THEN coalesce(master.state, 'merged') = 'merged'
          WHEN 'archived' THEN false ELSE follower.master_id IS NOT NULL END""",
    # --- history ---------------------------------------------------------------------------------
    "versions have no gap and end with the request's": """
        SELECT requests.id, concat_ws(' ', requests.version, count(*), min(event.version),
                                      max(event.version))
        FROM requests LEFT JOIN request_events AS event ON event.request_id = requests.id
        GROUP BY requests.id HAVING count(event.*) <> requests.version
          OR min(event.version) <> 1 OR max(event.version) <> requests.version""",
    "the state is the last event's": """
        SELECT requests.id, concat_ws(' ', requests.state, event.state)
        FROM requests JOIN request_events AS event
          ON event.request_id = requests.id AND event.version = requests.version
        WHERE event.state <> requests.state""",
    "time does not go backwards in a history": """
        SELECT request_id, at::text FROM (SELECT request_id, at,
            lag(at) OVER (PARTITION BY request_id ORDER BY version) AS before
          FROM request_events) AS step WHERE at < before""",
    "every step is a row of the table, by a role of that row": f"""
        SELECT step.request_id, concat_ws(' ', before, '–', action, '→', state, 'by', actor_role)
        FROM (SELECT request_id, version, action, state, actor_role,
                facts ? 'follower_id' AS of_follower,
                lag(state) OVER (PARTITION BY request_id ORDER BY version) AS before
              FROM request_events) AS step
        WHERE CASE WHEN version = 1
            THEN (action, state) NOT IN (('submit', 'submitted'), ('unmerge', 'triage'))
          WHEN of_follower THEN before <> state OR action NOT IN ('merge', 'unmerge')
          ELSE (before, action, state, actor_role) NOT IN (VALUES {_EDGES}) END""",
    "the system's steps are the system's, and nobody else's, and say which job did them": """
        SELECT request_id, action FROM request_events
        WHERE (actor_role = 'system') <> (actor_id = '00000000-0000-0000-0000-000000000000')
          OR (actor_role = 'system') <> coalesce(facts ? 'job', false)""",
    "cycles are reopenings and one": """
        SELECT requests.id, concat_ws(' ', cycle_no, reopens) FROM requests
        WHERE cycle_no <> reopens + 1 OR reopens <> (SELECT count(*) FROM request_events AS event
          WHERE event.request_id = requests.id AND action = 'decide_reopen'
            AND event.state = 'assigned')""",
    "what has ended says when, what is open does not": f"""
        SELECT id, state FROM requests WHERE (state IN ({_FINAL})) <> (ended_at IS NOT NULL)""",
    "two different people reject": """
        SELECT request_id, action FROM (SELECT request_id, action, state, actor_id,
            lag(actor_id) OVER (PARTITION BY request_id, action ORDER BY version) AS asked_by
          FROM request_events WHERE action = 'reject') AS step
        WHERE state = 'rejected' AND actor_id IS NOT DISTINCT FROM asked_by""",
    "nobody sends the reply they drafted, where it is looked at": """
        SELECT event.request_id, 'decide_reply' FROM request_events AS event
        JOIN request_replies AS reply USING (request_id)
        JOIN requests ON requests.id = event.request_id AND reply.cycle_no = requests.cycle_no
          AND event.at = requests.replied_at
        WHERE event.action = 'decide_reply' AND event.state = 'replied'
          AND event.actor_id = reply.by""",
    # --- speaking with the resident --------------------------------------------------------------
    "nothing is answered before somebody was reached, or tried three times": f"""
        SELECT id, state FROM requests WHERE replied_at IS NOT NULL AND NOT {_SPLIT}
          AND {_ATTEMPTS} < 3 AND NOT EXISTS (SELECT FROM request_contacts AS contact
            WHERE contact.request_id = requests.id AND contact.cycle_no = requests.cycle_no
              AND result = 'reached')""",
    "the attempts counted are the attempts logged": f"""
        SELECT id, contact_attempts::text FROM requests
        WHERE contacted_at IS NULL AND contact_attempts <> {_ATTEMPTS} AND NOT {_SPLIT}""",
    "contact comes before the reply, and after the request": f"""
        SELECT requests.id, concat_ws(' ', contacted_at, replied_at) FROM requests
        JOIN request_clocks AS clock ON clock.request_id = requests.id AND metric = 'contact'
          AND clock.cycle_no = requests.cycle_no
        WHERE contacted_at > replied_at OR contacted_at < clock.started_at
          OR replied_at IS NOT NULL AND NOT {_SPLIT} AND NOT EXISTS (
            SELECT FROM request_contacts AS contact WHERE contact.request_id = requests.id
              AND contact.cycle_no = requests.cycle_no AND contact.recorded_at <= replied_at)""",
    "nobody logs a contact before it was made": """
        SELECT request_id, concat_ws(' ', at, recorded_at) FROM request_contacts
        WHERE at > recorded_at""",
    "contacted means that somebody was reached in this cycle": f"""
        SELECT id, contacted_at::text FROM requests WHERE NOT {_SPLIT}
          AND contacted_at IS DISTINCT FROM (SELECT contact.at FROM request_contacts AS contact
            WHERE contact.request_id = requests.id AND contact.cycle_no = requests.cycle_no
              AND result = 'reached' ORDER BY recorded_at, id LIMIT 1)""",
    "what was answered has its answer": """
        SELECT id, state FROM requests WHERE (replied_at IS NOT NULL OR state = 'reply_review')
          AND NOT EXISTS (SELECT FROM request_replies AS reply WHERE reply.request_id = requests.id
            AND reply.cycle_no = requests.cycle_no)""",
    "what was not answered was not rated": f"""
        SELECT rating.request_id, rating.at::text FROM request_ratings AS rating
        JOIN requests ON requests.id = rating.request_id
        WHERE NOT EXISTS (SELECT FROM request_replies AS reply
          WHERE reply.request_id IN (requests.id, requests.master_id)
            AND reply.sent_at <= rating.at)
          AND NOT EXISTS (SELECT FROM request_events AS event
            WHERE event.request_id = requests.id AND {_PARTED})""",
    "the request says what its resident said": f"""
        SELECT requests.id, concat_ws(' ', requests.satisfaction, rating.satisfaction,
                                      call_back.satisfaction)
        FROM requests
        LEFT JOIN request_ratings AS rating ON rating.request_id = requests.id
          AND rating.cycle_no = requests.cycle_no
        LEFT JOIN request_call_backs AS call_back ON call_back.request_id = requests.id
          AND call_back.cycle_no = requests.cycle_no AND reached
        WHERE (requests.satisfaction IS DISTINCT FROM
                 coalesce(rating.satisfaction, call_back.satisfaction)
            OR requests.solved IS DISTINCT FROM coalesce(rating.solved, call_back.solved))
          AND NOT EXISTS (SELECT FROM request_events AS event
            WHERE event.request_id = requests.id AND {_PARTED})""",
    # --- clocks ----------------------------------------------------------------------------------
    "every cycle has its two promises": """
        SELECT id, cycle_no::text FROM requests WHERE 2 * cycle_no <> (SELECT count(*)
          FROM request_clocks AS clock WHERE clock.request_id = requests.id
            AND metric IN ('contact', 'reply') AND clock.cycle_no <= requests.cycle_no)""",
    "a clock has stopped, or it has not": """
        SELECT request_id, concat_ws(' ', metric, state) FROM request_clocks
        WHERE (state IN ('met', 'missed', 'cancelled')) <> (stopped_at IS NOT NULL)
          OR state = 'running' AND paused_at IS NOT NULL
          OR state = 'paused' AND paused_at IS NULL
          OR state <> 'running' AND next_fire_at IS NOT NULL
          OR stopped_at < started_at OR paused_at < started_at""",
    "met is met and missed is missed": """
        SELECT request_id, concat_ws(' ', metric, state, due_at, stopped_at) FROM request_clocks
        WHERE state IN ('met', 'missed') AND (state = 'met') <> CASE
          WHEN metric IN ('contact', 'accept', 'supervise') THEN stopped_at <= due_at
          ELSE stopped_at < due_at END
          AND NOT (metric = 'accept' AND state = 'missed' AND stopped_at = due_at)""",
    "nothing runs in a request that has ended, but an order's answer": f"""
        SELECT requests.id, concat_ws(' ', requests.state, metric, clock.state)
        FROM requests JOIN request_clocks AS clock ON clock.request_id = requests.id
        WHERE requests.state IN ({_FINAL}) AND clock.state IN ('running', 'paused')
          AND NOT (requests.state = 'closed' AND order_open AND metric = 'supervise')""",
    "nothing runs in a cycle that is over, but an order's answer": """
        SELECT requests.id, concat_ws(' ', clock.cycle_no, metric, clock.state)
        FROM requests JOIN request_clocks AS clock ON clock.request_id = requests.id
        WHERE clock.cycle_no < requests.cycle_no AND clock.state IN ('running', 'paused')
          AND NOT (order_open AND metric = 'supervise')""",
    "a clock runs only in its states": f"""
        SELECT requests.id, concat_ws(' ', requests.state, metric) FROM requests
        JOIN request_clocks AS clock ON clock.request_id = requests.id
          AND clock.cycle_no = requests.cycle_no
        WHERE clock.state = 'running' AND ({_ONLY_IN})""",
    "the reply clock does what the state says": f"""
        SELECT requests.id, concat_ws(' ', requests.state, clock.state) FROM requests
        JOIN request_clocks AS clock ON clock.request_id = requests.id AND metric = 'reply'
          AND clock.cycle_no = requests.cycle_no
        WHERE CASE WHEN requests.state IN ({_in_clock(Clock.RUNS)}) THEN clock.state <> 'running'
          WHEN requests.state IN ({_in_clock(Clock.STANDS)}) THEN clock.state <> 'paused'
          WHEN requests.state IN ({_in_clock(Clock.CANCELLED)}) THEN clock.state <> 'cancelled'
          ELSE clock.stopped_at IS NULL END""",
    "the contact clock runs until somebody was reached": f"""
        SELECT requests.id, concat_ws(' ', requests.state, clock.state, contacted_at)
        FROM requests JOIN request_clocks AS clock ON clock.request_id = requests.id
          AND metric = 'contact' AND clock.cycle_no = requests.cycle_no
        WHERE CASE WHEN contacted_at IS NOT NULL THEN clock.stopped_at <> contacted_at
            OR clock.state NOT IN ('met', 'missed')
          WHEN requests.state IN ({_in_clock(Clock.RUNS)}, {_in_clock(Clock.STANDS)})
            THEN clock.state <> 'running'
          ELSE clock.state <> 'cancelled' END""",
    "the request promises what its clocks promise": """
        SELECT requests.id, concat_ws(' ', metric, clock.due_at, contact_due_at, reply_due_at)
        FROM requests JOIN request_clocks AS clock ON clock.request_id = requests.id
          AND clock.cycle_no = requests.cycle_no
        WHERE metric = 'contact' AND clock.due_at <> contact_due_at
          OR metric = 'reply' AND clock.state = 'running' AND reply_due_at IS DISTINCT FROM due_at
          OR metric = 'reply' AND clock.state = 'paused' AND (reply_due_at IS NOT NULL
            OR stands_since <> paused_at OR stands_due_at IS DISTINCT FROM due_at)
          OR metric = 'reply' AND clock.state <> 'paused' AND stands_since IS NOT NULL""",
    "contact is due before the reply": """
        SELECT request_id, concat_ws(' ', contact.due_at, reply.due_at)
        FROM request_clocks AS contact JOIN request_clocks AS reply USING (request_id, cycle_no)
        WHERE contact.metric = 'contact' AND reply.metric = 'reply'
          AND contact.started_at = reply.started_at AND contact.due_at > reply.due_at
          AND NOT EXISTS (SELECT FROM request_events AS joined  -- takes over what is due earlier
            WHERE joined.request_id = contact.request_id
              AND facts ?| array['follower_id', 'inherited_from'])""",
    "a running promise has a rung ahead, or has told its last": """
        SELECT request_id, concat_ws(' ', metric, due_at) FROM request_clocks AS clock
        WHERE metric IN ('contact', 'reply') AND state = 'running' AND next_fire_at IS NULL
          AND NOT EXISTS (SELECT FROM clock_fires AS fire
            WHERE (fire.request_id, fire.cycle_no, fire.metric)
                = (clock.request_id, clock.cycle_no, clock.metric)
              AND fire.level = CASE fire.metric WHEN 'contact' THEN 'breach_2' ELSE 'breach_3' END)
          AND NOT EXISTS (SELECT FROM request_events AS first WHERE version = 1
            AND first.request_id = clock.request_id AND action = 'unmerge')""",
    "no rung is told before its time, or after the answer": """
        SELECT fire.request_id, concat_ws(' ', metric, level, fire_at, fired_at)
        FROM clock_fires AS fire JOIN request_clocks AS clock USING (request_id, cycle_no, metric)
        WHERE fired_at < fire_at OR metric = 'reply' AND fired_at > clock.stopped_at""",
    "while the reply clock stands there is one reason, otherwise none": f"""
        SELECT requests.id, requests.state FROM requests
        WHERE (SELECT count(*) FROM request_pauses AS pause
               WHERE pause.request_id = requests.id AND resumed_at IS NULL)
           <> CASE WHEN state IN ({_in_clock(Clock.STANDS)}) THEN 1 ELSE 0 END""",
    "a pause ends after it began": """
        SELECT request_id, reason FROM request_pauses WHERE resumed_at < paused_at""",
    "who waits for the resident knows until when": """
        SELECT id, state FROM requests WHERE state = 'need_info'
          AND (info_until IS NULL OR previous_state IS NULL)
          OR state = 'suspended' AND resume_on IS NULL""",
    # --- children --------------------------------------------------------------------------------
    "open co-tasks are counted": """
        SELECT id, open_co_tasks::text FROM requests WHERE open_co_tasks <> (SELECT count(*)
          FROM request_co_tasks AS task
          WHERE task.request_id = requests.id AND ended_at IS NULL)""",
    "a co-task that is done or declined has ended": """
        SELECT request_id, state FROM request_co_tasks
        WHERE state IN ('done', 'declined') AND ended_at IS NULL""",
    "an open co-task is another unit's, of this cycle, of a request that is open": f"""
        SELECT requests.id, concat_ws(' ', requests.state, task.state, task.unit_code)
        FROM requests JOIN request_co_tasks AS task ON task.request_id = requests.id
        WHERE task.ended_at IS NULL AND (task.unit_code = requests.unit_code
          OR task.cycle_no <> requests.cycle_no OR requests.state IN ({_FINAL}))""",
    "the clock of co-tasks runs to the earliest that is owed": """
        SELECT requests.id, concat_ws(' ', clock.state, clock.due_at, owed.due_at)
        FROM requests JOIN request_clocks AS clock ON clock.request_id = requests.id
          AND metric = 'cotask' AND clock.cycle_no = requests.cycle_no
        LEFT JOIN LATERAL (SELECT min(task.due_at) AS due_at FROM request_co_tasks AS task
          WHERE task.request_id = requests.id AND task.ended_at IS NULL
            AND task.state IN ('assigned', 'working')) AS owed ON true
        WHERE CASE WHEN owed.due_at IS NULL THEN clock.stopped_at IS NULL
          ELSE clock.stopped_at IS NOT NULL OR clock.due_at <> owed.due_at END""",
    "a co-task is due after it was given": """
        SELECT request_id, unit_code FROM request_co_tasks WHERE due_at <= asked_at""",
    "followers are counted": """
        SELECT id, followers::text FROM requests WHERE followers <> (SELECT count(*)
          FROM requests AS follower WHERE follower.master_id = requests.id)""",
    "an extension that was asked for waits, and only that": """
        SELECT id, extension_asked::text FROM requests
        WHERE (SELECT count(*) FROM request_extensions AS extension
               WHERE extension.request_id = requests.id AND decided_at IS NULL)
           <> CASE WHEN coalesce(extension_asked, 'null') = 'null' THEN 0 ELSE 1 END""",
    "extensions granted are counted": """
        SELECT id, extensions::text FROM requests WHERE extensions <> (SELECT count(*)
          FROM request_extensions AS extension WHERE extension.request_id = requests.id
            AND extension.cycle_no = requests.cycle_no AND granted)""",
    "an order that waits for its answer is remembered until there is nothing to answer for": """
        SELECT id, order_open::text FROM requests WHERE order_open <> EXISTS (SELECT
          FROM request_orders AS orders WHERE orders.request_id = requests.id
            AND answered_at IS NULL AND NOT EXISTS (SELECT FROM request_events AS event
              WHERE event.request_id = requests.id AND event.at >= ordered_at
                AND event.version > (SELECT max(made.version) FROM request_events AS made
                  WHERE made.request_id = requests.id AND made.at = ordered_at
                    AND (made.action IN ('supervise', 'urge') OR made.facts ? 'inherited_from'))
                AND (event.state IN ('withdrawn', 'rejected', 'merged')
                  OR event.state = 'closed' AND event.unit_code IS NULL)))""",
    "an order that waits for its answer has its clock": f"""
        SELECT id, state FROM requests WHERE order_open AND state NOT IN ({_FINAL})
          AND NOT EXISTS (SELECT FROM request_clocks AS clock WHERE clock.request_id = requests.id
            AND metric = 'supervise' AND clock.state = 'running')""",
    "urges are counted": """
        SELECT id, urge_count::text FROM requests WHERE urge_count <> (SELECT count(*)
          FROM request_events AS event WHERE event.request_id = requests.id AND action = 'urge')""",
    "one call-back a cycle, of what was sampled": """
        SELECT request_id, count(*)::text FROM request_call_backs
        GROUP BY request_id, cycle_no HAVING count(*) > 1""",
    "a call-back has the rating of its cycle beside it, and the unit of its step": """
        SELECT called.request_id, called.at::text FROM request_call_backs AS called
        LEFT JOIN request_ratings AS rating USING (request_id, cycle_no)
        WHERE (called.written, called.written_solved, called.written_by)
            IS DISTINCT FROM (rating.satisfaction, rating.solved, rating.resident_id)
          OR called.unit_code IS DISTINCT FROM (SELECT event.unit_code
            FROM request_events AS event WHERE event.request_id = called.request_id
              AND action = 'call_back' AND event.at = called.at ORDER BY version DESC LIMIT 1)""",
    "a rating has the unit of its step beside it, and is counted itself": """
        SELECT request_id, at::text FROM request_ratings AS rating
        WHERE unit_code IS DISTINCT FROM (SELECT event.unit_code FROM request_events AS event
            WHERE event.request_id = rating.request_id AND action = 'rate'
              AND event.at = rating.at ORDER BY version DESC LIMIT 1)
          OR of_account < 1
          OR (of_unit > 0) IS DISTINCT FROM (satisfaction = 5 AND unit_code IS NOT NULL)""",
    # --- telling ---------------------------------------------------------------------------------
    "nobody is told of a rung twice": """
        SELECT request_id, min(title) FROM inbox_messages WHERE event = 'ClockFired'
        GROUP BY request_id, recipient_id, title, occurred_at HAVING count(*) > 1""",
    "nobody is told of a submission twice": """
        SELECT request_id, min(title) FROM inbox_messages WHERE event = 'RequestSubmitted'
        GROUP BY request_id, recipient_id HAVING count(*) > 1""",
    "nobody is told of more steps than were taken": f"""
        SELECT told.request_id, told.recipient_id::text FROM (
          SELECT request_id, recipient_id, occurred_at, count(*) AS messages FROM inbox_messages
          WHERE event = 'RequestMoved' GROUP BY request_id, recipient_id, occurred_at) AS told
        JOIN requests ON requests.id = told.request_id
        WHERE messages > (SELECT count(*) FROM request_events AS event WHERE event.at = occurred_at
          AND event.request_id IN (requests.id, requests.master_id))
          AND NOT EXISTS (SELECT FROM request_events AS event
            WHERE event.request_id = requests.id AND {_PARTED})""",
    "no rung waits to be told twice": """
        SELECT (payload->>'request_id')::uuid, min(kind) FROM outbox
        WHERE kind = 'ClockFired' GROUP BY payload HAVING count(*) > 1""",
    "nothing that is to be told was given up": """
        SELECT (payload->>'request_id')::uuid, kind FROM outbox
        WHERE dead_at IS NOT NULL OR attempts > 0""",
}

BROKEN = "\nUNION ALL\n".join(
    f"SELECT '{sentence.replace(chr(39), chr(39) * 2)}' AS sentence, found.id::text, found.detail"
    f" FROM ({select}) AS found (id, detail)"
    for sentence, select in INVARIANTS.items()
)
# Directly after a sweep.
LATE = "SELECT request_id::text FROM request_clocks WHERE next_fire_at <= $1"
