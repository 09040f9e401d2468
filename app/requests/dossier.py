"""A request as its own page shows it (卷宗): the request, and everything that hangs on it now.

What is over stands in the timeline; replies and ratings of earlier cycles stand here too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.domain.cotasks import CO_TASK_STATE_TEXT, CoTaskState
from app.domain.identity import BLIND_ROLES, NEAR_STAFF, Actor, Role
from app.domain.matters import PAUSE_REASON_TEXT, REJECTION_GROUND_TEXT, PauseReason
from app.domain.matters import RejectionGround as Ground
from app.domain.satisfaction import (
    REPLY_RESULT_TEXT,
    SATISFACTION_TEXT,
    SOLVED_TEXT,
    ReplyResult,
    Satisfaction,
    Solved,
)
from app.domain.states import STATE_TEXT, State
from app.requests import views
from app.requests.city import City
from app.requests.views import clock_text
from app.store.session import Columns

_NOT_TOLD: dict[str, Any] = {"rule": None, "reasons": []}


def request_view(row: Columns, city: City, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """Args: ``row``: what ``queries.get`` returns."""
    blind = actor.role in BLIND_ROLES
    hidden = blind or (row["confidential"] and actor.role in NEAR_STAFF)
    personal = {} if hidden else views.unseal(city.cipher, row["personal"], row["id"])
    view = views.summary_view(row, city, actor, now=now)
    view["location"] = None if blind else views.location_view(row, personal.get("address"))
    view["contact"] = None if blind else views.contact_view(row, actor, personal)
    # How it found its unit tells the unit.
    view["routing"] = _NOT_TOLD if blind else row["routing"]
    view["reply"] = _reply(row["reply"], actor)
    view["rating"] = _rating(row["rating"], actor)
    view["earlier_cycles"] = [
        {
            "cycle_no": cycle["cycle_no"],
            "reply": _reply(cycle["reply"], actor),
            "rating": _rating(cycle["rating"], actor),
        }
        for cycle in row["earlier_cycles"] or ()
    ]
    view |= _standing(row, city, actor)
    view["available_actions"] = views.actions_view(row, city, actor, now)
    return view


def _standing(row: Columns, city: City, actor: Actor) -> dict[str, Any]:
    """What is going on beside the state. What staff ask of each other, only staff see."""
    blind = actor.role in BLIND_ROLES
    inside = not blind and actor.role is not Role.RESIDENT
    asked = row["extension_asked"] if inside else None
    return {
        "urge_count": row["urge_count"],
        "supervise_level": row["supervise_level"],
        "orders": [_order(order, inside) for order in row["orders"] or ()],
        "co_tasks": [
            _co_task(task, city, inside=inside, blind=blind) for task in row["co_tasks"] or ()
        ],
        "extensions": row["extensions"],
        "extension_asked": {"working_days": asked["working_days"]} if asked else None,
        "internal_due_at": clock_text(row["internal_due_at"]) if inside else None,
        "suspension_asked": _suspension(row["suspension_asked"]) if inside else None,
        "resume_on": clock_text(row["resume_on"]),
        "info_until": clock_text(row["info_until"]),
        "rejection_asked": _rejection(row["rejection_asked"]) if inside else None,
        "settled_by_grid": row["settled_by_grid"],
        "followers": row["followers"],
        "master": _master(row["master"], actor),
    }


def _order(order: Columns, inside: bool) -> dict[str, Any]:
    return {
        "level": order["level"],
        "text": order["text"] if inside else None,
        "ordered_at": _instant(order["ordered_at"]),
        "answer_due_at": _instant(order["answer_due_at"]),
    }


def _co_task(task: Columns, city: City, *, inside: bool, blind: bool) -> dict[str, Any]:
    return {
        "id": task["id"],
        "unit": None if blind else views.unit_view(city, task["unit_code"]),
        "state": task["state"],
        "state_text": CO_TASK_STATE_TEXT[CoTaskState(task["state"])],
        "task": task["task"] if inside else None,
        "feedback": task["feedback"] if inside else None,
        "due_at": _instant(task["due_at"]),
    }


def _suspension(asked: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    reason = PauseReason(asked["reason_code"])
    return {"reason_code": reason, "reason": PAUSE_REASON_TEXT[reason], "until": asked["until"]}


def _rejection(asked: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    ground = Ground(asked["ground_code"])
    return {
        "ground_code": ground,
        "ground": REJECTION_GROUND_TEXT[ground],
        "note": asked["note"],
        "where_to_go": asked["where_to_go"],
    }


def _master(master: Columns | None, actor: Actor) -> dict[str, Any] | None:
    """What came of the request this one follows; of whoever else asked, nothing."""
    if master is None:
        return None
    text, label = STATE_TEXT[State(master["state"])]
    return {
        "id": None if actor.role is Role.RESIDENT else master["id"],
        "number": master["number"],
        "state": master["state"],
        "state_text": text,
        "public_label": label,
        "reply": _reply(master["reply"], actor),
    }


def _reply(reply: Columns | None, actor: Actor) -> dict[str, Any] | None:
    if reply is None or (reply["sent_at"] is None and actor.role is Role.RESIDENT):
        return None  # what is not sent yet may still be changed
    blind = actor.role in BLIND_ROLES
    inside = not blind and actor.role is not Role.RESIDENT
    return {
        "public_reply": None if blind else reply["public_reply"],
        "internal_note": reply["internal_note"] if inside else None,
        "factual": reply["factual"],
        "solved": reply["solved"],
        "solved_text": SOLVED_TEXT[Solved(reply["solved"])],
        "unsolved_reason": None if blind else reply["unsolved_reason"],
        "result_type": reply["result_type"],
        "result_text": REPLY_RESULT_TEXT[ReplyResult(reply["result_type"])],
        "planned_on": reply["planned_on"],
        "at": _instant(reply["sent_at"] or reply["at"]),
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
        "at": _instant(rating["at"]),
    }


def _instant(text: str) -> datetime | None:
    """An instant as the database writes it into JSON, in our own way."""
    return clock_text(datetime.fromisoformat(text))
