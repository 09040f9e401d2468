"""Choosing a unit stays in memory and costs next to nothing, with thousands of rules."""

from datetime import UTC, datetime, time
from timeit import repeat

import pytest

from app.domain.matters import Kind
from app.domain.routing import RoutingRule, TimeWindow, choose_unit
from app.reference.rules import RuleBook

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)
PATHS = {f"r{n}": (f"r{n}",) for n in range(12)} | {
    f"r{n}.l{m}": (f"r{n}", f"r{n}.l{m}") for n in range(12) for m in range(8)
}
GRID = ("370281001", "370281001601", "370281001601003")
RULES = [
    RoutingRule(number, "a", category, town)
    for number, (category, town) in enumerate(
        (category, f"370281{town:03}") for category in PATHS for town in range(1, 40)
    )
]


BOOK = RuleBook(RULES, PATHS)
ODD = [
    RoutingRule(9_001, "night", "r3", window=TimeWindow(opens=time(22), closes=time(6))),
    RoutingRule(9_002, "help", None, GRID[1], kind=Kind.HELP),
    RoutingRule(9_003, "first", "r3.l2", GRID[0], priority=5),
    RoutingRule(9_004, "second", "r3.l2", GRID[0], priority=5),
    RoutingRule(9_005, "any"),
]


@pytest.mark.parametrize("category", ["r3.l2", "r3", "r11.l7", None, "unknown"])
@pytest.mark.parametrize("kind", [None, Kind.HELP])
@pytest.mark.parametrize("default", [None, "default"])
@pytest.mark.parametrize("path", [(), GRID[:1], GRID, ("370281099",)])
@pytest.mark.parametrize("hour", [4, 15])
def test_the_book_chooses_what_the_rules_choose(category, kind, default, path, hour):
    rules, at = [*RULES[:500], *ODD], NOW.replace(hour=hour)
    ask = {"default_unit_code": default, "kind": kind, "at": at}
    by_book = RuleBook(rules, PATHS).choose(category, path, **ask)
    by_rules = choose_unit(rules, category_path=PATHS.get(category, ()), grid_path=path, **ask)
    assert by_book == by_rules


def choose():
    return BOOK.choose("r3.l2", GRID, default_unit_code=None, kind=Kind.HELP, at=NOW)


def test_choosing_among_thousands_costs_a_few_microseconds():
    assert len(RULES) > 4_000
    assert len(BOOK.on("r3.l2")) == 2 * 39
    assert choose().unit_code == "a"
    best = min(repeat(choose, number=2_000, repeat=5)) / 2_000
    assert best < 20e-6  # several times what it is: the machine may do other things
