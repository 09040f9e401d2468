"""Making one export: figures and detail as of one moment, written to a file row by row.

In memory there is never more than one page of rows. Writing and compressing run in a thread, so
that the process goes on answering; a file gets its name when it is whole.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import orjson

from app.domain import measures
from app.domain.errors import AppError
from app.domain.identity import Actor, Role
from app.domain.measures import DEFINITION_VERSION, Measure
from app.requests.city import City
from app.settings import Settings
from app.statistics import (
    detail,
    engine,
    export_files,
    export_sheets,
    exporting,
    frozen,
    queries,
    snapshots,
)
from app.statistics.dimensions import values_of
from app.statistics.engine import Figures
from app.statistics.export_files import Sheet, Writer
from app.statistics.exporting import ExportFailed
from app.statistics.kinds import ExportFormat, SheetName
from app.statistics.questions import Query
from app.statistics.views import Name, naming
from app.statistics.workbook import Value
from app.store.moment import Moment, one_moment
from app.store.session import Columns, Database
from app.web.wire import CHINA

Clock = Callable[[], datetime]
_SMALL = 1_000  # rows of the small sheets written at once


class _GivenUp(Exception):
    """Somebody cancelled the export, or took it over."""


def clock_from(now: datetime) -> Clock:
    """A clock that shows ``now`` and goes on from there."""
    begun = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - begun)


def folder_of(settings: Settings) -> Path:
    return settings.data / "exports"


def path_of(settings: Settings, export_id: UUID, attempt: int, form: ExportFormat) -> Path:
    """Each attempt has a name of its own: a slow one overwrites nothing."""
    return folder_of(settings) / f"{export_id}.{attempt}.{form}"


async def make_next(db: Database, settings: Settings, city: City, *, clock: Clock) -> bool:
    """Claim one export and make it; False if there is none."""
    export = await exporting.claim(db, now=clock())
    if export is None:
        return False
    try:
        if export["attempt"] > exporting.MOST_ATTEMPTS:
            raise ExportFailed
        await _make(db, settings, city, export, clock)
    except _GivenUp:
        pass
    except AppError as error:
        async with db.transaction() as session:
            await exporting.fail(session, export, error, now=clock())
    return True


async def _make(
    db: Database, settings: Settings, city: City, export: Columns, clock: Clock
) -> None:
    """Raises: AppError, _GivenUp."""
    form = ExportFormat(export["format"])
    path = path_of(settings, export["id"], export["attempt"], form)
    scratch = path.with_suffix(".part")
    await asyncio.to_thread(_prepare, path.parent)
    try:
        async with one_moment(db) as moment:
            making = _Making(db, moment, settings, city, export, clock)
            renewing = asyncio.create_task(making.renew(), name="export lease")
            try:
                digest, rows = await making.write(scratch, form)
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
        sha256, size = await asyncio.to_thread(export_files.fingerprint, scratch)
        # The name first: a row that says done has a file, even if this process ends in between.
        await asyncio.to_thread(scratch.replace, path)
        keep = timedelta(hours=settings.exports.keep_hours)
        async with db.transaction() as session:
            await exporting.finish(
                session,
                export,
                digest=digest,
                sha256=sha256,
                size_bytes=size,
                rows=rows,
                expires_at=clock() + keep,
                now=clock(),
            )
    finally:
        await asyncio.to_thread(scratch.unlink, missing_ok=True)


def _prepare(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


class _Making:
    """One attempt at one export."""

    def __init__(
        self,
        db: Database,
        moment: Moment,
        settings: Settings,
        city: City,
        export: Columns,
        clock: Clock,
    ) -> None:
        self._db, self._moment, self._export, self._clock = db, moment, export, clock
        self._at_once = settings.exports.rows_at_once
        self._name: Name = naming(city.reference, city.grids)
        self._actor = Actor(id=export["asked_by"], role=Role(export["asked_role"]))
        self._query, self._wanted = exporting.read(orjson.loads(export["query"]))
        self._done = self._total = 0

    async def write(self, path: Path, form: ExportFormat) -> tuple[bytes, int]:
        """Returns the digest of the figures and the number of rows of the detail."""
        query, now, weights = self._query, self._clock(), measures.CURRENT_WEIGHTS
        # With the parts of what is put together: the detail shows them too.
        whole = replace(
            query, measures=tuple(dict.fromkeys((*query.measures, *query.counted(weights))))
        )
        people = None
        if Measure.PER_1000 in whole.measures:
            people = await queries.residents(self._moment)
        found = await engine.figures(self._moment, whole, actor=self._actor, now=now, people=people)
        figures = frozen.freeze(
            query.since, query.until, [(whole, found)], name=self._name, weights=weights
        )
        revisions = await snapshots.revisions(self._moment, query.since, query.until)
        about = self._about(figures.hash, now)
        tables: list[tuple[Sheet, Iterable[Sequence[Value]]]] = [
            (export_sheets.summary(whole), export_sheets.summary_rows(whole, found, self._name)),
            (export_sheets.ranking(whole), export_sheets.ranking_rows(whole, found, self._name)),
        ]
        after: list[tuple[Sheet, Iterable[Sequence[Value]]]] = [
            (export_sheets.DEFINITIONS_SHEET, export_sheets.definition_rows(whole)),
            (export_sheets.CHANGES_SHEET, export_sheets.change_rows(revisions)),
        ]
        with ExitStack() as open_files:
            writer = await asyncio.to_thread(
                export_files.writer, form, path, open_files, about, self._wanted
            )
            for sheet, rows in tables:
                await asyncio.to_thread(_put, writer, sheet, rows)
            if form is not ExportFormat.CSV or self._wanted is SheetName.DETAIL:
                await self._detail(writer, whole, found, now)
            for sheet, rows in after:
                await asyncio.to_thread(_put, writer, sheet, rows)
            await asyncio.to_thread(writer.end)
        return figures.hash, self._done

    def _about(self, digest: bytes, now: datetime) -> Mapping[str, Any]:
        return {
            "digest": digest.hex(),
            "as_of": now.astimezone(CHINA).isoformat(),
            "definition_version": DEFINITION_VERSION,
            "weights_version": measures.CURRENT_WEIGHTS.version,
            "query": exporting.written(self._query, self._wanted),
        }

    async def _detail(self, writer: Writer, query: Query, found: Figures, now: datetime) -> None:
        told = _told(query, found)
        await asyncio.to_thread(writer.sheet, detail.sheet(told))
        stretches = detail.stretches(query, told, self._actor)
        values = {
            "since": query.since,
            "until": query.until,
            "now": now,
            **values_of(query.filters),
        }
        for stretch in stretches:
            asked = {name: values[name] for name in stretch.count.names}
            self._total += (await self._moment.rows(stretch.count, **asked))[0]["total"]
        await self._go_on()
        for stretch in stretches:
            reading = detail.Reading(
                stretch, query, told, found, name=self._name, actor=self._actor
            )
            asked = {name: values[name] for name in stretch.rows.names}
            async for some in self._moment.stream(stretch.rows, at_once=self._at_once, **asked):
                await asyncio.to_thread(writer.write, reading.rows(some))
                self._done += len(some)
                await self._go_on()

    async def renew(self) -> None:
        """Keep the lease while the database counts or sorts, which no row tells of."""
        while True:
            await asyncio.sleep(exporting.LEASE.total_seconds() / 3)
            await exporting.progress(
                self._db, self._export, done=self._done, total=self._total, now=self._clock()
            )

    async def _go_on(self) -> None:
        """Raises: _GivenUp."""
        if not await exporting.progress(
            self._db, self._export, done=self._done, total=self._total, now=self._clock()
        ):
            raise _GivenUp


def _told(query: Query, found: Figures) -> list[Measure]:
    """What the detail may show: nothing of a figure that is hidden itself."""
    return [
        measure
        for measure in query.counted(measures.CURRENT_WEIGHTS)
        if not found.total[measure].suppressed
    ]


def _put(writer: Writer, sheet: Sheet, rows: Iterable[Sequence[Value]]) -> None:
    writer.sheet(sheet)
    left = iter(rows)
    for first in left:
        writer.write(chain([first], islice(left, _SMALL - 1)))


# --- the end of files ----------------------------------------------------------------------------


async def purge(db: Database, settings: Settings, *, now: datetime) -> None:
    """Delete the files that nobody may fetch any more, and what was left of attempts."""
    # First what is there: an export that is begun meanwhile is not among the files looked at.
    found = await asyncio.to_thread(_files, folder_of(settings))
    async with db.transaction() as session:
        kept = await exporting.expire(session, now=now)
    names = {str(it) for it in kept}
    over = [path for path in found if path.name.partition(".")[0] not in names]
    await asyncio.to_thread(_delete, over)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
