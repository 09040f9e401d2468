"""Who logs in: residents (known only by WeChat's openid), staff, their sessions, wrong passwords.

A resident's openid is kept twice: sealed, to send messages to, and as a keyed hash, to find the
account again. A session keeps the hash of its token and never the token itself.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.identity import Role
from app.store.base import Base, new_id

OPENID_PLACE = "residents.openid"
ADDRESS_PLACE = "login_sessions.address"
# Grid codes are compared by prefix and by range: bytes, not the city's collation.
_CODE = Text(collation="C")


class AccountKind(StrEnum):
    RESIDENT = "resident"
    STAFF = "staff"


class Resident(Base):
    __tablename__ = "residents"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    openid_index: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    openid_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    home_grid_code: Mapped[str | None] = mapped_column(_CODE)
    created_at: Mapped[datetime]


class Staff(Base):
    """An account of the administration. Without ``password_hash`` nobody can log in with it."""

    __tablename__ = "staff"
    __table_args__ = (
        CheckConstraint("username ~ '^[a-z0-9._-]{3,40}$'", name="username"),
        Index(None, "unit_code", "role"),
        Index(None, "grid_code", "role"),
        Index(None, "role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(_CODE, unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str] = mapped_column(Text)
    role: Mapped[Role]
    unit_code: Mapped[str | None] = mapped_column(Text)
    grid_code: Mapped[str | None] = mapped_column(_CODE)
    active: Mapped[bool] = mapped_column(default=True, server_default="true")
    created_at: Mapped[datetime]
    # Raised by a new password or a deactivation: every session of an older epoch is over.
    session_epoch: Mapped[int] = mapped_column(default=0, server_default="0")


class LoginSession(Base):
    """A log-in that has not ended. ``epoch`` is the account's at log-in (0 for residents).

    The role is not kept: what an account may do is read from the account at every check.
    """

    __tablename__ = "login_sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    kind: Mapped[AccountKind]
    account_id: Mapped[UUID] = mapped_column(index=True)
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    # Keyed hash of the network it came from: a place where the owner has logged in before.
    address_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_seen_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class LoginFailure(Base):
    """Wrong passwords in a running window, shared by all workers. ``key``: see ``lockout``."""

    __tablename__ = "login_failures"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int]
    ends_at: Mapped[datetime] = mapped_column(index=True)
