"""Rows of places: what they are now, what they were, what becomes of them. For ``service`` alone,
which tells the audit of each change."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.grids.imports import Standing, among
from app.grids.kinds import CODE_DIGITS, COUNTY_DIGITS, LEVEL_OF_DIGITS, PARENT_LEVEL
from app.grids.models import (
    CountyRow,
    GridImportPlaceRow,
    GridRow,
    GridVersionRow,
    LineageRow,
)

_UPSERT = insert(GridRow)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[GridRow.code],
    set_={
        "name": _UPSERT.excluded.name,
        "boundary": _UPSERT.excluded.boundary,
        "active": _UPSERT.excluded.active,
        "updated_at": _UPSERT.excluded.updated_at,
    },
)
_UPSERT_COUNTY = insert(CountyRow)
_UPSERT_COUNTY = _UPSERT_COUNTY.on_conflict_do_update(
    index_elements=[CountyRow.code],
    set_={
        "name": _UPSERT_COUNTY.excluded.name,
        "boundary": _UPSERT_COUNTY.excluded.boundary,
        "updated_at": _UPSERT_COUNTY.excluded.updated_at,
    },
)


async def present(
    session: AsyncSession, codes: Sequence[str]
) -> dict[str, tuple[Standing, datetime]]:
    """What places and counties are now, and since when."""
    grids = await session.execute(
        select(
            GridRow.code, GridRow.name, GridRow.boundary, GridRow.active, GridRow.updated_at
        ).where(among(GridRow.code, codes))
    )
    counties = await session.execute(
        select(CountyRow.code, CountyRow.name, CountyRow.boundary, CountyRow.updated_at).where(
            among(CountyRow.code, codes)
        )
    )
    found = {row.code: (Standing(row.name, row.boundary, row.active), row.updated_at)
             for row in grids}  # fmt: skip
    return found | {
        row.code: (Standing(row.name, row.boundary), row.updated_at) for row in counties
    }


async def keep_history(
    session: AsyncSession,
    places: Sequence[GridImportPlaceRow],
    standings: Mapping[str, tuple[Standing, datetime]],
    import_id: UUID,
    now: datetime,
) -> None:
    rows = [
        {
            "code": place.code,
            "name": was.name,
            "boundary": was.boundary,
            "active": was.active,
            "valid_from": min(since, now),
            "valid_to": now,
            "import_id": import_id,
        }
        for place in places
        if place.code in standings
        for was, since in [standings[place.code]]
    ]
    if rows:
        await session.execute(plain_insert(GridVersionRow), rows)


async def write(session: AsyncSession, places: Mapping[str, Standing], now: datetime) -> None:
    counties = {code: place for code, place in places.items() if len(code) == COUNTY_DIGITS}
    outlines = [
        {"code": code, "name": place.name, "boundary": place.boundary, "updated_at": now}
        for code, place in counties.items()
        if place.active
    ]
    if outlines:
        await session.execute(_UPSERT_COUNTY, outlines)
    for code, place in counties.items():
        if not place.active:  # it was not there before: nothing hangs on an outline
            await session.execute(delete(CountyRow).where(CountyRow.code == code))
    rows = [_row(code, place, now) for code, place in places.items() if code not in counties]
    if rows:
        await session.execute(_UPSERT, rows)


def _row(code: str, place: Standing, now: datetime) -> dict[str, object]:
    level = LEVEL_OF_DIGITS[len(code)]
    return {
        "code": code,
        "parent_code": parent(code),
        "level": level,
        "name": place.name,
        "boundary": place.boundary,
        "active": place.active,
        "sort": 0,
        "created_at": now,
        "updated_at": now,
    }


def parent(code: str) -> str | None:
    level = LEVEL_OF_DIGITS.get(len(code))
    above = PARENT_LEVEL[level] if level is not None else None
    return None if above is None else code[: CODE_DIGITS[above]]


async def link(
    session: AsyncSession, places: Sequence[GridImportPlaceRow], import_id: UUID, now: datetime
) -> list[list[str]]:
    """Write down what became of the predecessors; one that stays is a part of itself."""
    successors: dict[str, set[str]] = {}
    for place in places:
        for old in place.predecessors:
            successors.setdefault(old, set()).add(place.code)
    gone = {place.code for place in places if not place.active}
    links = sorted(
        (old, new)
        for old, found in successors.items()
        for new in (found if old in gone else {*found, old})
    )
    if links:
        await session.execute(
            plain_insert(LineageRow),
            [
                {"import_id": import_id, "old_code": old, "new_code": new, "since": now}
                for old, new in links
            ],
        )
    return [list(link) for link in links]
