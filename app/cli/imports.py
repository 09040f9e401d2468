"""``lianxin import``: files that a city gets from elsewhere."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import grids, history, registry
from app.cli.place import configured, in_transaction, read_json, say
from app.domain.working_time import SHANGHAI
from app.reference import service as reference
from app.reference.calendar_facts import CalendarDraft
from app.reference.queries import snapshot
from app.reference.service import CalendarImport
from app.sla import recalculation
from app.sla.recalculation import Consequences

commands = typer.Typer(help="Import a file; all of it or nothing.", no_args_is_help=True)
commands.command("grids")(grids.import_grids)
commands.command("legacy-units")(grids.import_legacy_units)
commands.command("requests")(history.import_requests)
commands.command("registry")(registry.import_registry)
_MOVES_SAID = 20
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]


@commands.command("calendar")
def import_calendar(
    file: _File,
    preview: Annotated[bool, typer.Option(help="only say what would move, change nothing")] = False,
) -> None:
    """A year's holiday notice as holiday-JSON: {year, papers, days: [{name, date, isOffDay}]}."""
    document = read_json(file)

    async def look(session: AsyncSession, _: datetime) -> Consequences:
        prepared = await reference.prepare(session, CalendarDraft(years=[document]))
        calendar = prepared.facts.calendar(prepared.version)
        return await recalculation.consequences(session, await snapshot(session), calendar)

    async def work(session: AsyncSession, now: datetime) -> CalendarImport:
        return await reference.import_calendar(session, document, now=now)

    settings = configured()
    _say_moves(in_transaction(settings, look))
    if preview:
        return
    done = in_transaction(settings, work)
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


def _say_moves(found: Consequences) -> None:
    """The open requests whose due time moves, which the worker does within seconds."""
    say(
        f"due times of open requests that move: {found.total}"
        f" ({found.later} later, {found.earlier} earlier);"
        f" provisional promises that become firm: {found.confirmed}"
    )
    for move in found.moves[:_MOVES_SAID]:
        before, after = (at.astimezone(SHANGHAI) for at in (move.due_before, move.due_after))
        say(f"  {move.number} {move.metric}: {before:%Y-%m-%d %H:%M} -> {after:%Y-%m-%d %H:%M}")
    if found.total > _MOVES_SAID:
        say(f"  … and {found.total - _MOVES_SAID} more")
