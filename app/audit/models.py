"""What happened and who looked, for ever: rows that are added and never changed.

The database holds this, not only the code, and twice: the right to change, delete or empty these
two tables is taken from everybody, from the role that owns them too; and a trigger refuses it to
whoever has the right again, or needs none. An attempt fails with SQLSTATE 42501. What that does
not prevent, and what answers it: ``docs/decisions/0009-an-audit-that-holds.md``.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DDL, BigInteger, CheckConstraint, Index, LargeBinary, Text, event
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class AuditEntry(Base):
    """One change, or one look at personal data; ``domain.audit_chain.Entry`` as a row.

    No column is personal data: people by id, changes by their codes.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        CheckConstraint("seq >= 1 AND octet_length(hash) = 32", name="well_formed"),
        # Rows come in the order of time: a BRIN index finds a day's and costs an insert almost
        # nothing.
        Index("ix_audit_entries_at", "at", postgresql_using="brin"),
    )

    chain: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor_id: Mapped[UUID]
    actor_role: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditRoot(Base):
    """The seal of one local day (Asia/Shanghai); ``domain.audit_chain.SealedDay`` as a row."""

    __tablename__ = "audit_roots"
    __table_args__ = (CheckConstraint("entries >= 0", name="counts_from_nothing"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    entries: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime]


REFUSE = """
CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = TG_TABLE_NAME || ' is append-only';
END
$$
"""


def append_only(table: str) -> tuple[str, str, str]:
    """The statements that leave of the rights on ``table`` only reading and adding."""
    return (
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM CURRENT_USER, PUBLIC",
        REFUSE,
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    )


for _model in (AuditEntry, AuditRoot):
    for _statement in append_only(_model.__tablename__):
        event.listen(_model.__table__, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
