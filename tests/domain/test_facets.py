"""What of one request those are told who see figures only."""

import pytest

from app.domain import facets
from app.domain.identity import BLIND_ROLES, Actor, Role
from tests.domain.test_exclusions import OTHER

ROW = {
    "unit_code": "water", "category_code": "road.lamp", "kind": "help", "channel": "desk",
    "grid_code": "370281001601001", "state": "closed",
}  # fmt: skip


@pytest.mark.parametrize("role", sorted(Role))
@pytest.mark.parametrize("asked", [(), ("unit_code",), ("kind", "channel"), facets.FACETS], ids=str)
def test_blind_roles_are_told_what_they_named_and_never_the_place(role, asked):
    told = facets.told(ROW, Actor(OTHER, role), asked=asked)
    assert set(told) == set(facets.FACETS)
    for facet, value in told.items():
        hidden = role in BLIND_ROLES and (facet not in asked or facet == "grid_code")
        assert value == (None if hidden else ROW[facet]), facet


def test_a_history_tells_them_of_a_step_what_names_no_facet():
    facts = {
        "unit_code": "water", "from_unit_code": "housing", "suggested_unit_code": None,
        "category_from": "road.lamp", "grid_to": "370281001601001", "kind": "help",
        "proposed": {"category_code": "road.lamp"}, "decision": "approve", "satisfaction": 4,
    }  # fmt: skip
    for role in BLIND_ROLES:
        told = facets.without(facts, Actor(OTHER, role))
        assert told == {"decision": "approve", "satisfaction": 4}
    assert facets.without(facts, Actor(OTHER, Role.HANDLER)) == facts
