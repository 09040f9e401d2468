"""What ``lianxin replay`` tells: lines on the way, the closing tables, the same as JSON."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from app.cli.place import say
from app.cli.replay_client import Measured
from app.cli.replay_figures import Comparison, Line
from app.cli.replay_lives import Outcome
from app.cli.replay_rows import Row

_LINE_EVERY_S = 5.0
_FAILURES_SHOWN = 50
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass
class Score:
    """How the rows fared. ``read`` is always the sum of the three ends, once nothing runs."""

    expected: int | None = None
    read: int = 0
    accepted: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str, str]] = field(default_factory=list)  # number, id, why
    first_at: datetime | None = None
    last_at: datetime | None = None
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def completed(self) -> int:
        return self.outcomes.total()

    @property
    def done(self) -> int:
        return self.completed + self.refused.total() + len(self.failed)

    def take(self, row: Row) -> None:
        self.read += 1
        if row.time is not None:
            self.first_at = min(self.first_at or row.time, row.time)
            self.last_at = max(self.last_at or row.time, row.time)

    def stop_watch(self) -> None:
        self.seconds = time.monotonic() - self.began

    def line(self) -> str:
        """The state of things in one line."""
        passed = time.monotonic() - self.began
        rate = self.done / passed if passed else 0.0
        of = f" of {self.expected:,}" if self.expected is not None else ""
        left = ""
        if self.expected is not None and rate:
            left = f", {_clock((self.expected - self.done) / rate)} left"
        ends = f"{self.refused.total():,} refused, {len(self.failed):,} failed"
        return f"{self.done:,}{of} rows, {rate:.1f} rows/s{left}; {ends}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Ends(ProgressColumn):
    """Rows per second, and how many did not make it."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self._score = score

    def render(self, task: Task) -> Text:
        rate = f"{task.speed:.1f} rows/s" if task.speed else "– rows/s"
        score = self._score
        return Text(f"{rate}  {score.refused.total()} refused  {len(score.failed)} failed")


@asynccontextmanager
async def shown(score: Score) -> AsyncIterator[None]:
    """Show how it goes: a bar on a terminal, else a plain line every few seconds."""
    console = Console(stderr=True)
    watcher = asyncio.create_task(
        _bar(score, console) if console.is_terminal else _plain_lines(score)
    )
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


async def _plain_lines(score: Score) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY_S)
        say(score.line())


async def _bar(score: Score, console: Console) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Ends(score),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("replay", total=score.expected)
        try:
            while True:
                progress.update(task, completed=score.done)
                await asyncio.sleep(0.2)
        finally:
            progress.update(task, completed=score.done)


@dataclass(frozen=True)
class Report:
    """Everything there is to say at the end. ``notes``: why it ended early, or was not compared."""

    file: str
    base_url: str
    run: str
    concurrency: int
    score: Score
    measured: Measured
    comparison: Comparison | None
    notes: list[str]

    @property
    def ok(self) -> bool:
        """Nothing failed, nothing was cut short, and every figure is what was driven."""
        compared = self.comparison is not None and self.comparison.equal
        return compared and not self.notes and not self.score.failed

    def as_json(self) -> dict[str, Any]:
        score, measured = self.score, self.measured
        return {
            "file": self.file,
            "base_url": self.base_url,
            "run": self.run,
            "concurrency": self.concurrency,
            "seconds": round(score.seconds, 3),
            "rows": {
                "read": score.read,
                "accepted": score.accepted,
                "completed": score.completed,
                "refused": score.refused.total(),
                "failed": len(score.failed),
            },
            "refused": dict(score.refused),
            "failed": [
                {"row": number, "id": row_id, "why": why} for number, row_id, why in score.failed
            ],
            "outcomes": {
                outcome.name.lower(): score.outcomes[outcome]
                for outcome in Outcome
                if score.outcomes[outcome]
            },
            "calls": measured.answers,
            "calls_per_s": round(self._per_second(measured.answers), 1),
            "rows_per_s": round(self._per_second(score.done), 1),
            "retries": dict(measured.retries),
            "steps": {
                step: {"calls": len(spans)}
                | {
                    f"{name}_ms": round(measured.percentile(step, share) * 1000, 1)
                    for name, share in _SHARES.items()
                }
                for step, spans in measured.spans.items()
            },
            "figures": self._figures_as_json(),
            "notes": self.notes,
            "ok": self.ok,
        }

    def _figures_as_json(self) -> dict[str, Any] | None:
        if self.comparison is None:
            return None
        return {
            "total": [_as_json(line) for line in self.comparison.total],
            "grouped": [
                {
                    "group_by": grouped.group_by.value,
                    "groups": grouped.groups,
                    "figures": grouped.figures,
                    "different": [_as_json(line) for line in grouped.different],
                }
                for grouped in self.comparison.grouped
            ],
            "equal": self.comparison.equal,
        }

    def _per_second(self, count: int) -> float:
        return count / self.score.seconds if self.score.seconds else 0.0

    def show(self) -> None:
        """Print the tables."""
        console = Console(width=None if Console().is_terminal else 100, highlight=False)
        console.print(self._rows())
        console.print(self._steps())
        if self.comparison is not None:
            console.print(self._compared(self.comparison))
        for note in self.notes:
            console.print(f"✗ {note}", markup=False)
        ending = "✓ nothing is lost, every figure is what was driven" if self.ok else "✗ see above"
        console.print(ending)

    def _rows(self) -> Table:
        score, measured = self.score, self.measured
        table = _table(f"{self.file} → {self.base_url}, run {self.run}", "", "rows", "")
        per_row = f"{self._per_second(score.done):.1f} rows/s, {self.concurrency} at once"
        table.add_row("read", f"{score.read:,}", _span(score))
        table.add_row("accepted", f"{score.accepted:,}", "")
        for outcome in Outcome:
            if score.outcomes[outcome]:
                table.add_row(f"  {outcome}", f"{score.outcomes[outcome]:,}", "")
        for code, times in sorted(score.refused.items()):
            table.add_row("refused", f"{times:,}", Text(code))
        for number, row_id, why in score.failed[:_FAILURES_SHOWN]:
            table.add_row("failed", "1", Text(f"row {number}, id {row_id}: {why}"))
        more = len(score.failed) - _FAILURES_SHOWN
        if more > 0:
            table.add_row("failed", f"{more:,}", "more; --json FILE lists them all")
        ends = score.completed, score.refused.total(), len(score.failed)
        equal = _mark(score.read == sum(ends))
        told = " + ".join(f"{end:,}" for end in ends)
        table.add_row(
            "nothing lost", equal, f"{score.read:,} = {told} (completed, refused, failed)"
        )
        table.add_row("time", "", f"{score.seconds:,.1f} s; {per_row}")
        calls = f"{measured.answers:,} calls, {self._per_second(measured.answers):.1f} calls/s"
        table.add_row("service", "", calls)
        why = ", ".join(f"{times:,} × {reason}" for reason, times in measured.retries.items())
        table.add_row("retries", f"{measured.retries.total():,}", why)
        return table

    def _steps(self) -> Table:
        table = _table("milliseconds per step", "step", "calls", *_SHARES)
        for column in table.columns[1:]:
            column.justify = "right"
        for step, spans in self.measured.spans.items():
            table.add_row(
                step,
                f"{len(spans):,}",
                *(f"{self.measured.percentile(step, at) * 1000:.1f}" for at in _SHARES.values()),
            )
        return table

    def _compared(self, comparison: Comparison) -> Table:
        title = "figures of the supervisor over what was submitted since the run began"
        table = _table(title, "figure", "before", "after", "grew by", "driven", "")
        for column in table.columns[1:]:
            column.justify = "right"
        for line in comparison.total:
            table.add_row(*_cells(line))
        for grouped in comparison.grouped:
            told = f"by {grouped.group_by}: {grouped.groups:,} groups, {grouped.figures:,} figures"
            table.add_row(told, "", "", "", "", _mark(not grouped.different))
            for line in grouped.different[:_FAILURES_SHOWN]:
                table.add_row(*_cells(line))
        return table


def _span(score: Score) -> str:
    if score.first_at is None or score.last_at is None:
        return ""
    return f"written {score.first_at.date()} to {score.last_at.date()}"


def _table(title: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if heading == "rows" else "left",
                         no_wrap=place == 0)  # fmt: skip
    return table


def _mark(equal: bool) -> str:
    return "✓" if equal else "✗"


def _cells(line: Line) -> tuple[str, ...]:
    name = f"  {line.group} " if line.group else ""
    numbers = (line.before, line.after, line.difference, line.driven)
    return f"{name}{line.figure} {line.part}", *(f"{it:,}" for it in numbers), _mark(line.equal)


def _as_json(line: Line) -> dict[str, Any]:
    return {
        "figure": line.figure,
        "part": line.part,
        "group": line.group,
        "before": line.before,
        "after": line.after,
        "difference": line.difference,
        "driven": line.driven,
        "equal": line.equal,
    }
