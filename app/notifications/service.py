"""Telling people: events become messages in the inbox of whoever they concern."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.events import ClockFired, RequestEvent, RequestMoved
from app.domain.identity import Actor, Role
from app.domain.quiet_hours import QUIET_NIGHTS, QuietHours
from app.notifications.letters import Audience, letters_for
from app.notifications.models import InboxMessage
from app.outbox.service import Told
from app.people import queries as people

LATE_FROM_S = 60
_TOWN = 9  # digits of a town's code
_COMMUNITY = 12
_GRID = 15


class _Recipients:
    """Finds out whom an audience means, asking the database once per unit, town or grid."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._known: dict[tuple[Audience, str | None], frozenset[UUID]] = {}

    async def of(self, audience: Audience, event: RequestEvent) -> frozenset[UUID]:
        if audience is Audience.RESIDENT:
            return frozenset({UUID(event.resident_id)}) if event.resident_id else frozenset()
        key = (audience, self._subject(audience, event))
        if key not in self._known:
            self._known[key] = frozenset(m.id for m in await self._look_up(*key))
        return self._known[key]

    @staticmethod
    def _subject(audience: Audience, event: RequestEvent) -> str | None:
        match audience:
            case Audience.UNIT | Audience.HANDLERS:
                return event.unit_code
            case Audience.CO_UNIT:
                return event.co_unit_code if isinstance(event, RequestMoved) else None
            case Audience.DESK:
                return event.grid_code[:_TOWN] if event.grid_code else None
            case Audience.GRID:
                return event.grid_code
            case _:
                return None

    async def _look_up(
        self, audience: Audience, subject: str | None
    ) -> Iterable[people.StaffMember]:
        match audience:
            case Audience.UNIT | Audience.CO_UNIT if subject:
                return await people.staff_of_unit(self._session, subject)
            case Audience.HANDLERS if subject:
                return await people.staff_of_unit(self._session, subject, (Role.HANDLER,))
            case Audience.DESK:
                return await people.dispatchers_for(self._session, subject)
            case Audience.GRID if subject:
                path = {subject[:length] for length in (_TOWN, _COMMUNITY, _GRID)} | {subject}
                return await people.leaders_of(self._session, path)
            case Audience.SUPERVISORS:
                return await people.by_role(self._session, Role.SUPERVISOR)
            case _:
                return ()


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
    recipients = _Recipients(session)
    messages: dict[tuple[int, UUID], dict[str, Any]] = {}
    for item in told:
        event = item.event
        doer = event.actor_id if isinstance(event, RequestMoved) else None
        for letter in letters_for(event):
            for person in await recipients.of(letter.to, event):
                if str(person) == doer:
                    continue  # nobody needs to be told what they have just done
                messages[item.key, person] = {
                    "event_key": item.key,
                    "recipient_id": person,
                    "request_id": UUID(event.request_id),
                    "number": event.number,
                    "event": type(event).__name__,
                    "title": letter.title,
                    "body": letter.body.format(number=event.number),
                    "occurred_at": datetime.fromisoformat(event.at),
                    "created_at": now,
                    "visible_at": quiet.visible_at(now) if letter.may_wait else now,
                    "fired_late_by_s": _late_by_s(event),
                }
    if messages:
        await session.execute(
            insert(InboxMessage).on_conflict_do_nothing(), list(messages.values())
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
