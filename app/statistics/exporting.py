"""Exports as rows: asked for, claimed by a job, cancelled, finished, fetched, forgotten.

A running export is leased: who makes it renews the lease with its progress. A process that was
killed renews nothing, and another one takes the export over, with a further ``attempt``; whatever
the slower one still writes finds that its attempt is over.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.errors import AppError, Conflict, Gone, NotFound, TooMany
from app.domain.identity import BLIND_ROLES, SYSTEM, Actor, Role
from app.domain.measures import CURRENT_WEIGHTS, Basis, Measure
from app.settings import ExportSettings
from app.statistics import small_cells
from app.statistics.dimensions import Dimension, Filters
from app.statistics.kinds import ExportFormat, ExportState, SheetName
from app.statistics.questions import Query
from app.store.base import new_id
from app.store.crypto import FieldCipher
from app.store.session import Columns, Database, Statement

LEASE = timedelta(seconds=90)
MOST_ATTEMPTS = 3
_SIGNED = "statistics_exports.file"


class ExportNotFound(NotFound):
    """没有找到该导出。"""

    code = "export_not_found"


class ExportEnded(Conflict):
    """该导出已经结束，不能取消。"""

    code = "export_ended"


class ExportGone(Gone):
    """下载链接或导出文件已过期，请重新获取链接或重新导出。"""

    code = "export_gone"


class TooManyExports(TooMany):
    """您还有导出正在进行，请等待完成或取消后再试。"""

    code = "too_many_exports"


class ExportFailed(AppError):
    """导出多次未能完成，请缩小范围后再试，或联系管理员。"""

    code = "export_failed"


# --- what is asked, as JSON ----------------------------------------------------------------------


def written(query: Query, sheet: SheetName) -> dict[str, Any]:
    return {
        "measures": list(query.measures),
        "group_by": list(query.group_by),
        "filters": query.filters.given(),
        "since": query.since.isoformat(),
        "until": query.until.isoformat(),
        "basis": query.basis,
        "sheet": sheet,
    }


def read(said: Mapping[str, Any]) -> tuple[Query, SheetName]:
    query = Query(
        tuple(Measure(it) for it in said["measures"]),
        tuple(Dimension(it) for it in said["group_by"]),
        Filters(**said["filters"]),
        datetime.fromisoformat(said["since"]),
        datetime.fromisoformat(said["until"]),
        Basis(said["basis"]) if said["basis"] else None,
    )
    return query, SheetName(said["sheet"])


# --- asking and cancelling -----------------------------------------------------------------------

_ALL = """id, state, format, query::text AS query, asked_by, asked_role, asked_at, attempt,
  lease_until, done_rows, total_rows, finished_at, expires_at, size_bytes, digest, sha256,
  error_code, error_text"""
_ADD = text("""
INSERT INTO statistics_exports (id, state, format, query, asked_by, asked_role, asked_at)
SELECT CAST(:id AS uuid), 'queued', CAST(:format AS text), CAST(:query AS jsonb),
  CAST(:asked_by AS uuid), CAST(:asked_role AS text), CAST(:now AS timestamptz)
WHERE (SELECT count(*) FROM statistics_exports
       WHERE asked_by = CAST(:asked_by AS uuid) AND state IN ('queued', 'running'))
  < CAST(:most AS int)
RETURNING id
""")
# One at a time asks for the same person, so that the number above is true.
_ALONE = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('export ' || CAST(:asked_by AS text), 0))"
)
_CANCEL = text("""
UPDATE statistics_exports SET state = 'cancelled', lease_until = NULL, finished_at = :now
WHERE id = :id AND asked_by = :asked_by AND state IN ('queued', 'running') RETURNING id
""")
_OWN = f"SELECT {_ALL} FROM statistics_exports WHERE id = :id AND asked_by = :asked_by"  # noqa: S608
_OWN_NOW, _OWN_READ = text(_OWN), Statement(_OWN)


async def ask(
    session: AsyncSession,
    query: Query,
    sheet: SheetName,
    form: ExportFormat,
    *,
    settings: ExportSettings,
    actor: Actor,
    now: datetime,
) -> Columns:
    """Queue an export. Raises: TooManyExports, StatisticsTooFine."""
    if actor.role in BLIND_ROLES:  # now, not when the job finds out
        small_cells.windows_of(replace(query, measures=query.counted(CURRENT_WEIGHTS)))
    export_id, asked_by = new_id(), actor.id
    said = written(query, sheet)
    await session.execute(_ALONE, {"asked_by": str(asked_by)})
    added = await session.scalar(
        _ADD,
        {
            "id": export_id,
            "format": form.value,
            "query": orjson.dumps(said).decode(),
            "asked_by": asked_by,
            "asked_role": actor.role.value,
            "now": now,
            "most": settings.most_open,
        },
    )
    if added is None:
        raise TooManyExports(retry_after_s=30)
    facts = {"format": form, **said}
    await _tell(session, export_id, "ask_export", facts, actor=actor, now=now)
    return await _own(session, export_id, actor)


async def cancel(session: AsyncSession, export_id: UUID, *, actor: Actor, now: datetime) -> Columns:
    """Give it up; whoever makes it stops at the next rows. Raises: ExportNotFound, ExportEnded."""
    values = {"id": export_id, "asked_by": actor.id, "now": now}
    if await session.scalar(_CANCEL, values) is None:
        await _own(session, export_id, actor)
        raise ExportEnded
    await _tell(session, export_id, "cancel_export", {}, actor=actor, now=now)
    return await _own(session, export_id, actor)


async def _own(session: AsyncSession, export_id: UUID, actor: Actor) -> Columns:
    found = await session.execute(_OWN_NOW, {"id": export_id, "asked_by": actor.id})
    row = found.mappings().one_or_none()
    if row is None:
        raise ExportNotFound
    return {str(name): value for name, value in row.items()}


async def _tell(
    session: AsyncSession,
    export_id: UUID,
    action: str,
    facts: Mapping[str, object],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    await audit.append(session, export_id, actor=actor, action=action, facts=facts, now=now)


# --- reading -------------------------------------------------------------------------------------

_PAGE = Statement(f"""
SELECT {_ALL} FROM statistics_exports
WHERE asked_by = :asked_by AND (:before_at::timestamptz IS NULL
  OR (asked_at, id) < (:before_at::timestamptz, :before_id::uuid))
ORDER BY asked_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - put together from fixed pieces


async def get(db: Database, export_id: UUID, *, actor: Actor) -> Columns:
    """One's own export. Raises: ExportNotFound."""
    rows = await db.rows(_OWN_READ, id=export_id, asked_by=actor.id)
    if not rows:
        raise ExportNotFound
    return rows[0]


async def page(
    db: Database, before: tuple[datetime | None, UUID | None], limit: int, *, actor: Actor
) -> Sequence[Columns]:
    """One's own exports, newest first."""
    at, last = before
    return await db.rows(_PAGE, asked_by=actor.id, before_at=at, before_id=last, limit=limit)


# --- making it -----------------------------------------------------------------------------------

_CLAIM = Statement(f"""
UPDATE statistics_exports SET state = 'running', attempt = attempt + 1, lease_until = :until,
  done_rows = 0, total_rows = NULL
WHERE id = (SELECT id FROM statistics_exports
    WHERE state = 'queued' OR state = 'running' AND lease_until < :now
    ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT 1)
RETURNING {_ALL}
""")  # noqa: S608 - put together from fixed pieces
_PROGRESS = Statement("""
UPDATE statistics_exports SET lease_until = :until, done_rows = :done, total_rows = :total
WHERE id = :id AND state = 'running' AND attempt = :attempt RETURNING id
""")
_FINISH = text("""
UPDATE statistics_exports SET state = 'done', lease_until = NULL, finished_at = :now,
  expires_at = :expires_at, size_bytes = :size_bytes, digest = :digest, sha256 = :sha256
WHERE id = :id AND state = 'running' AND attempt = :attempt RETURNING id
""")
_FAIL = text("""
UPDATE statistics_exports SET state = 'failed', lease_until = NULL, finished_at = :now,
  error_code = :error_code, error_text = :error_text
WHERE id = :id AND state = 'running' AND attempt = :attempt RETURNING id
""")


async def claim(db: Database, *, now: datetime) -> Columns | None:
    """The next export to make, leased to the caller; also one whose maker is gone."""
    return await db.one_statement(_CLAIM, now=now, until=now + LEASE)


async def progress(db: Database, export: Columns, *, done: int, total: int, now: datetime) -> bool:
    """Renew the lease; False if the export was cancelled, or is somebody else's by now."""
    kept = await db.one_statement(
        _PROGRESS,
        id=export["id"],
        attempt=export["attempt"],
        done=done,
        total=total,
        until=now + LEASE,
    )
    return kept is not None


async def finish(
    session: AsyncSession,
    export: Columns,
    *,
    digest: bytes,
    sha256: bytes,
    size_bytes: int,
    rows: int,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """The file is there; False if nobody wants it any more."""
    values = {
        "id": export["id"],
        "attempt": export["attempt"],
        "now": now,
        "expires_at": expires_at,
        "size_bytes": size_bytes,
        "digest": digest,
        "sha256": sha256,
    }
    if await session.scalar(_FINISH, values) is None:
        return False
    facts = {"rows": rows, "digest": digest.hex(), "sha256": sha256.hex()}
    await _tell(session, export["id"], "finish_export", facts, actor=SYSTEM, now=now)
    return True


async def fail(session: AsyncSession, export: Columns, error: AppError, *, now: datetime) -> None:
    values = {
        "id": export["id"],
        "attempt": export["attempt"],
        "now": now,
        "error_code": error.code,
        "error_text": str(error),
    }
    if await session.scalar(_FAIL, values) is not None:
        facts = {"code": error.code}
        await _tell(session, export["id"], "fail_export", facts, actor=SYSTEM, now=now)


_EXPIRE = text("""
UPDATE statistics_exports SET state = 'expired' WHERE state = 'done' AND expires_at <= :now
""")
_KEPT = text("SELECT id FROM statistics_exports WHERE state IN ('running', 'done')")


async def expire(session: AsyncSession, *, now: datetime) -> frozenset[UUID]:
    """End what is over; returns the exports that still have, or get, a file."""
    await session.execute(_EXPIRE, {"now": now})
    return frozenset(await session.scalars(_KEPT))


# --- fetching ------------------------------------------------------------------------------------

_FILE = text("""
SELECT format, attempt, state, asked_by, asked_role, expires_at FROM statistics_exports
WHERE id = :id
""")


def sign(cipher: FieldCipher, export_id: UUID, until: int) -> str:
    """Args: ``until`` in seconds since 1970."""
    return cipher.blind_index(f"{export_id} {until}", place=_SIGNED).hex()


async def open_file(
    session: AsyncSession,
    cipher: FieldCipher,
    export_id: UUID,
    *,
    until: int,
    signature: str,
    now: datetime,
) -> tuple[ExportFormat, int]:
    """Let whoever has a link fetch the file, and note it under the name of who got the link.

    Returns its form and the attempt that made it.

    Raises:
        ExportNotFound: no such link was ever given out.
        ExportGone: it was, but the time is over, or the file is.
    """
    if not hmac.compare_digest(sign(cipher, export_id, until), signature):
        raise ExportNotFound
    row = (await session.execute(_FILE, {"id": export_id})).one_or_none()
    if row is None:
        raise ExportNotFound
    over = datetime.fromtimestamp(until, UTC) <= now or row.expires_at is None
    if over or row.state != ExportState.DONE or row.expires_at <= now:
        raise ExportGone
    actor = Actor(id=row.asked_by, role=Role(row.asked_role))
    await _tell(session, export_id, "download_export", {"until": until}, actor=actor, now=now)
    return ExportFormat(row.format), row.attempt
