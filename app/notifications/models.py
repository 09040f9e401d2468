"""The in-app inbox: what a person was told, and whether they have seen it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class InboxMessage(Base):
    """One message to one person about one event. The key keeps a retry from telling it twice."""

    __tablename__ = "inbox_messages"
    __table_args__ = (
        Index("ix_inbox_messages_recipient", "recipient_id", text("event_key DESC")),
        Index(
            "ix_inbox_messages_unread",
            "recipient_id",
            "visible_at",
            postgresql_where=text("read_at IS NULL"),
        ),
    )

    # Later events have higher keys: the order of the inbox.
    event_key: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # the outbox row's
    recipient_id: Mapped[UUID] = mapped_column(primary_key=True)
    # Of a message that is about no request: none.
    request_id: Mapped[UUID | None]
    number: Mapped[str | None] = mapped_column(String(24))
    event: Mapped[str] = mapped_column(String(60))
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime]  # when it happened
    created_at: Mapped[datetime]  # when it was told
    visible_at: Mapped[datetime]  # from when it is shown; later than told in quiet hours
    fired_late_by_s: Mapped[int | None]  # of a clock's rung that was noticed late
    read_at: Mapped[datetime | None]
