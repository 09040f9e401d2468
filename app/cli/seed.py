"""``lianxin seed``: the reference data, and on a demo system a whole city to try things in."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli import city_year, demo
from app.cli.founding import demo_log_ins, seed_city, seed_reference
from app.cli.migrate import migrate_or_fail
from app.cli.place import Keys, configured, database_url, fail, say
from app.settings import Settings
from app.statistics.city_year import RECEIVED
from app.store.session import Database


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
