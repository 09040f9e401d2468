"""What crosses the wire about the inbox."""

from typing import Annotated

from pydantic import Field

from app.web.wire import Instant, WireIn, WireOut


class MessageOut(WireOut):
    """``occurred_at`` is when it happened, however late it was noticed or shown.

    ``request_id`` and ``number`` are null where it is about no request.

    ``fired_late_by_s``: a clock's rung that was noticed so many seconds late, else null.
    """

    id: str
    request_id: str | None
    number: str | None
    event: str
    title: str
    body: str
    occurred_at: Instant
    fired_late_by_s: int | None
    read: bool


class InboxOut(WireOut):
    items: list[MessageOut]
    unread: int = Field(description="at most 1,000")
    next_cursor: str | None


class MarkReadIn(WireIn):
    """Without ``up_to`` everything is marked."""

    up_to: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None


class MarkedOut(WireOut):
    marked: int
