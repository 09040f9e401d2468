"""Units of the nets that were there before the one net, and which grids they share ground with.

党建、政法、综治、人居环境, and the villages of the statistics office, of which a 新村 holds
several. n:m, with dates, imported from a CSV list: ``kind,code,name,grid_code`` and, if known,
``valid_from,valid_to``.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.errors import FieldError, Invalid
from app.domain.identity import SYSTEM, Actor
from app.domain.working_time import SHANGHAI
from app.grids.boundary_file import FEATURE_LIMIT, NAME_LIMIT
from app.grids.division_list import rows
from app.grids.imports import among, digest_of
from app.grids.kinds import LEGACY_KIND_TEXT, LegacyKind
from app.grids.models import GridRow, LegacyUnitGridRow, LegacyUnitRow
from app.grids.service import CHAIN

CODE_LIMIT = 40
_KINDS = {kind.value: kind for kind in LegacyKind} | {
    text: kind for kind, text in LEGACY_KIND_TEXT.items()
}
_UNIT = insert(LegacyUnitRow)
_UNIT = _UNIT.on_conflict_do_update(
    index_elements=[LegacyUnitRow.kind, LegacyUnitRow.code], set_={"name": _UNIT.excluded.name}
)
_LINK = insert(LegacyUnitGridRow)
_LINK = _LINK.on_conflict_do_update(
    index_elements=[
        LegacyUnitGridRow.kind,
        LegacyUnitGridRow.unit_code,
        LegacyUnitGridRow.grid_code,
        LegacyUnitGridRow.valid_from,
    ],
    set_={"valid_to": _LINK.excluded.valid_to},
)


class LegacyListRefused(Invalid):
    """对照表有误，未导入任何内容。"""

    code = "legacy_list_invalid"


@dataclass(frozen=True, slots=True)
class LegacyLink:
    """One row: a unit, and a grid it shares ground with. ``valid_to``: the first day without."""

    kind: LegacyKind
    code: str
    name: str
    grid_code: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class LegacyCounts:
    units: int
    links: int


async def import_list(
    session: AsyncSession, content: bytes, *, actor: Actor = SYSTEM, now: datetime
) -> LegacyCounts:
    """Take a list: units by kind and code, links by unit, grid and first day. All or nothing.

    Raises:
        LegacyListRefused: with one ``FieldError`` for each row that is wrong.
    """
    links, errors = _read(content, today=now.astimezone(SHANGHAI).date())
    known = set(
        await session.scalars(
            select(GridRow.code).where(among(GridRow.code, {link.grid_code for _, link in links}))
        )
    )
    errors += [
        FieldError(
            f"/lines/{line}", "legacy_grid_unknown", f"第{line}行：没有网格 {link.grid_code}"
        )
        for line, link in links
        if link.grid_code not in known
    ]
    if errors:
        raise LegacyListRefused(
            f"共{len(errors)}处有误，第一处：{errors[0].message}", errors=errors[:1_000]
        )
    units = {(link.kind, link.code): link.name for _, link in links}
    found = {
        (link.kind, link.code, link.grid_code, link.valid_from): link.valid_to for _, link in links
    }
    await session.execute(
        _UNIT, [{"kind": kind, "code": code, "name": name} for (kind, code), name in units.items()]
    )
    await session.execute(
        _LINK,
        [
            {
                "kind": kind,
                "unit_code": code,
                "grid_code": grid,
                "valid_from": since,
                "valid_to": to,
            }
            for (kind, code, grid, since), to in found.items()
        ],
    )
    facts = {
        "units": len(units),
        "links": len(found),
        "digest": digest_of(
            (kind.value, code, units[kind, code], grid, f"{since} {to}")
            for (kind, code, grid, since), to in found.items()
        ),
    }
    await audit.append(
        session, CHAIN, actor=actor, action="import_legacy_units", facts=facts, now=now
    )
    return LegacyCounts(len(units), len(found))


def _read(content: bytes, today: date) -> tuple[list[tuple[int, LegacyLink]], list[FieldError]]:
    links: list[tuple[int, LegacyLink]] = []
    errors: list[FieldError] = []
    for line, row in rows(content, ("kind", "code", "name", "grid_code")):
        try:
            links.append((line, _link(row, today)))
        except ValueError as wrong:
            errors.append(FieldError(f"/lines/{line}", "legacy_row", f"第{line}行：{wrong}"))
        if len(links) + len(errors) > FEATURE_LIMIT:
            raise LegacyListRefused(f"不能超过{FEATURE_LIMIT}行")
    if not links and not errors:
        raise LegacyListRefused("文件里没有内容")
    return links, errors


def _link(row: dict[str, str], today: date) -> LegacyLink:
    """Raises: ValueError, whose text is what is wrong in Chinese."""
    kind = _KINDS.get(row["kind"].strip())
    if kind is None:
        raise ValueError(f"类别应为{'、'.join(_KINDS)}之一")
    code, name = row["code"].strip(), row["name"].strip()
    if not (0 < len(code) <= CODE_LIMIT and code.isprintable()):
        raise ValueError(f"编码应为1至{CODE_LIMIT}个字")
    if not (0 < len(name) <= NAME_LIMIT and name.isprintable()):
        raise ValueError(f"名称应为1至{NAME_LIMIT}个字")
    since = _day(row.get("valid_from", "")) or today
    until = _day(row.get("valid_to", ""))
    if until is not None and until <= since:
        raise ValueError("失效日期应晚于生效日期")
    return LegacyLink(kind, code, name, row["grid_code"].strip(), since, until)


def _day(text: str) -> date | None:
    text = text.strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"日期“{text[:20]}”应写作 2026-01-31") from None


async def units(
    session: AsyncSession,
    *,
    kind: LegacyKind | None,
    grid_code: str | None,
    on: date,
    offset: int = 0,
    limit: int = 100,
) -> list[LegacyLink]:
    """Links that hold on a day, in the order of kind, code and grid.

    Args:
        grid_code: those of this place and of all below it.
    """
    row, unit = LegacyUnitGridRow, LegacyUnitRow
    asked = (
        select(row.kind, row.unit_code, unit.name, row.grid_code, row.valid_from, row.valid_to)
        .join(unit, (unit.kind == row.kind) & (unit.code == row.unit_code))
        .where(row.valid_from <= on, (row.valid_to.is_(None)) | (row.valid_to > on))
        .order_by(row.kind, row.unit_code, row.grid_code, row.valid_from)
        .offset(offset)
        .limit(limit)
    )
    if kind is not None:
        asked = asked.where(row.kind == kind)
    if grid_code is not None:
        asked = asked.where(row.grid_code.startswith(grid_code, autoescape=True))
    return [LegacyLink(*found) for found in await session.execute(asked)]
