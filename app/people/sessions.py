"""Opaque sessions: tokens, and who stands behind one right now.

A token is 32 random bytes; the database holds its hash. Every check reads the account anew, so a
revoked session, a deactivated account or a changed role takes effect at once; a process may keep
an answer for ``sessions.cache_s`` (at most a second).
"""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from app.audit import heads
from app.audit.heads import ADD_ENTRY, Head, join_head
from app.domain.errors import Unauthenticated
from app.domain.identity import Actor, Role
from app.people.models import AccountKind
from app.settings import SessionSettings
from app.store.session import Columns, Database, Statement

_TOKEN_BYTES = 32
_SEEN_EVERY = timedelta(hours=1)
_CACHED_SESSIONS = 20_000


class TokenInvalid(Unauthenticated):
    """登录凭证无效，请重新登录。"""

    code = "invalid_token"


class SessionExpired(Unauthenticated):
    """登录已过期，请重新登录。"""

    code = "session_expired"


def new_token() -> str:
    """A bearer token for the client to keep: 43 characters of URL-safe base64."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def hash_of(token: str) -> bytes:
    """What the database knows a token by. Plain SHA-256 will do: the token itself is random."""
    return sha256(token.encode()).digest()


def spoken_of(token_hash: bytes) -> str:
    """What the audit calls a session, so that its beginning and its end can be seen together."""
    return token_hash[:8].hex()


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that was good when it was read."""

    actor: Actor
    expires_at: datetime
    call_bucket: str
    fresh_until: float  # of the monotonic clock


_LOOK_UP = Statement(
    """
    SELECT s.kind, s.account_id, s.expires_at, s.revoked_at, s.last_seen_at,
           r.id AS resident_id, w.role, w.unit_code, w.grid_code,
           w.active AND w.session_epoch = s.epoch AS staff_current
    FROM login_sessions s
    LEFT JOIN residents r ON s.kind = 'resident' AND r.id = s.account_id
    LEFT JOIN staff w ON s.kind = 'staff' AND w.id = s.account_id
    WHERE s.token_hash = :token_hash
    """
)
_SEEN = Statement(
    """
    UPDATE login_sessions
    SET last_seen_at = :now, expires_at = greatest(expires_at, :expires_at)
    WHERE token_hash = :token_hash AND last_seen_at < :seen_before
    """
)
_REVOKE_SQL = """
    UPDATE login_sessions SET revoked_at = :now
    WHERE token_hash = :token_hash AND revoked_at IS NULL
"""
_REVOKE = Statement(_REVOKE_SQL)
# Whose session it is, if it is one of the staff's: that these end is told.
_OF_STAFF = Statement(
    f"""
    SELECT w.id, w.role, head_seq, head_at, head_hash, sealed_day
    FROM login_sessions s JOIN staff w ON w.id = s.account_id
    {join_head("w.id")}
    WHERE s.token_hash = :token_hash AND s.kind = 'staff'
    """  # noqa: S608 - our own words
)
_REVOKE_AND_TELL = Statement(f"WITH ended AS ({_REVOKE_SQL} RETURNING 1) {ADD_ENTRY} FROM ended")


class Sessions:
    """The sessions one process has lately seen, and the way to the others."""

    def __init__(self, db: Database, settings: SessionSettings) -> None:
        self._db = db
        self._cache_s = settings.cache_s
        self._sliding = timedelta(days=settings.resident_days)
        self._seen: dict[bytes, OpenSession] = {}
        self._revocations = 0

    def cached(self, token_hash: bytes, now: datetime) -> OpenSession | None:
        """The session, if it was read within the last moment and has not run out."""
        found = self._seen.get(token_hash)
        if found is None or found.fresh_until < time.monotonic() or found.expires_at <= now:
            return None
        return found

    async def read(self, token_hash: bytes, now: datetime) -> OpenSession:
        """Read the session and its account.

        Raises:
            TokenInvalid: never existed, was revoked, or the account is gone or inactive.
            SessionExpired: it was good once.
        """
        fresh_until = time.monotonic() + self._cache_s
        revocations = self._revocations
        self._seen.pop(token_hash, None)
        row = await self._db.one_statement(_LOOK_UP, token_hash=token_hash)
        if row is None or row["revoked_at"] is not None:
            raise TokenInvalid
        resident = row["kind"] == AccountKind.RESIDENT
        if row["resident_id"] is None if resident else not row["staff_current"]:
            raise TokenInvalid
        expires_at: datetime = row["expires_at"]
        if expires_at <= now:
            raise SessionExpired
        if now - row["last_seen_at"] > _SEEN_EVERY:
            # Only residents' sessions slide; a clerk logs in every day.
            if resident:
                expires_at = max(expires_at, now + self._sliding)
            await self._db.one_statement(
                _SEEN,
                token_hash=token_hash,
                now=now,
                expires_at=expires_at,
                seen_before=now - _SEEN_EVERY,
            )
        account_id = UUID(bytes=row["account_id"].bytes)
        found = OpenSession(
            actor=Actor(id=account_id, role=Role.RESIDENT)
            if resident
            else Actor(account_id, Role(row["role"]), row["unit_code"], row["grid_code"]),
            expires_at=expires_at,
            call_bucket=f"calls:{token_hash.hex()}",
            fresh_until=fresh_until,
        )
        # Somebody logged out while we were reading: what we read may be older than that.
        if revocations == self._revocations:
            self._keep(token_hash, found)
        return found

    async def revoke(self, token_hash: bytes, now: datetime) -> None:
        """End the session: here at once, in other processes within ``cache_s``.

        Raises: AuditBusy.
        """
        staff = await self._db.one_statement(_OF_STAFF, token_hash=token_hash)
        if staff is None:
            await self._db.one_statement(_REVOKE, token_hash=token_hash, now=now)
        else:
            await self._revoke_and_tell(staff, token_hash, now)
        self._revocations += 1
        self._seen.pop(token_hash, None)

    async def _revoke_and_tell(self, staff: Columns, token_hash: bytes, now: datetime) -> None:
        account_id = UUID(bytes=staff["id"].bytes)
        actor, facts = Actor(account_id, Role(staff["role"])), {"session": spoken_of(token_hash)}
        await heads.one_statement(
            self._db,
            _REVOKE_AND_TELL,
            Head.of(account_id, staff),
            lambda head: heads.columns(
                head.next_entry(actor=actor, action="log_out", facts=facts, now=now)
            ),
            token_hash=token_hash,
            now=now,
        )

    def _keep(self, token_hash: bytes, found: OpenSession) -> None:
        while len(self._seen) >= _CACHED_SESSIONS:
            del self._seen[next(iter(self._seen))]
        self._seen[token_hash] = found
