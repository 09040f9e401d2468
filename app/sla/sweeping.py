"""One turn of the sweep: everything that is due, however many watch, in short transactions."""

import asyncio
from datetime import datetime

from app.requests.city import City
from app.sla import service
from app.sla.service import ClockKey
from app.store.jobs import succeeds
from app.store.session import Database

_SIDE_BY_SIDE = 2


async def sweep(db: Database, city: City, *, now: datetime, batch: int) -> int:
    """Fire every rung that is due at ``now``; return how many rungs were looked at.

    A clock climbs one rung at a time: after an outage it may have several due. What somebody else
    holds, and a step that fails, is left for another time.

    Args:
        batch: so many rungs that only tell are fired in one transaction; a rung at which the clock
            itself takes a step has one of its own.
    """
    fired = 0
    climbed = await service.is_any_due(db, now)
    while climbed:
        before = fired
        fired += await _tell_all(db, city, now, batch)
        for clock in await service.waiting_to_move(db, now):
            fired += await succeeds(_move(db, city, clock, now), job="sweep_clocks")
        climbed = fired > before
    return fired


async def _tell_all(db: Database, city: City, now: datetime, batch: int) -> int:
    """Fire batch after batch; where there are many, some side by side: while one waits for the
    database, another computes."""
    told = await _tell(db, city, now, batch)
    if told < batch:
        return told

    async def go_on() -> int:
        fired = 0
        while more := await _tell(db, city, now, batch):
            fired += more
        return fired

    async with asyncio.TaskGroup() as group:
        tellers = [group.create_task(go_on()) for _ in range(_SIDE_BY_SIDE)]
    return told + sum(teller.result() for teller in tellers)


async def _tell(db: Database, city: City, now: datetime, batch: int) -> int:
    async with db.transaction() as session:
        return await service.tell(session, city, now=now, batch=batch)


async def _move(db: Database, city: City, clock: ClockKey, now: datetime) -> bool:
    async with db.transaction() as session:
        return await service.move(session, city, clock, now=now)
