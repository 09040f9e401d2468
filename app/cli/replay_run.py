"""One run of ``lianxin replay``: rows to journeys, some at once, and the figures around them."""

import asyncio
import secrets
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from pydantic import ValidationError

from app.cli.place import say
from app.cli.replay_client import Client, LogIn, People, Refused, Unreachable
from app.cli.replay_drive import Journey, RowFailed, RowRefused, World
from app.cli.replay_figures import Comparison, Tally, compare, readings
from app.cli.replay_lives import Area
from app.cli.replay_report import Report, Score, shown
from app.cli.replay_rows import FileBroken, Row, count, read
from app.reference.schemas import CategoriesOut, CategoryOut

_START_PATIENCE_S = 5.0


class CategoryMissing(Exception):
    """A label stands for a category that the service does not have."""


@dataclass
class Replay:
    """One run."""

    file: Path
    names: dict[str, str | None]
    limit: int | None
    base_url: str
    concurrency: int
    labels: Mapping[str, tuple[str, ...]]
    area: Area
    per_resident: int
    patience_s: float
    logins: list[LogIn]
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))
    score: Score = field(default_factory=Score)
    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    _stopping: bool = False
    _workers: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self) -> Report:
        """Drive all rows and compare the figures.

        Raises:
            FileBroken, LoginMissing, CategoryMissing, Refused, Unreachable, ValidationError: it
                cannot even start.
        """
        rows = read(self.file, self.names, self.limit)
        first = next(rows, None)  # a wrong column name is said before anything is sent
        people = People(self.logins, run=self.run_id)
        client = Client(self.base_url, connections=self.concurrency, patience_s=self.patience_s)
        async with client:
            client.patience_s, patience_s = _START_PATIENCE_S, self.patience_s
            default_units = await self._default_units(client)
            since = await _clock_of(client, people)
            before, _ = await readings(client, people, since)
            client.patience_s = patience_s
            world = World(
                client=client,
                people=people,
                run=self.run_id,
                labels=self.labels,
                default_units=default_units,
                area=self.area,
                per_resident=self.per_resident,
            )
            self.score = Score(expected=count(self.file, self.limit))
            await self._drive(world, _again(first, rows))
            try:
                after, until = await readings(client, people, since)
                comparison: Comparison | None = compare(before, after, self.tally.as_of(until))
            except (Refused, Unreachable, ValidationError) as error:
                comparison = None
                self.notes.append(f"the figures could not be read: {error}")
        return Report(
            file=self.file.name,
            base_url=self.base_url,
            run=self.run_id,
            concurrency=self.concurrency,
            score=self.score,
            measured=client.measured,
            comparison=comparison,
            notes=self.notes,
        )

    async def _default_units(self, client: Client) -> dict[str, str | None]:
        """Who answers for each category. Raises: CategoryMissing, Refused, Unreachable."""
        answer = await client.get("/api/v1/categories", step="categories")
        tree = CategoriesOut.model_validate_json(answer.content)
        units: dict[str, str | None] = {}

        def walk(categories: tuple[CategoryOut, ...]) -> None:
            for category in categories:
                units[category.code] = category.default_unit_code
                walk(category.children)

        walk(tree.items)
        for label, codes in self.labels.items():
            for code in codes:
                if code not in units:
                    raise CategoryMissing(f"the service has no category {code} (of label {label})")
        return units

    async def _drive(self, world: World, rows: Iterator[Row]) -> None:
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, self._interrupt)
        try:
            async with shown(self.score):
                self._workers = [
                    asyncio.create_task(self._work(world, rows)) for _ in range(self.concurrency)
                ]
                await asyncio.wait(self._workers)
        finally:
            self.score.stop_watch()
            for sign in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(sign)
        for worker in self._workers:
            if not worker.cancelled():
                worker.result()

    def _interrupt(self) -> None:
        if self.interrupted:
            self.notes.append("cut short: the last step of a cut row may have been done, uncounted")
            for worker in self._workers:
                worker.cancel()
            return
        self.interrupted = self._stopping = True
        self.notes.append("interrupted")
        say("no further rows; those on their way go to their end (again: cut them short)")

    async def _work(self, world: World, rows: Iterator[Row]) -> None:
        """Take the next row, again and again; all workers share ``rows``."""
        while not self._stopping:
            try:
                row = next(rows, None)
            except FileBroken as broken:
                self.notes.append(f"the file cannot be read to its end: {broken}")
                self._stopping = True
                return
            if row is None:
                return
            self.score.take(row)
            await self._one(world, row)

    async def _one(self, world: World, row: Row) -> None:
        journey = Journey(world, row)
        try:
            outcome = await journey.live()
        except RowRefused as refused:
            self.score.refused[refused.code] += 1
        except RowFailed as failed:
            self._fail(row, str(failed))
            if failed.gone and not self._stopping:
                self._stopping = True
                self.notes.append("the service no longer answers; no further rows were sent")
        except asyncio.CancelledError:
            self._fail(row, "interrupted")
            raise
        else:
            self.score.outcomes[outcome] += 1
        finally:
            if journey.driven is not None:
                self.score.accepted += 1
                self.tally.add(journey.driven)

    def _fail(self, row: Row, why: str) -> None:
        self.score.failed.append((row.number, row.id, why))


def _again(first: Row | None, rows: Iterator[Row]) -> Iterator[Row]:
    if first is not None:
        yield first
        yield from rows


async def _clock_of(client: Client, people: People) -> datetime:
    """The service's own clock, to the second, so that ours may be wrong."""
    answer = await client.get("/api/v1/me", step="figures", caller=people.supervisor)
    told = answer.headers.get("Date")
    try:
        return parsedate_to_datetime(told) if told else datetime.now(UTC)
    except ValueError:
        return datetime.now(UTC)
