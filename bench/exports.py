"""``python -m bench.exports``: rows per second and peak memory of exporting a city's figures.

In a database of its own, filled as ``bench.rows`` fills it; the export runs in this process, as it
does in the worker. Memory is that of the whole process, the reference data among it.
"""

import argparse
import asyncio
import base64
import os
import resource
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.identity import Actor, Role
from app.domain.measures import Basis, Measure
from app.grids import demo
from app.grids import queries as grids
from app.reference import queries as reference
from app.reference import seeds
from app.requests.city import City
from app.settings import Settings
from app.statistics import export_job, exporting, snapshots
from app.statistics.dimensions import Dimension, Filters
from app.statistics.kinds import ExportFormat, SheetName
from app.statistics.periods import ZONE
from app.statistics.questions import Query
from app.statistics.views import naming
from app.store.crypto import FieldCipher
from app.store.embedded import EmbeddedPostgres
from app.store.moment import one_moment
from app.store.session import Database
from app.tables import metadata
from bench import rows
from bench.people import Caller, People

_MEASURES = (Measure.RECEIVED, Measure.CLOSED, Measure.SATISFIED, Measure.REPLY_ON_TIME)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.exports", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="requests (400000)")
    parser.add_argument(
        "--formats",
        type=lambda text: [ExportFormat(part) for part in text.split(",")],
        default=list(ExportFormat),
        help="xlsx,csv,json",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lianxin-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "database", durable=False)
        server.start()
        try:
            asyncio.run(_measure(server, Path(folder), options.rows, options.formats))
        finally:
            server.stop()


async def _measure(
    server: EmbeddedPostgres, folder: Path, count: int, formats: list[ExportFormat]
) -> None:
    now = datetime.now(UTC)
    key = base64.b64encode(os.urandom(32)).decode()
    settings = Settings(DATABASE_URL=server.url, secret_key=key, data=folder)  # type: ignore[call-arg]
    engine = create_async_engine(make_url(server.url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    db = Database(server.url, settings.database)
    await db.open()
    try:
        async with db.transaction() as session:
            await seeds.seed(session, now=now)
            await demo.seed(session, now=now)
        people = People([Caller("", str(uuid4())) for _ in range(64)], [], [])
        ours = make_url(server.url).database
        admin_url = make_url(server.admin_url).set(database=ours)
        await rows.fill(admin_url.render_as_string(hide_password=False), count, people)
        city = City(await reference.load(db), await grids.load(db), FieldCipher(key))
        print(await _publication(db, city, now))
        for form in formats:
            print(await _one(db, settings, city, form, now))
    finally:
        await db.close()


async def _publication(db: Database, city: City, now: datetime) -> str:
    """What a preview of last year takes: all figures, in total and by unit, town and category."""
    until = now.astimezone(ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = until.replace(year=until.year - 1)
    actor = Actor(id=uuid4(), role=Role.SUPERVISOR)
    begun = perf_counter()
    async with one_moment(db) as moment:
        await snapshots.compute(
            moment, since, until, actor=actor,
            name=naming(city.reference, city.grids), now=now,
        )  # fmt: skip
    return f"publication of the year before: {perf_counter() - begun:.1f} s"


async def _one(
    db: Database, settings: Settings, city: City, form: ExportFormat, now: datetime
) -> str:
    actor = Actor(id=uuid4(), role=Role.SUPERVISOR)
    since = now - timedelta(days=3 * 365)
    query = Query(_MEASURES, (Dimension.UNIT,), Filters(), since, now, Basis.SUBMITTED)
    async with db.transaction() as session:
        export: Any = await exporting.ask(
            session, query, SheetName.DETAIL, form,
            settings=settings.exports, actor=actor, now=now,
        )  # fmt: skip
    before = _peak_mb()
    begun = perf_counter()
    await export_job.make_next(db, settings, city, clock=export_job.clock_from(now))
    took = perf_counter() - begun
    made: Any = await exporting.get(db, export["id"], actor=actor)
    assert made["state"] == "done", made["error_text"]
    return (
        f"{form:5} {made['done_rows']:>9,} rows {took:7.1f} s {made['done_rows'] / took:>9,.0f}"
        f" rows/s {made['size_bytes'] / 1e6:7.1f} MB, peak RSS {_peak_mb():.0f} MB"
        f" ({before:.0f} MB before)"
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
