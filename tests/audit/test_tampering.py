"""A superuser at the tables, past every grant: the inspection of the real database finds it."""

import random
import tracemalloc
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from app.audit import inspection
from app.audit.inspection import Inspection
from app.store.session import Database
from tests.audit.world import RECORDED, disarmed, stored, world

WHOLE = world(11)
TABLES = ("audit_entries", "audit_roots", "steps")


@pytest.fixture(scope="module")
async def filled(db: Database) -> Database:
    async with db.transaction() as session:
        await stored(session, WHOLE)
    return db


@pytest.fixture
async def intruder(filled: Database) -> AsyncIterator[asyncpg.Connection]:
    """The superuser. What was done is undone after the test."""
    connection = await disarmed(filled.url)
    for table in TABLES:
        await connection.execute(f"CREATE TABLE saved_{table} AS TABLE {table}")
    yield connection
    await restore(connection)
    for table in TABLES:
        await connection.execute(f"DROP TABLE saved_{table}")
    await connection.close()


async def restore(connection: asyncpg.Connection) -> None:
    for table in TABLES:
        await connection.execute(f"TRUNCATE {table}")
        await connection.execute(f"INSERT INTO {table} TABLE saved_{table}")


async def inspected(db: Database) -> Inspection:
    async with db.transaction() as session:
        return await inspection.inspect(session, RECORDED, kept=WHOLE.kept())


async def test_the_untouched_database_is_whole(filled: Database) -> None:
    told: list[tuple[int, int]] = []
    async with filled.transaction() as session:
        found = await inspection.inspect(
            session, RECORDED, kept=WHOLE.kept(), progress=lambda *done: told.append(done)
        )
    assert found.findings == []
    assert (found.chains, found.entries) == (12, len(WHOLE.entries))
    assert told[-1] == (len(WHOLE.entries), len(WHOLE.entries))


PLACE = "(chain, seq) = (SELECT chain, seq FROM audit_entries ORDER BY random() LIMIT 1)"
EDITS = {
    "at": "at = at + interval '1 microsecond' * (1 + floor(random() * 1e9))",
    "at, beyond Python": "at = CASE WHEN random() < 0.5 THEN timestamptz 'infinity'"
    " ELSE timestamptz '0044-03-15 BC' END",
    "actor_id": "actor_id = gen_random_uuid()",
    "actor_role": "actor_role = 'admin'",
    "action": "action = 'rated'",
    "facts, another version": "facts = facts || '{\"version\": 77}'",
    "facts, a fraction": "facts = facts || '{\"version\": 1.5}'",
    "facts, no object": "facts = '[]'",
    "hash": "hash = sha256(hash)",
    "seq": "seq = seq + 1000",
    "chain": "chain = gen_random_uuid()",
}
DAY = "day = (SELECT day FROM audit_roots ORDER BY random() LIMIT 1)"
COMMANDS = {
    **{
        f"edit of {name}": f"UPDATE audit_entries SET {how} WHERE {PLACE}"
        for name, how in EDITS.items()
    },
    "deletion": f"DELETE FROM audit_entries WHERE {PLACE}",
    "whole chain": "DELETE FROM audit_entries WHERE chain = (SELECT chain FROM audit_entries"
    " ORDER BY random() LIMIT 1)",
    "tail": "DELETE FROM audit_entries AS e USING (SELECT chain, seq FROM audit_entries"
    " ORDER BY random() LIMIT 1) AS t WHERE e.chain = t.chain AND e.seq >= t.seq",
    "swap": """
        WITH two AS (SELECT *, row_number() OVER () AS n FROM
          (SELECT * FROM audit_entries ORDER BY random() LIMIT 2) AS any_two)
        UPDATE audit_entries AS e SET at = o.at, actor_id = o.actor_id, facts = o.facts,
          actor_role = o.actor_role, action = o.action, hash = o.hash
        FROM two AS m JOIN two AS o ON o.n <> m.n WHERE e.chain = m.chain AND e.seq = m.seq""",
    "history, who": "UPDATE steps SET actor_id = gen_random_uuid() WHERE ctid ="
    " (SELECT ctid FROM steps ORDER BY random() LIMIT 1)",
    "history, gone": "DELETE FROM steps WHERE ctid ="
    " (SELECT ctid FROM steps ORDER BY random() LIMIT 1)",
    "day, root": f"UPDATE audit_roots SET root = sha256(root) WHERE {DAY}",
    "day, entries": f"UPDATE audit_roots SET entries = entries + 1 WHERE {DAY}",
    "day, sealed_at": f"UPDATE audit_roots SET sealed_at = sealed_at + interval '1 s' WHERE {DAY}",
    "day, gone": f"DELETE FROM audit_roots WHERE {DAY}",
    "days, all gone": "TRUNCATE audit_roots",
    "everything gone": "TRUNCATE audit_entries, audit_roots, steps",
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
async def test_what_a_superuser_did_is_found(
    intruder: asyncpg.Connection, filled: Database, name: str
) -> None:
    for turn in range(3):
        await intruder.execute("SELECT setseed($1)", random.Random(f"{name} {turn}").random())
        done = await intruder.execute(COMMANDS[name])
        assert not done.endswith(" 0"), done
        assert (await inspected(filled)).faults > 0
        await restore(intruder)
    assert (await inspected(filled)).faults == 0


async def test_the_place_of_a_deletion_is_told(
    intruder: asyncpg.Connection, filled: Database
) -> None:
    entry = next(e for e in WHOLE.entries if e.seq == 2)
    await intruder.execute(
        "DELETE FROM audit_entries WHERE chain = $1 AND seq = $2", entry.chain, entry.seq
    )
    first = (await inspected(filled)).findings[0]
    assert (first.chain, first.seq) == (entry.chain, 2)


async def test_a_history_alone_at_the_end_is_seen(
    intruder: asyncpg.Connection, filled: Database
) -> None:
    last = UUID(int=(1 << 128) - 1)
    await intruder.execute(
        "INSERT INTO steps VALUES ($1, 1, 'submit', $1, 'resident'),"
        " ($2, 1, 'submit', $1, 'resident')",
        last,
        UUID(int=0),
    )
    found = await inspected(filled)
    assert [finding.chain for finding in found.findings] == [UUID(int=0), last]


async def test_an_audit_of_any_size_is_read_in_the_same_memory(
    intruder: asyncpg.Connection, filled: Database
) -> None:
    await intruder.execute("""
        INSERT INTO audit_entries
        SELECT lpad(to_hex(n), 32, '0')::uuid, 1, now(), gen_random_uuid(), 'system', 'sweep',
          '{"reason": "made up"}', sha256(n::text::bytea)
        FROM generate_series(1, 12000) AS n
    """)
    tracemalloc.start()
    try:
        found = await inspected(filled)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.entries == 12_000 + len(WHOLE.entries)
    assert found.faults == 12_000
    assert len(found.findings) == 1_000
    assert peak < 6_000_000
