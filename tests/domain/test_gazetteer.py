"""Which place an address names."""

import pytest

from app.domain.gazetteer import Gazetteer, Place, names_of

TOWN, OTHER = "370281001", "370281002"
PLACES = [
    Place((TOWN,), names_of("阜安街道")),
    Place((OTHER,), names_of("胶莱街道")),
    *(
        Place((town, f"{town}60{n}"), names_of(name))
        for town, n, name in ((TOWN, 1, "福安新村"), (TOWN, 2, "东关社区"), (OTHER, 1, "东关社区"))
    ),
    *(
        Place((town, f"{town}60{n}", f"{town}60{n}{g:03}"), (f"第{g}网格",))
        for town, n in ((TOWN, 1), (TOWN, 2), (OTHER, 1))
        for g in range(1, 60)
    ),
]
GAZETTEER = Gazetteer(PLACES)


@pytest.mark.parametrize(
    ("address", "code", "certain"),
    [
        ("胶州市阜安街道福安新村第3网格12号", f"{TOWN}601003", True),
        ("福安新村第3网格", f"{TOWN}601003", True),
        ("阜安福安村口", f"{TOWN}601", False),  # short names; which grid nobody says
        ("阜安街道办事处门口", TOWN, False),
        ("胶莱东关社区", f"{OTHER}601", False),  # the town tells them apart
        ("第31网格,福安新村", f"{TOWN}601031", True),  # the longest name: not 第3
    ],
)
def test_the_place_that_is_named_best_is_meant(address, code, certain):
    found = GAZETTEER.find(address)
    assert found is not None
    assert (found.code, found.certain) == (code, certain)


def test_a_name_that_two_towns_have_is_not_guessed():
    assert GAZETTEER.find("东关社区5号楼") is None


def test_a_place_whose_name_two_communities_of_a_town_share_is_what_they_have_in_common():
    found = GAZETTEER.find("阜安街道第3网格")
    assert found is not None
    assert (found.code, found.certain) == (TOWN, False)


@pytest.mark.parametrize("address", ["", "北京路5号", "村", "网格"])
def test_what_names_no_place_finds_none(address):
    assert GAZETTEER.find(address) is None
