"""Figures as they were published, and files that were made of figures."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    event,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.audit.models import append_only
from app.domain.identity import Role
from app.statistics.kinds import ExportFormat, ExportState
from app.store.base import Base, new_id


class FigureSnapshot(Base):
    """已发布的统计: one revision of one period. Never changed; a correction is a new revision.

    ``content`` is canonical JSON, kept as the text that was hashed: a JSON column would write it
    its own way.
    """

    __tablename__ = "figure_snapshots"
    __table_args__ = (
        UniqueConstraint("since", "until", "revision"),
        CheckConstraint("since < until", name="some_time"),
        CheckConstraint("revision >= 1 AND octet_length(hash) = 32", name="well_formed"),
        CheckConstraint(
            "(revision = 1) = (revises IS NULL) AND (revision = 1) = (reason IS NULL)",
            name="corrections_say_why",
        ),
        Index("ix_figure_snapshots_published", sql("published_at DESC"), sql("id DESC")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    since: Mapped[datetime]
    until: Mapped[datetime]
    revision: Mapped[int] = mapped_column(SmallInteger)
    revises: Mapped[UUID | None] = mapped_column(ForeignKey("figure_snapshots.id"))
    title: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(Text)
    definition_version: Mapped[str] = mapped_column(String(20))
    content: Mapped[str] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    published_by: Mapped[UUID]
    published_at: Mapped[datetime]


for _statement in append_only(FigureSnapshot.__tablename__):
    event.listen(FigureSnapshot.__table__, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]


class Export(Base):
    """导出: a file that is asked for, made by a job, fetched by a link, and deleted again.

    ``attempt`` fences: who was slow and whose lease another took over writes nothing any more.
    ``digest``: SHA-256 of the figures in it; ``sha256``: of the file.
    """

    __tablename__ = "statistics_exports"
    __table_args__ = (
        CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name="running_is_leased"
        ),
        CheckConstraint(
            "state NOT IN ('done', 'expired') OR expires_at IS NOT NULL AND sha256 IS NOT NULL"
            " AND digest IS NOT NULL AND size_bytes IS NOT NULL",
            name="done_whole",
        ),
        Index(
            "ix_statistics_exports_open",
            "asked_at",
            postgresql_where=sql("state IN ('queued', 'running')"),
        ),
        Index("ix_statistics_exports_kept", "expires_at", postgresql_where=sql("state = 'done'")),
        Index("ix_statistics_exports_of", "asked_by", sql("asked_at DESC"), sql("id DESC")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    state: Mapped[ExportState]
    format: Mapped[ExportFormat]
    query: Mapped[dict[str, Any]]
    asked_by: Mapped[UUID]
    asked_role: Mapped[Role]
    asked_at: Mapped[datetime]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"))
    lease_until: Mapped[datetime | None]
    done_rows: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    total_rows: Mapped[int | None] = mapped_column(BigInteger)
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_text: Mapped[str | None] = mapped_column(Text)


# --- sums: nothing here is the truth; all of it follows from ``requests`` and may be deleted ------


class Span(Base):
    """How far a cohort (what was submitted on one local day), or those of one month, are summed.

    Attributes:
        span: ``day`` or ``month``; [first, past) are local days.
        ready: its sums may be read; else too many of its requests may still change by themselves.
        live: requests that are not in the sums, because what they count for may change with time.
    """

    __tablename__ = "statistics_spans"
    __table_args__ = (CheckConstraint("first < past", name="some_time"),)

    span: Mapped[str] = mapped_column(String(5, collation="C"), primary_key=True)
    first: Mapped[date] = mapped_column(primary_key=True)
    past: Mapped[date]
    computed_at: Mapped[datetime]
    ready: Mapped[bool]
    live: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))


class Sum(Base):
    """The cells of one span by one facet and one instant, as vectors: see ``statistics.sums``.

    Attributes:
        low, high: the first and the last bucket there is.
        cells: how many, in the order of bucket and codes.
        buckets: of each cell, days since 1970, int32; none where there is but ``low``.
        codes: of each cell, by ``SumKey``, int32; one vector after the other where there are two.
        counts: int32, and ``people``: uint64; one vector for each condition, each denominator.
            All are little-endian.
    """

    __tablename__ = "statistics_sums"

    facet: Mapped[str] = mapped_column(String(24, collation="C"), primary_key=True)
    instant: Mapped[str] = mapped_column(String(40, collation="C"), primary_key=True)
    span: Mapped[str] = mapped_column(String(5, collation="C"), primary_key=True)
    first: Mapped[date] = mapped_column(primary_key=True)
    low: Mapped[date]
    high: Mapped[date]
    cells: Mapped[int]
    buckets: Mapped[bytes | None] = mapped_column(LargeBinary)
    codes: Mapped[bytes] = mapped_column(LargeBinary)
    counts: Mapped[bytes] = mapped_column(LargeBinary)
    people: Mapped[bytes] = mapped_column(LargeBinary)


class Cohort(Base):
    """What each request of a cohort counts for, as columns: see ``statistics.cohorts``.

    Attributes:
        first: the local day of submission.
        holds_until: then time itself changes what one of them counts for; None: never.
        apart: who is excluded from some figure. What is said of them here is not so.
        columns: one after the other, each of ``requests`` values.
    """

    __tablename__ = "statistics_cohorts"

    first: Mapped[date] = mapped_column(primary_key=True)
    computed_at: Mapped[datetime]
    holds_until: Mapped[datetime | None]
    requests: Mapped[int]
    apart: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    columns: Mapped[bytes] = mapped_column(LargeBinary)


class SumKey(Base):
    """The number of a key in ``Sum.codes``. ``key``: empty where nobody knows it."""

    __tablename__ = "statistics_keys"
    __table_args__ = (UniqueConstraint("code", "key"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(String(12, collation="C"))
    key: Mapped[str] = mapped_column(String(60, collation="C"))


class SumState(Base):
    """One row: by which definitions, and until when changes were looked for."""

    __tablename__ = "statistics_state"
    __table_args__ = (CheckConstraint("one = 1", name="one_row"),)

    one: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    definitions: Mapped[str] = mapped_column(String(64))
    checked_at: Mapped[datetime]


# Out of line as it is, a part of a vector is read without the rest; packed, only as a whole.
for _table, _columns in (
    (Sum, ("buckets", "codes", "counts", "people")),
    (Cohort, ("columns",)),
):
    for _column in _columns:
        event.listen(
            _table.__table__,
            "after_create",
            DDL(  # type: ignore[no-untyped-call]
                f"ALTER TABLE {_table.__tablename__} ALTER COLUMN {_column} SET STORAGE EXTERNAL"
            ),
        )
