"""Where a chain stands, for a single statement that writes its entry beside what it tells of.

Logging in and out are such statements: reading the head costs them nothing of its own, because it
rides in the look-up that they make anyway. Nobody locks the chain meanwhile. If somebody else was
faster, the primary key refuses the whole statement, and it is made anew on the newer head.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.audit.service import AuditBusy
from app.domain import audit_chain
from app.domain.audit_chain import Entry
from app.domain.identity import Actor
from app.store.session import Columns, Database, Statement

_ATTEMPTS = 20

# The entry of ``columns``. A FROM or WHERE of the statement around it may follow.
ADD_ENTRY = """
INSERT INTO audit_entries (chain, seq, at, actor_id, actor_role, action, facts, hash)
SELECT :entry_chain::uuid, :entry_seq::int, :entry_at::timestamptz, :entry_actor_id::uuid,
  :entry_actor_role::text, :entry_action::text, :entry_facts::jsonb, :entry_hash::bytea
"""


def join_head(chain: str) -> str:
    """The part of a FROM that adds the columns of ``Head.of``: one row, whether there is a chain
    or not. ``chain`` is the expression of its id."""
    return f"""
    LEFT JOIN LATERAL (
      SELECT seq AS head_seq, at AS head_at, hash AS head_hash FROM audit_entries
      WHERE chain = {chain} ORDER BY seq DESC LIMIT 1
    ) AS head ON true
    CROSS JOIN (SELECT max(day) AS sealed_day FROM audit_roots) AS roots
    """  # noqa: S608 - an expression of ours


_HEAD = Statement(
    f"SELECT head.*, sealed_day FROM (VALUES (:chain::uuid)) AS own(chain) {join_head('own.chain')}"  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of ``chain``; ``seq`` is 0 before there is one."""

    chain: UUID
    seq: int
    at: datetime | None
    hash: bytes
    sealed_day: date | None

    @classmethod
    def of(cls, chain: UUID, row: Columns) -> "Head":
        """From a row that has the columns of ``join_head``."""
        return cls(
            chain,
            row["head_seq"] or 0,
            row["head_at"],
            row["head_hash"] or audit_chain.GENESIS,
            row["sealed_day"],
        )

    def next_entry(
        self, *, actor: Actor, action: str, facts: Mapping[str, object], now: datetime
    ) -> Entry:
        """The entry that follows. ``now`` must be the present: see ``service.first_entry``.

        Raises: FactsUnfit.
        """
        at = now
        if self.sealed_day is not None:
            at = max(at, audit_chain.day_begins(self.sealed_day + timedelta(days=1)))
        previous = None
        if self.at is not None:
            nobody = UUID(int=0)  # of the entry before only number, time and hash are needed
            previous = Entry(self.chain, self.seq, self.at, nobody, "", "", "{}", self.hash)
        return audit_chain.link(
            previous,
            self.chain,
            actor_id=actor.id,
            actor_role=actor.role,
            action=action,
            facts=facts,
            at=at,
        )


def columns(entry: Entry) -> dict[str, object]:
    """The parameters of ``ADD_ENTRY``."""
    return {
        "entry_chain": entry.chain,
        "entry_seq": entry.seq,
        "entry_at": entry.at,
        "entry_actor_id": entry.actor_id,
        "entry_actor_role": entry.actor_role,
        "entry_action": entry.action,
        "entry_facts": entry.facts,
        "entry_hash": entry.hash,
    }


async def one_statement(
    db: Database,
    statement: Statement,
    head: Head,
    told: Callable[[Head], Mapping[str, object]],
    **values: Any,
) -> Columns | None:
    """Run a statement that writes an entry too, and return its first row: both happen, or neither.

    Args:
        head: as it was read a moment ago.
        told: the parameters that depend on the head, mostly ``columns`` of its next entry.

    Raises:
        AuditBusy: too many at once add to this chain.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await db.one_statement(statement, **values, **told(head))
        except asyncpg.UniqueViolationError:
            row = await db.one_statement(_HEAD, chain=head.chain)
            assert row is not None, "it always has a row"  # noqa: S101
            head = Head.of(head.chain, row)
    raise AuditBusy(retry_after_s=1)
