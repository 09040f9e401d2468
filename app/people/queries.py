"""Who is there: accounts to show, and the staff whom something concerns. Active accounts only."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.identity import GRANTS, Actor, Permission, Role
from app.people.models import Staff
from app.store.session import Database, Statement

LEADER_ROLES = (Role.MICRO_GRID_LEADER, Role.GRID_LEADER)


@dataclass(frozen=True, slots=True)
class Account:
    """A person as they see themselves. Of a resident no name is known; ``grid_code`` is home."""

    id: UUID
    role: Role
    username: str | None = None
    display_name: str | None = None
    unit_code: str | None = None
    grid_code: str | None = None

    @property
    def permissions(self) -> list[Permission]:
        return [permission for permission, roles in GRANTS.items() if self.role in roles]


@dataclass(frozen=True, slots=True)
class StaffMember:
    id: UUID
    role: Role
    unit_code: str | None
    grid_code: str | None


class Columns(Protocol):
    """A row, however it was read."""

    def __getitem__(self, name: str, /) -> Any: ...


_STAFF_ACCOUNT = Statement(
    "SELECT id, username, display_name, role, unit_code, grid_code FROM staff WHERE id = :id"
)
_HOME_GRID = Statement("SELECT home_grid_code FROM residents WHERE id = :id")


def staff_account(row: Columns) -> Account:
    """The account in a row that has the columns of ``staff``."""
    return Account(
        id=UUID(bytes=row["id"].bytes),
        role=Role(row["role"]),
        username=row["username"],
        display_name=row["display_name"],
        unit_code=row["unit_code"],
        grid_code=row["grid_code"],
    )


async def account_of(db: Database, actor: Actor) -> Account:
    """The account behind ``actor``."""
    if actor.role is Role.RESIDENT:
        return Account(actor.id, actor.role, grid_code=await home_grid_of(db, actor.id))
    row = await db.one_statement(_STAFF_ACCOUNT, id=actor.id)
    return Account(actor.id, actor.role) if row is None else staff_account(row)


async def home_grid_of(db: Database, resident_id: UUID) -> str | None:
    """The grid the resident lives in, if they have said so."""
    row = await db.one_statement(_HOME_GRID, id=resident_id)
    return None if row is None else row["home_grid_code"]


_ACTIVE: Select[UUID, Role, str | None, str | None] = (
    select(Staff.id, Staff.role, Staff.unit_code, Staff.grid_code)
    .where(Staff.active)
    .order_by(Staff.id)
)


async def staff_of_unit(
    session: AsyncSession,
    unit_code: str,
    roles: Collection[Role] = (Role.HANDLER, Role.UNIT_LEADER),
) -> list[StaffMember]:
    return await _members(
        session, _ACTIVE.where(Staff.unit_code == unit_code, Staff.role.in_(roles))
    )


# Arrays: the same statement however many they are.
_AROUND = text("""
SELECT id, role, unit_code, grid_code FROM staff
WHERE active AND (
  (unit_code = ANY(CAST(:unit_codes AS text[])) AND role IN ('handler', 'unit_leader'))
  OR (grid_code = ANY(CAST(:grid_codes AS text[]))
      AND role IN ('micro_grid_leader', 'grid_leader', 'dispatcher'))
  OR (role = 'dispatcher' AND grid_code IS NULL)
  OR role = 'supervisor')
""")


async def staff_around(
    session: AsyncSession, *, unit_codes: Collection[str], grid_codes: Collection[str]
) -> list[StaffMember]:
    """All staff whom events in these units and grids may concern: of the units, the grids' leaders,
    the dispatchers of those that are towns, the city's dispatchers, the supervisors."""
    around = await session.execute(
        _AROUND, {"unit_codes": list(unit_codes), "grid_codes": list(grid_codes)}
    )
    return [StaffMember(id_, Role(role), unit, grid) for id_, role, unit, grid in around]


async def by_role(session: AsyncSession, role: Role) -> list[StaffMember]:
    return await _members(session, _ACTIVE.where(Staff.role == role))


async def staff_members(session: AsyncSession, ids: Collection[UUID]) -> list[StaffMember]:
    """Those of these accounts that are active."""
    return await _members(session, _ACTIVE.where(Staff.id.in_(ids))) if ids else []


async def _members(
    session: AsyncSession, statement: Select[UUID, Role, str | None, str | None]
) -> list[StaffMember]:
    return [StaffMember(*row) for row in await session.execute(statement)]
