"""Write an event down where it happens; tell it afterwards.

``record`` joins the caller's transaction. ``deliver`` claims a batch, hands the events to their
subscribers and deletes them, all in one transaction: the effects in our own database happen
exactly once, with any number of deliverers.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import events
from app.domain.events import Event
from app.outbox.models import OutboxEntry
from app.store.session import Database, Statement

MAX_ATTEMPTS = 12
_FIRST_DELAY = timedelta(seconds=2)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """An event on its way to a subscriber. ``key`` is unique for ever: use it against repeats."""

    key: int
    event: Event


Subscriber = Callable[[AsyncSession, Sequence[Told], datetime], Awaitable[None]]
Subscribers = Mapping[type[Event], tuple[Subscriber, ...]]


async def record(session: AsyncSession, *happened: Event, now: datetime) -> None:
    """Write events down in the caller's transaction, to be told from ``now`` on."""
    if happened:
        await session.execute(
            insert(OutboxEntry),
            [
                {"kind": type(event).__name__, "payload": event.payload(), "available_at": now}
                for event in happened
            ],
        )


async def deliver(db: Database, subscribers: Subscribers, *, now: datetime, batch: int) -> int:
    """Tell up to ``batch`` waiting events; return how many were looked at.

    A subscriber that fails costs only its own event: the batch is tried again one by one, and the
    one that fails waits longer each time (2 s doubling, at most an hour).
    """
    waiting = await db.one_statement(_IS_ANY_WAITING, now=now)
    if not waiting or not waiting["is_any"]:
        return 0
    try:
        return await _deliver_together(db, subscribers, now=now, batch=batch)
    except Exception as error:  # noqa: BLE001 - a subscriber may fail in any way; see above
        _log.warning("outbox_batch_failed", error=type(error).__name__)
    return await _deliver_singly(db, subscribers, now=now, batch=batch)


_IS_ANY_WAITING = Statement("""
SELECT min(available_at) <= :now AS is_any FROM outbox WHERE dead_at IS NULL
""")
_waiting = (
    select(OutboxEntry.id)
    .where(OutboxEntry.dead_at.is_(None), OutboxEntry.available_at <= bindparam("now"))
    .order_by(OutboxEntry.available_at, OutboxEntry.id)
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    delete(OutboxEntry)
    .where(OutboxEntry.id.in_(_waiting))
    .returning(OutboxEntry.id, OutboxEntry.kind, OutboxEntry.payload, OutboxEntry.attempts)
    .execution_options(synchronize_session=False)
)
Claimed = Sequence[tuple[int, str, dict[str, Any], int]]


async def _claim(session: AsyncSession, *, now: datetime, batch: int) -> Claimed:
    claimed = await session.execute(_CLAIM, {"now": now, "batch": batch})
    return [(key, kind, payload, attempts) for key, kind, payload, attempts in claimed]


async def _tell(
    session: AsyncSession, claimed: Claimed, subscribers: Subscribers, now: datetime
) -> None:
    """Tell each subscriber once, of all that it wants to hear, in the order of the keys."""
    heard: dict[tuple[int, Subscriber], list[Told]] = {}
    for key, kind, payload, _attempts in sorted(claimed):
        told = Told(key, events.read(kind, payload))
        for place, subscriber in enumerate(subscribers.get(type(told.event), ())):
            heard.setdefault((place, subscriber), []).append(told)
    for (_place, subscriber), batch in heard.items():
        await subscriber(session, batch, now)


async def _deliver_together(
    db: Database, subscribers: Subscribers, *, now: datetime, batch: int
) -> int:
    async with db.transaction() as session:
        claimed = await _claim(session, now=now, batch=batch)
        await _tell(session, claimed, subscribers, now)
    return len(claimed)


async def _deliver_singly(
    db: Database, subscribers: Subscribers, *, now: datetime, batch: int
) -> int:
    for done in range(batch):
        async with db.transaction() as session:
            claimed: Claimed = ()
            try:
                async with session.begin_nested():
                    claimed = await _claim(session, now=now, batch=1)
                    await _tell(session, claimed, subscribers, now)
            except Exception as error:
                if not claimed:
                    raise
                [(key, kind, _payload, attempts)] = claimed
                _log.warning(
                    "outbox_event_failed", kind=kind, outbox_id=key, error=type(error).__name__
                )
                await _put_back(session, key, attempts + 1, now)
        if not claimed:
            return done
    return batch


async def _put_back(session: AsyncSession, key: int, attempts: int, now: datetime) -> None:
    delay = min(_FIRST_DELAY * 2 ** (attempts - 1), timedelta(hours=1))
    await session.execute(
        update(OutboxEntry)
        .where(OutboxEntry.id == key)
        .values(
            attempts=attempts,
            available_at=now + delay,
            dead_at=now if attempts >= MAX_ATTEMPTS else None,
        )
    )
