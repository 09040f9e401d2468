"""The four-level tree of places: town, community (新村), grid, micro-grid, and their boundaries.

A code begins with its parent's code, so a subtree is a range of codes. Who leads a grid is not
kept here: it is the staff account that carries the grid's code.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.geometry import CoordSys
from app.grids.kinds import CODE_DIGITS, GridLevel, ImportState, LegacyKind, PlaceChange
from app.store.base import Base, new_id

# Ranges of codes are ranges of bytes, not of the city's collation.
GRID_CODE = Text(collation="C")

_LEVEL_FITS_CODE = " OR ".join(
    f"(level = '{level.value}' AND code ~ '^[0-9]{{{digits}}}$')"
    for level, digits in CODE_DIGITS.items()
)


class GridRow(Base):
    """One place. ``boundary`` is a WGS-84 (multi)polygon as WKB, longitude first, if known."""

    __tablename__ = "grids"
    __table_args__ = (
        CheckConstraint(_LEVEL_FITS_CODE, name="level_fits_code"),
        CheckConstraint(
            "parent_code IS NULL OR starts_with(code, parent_code)", name="code_extends_parent"
        ),
        CheckConstraint("(level = 'town') = (parent_code IS NULL)", name="only_towns_are_roots"),
    )

    code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    parent_code: Mapped[str | None] = mapped_column(GRID_CODE, ForeignKey("grids.code"), index=True)
    level: Mapped[GridLevel]
    name: Mapped[str] = mapped_column(Text)
    boundary: Mapped[bytes | None] = mapped_column(LargeBinary)
    active: Mapped[bool] = mapped_column(default=True, server_default="true")
    sort: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CountyRow(Base):
    """The ground that the towns of a county must cover: its outline, and nothing below it."""

    __tablename__ = "grid_counties"
    __table_args__ = (CheckConstraint("code ~ '^[0-9]{6}$'", name="code"),)

    code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    boundary: Mapped[bytes | None] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime]


class GridVersionRow(Base):
    """What a place (or a county) was before a change: from ``valid_from`` until ``valid_to``.

    What it is now stands in ``grids``, from ``updated_at`` on.
    """

    __tablename__ = "grid_versions"
    __table_args__ = (Index(None, "code", "valid_from"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(GRID_CODE)
    name: Mapped[str] = mapped_column(Text)
    boundary: Mapped[bytes | None] = mapped_column(LargeBinary)
    active: Mapped[bool]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime]
    import_id: Mapped[UUID | None]


class GridImportRow(Base):
    """One file against the tree: looked at, applied, perhaps taken back. ``summary``: the counts
    and warnings of the preview."""

    __tablename__ = "grid_imports"
    __table_args__ = (Index(None, "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int]
    state: Mapped[ImportState]
    level: Mapped[GridLevel]
    coord_sys: Mapped[CoordSys]
    digest: Mapped[str] = mapped_column(Text)
    summary: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID]
    applied_at: Mapped[datetime | None]
    applied_by: Mapped[UUID | None]
    rolled_back_at: Mapped[datetime | None]
    rolled_back_by: Mapped[UUID | None]


class GridImportPlaceRow(Base):
    """A place that an import changes: as it was when looked at, and as it will be.

    ``before_name`` is null for a new place. ``predecessors``: places whose ground it takes over.
    """

    __tablename__ = "grid_import_places"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("grid_imports.id"), primary_key=True)
    code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    change: Mapped[PlaceChange]
    before_name: Mapped[str | None] = mapped_column(Text)
    before_boundary: Mapped[bytes | None] = mapped_column(LargeBinary)
    before_active: Mapped[bool | None]
    name: Mapped[str] = mapped_column(Text)
    boundary: Mapped[bytes | None] = mapped_column(LargeBinary)
    active: Mapped[bool]
    area_before_m2: Mapped[float | None]
    area_after_m2: Mapped[float | None]
    moved_m2: Mapped[float | None]
    predecessors: Mapped[list[str]]


class LineageRow(Base):
    """From ``since`` on, what was ``old_code`` is (partly) ``new_code``: split, merged or moved."""

    __tablename__ = "grid_lineage"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("grid_imports.id"), primary_key=True)
    old_code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    new_code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    since: Mapped[datetime]


class LegacyUnitRow(Base):
    """A unit of an older net (党建、政法、综治、人居环境), or a statistical village."""

    __tablename__ = "legacy_units"

    kind: Mapped[LegacyKind] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class LegacyUnitGridRow(Base):
    """An older unit and a grid that share ground, n:m; ``valid_to`` is the first day without."""

    __tablename__ = "legacy_unit_grids"
    __table_args__ = (
        ForeignKeyConstraint(["kind", "unit_code"], ["legacy_units.kind", "legacy_units.code"]),
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="ends_after_begin"),
        Index(None, "grid_code"),
    )

    kind: Mapped[LegacyKind] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    grid_code: Mapped[str] = mapped_column(GRID_CODE, ForeignKey("grids.code"), primary_key=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True)
    valid_to: Mapped[date | None]


class LevelNameRow(Base):
    """What a level is called below ``scope``, a code or the beginning of one ("": everywhere)."""

    __tablename__ = "grid_level_names"

    scope: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    level: Mapped[GridLevel] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class LoadRuleRow(Base):
    """How many households a place of a level below ``scope`` should have."""

    __tablename__ = "grid_load_rules"
    __table_args__ = (CheckConstraint("least IS NOT NULL OR most IS NOT NULL", name="says_some"),)

    scope: Mapped[str] = mapped_column(GRID_CODE, primary_key=True)
    level: Mapped[GridLevel] = mapped_column(primary_key=True)
    least: Mapped[int | None]
    most: Mapped[int | None]
