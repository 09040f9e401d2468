"""What was done before, and what was learned from it. No person is in either."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class RoutingCase(Base):
    """One thing that was done: where, what, and which unit did it. Empty: not known."""

    __tablename__ = "routing_history"
    __table_args__ = (
        Index("uq_routing_history_origin", "origin", "origin_id", unique=True),
        Index("ix_routing_history_sub_type", "sub_type"),
        Index("ix_routing_history_main_type", "main_type"),
        Index("ix_routing_history_type", "type"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    origin: Mapped[str] = mapped_column(Text)  # which file or system it came from
    origin_id: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime | None]
    town: Mapped[str] = mapped_column(Text)
    community: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    main_type: Mapped[str] = mapped_column(Text)
    sub_type: Mapped[str] = mapped_column(Text)
    unit: Mapped[str] = mapped_column(Text)  # its code there
    unit_name: Mapped[str] = mapped_column(Text)


class RoutingModel(Base):
    """One fitted ``LinearModel``. Versions are added, never changed; the newest is used."""

    __tablename__ = "routing_models"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    trained_at: Mapped[datetime]
    trained_by: Mapped[UUID | None]
    cases: Mapped[int]
    units: Mapped[list[str]]
    features: Mapped[bytes] = mapped_column(LargeBinary)  # zlib; uint32, little-endian
    weights: Mapped[bytes] = mapped_column(LargeBinary)  # zlib; float32, a row for each feature
    metrics: Mapped[dict[str, Any]] = mapped_column(JSONB)
