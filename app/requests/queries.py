"""Reading requests. ``visible_to`` is the one door: what it leaves out does not exist for them."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.errors import Forbidden, Invalid, NotFound
from app.domain.identity import BLIND_ROLES, Actor, Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import OPEN, Action, State
from app.store.session import Columns, Database, Statement
from app.store.together import Grouped

_UNIT = frozenset({Role.HANDLER, Role.UNIT_LEADER})
# Who calls back, and in which states: never staff of the unit that answered.
CALLERS = frozenset(
    role for step in TRANSITIONS if step.action is Action.CALL_BACK for role in step.by
)
_CALLED_IN = ", ".join(
    f"'{step.source}'" for step in TRANSITIONS if step.action is Action.CALL_BACK
)
# ``ix_requests_to_call`` holds what the first line says.
_TO_CALL = f"""requests.sampled AND requests.called_back_at IS NULL
  AND requests.state IN ({_CALLED_IN})"""
_HAS_PART = (
    "EXISTS (SELECT FROM request_co_tasks AS part WHERE part.request_id = requests.id"
    " AND part.unit_code = :scope_unit AND part.ended_at IS NULL)"
)
# Owed no more, though nobody kept it (``views.is_cancelled`` says the same of one row).
CANCELLED = f"""(CASE WHEN requests.state = '{State.ARCHIVED}' THEN requests.previous_state
  ELSE requests.state END IN ('{State.REJECTED}', '{State.WITHDRAWN}', '{State.MERGED}')
  OR requests.state = '{State.REOPEN_REVIEW}' AND requests.replied_at IS NULL)"""
# When the contact clock stopped without a contact: answered, or closed without an answer.
NO_CONTACT_AT = "coalesce(requests.replied_at, requests.ended_at, :now::timestamptz)"


class RequestNotFound(NotFound):
    """没有找到该诉求，或您无权查看。"""

    code = "request_not_found"


class SampleForbidden(Forbidden):
    """回访名单只对回访人员开放。"""

    code = "sample_forbidden"


class NarrowingForbidden(Forbidden):
    """您的角色不能按单位、网格、类别筛选诉求，请在统计明细中查看各项指标所包含的诉求。"""

    code = "list_narrowing_forbidden"


class CursorInvalid(Invalid):
    """翻页参数无效，请从第一页重新查询。"""

    code = "cursor_invalid"


@dataclass(frozen=True, slots=True)
class Scope:
    """A condition on ``requests`` and its parameters."""

    where: str
    values: Mapping[str, Any] = field(default_factory=dict)


def visible_to(actor: Actor) -> Scope:
    """Return which requests exist for ``actor``: of units, also those they have an open part of."""
    if actor.role in _UNIT:
        return Scope(
            f"(requests.unit_code = :scope_unit OR {_HAS_PART})", {"scope_unit": actor.unit_code}
        )
    return listed_for(actor)


def listed_for(actor: Actor) -> Scope:
    """Return which requests lists show to ``actor``: one index each. Of units, only their own."""
    match actor.role:
        case Role.RESIDENT:
            return Scope("requests.resident_id = :scope_id", {"scope_id": actor.id})
        case Role.HANDLER | Role.UNIT_LEADER:
            return Scope("requests.unit_code = :scope_unit", {"scope_unit": actor.unit_code})
        case Role.GRID_LEADER | Role.MICRO_GRID_LEADER:
            return in_grid(actor.grid_code or "-", "scope_grid")
        case Role.DISPATCHER if actor.grid_code is not None:
            return in_grid(actor.grid_code, "scope_grid")
        case Role.DISPATCHER | Role.SUPERVISOR | Role.AUDITOR | Role.ADMIN | Role.SYSTEM:
            return Scope("true")


def with_co_tasks_for(actor: Actor) -> Scope:
    """Return which requests have a part that a unit of ``actor`` still owes, or waits for."""
    if actor.role in _UNIT:
        return Scope(
            "requests.id IN (SELECT part.request_id FROM request_co_tasks AS part"
            " WHERE part.unit_code = :scope_unit AND part.ended_at IS NULL)",
            {"scope_unit": actor.unit_code},
        )
    scope = listed_for(actor)
    return Scope(f"{scope.where} AND requests.open_co_tasks > 0", scope.values)


def in_grid(code: str, name: str) -> Scope:
    """A grid and all below it: codes that begin with its code (their columns collate as bytes)."""
    return Scope(
        f"requests.grid_code >= :{name} AND requests.grid_code < :{name}_end",
        {name: code, f"{name}_end": code + ":"},  # ":" is the byte after "9"
    )


def in_states(states: Iterable[State]) -> str:
    """Written out, not a parameter: only so the planner knows that open ones are few."""
    listed = ", ".join(f"'{state}'" for state in sorted(set(states)))
    return f"requests.state IN ({listed})"


IS_OPEN = in_states(OPEN)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list may be narrowed by. Times are instants, [submitted_from, submitted_to)."""

    states: tuple[State, ...] = ()
    unit_code: str | None = None
    grid_code: str | None = None
    category_code: str | None = None
    overdue: bool | None = None
    co: bool = False  # only those with an open co-task
    sampled: bool = False  # only those to call back
    submitted_from: datetime | None = None
    submitted_to: datetime | None = None

    @property
    def by_facet(self) -> bool:
        """Whether it says of whom, about what or where: see ``domain.facets``."""
        return any((self.unit_code, self.grid_code, self.category_code))


_UNNARROWED = Filters()

COLUMNS = """requests.id, requests.number, requests.version, requests.state, requests.cycle_no,
  requests.kind, requests.title, requests.text, requests.category_code, requests.channel,
  requests.confidential, requests.public, requests.grid_code, requests.grid_certain,
  requests.unit_code, requests.submitted_at, requests.contact_due_at, requests.reply_due_at,
  requests.provisional, requests.contacted_at, requests.replied_at, requests.rate_until,
  requests.ended_at, requests.satisfaction, requests.previous_state, requests.diligent_at"""

OVERDUE = f"""(NOT {CANCELLED} AND (
    CASE WHEN requests.contacted_at IS NULL
         THEN requests.diligent_at IS NULL AND {NO_CONTACT_AT} > requests.contact_due_at
         ELSE requests.contacted_at > requests.contact_due_at END
    OR CASE WHEN requests.replied_at IS NULL THEN :now::timestamptz >= requests.reply_due_at
            ELSE requests.replied_at >= requests.reply_due_at END IS TRUE))"""


@lru_cache(maxsize=512)
def _page_statement(where: str) -> Statement:
    return Statement(f"""
SELECT {COLUMNS} FROM requests WHERE {where}
ORDER BY requests.submitted_at DESC, requests.id DESC LIMIT :limit
""")  # noqa: S608 - `where` is put together from the fixed conditions below


# Of the values that a scope compares with.
SCOPE_KINDS = {
    "scope_id": "uuid",
    "scope_unit": "text",
    "scope_grid": "text",
    "scope_grid_end": "text",
}


@lru_cache(maxsize=512)
def _first_page_statement(where: str, limit: int) -> Grouped:
    """The limit is written out: the planner, who does not see one asker's values, must see it."""
    return Grouped(
        f"""
SELECT asked.place, listed.* FROM {{asked}} CROSS JOIN LATERAL (
  SELECT {COLUMNS} FROM requests WHERE {where}
  ORDER BY requests.submitted_at DESC, requests.id DESC LIMIT {limit}
) AS listed ORDER BY asked.place, listed.submitted_at DESC, listed.id DESC
""",  # noqa: S608 - `where` comes from listed_for
        SCOPE_KINDS,
    )


def narrowed(scope: Scope, filters: Filters, *, now: datetime) -> tuple[list[str], dict[str, Any]]:
    """The conditions of ``scope`` and ``filters`` on ``requests``, and their parameters."""
    conditions, values = [scope.where], dict(scope.values)
    if filters.sampled:
        conditions.append(_TO_CALL)
    if filters.states:
        conditions.append(in_states(filters.states))
    if filters.unit_code is not None:
        conditions.append("requests.unit_code = :unit_code")
        values["unit_code"] = filters.unit_code
    if filters.grid_code is not None:
        grid = in_grid(filters.grid_code, "grid_code")
        conditions.append(grid.where)
        values |= grid.values
    if filters.category_code is not None:
        conditions.append(
            "(requests.category_code = :category OR starts_with(requests.category_code, :below))"
        )
        values |= {"category": filters.category_code, "below": filters.category_code + "."}
    if filters.overdue is not None:
        conditions.append(OVERDUE if filters.overdue else f"NOT {OVERDUE}")
        values["now"] = now
    if filters.submitted_from is not None:
        conditions.append("requests.submitted_at >= :submitted_from")
        values["submitted_from"] = filters.submitted_from
    if filters.submitted_to is not None:
        conditions.append("requests.submitted_at < :submitted_to")
        values["submitted_to"] = filters.submitted_to
    return conditions, values


async def page(
    db: Database,
    filters: Filters,
    *,
    actor: Actor,
    limit: int,
    cursor: str | None,
    now: datetime,
) -> tuple[Sequence[asyncpg.Record], str | None]:
    """Return up to ``limit`` rows, newest first, and the cursor of what follows.

    Raises: CursorInvalid, SampleForbidden, NarrowingForbidden.
    """
    if actor.role in BLIND_ROLES and filters.by_facet:
        raise NarrowingForbidden
    if filters.sampled and actor.role not in CALLERS:
        raise SampleForbidden
    if cursor is None and filters == _UNNARROWED:  # what everybody opens
        scope = listed_for(actor)
        first = _first_page_statement(scope.where, limit + 1)
        return _cut(await db.together(first, **scope.values), limit)
    scope = with_co_tasks_for(actor) if filters.co else listed_for(actor)
    conditions, values = narrowed(scope, filters, now=now)
    if cursor is not None:
        conditions.append("(requests.submitted_at, requests.id) < (:after_at, :after_id)")
        values["after_at"], values["after_id"] = _read_cursor(cursor)
    statement = _page_statement(" AND ".join(conditions))
    return _cut(await db.rows(statement, limit=limit + 1, **values), limit)


def _cut(rows: list[asyncpg.Record], limit: int) -> tuple[Sequence[asyncpg.Record], str | None]:
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], _write_cursor(rows[limit - 1])


def _write_cursor(row: Columns) -> str:
    at: datetime = row["submitted_at"]
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{row['id'].hex}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _, last = (
            base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("|")
        )
        when = datetime.fromisoformat(at)
        if when.tzinfo is None:
            raise CursorInvalid
        return when.astimezone(UTC), UUID(hex=last)  # UTC: at the ends of time that overflows
    except (binascii.Error, ValueError, OverflowError):
        raise CursorInvalid from None
