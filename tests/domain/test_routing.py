import pytest

from app.domain.routing import RoutingRule, choose_grid, choose_unit

CATEGORY = ("env", "env.garbage")
GRID = ("370281001", "370281001601", "370281001601003")


def rule(id: int, unit: str, category=None, grid=None, priority=0) -> RoutingRule:
    return RoutingRule(id, unit, category, grid, priority)


@pytest.mark.parametrize(
    ("rules", "unit"),
    [
        ([rule(1, "a", "env"), rule(2, "b", "env.garbage")], "b"),  # the deeper category
        ([rule(1, "a", "env", GRID[0]), rule(2, "b", "env")], "a"),  # the deeper grid
        ([rule(1, "a", "env", GRID[0]), rule(2, "b", "env", GRID[2])], "b"),
        ([rule(1, "a", None, GRID[2]), rule(2, "b", "env.garbage")], "b"),  # kind before place
        ([rule(1, "a", "env", priority=1), rule(2, "b", "env", priority=5)], "b"),
        ([rule(7, "a", "env"), rule(3, "b", "env")], "b"),  # ties: the smaller id
        ([rule(1, "a", "road"), rule(2, "b", None)], "b"),  # another category does not match
        ([rule(1, "a", "env", "370281002"), rule(2, "b", None)], "b"),  # nor another town
    ],
)
def test_the_most_specific_rule_wins(rules, unit):
    for order in (rules, rules[::-1]):
        choice = choose_unit(order, category_path=CATEGORY, grid_path=GRID)
        assert choice.unit_code == unit
        assert choice.reason.code == "rule_matched"
        assert choice.rule_id in {r.id for r in rules}


def test_what_the_category_names_stands_behind_a_rule_for_it_and_before_a_general_one():
    special = [rule(1, "a", "env.garbage")]
    general = [rule(1, "a", None, GRID[0])]
    parent = [rule(1, "a", "env", GRID[0])]
    ask = {"category_path": CATEGORY, "grid_path": GRID, "default_unit_code": "d"}
    assert choose_unit(special, **ask).unit_code == "a"
    assert choose_unit(general, **ask).unit_code == "d"
    assert choose_unit(parent, **ask).unit_code == "d"
    assert choose_unit([], **ask).reason.code == "category_default"


@pytest.mark.parametrize(
    ("category_path", "code"), [((), "category_missing"), (CATEGORY, "no_rule")]
)
def test_nothing_matches_so_a_dispatcher_decides(category_path, code):
    choice = choose_unit([], category_path=category_path, grid_path=GRID)
    assert (choice.unit_code, choice.rule_id, choice.reason.code) == (None, None, code)


@pytest.mark.parametrize(
    ("located", "chosen", "home", "grid", "code", "certain"),
    [
        (("g1", 0.0), "g2", "g3", "g1", "grid_by_point", True),  # the point decides
        (("g1", 120.5), "g2", "g3", "g1", "grid_nearest", False),
        (None, "g2", "g3", "g2", "grid_chosen", True),
        (None, None, "g3", "g3", "grid_home", True),
        (None, None, None, None, "grid_unknown", False),
    ],
)
def test_the_grid_is_the_points_else_the_chosen_else_home(
    located, chosen, home, grid, code, certain
):
    choice = choose_grid(located=located, chosen=chosen, home=home)
    assert (choice.grid_code, choice.reason.code, choice.certain) == (grid, code, certain)
