"""The bench itself: a tiny run measures everything once, and its figures add up."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.domain.measures import Measure
from app.domain.sla import Metric
from app.domain.working_time import WorkingCalendar
from app.statistics.questions import Column, Tallies
from bench import at_work, pending, statistics
from bench.client import fire as fire_ourselves
from bench.clocks import (
    DELIVER_CLOCKS,
    DELIVER_SUBMISSIONS,
    MOVES,
    SWEEP_ONE,
    SWEEP_TWO,
    Night,
    Turn,
)
from bench.door import Door, Heard
from bench.fire import Misfire, Sample
from bench.people import Caller
from bench.questions import QUESTIONS, TYPICAL
from bench.report import Round, verdicts
from bench.variants import CREATE, NOOP, PGBENCH, page_name, read_name

ROOT = Path(__file__).parents[2]


def sample(per_s: float, server_us: float = 100.0) -> Sample:
    return Sample(per_s, 1.0, 2.0, 100, server_us, 50.0)


def test_ratios_are_taken_within_a_round_before_the_median():
    # A machine that is twice as fast in one round tells nothing about the service.
    rounds = [
        Round({NOOP: sample(1000), PGBENCH: sample(100), CREATE: sample(50, 400)}),
        Round({NOOP: sample(2000), PGBENCH: sample(200), CREATE: sample(100, 600)}),
        Round({NOOP: sample(1000), PGBENCH: sample(300), CREATE: sample(30, 900)}),
    ]
    found = {verdict.what: verdict for verdict in verdicts(rounds, [10])}
    assert found["create: of pgbench's speed"].value == 0.5
    assert found["create: of pgbench's speed"].reached
    assert found["create: server CPU, × no-op"].value == 6.0
    assert not found["create: server CPU, × no-op"].reached


def test_a_page_is_flat_when_server_and_database_together_spend_no_more():
    small, large = page_name(10, "handler"), page_name(1000, "handler")
    rounds = [Round({NOOP: sample(1000), small: sample(300, 150), large: sample(200, 190)})]
    found = {verdict.what: verdict for verdict in verdicts(rounds, [10, 1000])}
    growth = found["page, handler: CPU at 1,000 rows, × at 10"]
    assert (growth.value, growth.reached) == (1.2, True)


def test_a_sweep_is_judged_by_its_median_and_so_is_an_idle_tick():
    def night(per_s: float, tick_us: float) -> Round:
        turns = {name: Turn(per_s, 100, 20.0, 30.0) for name in (SWEEP_ONE, SWEEP_TWO)}
        return Round({}, night=Night(turns, tick_us, 900))

    rounds = [night(19_000, 150.0), night(25_000, 400.0), night(21_000, 210.0)]
    found = {verdict.what: verdict for verdict in verdicts(rounds, [10])}
    assert found[f"{SWEEP_ONE}: due clocks a second"].value == 21_000
    assert found[f"{SWEEP_TWO}: due clocks a second"].reached
    assert not found["idle tick at 900 pending, µs"].reached


def test_clocks_that_are_filled_in_stand_where_their_ladders_put_them():
    calendar = WorkingCalendar(1, pending.NOW.date(), pending.NOW.date()).provisional()
    found = list(pending.clocks(calendar))
    due = [clock for clock in found if clock.due_now]
    assert {clock.metric for clock in due} == {
        *(Metric.CONTACT, Metric.REPLY, Metric.RATE, Metric.INFO)
    }
    assert all(pending.WENT_AWAY_AT < clock.fire_at <= pending.NOW for clock in due)
    assert all(clock.fire_at > pending.NOW for clock in found if not clock.due_now)


async def test_the_own_client_counts_what_was_answered_and_what_was_wrong(
    unused_tcp_port_factory,
):
    seen: set[bytes] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                key = head.partition(b"Key: ")[2].partition(b"\r\n")[0]
                status = b"409 Conflict" if key in seen else b"201 Created"
                seen.add(key)
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    port = unused_tcp_port_factory()
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        told = await fire_ourselves(
            {
                "port": port,
                "expect": 201,
                "connections": 4,
                "seconds": 0.3,
                "run": "0" * 8,
                "shots": [["POST / HTTP/1.1\r\nKey: ", "\r\n\r\n"]],
            }
        )
    assert told["failed"] == 0
    assert told["done"] > 20
    assert len(seen) >= told["done"]


async def test_an_answer_that_is_no_200_ends_the_bench(unused_tcp_port_factory):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
        writer.close()

    port = unused_tcp_port_factory()
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        with Door(port, Caller("token", "id")) as door, pytest.raises(Misfire, match="503 busy"):
            await asyncio.to_thread(door.must, "/api/v1/statistics")


def test_figures_that_differ_from_what_was_counted_are_noticed():
    def answer(**figures: Any) -> Heard:
        cell = {"num": 4.0, "den": 6, "excluded": 2, "value": 2 / 3, "suppressed": False, **figures}
        total = {"keys": [], "figures": {"satisfied": cell}}
        return Heard(
            200, json.dumps({"total": total, "subtotals": [], "groups": []}).encode(), None
        )

    counted = Tallies([()], {Measure.SATISFIED: Column([8], [6], [4], [0], [None])})
    assert statistics.same(answer(), counted, all_told=True)
    assert not statistics.same(answer(num=5.0), counted)
    assert not statistics.same(answer(excluded=1), counted)
    hidden = answer(num=None, den=None, excluded=None, value=None, suppressed=True)
    assert statistics.same(hidden, counted)
    assert not statistics.same(hidden, counted, all_told=True)


def run(out: Path, *options: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", *options, f"--json={out}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
def test_a_tiny_year_is_asked_everything_through_the_service(tmp_path: Path):
    told = run(tmp_path / "result.json", "--only=statistics", "--year-rows=600")["statistics"]
    assert [it["name"] for it in told["queries"]] == [it.name for it in QUESTIONS]
    for timed in told["queries"]:
        assert timed["auditor_ms"] > 0, timed
        assert timed["supervisor_ms"] > 0, timed
        assert timed["same"] is not False, timed
    assert sum(timed["same"] is True for timed in told["queries"]) > 30
    worked = told["at_work"]
    assert worked["same"]
    assert worked["entries"] > 600
    assert worked["ms"].keys() == {at_work.SEARCH, *(it.name for it in TYPICAL)}
    assert all(ms > 0 for by_state in worked["ms"].values() for ms in by_state.values())
    assert all(per_s > 10 for per_s in worked["per_s"].values())


@pytest.mark.slow
def test_a_tiny_run_measures_everything(tmp_path: Path):
    told = run(
        tmp_path / "result.json",
        *("--rounds=1", "--seconds=1", "--rows=300,900"),
        *("--residents=40", "--clocks=3000", "--due=600"),
    )
    pages = [page_name(rows, role) for rows in (300, 900) for role in ("handler", "resident")]
    for name in (NOOP, PGBENCH, CREATE, read_name(300), read_name(900), *pages):
        assert told["medians"][name]["per_s"] > 0, name
    assert told["jobs"].keys() == {SWEEP_ONE, SWEEP_TWO, DELIVER_CLOCKS, DELIVER_SUBMISSIONS, MOVES}
    assert told["jobs"][SWEEP_TWO]["done"] == 600
    measured = {verdict["what"]: verdict["value"] for verdict in told["verdicts"]}
    assert measured["locate a point, µs"] > 0
    assert measured["empty folder to the first 201, s"] > 0
    assert "create: of pgbench's speed" in measured
    assert any(what.startswith("idle tick at ") and us > 0 for what, us in measured.items())
    assert told["machine"]["cores"] >= 1
