"""Made-up years in a test's own database, and the job that sums them up."""

from datetime import datetime

from sqlalchemy import text

from app.grids import demo
from app.reference import queries as reference
from app.reference import seeds
from app.statistics import city_loading, city_year, rollup_making
from app.statistics.city_year import Ground
from app.store.session import Database


async def ground(db: Database, requests: int, *, now: datetime) -> Ground:
    """The demo city, and what happens in it."""
    async with db.transaction() as session:
        await seeds.seed(session, now=now)
        await demo.seed(session, now=now)
    async with db.transaction() as session:
        known = await reference.snapshot(session)
        return await city_loading.ground_of(session, known, requests)


async def load_2023(db: Database, requests: int, *, seed: int, now: datetime) -> None:
    city = await ground(db, requests, now=now)
    made = city_year.plan(2023, requests, seed=seed, calendar=city.calendar, now=now)
    async with db.transaction() as session:
        await city_loading.load(session, city, made, now=now, processes=0)
        await session.execute(text("ANALYZE requests"))


async def sum_up(db: Database, now: datetime) -> int:
    """Let the job do all there is to do; how many spans that were."""
    made, turns = 0, 0
    while turns < 60:
        async with db.transaction() as session:
            some = await rollup_making.refresh(session, now=now)
        made, turns = made + some, turns + 1
        if not some:
            break
    return made
