"""``lianxin import registry`` and ``lianxin registry demo``: 人地房 from files, or made up."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.place import Keys, configured, fail, in_transaction, say
from app.domain.registry import Kind, Outcome
from app.grids import demo as demo_city
from app.registry import demo, sheets
from app.registry.columns import layout_of
from app.registry.importing import CHUNK, Counts, Importer, Parsed
from app.registry.sheets import BadRows, Row, Sheet
from app.settings import Settings
from app.store.crypto import FieldCipher

commands = typer.Typer(help="The registers of people, land and houses.", no_args_is_help=True)


class Register(StrEnum):
    PERSONS = "persons"
    HOUSEHOLDS = "households"
    HOUSES = "houses"
    BUILDINGS = "buildings"
    PLOTS = "plots"


_KINDS = {
    Register.PERSONS: Kind.PERSON,
    Register.HOUSEHOLDS: Kind.HOUSEHOLD,
    Register.HOUSES: Kind.HOUSE,
    Register.BUILDINGS: Kind.BUILDING,
    Register.PLOTS: Kind.PLOT,
}


def import_registry(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    kind: Annotated[Register, typer.Option(help="which register the file is for")],
    apply: Annotated[
        bool, typer.Option("--apply", help="write; without it only say what would be done")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="also over what grid staff have seen on the spot")
    ] = False,
    bad: Annotated[
        Path | None, typer.Option(help="where bad rows go; beside the file by default")
    ] = None,
) -> None:
    """A register from CSV (UTF-8 or GB18030) or XLSX. Bad rows come back in a file with 错误."""
    settings = configured()
    cipher = cipher_of(settings)

    async def work(session: AsyncSession, now: datetime) -> tuple[Counts, Path | None]:
        with _bar() as bar:
            sheet = sheets.open_sheet(file)
            return await import_sheet(
                session,
                cipher,
                sheet,
                _KINDS[kind],
                apply=apply,
                overwrite=overwrite,
                bad=bad
                or file.with_name(f"{file.stem}.错误{'.csv' if sheet.encoding else '.xlsx'}"),
                now=now,
                bar=bar,
            )

    began = time.monotonic()
    counts, back = in_transaction(settings, work)
    _say(counts, apply=apply)
    if back is not None:
        say(
            f"bad rows, with the reason of each, are in {back} (personal data: delete it after use)"
        )
    say(f"{counts.rows} rows in {time.monotonic() - began:.1f} s")
    if not apply:
        say("this was a preview, nothing was changed; write with --apply")


async def import_sheet(
    session: AsyncSession,
    cipher: FieldCipher,
    sheet: Sheet,
    kind: Kind,
    *,
    apply: bool,
    bad: Path,
    now: datetime,
    overwrite: bool = False,
    bar: Progress | None = None,
) -> tuple[Counts, Path | None]:
    """Take a sheet in the session's transaction; what became of it, and where bad rows are.

    Raises: SheetRefused, HeaderRefused, ImportRunning: nothing was changed.
    """
    rows = sheet.rows()
    first = next(rows, None)
    if first is None:
        raise sheets.SheetRefused("文件中没有任何内容")
    header = [it for it in first.cells if it != BadRows.COLUMN]
    layout = layout_of(kind, first.cells)
    if layout.ignored:
        say(f"columns that are not taken: {'、'.join(layout.ignored)}")
    importer = Importer(session, cipher, kind, layout, apply=apply, overwrite=overwrite, now=now)
    task = bar.add_task(str(kind), total=max(sheet.about_rows, 1)) if bar else None
    await importer.open()
    with BadRows(bad, header, xlsx=sheet.encoding is None) as back:
        async for chunk in _chunks(importer, rows):
            for row, errors in await importer.take(chunk):
                back.add(row.cells[: len(header)], errors)
            if bar and task is not None:
                bar.update(task, completed=importer.counts.rows)
        if bar and task is not None:
            bar.update(task, total=importer.counts.rows, completed=importer.counts.rows)
        await importer.close(sheet.digest)
        return importer.counts, back.keep()


async def _chunks(importer: Importer, rows: Iterator[Row]) -> AsyncIterator[list[Parsed]]:
    """The rows, read in a thread while the database works on the chunk before."""

    def read() -> list[Parsed]:
        return importer.read(islice(rows, CHUNK))

    following = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        while chunk := await following:
            following = asyncio.ensure_future(asyncio.to_thread(read))
            yield chunk
    finally:
        if not following.done():
            await asyncio.wait([following])
        if not following.cancelled():
            following.exception()  # told already, or of no account any more


def _say(counts: Counts, *, apply: bool) -> None:
    done = counts.of
    would = "" if apply else "would be "
    say(
        f"{would}created {done[Outcome.CREATED]}, {would}updated {done[Outcome.UPDATED]},"
        f" unchanged {done[Outcome.UNCHANGED]}; not taken: {done[Outcome.INVALID]} bad,"
        f" {done[Outcome.CONFLICT]} in conflict with what was seen on the spot"
    )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        transient=True,
    )


def cipher_of(settings: Settings) -> FieldCipher:
    """The service's cipher: by the key of the environment, or that of its data folder.

    Exits where there is neither: with a new key the service could never read what is written.
    """
    given = settings.secret_key.get_secret_value()
    if given:
        return FieldCipher(given)
    if not (settings.data / "secrets.json").exists():
        fail(f"no key in {settings.data}: set LIANXIN_SECRET_KEY to the key of the service")
    return FieldCipher(Keys.of(settings.data, settings.secret_key).secret_key)


@commands.command("demo")
def make_demo(
    share: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="of the full size, for a quick look")
    ] = 1.0,
) -> None:
    """Fill empty registers with made-up people: 210,000 houses, 430,000 persons, 150,000 户."""
    settings = configured()
    if settings.profile == "production":
        fail("made-up people do not belong into a register that is in use")
    cipher = cipher_of(settings)

    async def work(session: AsyncSession, now: datetime) -> dict[Kind, int]:
        return await demo.fill(session, cipher, demo_city.demo_point, share=share, now=now)

    began = time.monotonic()
    made = in_transaction(settings, work)
    told = ", ".join(f"{count} {kind}s" for kind, count in made.items())
    say(f"made {told} in {time.monotonic() - began:.1f} s")
