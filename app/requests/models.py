"""The request, its history, its clocks, and what was said about it.

Current state stands in columns of ``requests``; everything that happened stands beside it in rows
that are only ever added.
"""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Sequence,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.anomalies import CROWD_AT_LEAST, FAST_AT_MOST
from app.domain.matters import Channel, ContactMethod, ContactResult, Kind
from app.domain.numbering import BLOCK
from app.domain.satisfaction import ReplyResult, Solved
from app.domain.sla import ClockState, Metric
from app.domain.states import Action, State
from app.store.base import Base

# One value stands for a block of serials (``domain.numbering``).
NUMBER_BLOCKS = Sequence("request_number_blocks", metadata=Base.metadata, data_type=BigInteger)
SERIALS_PER_BLOCK = BLOCK

GridCode = String(17, collation="C")
# What alone can be a fast answer (``domain.anomalies``); queries that say the same use its index.
ANSWERED_SOON = f"took <= interval '{FAST_AT_MOST.total_seconds():.0f} s'"
# What alone can be in a crowd of ratings, by an account or of a unit.
CROWD_BY_ACCOUNT = f"of_account >= {CROWD_AT_LEAST}"
CROWD_OF_UNIT = f"of_unit >= {CROWD_AT_LEAST}"
CONTACT_DENIED = "NOT contacted"


class CitizenRequest(Base):
    """One thing a resident has asked the city to do (诉求)."""

    __tablename__ = "requests"
    __table_args__ = (
        CheckConstraint("length(text) > 0", name="text_not_empty"),
        CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="whole_point"),
        CheckConstraint("cycle_no >= 1 AND version >= 1", name="counts_from_one"),
        CheckConstraint(
            "state NOT IN ('assigned', 'in_progress', 'suspended', 'reply_review', 'replied')"
            " OR unit_code IS NOT NULL OR settled_by_grid",
            name="somebody_has_the_ball",
        ),
        Index("ix_requests_submitted", sql("submitted_at DESC"), sql("id DESC")),
        Index("ix_requests_unit", "unit_code", sql("submitted_at DESC"), sql("id DESC")),
        Index("ix_requests_grid", "grid_code", sql("submitted_at DESC"), sql("id DESC")),
        Index("ix_requests_master", "master_id", postgresql_where=sql("master_id IS NOT NULL")),
        Index("ix_requests_resident", "resident_id", sql("submitted_at DESC"), sql("id DESC")),
        Index(
            "ix_requests_to_call",
            sql("submitted_at DESC"),
            sql("id DESC"),
            postgresql_where=sql("sampled AND called_back_at IS NULL"),
        ),
        Index(
            "ix_requests_callable",
            "replied_at",
            postgresql_where=sql("state IN ('closed', 'replied') AND called_back_at IS NULL"),
        ),
        Index(
            "ix_requests_open",
            "state",
            sql("submitted_at DESC"),
            sql("id DESC"),
            postgresql_where=sql(
                "state NOT IN ('closed', 'rejected', 'withdrawn', 'merged', 'archived')"
            ),
        ),
        Index(
            "ix_requests_grid_first",
            "grid_until",
            postgresql_where=sql("state = 'triage' AND grid_until IS NOT NULL"),
        ),
        Index(
            "ix_requests_ended",
            "ended_at",
            postgresql_where=sql("state IN ('closed', 'rejected', 'withdrawn', 'merged')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(24), unique=True)  # what people quote on the phone
    version: Mapped[int]  # of the last event; what If-Match compares
    state: Mapped[State]
    previous_state: Mapped[State | None]  # where need_info or archived came from
    cycle_no: Mapped[int] = mapped_column(SmallInteger, server_default=sql("1"))

    kind: Mapped[Kind | None]
    title: Mapped[str | None] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)
    category_code: Mapped[str | None] = mapped_column(String(60))
    channel: Mapped[Channel]
    confidential: Mapped[bool]
    public: Mapped[bool]

    resident_id: Mapped[UUID | None]  # None: taken down by staff for somebody without an account
    submitted_by: Mapped[UUID]
    grid_code: Mapped[str | None] = mapped_column(GridCode)
    grid_certain: Mapped[bool]
    unit_code: Mapped[str | None] = mapped_column(String(40))
    handler_id: Mapped[UUID | None]
    routing: Mapped[dict[str, Any]]  # {"rule": id or null, "reasons": [{"code", "text"}]}

    latitude: Mapped[float | None]  # WGS-84
    longitude: Mapped[float | None]
    location: Mapped[dict[str, Any] | None]  # as received: latitude, longitude, coord_sys, accuracy
    personal: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed {name, phone, address}

    policy_code: Mapped[str] = mapped_column(String(40))
    policy_version: Mapped[int]
    calendar_version: Mapped[int]
    submitted_at: Mapped[datetime]
    assigned_at: Mapped[datetime | None]
    grid_until: Mapped[datetime | None]  # 网格先办: then the unit of the rule gets it
    return_until: Mapped[datetime | None]  # the unit may send it back before this
    returned_units: Mapped[list[str]] = mapped_column(server_default=sql("'[]'"))
    contact_due_at: Mapped[datetime]
    reply_due_at: Mapped[datetime | None]  # None while the clock stands
    provisional: Mapped[bool]  # a year without a published calendar was needed
    contacted_at: Mapped[datetime | None]
    contact_attempts: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    diligent_at: Mapped[datetime | None]  # 已尽责未联系上: tried often enough in time
    replied_at: Mapped[datetime | None]
    rate_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]  # entry into a final state
    satisfaction: Mapped[int | None] = mapped_column(SmallInteger)
    solved: Mapped[Solved | None]  # as the resident says
    said_contacted: Mapped[bool | None]  # as the resident says: somebody spoke with them
    office_s: Mapped[int | None]  # office time from the submission to the reply, as counted then
    excluded: Mapped[dict[str, Any] | None]  # {cycle: measures} it does not count in (剔除)

    # What the guards look at besides (``domain.guards.Facts``); children have rows of their own.
    info_rounds: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    info_until: Mapped[datetime | None]
    hops: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    reassigned: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))  # to other units
    unit_fixed: Mapped[bool] = mapped_column(server_default=sql("false"))
    open_co_tasks: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    extensions: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    extension_asked: Mapped[dict[str, Any] | None]  # {"working_days", "reason_code", "by"}
    suspension_asked: Mapped[dict[str, Any] | None]  # {"reason_code", "until", "by"}
    resume_on: Mapped[datetime | None]
    stands_since: Mapped[datetime | None]  # the reply clock; what was due then stands beside it
    stands_due_at: Mapped[datetime | None]
    urge_count: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    last_urged_at: Mapped[datetime | None]
    supervise_level: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    order_open: Mapped[bool] = mapped_column(server_default=sql("false"))
    drafted_by: Mapped[UUID | None]
    sampled: Mapped[bool] = mapped_column(server_default=sql("false"))  # for a call-back
    called_back_at: Mapped[datetime | None]
    reopens: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    reviewed_by: Mapped[UUID | None]  # who decided the last reopening
    rejection_asked: Mapped[dict[str, Any] | None]  # {"ground_code", "note", "where", "by"}
    master_id: Mapped[UUID | None] = mapped_column(ForeignKey("requests.id"))
    followers: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    settled_by_grid: Mapped[bool] = mapped_column(server_default=sql("false"))


class RequestEvent(Base):
    """One line of the history: who did what, when, why. Never updated, never deleted."""

    __tablename__ = "request_events"
    __table_args__ = (
        Index(
            "ix_request_events_watched",
            "action",
            "at",
            postgresql_where=sql("action IN ('withdraw', 'correct')"),
        ),
    )

    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    action: Mapped[Action]
    state: Mapped[State]  # after the action
    actor_id: Mapped[UUID]
    actor_role: Mapped[str] = mapped_column(String(20))
    unit_code: Mapped[str | None] = mapped_column(String(40))  # of the request, after the action
    note: Mapped[str | None] = mapped_column(Text)  # for staff
    public_note: Mapped[str | None] = mapped_column(Text)  # for everybody who sees the request
    facts: Mapped[dict[str, Any] | None]


class RequestClock(Base):
    """One promise of one cycle: a contact, a reply, a window for rating.

    Breach is read from ``due_at`` and ``stopped_at``; the sweep only tells of it.
    """

    __tablename__ = "request_clocks"
    __table_args__ = (
        Index(
            "ix_request_clocks_pending",
            "next_fire_at",
            postgresql_where=sql("next_fire_at IS NOT NULL"),
        ),
    )

    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    metric: Mapped[Metric] = mapped_column(primary_key=True)
    state: Mapped[ClockState]
    started_at: Mapped[datetime]
    due_at: Mapped[datetime]
    original_due_at: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    next_level: Mapped[str | None] = mapped_column(String(20))
    next_fire_at: Mapped[datetime | None]


class ClockFire(Base):
    """A rung of a ladder that was told. The key makes telling it twice impossible."""

    __tablename__ = "clock_fires"

    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    metric: Mapped[Metric] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(String(20), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    fire_at: Mapped[datetime]  # when the rung was reached
    fired_at: Mapped[datetime]  # when the sweep came by


class ContactLog(Base):
    """An attempt to speak with the resident (联系登记)."""

    __tablename__ = "request_contacts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), index=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger)
    method: Mapped[ContactMethod]
    result: Mapped[ContactResult]
    at: Mapped[datetime]
    note: Mapped[str | None] = mapped_column(Text)
    by: Mapped[UUID]
    recorded_at: Mapped[datetime]


class Reply(Base):
    """What the unit answers: the closing form of one cycle."""

    __tablename__ = "request_replies"
    __table_args__ = (
        Index("ix_request_replies_soon", "sent_at", "took", postgresql_where=sql(ANSWERED_SOON)),
    )

    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    public_reply: Mapped[str] = mapped_column(Text)
    internal_note: Mapped[str | None] = mapped_column(Text)
    factual: Mapped[bool | None]  # 诉求属实?
    solved: Mapped[Solved]
    unsolved_reason: Mapped[str | None] = mapped_column(Text)
    result_type: Mapped[ReplyResult]
    planned_on: Mapped[date | None]  # of what was put on a plan
    by: Mapped[UUID]
    at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # None: a draft, which the resident does not see
    took: Mapped[timedelta | None]  # since the unit that sent it had got the request


class Rating(Base):
    """What the resident says of one cycle.

    Beside it stands what was known when it was last written (``requests.crowds``): who had
    answered, and how many ratings were near, this one among them.
    """

    __tablename__ = "request_ratings"
    __table_args__ = (
        CheckConstraint("satisfaction BETWEEN 1 AND 5", name="one_to_five"),
        # Those near one another.
        Index("ix_request_ratings_account", "resident_id", "at"),
        Index("ix_request_ratings_unit", "unit_code", "at"),
        # Those that a finding may begin with: few, however many ratings there are.
        Index(
            "ix_request_ratings_by_account",
            "at",
            "resident_id",
            "of_account",
            postgresql_where=sql(CROWD_BY_ACCOUNT),
        ),
        Index(
            "ix_request_ratings_of_unit",
            "at",
            "unit_code",
            "of_unit",
            postgresql_where=sql(CROWD_OF_UNIT),
        ),
        Index(
            "ix_request_ratings_denied",
            "at",
            postgresql_include=["request_id", "cycle_no", "unit_code"],
            postgresql_where=sql(CONTACT_DENIED),
        ),
    )

    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    cycle_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    resident_id: Mapped[UUID]
    contacted: Mapped[bool]
    solved: Mapped[Solved]
    satisfaction: Mapped[int] = mapped_column(SmallInteger)
    reasons: Mapped[list[str]]
    text: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime]
    unit_code: Mapped[str | None] = mapped_column(String(40))  # None: settled by the grid
    of_account: Mapped[int]  # by the same account, ``ACCOUNT_AT_MOST`` away
    of_unit: Mapped[int]  # best ones of the same unit, ``BURST_AT_MOST`` away; else 0
