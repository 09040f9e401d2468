"""Doors for those who draw the grids: imports with preview and roll-back, the coverage audit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.coverage import Dwelling
from app.domain.geometry import CoordSys
from app.domain.identity import Actor, Permission
from app.domain.working_time import SHANGHAI
from app.grids import imports, inspection, legacy, service, views
from app.grids.deps import GridNotFound, Grids
from app.grids.kinds import GridLevel, LegacyKind
from app.grids.models import GridImportPlaceRow, GridImportRow
from app.grids.schemas import (
    GridAuditOut,
    GridImportOut,
    GridImportsOut,
    LegacyLinksOut,
)
from app.grids.uploads import CSV, GEOJSON, ZIP, Asked, read_body
from app.people.deps import permit
from app.web import idempotency
from app.web.deps import Now, Session
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.middleware import BodyRule
from app.web.strict_json import StrictRoute
from app.web.wire import Id, PageLimit

# Twice the boundaries of a county with 2,635 grids; larger files by ``lianxin import grids``.
UPLOAD_BYTES = 16 * 1024 * 1024
BODIES = {
    "/api/v1/grids/imports": BodyRule(
        frozenset({GEOJSON.encode(), ZIP.encode(), CSV.encode()}), UPLOAD_BYTES
    )
}
_IMPORTS_SHOWN = 50

router = APIRouter(prefix="/api/v1/grids", tags=["grids"], route_class=StrictRoute)

Administrator = Annotated[Actor, Depends(permit(Permission.GRID_CHANGE))]
Inspector = Annotated[Actor, Depends(permit(Permission.GRID_AUDIT))]
Reader = Annotated[Actor, Depends(permit(Permission.REFERENCE_READ))]
Offset = Annotated[str | None, Query(pattern="^[1-9][0-9]{0,8}$", alias="cursor")]
Code = Annotated[str | None, Query(pattern="^[0-9]{6,17}$")]
# Houses below a code, or all: asked of the register, if this city keeps one.
DwellingsOf = Callable[[AsyncSession, str | None], Awaitable[Sequence[Dwelling]]]

_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in (GEOJSON, ZIP, CSV)
        },
    }
}


@router.post("/imports", response_model=GridImportOut, status_code=201, openapi_extra=_FILE)
async def prepare_import(
    http: HttpRequest,
    session: Session,
    actor: Administrator,
    key: IdempotencyKey,
    now: Now,
    level: GridLevel,
    crs: CoordSys,
    close_missing: bool = False,
    sure: bool = False,
) -> Response:
    """Compare a file (GeoJSON, a zipped Shapefile, or a CSV list) with the tree and keep the
    preview. Nothing is changed until it is applied.

    ``close_missing``: places of the same parents that the file does not name are closed.
    ``sure``: take it though its ground looks wrong.
    """
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    asked = Asked(crs, level)
    # Before anything of the transaction: reading a large file takes seconds.
    reading = await asyncio.to_thread(read_body, await http.body(), kind, asked)

    async def act() -> GridImportOut:
        diff = await imports.compare(
            session, reading, coord_sys=crs, level=level, close_missing=close_missing, sure=sure
        )
        row = await service.prepare(session, diff, actor=actor, now=now)
        return await _shown(session, row, after="", limit=100)

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation="prepare_grid_import",
        key=key,
        now=now,
        act=act,
        status=201,
    )


@router.get("/imports")
async def list_imports(session: Session, _: Administrator) -> GridImportsOut:
    """The newest imports, applied or not."""
    rows = await session.scalars(
        select(GridImportRow).order_by(GridImportRow.created_at.desc()).limit(_IMPORTS_SHOWN)
    )
    return GridImportsOut(items=[views.import_ref(row) for row in rows])


@router.get("/imports/{import_id}")
async def read_import(
    import_id: Id,
    session: Session,
    _: Administrator,
    cursor: Code = None,
    limit: PageLimit = 100,
) -> GridImportOut:
    """One import with a page of the places it changes."""
    row = await session.get(GridImportRow, import_id)
    if row is None:
        raise service.GridImportNotFound
    return await _shown(session, row, after=cursor or "", limit=limit)


@router.post("/imports/{import_id}/apply", response_model=GridImportOut)
async def apply_import(
    import_id: Id,
    http: HttpRequest,
    session: Session,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
    now: Now,
) -> Response:
    """Make the tree what the preview said, all or nothing; 409 if it has changed meanwhile."""
    return await _step(http, session, actor, key, version, now, import_id, service.apply)


@router.post("/imports/{import_id}/rollback", response_model=GridImportOut)
async def roll_back_import(
    import_id: Id,
    http: HttpRequest,
    session: Session,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
    now: Now,
) -> Response:
    """Undo the last applied import."""
    return await _step(http, session, actor, key, version, now, import_id, service.roll_back)


async def _step(
    http: HttpRequest,
    session: AsyncSession,
    actor: Actor,
    key: str,
    version: int,
    now: Now,
    import_id: UUID,
    step: Callable[..., Awaitable[GridImportRow]],
) -> Response:
    async def act() -> GridImportOut:
        row = await step(session, import_id, version=version, actor=actor, now=now)
        return await _shown(session, row, after="", limit=100)

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=f"grid_import_{step.__name__}",
        key=key,
        now=now,
        act=act,
    )


async def _shown(
    session: AsyncSession, row: GridImportRow, *, after: str, limit: int
) -> GridImportOut:
    place = GridImportPlaceRow
    found = (
        await session.scalars(
            select(place)
            .where(place.import_id == row.id, place.code > after)
            .order_by(place.code)
            .limit(limit + 1)
        )
    ).all()
    more = len(found) > limit
    return views.an_import(row, found[:limit], found[limit - 1].code if more else None)


@router.get("/audit")
async def audit_coverage(
    http: HttpRequest,
    session: Session,
    grids: Grids,
    _: Inspector,
    parent: Code = None,
    deep: bool = True,
    cursor: Offset = None,
    limit: PageLimit = 50,
) -> GridAuditOut:
    """Gaps, overlaps and slivers below a place or a county (all, without ``parent``), with the
    geometry of each; houses in no grid or in several; grids with too few or too many households."""
    if parent is not None and grids.node(parent) is None and parent not in grids.counties:
        raise GridNotFound
    dwellings_of = cast(DwellingsOf | None, getattr(http.app.state, "dwellings_of", None))
    dwellings = () if dwellings_of is None else await dwellings_of(session, parent)
    found = await asyncio.to_thread(
        inspection.inspect, grids, parent, deep=deep, dwellings=dwellings
    )
    return views.audit(grids, found, parent=parent, offset=int(cursor or 0), limit=limit)


@router.get("/legacy-units")
async def list_legacy_units(
    session: Session,
    grids: Grids,
    now: Now,
    _: Reader,
    kind: LegacyKind | None = None,
    grid: Code = None,
    cursor: Offset = None,
    limit: PageLimit = 100,
) -> LegacyLinksOut:
    """Units of older nets and the grids they share ground with today."""
    offset = int(cursor or 0)
    links = await legacy.units(
        session,
        kind=kind,
        grid_code=grid,
        on=now.astimezone(SHANGHAI).date(),
        offset=offset,
        limit=limit + 1,
    )
    more = str(offset + limit) if len(links) > limit else None
    return LegacyLinksOut(items=views.legacy_links(grids, links[:limit]), next_cursor=more)
