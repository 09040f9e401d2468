"""Doing a thing once however often it is asked: ``Idempotency-Key`` and ``If-Match``.

The key's row is written in the same transaction as the effect. A second call with the same key
waits for the first on the unique index, and then gives the same bytes again. Refusals (4xx) roll
back and leave no row: the same key may then be tried again.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from sqlalchemy import CursorResult, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import Conflict, Invalid
from app.store.session import Database, Statement
from app.web.errors import WebError, sqlstate
from app.web.wire import WireOut

_KEY = re.compile(rb"[\x21-\x7e]{1,200}")
_VERSION = re.compile(rb'"([1-9][0-9]{0,8})"')
_LOCK_NOT_AVAILABLE = "55P03"
_PURGE_AT_ONCE = 5_000


class IdempotencyKeyMissing(WebError):
    """缺少请求头 Idempotency-Key。"""

    code = "idempotency_missing"
    status = 400


class IdempotencyKeyInvalid(WebError):
    """请求头 Idempotency-Key 应为 1 至 200 个可见的 ASCII 字符，且只出现一次。"""

    code = "idempotency_invalid"
    status = 400


class IdempotencyKeyReused(Invalid):
    """这个 Idempotency-Key 已用于另一次内容不同的提交。"""

    code = "idempotency_key_reused"


class IdempotencyInProgress(Conflict):
    """同一次提交正在处理中，请稍候。"""

    code = "idempotency_in_progress"


class IfMatchMissing(WebError):
    """缺少请求头 If-Match，请先读取最新内容。"""

    code = "precondition_required"
    status = 428


class IfMatchInvalid(WebError):
    """请求头 If-Match 应为带引号的版本号，例如 "3"。"""

    code = "if_match_invalid"
    status = 400


# --- the two headers -------------------------------------------------------------------------


def _header(http: HttpRequest, wanted: bytes) -> list[bytes]:
    return [value for name, value in http.scope["headers"] if name == wanted]


def key_of(http: HttpRequest) -> str:
    """The ``Idempotency-Key``. Raises: IdempotencyKeyMissing, IdempotencyKeyInvalid."""
    found = _header(http, b"idempotency-key")
    if not found:
        raise IdempotencyKeyMissing
    if len(found) > 1 or _KEY.fullmatch(found[0]) is None:
        raise IdempotencyKeyInvalid
    return found[0].decode("ascii")


def version_of(http: HttpRequest) -> int:
    """The version in ``If-Match: "3"``. Raises: IfMatchMissing (428), IfMatchInvalid (400)."""
    found = _header(http, b"if-match")
    if not found:
        raise IfMatchMissing
    match = _VERSION.fullmatch(found[0]) if len(found) == 1 else None
    if match is None:
        raise IfMatchInvalid
    return int(match[1])


async def idempotency_key(http: HttpRequest) -> str:
    return key_of(http)


async def if_match(http: HttpRequest) -> int:
    return version_of(http)


def _described(name: str, description: str, example: str, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": most},
        "example": example,
    }


idempotency_key.openapi_parameter = _described(  # type: ignore[attr-defined]
    "Idempotency-Key", "每次操作一个新值；重试时用同一个值，只生效一次。", "0b6d6c3e-1", 200
)
if_match.openapi_parameter = _described(  # type: ignore[attr-defined]
    "If-Match", "所依据的版本号，带引号。", '"3"', 12
)

IdempotencyKey = Annotated[str, Depends(idempotency_key)]
IfMatch = Annotated[int, Depends(if_match)]


def fingerprint(method: str, path: str, body: bytes, if_match: bytes | None) -> bytes:
    """What a call asked for, as 32 bytes: two calls with the same one are the same call."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(b"-" if if_match is None else b"=" + if_match)
    digest.update(b"\n")
    digest.update(body)
    return digest.digest()


async def fingerprint_of(http: HttpRequest) -> bytes:
    """The fingerprint of this call."""
    versions = _header(http, b"if-match")
    return fingerprint(
        http.scope["method"],
        http.scope["path"],
        await http.body(),
        versions[0] if versions else None,
    )


# --- once --------------------------------------------------------------------------------------

_CLAIM = text("""
INSERT INTO idempotency_keys (actor_id, operation, key, body_hash, status, body, created_at)
VALUES (:actor_id, :operation, :key, :body_hash, 0, '', :now)
ON CONFLICT DO NOTHING
""")
_STORED = """
SELECT body_hash, status, body, etag FROM idempotency_keys
WHERE actor_id = :actor_id AND operation = :operation AND key = :key
"""
_READ = text(_STORED)
_READ_NOW = Statement(_STORED)
_KEEP = text("""
UPDATE idempotency_keys SET status = :status, body = :body, etag = :etag
WHERE actor_id = :actor_id AND operation = :operation AND key = :key
""")
_PURGE = text("""
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM idempotency_keys WHERE created_at < :before LIMIT :most))
""")


async def once(
    http: HttpRequest,
    session: AsyncSession,
    *,
    actor_id: UUID,
    operation: str,
    key: str,
    now: datetime,
    act: Callable[[], Awaitable[WireOut]],
    status: int = 200,
) -> Response:
    """Run ``act`` unless this key was answered before; then give that answer again, byte for byte.

    The answer's ``version``, if it has one, becomes its ``ETag``.

    Raises:
        IdempotencyKeyReused: the key came with another body, path or version.
        IdempotencyInProgress: the first call with this key still runs after the lock timeout.
    """
    names = {"actor_id": actor_id, "operation": operation, "key": key}
    asked = await fingerprint_of(http)
    try:
        claimed = await session.execute(_CLAIM, {**names, "body_hash": asked, "now": now})
    except DBAPIError as error:
        if sqlstate(error) == _LOCK_NOT_AVAILABLE:
            raise IdempotencyInProgress(retry_after_s=1) from None
        raise
    if _rows(claimed) == 0:
        row = (await session.execute(_READ, names)).one_or_none()
        if row is None:  # purged, or rolled back, between the two statements
            raise IdempotencyInProgress(retry_after_s=1)
        return _again(row, asked)
    answer = await act()
    body, etag = answer.to_bytes(), etag_of(answer)
    await session.execute(_KEEP, {**names, "status": status, "body": body, "etag": etag})
    return _response(status, body, etag)


async def replay(
    db: Database, *, actor_id: UUID, operation: str, key: str, body_hash: bytes
) -> Response | None:
    """The answer kept for this key, for commands that are one statement; None if there is none.

    Raises:
        IdempotencyKeyReused: the key came with another body, path or version.
    """
    row = await db.one_statement(_READ_NOW, actor_id=actor_id, operation=operation, key=key)
    return None if row is None else _again(row, body_hash)


async def purge(session: AsyncSession, *, now: datetime, keep: timedelta) -> int:
    """Forget answers older than ``keep``; returns how many, at most 5,000 at once."""
    before = now - keep
    return _rows(await session.execute(_PURGE, {"before": before, "most": _PURGE_AT_ONCE}))


def etag_of(answer: WireOut) -> str | None:
    version = getattr(answer, "version", None)
    return f'"{version}"' if isinstance(version, int) else None


def _again(row: Any, asked: bytes) -> Response:
    body_hash, status, body, etag = row
    if body_hash != asked:
        raise IdempotencyKeyReused
    response = _response(status, body, etag)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _response(status: int, body: bytes, etag: str | None) -> Response:
    headers = None if etag is None else {"ETag": etag}
    return Response(body, status, headers, "application/json")


def _rows(result: Any) -> int:
    assert isinstance(result, CursorResult)  # noqa: S101 - what an INSERT or DELETE returns
    return result.rowcount
