"""Telling what happened: exactly once in our own database, and nobody waits for a broken one."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.domain.events import RequestMoved, RequestSubmitted
from app.outbox import service as outbox
from app.store.session import Statement

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WAITING = Statement("SELECT count(*) AS n, min(attempts) AS attempts FROM outbox")


def happened(number: str) -> RequestSubmitted:
    return RequestSubmitted(
        request_id=str(uuid4()), number=number, at=NOW.isoformat(), state="assigned"
    )


@pytest.fixture(autouse=True)
async def empty(db):
    async with db.transaction() as session:
        await session.execute(text("DELETE FROM outbox"))
        await session.execute(text("CREATE TABLE IF NOT EXISTS heard (number text)"))
        await session.execute(text("DELETE FROM heard"))


async def write(db, *numbers: str) -> None:
    async with db.transaction() as session:
        await outbox.record(session, *(happened(number) for number in numbers), now=NOW)


async def hear(session, told, _now) -> None:
    for item in told:
        await session.execute(
            text("INSERT INTO heard VALUES (:number)"), {"number": item.event.number}
        )


async def heard(db) -> list[str]:
    rows = await db.rows(Statement("SELECT number FROM heard ORDER BY number"))
    return [row["number"] for row in rows]


async def test_an_event_that_is_rolled_back_was_never_written(db):
    async def fail() -> None:
        async with db.transaction() as session:
            await outbox.record(session, happened("1"), now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await db.one_statement(WAITING))["n"] == 0


async def test_every_subscriber_of_a_kind_hears_it_and_it_is_gone(db):
    await write(db, "1", "2")
    subscribers = {RequestSubmitted: (hear, hear), RequestMoved: (hear,)}
    assert await outbox.deliver(db, subscribers, now=NOW, batch=10) == 2
    assert await heard(db) == ["1", "1", "2", "2"]
    assert (await db.one_statement(WAITING))["n"] == 0


async def test_a_batch_is_told_whole_and_in_the_order_in_which_it_was_written(db):
    async with db.transaction() as session:
        for n in range(6):
            kind = {"action": "sign"} if n % 2 else {}
            event = (RequestMoved if kind else RequestSubmitted)(
                request_id=str(uuid4()), number=str(n), at=NOW.isoformat(), state="assigned", **kind
            )
            await outbox.record(session, event, now=NOW - timedelta(seconds=n))
    batches: list[list[str]] = []

    async def note(_session, told, _now) -> None:
        assert [item.key for item in told] == sorted(item.key for item in told)
        batches.append([item.event.number for item in told])

    subscribers = {RequestSubmitted: (note,), RequestMoved: (note, hear)}
    assert await outbox.deliver(db, subscribers, now=NOW, batch=10) == 6
    assert batches == [["0", "1", "2", "3", "4", "5"]]  # one call, whatever kinds they are
    assert await heard(db) == ["1", "3", "5"]


async def test_many_deliverers_together_tell_everything_once(db):
    numbers = sorted(f"{number:03}" for number in range(200))
    await write(db, *numbers)

    async def deliverer() -> None:
        while await outbox.deliver(db, {RequestSubmitted: (hear,)}, now=NOW, batch=11):
            pass

    await asyncio.gather(*(deliverer() for _ in range(4)))
    assert await heard(db) == numbers


async def test_one_that_fails_holds_up_nobody_and_waits_longer_each_time(db):
    async def choosy(session, told, now) -> None:
        await hear(session, told, now)
        if any(item.event.number == "bad" for item in told):
            raise ValueError

    subscribers = {RequestSubmitted: (choosy,)}
    await write(db, "1", "bad", "2")
    await outbox.deliver(db, subscribers, now=NOW, batch=10)
    assert await heard(db) == ["1", "2"]
    waiting = await db.one_statement(WAITING)
    assert (waiting["n"], waiting["attempts"]) == (1, 1)
    assert await outbox.deliver(db, subscribers, now=NOW, batch=10) == 0  # not yet again

    later = NOW
    for _ in range(outbox.MAX_ATTEMPTS):
        later += timedelta(hours=2)
        await outbox.deliver(db, subscribers, now=later, batch=10)
    dead = await db.one_statement(
        Statement("SELECT count(*) AS n FROM outbox WHERE dead_at IS NOT NULL")
    )
    assert dead["n"] == 1  # kept for a person to look at
    assert await outbox.deliver(db, subscribers, now=later + timedelta(days=1), batch=10) == 0
