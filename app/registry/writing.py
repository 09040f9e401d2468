"""Writing records: many at once, new and changed alike, in one statement for each kind.

A handful comes as arrays in the statement itself; a file's rows are copied beside it first.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.registry.contents import Stay
from app.registry.kinds import READ_AS, KindSpec, type_of
from app.store.base import new_id

Line = tuple[Any, ...]
_RESIDENCE_COLUMNS = ("id", "house_id", "household_id", "person_id", "tenure", "since", "until")
_END_RESIDENCES = {
    "household_id": text("DELETE FROM registry_residences WHERE household_id = ANY(:ids)"),
    "person_id": text("DELETE FROM registry_residences WHERE person_id = ANY(:ids)"),
}
_ADD_RESIDENCES = text("""
INSERT INTO registry_residences (id, house_id, household_id, person_id, tenure, since, until)
SELECT * FROM unnest(
  CAST(:id AS uuid[]), CAST(:house_id AS uuid[]), CAST(:household_id AS uuid[]),
  CAST(:person_id AS uuid[]), CAST(:tenure AS text[]), CAST(:since AS date[]),
  CAST(:until AS date[]))
""")


def _upsert(spec: KindSpec, source: str) -> str:
    columns = spec.columns
    values = [f"CAST({it} AS {READ_AS[it]})" if it in READ_AS else it for it in columns]
    changed = [f"{it} = excluded.{it}" for it in columns if it != "id"]
    return (
        f"INSERT INTO {spec.table} ({', '.join(columns)})"  # noqa: S608 - names of our own table
        f" SELECT {', '.join(values)} FROM {source}"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(changed)}"
    )


async def write(session: AsyncSession, spec: KindSpec, lines: Sequence[Line]) -> None:
    """Insert or replace a few records (``contents.line_of``)."""
    if not lines:
        return
    columns = spec.columns
    values = {it: [line[at] for line in lines] for at, it in enumerate(columns)}
    arrays = ", ".join(f"CAST(:{it} AS {type_of(it)}[])" for it in columns)
    source = f"unnest({arrays}) AS new ({', '.join(columns)})"
    await session.execute(text(_upsert(spec, source)), values)


_PATIENCE = text("SET LOCAL idle_in_transaction_session_timeout = '10min'")


async def take_time(session: AsyncSession) -> None:
    """Let the transaction wait between two statements: a chunk of a large XLSX is read for
    seconds, on a busy machine for longer than an HTTP request may ever take."""
    await session.execute(_PATIENCE)


async def measure(session: AsyncSession, spec: KindSpec) -> None:
    """Let the planner know of what was written by the ten thousands, before it is read."""
    for table in (spec.table, "registry_residences"):
        await session.execute(text(f"ANALYZE {table}"))


class Stage:
    """Records of one kind on their way in by ``COPY``; gone with the transaction."""

    def __init__(self, session: AsyncSession, spec: KindSpec) -> None:
        self._session, self._spec = session, spec
        self._name = f"stage_of_{spec.plural}"

    async def open(self) -> None:
        columns = ", ".join(f"{it} {type_of(it)}" for it in self._spec.columns)
        await self._session.execute(
            text(f"CREATE TEMP TABLE {self._name} ({columns}) ON COMMIT DROP")
        )

    async def write(self, lines: Sequence[Line]) -> None:
        """As ``write`` does, for thousands."""
        await copy(self._session, self._name, self._spec.columns, lines)
        await self._session.execute(text(_upsert(self._spec, self._name)))
        await self._session.execute(text(f"TRUNCATE {self._name}"))


async def copy(
    session: AsyncSession, table: str, columns: Sequence[str], lines: Iterable[Line]
) -> None:
    """``COPY`` lines into a table, in the transaction that the session has begun."""
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - the one driver of this house
    await driver.copy_records_to_table(table, records=lines, columns=list(columns))


# --- residences ----------------------------------------------------------------------------------


def residence_lines(spec: KindSpec, of: Mapping[UUID, Iterable[Stay]]) -> list[Line]:
    """Rows of ``registry_residences`` for occupants of this kind."""
    of_household = spec.occupant == "household_id"
    return [
        (
            new_id(),
            it.house_id,
            occupant if of_household else None,
            None if of_household else occupant,
            it.tenure.value,
            it.since,
            it.until,
        )
        for occupant, residences in of.items()
        for it in residences
    ]


async def set_residences(
    session: AsyncSession,
    spec: KindSpec,
    of: Mapping[UUID, Iterable[Stay]],
    *,
    known: Sequence[UUID] = (),
    many: bool = False,
) -> None:
    """Let these occupants have these residences and no others.

    Args:
        known: the occupants that may have some already.
    """
    if known and spec.occupant:
        await session.execute(_END_RESIDENCES[spec.occupant], {"ids": list(known)})
    lines = residence_lines(spec, of)
    if not lines:
        return
    if many:
        await copy(session, "registry_residences", _RESIDENCE_COLUMNS, lines)
        return
    values = {it: [line[at] for line in lines] for at, it in enumerate(_RESIDENCE_COLUMNS)}
    await session.execute(_ADD_RESIDENCES, values)
