"""A file of places against the present tree: what would become different. Reads, writes nothing.

The file's own faults were told by the reader of its format; what only the tree can know is told
here: unknown parents and predecessors, codes of closed places, and ground where it cannot be.
"""

from asyncio import to_thread
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import shapely
from sqlalchemy import ARRAY, ColumnElement, Text, any_, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.coverage import Shape, areas_m2
from app.domain.errors import FieldError
from app.domain.geometry import CoordSys
from app.grids import plausibility
from app.grids.boundary_file import Boundary, Reading, refuse
from app.grids.kinds import COUNTY_DIGITS, GridLevel, PlaceChange
from app.grids.models import CountyRow, GridRow
from app.grids.plausibility import Known

# Between two statements large files are compared for seconds.
_TAKE_TIME = text("SET LOCAL idle_in_transaction_session_timeout = '2min'")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a place is at one moment."""

    name: str
    boundary: bytes | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class PlaceDiff:
    """What an import does to one place. Areas in m²; ``moved_m2``: ground gained and lost.

    ``before`` is None for a place that never was; one that was closed and opens again is changed.
    """

    code: str
    change: PlaceChange
    before: Standing | None
    after: Standing
    area_before_m2: float | None
    area_after_m2: float | None
    moved_m2: float | None
    predecessors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """``missing``: places of the same parents that the file does not name and that stay."""

    level: GridLevel
    coord_sys: CoordSys
    places: tuple[PlaceDiff, ...]
    unchanged: int
    missing: tuple[str, ...]
    warnings: tuple[FieldError, ...]

    def count(self, change: PlaceChange) -> int:
        return sum(place.change is change for place in self.places)

    def digest(self) -> str:
        """SHA-256 over what every changed place will be."""
        return digest_of(
            (place.code, place.change.value, place.after.name, place.after.boundary)
            for place in self.places
        )


def digest_of(rows: Iterable[Iterable[str | bytes | None]]) -> str:
    digest = sha256()
    for row in rows:
        for value in row:
            said = value if isinstance(value, bytes) else (value or "").encode()
            digest.update(len(said).to_bytes(8, "big") + said)
    return digest.hexdigest()


def among(column: ColumnElement[Any] | InstrumentedAttribute[Any], codes: Iterable[str]) -> Any:
    """``column = ANY (codes)``: one parameter, however many codes; a statement may have 32,767."""
    return column == any_(literal(sorted(codes), ARRAY(Text)))


async def compare(
    session: AsyncSession,
    reading: Reading,
    *,
    coord_sys: CoordSys,
    level: GridLevel,
    close_missing: bool = False,
    sure: bool = False,
) -> Diff:
    """What the file would change.

    Args:
        close_missing: places of the same parents (of the same county, for towns) that the file
            does not name are closed; otherwise they stay as they are.
        sure: take the file though its ground looks wrong; somebody has looked at it.

    Raises:
        BoundaryFileRefused: with one ``FieldError`` for each place that is wrong.
    """
    await session.execute(_TAKE_TIME)
    boundaries = reading.boundaries
    parents = {one.parent_code for one in boundaries if one.parent_code is not None}
    counties = {one.code[:COUNTY_DIGITS] for one in boundaries}
    family = among(GridRow.parent_code, parents) if parents else GridRow.level == GridLevel.TOWN
    codes = {one.code for one in boundaries} | {
        code for one in boundaries for code in one.predecessors
    }
    wanted = or_(among(GridRow.code, codes | parents), family)
    # A row that this session has seen before may have been written by a statement since.
    anew = {"populate_existing": True}
    rows = await session.scalars(select(GridRow).where(wanted), execution_options=anew)
    present = {row.code: row for row in rows if row.code[:COUNTY_DIGITS] in counties}
    drawn = select(CountyRow).where(among(CountyRow.code, counties))
    outlines = {row.code: row for row in await session.scalars(drawn, execution_options=anew)}
    refuse([*_strangers(boundaries, present), *_unknown_predecessors(boundaries, present)])
    known = _known(boundaries, present, outlines, level)
    # Overlays take a moment: other callers of this process go on meanwhile.
    errors, doubts = await to_thread(plausibility.check, boundaries, known, coord_sys)
    if sure:
        errors, doubts = [], [*errors, *doubts]
    refuse(errors)
    standings = {
        **{code: Standing(row.name, row.boundary, row.active) for code, row in present.items()},
        **{code: Standing(row.name, row.boundary) for code, row in outlines.items()},
    }
    return await to_thread(
        _diff,
        reading,
        standings,
        siblings=[
            row.code
            for row in present.values()
            if row.level is level and row.active and (not parents or row.parent_code in parents)
        ],
        level=level,
        coord_sys=coord_sys,
        close_missing=close_missing,
        doubts=doubts,
    )


def _strangers(boundaries: Sequence[Boundary], present: Mapping[str, GridRow]) -> list[FieldError]:
    errors = []
    for one in boundaries:
        if one.parent_code is None:
            continue
        above = present.get(one.parent_code)
        if above is None:
            told = f"{one.label}：上级 {one.parent_code} 不存在，请先导入上级"
            errors.append(FieldError(one.pointer, "geojson_parent_unknown", told))
        elif not above.active:
            told = f"{one.label}：上级 {one.parent_code} 已关闭"
            errors.append(FieldError(one.pointer, "geojson_parent_closed", told))
    return errors


def _unknown_predecessors(
    boundaries: Sequence[Boundary], present: Mapping[str, GridRow]
) -> list[FieldError]:
    return [
        FieldError(one.pointer, "geojson_predecessor_unknown", f"{one.label}：原编码 {code} 不存在")
        for one in boundaries
        for code in one.predecessors
        if code not in present
    ]


def _shape(wkb: bytes | None) -> Shape | None:
    return None if wkb is None else shapely.from_wkb(wkb)


def _known(
    boundaries: Sequence[Boundary],
    present: Mapping[str, GridRow],
    outlines: Mapping[str, CountyRow],
    level: GridLevel,
) -> Known:
    """The ground that the city knows. A county drawn in the file itself counts for its towns."""
    said: dict[str, bytes | None] = {code: row.boundary for code, row in present.items()}
    said |= {code: row.boundary for code, row in outlines.items()}
    before = {one.code: said.get(one.code) for one in boundaries}
    in_file = {one.code: one.wkb for one in boundaries if one.is_county and one.wkb is not None}
    leaving = {code for one in boundaries for code in one.predecessors} | before.keys()
    beside = [
        row.boundary
        for row in present.values()
        if row.level is level and row.active and row.code not in leaving
    ]
    return Known(
        above=_shapes({**said, **in_file}),
        before=_shapes(before),
        beside=[shape for wkb in beside if (shape := _shape(wkb)) is not None],
    )


def _shapes(said: Mapping[str, bytes | None]) -> dict[str, Shape]:
    return {code: shape for code, wkb in said.items() if (shape := _shape(wkb)) is not None}


def _diff(
    reading: Reading,
    standings: Mapping[str, Standing],
    *,
    siblings: Sequence[str],
    level: GridLevel,
    coord_sys: CoordSys,
    close_missing: bool,
    doubts: Sequence[FieldError],
) -> Diff:
    changed: list[tuple[str, PlaceChange, Standing | None, Standing, tuple[str, ...]]] = []
    for one in sorted(reading.boundaries, key=lambda one: one.code):
        before = standings.get(one.code)
        kept = before.boundary if before is not None and one.wkb is None else one.wkb
        after = Standing(one.name, kept)
        if after == before:
            continue
        change = PlaceChange.ADDED if before is None else PlaceChange.CHANGED
        changed.append((one.code, change, before, after, one.predecessors))
    named = {one.code for one in reading.boundaries}
    gone = {code for one in reading.boundaries for code in one.predecessors} - named
    missing = sorted(set(siblings) - named - gone)
    for code in sorted({*gone, *(missing if close_missing else ())}):
        before = standings[code]
        if before.active:
            after = Standing(before.name, before.boundary, active=False)
            changed.append((code, PlaceChange.REMOVED, before, after, ()))
    return Diff(
        level=level,
        coord_sys=coord_sys,
        places=tuple(_measured(changed)),
        unchanged=len(named) - sum(code in named for code, *_ in changed),
        missing=() if close_missing else tuple(missing),
        warnings=(*reading.warnings, *doubts),
    )


def _measured(
    changed: Sequence[tuple[str, PlaceChange, Standing | None, Standing, tuple[str, ...]]],
) -> Iterable[PlaceDiff]:
    nothing = shapely.Polygon()
    was = [_shape(before.boundary) if before else None for *_, before, _, _ in changed]
    will = [_shape(after.boundary) if after.active else None for *_, after, _ in changed]
    before_m2 = areas_m2([shape or nothing for shape in was])
    after_m2 = areas_m2([shape or nothing for shape in will])
    moved_m2 = areas_m2(
        [
            shapely.symmetric_difference(one or nothing, two or nothing)
            for one, two in zip(was, will, strict=True)
        ]
    )
    for at, (code, change, before, after, predecessors) in enumerate(changed):
        yield PlaceDiff(
            code,
            change,
            before,
            after,
            area_before_m2=None if was[at] is None else round(before_m2[at], 2),
            area_after_m2=None if will[at] is None else round(after_m2[at], 2),
            moved_m2=None if was[at] is None and will[at] is None else round(moved_m2[at], 2),
            predecessors=predecessors,
        )
