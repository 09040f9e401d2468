"""Residents logging in, and keeping the accounts of the staff. Staff log in at ``logins``."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.identity import STAFF_ROLES, SYSTEM, Actor, Role
from app.people import lockout
from app.people.logins import LoggedIn
from app.people.models import (
    ADDRESS_PLACE,
    OPENID_PLACE,
    AccountKind,
    LoginFailure,
    LoginSession,
    Resident,
    Staff,
)
from app.people.passwords import PasswordPool, check_policy
from app.people.queries import Account
from app.people.sessions import hash_of, new_token
from app.settings import SessionSettings
from app.store.base import new_id
from app.store.crypto import FieldCipher

USERNAME = re.compile(r"[a-z0-9._-]{3,40}")
_UNIT_ROLES = frozenset({Role.HANDLER, Role.UNIT_LEADER})
_GRID_ROLES = frozenset({Role.MICRO_GRID_LEADER, Role.GRID_LEADER})
_KEEP_SESSIONS = timedelta(days=30)  # so that lockout knows the owner's networks
_FORGET_AT_ONCE = 5_000
_MANY = 2_000


class UsernameInvalid(Invalid):
    """用户名只能包含 3 至 40 个小写字母、数字、点、下划线或连字符。"""

    code = "username_invalid"


class UsernameTaken(Conflict):
    """该用户名已被使用。"""

    code = "username_taken"


class StaffPostInvalid(Invalid):
    """岗位信息有误：承办员和单位负责人须属于一个单位，网格长须属于一个网格。"""

    code = "staff_post_invalid"


class StaffUnknown(NotFound):
    """没有这个工作人员账号。"""

    code = "staff_not_found"


@dataclass(frozen=True, slots=True)
class NewStaff:
    """An account to be made. Without ``password_hash`` nobody can log in with it."""

    username: str
    display_name: str
    role: Role
    unit_code: str | None = None
    grid_code: str | None = None
    password_hash: str | None = None

    def check(self) -> None:
        """Raises: UsernameInvalid, StaffPostInvalid."""
        if USERNAME.fullmatch(self.username) is None:
            raise UsernameInvalid
        if (
            self.role not in STAFF_ROLES
            or (self.role in _UNIT_ROLES and self.unit_code is None)
            or (self.role in _GRID_ROLES and self.grid_code is None)
        ):
            raise StaffPostInvalid


# --- residents ---------------------------------------------------------------------------------


async def login_resident(
    session: AsyncSession,
    openid: str,
    *,
    cipher: FieldCipher,
    sessions: SessionSettings,
    now: datetime,
    address: str | None = None,
) -> LoggedIn:
    """Open a session for the resident with this openid; the first time, make the account.

    That the account was made is told in the audit, when it is used is not: what is kept for ever
    should not say how often a citizen looks at their phone.
    """
    index = cipher.blind_index(openid, place=OPENID_PLACE)
    known = select(Resident.id, Resident.home_grid_code).where(Resident.openid_index == index)
    resident = (await session.execute(known)).one_or_none()
    if resident is None:
        made = await session.scalar(
            upsert(Resident)
            .values(
                id=new_id(),
                openid_index=index,
                openid_sealed=cipher.encrypt(openid, place=OPENID_PLACE),
                created_at=now,
            )
            .on_conflict_do_nothing(index_elements=[Resident.openid_index])
            .returning(Resident.id)
        )
        resident = (await session.execute(known)).one()
        if made is not None:
            actor = Actor(made, Role.RESIDENT)
            await audit.append(
                session, made, actor=actor, action="create_resident", facts={}, now=now
            )
    token = new_token()
    expires_at = now + timedelta(days=sessions.resident_days)
    await session.execute(
        insert(LoginSession).values(
            token_hash=hash_of(token),
            kind=AccountKind.RESIDENT,
            account_id=resident.id,
            epoch=0,
            address_index=_address_index(address, cipher),
            created_at=now,
            expires_at=expires_at,
            last_seen_at=now,
        )
    )
    account = Account(resident.id, Role.RESIDENT, grid_code=resident.home_grid_code)
    return LoggedIn(token, expires_at, account)


def _address_index(address: str | None, cipher: FieldCipher) -> bytes | None:
    if address is None:
        return None
    return cipher.blind_index(lockout.network_of(address), place=ADDRESS_PLACE)


async def forget_old_logins(session: AsyncSession, *, now: datetime) -> int:
    """Delete sessions that ended a month ago and failures whose window is over; how many.

    A job: at most 5,000 of each per call.
    """
    old_sessions = (
        select(LoginSession.token_hash)
        .where(LoginSession.expires_at < now - _KEEP_SESSIONS)
        .limit(_FORGET_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    old_failures = (
        select(LoginFailure.key)
        .where(LoginFailure.ends_at < now)
        .limit(_FORGET_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    gone = [
        *await session.scalars(
            delete(LoginSession)
            .where(LoginSession.token_hash.in_(old_sessions))
            .returning(LoginSession.token_hash)
        ),
        *await session.scalars(
            delete(LoginFailure)
            .where(LoginFailure.key.in_(old_failures))
            .returning(LoginFailure.key)
        ),
    ]
    return len(gone)


# --- accounts of the staff -----------------------------------------------------------------------


# As one value: with thousands of accounts, a parameter for each column of each takes a second.
_HIRE = text("""
INSERT INTO staff (id, username, password_hash, display_name, role, unit_code, grid_code, active,
  created_at, session_epoch)
SELECT id, username, password_hash, display_name, role, unit_code, grid_code, active, created_at,
  session_epoch
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (id uuid, username text, password_hash text,
  display_name text, role text, unit_code text, grid_code text, active bool,
  created_at timestamptz, session_epoch int)
ON CONFLICT (username) DO NOTHING RETURNING username
""")


async def create_staff(
    session: AsyncSession, new: NewStaff, *, actor: Actor = SYSTEM, now: datetime
) -> UUID:
    """Raises: UsernameInvalid, UsernameTaken, StaffPostInvalid."""
    return (await create_staff_many(session, [new], actor=actor, now=now))[0]


async def create_staff_many(
    session: AsyncSession, new: Iterable[NewStaff], *, actor: Actor = SYSTEM, now: datetime
) -> list[UUID]:
    """Make the accounts, all or none; their ids in the order given.

    Args:
        actor: who makes them; ``SYSTEM`` is the command line of the city's own machine.

    Raises:
        UsernameInvalid, StaffPostInvalid: the first that is wrong.
        UsernameTaken: ``detail`` names it.
    """
    rows: list[dict[str, Any]] = []
    for member in new:
        member.check()
        rows.append(
            {
                "id": new_id(),
                "username": member.username,
                "password_hash": member.password_hash,
                "display_name": member.display_name,
                "role": member.role,
                "unit_code": member.unit_code,
                "grid_code": member.grid_code,
                "active": True,
                "created_at": now,
                "session_epoch": 0,
            }
        )
    for start in range(0, len(rows), _MANY):
        part = rows[start : start + _MANY]
        made = set(await session.scalars(_HIRE, {"rows": orjson.dumps(part).decode()}))
        if len(made) < len(part):
            taken = next(row for row in part if row["username"] not in made)
            raise UsernameTaken(f"用户名：{taken['username']}")
        posts = {row["id"]: _post(row) for row in part}
        await audit.append_each(session, posts, actor=actor, action="create_staff", now=now)
    return [row["id"] for row in rows]


def _post(row: Mapping[str, Any]) -> dict[str, object]:
    """What the audit says of a new account."""
    return {
        "role": row["role"].value,
        "unit": row["unit_code"],
        "grid": row["grid_code"],
        "password": row["password_hash"] is not None,
    }


async def set_password(
    session: AsyncSession,
    staff_id: UUID,
    password: str,
    *,
    passwords: PasswordPool,
    actor: Actor = SYSTEM,
    now: datetime,
) -> None:
    """Give the account a new password and end all its sessions.

    Raises:
        StaffUnknown, PasswordTooWeak, HashingBusy.
    """
    username = await session.scalar(select(Staff.username).where(Staff.id == staff_id))
    if username is None:
        raise StaffUnknown
    check_policy(password, username=username)
    password_hash = await passwords.hash(password)
    epoch = await session.scalar(
        update(Staff)
        .where(Staff.id == staff_id)
        .values(password_hash=password_hash, session_epoch=Staff.session_epoch + 1)
        .returning(Staff.session_epoch)
    )
    facts = {"epoch": epoch}
    await audit.append(session, staff_id, actor=actor, action="set_password", facts=facts, now=now)


async def deactivate(
    session: AsyncSession, staff_id: UUID, *, actor: Actor = SYSTEM, now: datetime
) -> None:
    """The account stays, for the record; nobody can use it and its sessions are over.

    Raises:
        StaffUnknown.
    """
    epoch = await session.scalar(
        update(Staff)
        .where(Staff.id == staff_id)
        .values(active=False, session_epoch=Staff.session_epoch + 1)
        .returning(Staff.session_epoch)
    )
    if epoch is None:
        raise StaffUnknown
    facts = {"epoch": epoch}
    await audit.append(session, staff_id, actor=actor, action="deactivate", facts=facts, now=now)
