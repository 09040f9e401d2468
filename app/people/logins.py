"""Staff logging in: knock, be verified, be let in or be counted, and told of."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.audit import heads
from app.audit.heads import Head
from app.domain.identity import Actor
from app.people import lockout
from app.people.passwords import PasswordPool
from app.people.queries import Account, staff_account
from app.people.sessions import hash_of, new_token, spoken_of
from app.settings import LimitSettings, SessionSettings
from app.store.crypto import FieldCipher
from app.store.session import Database

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """``token`` is said once, here; nobody can read it again."""

    token: str
    expires_at: datetime
    account: Account


async def log_in_staff(
    db: Database,
    *,
    passwords: PasswordPool,
    cipher: FieldCipher,
    limits: LimitSettings,
    sessions: SessionSettings,
    username: str,
    password: str,
    address: str,
    now: datetime,
) -> LoggedIn:
    """Open a session for the member of staff who knows the password.

    Two single statements with the hashing between them: no connection waits while we hash. The
    second one tells the audit what it did: a log-in, or a failure that closes a door.

    Raises:
        InvalidCredentials: unknown name, wrong password, inactive, or an account without password.
        LoginLocked: too many failures; nothing was verified.
        HashingBusy: too many log-ins at once.
    """
    username = username.lower()
    keys = lockout.Keys.of(username, address, cipher, limits)
    row = await db.one_statement(
        lockout.KNOCK,
        username=username,
        network_index=keys.network_index,
        stranger=keys.stranger,
        now=now,
        **keys.values(),
    )
    assert row is not None, "KNOCK always has a row"  # noqa: S101
    _refuse_if_locked(row["locked_until"], now)
    head = Head.of(keys.stranger if row["id"] is None else UUID(bytes=row["id"].bytes), row)
    may_enter = row["active"] is True
    verdict = await passwords.verify(password, row["password_hash"] if may_enter else None)
    if not verdict.right:
        await _note_failure(db, keys, head, now)
        raise lockout.InvalidCredentials

    token, account = new_token(), staff_account(row)
    expires_at = now + timedelta(hours=sessions.staff_hours)
    actor, facts = Actor(account.id, account.role), {"session": spoken_of(hash_of(token))}
    outcome = await heads.one_statement(
        db,
        lockout.OPEN,
        head,
        lambda head: heads.columns(
            head.next_entry(actor=actor, action="log_in", facts=facts, now=now)
        ),
        pair=keys.pair,
        pair_most=limits.login_failures,
        account_id=row["id"],
        epoch=row["session_epoch"],
        token_hash=hash_of(token),
        network_index=keys.network_index,
        new_hash=verdict.new_hash,
        expires_at=expires_at,
        now=now,
    )
    assert outcome is not None, "OPEN always has a row"  # noqa: S101
    _refuse_if_locked(outcome["locked_until"], now)
    if not outcome["opened"]:
        raise lockout.InvalidCredentials
    return LoggedIn(token, expires_at, account)


async def _note_failure(db: Database, keys: lockout.Keys, head: Head, now: datetime) -> None:
    """Raises: LoginLocked: guesses made at the same time had used up the failures already."""
    ends_at = now + timedelta(seconds=keys.limits.login_lock_s)
    noted = await heads.one_statement(
        db,
        lockout.NOTE_FAILURE,
        head,
        lambda head: lockout.closing(head, ends_at=ends_at, now=now),
        now=now,
        ends_at=ends_at,
        **keys.values(),
    )
    _refuse_if_locked(None if noted is None else noted["locked_until"], now)


def _refuse_if_locked(locked_until: datetime | None, now: datetime) -> None:
    if locked_until is not None:
        _log.warning("login_locked")
        raise lockout.LoginLocked(retry_after_s=max(1, int((locked_until - now).total_seconds())))
