"""``lianxin seed``: the reference data, and on a demo system a whole city to try things in."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import city_year, demo
from app.cli.migrate import migrate_or_fail
from app.cli.place import Keys, configured, database_url, fail, say
from app.grids import demo as demo_city
from app.people.models import Staff
from app.reference import seeds as reference_seeds
from app.reference.models import UnitRow
from app.settings import Settings
from app.statistics.city_year import RECEIVED
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


def seed(
    reference_only: Annotated[
        bool,
        typer.Option(
            "--reference-only", help="categories, units, policies and calendars; no demo city"
        ),
    ] = False,
    year: Annotated[
        int | None,
        typer.Option(min=2000, max=2100, help="a made-up year of requests, in any city without"),
    ] = None,
    requests: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="how many the made-up year has")
    ] = RECEIVED,
    random_seed: Annotated[
        int, typer.Option("--seed", min=0, help="the same number makes the same year")
    ] = 1,
) -> None:
    """Fill an empty database: the demo city, or only the reference data.

    With --year: a whole year of made-up requests, in the city that is there or else in the demo
    city. It is all in the past and archived; stop the service meanwhile.
    """
    settings = configured()
    if settings.profile == "production" and year is not None:
        fail("made-up requests do not belong into a city that is in use")
    if settings.profile == "production" and not reference_only:
        fail("the demo city has accounts for everybody: in production use --reference-only")
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with database_url(settings) as url:
        migrate_or_fail(url)
        began = time.monotonic()
        made = asyncio.run(_seed(settings, url, reference_only=reference_only))
        if year is not None:
            city_year.fill(settings, url, year, requests, seed=random_seed)
    if not made and year is not None:
        return
    if not made:
        fail("the database is not empty; nothing was changed")
    say(f"seeded in {time.monotonic() - began:.1f} s")
    if not reference_only:
        say(f"log-ins are in {settings.data / 'demo.json'}")


async def _seed(settings: Settings, url: str, *, reference_only: bool) -> bool:
    db = Database(url, settings.database)
    now = datetime.now(UTC)
    try:
        if reference_only:
            return await seed_reference(db, now=now)
        keys = Keys.of(settings.data, settings.secret_key)
        made = await seed_city(db, settings, keys, now=now)
        if made:
            base_url = f"http://{settings.web.host}:{settings.web.port}"
            demo.write_demo_file(settings.data, base_url, await demo_log_ins(db, keys))
        return made
    finally:
        await db.close()
