"""Taking a request in: the hot path. One statement writes everything, or nothing.

Everything the answer says is known before the statement runs (grid, unit, number, due times), so
the answer itself goes into the idempotency row beside the request.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from app.audit import service as audit
from app.domain import events, geometry, matters, numbering, routing, sla
from app.domain.errors import Invalid
from app.domain.escalation import Firing
from app.domain.identity import SYSTEM, Actor, Role
from app.domain.sla import Metric
from app.domain.states import Action, State
from app.grids.schemas import LocationIn
from app.requests import by_rule, clocks, places, views
from app.requests.by_rule import ByRule
from app.requests.city import City
from app.requests.forms import SubmitIn
from app.store.session import Database, Statement

OPERATION = "submit"
QUOTA_WINDOW = timedelta(hours=1)


class GridUnknown(Invalid):
    """所选网格不存在或已停用。"""

    code = "grid_unknown"


class OutsideServiceArea(Invalid):
    """所选位置不在本市服务范围内，请检查定位。"""

    code = "coord_outside_service_area"


# What a new request has not had yet, as its columns say it.
_NOTHING_YET: dict[str, Any] = {
    **dict.fromkeys((
        "contacted_at", "replied_at", "rate_until", "ended_at", "satisfaction", "info_until",
        "extension_asked", "suspension_asked", "last_urged_at", "drafted_by", "called_back_at",
        "reviewed_by", "rejection_asked", "previous_state", "diligent_at", "stands_since",
        "stands_due_at",
    )),
    **dict.fromkeys(("contact_attempts", "info_rounds", "hops", "open_co_tasks", "extensions",
                     "followers"), 0),
    **dict.fromkeys(("unit_fixed", "order_open", "sampled"), False),
    "returned_units": (),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that is decided but not yet written: its columns, first events and clocks."""

    row: dict[str, Any]
    personal: dict[str, str | None]
    routed_by: Action  # assign or queue
    routed_note: str
    contact_clock: Firing | None
    reply_clock: Firing | None
    accept_due_at: datetime | None  # None while a dispatcher decides
    accept_clock: Firing | None
    hint: str | None
    by_rule: ByRule | None  # what the rule wants besides: 网格先办, 协办


_SQL = """
WITH quota AS (
  INSERT INTO rate_counters AS counter (bucket, window_start, used)
  SELECT :bucket, :window_start, 1
  WHERE NOT EXISTS (SELECT FROM idempotency_keys
                    WHERE actor_id = :submitted_by AND operation = :operation AND key = :key)
  ON CONFLICT (bucket, window_start) DO UPDATE SET used = counter.used + 1
  WHERE counter.used < :quota
  RETURNING 1
), fresh AS (
  INSERT INTO idempotency_keys
    (actor_id, operation, key, body_hash, status, body, etag, created_at)
  SELECT :submitted_by, :operation, :key, :body_hash, 201, :body, :etag, :submitted_at FROM quota
  ON CONFLICT DO NOTHING
  RETURNING 1
), request AS (
  INSERT INTO requests
    (id, number, version, state, kind, title, text, category_code, channel, confidential, public,
     resident_id, submitted_by, grid_code, grid_certain, unit_code, routing, latitude, longitude,
     location, personal, policy_code, policy_version, calendar_version, submitted_at, assigned_at,
     return_until, contact_due_at, reply_due_at, provisional/*columns*/)
  SELECT :id, :number, :version, :state, :kind, :title, :text, :category_code, :channel,
     :confidential, :public, :resident_id, :submitted_by, :grid_code, :grid_certain, :unit_code,
     :routing::jsonb, :latitude, :longitude, :location::jsonb, :personal, :policy_code,
     :policy_version, :calendar_version, :submitted_at, :assigned_at, :return_until,
     :contact_due_at, :reply_due_at, :provisional/*values*/
  FROM fresh
  RETURNING 1
), history AS (
  INSERT INTO request_events
    (request_id, version, at, action, state, actor_id, actor_role, unit_code, public_note, facts)
  SELECT :id, step.version, :submitted_at, step.action, step.state, step.actor_id,
     step.actor_role, step.unit_code, step.public_note, step.facts
  FROM fresh, (VALUES
     (1, 'submit', 'submitted', :submitted_by::uuid, :actor_role::text, NULL::text, NULL::text,
      NULL::jsonb),
     (2, :routed_by, :state, :system_id::uuid, 'system', :unit_code, :routed_note,
      '{"job": "submit"}')
  ) AS step (version, action, state, actor_id, actor_role, unit_code, public_note, facts)
  RETURNING 1
), trail AS (
  INSERT INTO audit_entries (chain, seq, at, actor_id, actor_role, action, facts, hash)
  SELECT :id, step.seq, :submitted_at, step.actor_id, step.actor_role, step.action, step.facts,
     step.hash
  FROM fresh, (VALUES
     (1, :submitted_by::uuid, :actor_role::text, 'submit', :taken_facts::jsonb, :taken_hash::bytea),
     (2, :system_id::uuid, 'system', :routed_by::text, :routed_facts::jsonb, :routed_hash::bytea)
  ) AS step (seq, actor_id, actor_role, action, facts, hash)
  RETURNING 1
), clocks AS (
  INSERT INTO request_clocks
    (request_id, cycle_no, metric, state, started_at, due_at, original_due_at,
     next_level, next_fire_at)
  SELECT :id, 1, clock.metric, 'running', :submitted_at, clock.due_at, clock.due_at,
     clock.next_level, clock.next_fire_at
  FROM fresh, (VALUES
     ('contact', :contact_due_at::timestamptz, :contact_level::text, :contact_fire_at::timestamptz),
     ('reply', :reply_due_at::timestamptz, :reply_level, :reply_fire_at),
     ('accept', :accept_due_at::timestamptz, :accept_level, :accept_fire_at)/*clock*/
  ) AS clock (metric, due_at, next_level, next_fire_at)
  WHERE clock.due_at IS NOT NULL
  RETURNING 1
), told AS (
  INSERT INTO outbox (kind, payload, available_at)
  SELECT 'RequestSubmitted', :event::jsonb, :submitted_at FROM fresh
  RETURNING 1
)/*parts*/
SELECT count(*) AS written FROM fresh
"""
_INSERT = Statement(_SQL)
_INSERT_BY_RULE = Statement(by_rule.extended(_SQL))  # few rules want more than a unit


def draft(
    city: City,
    form: SubmitIn,
    *,
    actor: Actor,
    home: str | None,
    request_id: UUID,
    serial: int,
    now: datetime,
) -> Draft:
    """Decide everything about a new request without touching the database.

    Args:
        home: the grid the resident lives in, if known.

    Raises:
        CategoryUnknown, GridUnknown, OutsideServiceArea.
    """
    reference = city.reference
    if form.category_code is not None:
        reference.active_category(form.category_code)
    point, located = locate(city, form.location)
    if form.grid_code is not None and city.grids.node(form.grid_code) is None:
        raise GridUnknown
    address = form.location.address if form.location else None
    addressed = address and located is None and form.grid_code is None
    grid = routing.choose_grid(
        located=located,
        chosen=form.grid_code,
        home=home,
        addressed=places.named(city.grids, address) if address and addressed else None,
    )
    unit = choose_unit(city, form.category_code, grid.grid_code, kind=form.kind, at=now)
    policy = reference.policy_of(form.category_code, unit.rule)
    calendar = reference.calendar
    promise = sla.promise(policy, calendar, now)
    reasons, wanted = [grid.reason, unit.reason], None
    if unit.rule is not None and (unit.rule.co_unit_codes or unit.rule.grid_first_minutes):
        wanted = by_rule.wanted(city, unit.rule, form.category_code, grid.grid_code, promise, now)
        reasons += wanted.reasons
    waits = wanted is not None and wanted.grid_until is not None
    unit_code = None if waits else unit.unit_code
    assigned = unit_code is not None
    return_until = accept_due_at = accept_clock = None
    if assigned:
        return_until, _ = sla.settled(calendar, lambda by: sla.return_due(policy, by, now))
        accept_due_at, _ = sla.settled(calendar, lambda by: sla.accept_due(policy, by, now))
        accept_clock = clocks.first_rung(city, Metric.ACCEPT, now, accept_due_at)
    location, contact = form.location, form.contact
    row: dict[str, Any] = {
        "id": request_id,
        "number": numbering.request_number(calendar.local_date(now), serial),
        "version": 2,
        "state": State.ASSIGNED if assigned else State.TRIAGE,
        "cycle_no": 1,
        "kind": form.kind,
        "title": form.title,
        "text": form.text,
        "category_code": form.category_code,
        "channel": matters.Channel.MINI_PROGRAM
        if actor.role is Role.RESIDENT
        else matters.Channel.DESK,
        "confidential": form.confidential,
        "public": form.public and not form.confidential,
        "resident_id": actor.id if actor.role is Role.RESIDENT else None,
        "submitted_by": actor.id,
        "grid_code": grid.grid_code,
        "grid_certain": grid.certain,
        "unit_code": unit_code,
        "routing": {
            "rule": unit.rule_id,
            "reasons": [{"code": reason.code, "text": reason.text} for reason in reasons],
        },
        "latitude": point[0] if point else None,
        "longitude": point[1] if point else None,
        "location": as_received(location) if location else None,
        "policy_code": policy.code,
        "policy_version": policy.version,
        "calendar_version": reference.calendar_version,
        "submitted_at": now,
        "assigned_at": now if assigned else None,
        "return_until": return_until,
        "contact_due_at": promise.contact_due_at,
        "reply_due_at": promise.reply_due_at,
        "provisional": promise.provisional,
        **_NOTHING_YET,
    }
    emergency = matters.emergency_number(form.text)
    return Draft(
        row=row,
        personal={
            "name": contact.name if contact else None,
            "phone": contact.phone if contact else None,
            "address": location.address if location else None,
        },
        routed_by=Action.ASSIGN if assigned else Action.QUEUE,
        routed_note=reasons[-1].text if waits else unit.reason.text,
        contact_clock=clocks.first_rung(city, Metric.CONTACT, now, promise.contact_due_at),
        reply_clock=clocks.first_rung(city, Metric.REPLY, now, promise.reply_due_at),
        accept_due_at=accept_due_at,
        accept_clock=accept_clock,
        hint=f"如有生命财产危险，请立即拨打{emergency}。" if emergency else None,
        by_rule=wanted,
    )


def as_received(location: LocationIn) -> dict[str, Any]:
    """The point as the phone said it, kept beside the converted one."""
    return {
        "latitude": location.latitude,
        "longitude": location.longitude,
        "coord_sys": location.coord_sys,
        "accuracy_m": location.accuracy_m,
    }


def locate(
    city: City, location: LocationIn | None
) -> tuple[tuple[float, float] | None, tuple[str, float] | None]:
    """Return the point in WGS-84 and (grid code, distance in metres), where there are such."""
    if location is None:
        return None, None
    point = geometry.to_wgs84(location.latitude, location.longitude, location.coord_sys)
    located = city.grids.locate(*point)
    if located is not None:
        return point, (located.code, located.distance_m)
    if not city.grids.covers(*point):
        raise OutsideServiceArea
    return point, None


def choose_unit(
    city: City,
    category_code: str | None,
    grid_code: str | None,
    *,
    kind: matters.Kind | None,
    at: datetime,
) -> routing.UnitChoice:
    grid_path = [node.code for node in city.grids.path(grid_code)] if grid_code else ()
    return city.reference.choose_unit(category_code, grid_path, kind=kind, at=at)


async def write(
    db: Database,
    city: City,
    draft: Draft,
    *,
    actor: Actor,
    key: str,
    body_hash: bytes,
    quota: int,
) -> bytes | None:
    """Write a draft and return the answer's bytes, or None where nothing was written: the key was
    used before, or the quota of this hour is used up."""
    row = draft.row
    now: datetime = row["submitted_at"]
    answer = views.moved_view(row, city, actor, now=now, hint=draft.hint)
    body = orjson.dumps(answer)
    event = events.RequestSubmitted(
        request_id=str(row["id"]),
        number=row["number"],
        at=now.isoformat(),
        grid_code=row["grid_code"],
        unit_code=row["unit_code"],
        resident_id=str(row["resident_id"]) if row["resident_id"] else None,
        state=row["state"],
    )
    taken = audit.first_entry(
        row["id"],
        actor=actor,
        action=Action.SUBMIT,
        facts={"version": 1, "to": State.SUBMITTED, "channel": row["channel"]},
        now=now,
    )
    routed = audit.next_entry(
        taken,
        actor=SYSTEM,
        action=draft.routed_by,
        facts={
            "version": 2,
            "from": State.SUBMITTED,
            "to": row["state"],
            "unit": row["unit_code"],
            "job": OPERATION,
        },
        now=now,
    )
    contact, reply, accept = draft.contact_clock, draft.reply_clock, draft.accept_clock
    values = {
        **row,
        "routing": orjson.dumps(row["routing"]).decode(),
        "location": orjson.dumps(row["location"]).decode() if row["location"] else None,
        "personal": views.seal(city.cipher, draft.personal, row["id"]),
        "bucket": f"submit:{actor.id}",
        "window_start": _window(now),
        "quota": quota,
        "operation": OPERATION,
        "key": key,
        "body_hash": body_hash,
        "body": body,
        "etag": f'"{row["version"]}"',
        "actor_role": actor.role,
        "system_id": SYSTEM.id,
        "routed_by": draft.routed_by,
        "routed_note": draft.routed_note,
        "contact_level": contact.level if contact else None,
        "contact_fire_at": contact.fire_at if contact else None,
        "reply_level": reply.level if reply else None,
        "reply_fire_at": reply.fire_at if reply else None,
        "accept_due_at": draft.accept_due_at,
        "accept_level": accept.level if accept else None,
        "accept_fire_at": accept.fire_at if accept else None,
        "event": orjson.dumps(event).decode(),
        "taken_facts": taken.facts,
        "taken_hash": taken.hash,
        "routed_facts": routed.facts,
        "routed_hash": routed.hash,
    }
    if draft.by_rule is None:
        written = await db.one_statement(_INSERT, **values)
    else:
        values |= draft.by_rule.values(row, event)
        written = await db.one_statement(_INSERT_BY_RULE, **values)
    return body if written is not None and written["written"] else None


def _window(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def quota_opens_in_s(now: datetime) -> int:
    """Seconds until a used-up quota opens again."""
    return int((_window(now) + QUOTA_WINDOW - now).total_seconds()) + 1
