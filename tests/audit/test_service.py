"""Adding to a chain: in the caller's transaction, after what is there, however many do it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from app.audit import queries
from app.audit import service as audit
from app.audit.models import AuditEntry
from app.domain.audit_chain import Entry, FactsUnfit, verify_chain
from app.domain.identity import SYSTEM, Actor, Role
from app.store.session import Database

NOW = datetime(2026, 3, 2, 1, 30, 0, 123456, tzinfo=UTC)
HANDLER = Actor(UUID("01900000-0000-7000-8000-0000000000aa"), Role.HANDLER, unit_code="water")
FACTS = {
    "version": 3,
    "from": "assigned",
    "to": "in_progress",
    "反馈": ["电话", None, True, 10**30],
}


async def append(
    db: Database, chain: UUID, action: str = "sign", now: datetime = NOW, **facts: object
) -> Entry:
    async with db.transaction() as session:
        return await audit.append(
            session, chain, actor=HANDLER, action=action, facts=facts, now=now
        )


async def test_an_entry_comes_back_as_it_was_hashed(db: Database) -> None:
    chain = uuid4()
    entry = await append(db, chain, **FACTS)
    assert (entry.seq, entry.at, entry.actor_id, entry.actor_role) == (
        1,
        NOW,
        HANDLER.id,
        "handler",
    )
    assert entry.said() == FACTS
    assert await queries.of_chain(db, chain) == [entry]


async def test_a_chain_holds_after_many_appends(db: Database) -> None:
    chain = uuid4()
    for number in range(1, 31):
        await append(db, chain, now=NOW + timedelta(seconds=number), version=number)
    entries = await queries.of_chain(db, chain)
    assert [entry.seq for entry in entries] == list(range(1, 31))
    assert verify_chain(entries) is None


async def test_what_is_rolled_back_is_not_told(db: Database) -> None:
    chain = uuid4()
    await append(db, chain)

    async def fail() -> None:
        async with db.transaction() as session:
            await audit.append(session, chain, actor=HANDLER, action="x", facts={}, now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert len(await queries.of_chain(db, chain)) == 1
    assert (await append(db, chain)).seq == 2


async def test_a_late_call_does_not_turn_time_back(db: Database) -> None:
    chain = uuid4()
    first = await append(db, chain)
    second = await append(db, chain, now=NOW - timedelta(minutes=5))
    assert second.at == first.at
    assert verify_chain(await queries.of_chain(db, chain)) is None


async def test_several_entries_of_one_transaction_follow_each_other(db: Database) -> None:
    chain = uuid4()
    async with db.transaction() as session:
        for number in range(3):
            await audit.append(
                session, chain, actor=SYSTEM, action="sweep", facts={"n": number}, now=NOW
            )
    entries = await queries.of_chain(db, chain)
    assert [entry.said()["n"] for entry in entries] == [0, 1, 2]
    assert verify_chain(entries) is None


async def test_fifty_who_hold_no_lock_make_one_chain(db: Database) -> None:
    chain = uuid4()

    async def one(number: int) -> bool:
        try:
            await append(db, chain, n=number)
        except audit.AuditBusy:
            return False
        return True

    written = sum(await asyncio.gather(*(one(number) for number in range(50))))
    entries = await queries.of_chain(db, chain)
    assert len(entries) == written >= 20
    assert verify_chain(entries) is None
    assert len({entry.said()["n"] for entry in entries}) == written


async def test_an_append_waits_for_the_one_before_it(db: Database) -> None:
    chain = uuid4()
    async with db.transaction() as session:
        await audit.append(session, chain, actor=HANDLER, action="one", facts={}, now=NOW)
        other = asyncio.create_task(append(db, chain, "two"))
        await asyncio.sleep(0.1)
        assert not other.done()
    assert (await other).seq == 2
    entries = await queries.of_chain(db, chain)
    assert [entry.action for entry in entries] == ["one", "two"]


async def test_facts_that_would_not_come_back_are_refused(db: Database) -> None:
    with pytest.raises(FactsUnfit):
        await append(db, uuid4(), share=0.5)


async def test_first_entries_are_written_as_literal_rows(db: Database) -> None:
    """As a submission does, which is one statement."""
    chain = uuid4()
    first = audit.first_entry(
        chain, actor=HANDLER, action="submit", facts={"version": 1, "to": "submitted"}, now=NOW
    )
    second = audit.next_entry(
        first, actor=SYSTEM, action="assign", facts={"version": 2, "to": "assigned"}, now=NOW
    )
    async with db.transaction() as session:
        await session.execute(
            insert(AuditEntry),
            [
                {
                    "chain": entry.chain,
                    "seq": entry.seq,
                    "at": entry.at,
                    "actor_id": entry.actor_id,
                    "actor_role": entry.actor_role,
                    "action": entry.action,
                    "facts": entry.said(),
                    "hash": entry.hash,
                }
                for entry in (first, second)
            ],
        )
    third = await append(db, chain, "contact", version=3)
    assert await queries.of_chain(db, chain) == [first, second, third]
    assert verify_chain([first, second, third]) is None


async def test_the_same_number_is_never_given_twice(db: Database) -> None:
    chain = uuid4()
    entry = await append(db, chain)
    again = {"seq": 1, "facts": {}, "at": NOW, "action": "x", "hash": entry.hash}
    row = again | {"chain": chain, "actor_id": HANDLER.id, "actor_role": "handler"}

    async def smuggle() -> None:
        async with db.transaction() as session:
            await session.execute(insert(AuditEntry).values(**row))

    with pytest.raises(IntegrityError):
        await smuggle()


async def test_a_chain_is_read_in_pages(db: Database) -> None:
    chain = uuid4()
    for number in range(5):
        await append(db, chain, n=number)
    assert [e.seq for e in await queries.of_chain(db, chain, limit=2)] == [1, 2]
    assert [e.seq for e in await queries.of_chain(db, chain, after=2, limit=2)] == [3, 4]
    assert [e.seq for e in await queries.of_chain(db, chain, after=5)] == []


async def test_chains_know_nothing_of_each_other(db: Database) -> None:
    one, two = uuid4(), uuid4()
    await append(db, one)
    assert (await append(db, two)).seq == 1
    async with db.transaction() as session:
        assert await session.scalar(select(AuditEntry.seq).where(AuditEntry.chain == two)) == 1
