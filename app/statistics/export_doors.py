"""/statistics/exports over HTTP: ask, look how far it is, cancel, fetch. No rules here.

A download is a plain navigation of a browser, which sends no token. So the link itself is the
right to fetch: signed for one export, good for some minutes, given out only to who asked for the
export, and each fetch is told to the audit.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, Response

from app.domain.identity import Actor, Permission
from app.people.deps import Cipher, permit
from app.satisfaction.queries import read_id_cursor, write_cursor
from app.statistics import export_files, export_job, exporting, periods
from app.statistics import publication_schemas as schemas
from app.statistics.dimensions import Filters
from app.statistics.exporting import ExportGone
from app.statistics.kinds import EXPORT_STATE_TEXT, ExportFormat, ExportState
from app.statistics.questions import Query
from app.store.crypto import FieldCipher
from app.store.session import Columns
from app.web import idempotency
from app.web.asked import Asked
from app.web.deps import Config, Db, Now, Session
from app.web.idempotency import IdempotencyKey
from app.web.period import span
from app.web.strict_json import StrictRoute
from app.web.wire import Id

router = APIRouter(
    prefix="/api/v1/statistics/exports", tags=["statistics"], route_class=StrictRoute
)

Exporter = Annotated[Actor, Depends(permit(Permission.STATISTICS_EXPORT))]
Anybody = Annotated[None, Depends(permit(Permission.PUBLIC))]


@router.post("", response_model=schemas.ExportOut, status_code=201)
async def ask_export(
    body: schemas.ExportIn,
    http: HttpRequest,
    session: Session,
    actor: Exporter,
    config: Config,
    key: IdempotencyKey,
    now: Now,
) -> Response:
    """导出: queue a file of the figures of a query."""
    since, until = span(body.first, body.last)
    filters = Filters(body.unit_kind, body.unit, body.grid, body.category, body.channel, body.kind)
    query = Query(
        tuple(dict.fromkeys(body.measures)),
        body.group_by,
        filters,
        *periods.meant(since, until, now),
        body.basis,
    )

    async def ask() -> Columns:
        return await exporting.ask(
            session, query, body.sheet, body.format, settings=config.exports, actor=actor, now=now
        )

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation="ask_export",
        key=key,
        now=now,
        act=_answer(ask),
        status=201,
    )


@router.post("/{export_id}/cancel", response_model=schemas.ExportOut)
async def cancel_export(
    export_id: Id,
    http: HttpRequest,
    session: Session,
    actor: Exporter,
    key: IdempotencyKey,
    now: Now,
) -> Response:
    """取消导出, while it is waiting or being made."""

    async def cancel() -> Columns:
        return await exporting.cancel(session, export_id, actor=actor, now=now)

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation="cancel_export",
        key=key,
        now=now,
        act=_answer(cancel),
    )


def _answer(act: Callable[[], Awaitable[Columns]]) -> Callable[[], Awaitable[schemas.ExportOut]]:
    async def answer() -> schemas.ExportOut:
        return _view(await act())

    return answer


@router.get("", response_model=schemas.ExportsOut)
async def list_exports(
    actor: Exporter,
    db: Db,
    asked: Annotated[schemas.ExportsIn, Depends(Asked(schemas.ExportsIn))],
) -> schemas.ExportsOut:
    """我的导出, newest first, without links."""
    before = read_id_cursor(asked.cursor)
    rows = list(await exporting.page(db, before, asked.limit + 1, actor=actor))
    shown = rows[: asked.limit]
    last = shown[-1] if len(rows) > asked.limit else None
    return schemas.ExportsOut(
        items=tuple(_view(row) for row in shown),
        next_cursor=write_cursor(last["asked_at"], last["id"].hex) if last else None,
    )


@router.get("/{export_id}", response_model=schemas.ExportOut)
async def get_export(
    export_id: Id, actor: Exporter, db: Db, config: Config, cipher: Cipher, now: Now
) -> schemas.ExportOut:
    """How far it is; when it is done, with a link that is good for some minutes."""
    row = await exporting.get(db, export_id, actor=actor)
    return _view(row, _link(row, cipher, timedelta(minutes=config.exports.link_minutes), now))


@router.get("/{export_id}/file", response_class=Response)
async def download_export(
    export_id: Id,
    session: Session,
    _anybody: Anybody,
    config: Config,
    cipher: Cipher,
    now: Now,
    asked: Annotated[schemas.FileIn, Depends(Asked(schemas.FileIn))],
) -> Response:
    """下载: the file, for whoever has the link."""
    form, attempt = await exporting.open_file(
        session, cipher, export_id, until=int(asked.until), signature=asked.signature, now=now
    )
    path = export_job.path_of(config, export_id, attempt, form)
    if not await run_in_threadpool(path.is_file):
        raise ExportGone
    return FileResponse(
        path, media_type=export_files.MEDIA_TYPE[form], headers=_attachment(form, now)
    )


def _attachment(form: ExportFormat, now: datetime) -> dict[str, str]:
    day = now.astimezone(periods.ZONE).date().isoformat()
    name = quote(f"连心统计_{day}.{form}")
    both = f"filename=\"statistics.{form}\"; filename*=UTF-8''{name}"
    return {"Content-Disposition": f"attachment; {both}"}


# --- as the API shows it -------------------------------------------------------------------------

_Link = tuple[str, datetime]


def _link(row: Columns, cipher: FieldCipher, good_for: timedelta, now: datetime) -> _Link | None:
    if row["state"] != ExportState.DONE or row["expires_at"] <= now:
        return None
    until = int(min(now + good_for, row["expires_at"]).timestamp())
    signature = exporting.sign(cipher, row["id"], until)
    path = f"{router.prefix}/{row['id']}/file?until={until}&signature={signature}"
    return path, datetime.fromtimestamp(until, UTC)


def _view(row: Columns, link: _Link | None = None) -> schemas.ExportOut:
    state, done, total = ExportState(row["state"]), row["done_rows"], row["total_rows"]
    said: dict[str, Any] = orjson.loads(row["query"])
    path, until = link or (None, None)
    return schemas.ExportOut(
        id=row["id"],
        state=state,
        state_text=EXPORT_STATE_TEXT[state],
        format=ExportFormat(row["format"]),
        query=said,
        asked_at=row["asked_at"],
        rows_done=done,
        rows_total=total,
        progress=_progress(state, done, total),
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        size_bytes=row["size_bytes"],
        digest=_hex(row["digest"]),
        sha256=_hex(row["sha256"]),
        error_code=row["error_code"],
        error_text=row["error_text"],
        download_path=path,
        download_until=until,
    )


def _progress(state: ExportState, done: int, total: int | None) -> float | None:
    if state in (ExportState.DONE, ExportState.EXPIRED):
        return 1.0
    return None if not total else round(done / total, 4)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
