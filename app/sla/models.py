"""How far the open requests have been counted anew by each published calendar."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class CalendarRecalculation(Base):
    """The walk over all open requests that one calendar version asks for, resumable at any row."""

    __tablename__ = "calendar_recalculations"

    version: Mapped[int] = mapped_column(
        ForeignKey("calendars.version"), primary_key=True, autoincrement=False
    )
    after: Mapped[UUID]  # requests up to this id were looked at
    walk_began_at: Mapped[datetime]
    left_out: Mapped[bool] = mapped_column(server_default=text("false"))  # somebody held them
    next_walk_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counted: Mapped[int] = mapped_column(server_default=text("0"))  # requests
    moved: Mapped[int] = mapped_column(server_default=text("0"))  # requests with a due time moved
