"""``python -m bench``: measure, print the tables, write the JSON."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from bench import machine, report, statistics
from bench.fire import Sample
from bench.ground import Ground
from bench.report import Round
from bench.single import Locate, first_201_s
from bench.variants import UNDER_LOAD, Plan, Stage

PARTS = ("create", "read", "page", "clocks", "locate", "start")
STATISTICS = "statistics"  # by itself, and only when asked for: it takes minutes of both cores


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are over these (5)")
    parser.add_argument("--seconds", type=int, default=8, help="of each variant in each round (8)")
    parser.add_argument(
        "--rows",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[10_000, 1_000_000],
        help="how many requests are there when reading (10000,1000000)",
    )
    parser.add_argument(
        "--only",
        type=lambda text: frozenset(text.split(",")),
        default=frozenset(PARTS),
        help=",".join((*PARTS, STATISTICS)),
    )
    parser.add_argument("--workers", type=int, default=2, help="of the service and the no-op (2)")
    parser.add_argument("--connections", type=int, default=32, help="calls under way (32)")
    parser.add_argument("--residents", type=int, default=64, help="who submit in turn (64)")
    parser.add_argument("--clocks", type=int, default=1_000_000, help="that run (1000000)")
    parser.add_argument("--due", type=int, default=100_000, help="of them, in each sweep (100000)")
    parser.add_argument(
        "--year-rows", type=int, default=396_000, help="of the year that figures are of (396000)"
    )
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    options = parser.parse_args()
    if not options.only <= {*PARTS, STATISTICS}:
        parser.error(f"--only takes {','.join((*PARTS, STATISTICS))}")
    if STATISTICS in options.only and len(options.only) > 1:
        parser.error(f"{STATISTICS} is measured by itself")
    if min(options.rounds, options.seconds, *options.rows) < 1:
        parser.error("rounds, seconds and rows begin at 1")
    if not 1 <= options.due <= options.clocks // 2:
        parser.error("--due is at least 1 and at most half of --clocks")
    return options


def main() -> None:
    options = _options()
    machine.require_proc()
    signal.signal(signal.SIGTERM, _stop)
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    facts = machine.facts()
    if STATISTICS in options.only:
        _statistics(options, console, facts)
        return
    if not shutil.which("wrk"):
        console.print("wrk is not installed: firing with bench.client (apt-get install wrk)")
    rounds = _measure(options, console)
    chosen = {
        name: options.rows if name == "rows" else getattr(options, name)
        for name in (
            *("rounds", "seconds", "rows", "workers", "connections", "residents"),
            *("clocks", "due"),
        )
    }
    reached = report.verdicts(rounds, options.rows)
    report.show(console, facts, chosen, rounds, reached)
    if options.json:
        told = report.as_json(facts, chosen, rounds, reached)
        options.json.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
        console.print(f"written: {options.json}")


def _statistics(options: argparse.Namespace, console: Console, facts: Mapping[str, Any]) -> None:
    result = statistics.measure(options.year_rows, folder=options.folder, say=console.print)
    statistics.show(console, result)
    if options.json:
        told = {"machine": dict(facts), STATISTICS: statistics.as_json(result)}
        options.json.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
        console.print(f"written: {options.json}")


def _stop(_number: int, _frame: object) -> NoReturn:
    sys.exit("bench: told to stop")  # through every ``finally`` on the way


def _measure(options: argparse.Namespace, console: Console) -> list[Round]:
    if not options.only & (UNDER_LOAD | {"clocks"}):
        return [_singles(options, None, {}) for _ in range(options.rounds)]
    plan = Plan(
        **{
            name: getattr(options, name)
            for name in ("seconds", "connections", "residents", "rows", "only", "clocks", "due")
        }
    )
    with tempfile.TemporaryDirectory(prefix="lianxin-bench-", dir=options.folder) as folder:
        ground = Ground(Path(folder), workers=options.workers)
        try:
            with Stage(ground, plan, console.print) as stage:
                return _rounds(options, stage, console)
        finally:
            ground.close()


def _rounds(options: argparse.Namespace, stage: Stage, console: Console) -> list[Round]:
    locate = Locate() if "locate" in options.only else None
    rounds = []
    for number in range(options.rounds):
        names = list(stage.runs)
        # Forwards, then backwards: who comes late in a round must not always be the same.
        samples = {
            name: stage.runs[name](options.seconds)
            for name in (names if number % 2 == 0 else reversed(names))
        }
        samples = {name: samples[name] for name in names}
        night = stage.clocks.night() if stage.clocks else None
        rounds.append(replace(_singles(options, locate, samples), night=night))
        speeds = {name: sample.per_s for name, sample in samples.items()}
        if night:
            speeds |= {name: turn.per_s for name, turn in night.turns.items()}
        told = ", ".join(f"{name} {per_s:,.0f}/s" for name, per_s in speeds.items())
        console.print(f"round {number + 1} of {options.rounds}: {told}")
    return rounds


def _singles(
    options: argparse.Namespace, locate: Locate | None, samples: dict[str, Sample]
) -> Round:
    if locate is None and "locate" in options.only:
        locate = Locate()
    return Round(
        samples=samples,
        locate_us=locate.point_us() if locate else None,
        first_201_s=first_201_s(options.workers) if "start" in options.only else None,
    )


if __name__ == "__main__":
    main()
