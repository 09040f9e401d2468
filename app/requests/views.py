"""What each role sees of a request. The one place that decides; every answer goes through here.

* The resident whose request it is sees all but internal notes.
* Staff in scope see the matter; name and phone masked, and not at all where the resident asked for
  confidentiality and the reader belongs to the grid or the unit (保密).
* Auditors and administrators see facts and figures: no text, no place, no person.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson

from app.domain import geometry, guards, privacy
from app.domain.identity import BLIND_ROLES, GRANTS, ROLE_TEXT, Actor, Permission, Role
from app.domain.lifecycle import (
    ACTION_TEXT,
    FINAL,
    GUARD_TEXT,
    REPLY_CLOCK,
    STATE_TEXT,
    TRANSITIONS,
    Action,
    State,
    open_actions,
)
from app.domain.matters import KIND_TEXT
from app.domain.satisfaction import SATISFACTION_TEXT, SOLVED_TEXT, Satisfaction, Solved
from app.requests.city import City
from app.store.crypto import FieldCipher
from app.store.session import Columns

_CHINA = timezone(timedelta(hours=8))
# Asked for every request that is shown; the table never changes.
_OPEN_STEPS = {(state, role): open_actions(state, by=role) for state in State for role in Role}
_CANCELLED = frozenset({State.REJECTED, State.WITHDRAWN, State.MERGED})
_NEAR_STAFF = frozenset({Role.GRID_LEADER, Role.MICRO_GRID_LEADER, Role.HANDLER, Role.UNIT_LEADER})


def _in_china(at: datetime | None) -> datetime | None:
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


def _contact(
    row: Columns, actor: Actor, personal: Mapping[str, str | None]
) -> dict[str, Any] | None:
    name, phone = personal.get("name"), personal.get("phone")
    if name is None and phone is None:
        return None
    if row["submitted_by"] == actor.id and actor.role is Role.RESIDENT:
        return {"name": name, "phone": phone, "masked": False}
    if row["confidential"] and actor.role in _NEAR_STAFF:
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


def _grid(city: City, row: Columns) -> dict[str, Any] | None:
    code = row["grid_code"]
    if code is None:
        return None
    node = city.grids.node(code)
    return {
        "code": code,
        "name": node.name if node else code,
        "path": city.grids.name_path(code) if node else code,
        "certain": row["grid_certain"],
    }


def _location(row: Columns, address: str | None) -> dict[str, Any] | None:
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


def facts(row: Columns) -> guards.Facts:
    return guards.Facts(
        unit_code=row["unit_code"],
        contacted_at=row["contacted_at"],
        contact_attempts=row["contact_attempts"],
        info_rounds=row["info_rounds"],
        return_until=row["return_until"],
        returned_units=tuple(row["returned_units"]),
        rate_until=row["rate_until"],
    )


def _actions(row: Columns, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    steps = _OPEN_STEPS[row["state"], actor.role]
    guarded = any(step.guards for step in steps)
    closed = guards.closed(facts(row), now=now) if guarded else frozenset()
    return [
        {
            "action": step.action,
            "text": ACTION_TEXT[step.action],
            "blocked_reason": next((GUARD_TEXT[g] for g in step.guards if g in closed), None),
        }
        for step in steps
    ]


# -- the whole --------------------------------------------------------------------------------


def _facts_view(row: Columns, city: City, now: datetime) -> dict[str, Any]:
    state, kind = row["state"], row["kind"]
    state_text, public_label = STATE_TEXT[state]
    contacted_at, replied_at = row["contacted_at"], row["replied_at"]
    contact_due_at, reply_due_at = row["contact_due_at"], row["reply_due_at"]
    cancelled = state in _CANCELLED
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
        "category": _category(city, row["category_code"]),
        "grid": _grid(city, row),
        "unit": unit_view(city, row["unit_code"]),
        "channel": row["channel"],
        "confidential": row["confidential"],
        "public": row["public"],
        "submitted_at": _in_china(row["submitted_at"]),
        "contact_due_at": _in_china(contact_due_at),
        "reply_due_at": _in_china(reply_due_at),
        "provisional": row["provisional"],
        "contacted_at": _in_china(contacted_at),
        "replied_at": _in_china(replied_at),
        "rate_until": _in_china(row["rate_until"]),
        "ended_at": _in_china(row["ended_at"]),
        "contact_overdue": contacted_at > contact_due_at
        if contacted_at
        else not cancelled and now > contact_due_at,
        "reply_overdue": reply_due_at is not None
        and (replied_at >= reply_due_at if replied_at else not cancelled and now >= reply_due_at),
        "satisfaction": row["satisfaction"],
    }


def moved_view(
    row: Columns, city: City, actor: Actor, *, now: datetime, hint: str | None = None
) -> dict[str, Any]:
    """The answer to a submission and to every action. It is kept for replay, so it holds nothing
    that is encrypted elsewhere."""
    view = _facts_view(row, city, now)
    view["routing"] = row["routing"]
    view["hint"] = hint
    view["available_actions"] = _actions(row, actor, now)
    return view


def summary_view(row: Columns, city: City, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """A request as lists show it."""
    view = _facts_view(row, city, now)
    blind = actor.role in BLIND_ROLES
    view["title"] = None if blind else row["title"]
    view["text"] = None if blind else row["text"]
    return view


def request_view(row: Columns, city: City, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """A request as its own page shows it.

    Args:
        row: the columns of ``requests``; ``reply`` and ``rating`` of the present cycle if any.
    """
    blind = actor.role in BLIND_ROLES
    personal = {} if blind else unseal(city.cipher, row["personal"], row["id"])
    view = summary_view(row, city, actor, now=now)
    view["location"] = None if blind else _location(row, personal.get("address"))
    view["contact"] = None if blind else _contact(row, actor, personal)
    view["routing"] = row["routing"]
    view["reply"] = _reply(row["reply"], actor)
    view["rating"] = _rating(row["rating"], actor)
    view["available_actions"] = _actions(row, actor, now)
    return view


def _reply(reply: Columns | None, actor: Actor) -> dict[str, Any] | None:
    if reply is None:
        return None
    blind = actor.role in BLIND_ROLES
    inside = not blind and actor.role is not Role.RESIDENT
    return {
        "public_reply": None if blind else reply["public_reply"],
        "internal_note": reply["internal_note"] if inside else None,
        "factual": reply["factual"],
        "solved": reply["solved"],
        "solved_text": SOLVED_TEXT[Solved(reply["solved"])],
        "unsolved_reason": None if blind else reply["unsolved_reason"],
        "at": _in_china(reply["at"]),
    }


def _rating(rating: Columns | None, actor: Actor) -> dict[str, Any] | None:
    if rating is None:
        return None
    return {
        "contacted": rating["contacted"],
        "solved": rating["solved"],
        "solved_text": SOLVED_TEXT[Solved(rating["solved"])],
        "satisfaction": rating["satisfaction"],
        "satisfaction_text": SATISFACTION_TEXT[Satisfaction(rating["satisfaction"])],
        "reasons": rating["reasons"],
        "text": None if actor.role in BLIND_ROLES else rating["text"],
        "at": _in_china(rating["at"]),
    }


def event_view(event: Columns, city: City, actor: Actor) -> dict[str, Any]:
    """One line of the timeline."""
    state = State(event["state"])
    blind = actor.role in BLIND_ROLES
    inside = not blind and actor.role is not Role.RESIDENT
    return {
        "version": event["version"],
        "at": _in_china(event["at"]),
        "action": event["action"],
        "action_text": ACTION_TEXT[Action(event["action"])],
        "state": state,
        "state_text": STATE_TEXT[state][0],
        "public_label": STATE_TEXT[state][1],
        "actor_role": event["actor_role"],
        "actor_role_text": ROLE_TEXT[Role(event["actor_role"])],
        "unit": unit_view(city, event["unit_code"]),
        "note": event["note"] if inside else None,
        "public_note": None if blind else event["public_note"],
        "facts": event["facts"] if inside or blind else None,
    }


def workflow_view() -> dict[str, Any]:
    """The table of the lifecycle, with Chinese names."""
    states = [
        {
            "code": state,
            "text": text,
            "public_label": label,
            "final": state in FINAL,
            "reply_clock": REPLY_CLOCK[state],
        }
        for state, (text, label) in STATE_TEXT.items()
    ]
    submit_by = [role for role in Role if role in GRANTS[Permission.REQUEST_SUBMIT]]
    rows: list[dict[str, Any]] = [
        {
            "source": None,
            "source_text": None,
            "action": Action.SUBMIT,
            "action_text": ACTION_TEXT[Action.SUBMIT],
            "targets": [State.SUBMITTED],
            "by": submit_by,
            "by_text": [ROLE_TEXT[role] for role in submit_by],
            "note_required": False,
            "guards": [],
        }
    ]
    for step in TRANSITIONS:
        roles = [role for role in Role if role in step.by]
        rows.append(
            {
                "source": step.source,
                "source_text": STATE_TEXT[step.source][0],
                "action": step.action,
                "action_text": ACTION_TEXT[step.action],
                "targets": list(step.targets),
                "by": roles,
                "by_text": [ROLE_TEXT[role] for role in roles],
                "note_required": step.note_required,
                "guards": [{"code": g, "text": GUARD_TEXT[g]} for g in step.guards],
            }
        )
    return {"states": states, "transitions": rows}
