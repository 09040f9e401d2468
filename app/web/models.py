"""Answers kept for replay, and how often somebody did something."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, SmallInteger, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class StoredAnswer(Base):
    """The answer that was given to one key of one person for one operation.

    Written in the same transaction as the effect: there is no row "in progress" for others to see.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        # Rows come in the order of time: a BRIN index finds the old ones and costs an insert
        # almost nothing.
        Index("ix_idempotency_keys_created_at", "created_at", postgresql_using="brin"),
    )

    actor_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operation: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    etag: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class RateCounter(Base):
    """How often ``bucket`` was used since ``window_start``, by all processes together."""

    __tablename__ = "rate_counters"
    # Room on the page for the next version of the row: an update then touches no index.
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    bucket: Mapped[str] = mapped_column(Text, primary_key=True)
    window_start: Mapped[datetime] = mapped_column(primary_key=True)
    used: Mapped[int]
