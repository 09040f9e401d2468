"""Reading the audit. Who may, the room that owns the chain's subject decides."""

import json
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import audit_chain
from app.domain.audit_chain import Entry, FactsUnfit, SealedDay
from app.store.session import Columns, Database, Statement

_OF_CHAIN = Statement("""
SELECT chain, seq, at, actor_id, actor_role, action, facts, hash FROM audit_entries
WHERE chain = :chain AND seq > :after ORDER BY seq LIMIT :limit
""")
_ROOTS = text("SELECT * FROM audit_roots WHERE day >= :since ORDER BY day")


async def of_chain(
    db: Database, chain: UUID, *, after: int = 0, limit: int = 1_000
) -> Sequence[Entry]:
    """Return up to ``limit`` entries of a chain, oldest first, those with a number over
    ``after``. Reading is itself told: see ``service.append``."""
    rows = await db.rows(_OF_CHAIN, chain=chain, after=after, limit=limit)
    return [entry_of(row) for row in rows]


async def roots(session: AsyncSession, *, since: date = date.min) -> Sequence[SealedDay]:
    """Return the sealed days, oldest first."""
    rows = await session.execute(_ROOTS, {"since": since})
    return [sealed_of(row) for row in rows.mappings()]


def entry_of(row: Columns) -> Entry:
    """A row of ``audit_entries``."""
    return Entry(
        chain=UUID(bytes=row["chain"].bytes),
        seq=row["seq"],
        at=row["at"],
        actor_id=UUID(bytes=row["actor_id"].bytes),
        actor_role=row["actor_role"],
        action=row["action"],
        facts=facts_of(row["facts"]),
        hash=row["hash"],
    )


def facts_of(stored: str) -> str:
    """Facts as they were hashed, from the text that the database makes of them.

    What never was written by this program comes back as it is: its hash does not fit anyway.
    """
    try:
        return audit_chain.canonical(json.loads(stored))
    except (FactsUnfit, TypeError):
        return stored


def sealed_of(row: Columns) -> SealedDay:
    """A row of ``audit_roots``."""
    return SealedDay(
        day=row["day"],
        entries=row["entries"],
        root=row["root"],
        previous_hash=row["previous_hash"],
        hash=row["hash"],
        sealed_at=row["sealed_at"],
    )
