"""Putting answered requests on the callers' list (回访名单)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.identity import Actor
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import Action

SAMPLE = "sample"
ACTION_TEXT: dict[str, str] = {SAMPLE: "列入回访名单"}

# A condition on ``requests``: answered, and in this cycle nobody has called yet. As
# ``ix_requests_callable`` says it.
CALLABLE = "requests.state IN ({}) AND requests.called_back_at IS NULL".format(
    ", ".join(
        f"'{state}'"
        for state in sorted({it.source for it in TRANSITIONS if it.action is Action.CALL_BACK})
    )
)

# In the order of ids, so that two draws never wait for each other crosswise.
_LOCK = text(f"""
SELECT id FROM requests WHERE id = ANY(:ids) AND {CALLABLE} ORDER BY id FOR UPDATE
""")  # noqa: S608 - put together from the table of the lifecycle
_MARK = text("UPDATE requests SET sampled = true WHERE id = ANY(:ids) AND NOT sampled")


async def mark_sampled(
    session: AsyncSession,
    request_ids: Collection[UUID],
    *,
    campaign_id: UUID,
    actor: Actor,
    now: datetime,
) -> int:
    """Put the requests on the list, and say so in the audit of each; return how many.

    Those that cannot be called any more are left alone. Nobody else's decision rests on the list,
    so that the request's version stays.
    """
    locked = list(await session.scalars(_LOCK, {"ids": list(request_ids)}))
    await session.execute(_MARK, {"ids": locked})
    facts = {"campaign": str(campaign_id)}
    await audit.append_each(
        session, dict.fromkeys(locked, facts), actor=actor, action=SAMPLE, now=now
    )
    return len(locked)
