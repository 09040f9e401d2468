"""Looking at somebody's personal data in clear: for a reason, so often a day, told for ever.

Who may look at whom is for the features to say (``requests.reveal``, ``registry.reveal``); what a
look costs and leaves behind is the same everywhere.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import audit_chain, privacy
from app.domain.errors import Invalid, TooMany
from app.domain.identity import Actor
from app.web import limits

REVEAL = "reveal"


class RevealBudgetSpent(TooMany):
    """今天查看个人信息的次数已用完，请明天再查看。"""

    code = "reveal_budget_spent"


class ReasonPersonal(Invalid):
    """理由会长期保存，请不要写入姓名、电话、身份证号码或住址。"""

    code = "reason_personal"


async def look(
    session: AsyncSession,
    chain: UUID,
    *,
    reason: str,
    personal: Iterable[str | None],
    facts: Mapping[str, object],
    actor: Actor,
    per_day: int,
    now: datetime,
) -> None:
    """Let ``actor`` look: take one of the day's looks, and write down who looked and why.

    Both or neither, in the caller's transaction, which holds the subject's row.

    Args:
        chain: whose audit it stands in.
        personal: what will be shown; none of it may stand in the reason.
        facts: what else the entry says, by codes and ids.
        per_day: how often one person may look in one local day, at whatever.

    Raises:
        ReasonPersonal: the reason itself tells who it is.
        RevealBudgetSpent: with ``retry_after_s`` until midnight.
    """
    if _tells(reason, personal):
        raise ReasonPersonal
    today = audit_chain.local_day(now)
    try:
        await limits.take_with(
            session,
            f"reveal:{actor.id}",
            per_day,
            starts_at=audit_chain.day_begins(today),
            ends_at=audit_chain.day_begins(today + timedelta(days=1)),
            now=now,
        )
    except TooMany as full:
        raise RevealBudgetSpent(retry_after_s=full.retry_after_s) from None
    await audit.append(
        session, chain, actor=actor, action=REVEAL, facts={"reason": reason, **facts}, now=now
    )


def _tells(reason: str, personal: Iterable[str | None]) -> bool:
    """Whether ``reason`` holds a number, or something of this very person."""
    if privacy.find_personal_data(reason):
        return True
    return any(said is not None and len(said) > 1 and said in reason for said in personal)
