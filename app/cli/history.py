"""``lianxin import requests``: what was done before, to learn from."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.place import configured, fail, in_transaction, say
from app.domain.errors import AppError
from app.intelligence import history_file, service
from app.intelligence.history_file import LAYOUTS, Case, Layout, Reading

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
Preset = Annotated[str, typer.Option(help=f"names of the columns: {', '.join(LAYOUTS)}")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="FIELD=COLUMN, for a column with another name; may be repeated"),
]
_SHOWN = 10


def import_requests(
    file: File,
    preset: Preset = "plain",
    column: Columns = None,
    origin: Annotated[
        str | None, typer.Option(help="what the file is called in the history; its own name")
    ] = None,
) -> None:
    """Requests of another system (CSV, also gzip) as history to learn routing from; all or nothing.

    Rows known already (same origin, same id) stay as they are.
    """
    layout, reading = layout_of(preset, column), Reading()
    named = origin or file.name.partition(".")[0]

    async def work(session: AsyncSession, now: datetime) -> tuple[int, int]:
        cases = history_file.read(file, layout, reading)
        return await service.import_cases(session, cases, origin=named, now=now)

    seen, new = in_transaction(configured(), work)
    say(f"{reading.rows} rows: {new} new, {seen - new} known already")
    if reading.left_out:
        lines = ", ".join(map(str, reading.left_out[:_SHOWN]))
        more = " …" if len(reading.left_out) > _SHOWN else ""
        say(f"{len(reading.left_out)} left out, without a unit or a matter: lines {lines}{more}")


def layout_of(preset: str, columns: Sequence[str] | None) -> Layout:
    """The preset with what the command line says otherwise. Exits with a clear line."""
    named: dict[str, str] = {}
    for word in columns or ():
        name, equals, column = word.partition("=")
        if not equals or not column:
            fail(f"--column {word}: write FIELD=COLUMN")
        named[name] = column
    try:
        return history_file.layout_of(preset, named)
    except AppError as error:
        fail(error.detail or error.title())


def read_cases(file: Path, layout: Layout) -> list[Case]:
    """All cases of a file. Exits with a clear line."""
    try:
        return list(history_file.read(file, layout, Reading()))
    except AppError as error:
        fail(f"{file}: {error.detail or error.title()}")
    except OSError as error:
        fail(f"cannot read {file}: {error}")
