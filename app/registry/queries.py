"""Reading the registers. ``scope_of`` is the one door: what it leaves out does not exist."""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Invalid, NotFound
from app.domain.identity import Actor, Role
from app.registry.kinds import COMMON, KindSpec
from app.store.session import Database, Statement


class RecordNotFound(NotFound):
    """没有找到该记录，或您无权查看。"""

    code = "record_not_found"


class CursorInvalid(Invalid):
    """翻页参数无效，请从第一页重新查询。"""

    code = "cursor_invalid"


@dataclass(frozen=True, slots=True)
class Scope:
    """A condition on ``record`` and its parameters."""

    where: str
    values: Mapping[str, Any] = field(default_factory=dict)


def root_of(actor: Actor) -> str:
    """The place below which an actor works; "" for the whole city.

    Grid staff without a grid work nowhere: "-" is no code and begins none.
    """
    if actor.role in (Role.GRID_LEADER, Role.MICRO_GRID_LEADER):
        return actor.grid_code or "-"
    return actor.grid_code or ""


def scope_of(actor: Actor) -> Scope:
    """Return which records exist for ``actor``."""
    root = root_of(actor)
    return below(root, "scope_grid") if root else Scope("true")


def below(code: str, name: str) -> Scope:
    """In a place or anywhere below it: codes that begin with its code, which collate as bytes."""
    return Scope(
        f"record.grid_code >= :{name} AND record.grid_code < :{name}_end",
        {name: code, f"{name}_end": code + ":"},  # ":" is the byte after "9"
    )


# --- columns -------------------------------------------------------------------------------------

_RESIDENCES = """(SELECT json_agg(json_build_array(house_id, tenure, since, until))
    FROM registry_residences AS residence
    WHERE residence.{occupant} = record.id)::text AS residences"""


@cache
def _columns(fields: tuple[str, ...], sealed: bool, occupant: str | None) -> str:
    named = ["id", *COMMON, "version", "source", "collector_id", "collected_at", "updated_by",
             "updated_at", *fields, *(["personal"] if sealed else [])]  # fmt: skip
    columns = [
        "record.location::text AS location" if name == "location" else f"record.{name}"
        for name in named
    ]
    if occupant:
        columns.append(_RESIDENCES.format(occupant=occupant))
    return ", ".join(columns)


def columns_of(spec: KindSpec) -> str:
    """What ``contents.of_row`` reads, and who wrote it and when, of a row called ``record``."""
    return _columns(spec.fields, bool(spec.personal), spec.occupant)


_GRID_NAME = "(SELECT name FROM grids WHERE grids.code = record.grid_code) AS grid_name"
_WRITERS = """(SELECT display_name FROM staff WHERE staff.id = record.collector_id) AS collector"""


# --- many, to be compared ------------------------------------------------------------------------


async def known(
    session: AsyncSession,
    spec: KindSpec,
    *,
    ids: Collection[UUID] = (),
    codes: Collection[str] = (),
    id_numbers: Collection[bytes] = (),
    lock: bool = True,
) -> list[Mapping[str, Any]]:
    """The records with one of these ids, codes or (hashed) identity numbers, wherever they are.

    Locked against other changes until the transaction ends, unless told not to.
    """
    keys = {"id": list(ids), "code": list(codes), "id_number_index": list(id_numbers)}
    kinds = {"id": "uuid[]", "code": "text[]", "id_number_index": "bytea[]"}
    asked = {name: values for name, values in keys.items() if values}
    if not asked:
        return []
    # One look into one index each: of an OR over thousands the planner makes a walk of the table.
    wanted = " UNION ".join(
        f"SELECT id FROM {spec.table} WHERE {name} = ANY(CAST(:{name} AS {kinds[name]}))"  # noqa: S608
        for name in asked
    )
    hashes = ", record.id_number_index" if spec.indexed else ""
    found = await session.execute(
        text(
            f"SELECT {columns_of(spec)}{hashes} FROM {spec.table} AS record"  # noqa: S608
            f" WHERE record.id = ANY(ARRAY({wanted}))"
            f" ORDER BY record.id{' FOR UPDATE' if lock else ''}"
        ),
        asked,
    )
    return [dict(row) for row in found.mappings()]


async def grids_below(session: AsyncSession, codes: Collection[str], root: str) -> set[str]:
    """Those of ``codes`` that are open grids or micro-grids, at ``root`` or below it."""
    rows = await session.scalars(
        text(
            "SELECT code FROM grids WHERE code = ANY(CAST(:codes AS text[])) AND active"
            " AND level IN ('grid', 'micro') AND starts_with(code, :root)"
        ),
        {"codes": list(codes), "root": root},
    )
    return set(rows)


async def ids_below(
    session: AsyncSession, spec: KindSpec, ids: Collection[UUID], root: str
) -> set[UUID]:
    """Those of ``ids`` that are records of this kind at ``root`` or below it."""
    if not ids:
        return set()
    rows = await session.scalars(
        text(
            f"SELECT id FROM {spec.table} WHERE id = ANY(CAST(:ids AS uuid[]))"  # noqa: S608
            " AND starts_with(grid_code, :root)"
        ),
        {"ids": list(ids), "root": root},
    )
    return set(rows)


async def ids_of_codes(
    session: AsyncSession, spec: KindSpec, codes: Collection[str]
) -> dict[str, UUID]:
    """The records of this kind with these codes."""
    if not codes:
        return {}
    rows = await session.execute(
        text(f"SELECT code, id FROM {spec.table} WHERE code = ANY(CAST(:codes AS text[]))"),  # noqa: S608
        {"codes": list(codes)},
    )
    return {row.code: row.id for row in rows}


async def names_of(session: AsyncSession, staff_ids: Collection[UUID]) -> dict[UUID, str]:
    """What members of staff are called."""
    rows = await session.execute(
        text("SELECT id, display_name FROM staff WHERE id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": list(staff_ids)},
    )
    return {row.id: row.display_name for row in rows}


# --- one, and pages ------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def _statement(table: str, shown: str, where: str, tail: str) -> Statement:
    return Statement(
        f"SELECT {shown}, {_GRID_NAME}, {_WRITERS} FROM {table} AS record"  # noqa: S608
        f" WHERE {where} {tail}"
    )


async def get(db: Database, spec: KindSpec, record_id: UUID, *, actor: Actor) -> asyncpg.Record:
    """Return a record's row. Raises: RecordNotFound."""
    scope = scope_of(actor)
    where = f"record.id = :id AND {scope.where}"
    statement = _statement(spec.table, columns_of(spec), where, "")
    row = await db.one_statement(statement, id=record_id, **scope.values)
    if row is None:
        raise RecordNotFound
    return row


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list may be narrowed by. ``stale_before``: not confirmed since then, or never."""

    grid_code: str | None = None
    tag: str | None = None
    household_id: UUID | None = None
    stale: bool | None = None
    stale_before: datetime | None = None
    active: bool = True


async def page(
    db: Database,
    spec: KindSpec,
    filters: Filters,
    *,
    actor: Actor,
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[asyncpg.Record], str | None]:
    """Return up to ``limit`` records in the order of grids, and the cursor of what follows.

    Raises: CursorInvalid.
    """
    scope = scope_of(actor)
    conditions, values = [scope.where], dict(scope.values)
    conditions.append("record.active" if filters.active else "NOT record.active")
    if filters.grid_code is not None:
        place = below(filters.grid_code, "grid_code")
        conditions.append(place.where)
        values |= place.values
    if filters.tag is not None:
        # The first half is what the index of tagged records asks for.
        conditions.append("record.tags <> '{}' AND record.tags @> ARRAY[:tag::text]::varchar[]")
        values["tag"] = filters.tag
    if filters.household_id is not None:
        conditions.append("record.household_id = :household_id")
        values["household_id"] = filters.household_id
    if filters.stale is not None:
        condition = "(record.collected_at IS NULL OR record.collected_at < :stale_before)"
        conditions.append(condition if filters.stale else f"NOT {condition}")
        values["stale_before"] = filters.stale_before
    if cursor is not None:
        conditions.append("(record.grid_code, record.id) > (:after_grid, :after_id)")
        values["after_grid"], values["after_id"] = _read_cursor(cursor)
    statement = _statement(
        spec.table,
        columns_of(spec),
        " AND ".join(conditions),
        "ORDER BY record.grid_code, record.id LIMIT :limit",
    )
    rows = await db.rows(statement, limit=limit + 1, **values)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], _write_cursor(last["grid_code"], last["id"])


def _write_cursor(grid_code: str, record_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{grid_code}|{record_id.hex}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, UUID]:
    try:
        grid_code, _, last = (
            base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("|")
        )
        if not grid_code.isascii() or not grid_code.isdigit():
            raise CursorInvalid
        return grid_code, UUID(hex=last)
    except (binascii.Error, ValueError):
        raise CursorInvalid from None


async def with_number(
    db: Database, spec: KindSpec, name: str, index: bytes, *, actor: Actor, limit: int = 20
) -> list[asyncpg.Record]:
    """The records in scope that have exactly this (hashed) number; active ones first."""
    scope = scope_of(actor)
    statement = _statement(
        spec.table,
        columns_of(spec),
        f"record.{name}_index = :number AND {scope.where}",
        "ORDER BY record.active DESC, record.id LIMIT :limit",
    )
    return await db.rows(statement, number=index, limit=limit, **scope.values)


_DWELLERS = Statement("""
SELECT residence.household_id, residence.person_id, residence.tenure, residence.since,
  residence.until
FROM registry_residences AS residence
LEFT JOIN registry_households AS household ON household.id = residence.household_id
LEFT JOIN registry_persons AS person ON person.id = residence.person_id
WHERE residence.house_id = :id AND starts_with(
  coalesce(household.grid_code, person.grid_code), :root)
ORDER BY residence.until IS NOT NULL, residence.since NULLS FIRST, residence.id LIMIT 200
""")


async def dwellers(db: Database, house_id: UUID, *, actor: Actor) -> list[asyncpg.Record]:
    """Who lives, or lived, in a house: households and persons in scope; those still there first."""
    return await db.rows(_DWELLERS, id=house_id, root=root_of(actor))
