"""Writing the audit: one entry in the transaction of what it tells of, one seal for each day."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import queries
from app.domain import audit_chain
from app.domain.audit_chain import Entry, MerkleTree, SealedDay
from app.domain.errors import Conflict
from app.domain.identity import Actor

# A day is sealed this long after its end. By then whatever took its time from that day is written
# or has failed: a submission cannot live longer than its time-outs, and see ``append``.
GRACE = timedelta(hours=1)
_SEALING = 0x6C69616E78696E02  # advisory lock: "lianxin", 2
_ATTEMPTS = 20
_AT_ONCE = 2_000

_LAST = text("""
SELECT last.seq, last.at, last.hash, roots.sealed,
  (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date AS today
FROM (SELECT max(day) AS sealed FROM audit_roots) AS roots
LEFT JOIN LATERAL (
  SELECT seq, at, hash FROM audit_entries WHERE chain = :chain ORDER BY seq DESC LIMIT 1
) AS last ON true
""")
_ADD = text("""
INSERT INTO audit_entries (chain, seq, at, actor_id, actor_role, action, facts, hash)
VALUES (:chain, :seq, :at, :actor_id, :actor_role, :action, CAST(:facts AS jsonb), :hash)
ON CONFLICT (chain, seq) DO NOTHING
""")
_WAIT_FOR_SEAL = text(f"SELECT pg_advisory_xact_lock_shared({_SEALING})")


class AuditBusy(Conflict):
    """同一内容正被多人同时操作，请稍后再试。"""

    code = "audit_busy"


def first_entry(
    chain: UUID, *, actor: Actor, action: str, facts: Mapping[str, object], now: datetime
) -> Entry:
    """The entry that begins a chain, computed without the database: its fields are the columns of
    ``audit_entries`` (``facts`` as JSON text), for a statement that writes it as a literal row.

    ``now`` must be the present: an entry of a day that is already sealed would look smuggled in.

    Raises: FactsUnfit.
    """
    return audit_chain.link(
        None,
        chain,
        actor_id=actor.id,
        actor_role=actor.role,
        action=action,
        facts=facts,
        at=now,
    )


def next_entry(
    previous: Entry, *, actor: Actor, action: str, facts: Mapping[str, object], now: datetime
) -> Entry:
    """The entry after ``previous``, where both are written by one statement. Raises: FactsUnfit."""
    return audit_chain.link(
        previous,
        previous.chain,
        actor_id=actor.id,
        actor_role=actor.role,
        action=action,
        facts=facts,
        at=now,
    )


async def append(
    session: AsyncSession,
    chain: UUID,
    *,
    actor: Actor,
    action: str,
    facts: Mapping[str, object],
    now: datetime,
) -> Entry:
    """Add an entry to ``chain`` in the caller's transaction and return it.

    The caller holds a lock on the subject (the request's row), so that nobody else adds. Where
    somebody does, the primary key makes this call wait for the other transaction and try again.

    The entry's time is ``now``, but never before the entry it follows, and never in a day that is
    sealed.

    Args:
        facts: what changed, by codes and ids, never a name, a number or a text of a person. The
            entry of a step of a request names its ``version``.

    Raises:
        FactsUnfit: facts that would not come back as they were.
        AuditBusy: too many at once add to this chain.
    """
    for _ in range(_ATTEMPTS):
        last, at = await _last(session, chain, now)
        entry = audit_chain.link(
            last,
            chain,
            actor_id=actor.id,
            actor_role=actor.role,
            action=action,
            facts=facts,
            at=at,
        )
        if await _add(session, entry):
            return entry
    raise AuditBusy(retry_after_s=1)


_HEADS = text("""
SELECT DISTINCT ON (chain) chain, seq, at, hash FROM audit_entries
WHERE chain = ANY(:chains) ORDER BY chain, seq DESC
""")
_STATE = text("""
SELECT (SELECT max(day) FROM audit_roots) AS sealed,
  (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date AS today
""")
_ADD_EACH = text("""
INSERT INTO audit_entries (chain, seq, at, actor_id, actor_role, action, facts, hash)
SELECT chain, seq, at, :actor_id, :actor_role, :action, CAST(facts AS jsonb), decode(hash, 'hex')
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new
  (chain uuid, seq int, at timestamptz, facts text, hash text)
ON CONFLICT (chain, seq) DO NOTHING
""")


async def append_each(
    session: AsyncSession,
    facts_of: Mapping[UUID, Mapping[str, object]],
    *,
    actor: Actor,
    action: str,
    now: datetime,
) -> None:
    """Add one entry to each of many chains, as ``append`` does to one, in a few statements.

    Raises:
        FactsUnfit: facts that would not come back as they were.
        AuditBusy: somebody else adds to one of the chains; the caller holds its subjects' locks, so
            that this is rare.
    """
    if not facts_of:
        return
    state = (await session.execute(_STATE)).one()
    if state.today != audit_chain.local_day(now):
        await session.execute(_WAIT_FOR_SEAL)
        state = (await session.execute(_STATE)).one()
    at = now
    if state.sealed is not None:
        at = max(at, audit_chain.day_begins(state.sealed + timedelta(days=1)))
    heads = {
        row.chain: Entry(row.chain, row.seq, row.at, UUID(int=0), "", "", "{}", row.hash)
        for row in await session.execute(_HEADS, {"chains": list(facts_of)})
    }
    entries = [
        audit_chain.link(
            heads.get(chain),
            chain,
            actor_id=actor.id,
            actor_role=actor.role,
            action=action,
            facts=facts,
            at=at,
        )
        for chain, facts in facts_of.items()
    ]
    rows = [
        {
            "chain": str(entry.chain),
            "seq": entry.seq,
            "at": entry.at.isoformat(),
            "facts": entry.facts,
            "hash": entry.hash.hex(),
        }
        for entry in entries
    ]
    added = await session.execute(
        _ADD_EACH,
        {
            "actor_id": actor.id,
            "actor_role": str(actor.role),
            "action": action,
            "rows": json.dumps(rows),
        },
    )
    assert isinstance(added, CursorResult)  # noqa: S101 - what an INSERT answers
    if added.rowcount != len(entries):
        raise AuditBusy(retry_after_s=1)


async def _last(session: AsyncSession, chain: UUID, now: datetime) -> tuple[Entry | None, datetime]:
    """The entry to follow, and the earliest time that may follow it, ``now`` or later."""
    row = (await session.execute(_LAST, {"chain": chain})).one()
    if row.today != audit_chain.local_day(now):
        # Decided on another day than it is written: the seal of that day may be in the making.
        await session.execute(_WAIT_FOR_SEAL)
        row = (await session.execute(_LAST, {"chain": chain})).one()
    at = now
    if row.sealed is not None:
        at = max(at, audit_chain.day_begins(row.sealed + timedelta(days=1)))
    if row.seq is None:
        return None, at
    # Of the entry before only number, time and hash are needed to follow it.
    return Entry(chain, row.seq, row.at, UUID(int=0), "", "", "{}", row.hash), at


async def _add(session: AsyncSession, entry: Entry) -> bool:
    added = await session.execute(
        _ADD,
        {
            "chain": entry.chain,
            "seq": entry.seq,
            "at": entry.at,
            "actor_id": entry.actor_id,
            "actor_role": entry.actor_role,
            "action": entry.action,
            "facts": entry.facts,
            "hash": entry.hash,
        },
    )
    assert isinstance(added, CursorResult)  # noqa: S101 - what an INSERT answers
    return added.rowcount == 1


# --- days ----------------------------------------------------------------------------------------

_TRY_SEALING = text(f"SELECT pg_try_advisory_xact_lock({_SEALING})")
_TAKE_TIME = text("SET LOCAL statement_timeout = 0")
_LAST_ROOT = text("SELECT * FROM audit_roots ORDER BY day DESC LIMIT 1")
_FIRST_AT = text("SELECT min(at) FROM audit_entries")
_HASHES = text("""
SELECT hash FROM audit_entries WHERE at >= :begins AND at < :ends ORDER BY chain, seq
""")
_SEAL = text("""
INSERT INTO audit_roots (day, entries, root, previous_hash, hash, sealed_at)
VALUES (:day, :entries, :root, :previous_hash, :hash, :sealed_at)
""")


async def seal_days(session: AsyncSession, now: datetime) -> Sequence[SealedDay]:
    """Seal every local day that ended an hour ago or earlier and is not yet sealed; return them.

    From the day of the first entry on no day is left out, so that a day without entries is told
    from a day without a seal. Of several workers one seals, the others return at once. A day's
    entries are sorted by the database and streamed: any number of them takes the same memory.
    """
    if not await session.scalar(_TRY_SEALING):
        return []
    await session.execute(_TAKE_TIME)
    previous = await _last_root(session)
    day = await _first_unsealed(session, previous)
    sealed: list[SealedDay] = []
    while day is not None and audit_chain.day_begins(day + timedelta(days=1)) + GRACE <= now:
        tree = await _tree_of(session, day)
        previous = audit_chain.seal(
            previous, day, entries=tree.leaves, root=tree.root(), sealed_at=now
        )
        await session.execute(
            _SEAL,
            {
                "day": previous.day,
                "entries": previous.entries,
                "root": previous.root,
                "previous_hash": previous.previous_hash,
                "hash": previous.hash,
                "sealed_at": previous.sealed_at,
            },
        )
        sealed.append(previous)
        day += timedelta(days=1)
    return sealed


async def _last_root(session: AsyncSession) -> SealedDay | None:
    row = (await session.execute(_LAST_ROOT)).mappings().one_or_none()
    return None if row is None else queries.sealed_of(row)


async def _first_unsealed(session: AsyncSession, previous: SealedDay | None) -> date | None:
    if previous is not None:
        return previous.day + timedelta(days=1)
    first_at = await session.scalar(_FIRST_AT)
    return None if first_at is None else audit_chain.local_day(first_at)


async def _tree_of(session: AsyncSession, day: date) -> MerkleTree:
    tree = MerkleTree()
    span = {
        "begins": audit_chain.day_begins(day),
        "ends": audit_chain.day_begins(day + timedelta(days=1)),
    }
    hashes = await session.stream(_HASHES, span)
    async for some in hashes.partitions(_AT_ONCE):  # row by row costs a switch of contexts each
        for (leaf,) in some:
            tree.add(leaf)
    return tree
