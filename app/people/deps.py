"""Who is calling, and may they. The one door through which an endpoint learns its ``Actor``."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.domain.errors import Unauthenticated
from app.domain.identity import Actor, Permission
from app.people.lockout import network_of
from app.people.passwords import PasswordPool
from app.people.sessions import Sessions, TokenInvalid
from app.settings import Settings
from app.store.crypto import FieldCipher
from app.web import limits
from app.web.deps import Config, Now, now_of
from app.web.limits import RateLimiter

_SCHEME = b"bearer "
_LONGEST_TOKEN = 200
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class _Desk:
    """What every call needs to be let in, gathered once: each look at ``app.state`` costs."""

    sessions: Sessions
    limiter: RateLimiter
    calls_per_minute: int


def _desk(http: HttpRequest) -> _Desk:
    state = http.scope["app"].state
    try:
        return cast(_Desk, state.desk)
    except AttributeError:
        settings: Settings = state.settings
        state.desk = _Desk(
            Sessions(state.db, settings.sessions), state.limiter, settings.limits.calls_per_minute
        )
        return cast(_Desk, state.desk)


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
    token = found[len(_SCHEME) :].strip()
    if found[: len(_SCHEME)].lower() != _SCHEME or not 0 < len(token) <= _LONGEST_TOKEN:
        raise TokenInvalid
    return sha256(token).digest()


class Permit:
    """A dependency that hands out the ``Actor``, if it may. Says which permission it asks for."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, http: HttpRequest) -> Any:
        """The ``Actor``. Raises: see ``actor_of``."""
        return await self.actor_of(http, now_of(http))

    async def actor_of(self, http: HttpRequest, now: datetime) -> Actor:
        """Raises: Unauthenticated, TokenInvalid, SessionExpired, PermissionMissing, TooMany."""
        token_hash = token_hash_of(http)
        desk = _desk(http)
        session = desk.sessions.cached(token_hash, now)
        if session is None:
            session = await desk.sessions.read(token_hash, now)
        desk.limiter.take(session.call_bucket, desk.calls_per_minute, _MINUTE_S, now)
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
    """The cipher for personal data."""
    return cast(FieldCipher, http.app.state.cipher)


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
    return _desk(http).sessions


CurrentToken = Annotated[bytes, Depends(current_token)]
Cipher = Annotated[FieldCipher, Depends(field_cipher)]
Passwords = Annotated[PasswordPool, Depends(password_pool)]
ClientAddress = Annotated[str, Depends(client_address)]
OpenSessions = Annotated[Sessions, Depends(open_sessions)]
