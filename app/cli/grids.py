"""``lianxin import grids`` and ``lianxin grids``: boundaries in, taken back, and audited.

The audit's report is for those who draw the grids, so it is in Chinese, like the preview.
"""

import asyncio
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.place import configured, database_url, fail, in_transaction, say
from app.domain.coverage import FAULT_TEXT, Dwelling, FaultKind, LoadRule
from app.domain.errors import AppError
from app.domain.geometry import CoordSys
from app.domain.identity import SYSTEM
from app.grids import conventions, imports, inspection, legacy, queries, service, views
from app.grids.boundary_file import BoundaryFileRefused, Reading
from app.grids.imports import Diff, PlaceDiff
from app.grids.inspection import Inspection
from app.grids.kinds import PLACE_CHANGE_TEXT, GridLevel, PlaceChange
from app.grids.legacy import LegacyCounts
from app.grids.models import GridImportRow
from app.grids.queries import GridIndex
from app.grids.service import ImportCounts
from app.grids.uploads import Asked, read_file
from app.registry import dwellings
from app.settings import Settings
from app.store.session import Database

commands = typer.Typer(help="The tree of places: audit, roll-back, names.", no_args_is_help=True)
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
_SHOWN = 30


def import_grids(
    file: _File,
    crs: Annotated[CoordSys, typer.Option(help="coordinate system of the positions")],
    level: Annotated[GridLevel, typer.Option(help="which level of the tree the file holds")],
    apply: Annotated[bool, typer.Option("--apply", help="do it; else only show it")] = False,
    close_missing: Annotated[
        bool, typer.Option("--close-missing", help="close places the file does not name")
    ] = False,
    sure: Annotated[
        bool, typer.Option("--sure", help="take it though its ground looks wrong")
    ] = False,
    within: Annotated[str, typer.Option(help="of a CSV list, only codes that begin so")] = "",
) -> None:
    """Places with their boundaries: GeoJSON, a Shapefile (.zip, .shp), or a CSV list without."""
    reading = _read(file, Asked(crs, level, within))

    async def work(session: AsyncSession, now: datetime) -> tuple[Diff, ImportCounts | None]:
        diff = await imports.compare(
            session, reading, coord_sys=crs, level=level, close_missing=close_missing, sure=sure
        )
        counts = await service.import_diff(session, diff, now=now) if apply else None
        return diff, counts

    diff, counts = in_transaction(configured(), work)
    _write(preview(diff))
    if counts is None:
        _write(["以上为预览，未做任何改动；加 --apply 使其生效。"])
    elif not diff.places:
        _write(["与现有网格完全相同，未做任何改动。"])
    else:
        _write(["已生效；如有误，可用 lianxin grids rollback 撤回。"])


def import_legacy_units(file: _File) -> None:
    """Units of older nets and the grids they share ground with: CSV, kind,code,name,grid_code."""
    content = _bytes(file)

    async def work(session: AsyncSession, now: datetime) -> LegacyCounts:
        return await legacy.import_list(session, content, now=now)

    counts = in_transaction(configured(), work)
    say(f"{counts.units} units, {counts.links} links")


@commands.command("rollback")
def roll_back() -> None:
    """撤回最近一次导入. Every place is again what it was before the last applied import."""

    async def work(session: AsyncSession, now: datetime) -> GridImportRow | None:
        last = await service.last_applied(session)
        if last is None:
            return None
        return await service.roll_back(
            session, last.id, version=last.version, actor=SYSTEM, now=now
        )

    row = in_transaction(configured(), work)
    if row is None:
        fail("没有可以撤回的网格导入")
    _write([f"已撤回 {row.applied_at:%Y-%m-%d %H:%M} UTC 生效的网格导入（{row.id}）。"])


@commands.command("audit")
def audit(
    parent: Annotated[
        str | None, typer.Option(help="a place or a county; everything if absent")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="with the geometry of each fault")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="faults listed")] = 100,
) -> None:
    """核查覆盖. Gaps, overlaps and slivers in m²; exits 1 if there is any fault."""
    grids, houses = _loaded(configured(), parent)
    if parent is not None and grids.node(parent) is None and parent not in grids.counties:
        fail(f"没有这个网格：{parent}")
    found = inspection.inspect(grids, parent, dwellings=houses)
    if as_json:
        shown = views.audit(grids, found, parent=parent, offset=0, limit=limit)
        sys.stdout.write(shown.model_dump_json(indent=2) + "\n")
    else:
        _write(report(grids, found, limit))
    if found.faults:
        raise SystemExit(1)


@commands.command("name-levels")
def name_levels(
    scope: Annotated[str, typer.Argument(help="codes that begin so; '' is everywhere")],
    town: str | None = None,
    community: str | None = None,
    grid: str | None = None,
    micro: str | None = None,
) -> None:
    """What levels are called below a code: --town 镇街 --community 新村."""
    said = zip(GridLevel, (town, community, grid, micro), strict=True)
    names = {level: name for level, name in said if name is not None}

    async def work(session: AsyncSession, now: datetime) -> None:
        await conventions.name_levels(session, scope, names, now=now)

    in_transaction(configured(), work)
    say("named")


@commands.command("load-rule")
def load_rule(
    level: GridLevel,
    least: Annotated[int | None, typer.Option(help="households")] = None,
    most: Annotated[int | None, typer.Option(help="households")] = None,
    scope: Annotated[str, typer.Option(help="codes that begin so; everywhere if absent")] = "",
) -> None:
    """How many households a place of a level should have; the audit warns of others."""

    async def work(session: AsyncSession, now: datetime) -> None:
        await conventions.rule_load(session, LoadRule(level, least, most, scope), now=now)

    in_transaction(configured(), work)
    say("ruled")


# --- what is said --------------------------------------------------------------------------------


def preview(diff: Diff) -> list[str]:
    """What would become different, line by line."""
    counts = "，".join(f"{PLACE_CHANGE_TEXT[change]}{diff.count(change)}" for change in PlaceChange)
    lines = [f"{counts}，不变{diff.unchanged}，文件未提及而保留{len(diff.missing)}。"]
    lines += [_place_line(place) for place in diff.places[:_SHOWN]]
    if len(diff.places) > _SHOWN:
        lines.append(f"  其余{len(diff.places) - _SHOWN}处未列出。")
    lines += [f"  注意：{told.message}" for told in diff.warnings[:_SHOWN]]
    return lines


def _place_line(place: PlaceDiff) -> str:
    line = f"  {PLACE_CHANGE_TEXT[place.change]} {place.code} {place.after.name}"
    if place.before is not None and place.before.name != place.after.name:
        line += f"（原名{place.before.name}）"
    before, after = place.area_before_m2, place.area_after_m2
    if before is not None and after is not None:
        line += f"：{before:.0f} → {after:.0f} 平方米（{after - before:+.2f}），"
        line += f"移动{place.moved_m2 or 0:.2f}平方米"
    elif after is not None:
        line += f"：{after:.0f} 平方米"
    if place.predecessors:
        line += f"，承接 {'、'.join(place.predecessors)}"
    return line


def report(grids: GridIndex, found: Inspection, limit: int) -> list[str]:
    """What the audit found, line by line."""
    lines = [
        f"核查上级{len(found.examinations)}个、"
        f"下级{sum(one.children for one in found.examinations)}个。",
        f"缝隙{found.total_m2(FaultKind.GAP):.2f}平方米，"
        f"重叠{found.total_m2(FaultKind.OVERLAP):.2f}平方米，"
        f"越界{found.total_m2(FaultKind.OUTSIDE):.2f}平方米；其中细缝{found.slivers}处。",
    ]
    for fault in found.faults[:limit]:
        names = "、".join(grids.name_path(code) or code for code in fault.codes)
        line = f"  {FAULT_TEXT[fault.kind]} {fault.parent_code}：{names}"
        if fault.shape is not None:
            line += f"，{fault.area_m2:.2f}平方米，均宽{fault.width_m:.2f}米"
        lines.append(line)
    if len(found.faults) > limit:
        lines.append(f"  其余{len(found.faults) - limit}处未列出。")
    if found.misplaced is None:
        lines.append("没有房屋数据，未核查房屋和户数。")
    for house in (found.misplaced or ())[:limit]:
        where = "同属" + "、".join(house.codes) if house.codes else "不在任何网格内"
        lines.append(f"  房屋 {house.dwelling.id} {where}")
    lines += [f"  {grids.name_path(load.code)}：{load.text()}" for load in found.loads or ()][
        :limit
    ]
    return [*lines, "结果：没有发现问题。" if found.is_clean else "结果：有上述问题。"]


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _read(file: Path, asked: Asked) -> Reading:
    try:
        return read_file(file, asked)
    except BoundaryFileRefused as refused:
        _fail_with(refused)
    except OSError as error:
        fail(f"cannot read {file}: {error}")


def _fail_with(error: AppError) -> NoReturn:
    say(" ".join(filter(None, (error.title(), error.detail))))
    for fault in error.errors[:_SHOWN]:
        say(f"  {fault.pointer}: {fault.message}")
    raise SystemExit(1)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"cannot read {file}: {error}")


def _loaded(settings: Settings, parent: str | None) -> tuple[GridIndex, list[Dwelling]]:
    async def run(url: str) -> tuple[GridIndex, list[Dwelling]]:
        db = Database(url, settings.database)
        await db.open()
        try:
            async with db.transaction() as session:
                return await queries.load(db), await dwellings.below(session, parent)
        finally:
            await db.close()

    with database_url(settings) as url:
        return asyncio.run(run(url))
