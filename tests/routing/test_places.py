"""An address in the words of the city's own places."""

import pytest

from app.requests import places
from tests.city import COMMUNITY, GRID


@pytest.fixture(scope="module")
def grids(hall):
    return hall.app.state.grids.current


def test_an_address_names_a_grid_by_the_names_on_the_way_to_it(grids):
    address = grids.name_path(GRID).replace(" / ", "")
    assert places.named(grids, f"胶州市{address}12号") == (GRID, True)


def test_a_community_alone_is_a_place_but_not_a_certain_one(grids):
    address = grids.name_path(COMMUNITY).replace(" / ", "")
    assert places.named(grids, f"{address}附近") == (COMMUNITY, False)


def test_an_address_of_elsewhere_names_nothing(grids):
    assert places.named(grids, "北京市海淀区中关村大街1号") is None
