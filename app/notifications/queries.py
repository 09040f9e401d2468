"""Reading one's own inbox."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from app.domain.identity import Actor
from app.store.session import Database, Statement

_PAGE = Statement("""
SELECT event_key, request_id, number, event, title, body, occurred_at, read_at, fired_late_by_s
FROM inbox_messages
WHERE recipient_id = :recipient_id AND visible_at <= :now AND (:all OR read_at IS NULL)
  AND (:before::bigint IS NULL OR event_key < :before)
ORDER BY event_key DESC LIMIT :limit
""")
_UNREAD = Statement("""
SELECT count(*) AS unread FROM (
  SELECT FROM inbox_messages
  WHERE recipient_id = :recipient_id AND visible_at <= :now AND read_at IS NULL LIMIT 1000
) AS unread_messages
""")


async def page(
    db: Database,
    *,
    actor: Actor,
    unread_only: bool,
    before: int | None,
    limit: int,
    now: datetime,
) -> tuple[Sequence[asyncpg.Record], int]:
    """Return up to ``limit`` + 1 messages, newest first, and the number unread (at most 1,000).

    What quiet hours hold back is not there yet.
    """
    rows = await db.rows(
        _PAGE,
        recipient_id=actor.id,
        all=not unread_only,
        before=before,
        limit=limit + 1,
        now=now,
    )
    counted = await db.one_statement(_UNREAD, recipient_id=actor.id, now=now)
    return rows, counted["unread"] if counted else 0
