"""Call-back samples as they were drawn, and requests that somebody wants not to count."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    String,
    Text,
    Uuid,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.exclusions import ExclusionGround, ExclusionState
from app.store.base import Base, new_id

UnitCode = String(40, collation="C")  # sorts as the domain does


class Campaign(Base):
    """回访活动: one sample, with all that is needed to draw it again. Never changed."""

    __tablename__ = "call_back_campaigns"
    __table_args__ = (
        CheckConstraint("drawn <= frame_size AND frame_size > 0", name="out_of_the_frame"),
        CheckConstraint("replied_from < replied_to", name="some_time"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    title: Mapped[str] = mapped_column(String(100))
    replied_from: Mapped[datetime]
    replied_to: Mapped[datetime]
    sample_size: Mapped[int]  # as wished; ``drawn`` is fewer where the frame is smaller
    minimum: Mapped[int]
    seed: Mapped[str] = mapped_column(String(32))  # hexadecimal
    frame_size: Mapped[int]
    frame_digest: Mapped[str] = mapped_column(String(64))
    drawn: Mapped[int]
    drawn_by: Mapped[UUID]
    drawn_at: Mapped[datetime]


class Stratum(Base):
    """The part of a frame that is one unit's, with everybody who could have been drawn."""

    __tablename__ = "call_back_strata"

    campaign_id: Mapped[UUID] = mapped_column(
        ForeignKey("call_back_campaigns.id"), primary_key=True
    )
    unit_code: Mapped[str] = mapped_column(UnitCode, primary_key=True)  # "": settled by the grid
    size: Mapped[int]
    drawn: Mapped[int]
    members: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))  # requests, in the order of ids


class Draw(Base):
    """A request that was drawn, in the cycle that was answered then."""

    __tablename__ = "call_back_draws"
    __table_args__ = (
        ForeignKeyConstraint(
            ["campaign_id", "unit_code"],
            ["call_back_strata.campaign_id", "call_back_strata.unit_code"],
        ),
    )

    campaign_id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(
        ForeignKey("requests.id"), primary_key=True, index=True
    )
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    unit_code: Mapped[str] = mapped_column(UnitCode)
    position: Mapped[int]  # in the draw of its stratum, from 1


class Exclusion(Base):
    """剔除申请: of one cycle of a request, for some measures. Figures honour approved ones.

    What is approved may be revoked; the approval stays as it was, beside it.
    """

    __tablename__ = "measure_exclusions"
    __table_args__ = (
        CheckConstraint("decided_by IS DISTINCT FROM asked_by", name="four_eyes"),
        CheckConstraint("(decided_at IS NULL) = (state = 'asked')", name="decided_whole"),
        CheckConstraint("jsonb_array_length(measures) > 0", name="of_something"),
        CheckConstraint(
            "(state = 'revoked') = (revoked_by IS NOT NULL)"
            " AND (state = 'revoked') = (revoked_at IS NOT NULL)"
            " AND (state = 'revoked') = (revocation_note IS NOT NULL)",
            name="revoked_whole",
        ),
        CheckConstraint(
            "revoked_by IS DISTINCT FROM decided_by AND revoked_by IS DISTINCT FROM asked_by"
            " OR revoked_by IS NULL",
            name="revoked_by_another",
        ),
        Index("ix_measure_exclusions_asked", sql("asked_at DESC"), sql("id DESC")),
        Index("ix_measure_exclusions_unit", "unit_code", sql("asked_at DESC"), sql("id DESC")),
        Index(
            "uq_measure_exclusions_pending",
            "request_id",
            "cycle_no",
            unique=True,
            postgresql_where=sql("state = 'asked'"),
        ),
        Index(
            "ix_measure_exclusions_in_force",
            "request_id",
            "cycle_no",
            postgresql_where=sql("state = 'approved'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(server_default=sql("1"))  # what If-Match compares
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    unit_code: Mapped[str] = mapped_column(String(40))  # that answered, and asks
    measures: Mapped[list[str]]
    state: Mapped[ExclusionState]
    ground: Mapped[ExclusionGround]
    evidence: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID]
    asked_at: Mapped[datetime]
    decided_by: Mapped[UUID | None]  # None of what was withdrawn
    decided_at: Mapped[datetime | None]
    decision_note: Mapped[str | None] = mapped_column(Text)
    revoked_by: Mapped[UUID | None]
    revoked_at: Mapped[datetime | None]
    revocation_note: Mapped[str | None] = mapped_column(Text)
