"""What hangs on a request besides its history: co-tasks, extensions, pauses, orders, call-backs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.cotasks import CoTaskState
from app.domain.matters import ExtensionReason, PauseReason
from app.domain.satisfaction import Solved
from app.domain.sla import Metric
from app.store.base import Base, new_id

# Both were asked of one cycle, in writing and when called; queries that say the same use its index.
ANSWERED_BOTH_WAYS = "reached AND satisfaction IS NOT NULL AND written IS NOT NULL"


class CoTask(Base):
    """协办: another unit does a part. Its own small machine is ``domain.cotasks``."""

    __tablename__ = "request_co_tasks"
    __table_args__ = (
        Index("ix_request_co_tasks_open", "unit_code", postgresql_where=sql("ended_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    unit_code: Mapped[str] = mapped_column(String(40))
    state: Mapped[CoTaskState]
    task: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime]
    feedback: Mapped[str | None] = mapped_column(Text)
    fed_back_at: Mapped[datetime | None]  # the last time; late or not by ``due_at``
    asked_by: Mapped[UUID]
    asked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Extension(Base):
    """延期: asked by the unit, decided by somebody else."""

    __tablename__ = "request_extensions"
    __table_args__ = (
        CheckConstraint("decided_by IS DISTINCT FROM asked_by", name="four_eyes"),
        CheckConstraint("(granted IS NULL) = (decided_at IS NULL)", name="decided_whole"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    working_days: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[ExtensionReason]
    note: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID]
    asked_at: Mapped[datetime]
    decided_by: Mapped[UUID | None]  # None with ``decided_at``: refused by the clock
    decided_at: Mapped[datetime | None]
    granted: Mapped[bool | None]
    due_before: Mapped[datetime | None]
    due_after: Mapped[datetime | None]


class PauseRow(Base):
    """[paused_at, resumed_at) in which the reply clock stood, why, and who allowed it."""

    __tablename__ = "request_pauses"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[PauseReason]
    allowed_by: Mapped[UUID]
    paused_at: Mapped[datetime]
    resumed_at: Mapped[datetime | None]


class Order(Base):
    """督办单: a written order with a day by which the unit's leader answers."""

    __tablename__ = "request_orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    level: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str] = mapped_column(Text)
    ordered_by: Mapped[UUID]
    ordered_at: Mapped[datetime]
    answer_due_at: Mapped[datetime]
    answer: Mapped[str | None] = mapped_column(Text)
    answered_by: Mapped[UUID | None]
    answered_at: Mapped[datetime | None]


class CallBack(Base):
    """回访: what the resident said when asked by somebody outside the unit.

    Beside it stands what is compared with it: the unit that had the request then, and the
    resident's own rating of the same cycle, whichever of the two came first and as it is now.
    """

    __tablename__ = "request_call_backs"
    __table_args__ = (
        CheckConstraint(
            "num_nulls(written, written_solved, written_by) IN (0, 3)", name="written_whole"
        ),
        Index("ix_request_call_backs_at", "at"),
        Index(
            "ix_request_call_backs_denied",
            "at",
            postgresql_include=["request_id", "cycle_no", "unit_code"],
            postgresql_where=sql("contacted IS FALSE"),
        ),
        # Whoever compares the two answers reads this alone.
        Index(
            "ix_request_call_backs_pairs",
            "at",
            postgresql_include=[
                "request_id", "cycle_no", "unit_code", "written", "satisfaction",
                "written_solved", "solved", "written_by",
            ],
            postgresql_where=sql(ANSWERED_BOTH_WAYS),
        ),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    reached: Mapped[bool]
    contacted: Mapped[bool | None]
    solved: Mapped[Solved | None]
    satisfaction: Mapped[int | None] = mapped_column(SmallInteger)
    text: Mapped[str | None] = mapped_column(Text)
    by: Mapped[UUID]
    at: Mapped[datetime]
    unit_code: Mapped[str | None] = mapped_column(String(40))  # None: settled by the grid
    written: Mapped[int | None] = mapped_column(SmallInteger)  # the rating's satisfaction
    written_solved: Mapped[Solved | None]
    written_by: Mapped[UUID | None]


class DueMove(Base):
    """A due instant that a newly published calendar moved: the history keeps both."""

    __tablename__ = "request_due_moves"

    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    metric: Mapped[Metric] = mapped_column(primary_key=True)
    calendar_version: Mapped[int] = mapped_column(primary_key=True)
    due_before: Mapped[datetime]
    due_after: Mapped[datetime]
    moved_at: Mapped[datetime]
