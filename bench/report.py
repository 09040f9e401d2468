"""What came of it: medians, ratios within the rounds, targets; as a table and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench import clocks
from bench.clocks import SWEEP_ONE, SWEEP_TWO, Night
from bench.fire import Sample
from bench.variants import CREATE, NOOP, PAGE_ROLES, PGBENCH, page_name, read_name

CREATE_OF_PGBENCH = 0.40
CREATE_CPU_OF_NOOP = 5.0
READ_OF_NOOP = 0.25
PAGE_OF_NOOP = 0.18
PAGE_COST_GROWTH = 1.2
LOCATE_US = 30.0
START_S = 5.0
SWEEP_PER_S = 20_000.0
IDLE_TICK_US = 200.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave: samples by variant, and the single figures."""

    samples: Mapping[str, Sample]
    locate_us: float | None = None
    first_201_s: float | None = None
    night: Night | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure against its target: the median over the rounds of what was compared within each."""

    what: str
    value: float
    target: float
    at_least: bool

    @property
    def reached(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target


def verdicts(rounds: Sequence[Round], row_counts: Sequence[int]) -> list[Verdict]:
    """Every target that these rounds can speak about."""
    return list(_verdicts(rounds, row_counts))


def _verdicts(rounds: Sequence[Round], row_counts: Sequence[int]) -> Iterator[Verdict]:
    def ratio(what: str, of: str, field: str) -> float | None:
        pairs = [
            (getattr(one.samples[what], field), getattr(one.samples[of], field))
            for one in rounds
            if what in one.samples and of in one.samples
        ]
        return median(a / b for a, b in pairs) if pairs else None

    speed = ratio(CREATE, PGBENCH, "per_s")
    if speed is not None:
        yield Verdict("create: of pgbench's speed", speed, CREATE_OF_PGBENCH, at_least=True)
    cost = ratio(CREATE, NOOP, "server_us")
    if cost is not None:
        yield Verdict("create: server CPU, × no-op", cost, CREATE_CPU_OF_NOOP, at_least=False)
    for count in row_counts:
        speed = ratio(read_name(count), NOOP, "per_s")
        if speed is not None:
            yield Verdict(f"{read_name(count)}: of no-op", speed, READ_OF_NOOP, at_least=True)
    for count in row_counts:
        for role in PAGE_ROLES:
            speed = ratio(page_name(count, role), NOOP, "per_s")
            if speed is not None:
                what = f"{page_name(count, role)}: of no-op"
                yield Verdict(what, speed, PAGE_OF_NOOP, at_least=True)
    few, many = min(row_counts), max(row_counts)
    for role in PAGE_ROLES if many > few else ():
        growth = ratio(page_name(many, role), page_name(few, role), "whole_us")
        if growth is not None:
            what = f"page, {role}: CPU at {many:,} rows, × at {few:,}"
            yield Verdict(what, growth, PAGE_COST_GROWTH, at_least=False)
    nights = _nights(rounds)
    for name in (SWEEP_ONE, SWEEP_TWO) if nights else ():
        speed = median(night.turns[name].per_s for night in nights)
        yield Verdict(f"{name}: due clocks a second", speed, SWEEP_PER_S, at_least=True)
    if nights:
        pending = f"{min(night.pending for night in nights):,}"
        tick = median(night.idle_tick_us for night in nights)
        yield Verdict(f"idle tick at {pending} pending, µs", tick, IDLE_TICK_US, at_least=False)
    located = [one.locate_us for one in rounds if one.locate_us is not None]
    if located:
        yield Verdict("locate a point, µs", median(located), LOCATE_US, at_least=False)
    started = [one.first_201_s for one in rounds if one.first_201_s is not None]
    if started:
        what = "empty folder to the first 201, s"
        yield Verdict(what, median(started), START_S, at_least=False)


def _nights(rounds: Sequence[Round]) -> list[Night]:
    return [one.night for one in rounds if one.night is not None]


def as_json(
    facts: Mapping[str, Any],
    options: Mapping[str, Any],
    rounds: Sequence[Round],
    reached: Sequence[Verdict],
) -> dict[str, Any]:
    return {
        "machine": dict(facts),
        "options": dict(options),
        "medians": {name: asdict(sample) for name, sample in medians(rounds).items()},
        "jobs": {name: asdict(turn) for name, turn in clocks.medians(_nights(rounds)).items()},
        "verdicts": [{**asdict(one), "reached": one.reached} for one in reached],
        "rounds": [asdict(one) for one in rounds],
    }


def medians(rounds: Sequence[Round]) -> dict[str, Sample]:
    """Field by field, over the rounds."""
    found: dict[str, Sample] = {}
    for name in rounds[0].samples:
        samples = [one.samples[name] for one in rounds]
        found[name] = Sample(
            per_s=median(sample.per_s for sample in samples),
            p50_ms=median(sample.p50_ms for sample in samples),
            p99_ms=median(sample.p99_ms for sample in samples),
            done=sum(sample.done for sample in samples),
            server_us=_median(sample.server_us for sample in samples),
            database_us=_median(sample.database_us for sample in samples),
        )
    return found


def _median(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def show(
    console: Console,
    facts: Mapping[str, Any],
    options: Mapping[str, Any],
    rounds: Sequence[Round],
    reached: Sequence[Verdict],
) -> None:
    """Print the tables."""
    console.print("machine: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    console.print("options: " + ", ".join(f"{name} {value}" for name, value in options.items()))
    if rounds[0].samples:
        console.print(_speeds(rounds))
    if rounds[0].night:
        console.print(_jobs(_nights(rounds)))
    console.print(_targets(reached))


def _speeds(rounds: Sequence[Round]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"medians of {len(rounds)} rounds")
    table.add_column("", no_wrap=True)
    for heading in (
        *("per second", "lowest", "highest", "p50 ms", "p99 ms"),
        *("server CPU µs", "PostgreSQL CPU µs"),
    ):
        table.add_column(heading, justify="right")
    for name, sample in medians(rounds).items():
        speeds = [one.samples[name].per_s for one in rounds]
        table.add_row(
            *(name, f"{sample.per_s:,.0f}", f"{min(speeds):,.0f}", f"{max(speeds):,.0f}"),
            *(f"{sample.p50_ms:.1f}", f"{sample.p99_ms:.1f}"),
            *(_whole(sample.server_us), _whole(sample.database_us)),
        )
    return table


def _jobs(nights: Sequence[Night]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"jobs: medians of {len(nights)} rounds")
    table.add_column("", no_wrap=True)
    for heading in (
        *("per second", "lowest", "highest", "done", "messages"),
        *("server CPU µs", "PostgreSQL CPU µs"),
    ):
        table.add_column(heading, justify="right")
    for name, turn in clocks.medians(nights).items():
        speeds = [night.turns[name].per_s for night in nights]
        table.add_row(
            *(name, f"{turn.per_s:,.0f}", f"{min(speeds):,.0f}", f"{max(speeds):,.0f}"),
            *(_whole(turn.done), _whole(turn.messages) if turn.messages else ""),
            *(_whole(turn.server_us), _whole(turn.database_us)),
        )
    return table


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _targets(reached: Sequence[Verdict]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="targets (medians of the ratios within each round)")
    for heading in ("", "measured", "target", ""):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for one in reached:
        table.add_row(
            *(one.what, f"{one.value:,.2f}"),
            *(f"{'≥' if one.at_least else '≤'} {one.target:,g}", "✓" if one.reached else "✗"),
        )
    return table
