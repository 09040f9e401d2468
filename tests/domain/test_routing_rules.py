"""Rules with a kind, a time and a grid that comes first; what is wrong with a set of them."""

from datetime import UTC, date, datetime, time

import pytest

from app.domain.matters import Kind
from app.domain.routing import RoutingRule, TimeWindow, choose_grid, choose_unit
from app.domain.routing_faults import FaultKind, Known, find_faults

CATEGORY = ("env", "env.garbage")
GRID = ("370281001", "370281001601", "370281001601003")
MONDAY_NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)  # 12:00 in Shanghai
MONDAY_NIGHT = datetime(2026, 3, 2, 15, tzinfo=UTC)  # 23:00
NIGHT = TimeWindow(opens=time(22), closes=time(6))
OFFICE = TimeWindow(weekdays=(1, 2, 3, 4, 5), opens=time(8, 30), closes=time(17, 30))
KNOWN = Known({"a", "b", "c"}, {"env", "env.garbage"}, set(GRID), {"default"}, {"env.garbage"})
TODAY = date(2026, 3, 2)


def chosen(rules, *, kind=None, at=MONDAY_NOON):
    for order in (rules, rules[::-1]):
        choice = choose_unit(order, category_path=CATEGORY, grid_path=GRID, kind=kind, at=at)
    return choice.unit_code


@pytest.mark.parametrize(
    ("rules", "kind", "at", "unit"),
    [
        # a rule for the kind says more than one without
        ([RoutingRule(1, "a"), RoutingRule(2, "b", kind=Kind.REPORT)], Kind.REPORT, None, "b"),
        ([RoutingRule(1, "a"), RoutingRule(2, "b", kind=Kind.REPORT)], Kind.HELP, None, "a"),
        ([RoutingRule(1, "a"), RoutingRule(2, "b", kind=Kind.REPORT)], None, None, "a"),
        # but the place says more than the kind
        ([RoutingRule(1, "a", grid_code=GRID[0]), RoutingRule(2, "b", kind=Kind.HELP)],
         Kind.HELP, None, "a"),
        # a window says more than always, and holds only inside
        ([RoutingRule(1, "a"), RoutingRule(2, "b", window=NIGHT)], None, MONDAY_NIGHT, "b"),
        ([RoutingRule(1, "a"), RoutingRule(2, "b", window=NIGHT)], None, MONDAY_NOON, "a"),
        # the kind comes before the time, the time before the priority
        ([RoutingRule(1, "a", kind=Kind.HELP), RoutingRule(2, "b", window=OFFICE, priority=9)],
         Kind.HELP, MONDAY_NOON, "a"),
        ([RoutingRule(1, "a", priority=9), RoutingRule(2, "b", window=OFFICE)],
         None, MONDAY_NOON, "b"),
    ],
)  # fmt: skip
def test_kind_and_time_make_a_rule_more_specific(rules, kind, at, unit):
    assert chosen(rules, kind=kind, at=at or MONDAY_NOON) == unit


@pytest.mark.parametrize(
    ("window", "local", "holds"),
    [
        (NIGHT, "2026-03-02T22:00", True),  # opens: in
        (NIGHT, "2026-03-03T05:59", True),  # past midnight
        (NIGHT, "2026-03-03T06:00", False),  # closes: out
        (OFFICE, "2026-03-02T08:29", False),
        (OFFICE, "2026-03-07T10:00", False),  # a Saturday
        (TimeWindow(valid_from=date(2026, 3, 2)), "2026-03-01T23:59", False),
        (TimeWindow(valid_to=date(2026, 3, 2)), "2026-03-02T23:59", True),  # the whole day
        (TimeWindow(valid_to=date(2026, 3, 2)), "2026-03-03T00:00", False),
    ],
)
def test_a_window_holds_from_its_opening_until_before_its_closing(window, local, holds):
    assert window.holds(datetime.fromisoformat(local)) is holds


def test_the_address_comes_after_the_chosen_grid_and_before_the_home():
    ask = {"located": None, "home": "g3", "addressed": ("g4", False)}
    assert choose_grid(chosen="g2", **ask).grid_code == "g2"
    choice = choose_grid(chosen=None, **ask)
    assert (choice.grid_code, choice.reason.code, choice.certain) == (
        "g4",
        "grid_by_address",
        False,
    )


def kinds(*rules):
    return [(it.kind, it.rule_ids) for it in find_faults(rules, KNOWN, today=TODAY)]


def test_two_rules_that_only_their_ids_decide_between_are_a_conflict_and_one_never_wins():
    assert kinds(RoutingRule(1, "a", "env"), RoutingRule(2, "b", "env")) == [
        (FaultKind.CONFLICT, (1, 2)),
        (FaultKind.UNREACHABLE, (2, 1)),
    ]


def test_two_rules_that_say_the_same_are_no_conflict_but_one_never_wins():
    assert kinds(RoutingRule(1, "a", "env"), RoutingRule(2, "a", "env")) == [
        (FaultKind.UNREACHABLE, (2, 1))
    ]


def test_windows_that_overlap_in_part_clash_only_there_and_both_are_reached():
    early = TimeWindow(opens=time(6), closes=time(12))
    late = TimeWindow(opens=time(11), closes=time(18))
    rules = (RoutingRule(1, "a", "env", window=early), RoutingRule(2, "b", "env", window=late))
    assert kinds(*rules) == [(FaultKind.CONFLICT, (1, 2))]


def test_day_and_night_rules_beside_each_other_are_right():
    day = TimeWindow(opens=time(6), closes=time(22))
    rules = (RoutingRule(1, "a", "env", window=day), RoutingRule(2, "b", "env", window=NIGHT))
    assert kinds(*rules) == []


def test_a_rule_that_several_others_cover_together_is_unreachable():
    day = TimeWindow(opens=time(6), closes=time(22))
    rules = (
        RoutingRule(1, "a", "env", window=day),
        RoutingRule(2, "b", "env", window=NIGHT),
        RoutingRule(3, "c", "env"),
    )
    assert kinds(*rules) == [(FaultKind.UNREACHABLE, (3, 1, 2))]


def test_a_rule_for_every_kind_leaves_the_general_one_what_has_no_kind():
    each = [RoutingRule(n, "a", "env", kind=kind) for n, kind in enumerate(Kind, 1)]
    assert kinds(*each, RoutingRule(99, "b", "env")) == []


def test_another_place_or_category_is_never_in_the_way():
    rules = (
        RoutingRule(1, "a", "env"),
        RoutingRule(2, "b", "env.garbage"),
        RoutingRule(3, "c", "env", GRID[0]),
    )
    assert kinds(*rules) == []


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (RoutingRule(1, "x"), FaultKind.UNKNOWN),
        (RoutingRule(1, "a", "sea"), FaultKind.UNKNOWN),
        (RoutingRule(1, "a", grid_code="370281999"), FaultKind.UNKNOWN),
        (RoutingRule(1, "a", policy_code="slow"), FaultKind.UNKNOWN),
        (RoutingRule(1, "a", co_unit_codes=("x",)), FaultKind.UNKNOWN),
        (RoutingRule(1, "a", co_unit_codes=("a",)), FaultKind.WRONG),
        (RoutingRule(1, "a", co_unit_codes=("b", "b")), FaultKind.WRONG),
        (RoutingRule(1, "a", grid_first_minutes=121), FaultKind.WRONG),
        (RoutingRule(1, "a", window=TimeWindow(opens=time(8))), FaultKind.WRONG),
        (RoutingRule(1, "a", window=TimeWindow(opens=time(8), closes=time(8))), FaultKind.WRONG),
        (RoutingRule(1, "a", window=TimeWindow(valid_from=date(2026, 2, 1),
                                               valid_to=date(2026, 1, 1))), FaultKind.WRONG),
        (RoutingRule(1, "a", window=TimeWindow(valid_to=date(2026, 3, 1))), FaultKind.UNREACHABLE),
        (RoutingRule(1, "a", "env", grid_first_minutes=60), FaultKind.UNREACHABLE),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_by_itself(rule, kind):
    assert kind in [found for found, _ in kinds(rule)]
