"""Changing the tree of places."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import FieldError
from app.domain.geometry import CoordSys
from app.grids import geojson
from app.grids.kinds import GridLevel
from app.grids.models import GridRow
from app.grids.queries import TOPIC
from app.store.notices import announce

_log = structlog.get_logger(__name__)

_UPSERT = insert(GridRow)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[GridRow.code],
    set_={
        "name": _UPSERT.excluded.name,
        "boundary": _UPSERT.excluded.boundary,
        "active": True,
        "updated_at": _UPSERT.excluded.updated_at,
    },
)


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did. ``skipped``: features of the county, which is not kept."""

    created: int
    updated: int
    unchanged: int
    skipped: int


async def import_geojson(
    session: AsyncSession,
    document: object,
    *,
    coord_sys: CoordSys,
    level: GridLevel,
    now: datetime,
) -> ImportCounts:
    """Create or replace the places of ``level`` that a GeoJSON document holds, all or none.

    A place that was closed and comes again is open again; what is not in the document stays.

    Args:
        document: the parsed FeatureCollection; codes in ``code``, ``stat_code`` or
            ``division_code``, names in ``name``, parents in ``parent_code``, ``parent`` or, if
            absent, in the code itself.
        coord_sys: what the positions are in; the document does not know it reliably.

    Raises:
        GeojsonRefused: something is wrong with the document; nothing was changed.
    """
    reading = geojson.read(document, coord_sys=coord_sys, level=level)
    await _check_parents(session, reading.boundaries)
    codes = [boundary.code for boundary in reading.boundaries]
    before = {
        row.code: (row.name, row.boundary, row.active)
        for row in await session.execute(
            select(GridRow.code, GridRow.name, GridRow.boundary, GridRow.active)
            .where(GridRow.code.in_(codes))
            .order_by(GridRow.code)
            .with_for_update()
        )
    }
    changed = [
        boundary
        for boundary in sorted(reading.boundaries, key=lambda boundary: boundary.code)
        if before.get(boundary.code) != (boundary.name, boundary.wkb, True)
    ]
    if changed:
        await session.execute(_UPSERT, [_row(boundary, level, now) for boundary in changed])
        await announce(session, TOPIC)
    counts = ImportCounts(
        created=sum(boundary.code not in before for boundary in changed),
        updated=sum(boundary.code in before for boundary in changed),
        unchanged=len(codes) - len(changed),
        skipped=reading.skipped,
    )
    _log.info("grids_imported", level=level.value, created=counts.created, updated=counts.updated)
    return counts


def _row(boundary: geojson.Boundary, level: GridLevel, now: datetime) -> dict[str, object]:
    return {
        "code": boundary.code,
        "parent_code": boundary.parent_code,
        "level": level,
        "name": boundary.name,
        "boundary": boundary.wkb,
        "active": True,
        "sort": 0,
        "created_at": now,
        "updated_at": now,
    }


async def _check_parents(session: AsyncSession, boundaries: Sequence[geojson.Boundary]) -> None:
    wanted = {boundary.parent_code for boundary in boundaries if boundary.parent_code is not None}
    if not wanted:
        return
    found = set(await session.scalars(select(GridRow.code).where(GridRow.code.in_(wanted))))
    errors = [
        FieldError(
            boundary.pointer,
            "geojson_parent_unknown",
            f"{boundary.label}：上级 {boundary.parent_code} 不存在，请先导入上级",
        )
        for boundary in boundaries
        if boundary.parent_code is not None and boundary.parent_code not in found
    ]
    if errors:
        raise geojson.GeojsonRefused(
            f"共{len(errors)}处有误，第一处：{errors[0].message}", errors=errors
        )
