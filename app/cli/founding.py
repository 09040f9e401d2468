"""What a new database gets before anybody comes: the reference data, and in a demo a whole city."""

from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import demo
from app.cli.place import Keys
from app.grids import demo as demo_city
from app.people.models import Staff
from app.reference import seeds as reference_seeds
from app.reference.models import UnitRow
from app.settings import Settings
from app.store.session import Database
from app.teams import rules as team_rules

_LOCK = 0x73656564  # "seed"


async def _is_empty(session: AsyncSession) -> bool:
    """Nobody can log in and nothing can be responsible: nobody has begun to set it up."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    somebody = await session.scalar(select(Staff.id).limit(1))
    something = await session.scalar(select(UnitRow.code).limit(1))
    return somebody is None and something is None


async def seed_city(db: Database, settings: Settings, keys: Keys, *, now: datetime) -> bool:
    """Fill an empty database with the demo city, all or nothing; False if it was not empty."""
    async with db.transaction() as session:
        if not await _is_empty(session):
            return False
        if not keys.demo:
            keys.make_demo_passwords(settings.data)
        await reference_seeds.seed(session, now=now)
        await team_rules.seed(session, now=now)
        await demo_city.seed(session, now=now)
        hashes = {role: kept["hash"] for role, kept in keys.demo.items()}
        await demo.hire(session, hashes, now=now)
    return True


async def seed_reference(db: Database, *, now: datetime) -> bool:
    """Fill an empty database with what every city needs; False if it was not empty."""
    async with db.transaction() as session:
        if not await _is_empty(session):
            return False
        await reference_seeds.seed(session, now=now)
        await team_rules.seed(session, now=now)
    return True


async def demo_log_ins(db: Database, keys: Keys) -> list[dict[str, str | None]]:
    if not keys.demo:
        return []
    async with db.transaction() as session:
        return await demo.log_ins(session, keys.demo)
