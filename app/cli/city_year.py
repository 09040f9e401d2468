"""``lianxin seed --year``: a made-up year of requests, with a bar that shows how far it is."""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from app.cli.place import fail, say
from app.domain.errors import AppError
from app.reference import queries as reference
from app.settings import Settings
from app.statistics import city_loading, city_year
from app.statistics.city_rows import COLUMNS
from app.statistics.city_year import Year
from app.store.session import Database

_LONGEST_S = 3_600


def fill(settings: Settings, url: str, year: int, requests: int, *, seed: int) -> Year:
    """Make up the year and load it, all or nothing. Exits with a clear line where it can't be."""
    began = time.monotonic()
    try:
        made = asyncio.run(_fill(settings, url, year, requests, seed=seed))
    except AppError as error:
        fail(" ".join(filter(None, (error.title(), error.detail))))
    except (OSError, SQLAlchemyError, asyncpg.PostgresError) as error:
        fail(f"the year was not loaded, nothing was changed: {error}")
    say(
        f"{made.received:,} requests of {year} in {time.monotonic() - began:.1f} s:"
        f" {made.closed:,} closed, {made.satisfied:,} of {made.closed:,} rated were satisfied"
    )
    return made


async def _fill(settings: Settings, url: str, year: int, requests: int, *, seed: int) -> Year:
    now = datetime.now(UTC)
    # One statement may last as long as the whole: an index over all rows, a digest of all steps.
    patient = settings.database.model_copy(
        update={"statement_timeout_ms": _LONGEST_S * 1_000,
                "idle_in_transaction_timeout_ms": _LONGEST_S * 1_000}
    )  # fmt: skip
    db = Database(url, patient)
    try:
        with _bar() as bar:
            task = bar.add_task(f"{year}", total=requests)
            async with db.transaction() as session:
                known = await reference.snapshot(session)
                ground = await city_loading.ground_of(session, known, requests)
                made = city_year.plan(year, requests, seed=seed, calendar=ground.calendar, now=now)
                await city_loading.load(
                    session,
                    ground,
                    made,
                    now=now,
                    processes=min(os.cpu_count() or 1, 4),
                    progress=lambda more: bar.update(task, advance=more),
                )
    finally:
        await db.close()
    await _tidy(url)
    return made


async def _tidy(url: str) -> None:
    """What autovacuum would do by and by: until then no figure is quick."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"VACUUM (ANALYZE) {', '.join(COLUMNS)}", timeout=_LONGEST_S)
    finally:
        await connection.close()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
