"""Who looks after a grid: teams, their members' terms, hand-overs of open work, and plaques.

Names and telephone numbers are sealed together in ``personal``, bound to their row; the number also
stands as a keyed hash, by which the same person is known again elsewhere.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, Uuid
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base, new_id
from app.teams.kinds import PLAQUE_ID_LENGTH, PlaqueEnd, RuleName

# Ranges of codes are ranges of bytes, not of the city's collation.
_GRID_CODE = Text(collation="C")


class TeamRuleRow(Base):
    """One version of what a city wants of its teams; the highest holds. See ``teams.rules``."""

    __tablename__ = "team_rules"

    name: Mapped[RuleName] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID]


class TeamRow(Base):
    """The team of a place. ``version`` counts every change of it, its members and its plaque.

    The party group (党小组) is a grid's; its secretary is a member of the team.
    """

    __tablename__ = "teams"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(party_group_name, party_secretary_id, party_since) IN (0, 3)",
            name="party_group_whole",
        ),
    )

    grid_code: Mapped[str] = mapped_column(_GRID_CODE, primary_key=True)
    version: Mapped[int] = mapped_column(server_default=sql("1"))
    party_group_name: Mapped[str | None] = mapped_column(Text)
    party_secretary_id: Mapped[UUID | None]
    party_since: Mapped[date | None]
    updated_at: Mapped[datetime]


class MemberRow(Base):
    """A term of office: from ``since`` until the day before ``until``. Never deleted: one that was
    taken back ends on the day it began.

    ``leads`` and ``single`` are the seat's, as of the template when the term began. ``published``:
    the name, and of who leads also the work telephone, may stand on the plaque.
    """

    __tablename__ = "team_members"
    __table_args__ = (
        CheckConstraint("until >= since", name="ends_after_begin"),
        # Of a single seat two open terms can never be; that bounded ones do not overlap is checked
        # by who holds the team's row.
        Index(
            "uq_team_members_open_single",
            "grid_code",
            "seat",
            unique=True,
            postgresql_where=sql("single AND until IS NULL"),
        ),
        Index(None, "grid_code", "since"),
        Index(None, "staff_id", postgresql_where=sql("staff_id IS NOT NULL")),
        Index(None, "phone_index", postgresql_where=sql("phone_index IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    grid_code: Mapped[str] = mapped_column(_GRID_CODE, ForeignKey("teams.grid_code"))
    seat: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(Text)
    leads: Mapped[bool]
    single: Mapped[bool]
    staff_id: Mapped[UUID | None]
    personal: Mapped[bytes] = mapped_column(LargeBinary)  # sealed {name, phone}
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    duties: Mapped[list[str]] = mapped_column(JSONB, server_default=sql("'[]'"))
    published: Mapped[bool] = mapped_column(server_default=sql("false"))
    since: Mapped[date]
    until: Mapped[date | None]
    created_at: Mapped[datetime]


class PhotoRow(Base):
    """The photograph of a leader: a small JPEG made anew from what was sent."""

    __tablename__ = "team_photos"

    member_id: Mapped[UUID] = mapped_column(ForeignKey("team_members.id"), primary_key=True)
    grid_code: Mapped[str] = mapped_column(
        _GRID_CODE, ForeignKey("teams.grid_code")
    )  # the member's
    jpeg: Mapped[bytes] = mapped_column(LargeBinary)  # sealed, for this row
    updated_at: Mapped[datetime]


class HandoverRow(Base):
    """What was open in a place when its leader changed, for the successor to take note of.

    A later hand-over of the same place supersedes one that nobody acknowledged.
    """

    __tablename__ = "team_handovers"
    __table_args__ = (
        Index(None, "grid_code", "created_at"),
        Index(
            "uq_team_handovers_pending",
            "grid_code",
            unique=True,
            postgresql_where=sql("acknowledged_at IS NULL AND superseded_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(server_default=sql("1"))
    grid_code: Mapped[str] = mapped_column(_GRID_CODE, ForeignKey("teams.grid_code"))
    from_member_id: Mapped[UUID] = mapped_column(ForeignKey("team_members.id"))
    to_member_id: Mapped[UUID] = mapped_column(ForeignKey("team_members.id"))
    request_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    states: Mapped[dict[str, Any]]  # state → how many
    created_at: Mapped[datetime]
    created_by: Mapped[UUID]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[UUID | None]
    superseded_at: Mapped[datetime | None]


class PlaqueRow(Base):
    """服务牌: the id is what its QR code says, and says nothing else. One in force for a place."""

    __tablename__ = "plaques"
    __table_args__ = (
        Index(
            "uq_plaques_in_force",
            "grid_code",
            unique=True,
            postgresql_where=sql("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(PLAQUE_ID_LENGTH, collation="C"), primary_key=True)
    grid_code: Mapped[str] = mapped_column(_GRID_CODE, ForeignKey("teams.grid_code"))
    issued_at: Mapped[datetime]
    issued_by: Mapped[UUID]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[UUID | None]
    ended_by: Mapped[PlaqueEnd | None]  # what it is no longer in force by
