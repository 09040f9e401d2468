"""``lianxin import``: files that a city gets from elsewhere."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.place import configured, in_transaction, read_json, say
from app.domain.geometry import CoordSys
from app.grids import service as grids
from app.grids.kinds import GridLevel
from app.grids.service import ImportCounts
from app.reference import service as reference
from app.reference.service import CalendarImport

commands = typer.Typer(help="Import a file; all of it or nothing.", no_args_is_help=True)
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]


@commands.command("calendar")
def import_calendar(file: _File) -> None:
    """A year's holiday notice as holiday-JSON: {year, papers, days: [{name, date, isOffDay}]}."""
    document = read_json(file)

    async def work(session: AsyncSession, now: datetime) -> CalendarImport:
        return await reference.import_calendar(session, document, now=now)

    done = in_transaction(configured(), work)
    if not done.changed:
        say(f"{done.year} is already known exactly so; nothing was changed")
        return
    say(
        f"calendar version {done.version}: {done.year} has {done.working_days} working days"
        f" ({done.off_days} days off and {done.make_up_days} make-up days named);"
        f" the calendar covers {done.coverage_from} to {done.coverage_to}"
    )
    if done.missing_festivals:
        say(f"no day off is named for {'、'.join(done.missing_festivals)}: is the file complete?")


@commands.command("grids")
def import_grids(
    file: _File,
    crs: Annotated[CoordSys, typer.Option(help="coordinate system of the positions")],
    level: Annotated[GridLevel, typer.Option(help="which level of the tree the file holds")],
) -> None:
    """Places with their boundaries, a GeoJSON FeatureCollection; parents first."""
    document = read_json(file)

    async def work(session: AsyncSession, now: datetime) -> ImportCounts:
        return await grids.import_geojson(session, document, coord_sys=crs, level=level, now=now)

    counts = in_transaction(configured(), work)
    say(
        f"{counts.created} created, {counts.updated} updated, {counts.unchanged} unchanged,"
        f" {counts.skipped} skipped"
    )
