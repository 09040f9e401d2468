"""Who is calling, and may they. The one door through which an endpoint learns its ``Actor``."""

from functools import cache
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.domain.errors import Unauthenticated
from app.domain.identity import Actor, Permission
from app.people.lockout import network_of
from app.people.passwords import PasswordPool
from app.people.sessions import Sessions, TokenInvalid, hash_of
from app.store.crypto import FieldCipher
from app.web import limits
from app.web.deps import Config, Now
from app.web.limits import RateLimiter

_LONGEST_TOKEN = 200
_MINUTE_S = 60


def sessions_of(http: HttpRequest) -> Sessions:
    """The process's sessions, made at their first use."""
    state = http.app.state
    try:
        return cast(Sessions, state.sessions)
    except AttributeError:
        state.sessions = Sessions(state.db, state.settings.sessions)
        return cast(Sessions, state.sessions)


def token_hash_of(http: HttpRequest) -> bytes:
    """The hash of the caller's bearer token.

    Raises:
        Unauthenticated: no ``Authorization`` header.
        TokenInvalid: another scheme, an empty or over-long token, or the header came twice.
    """
    found: bytes | None = None
    for name, value in http.scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise TokenInvalid
            found = value
    if found is None:
        raise Unauthenticated
    scheme, _, token = found.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
        raise TokenInvalid
    return hash_of(token)


class Permit:
    """A dependency that hands out the ``Actor``, if it may. Says which permission it asks for."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, http: HttpRequest, now: Now) -> Actor:
        """Raises: Unauthenticated, TokenInvalid, SessionExpired, PermissionMissing, TooMany."""
        token_hash = token_hash_of(http)
        sessions = sessions_of(http)
        session = sessions.cached(token_hash, now)
        if session is None:
            session = await sessions.read(token_hash, now)
        state = http.app.state
        limiter: RateLimiter = state.limiter
        limiter.take(session.call_bucket, state.settings.limits.calls_per_minute, _MINUTE_S, now)
        session.actor.require(self.permission)
        return session.actor


class PublicPermit:
    """Anybody may: no token is read, so a stale one does no harm."""

    permission = Permission.PUBLIC

    async def __call__(self) -> None:
        return None


@cache
def permit(permission: Permission) -> Permit | PublicPermit:
    """The dependency for a route: ``actor: Annotated[Actor, Depends(permit(Permission.X))]``.

    For ``Permission.PUBLIC`` it needs no token and hands out None.
    """
    return PublicPermit() if permission is Permission.PUBLIC else Permit(permission)


async def current_token(http: HttpRequest) -> bytes:
    """The hash of the token of this call (log-out ends exactly this session)."""
    return token_hash_of(http)


async def field_cipher(http: HttpRequest) -> FieldCipher:
    """The cipher for personal data, made at its first use."""
    state = http.app.state
    try:
        return cast(FieldCipher, state.cipher)
    except AttributeError:
        state.cipher = FieldCipher(state.settings.secret_key.get_secret_value())
        return cast(FieldCipher, state.cipher)


async def password_pool(http: HttpRequest) -> PasswordPool:
    """The threads of this process that hash, made at their first use."""
    state = http.app.state
    try:
        return cast(PasswordPool, state.passwords)
    except AttributeError:
        state.passwords = PasswordPool()
        return cast(PasswordPool, state.passwords)


async def client_address(http: HttpRequest) -> str:
    """Where the call comes from. Forwarding headers count only as far as a proxy is trusted."""
    return limits.client_address(http)


async def limit_logins(http: HttpRequest, config: Config, now: Now) -> None:
    """Raises: TooMany: this network has tried to log in too often this minute."""
    bucket = f"logins:{network_of(await client_address(http))}"
    limiter: RateLimiter = http.app.state.limiter
    limiter.take(bucket, config.limits.logins_per_minute, _MINUTE_S, now)


async def open_sessions(http: HttpRequest) -> Sessions:
    return sessions_of(http)


CurrentToken = Annotated[bytes, Depends(current_token)]
Cipher = Annotated[FieldCipher, Depends(field_cipher)]
Passwords = Annotated[PasswordPool, Depends(password_pool)]
ClientAddress = Annotated[str, Depends(client_address)]
OpenSessions = Annotated[Sessions, Depends(open_sessions)]
