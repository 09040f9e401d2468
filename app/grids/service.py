"""Changing the tree of places. Every change is told in the audit: which places, and a digest."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import delete, select, text
from sqlalchemy import insert as plain_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict, FieldError, NotFound, Stale
from app.domain.geometry import CoordSys
from app.domain.identity import SYSTEM, Actor
from app.grids import geojson, imports, standings
from app.grids.imports import Diff, PlaceDiff, Standing
from app.grids.kinds import (
    GridLevel,
    ImportState,
    PlaceChange,
)
from app.grids.models import (
    GridImportPlaceRow,
    GridImportRow,
    LineageRow,
)
from app.grids.queries import TOPIC
from app.store.notices import announce

CHAIN = chain_of("grids")
_log = structlog.get_logger(__name__)

_LOCK = text("LOCK TABLE grids, grid_counties IN SHARE ROW EXCLUSIVE MODE")


class GridImportNotFound(NotFound):
    """没有这次网格导入。"""

    code = "grid_import_not_found"


class GridImportOutdated(Conflict):
    """预览之后网格又有改动，请重新预览。"""

    code = "grid_import_outdated"


class GridImportUnchanged(Conflict):
    """文件与现有网格完全相同，无需导入。"""

    code = "grid_import_unchanged"


class GridImportState(Conflict):
    """这次网格导入现在不能这样做。"""

    code = "grid_import_state"


class GridImportNotLast(Conflict):
    """之后又有新的网格导入，只能撤回最近一次。"""

    code = "grid_import_not_last"


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did. A county's outline counts like a place."""

    created: int
    updated: int
    unchanged: int
    closed: int = 0


async def import_geojson(
    session: AsyncSession,
    document: object,
    *,
    coord_sys: CoordSys,
    level: GridLevel,
    actor: Actor = SYSTEM,
    now: datetime,
) -> ImportCounts:
    """Look at a GeoJSON document and apply it at once, all or nothing. See ``compare``.

    Args:
        document: the parsed FeatureCollection; codes in ``code``, ``stat_code`` or
            ``division_code``, names in ``name``, parents in ``parent_code``, ``parent`` or, if
            absent, in the code itself.
        coord_sys: what the positions are in; the document does not know it reliably.
        actor: who imports; ``SYSTEM`` is the command line of the city's own machine.

    Raises:
        BoundaryFileRefused: something is wrong with the document; nothing was changed.
    """
    reading = geojson.read(document, coord_sys=coord_sys, level=level)
    diff = await imports.compare(session, reading, coord_sys=coord_sys, level=level)
    return await import_diff(session, diff, actor=actor, now=now)


async def import_diff(
    session: AsyncSession, diff: Diff, *, actor: Actor = SYSTEM, now: datetime
) -> ImportCounts:
    """Keep a diff and apply it in the same transaction; one that changes nothing leaves no row."""
    if diff.places:
        prepared = await prepare(session, diff, actor=actor, now=now)
        await apply(session, prepared.id, version=prepared.version, actor=actor, now=now)
    counts = ImportCounts(
        created=diff.count(PlaceChange.ADDED),
        updated=diff.count(PlaceChange.CHANGED),
        unchanged=diff.unchanged,
        closed=diff.count(PlaceChange.REMOVED),
    )
    _log.info("grids_imported", level=diff.level, created=counts.created, updated=counts.updated)
    return counts


async def prepare(
    session: AsyncSession, diff: Diff, *, actor: Actor, now: datetime
) -> GridImportRow:
    """Keep a preview, to be applied exactly so. The tree is not changed."""
    row = GridImportRow(
        version=1,
        state=ImportState.PREPARED,
        level=diff.level,
        coord_sys=diff.coord_sys,
        digest=diff.digest(),
        summary={
            **{change.value: diff.count(change) for change in PlaceChange},
            "unchanged": diff.unchanged,
            "missing": list(diff.missing),
            "warnings": [
                {"pointer": told.pointer, "code": told.code, "message": told.message}
                for told in diff.warnings
            ],
        },
        created_at=now,
        created_by=actor.id,
    )
    session.add(row)
    await session.flush()
    if diff.places:
        kept = [_kept(row.id, place) for place in diff.places]
        await session.execute(plain_insert(GridImportPlaceRow), kept)
    return row


async def apply(
    session: AsyncSession, import_id: UUID, *, version: int, actor: Actor, now: datetime
) -> GridImportRow:
    """Make the tree what the preview said, or change nothing.

    Raises:
        GridImportNotFound, GridImportState, GridImportUnchanged.
        GridImportOutdated: a place is no longer what the preview compared with.
        Stale: ``version`` is not the present one.
    """
    await session.execute(_LOCK)
    row = await _import_at(session, import_id, version, ImportState.PREPARED)
    places = await _places_of(session, import_id)
    if not places:
        raise GridImportUnchanged
    found = await standings.present(session, [place.code for place in places])
    for place in places:
        _require(place, found.get(place.code), _before(place))
    await standings.keep_history(session, places, found, import_id, now)
    await standings.write(session, {place.code: _after(place) for place in places}, now)
    links = await standings.link(session, places, import_id, now)
    row.state, row.version = ImportState.APPLIED, row.version + 1
    row.applied_at, row.applied_by = now, actor.id
    await session.flush()
    await _tell_of(session, places, "import_grids", row, actor=actor, now=now, lineage=links)
    await announce(session, TOPIC)
    return row


async def roll_back(
    session: AsyncSession, import_id: UUID, *, version: int, actor: Actor, now: datetime
) -> GridImportRow:
    """Undo the last applied import: every place is again what it was, or nothing changes.

    A place that the import brought is closed, not deleted: requests may have been made in it.

    Raises:
        GridImportNotFound, GridImportState, GridImportNotLast, Stale.
        GridImportOutdated: a place was changed since in another way.
    """
    await session.execute(_LOCK)
    row = await _import_at(session, import_id, version, ImportState.APPLIED)
    last = await last_applied(session)
    if last is None or last.id != row.id:
        raise GridImportNotLast
    places = await _places_of(session, import_id)
    found = await standings.present(session, [place.code for place in places])
    for place in places:
        _require(place, found.get(place.code), _after(place))
    await standings.keep_history(session, places, found, import_id, now)
    restored = {
        place.code: _before(place) or Standing(place.name, place.boundary, active=False)
        for place in places
    }
    await standings.write(session, restored, now)
    await session.execute(delete(LineageRow).where(LineageRow.import_id == import_id))
    row.state, row.version = ImportState.ROLLED_BACK, row.version + 1
    row.rolled_back_at, row.rolled_back_by = now, actor.id
    await session.flush()
    await _tell_of(session, places, "roll_back_grids", row, actor=actor, now=now)
    await announce(session, TOPIC)
    return row


async def last_applied(session: AsyncSession) -> GridImportRow | None:
    """The import that can be taken back."""
    return await session.scalar(
        select(GridImportRow)
        .where(GridImportRow.state == ImportState.APPLIED)
        .order_by(GridImportRow.applied_at.desc(), GridImportRow.id.desc())
        .limit(1)
    )


async def tell(
    session: AsyncSession,
    rows: Sequence[Mapping[str, object]],
    *,
    action: str,
    known: Collection[str] = (),
    actor: Actor = SYSTEM,
    now: datetime,
    **more: object,
) -> None:
    """Write into the audit that these rows were written; ``known``: codes that were there before.

    The digest is SHA-256 over code, parent, name and boundary of each place, in their order.
    ``more``: further facts.
    """
    digest = imports.digest_of(
        tuple(
            value if isinstance(value, bytes) else str(value or "")
            for value in (row["code"], row["parent_code"], row["name"], row["boundary"])
        )
        for row in rows
    )
    codes = [str(row["code"]) for row in rows]
    facts = {
        "created": [code for code in codes if code not in known],
        "updated": [code for code in codes if code in known],
        "digest": digest,
        **more,
    }
    await audit.append(session, CHAIN, actor=actor, action=action, facts=facts, now=now)


# --- the parts of it -----------------------------------------------------------------------------


async def _import_at(
    session: AsyncSession, import_id: UUID, version: int, state: ImportState
) -> GridImportRow:
    row = await session.get(GridImportRow, import_id, with_for_update=True)
    if row is None:
        raise GridImportNotFound
    if row.version != version:
        raise Stale
    if row.state is not state:
        raise GridImportState(state=row.state)
    return row


async def _places_of(session: AsyncSession, import_id: UUID) -> Sequence[GridImportPlaceRow]:
    found = await session.scalars(
        select(GridImportPlaceRow)
        .where(GridImportPlaceRow.import_id == import_id)
        .order_by(GridImportPlaceRow.code)
    )
    return found.all()


def _kept(import_id: UUID, place: PlaceDiff) -> dict[str, object]:
    before = place.before
    return {
        "import_id": import_id,
        "code": place.code,
        "change": place.change,
        "before_name": before.name if before else None,
        "before_boundary": before.boundary if before else None,
        "before_active": before.active if before else None,
        "name": place.after.name,
        "boundary": place.after.boundary,
        "active": place.after.active,
        "area_before_m2": place.area_before_m2,
        "area_after_m2": place.area_after_m2,
        "moved_m2": place.moved_m2,
        "predecessors": list(place.predecessors),
    }


def _before(place: GridImportPlaceRow) -> Standing | None:
    if place.before_name is None:
        return None
    return Standing(place.before_name, place.before_boundary, bool(place.before_active))


def _after(place: GridImportPlaceRow) -> Standing:
    return Standing(place.name, place.boundary, place.active)


def _require(
    place: GridImportPlaceRow,
    found: tuple[Standing, datetime] | None,
    expected: Standing | None,
) -> None:
    now = None if found is None else found[0]
    if now != expected:
        told = f"{place.code} {place.name} 已被改动"
        error = FieldError(place.code, GridImportOutdated.code, told)
        raise GridImportOutdated(told, errors=[error])


async def _tell_of(
    session: AsyncSession,
    places: Sequence[GridImportPlaceRow],
    action: str,
    row: GridImportRow,
    *,
    actor: Actor,
    now: datetime,
    lineage: Sequence[Sequence[str]] = (),
) -> None:
    written = [
        {
            "code": place.code,
            "parent_code": standings.parent(place.code),
            "name": place.name,
            "boundary": place.boundary,
        }
        for place in places
        if place.change is not PlaceChange.REMOVED
    ]
    await tell(
        session,
        written,
        action=action,
        actor=actor,
        now=now,
        known={place.code for place in places if place.change is PlaceChange.CHANGED},
        closed=[place.code for place in places if place.change is PlaceChange.REMOVED],
        import_id=str(row.id),
        level=row.level.value,
        lineage=[list(link) for link in lineage],
    )
