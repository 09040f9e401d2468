"""Codes of places: how they are built, and what is wrong with others."""

import pytest

from app.domain.grid_codes import GridLevel, code_at, cycle_in, fault_of, is_code, parent_of

MICRO = "37028100160100102"


@pytest.mark.parametrize("digits", [6, 9, 12, 15, 17])
def test_the_beginnings_of_a_code_are_codes(digits):
    assert is_code(MICRO[:digits])


@pytest.mark.parametrize(
    "text", ["", "3702", "3702810", MICRO[:16], MICRO + "1", "３７０２８１", "37028100x", "-37028"]
)
def test_what_is_no_code_is_seen(text):
    assert not is_code(text)


@pytest.mark.parametrize("code", ["000000", "370281000", "370281001000", MICRO[:15] + "00"])
def test_no_part_is_all_zeros(code):
    assert "不能全为0" in str(fault_of(code))


def test_the_level_decides_the_length():
    assert fault_of("370281001", GridLevel.TOWN) is None
    assert fault_of("370281001", GridLevel.GRID) == "网格的编码应为15位，实为9位"


def test_the_way_up():
    way = [MICRO]
    while (above := parent_of(way[-1])) is not None:
        way.append(above)
    assert [len(code) for code in way] == [17, 15, 12, 9, 6]
    assert code_at(MICRO, GridLevel.TOWN) == "370281001"
    assert code_at("370281001", GridLevel.GRID) is None


@pytest.mark.parametrize(
    ("parents", "loop"),
    [
        ({}, ()),
        ({"a": "b", "b": "c"}, ()),
        ({"a": "a"}, ("a",)),
        ({"a": "b", "b": "a"}, ("a", "b")),
        ({"x": "c", "c": "b", "b": "d", "d": "c"}, ("b", "d", "c")),
    ],
)
def test_a_cycle_is_found_from_its_lowest_code(parents, loop):
    assert cycle_in(parents) == loop
