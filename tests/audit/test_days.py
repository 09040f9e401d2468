"""Sealing: every finished day once, whoever does it, and nothing can slip in behind."""

import asyncio
import tracemalloc
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.audit import queries
from app.audit import service as audit
from app.domain.audit_chain import (
    GENESIS,
    Entry,
    SealedDay,
    local_day,
    merkle_root,
    verify_days,
)
from app.domain.identity import SYSTEM
from app.store.session import Database

CHINA = timezone(timedelta(hours=8))
EMPTY = merkle_root([])


def at(day: int, hour: int = 9, minute: int = 0, microsecond: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, 0, microsecond, tzinfo=CHINA).astimezone(UTC)


@pytest.fixture(autouse=True)
async def nothing_yet(db: Database) -> None:
    """Each test begins with empty tables (which only the server's superuser can make so)."""
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("TRUNCATE audit_entries, audit_roots"))


async def append(db: Database, now: datetime, chain: UUID | None = None) -> Entry:
    async with db.transaction() as session:
        return await audit.append(
            session, chain or uuid4(), actor=SYSTEM, action="sweep", facts={}, now=now
        )


async def seal_days(db: Database, now: datetime) -> list[SealedDay]:
    async with db.transaction() as session:
        return list(await audit.seal_days(session, now))


async def roots(db: Database) -> list[SealedDay]:
    async with db.transaction() as session:
        return list(await queries.roots(session))


async def test_nothing_is_sealed_before_anything_happened(db: Database) -> None:
    assert await seal_days(db, at(9)) == []
    assert await roots(db) == []


async def test_a_day_is_sealed_when_it_is_over_and_all_are_done_with_it(db: Database) -> None:
    await append(db, at(2))
    assert await seal_days(db, at(2, 23, 59)) == []
    assert await seal_days(db, at(3, 0, 59)) == []
    [sealed] = await seal_days(db, at(3, 1))
    assert (sealed.day, sealed.entries, sealed.previous_hash) == (date(2026, 3, 2), 1, GENESIS)
    assert await seal_days(db, at(3, 5)) == []
    assert await roots(db) == [sealed]


async def test_midnight_in_shanghai_parts_the_days(db: Database) -> None:
    last = await append(db, at(2, 23, 59) + timedelta(seconds=59, microseconds=999_999))
    first = await append(db, at(3, 0))
    one, two = await seal_days(db, at(4, 1))
    assert (one.day, one.root) == (date(2026, 3, 2), merkle_root([last.hash]))
    assert (two.day, two.root) == (date(2026, 3, 3), merkle_root([first.hash]))


async def test_the_root_is_over_all_entries_by_chain_and_number(db: Database) -> None:
    chains = sorted(uuid4() for _ in range(4))
    entries = [
        await append(db, at(2, 9 + turn, number), chain)
        for turn in range(3)
        for number, chain in enumerate(reversed(chains))
    ]
    [sealed] = await seal_days(db, at(3, 1))
    entries.sort(key=lambda e: (e.chain, e.seq))
    assert sealed.entries == 12
    assert sealed.root == merkle_root([entry.hash for entry in entries])


async def test_days_on_which_nothing_happened_are_sealed_too(db: Database) -> None:
    await append(db, at(2))
    await append(db, at(6))
    sealed = await seal_days(db, at(8, 12))
    assert [day.entries for day in sealed] == [1, 0, 0, 0, 1, 0]
    assert [day.root for day in sealed if not day.entries] == [EMPTY] * 4
    assert verify_days(sealed) is None
    assert verify_days(await roots(db)) is None


async def test_a_day_goes_on_where_the_last_one_ended(db: Database) -> None:
    await append(db, at(2))
    await seal_days(db, at(3, 1))
    await append(db, at(3))
    await seal_days(db, at(4, 1))
    days = await roots(db)
    assert len(days) == 2
    assert verify_days(days) is None


async def test_of_many_workers_each_day_is_sealed_once(db: Database) -> None:
    for day in range(2, 7):
        await append(db, at(day))
    done = await asyncio.gather(*(seal_days(db, at(7, 2)) for _ in range(8)))
    assert sorted(day.day for sealed in done for day in sealed) == [
        date(2026, 3, day) for day in range(2, 7)
    ]
    assert verify_days(await roots(db)) is None


async def test_an_entry_that_comes_after_the_seal_goes_to_the_next_day(db: Database) -> None:
    chain = uuid4()
    await append(db, at(2), chain)
    [sealed] = await seal_days(db, at(3, 1))
    late = await append(db, at(2, 23, 30), chain)
    assert late.at == at(3, 0)
    [again] = await seal_days(db, at(4, 1))
    assert (again.day, again.entries, again.previous_hash) == (date(2026, 3, 3), 1, sealed.hash)


async def test_an_entry_of_yesterday_waits_for_the_seal_that_is_in_the_making(db: Database) -> None:
    await append(db, at(2))
    async with db.transaction() as session:
        [sealed] = await audit.seal_days(session, at(3, 1))
        late = asyncio.create_task(append(db, at(2, 23, 30)))
        await asyncio.sleep(0.2)
        assert not late.done()
    assert local_day((await late).at) > sealed.day


async def test_while_an_entry_of_yesterday_is_written_no_seal_is_made(db: Database) -> None:
    await append(db, at(2))
    async with db.transaction() as session:
        await audit.append(session, uuid4(), actor=SYSTEM, action="x", facts={}, now=at(2, 23))
        assert await seal_days(db, at(3, 1)) == []
    [sealed] = await seal_days(db, at(3, 1))
    assert sealed.entries == 2


async def test_an_entry_of_today_asks_for_no_lock(db: Database) -> None:
    """The hot path: while a seal is in the making, what happens now is not held up."""
    now = datetime.now(UTC)
    async with db.transaction() as session:
        await session.execute(text(f"SELECT pg_advisory_xact_lock({audit._SEALING})"))
        entry = await asyncio.wait_for(append(db, now), timeout=1.5)
    assert entry.at == now


async def test_a_day_of_any_size_is_sealed_in_the_same_memory(db: Database) -> None:
    many = 50_000
    async with db.transaction() as session:
        await session.execute(
            text("""
            INSERT INTO audit_entries
            SELECT lpad(to_hex(n), 32, '0')::uuid, 1,
              CAST(:at AS timestamptz) + n * interval '1 ms', :actor,
              'system', 'sweep', '{}', sha256(n::text::bytea)
            FROM generate_series(1, :many) AS n
            """),
            {"at": at(2), "actor": SYSTEM.id, "many": many},
        )
    tracemalloc.start()
    try:
        [sealed] = await seal_days(db, at(3, 1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sealed.entries == many
    assert sealed.root == merkle_root(sha256(b"%d" % n).digest() for n in range(1, many + 1))
    assert peak < 3_000_000
