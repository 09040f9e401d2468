"""Finding what looks wrong (异常): a statement for each kind over a bounded period, nothing stored.

No statement reads what it does not list: each walks an index of what alone can be a finding, newest
first, and stops when the page is full. What a finding is made of is looked up from there. A page is
looked for in the last day of the period first, and then further and further back.

A device is not known here: of a mini-program's call neither network nor hardware is kept with what
it did, and telephone numbers are sealed without an index. What stands for it is the account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from app.domain.anomalies import FIVE_STARS, Anomaly, Thresholds
from app.domain.matters import ContactResult
from app.domain.states import Action
from app.requests.models import ANSWERED_SOON, CONTACT_DENIED, CROWD_BY_ACCOUNT, CROWD_OF_UNIT
from app.satisfaction.queries import read_cursor, write_cursor
from app.store.session import Database, Statement

# --- one by one ----------------------------------------------------------------------------------

_NAMED = """jsonb_build_array(jsonb_build_object(
    'id', {of}.request_id, 'number', requests.number, 'cycle_no', {cycle_no}))"""
# LIMIT 1, here and below: of what is walked only a page is looked up, row by row, which the planner
# would not believe.
_REQUEST = """
CROSS JOIN LATERAL (
  SELECT number, cycle_no, unit_code, ended_at FROM requests WHERE id = {of}.request_id LIMIT 1
) AS requests"""
_REACHED = f"""
CROSS JOIN LATERAL (
  SELECT count(*) AS times, max(contact.at) AS last_at,
    jsonb_agg(DISTINCT contact.method) AS methods
  FROM request_contacts AS contact
  WHERE contact.request_id = {{of}}.request_id AND contact.result = '{ContactResult.REACHED}'
    AND contact.at <= {{of}}.at {{further}}
) AS reached"""  # noqa: S608 - a word of the domain


def _walked(at: str) -> str:
    """In the period, and not newer than the cursor: what an index by ``at`` is walked for."""
    return f"{at} >= :since AND {at} < :until AND {at} <= :after_at"


def _denied(source: str, table: str, condition: str) -> str:
    return f"""
SELECT '{Anomaly.CONTACT_DENIED}' AS kind, denial.at,
  '{Anomaly.CONTACT_DENIED}:' || denial.request_id || ':' || denial.cycle_no || ':' || '{source}'
    AS key,
  ARRAY[denial.unit_code] AS units, {_NAMED.format(of="denial", cycle_no="denial.cycle_no")}
    AS requests,
  jsonb_build_object('denied_in', '{source}', 'denied_at', denial.at,
    'contacts', reached.times, 'last_contact_at', reached.last_at, 'methods', reached.methods)
    AS evidence
FROM {table} AS denial
{_REQUEST.format(of="denial")}
{_REACHED.format(of="denial", further="AND contact.cycle_no = denial.cycle_no")}
WHERE {_walked("denial.at")} AND {condition} AND reached.times > 0
"""  # noqa: S608 - names of this file


# Of an earlier cycle the history says which unit it was.
_FAST_REPLY = f"""
SELECT '{Anomaly.FAST_REPLY}' AS kind, reply.sent_at AS at,
  '{Anomaly.FAST_REPLY}:' || reply.request_id || ':' || reply.cycle_no AS key,
  ARRAY[had.unit_code] AS units, {_NAMED.format(of="reply", cycle_no="reply.cycle_no")} AS requests,
  jsonb_build_object('assigned_at', reply.sent_at - reply.took, 'replied_at', reply.sent_at,
    'seconds', floor(extract(epoch FROM reply.took)),
    'ended_at', CASE WHEN reply.cycle_no = requests.cycle_no THEN requests.ended_at END) AS evidence
FROM request_replies AS reply
{_REQUEST.format(of="reply")}
CROSS JOIN LATERAL (
  SELECT CASE WHEN reply.cycle_no = requests.cycle_no THEN requests.unit_code ELSE (
    SELECT event.unit_code FROM request_events AS event
    WHERE event.request_id = reply.request_id AND event.at <= reply.sent_at
    ORDER BY event.version DESC LIMIT 1) END AS unit_code
) AS had
WHERE {_walked("reply.sent_at")} AND {ANSWERED_SOON} AND reply.took <= :fast_reply::interval
  AND had.unit_code IS NOT NULL
"""  # noqa: S608 - words of the domain
_LATE_EDIT = f"""
SELECT '{Anomaly.LATE_EDIT}' AS kind, event.at,
  '{Anomaly.LATE_EDIT}:' || event.request_id || ':' || event.version AS key,
  ARRAY[event.unit_code] AS units, {_NAMED.format(of="event", cycle_no="requests.cycle_no")}
    AS requests,
  jsonb_build_object('ended_at', requests.ended_at, 'corrected_at', event.at,
    'state', event.state, 'version', event.version) AS evidence
FROM request_events AS event
{_REQUEST.format(of="event")}
WHERE {_walked("event.at")} AND event.action = '{Action.CORRECT}'
"""  # noqa: S608 - words of the domain
_WITHDRAWN = f"""
SELECT '{Anomaly.WITHDRAWN_AFTER_CONTACT}' AS kind, event.at,
  '{Anomaly.WITHDRAWN_AFTER_CONTACT}:' || event.request_id || ':' || event.version AS key,
  ARRAY[event.unit_code] AS units, {_NAMED.format(of="event", cycle_no="requests.cycle_no")}
    AS requests,
  jsonb_build_object('withdrawn_at', event.at, 'contacts', reached.times,
    'last_contact_at', reached.last_at, 'methods', reached.methods,
    'seconds_after_contact', floor(extract(epoch FROM event.at - reached.last_at))) AS evidence
FROM request_events AS event
{_REQUEST.format(of="event")}
{_REACHED.format(of="event", further="")}
WHERE {_walked("event.at")} AND event.action = '{Action.WITHDRAW}' AND reached.times > 0
"""  # noqa: S608 - words of the domain


# Of one unit, and no condition by which an index of all ratings could be taken for the better one.
_OF_UNIT = "AND :unit_code = ANY({units})"


def _page(finder: str, unit: str) -> str:
    """In the order of the index alone, so that nothing is sorted first: what came at the same
    instant as the last one is told too. Args: ``unit``: a condition, or nothing: of all units."""
    return f"""
SELECT kind, at, key, units, requests, evidence, at AS first_at FROM ({finder}) AS found
WHERE (at, key COLLATE "C") < (:after_at, :after_key::text COLLATE "C") {unit}
ORDER BY at DESC FETCH FIRST (:limit) ROWS WITH TIES
"""  # noqa: S608 - put together from names of this file


_DENIALS = (
    _denied("rating", "request_ratings", CONTACT_DENIED),
    _denied("call_back", "request_call_backs", "contacted IS FALSE"),
)


def _one_by_one(unit: str) -> dict[Anomaly, str]:
    written, said = (_page(denial, unit) for denial in _DENIALS)
    return {
        Anomaly.FAST_REPLY: _page(_FAST_REPLY, unit),
        Anomaly.LATE_EDIT: _page(_LATE_EDIT, unit),
        Anomaly.WITHDRAWN_AFTER_CONTACT: _page(_WITHDRAWN, unit),
        Anomaly.CONTACT_DENIED: f"({written}) UNION ALL ({said})",
    }


# --- crowds --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Ratings with the same value ``of``; how many and how near are named as in ``Thresholds``.

    ``may_close``: a condition on ratings of which one at least lies in each crowd, and whose column
    ``counted`` says how many there can be around it (``requests.crowds``).
    """

    of: str
    counted: str
    may_close: str
    number: str
    within: str
    at_least_stars: int = 1


_CROWDS = {
    Anomaly.MANY_RATINGS: _Crowd(
        "resident_id", "of_account", CROWD_BY_ACCOUNT, "account_ratings", "account_within"
    ),
    Anomaly.FIVE_STAR_BURST: _Crowd(
        "unit_code", "of_unit", CROWD_OF_UNIT, "burst_ratings", "burst_within", FIVE_STARS
    ),
}


def _near(it: _Crowd, unit: str) -> str:
    """All ratings of the period as near as ``within`` to one that has so many around it: all that
    can be in a crowd, and all that a span with so many in it holds. Each comes once."""
    return f"""
SELECT rating.* FROM (
  SELECT {it.of}, min(at) - :{it.within}::interval AS begins_at,
    max(at) + :{it.within}::interval AS ends_at
  FROM (
    SELECT {it.of}, at, count(*) FILTER (WHERE apart) OVER (PARTITION BY {it.of} ORDER BY at) AS no
    FROM (
      SELECT {it.of}, at,
        at - lag(at) OVER (PARTITION BY {it.of} ORDER BY at) > 2 * :{it.within}::interval AS apart
      FROM request_ratings
      WHERE at >= :since AND at < :until AND {it.may_close}
        AND {it.counted} >= :{it.number}::int {unit}
    ) AS crowded
  ) AS numbered GROUP BY {it.of}, no
) AS stretch CROSS JOIN LATERAL (
  SELECT request_id, cycle_no, resident_id, satisfaction, unit_code, at FROM request_ratings
  WHERE {it.of} = stretch.{it.of} AND at >= greatest(begins_at, :since) AND at <= ends_at
    AND at < :until OFFSET 0
) AS rating
"""  # noqa: S608 - put together from names of this file


def _crowded(kind: Anomaly, it: _Crowd, unit: str) -> str:
    """``number`` ratings or more of the same value in some span ``within``, all of them with
    ``at_least_stars``. Spans that touch are one finding."""
    near = _near(it, unit.format(units="ARRAY[unit_code]") if it.of == "unit_code" else "")
    return f"""
SELECT '{kind}' AS kind, at, key, units, evidence, first_at, (
  SELECT jsonb_agg(jsonb_build_object('id', member.id, 'number', requests.number,
    'cycle_no', member.cycle_no) ORDER BY place)
  FROM unnest(ids, cycles) WITH ORDINALITY AS member (id, cycle_no, place)
  CROSS JOIN LATERAL (SELECT number FROM requests WHERE id = member.id LIMIT 1) AS requests
) AS requests
FROM (
  SELECT max(at) AS at, '{kind}:' || min(request_id::text) AS key,
    array_agg(DISTINCT unit_code) AS units, min(at) AS first_at,
    array_agg(request_id ORDER BY at, request_id) AS ids,
    array_agg(cycle_no ORDER BY at, request_id) AS cycles,
    jsonb_build_object('ratings', count(*), 'first_at', min(at), 'last_at', max(at),
      'five_star', count(*) FILTER (WHERE satisfaction = {FIVE_STARS})) AS evidence
  FROM (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY {it.of} ORDER BY at, request_id)
      AS no
    FROM (
      SELECT *, coalesce(at - lag(at) OVER (PARTITION BY {it.of} ORDER BY at, request_id)
        > :{it.within}::interval, true) AS begins
      FROM (
        SELECT *, bool_or(opens) OVER (PARTITION BY {it.of} ORDER BY at
          RANGE BETWEEN :{it.within}::interval PRECEDING AND CURRENT ROW) AS belongs
        FROM (
          SELECT *, count(*) OVER span >= :{it.number}::int
            AND min(satisfaction) OVER span >= {it.at_least_stars} AS opens
          FROM ({near}) AS near
          WINDOW span AS (PARTITION BY {it.of} ORDER BY at
            RANGE BETWEEN CURRENT ROW AND :{it.within}::interval FOLLOWING)
        ) AS spans
      ) AS marked WHERE belongs
    ) AS kept
  ) AS bursts
  GROUP BY {it.of}, no
) AS found
WHERE (at, key COLLATE "C") < (:after_at, :after_key::text COLLATE "C")
  {unit.format(units="units")}
ORDER BY at DESC, key COLLATE "C" DESC LIMIT :limit
"""  # noqa: S608 - put together from names of this file


# By kind, and whether of one unit alone. One statement for each kind: together they are planned
# badly and take twice as long.
_STATEMENTS: dict[tuple[Anomaly, bool], Statement] = {
    (kind, unit != ""): Statement(finder)
    for unit in ("", _OF_UNIT)
    for kind, finder in (
        *_one_by_one(unit.format(units="units")).items(),
        *((kind, _crowded(kind, crowd, unit)) for kind, crowd in _CROWDS.items()),
    )
}
_MOMENT, _DAY, _FURTHER = timedelta(microseconds=1), timedelta(days=1), 4


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

    Of those at one instant the greatest key comes first, compared as bytes, as the database does.
    What began before ``since`` is seen from there on only. Raises: CursorInvalid.
    """
    after_at, after_key = read_cursor(cursor) or (until, "")
    values = {
        "since": since,
        "until": until,
        **{name: getattr(thresholds, name) for name in Thresholds.__slots__},
        "unit_code": unit_code,
        "after_at": after_at,
        "after_key": after_key,
        "limit": limit + 1,
    }
    rows = []
    for one in Anomaly if kind is None else (kind,):
        crowd = _CROWDS.get(one)
        within = getattr(thresholds, crowd.within) if crowd else timedelta(0)
        rows += await _newest(db, _STATEMENTS[one, unit_code is not None], values, within)
    rows.sort(key=lambda row: (row["at"], row["key"]), reverse=True)
    items = [_found(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    return items, write_cursor(rows[limit - 1]["at"], rows[limit - 1]["key"])


async def _newest(
    db: Database, statement: Statement, values: dict[str, Any], within: timedelta
) -> list[asyncpg.Record]:
    """The newest findings, from no more of the period than it takes to find a page of them, even
    if the planner believes that there are few and would rather sort them all.

    What is two spans away from a crowd, on either side, makes no difference to it.
    """
    until = min(values["until"], values["after_at"] + 3 * within + _MOMENT)
    look = max(7 * within, _DAY)
    while True:
        since = max(values["since"], until - look)
        rows = await db.rows(statement, **{**values, "since": since, "until": until})
        enough = len(rows) >= values["limit"]
        if since == values["since"] or (
            enough and all(row["first_at"] > since + 2 * within for row in rows)
        ):
            return rows
        look *= _FURTHER


def _found(row: asyncpg.Record) -> Found:
    units = row["units"]
    return Found(
        kind=Anomaly(row["kind"]),
        at=row["at"],
        unit_code=units[0] if len(units) == 1 else None,
        requests=orjson.loads(row["requests"]),
        evidence=orjson.loads(row["evidence"]),
    )
