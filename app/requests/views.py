"""What each role sees of a request. The one place that decides; every answer goes through here.

* The resident whose request it is sees all but internal notes.
* Staff in scope see the matter; name and phone masked, and not at all where the resident asked for
  confidentiality and the reader belongs to the grid or the unit (保密).
* Auditors and administrators see facts and figures: no text, no place, no person, and not which
  unit or category (``domain.facets``).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson

from app.domain import facets, geometry, guards, privacy, sla
from app.domain.guards import GUARD_TEXT, Guard
from app.domain.identity import BLIND_ROLES, NEAR_STAFF, ROLE_TEXT, Actor, Role
from app.domain.lifecycle import open_actions
from app.domain.matters import KIND_TEXT
from app.domain.states import ACTION_TEXT, STATE_TEXT, Action, State
from app.requests.city import City
from app.store.crypto import FieldCipher
from app.store.session import Columns

_CHINA = timezone(timedelta(hours=8))
# Asked for every request that is shown; the table never changes.
_OPEN_STEPS = {(state, role): open_actions(state, by=role) for state in State for role in Role}
_CANCELLED = frozenset({State.REJECTED, State.WITHDRAWN, State.MERGED})


def clock_text(at: datetime | None) -> datetime | None:
    """An instant as the wire wants it: orjson and pydantic write ISO 8601 with +08:00."""
    return at and at.astimezone(_CHINA)


# -- personal data ----------------------------------------------------------------------------


def _place(request_id: UUID) -> str:
    return f"requests.personal/{request_id}"


def seal(cipher: FieldCipher, personal: Mapping[str, str | None], request_id: UUID) -> bytes | None:
    """Encrypt name, phone and address together, bound to their request. None if there is none."""
    if not any(personal.values()):
        return None
    return cipher.encrypt(orjson.dumps(dict(personal)).decode(), place=_place(request_id))


def unseal(cipher: FieldCipher, sealed: bytes | None, request_id: UUID) -> dict[str, str | None]:
    if sealed is None:
        return {}
    opened: dict[str, str | None] = orjson.loads(cipher.decrypt(sealed, place=_place(request_id)))
    return opened


def contact_view(
    row: Columns, actor: Actor, personal: Mapping[str, str | None]
) -> dict[str, Any] | None:
    name, phone = personal.get("name"), personal.get("phone")
    if name is None and phone is None:
        return None
    if row["submitted_by"] == actor.id and actor.role is Role.RESIDENT:
        return {"name": name, "phone": phone, "masked": False}
    if row["confidential"] and actor.role in NEAR_STAFF:
        return None
    return {
        "name": privacy.mask_name(name) if name else None,
        "phone": privacy.mask_phone(phone) if phone else None,
        "masked": True,
    }


# -- parts ------------------------------------------------------------------------------------


def _category(city: City, code: str | None) -> dict[str, str] | None:
    category = city.reference.categories.get(code) if code else None
    return {"code": category.code, "name": category.name} if category else None


def unit_view(city: City, code: str | None) -> dict[str, str] | None:
    if code is None:
        return None
    unit = city.reference.units.get(code)
    return {"code": code, "name": unit.name if unit else code}


def _grid(city: City, code: str | None, certain: bool) -> dict[str, Any] | None:
    if code is None:
        return None
    node = city.grids.node(code)
    return {
        "code": code,
        "name": node.name if node else code,
        "path": node.name_path if node else code,
        "certain": certain,
    }


def location_view(row: Columns, address: str | None) -> dict[str, Any] | None:
    if row["latitude"] is None:
        return None
    latitude, longitude = row["latitude"], row["longitude"]
    gcj_latitude, gcj_longitude = geometry.to_gcj02(latitude, longitude)
    return {
        "latitude": latitude,
        "longitude": longitude,
        "gcj02": {"latitude": gcj_latitude, "longitude": gcj_longitude},
        "accuracy_m": row["location"].get("accuracy_m"),
        "address": address,
    }


def facts(row: Columns, city: City) -> guards.Facts:
    """What the guards look at, from the columns of a request."""
    category = city.reference.categories.get(row["category_code"] or "")
    reply_due_at = row["reply_due_at"] or row["stands_due_at"]
    due_soon = row["submitted_at"] + (row["contact_due_at"] - row["submitted_at"]) / 2
    return guards.Facts(
        unit_code=row["unit_code"],
        submitted_at=row["submitted_at"],
        contacted_at=row["contacted_at"],
        contact_attempts=row["contact_attempts"],
        info_rounds=row["info_rounds"],
        info_until=row["info_until"],
        return_until=row["return_until"],
        returned_units=tuple(row["returned_units"]),
        hops=row["hops"],
        unit_fixed=row["unit_fixed"],
        open_co_tasks=row["open_co_tasks"],
        extensions=row["extensions"],
        extension_asked=row["extension_asked"] is not None,
        extension_until=_last_day_to_extend(reply_due_at, city),
        reply_due_at=reply_due_at,
        stands_since=row["stands_since"],
        suspension_asked=row["suspension_asked"] is not None,
        due_soon_at=due_soon if row["contacted_at"] is None else None,
        last_urged_at=row["last_urged_at"],
        order_open=row["order_open"],
        drafted_by=row["drafted_by"],
        rate_until=row["rate_until"],
        sampled=row["sampled"],
        called_back_at=row["called_back_at"],
        reopen_until=_reopen_until(row, city),
        reviewed_by=row["reviewed_by"],
        rejection_asked_by=UUID(row["rejection_asked"]["by"]) if row["rejection_asked"] else None,
        followers=row["followers"],
        grid_matter=category is not None and category.grid_matter,
        ended_at=row["ended_at"],
    )


def _last_day_to_extend(reply_due_at: datetime | None, city: City) -> datetime | None:
    """One working day before the reply is due."""
    if reply_due_at is None:
        return None
    extend_until, _ = sla.settled(
        city.reference.calendar, lambda by: sla.working_days_earlier(by, reply_due_at, 1)
    )
    return extend_until


def _reopen_until(row: Columns, city: City) -> datetime | None:
    since = row["replied_at"] or (row["ended_at"] if row["state"] == State.REJECTED else None)
    if since is None:
        return None
    policy = city.reference.policy(row["policy_code"], row["policy_version"])
    return sla.natural_days_later(city.reference.calendar, since, policy.reopen_window_days)


def actions_view(row: Columns, city: City, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """What ``actor`` may do. What is another unit's to do is not shown at all."""
    steps = _OPEN_STEPS[row["state"], actor.role]
    if not steps:
        return []
    asked = {guard for step in steps for guard in step.guards}
    closed = guards.closed(asked, facts(row, city), actor=actor, now=now)
    return [
        {
            "action": step.action,
            "text": ACTION_TEXT[step.action],
            "blocked_reason": next((GUARD_TEXT[g] for g in step.guards if g in closed), None),
        }
        for step in steps
        if not (Guard.HOST_UNIT in step.guards and Guard.HOST_UNIT in closed)
    ]


# -- the whole --------------------------------------------------------------------------------


def is_cancelled(row: Columns) -> bool:
    """Whether its promises are owed no more, though nobody kept them: neither met nor missed."""
    state = row["previous_state"] if row["state"] == State.ARCHIVED else row["state"]
    appealed = state == State.REOPEN_REVIEW and row["replied_at"] is None
    return appealed or state in _CANCELLED


def _contact_overdue(row: Columns, now: datetime) -> bool:
    due_at: datetime = row["contact_due_at"]
    if row["contacted_at"] is not None:
        return bool(row["contacted_at"] > due_at)
    if row["diligent_at"] is not None or is_cancelled(row):
        return False
    return (row["replied_at"] or row["ended_at"] or now) > due_at


def _reply_overdue(row: Columns, now: datetime) -> bool:
    due_at: datetime | None = row["reply_due_at"]
    if due_at is None:
        return False
    if row["replied_at"] is not None:
        return bool(row["replied_at"] >= due_at)
    return now >= due_at and not is_cancelled(row)


def _facts_view(row: Columns, city: City, now: datetime, told: Columns) -> dict[str, Any]:
    """Args: ``told``: the facets (``domain.facets``)."""
    state, kind = row["state"], told["kind"]
    state_text, public_label = STATE_TEXT[state]
    contacted_at, replied_at = row["contacted_at"], row["replied_at"]
    contact_due_at, reply_due_at = row["contact_due_at"], row["reply_due_at"]
    rate_until, ended_at = row["rate_until"], row["ended_at"]
    return {
        "id": str(row["id"]),
        "number": row["number"],
        "version": row["version"],
        "state": state,
        "state_text": state_text,
        "public_label": public_label,
        "cycle_no": row["cycle_no"],
        "kind": kind,
        "kind_text": KIND_TEXT[kind] if kind else None,
        "category": _category(city, told["category_code"]),
        "grid": _grid(city, told["grid_code"], row["grid_certain"]),
        "unit": unit_view(city, told["unit_code"]),
        "channel": told["channel"],
        "confidential": row["confidential"],
        "public": row["public"],
        "submitted_at": row["submitted_at"].astimezone(_CHINA),
        "contact_due_at": contact_due_at.astimezone(_CHINA),
        "reply_due_at": reply_due_at and reply_due_at.astimezone(_CHINA),
        "provisional": row["provisional"],
        "contacted_at": contacted_at and contacted_at.astimezone(_CHINA),
        "replied_at": replied_at and replied_at.astimezone(_CHINA),
        "rate_until": rate_until and rate_until.astimezone(_CHINA),
        "ended_at": ended_at and ended_at.astimezone(_CHINA),
        "contact_overdue": _contact_overdue(row, now),
        "reply_overdue": _reply_overdue(row, now),
        "satisfaction": row["satisfaction"],
    }


def moved_view(
    row: Columns, city: City, actor: Actor, *, now: datetime, hint: str | None = None
) -> dict[str, Any]:
    """The answer to a submission and to every action. It is kept for replay, so it holds nothing
    that is encrypted elsewhere."""
    view = _facts_view(row, city, now, row)
    view["routing"] = row["routing"]
    view["hint"] = hint
    view["available_actions"] = actions_view(row, city, actor, now)
    return view


def summary_view(row: Columns, city: City, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """A request as lists show it."""
    blind = actor.role in BLIND_ROLES
    view = _facts_view(row, city, now, facets.told(row, actor) if blind else row)
    view["title"] = None if blind else row["title"]
    view["text"] = None if blind else row["text"]
    return view


def event_view(event: Columns, city: City, actor: Actor) -> dict[str, Any]:
    """One line of the timeline."""
    state = State(event["state"])
    blind = actor.role in BLIND_ROLES
    inside = not blind and actor.role is not Role.RESIDENT
    return {
        "version": event["version"],
        "at": clock_text(event["at"]),
        "action": event["action"],
        "action_text": ACTION_TEXT[Action(event["action"])],
        "state": state,
        "state_text": STATE_TEXT[state][0],
        "public_label": STATE_TEXT[state][1],
        "actor_role": event["actor_role"],
        "actor_role_text": ROLE_TEXT[Role(event["actor_role"])],
        "unit": None if blind else unit_view(city, event["unit_code"]),
        "note": event["note"] if inside else None,
        "public_note": None if blind else event["public_note"],
        "facts": facets.without(event["facts"] or {}, actor) or None if inside or blind else None,
    }
