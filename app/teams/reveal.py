"""Opening a member: name and number in clear. One rule with its statements.

For the grid staff of the place, its dispatchers and the supervisors, for a reason; who looks, when
and why stands in the team's audit (``people.looks``).
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.audit_chain import chain_of
from app.domain.identity import Actor
from app.grids.queries import GridNode
from app.people import looks
from app.store.crypto import FieldCipher
from app.teams import queries
from app.teams.models import MemberRow
from app.teams.queries import MemberNotFound, Personal


async def reveal(
    session: AsyncSession,
    cipher: FieldCipher,
    place: GridNode,
    member_id: UUID,
    *,
    reason: str,
    actor: Actor,
    per_day: int,
    now: datetime,
) -> Personal:
    """Return name and number, and write down who looked and why: both or neither.

    Raises:
        MemberNotFound: also where the place is not the actor's.
        looks.ReasonPersonal, looks.RevealBudgetSpent.
    """
    if not place.code.startswith(queries.root_of(actor)):
        raise MemberNotFound
    row = await session.get(MemberRow, member_id, with_for_update={"key_share": True})
    if row is None or row.grid_code != place.code:
        raise MemberNotFound
    personal = queries.unseal(cipher, row)
    await looks.look(
        session,
        chain_of(f"team:{place.code}"),
        reason=reason,
        personal=(personal.name, personal.phone),
        facts={"member_id": str(member_id)},
        actor=actor,
        per_day=per_day,
        now=now,
    )
    return personal
