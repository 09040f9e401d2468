"""Events that have happened and still have to be told."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class OutboxEntry(Base):
    """Written in the transaction that made the event true; deleted when everybody was told."""

    __tablename__ = "outbox"
    __table_args__ = (
        # Fast for the deliverer however long the queue: only rows that may be told now count.
        Index("ix_outbox_pending", "available_at", "id", postgresql_where=text("dead_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(String(60))
    payload: Mapped[dict[str, Any]]
    available_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    dead_at: Mapped[datetime | None]  # given up after many attempts; kept for a person to look at
