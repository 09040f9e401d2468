"""Finding what looks wrong (异常): a statement for each kind over a bounded period, nothing stored.

A device is not known here: of a mini-program's call neither network nor hardware is kept with what
it did, and telephone numbers are sealed without an index. What stands for it is the account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from app.domain.anomalies import FIVE_STARS, Anomaly, Thresholds
from app.domain.matters import ContactResult
from app.domain.states import Action
from app.requests.models import ANSWERED_SOON
from app.satisfaction.queries import read_cursor, write_cursor
from app.store.session import Database, Statement

# LIMIT 1: few ratings are left by then, which the planner cannot know, and would read all requests.
# Of the present cycle the unit stands in the request's row; of an earlier one the history says it.
_RATED = """
SELECT rating.request_id, rating.cycle_no, rating.resident_id, rating.satisfaction, rating.at,
  requests.number,
  CASE WHEN rating.cycle_no = requests.cycle_no THEN requests.unit_code ELSE (
    SELECT event.unit_code FROM request_events AS event
    WHERE event.request_id = rating.request_id AND event.at <= rating.at
    ORDER BY event.version DESC LIMIT 1) END AS unit_code
FROM ({ratings}) AS rating
CROSS JOIN LATERAL (
  SELECT number, unit_code, cycle_no FROM requests WHERE id = rating.request_id LIMIT 1
) AS requests
"""
_NAMED = """jsonb_agg(jsonb_build_object('id', request_id, 'number', number, 'cycle_no', cycle_no)
    ORDER BY at, request_id)"""
_NAMED_ONE = """jsonb_build_array(jsonb_build_object(
    'id', requests.id, 'number', requests.number, 'cycle_no', {cycle_no}))"""


# Nothing but what ix_request_ratings_at holds: the ratings themselves are not read.
_RATINGS = """
SELECT request_id, cycle_no, resident_id, satisfaction, at FROM request_ratings
WHERE at >= :since AND at < :until
"""
# Of accounts that rated often enough in the whole period: so few that sorting them costs nothing.
_OFTEN = f"""
WITH within AS MATERIALIZED ({_RATINGS})
SELECT * FROM within WHERE resident_id IN (
  SELECT resident_id FROM within GROUP BY resident_id HAVING count(*) >= :account_ratings::int)
"""  # noqa: S608 - put together from names of this file


def _crowded(ratings: str, by: str, *, number: str, within: str, at_least_stars: int) -> str:
    """Ratings in some span ``within`` that begins with ``number`` of at least so many stars (``by``
    the same, if it names a column): nearly all others are dropped here, by one cheap pass."""
    return f"""
SELECT * FROM (
  SELECT *, max(at) FILTER (WHERE begins) OVER ({by} ORDER BY at) AS begun_at
  FROM (
    SELECT *, satisfaction >= {at_least_stars:d}
      AND count(*) FILTER (WHERE satisfaction >= {at_least_stars:d}) OVER ({by} ORDER BY at
        RANGE BETWEEN CURRENT ROW AND :{within}::interval FOLLOWING) >= :{number}::int AS begins
    FROM ({ratings}) AS ratings
  ) AS looked_ahead
) AS looked_back WHERE at <= begun_at + :{within}::interval
"""  # noqa: S608 - put together from names of this file


def _burst(
    kind: Anomaly, of: str, ratings: str, *, number: str, within: str, at_least_stars: int
) -> str:
    """``number`` ratings or more by (or of) the same ``of`` in some span ``within``, all of them
    with ``at_least_stars``. Spans that touch are one finding."""
    return f"""
SELECT '{kind}' AS kind, max(at) AS at, '{kind}:' || min(request_id::text) AS key,
  array_agg(DISTINCT unit_code) AS units, {_NAMED} AS requests,
  jsonb_build_object('ratings', count(*), 'first_at', min(at), 'last_at', max(at),
    'five_star', count(*) FILTER (WHERE satisfaction = {FIVE_STARS})) AS evidence
FROM (
  SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY {of} ORDER BY at, request_id) AS no
  FROM (
    SELECT *, coalesce(
      at - lag(at) OVER (PARTITION BY {of} ORDER BY at, request_id) > :{within}::interval, true
    ) AS begins
    FROM (
      SELECT *, bool_or(opens) OVER (PARTITION BY {of} ORDER BY at
        RANGE BETWEEN :{within}::interval PRECEDING AND CURRENT ROW) AS belongs
      FROM (
        SELECT *, count(*) OVER span >= :{number}::int
          AND min(satisfaction) OVER span >= {at_least_stars} AS opens
        FROM ({_RATED.format(ratings=ratings)}) AS rated WHERE {of} IS NOT NULL
        WINDOW span AS (PARTITION BY {of} ORDER BY at
          RANGE BETWEEN CURRENT ROW AND :{within}::interval FOLLOWING)
      ) AS spans
    ) AS marked WHERE belongs
  ) AS kept
) AS bursts
GROUP BY {of}, no
"""  # noqa: S608 - put together from names of this file


_REACHED = f"""
SELECT count(*) AS times, max(contact.at) AS last_at,
  jsonb_agg(DISTINCT contact.method) AS methods
FROM request_contacts AS contact
WHERE contact.request_id = requests.id AND contact.result = '{ContactResult.REACHED}'
"""  # noqa: S608 - a word of the domain

_DENIED = """
SELECT * FROM request_ratings WHERE at >= :since AND at < :until AND NOT contacted
"""

_FINDERS: dict[Anomaly, str] = {
    Anomaly.MANY_RATINGS: _burst(
        Anomaly.MANY_RATINGS,
        "resident_id",
        _crowded(
            _OFTEN,
            "PARTITION BY resident_id",
            number="account_ratings",
            within="account_within",
            at_least_stars=1,
        ),
        number="account_ratings",
        within="account_within",
        at_least_stars=1,
    ),
    Anomaly.FIVE_STAR_BURST: _burst(
        Anomaly.FIVE_STAR_BURST,
        "unit_code",
        # of the whole city first
        _crowded(
            _RATINGS,
            "",
            number="burst_ratings",
            within="burst_within",
            at_least_stars=FIVE_STARS,
        ),
        number="burst_ratings",
        within="burst_within",
        at_least_stars=FIVE_STARS,
    ),
    Anomaly.FAST_REPLY: f"""
SELECT '{Anomaly.FAST_REPLY}', sent_at, '{Anomaly.FAST_REPLY}:' || id || ':' || cycle_no,
  ARRAY[unit_code], {_NAMED_ONE.format(cycle_no="cycle_no")},
  jsonb_build_object('assigned_at', sent_at - took, 'replied_at', sent_at,
    'seconds', floor(extract(epoch FROM took)), 'ended_at', ended_at)
FROM (
  SELECT requests.id, requests.number, reply.cycle_no, reply.sent_at, reply.took,
    CASE WHEN reply.cycle_no = requests.cycle_no THEN requests.ended_at END AS ended_at,
    CASE WHEN reply.cycle_no = requests.cycle_no THEN requests.unit_code ELSE (
      SELECT event.unit_code FROM request_events AS event
      WHERE event.request_id = reply.request_id AND event.at <= reply.sent_at
      ORDER BY event.version DESC LIMIT 1) END AS unit_code
  FROM (
    SELECT * FROM request_replies
    WHERE sent_at >= :since AND sent_at < :until AND {ANSWERED_SOON}
  ) AS reply JOIN requests ON requests.id = reply.request_id
) AS requests
WHERE took <= :fast_reply::interval AND unit_code IS NOT NULL
""",  # noqa: S608 - words of the domain
    Anomaly.LATE_EDIT: f"""
SELECT '{Anomaly.LATE_EDIT}', event.at,
  '{Anomaly.LATE_EDIT}:' || event.request_id || ':' || event.version, ARRAY[event.unit_code],
  {_NAMED_ONE.format(cycle_no="requests.cycle_no")},
  jsonb_build_object('ended_at', requests.ended_at, 'corrected_at', event.at,
    'state', event.state, 'version', event.version)
FROM request_events AS event JOIN requests ON requests.id = event.request_id
WHERE event.action = '{Action.CORRECT}' AND event.at >= :since AND event.at < :until
""",  # noqa: S608 - words of the domain
    Anomaly.WITHDRAWN_AFTER_CONTACT: f"""
SELECT '{Anomaly.WITHDRAWN_AFTER_CONTACT}', event.at,
  '{Anomaly.WITHDRAWN_AFTER_CONTACT}:' || event.request_id || ':' || event.version,
  ARRAY[event.unit_code], {_NAMED_ONE.format(cycle_no="requests.cycle_no")},
  jsonb_build_object('withdrawn_at', event.at, 'contacts', reached.times,
    'last_contact_at', reached.last_at, 'methods', reached.methods,
    'seconds_after_contact', floor(extract(epoch FROM event.at - reached.last_at)))
FROM request_events AS event JOIN requests ON requests.id = event.request_id
CROSS JOIN LATERAL ({_REACHED} AND contact.at <= event.at) AS reached
WHERE event.action = '{Action.WITHDRAW}' AND event.at >= :since AND event.at < :until
  AND reached.times > 0
""",  # noqa: S608 - words of the domain
    Anomaly.CONTACT_DENIED: f"""
SELECT '{Anomaly.CONTACT_DENIED}', denial.at,
  '{Anomaly.CONTACT_DENIED}:' || requests.id || ':' || denial.cycle_no || ':' || denial.source,
  ARRAY[denial.unit_code], {_NAMED_ONE.format(cycle_no="denial.cycle_no")},
  jsonb_build_object('denied_in', denial.source, 'denied_at', denial.at,
    'contacts', reached.times, 'last_contact_at', reached.last_at, 'methods', reached.methods)
FROM (
  SELECT request_id, cycle_no, unit_code, at, 'rating' AS source
  FROM ({_RATED.format(ratings=_DENIED)}) AS rated
  UNION ALL
  SELECT called.request_id, called.cycle_no, asked.unit_code, called.at, 'call_back'
  FROM request_call_backs AS called JOIN requests AS asked ON asked.id = called.request_id
  WHERE called.at >= :since AND called.at < :until AND called.contacted IS FALSE
) AS denial
JOIN requests ON requests.id = denial.request_id
CROSS JOIN LATERAL ({_REACHED} AND contact.cycle_no = denial.cycle_no
  AND contact.at <= denial.at) AS reached
WHERE reached.times > 0
""",  # noqa: S608 - words of the domain
}


# One statement for each kind: together they are planned badly and take twice as long. Keys are
# compared as bytes, so that both the database and ``page`` sort them.
_STATEMENTS: dict[Anomaly, Statement] = {
    kind: Statement(f"""
WITH found (kind, at, key, units, requests, evidence) AS ({finder})
SELECT kind, at, key, units, requests, evidence FROM found
WHERE (:unit_code::text IS NULL OR :unit_code = ANY(units))
  AND (:after_at::timestamptz IS NULL
    OR (at, key COLLATE "C") < (:after_at, :after_key::text COLLATE "C"))
ORDER BY at DESC, key COLLATE "C" DESC LIMIT :limit
""")  # noqa: S608 - put together from the table above
    for kind, finder in _FINDERS.items()
}


@dataclass(frozen=True, slots=True)
class Found:
    """One finding. ``unit_code`` None: it is of several units, or of none."""

    kind: Anomaly
    at: datetime
    unit_code: str | None
    requests: Sequence[dict[str, Any]]
    evidence: dict[str, Any]


async def page(
    db: Database,
    *,
    since: datetime,
    until: datetime,
    thresholds: Thresholds,
    kind: Anomaly | None = None,
    unit_code: str | None = None,
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[Found], str | None]:
    """Return up to ``limit`` findings of what happened in [since, until), newest first.

    What began before ``since`` is seen from there on only. Raises: CursorInvalid.
    """
    after = read_cursor(cursor)
    values = {
        "since": since,
        "until": until,
        "account_ratings": thresholds.account_ratings,
        "account_within": thresholds.account_within,
        "burst_ratings": thresholds.burst_ratings,
        "burst_within": thresholds.burst_within,
        "fast_reply": thresholds.fast_reply,
        "unit_code": unit_code,
        "after_at": after[0] if after else None,
        "after_key": after[1] if after else None,
        "limit": limit + 1,
    }
    rows = [
        row
        for one in (Anomaly if kind is None else (kind,))
        for row in await db.rows(_STATEMENTS[one], **values)
    ]
    rows.sort(key=lambda row: (row["at"], row["key"]), reverse=True)
    items = [_found(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    return items, write_cursor(rows[limit - 1]["at"], rows[limit - 1]["key"])


def _found(row: asyncpg.Record) -> Found:
    units = row["units"]
    return Found(
        kind=Anomaly(row["kind"]),
        at=row["at"],
        unit_code=units[0] if len(units) == 1 else None,
        requests=orjson.loads(row["requests"]),
        evidence=orjson.loads(row["evidence"]),
    )
