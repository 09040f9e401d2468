"""Telling people: events become messages in the inbox of whoever they concern."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.events import ClockFired, LeaderHandedOver, RequestEvent, RequestMoved
from app.domain.identity import Actor
from app.domain.quiet_hours import QUIET_NIGHTS, QuietHours
from app.notifications.letters import TO_SUCCESSOR, letters_for
from app.notifications.models import InboxMessage
from app.notifications.recipients import Recipients
from app.outbox.service import Told

LATE_FROM_S = 60

_WRITE = text("""
INSERT INTO inbox_messages (event_key, recipient_id, request_id, number, event, title, body,
  occurred_at, visible_at, fired_late_by_s, created_at)
SELECT message.*, CAST(:now AS timestamptz)
FROM unnest(CAST(:event_keys AS bigint[]), CAST(:recipients AS uuid[]), CAST(:requests AS uuid[]),
  CAST(:numbers AS text[]), CAST(:events AS text[]), CAST(:titles AS text[]),
  CAST(:bodies AS text[]), CAST(:occurred AS timestamptz[]), CAST(:visible AS timestamptz[]),
  CAST(:late AS integer[])) AS message
ON CONFLICT DO NOTHING
""")
_COLUMNS = (
    *("event_keys", "recipients", "requests", "numbers", "events", "titles", "bodies"),
    *("occurred", "visible", "late"),
)


async def put_in_inbox(
    session: AsyncSession,
    told: Sequence[Told],
    now: datetime,
    *,
    quiet: QuietHours = QUIET_NIGHTS,
) -> None:
    """Subscriber: write the messages that follow from a batch of events, each exactly once.

    What is born in ``quiet`` hours waits for their end, but for what a resident should hear at
    once. The time of the event stays what it is.
    """
    events = [(it.key, it.event) for it in told if isinstance(it.event, RequestEvent)]
    recipients = await Recipients.of_batch(session, [event for _, event in events])
    waits_until = quiet.visible_at(now)
    messages: dict[tuple[int, UUID], tuple[Any, ...]] = {}
    for key, event in events:
        for message in _messages(key, event, recipients, now, waits_until):
            messages[message[0], message[1]] = message
    await _write(session, messages.values(), now)


async def tell_successors(
    session: AsyncSession,
    told: Sequence[Told],
    now: datetime,
    *,
    quiet: QuietHours = QUIET_NIGHTS,
) -> None:
    """Subscriber: tell new leaders of a place what was open there when they came."""
    visible_at = quiet.visible_at(now)
    messages = [
        (
            *(it.key, UUID(event.successor_id), None, None, type(event).__name__),
            *(TO_SUCCESSOR.title, TO_SUCCESSOR.body.format(**event.payload())),
            *(datetime.fromisoformat(event.at), visible_at, None),
        )
        for it in told
        if isinstance(event := it.event, LeaderHandedOver)
    ]
    await _write(session, messages, now)


async def _write(
    session: AsyncSession, messages: Collection[tuple[Any, ...]], now: datetime
) -> None:
    """Write rows as ``_COLUMNS``."""
    if messages:
        columns = zip(*messages, strict=True)
        values = dict(zip(_COLUMNS, map(list, columns), strict=True))
        await session.execute(_WRITE, {**values, "now": now})


def _messages(
    key: int, event: RequestEvent, recipients: Recipients, now: datetime, waits_until: datetime
) -> Iterator[tuple[Any, ...]]:
    """The rows, as ``_COLUMNS``, that one event leads to."""
    doer = event.actor_id if isinstance(event, RequestMoved) else None
    request_id, kind = UUID(event.request_id), type(event).__name__
    occurred_at, late = datetime.fromisoformat(event.at), _late_by_s(event)
    for letter in letters_for(event):
        body = letter.body.format(number=event.number)
        visible_at = waits_until if letter.may_wait else now
        for person in recipients.of(letter.to, event):
            if doer is None or str(person) != doer:  # who has done it need not be told
                yield (
                    *(key, person, request_id, event.number, kind, letter.title, body),
                    *(occurred_at, visible_at, late),
                )


def _late_by_s(event: RequestEvent) -> int | None:
    """How late a clock's rung was noticed, if so late that it should be said."""
    if not isinstance(event, ClockFired) or event.fired_late_by_s < LATE_FROM_S:
        return None
    return event.fired_late_by_s


async def mark_read(
    session: AsyncSession, *, actor: Actor, up_to: int | None, now: datetime
) -> int:
    """Mark the actor's own messages as read, all or up to one; return how many were unread.

    What is not yet shown stays unread.
    """
    unread = update(InboxMessage).where(
        InboxMessage.recipient_id == actor.id,
        InboxMessage.read_at.is_(None),
        InboxMessage.visible_at <= now,
    )
    if up_to is not None:
        unread = unread.where(InboxMessage.event_key <= up_to)
    marked = await session.execute(unread.values(read_at=now).returning(InboxMessage.event_key))
    return len(marked.all())
