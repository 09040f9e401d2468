"""网格先办: what the grid leader did not settle in time goes to the unit of its rule."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.identity import SYSTEM
from app.domain.states import Action
from app.requests import service, submission
from app.requests.city import City
from app.requests.forms import AssignIn
from app.requests.models import CitizenRequest

JOB = "release_grid_first"

_TO_RELEASE = text("""
SELECT id FROM requests WHERE state = 'triage' AND grid_until <= :now
ORDER BY grid_until LIMIT 1 FOR UPDATE SKIP LOCKED
""")


async def release_next(session: AsyncSession, city: City, *, now: datetime) -> bool:
    """Give one request whose time in the grid is over to its unit; whether there was one.

    Where no rule names a unit any more, or no category was said, the dispatcher has it.
    """
    request_id = await session.scalar(_TO_RELEASE, {"now": now})
    if request_id is None:
        return False
    request = await session.get_one(CitizenRequest, request_id)
    choice = submission.choose_unit(
        city,
        request.category_code,
        request.grid_code,
        kind=request.kind,
        at=request.submitted_at,
    )
    if choice.unit_code is None or request.category_code is None:
        request.grid_until = None
        facts = {"version": request.version, "job": JOB}
        await audit.append(
            session, request.id, actor=SYSTEM, action="grid_first_over", facts=facts, now=now
        )
        return True
    await service.act(
        session,
        city,
        request.id,
        Action.ASSIGN,
        AssignIn(unit_code=choice.unit_code, note="网格先办时间已到，转承办单位"),
        actor=SYSTEM,
        version=None,
        now=now,
        job=JOB,
    )
    return True
