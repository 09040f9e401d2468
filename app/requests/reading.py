"""Reading one request: all that hangs on it, and its history."""

from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from app.domain.identity import Actor, Role
from app.requests.queries import COLUMNS, SCOPE_KINDS, RequestNotFound, visible_to
from app.store.session import Columns, Database, Statement
from app.store.together import Grouped

_OWN_COLUMNS = """requests.resident_id, requests.submitted_by,
  requests.contact_attempts, requests.info_rounds, requests.info_until,
  requests.return_until, requests.returned_units, requests.hops, requests.unit_fixed,
  requests.open_co_tasks, requests.extensions, requests.extension_asked,
  requests.suspension_asked, requests.last_urged_at, requests.order_open, requests.drafted_by,
  requests.sampled, requests.called_back_at, requests.reopens, requests.reviewed_by,
  requests.rejection_asked, requests.followers, requests.routing, requests.latitude,
  requests.longitude, requests.location, requests.personal, requests.policy_code,
  requests.policy_version, requests.urge_count, requests.supervise_level,
  requests.settled_by_grid, requests.resume_on, requests.stands_since, requests.stands_due_at,
  requests.master_id"""

_JSON = ("routing", "location", "returned_units", "extension_asked", "suspension_asked",
         "rejection_asked", "reply", "rating", "earlier_cycles", "orders", "co_tasks",
         "master")  # fmt: skip


_ANSWERS = """
  (SELECT to_jsonb(reply) FROM request_replies AS reply
   WHERE reply.request_id = requests.id AND reply.cycle_no = requests.cycle_no) AS reply,
  (SELECT to_jsonb(rating) FROM request_ratings AS rating
   WHERE rating.request_id = requests.id AND rating.cycle_no = requests.cycle_no) AS rating"""
# Every condition that ``visible_to`` gives, with a number.
_SCOPES = {
    where: number
    for number, where in enumerate(
        dict.fromkeys(
            visible_to(Actor(UUID(int=0), role, grid_code=grid)).where
            for role in Role
            for grid in (None, "-")
        )
    )
}


@cache
def _plain_statement() -> Grouped:
    """All there is of most requests, whoever asks: one statement, so that all go together."""
    cases = " ".join(f"WHEN {number} THEN {where}" for where, number in _SCOPES.items())
    return Grouped(
        f"""
SELECT asked.place, {COLUMNS}, {_OWN_COLUMNS}, {_ANSWERS}
FROM {{asked}} JOIN requests ON requests.id = :id WHERE CASE :scope {cases} END
""",  # noqa: S608 - our own words
        {**SCOPE_KINDS, "id": "uuid", "scope": "int"},
    )


_NO_VALUES = dict.fromkeys(SCOPE_KINDS)
# What only ``_whole_statement`` reads: each costs a part of a plan, and few requests have any.
_MORE = dict.fromkeys(("earlier_cycles", "internal_due_at", "orders", "co_tasks", "master"))


def _has_more(row: Columns) -> bool:
    return bool(
        row["cycle_no"] > 1
        or row["hops"]
        or row["order_open"]
        or row["open_co_tasks"]
        or row["master_id"]
    )


@lru_cache(maxsize=64)
def _whole_statement(where: str) -> Statement:
    return Statement(f"""
SELECT {COLUMNS}, {_OWN_COLUMNS}, {_ANSWERS},
  CASE WHEN requests.cycle_no > 1 THEN
    (SELECT jsonb_agg(jsonb_build_object('cycle_no', cycle.no, 'reply', to_jsonb(reply),
       'rating', to_jsonb(rating)) ORDER BY cycle.no)
     FROM generate_series(1, requests.cycle_no - 1) AS cycle (no)
     LEFT JOIN request_replies AS reply
       ON reply.request_id = requests.id AND reply.cycle_no = cycle.no
     LEFT JOIN request_ratings AS rating
       ON rating.request_id = requests.id AND rating.cycle_no = cycle.no)
  END AS earlier_cycles,
  CASE WHEN requests.hops > 0 THEN
    (SELECT greatest(internal.due_at, requests.reply_due_at) FROM request_clocks AS internal
     WHERE internal.request_id = requests.id AND internal.cycle_no = requests.cycle_no
       AND internal.metric = 'internal' AND internal.state = 'running')
  END AS internal_due_at,
  CASE WHEN requests.order_open THEN
    (SELECT jsonb_agg(to_jsonb(request_order) ORDER BY request_order.id)
     FROM request_orders AS request_order
     WHERE request_order.request_id = requests.id AND request_order.answered_at IS NULL)
  END AS orders,
  CASE WHEN requests.open_co_tasks > 0 THEN
    (SELECT jsonb_agg(to_jsonb(part) ORDER BY part.id) FROM request_co_tasks AS part
     WHERE part.request_id = requests.id AND part.ended_at IS NULL)
  END AS co_tasks,
  CASE WHEN requests.master_id IS NOT NULL THEN
    (SELECT jsonb_build_object('id', master.id, 'number', master.number, 'state', master.state,
       'reply', to_jsonb(reply))
     FROM requests AS master
     LEFT JOIN request_replies AS reply
       ON reply.request_id = master.id AND reply.cycle_no = master.cycle_no
     WHERE master.id = requests.master_id)
  END AS master
FROM requests WHERE requests.id = :id AND {where}
""")  # noqa: S608 - `where` comes from visible_to


async def get(db: Database, request_id: UUID, *, actor: Actor) -> dict[str, Any]:
    """Return the row of one request with what hangs on it. Raises: RequestNotFound."""
    scope = visible_to(actor)
    values = {**_NO_VALUES, **scope.values, "scope": _SCOPES[scope.where], "id": request_id}
    found = await db.together(_plain_statement(), **values)
    if not found:
        raise RequestNotFound
    if not _has_more(found[0]):
        return _MORE | opened(found[0])
    row = await db.one_statement(_whole_statement(scope.where), id=request_id, **scope.values)
    if row is None:
        raise RequestNotFound
    return opened(row)


def opened(record: asyncpg.Record) -> dict[str, Any]:
    """A row as a dict, its JSON columns read."""
    row = dict(record)
    for name in _JSON:
        if row.get(name) is not None:
            row[name] = orjson.loads(row[name])
    return row


@lru_cache(maxsize=64)
def _timeline_statement(where: str) -> Statement:
    return Statement(f"""
SELECT event.* FROM request_events AS event JOIN requests ON requests.id = event.request_id
WHERE event.request_id = :id AND {where} ORDER BY event.version
""")  # noqa: S608 - `where` comes from visible_to


async def timeline(db: Database, request_id: UUID, *, actor: Actor) -> list[dict[str, Any]]:
    """Return the history, oldest first. Raises: RequestNotFound."""
    scope = visible_to(actor)
    statement = _timeline_statement(scope.where)
    rows = await db.rows(statement, id=request_id, **scope.values)
    if not rows:  # a request has its first event from the moment it exists
        raise RequestNotFound
    events = [dict(row) for row in rows]
    for event in events:
        if event["facts"] is not None:
            event["facts"] = orjson.loads(event["facts"])
    return events
