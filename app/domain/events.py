"""What happened: frozen facts in the past tense, ids and values only, no personal data.

An event is written to the outbox in the transaction that made it true, and told later.
"""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened. ``at`` is when, not when it is told."""

    at: str  # ISO 8601, UTC

    def payload(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS[type(self).__name__]}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent(Event):
    """Something happened to one request."""

    request_id: str
    number: str
    grid_code: str | None = None
    unit_code: str | None = None
    resident_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSubmitted(RequestEvent):
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMoved(RequestEvent):
    """An action was taken; ``state`` is where it led (perhaps where it was)."""

    action: str
    state: str
    actor_id: str | None = None
    meaning: str | None = None  # which of the things the action can mean: "ask", "approve", ...
    co_unit_code: str | None = None  # of the co-task it was about


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFired(RequestEvent):
    """A rung of the escalation ladder was reached; ``at`` is the rung's own time."""

    metric: str
    level: str
    due_at: str
    fired_late_by_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseMoved(RequestEvent):
    """A published calendar moved what was promised to the resident."""

    metric: str  # contact or reply
    due_before: str
    due_after: str
    provisional: bool
    calendar_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderHandedOver(Event):
    """A place has another leader, who has to take note of what is open there."""

    handover_id: str
    grid_code: str
    place: str  # its names, from the town down
    title: str  # what the leader is called there
    successor_id: str
    open_requests: int


KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (RequestSubmitted, RequestMoved, ClockFired, PromiseMoved, LeaderHandedOver)
}


_FIELDS = {name: tuple(field.name for field in fields(kind)) for name, kind in KINDS.items()}


def read(kind: str, payload: dict[str, Any]) -> Event:
    """Read an event back from what the outbox kept. Raises: KeyError for an unknown kind."""
    known = _FIELDS[kind]
    return KINDS[kind](**{key: value for key, value in payload.items() if key in known})
