"""The four-level tree of places: town, community (新村), grid, micro-grid, and their boundaries.

A code begins with its parent's code, so a subtree is a range of codes. Who leads a grid is not
kept here: it is the staff account that carries the grid's code.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.grids.kinds import CODE_DIGITS, GridLevel
from app.store.base import Base

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
