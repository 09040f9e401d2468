"""What a team lacks: each fault by its smallest example, and a whole team without any."""

from datetime import date, timedelta
from uuid import uuid4

import pytest

from app.domain.grid_codes import GridLevel
from app.domain.teams import DUTIES, FAULT_TEXT, TEMPLATES, Fault, Term, faults_of

TODAY = date(2026, 3, 2)
ALL = tuple(duty.code for duty in DUTIES)
GRID, MICRO = TEMPLATES[GridLevel.GRID], TEMPLATES[GridLevel.MICRO]


def term(seat: str = "leader", **members) -> Term:
    template = members.pop("template", GRID)
    held = template.seat(seat)
    facts = {
        "member_id": uuid4(),
        "title": held.borne[0] if held else seat,
        "since": TODAY - timedelta(days=60),
        "until": None,
        "phone_key": uuid4().bytes,
        "duties": ALL,
    }
    return Term(seat=seat, **{**facts, **members})


def whole(*more: Term) -> list[Term]:
    return [term("cadre"), term("leader"), term("helper"), *more]


def found(terms, template=GRID, duties=DUTIES) -> list[Fault]:
    return [it.fault for it in faults_of(template, duties, terms, on=TODAY)]


def test_both_forms_of_one_and_one_and_n_lack_nothing_when_whole() -> None:
    assert found(whole(term("helper", title="农村公益岗"))) == []
    micro = [term(seat.code, template=MICRO) for seat in MICRO.seats]
    assert found([*micro, term("volunteer", template=MICRO)], MICRO) == []


def test_there_are_eight_duties_and_every_fault_has_its_words() -> None:
    assert len(DUTIES) == 8
    assert FAULT_TEXT.keys() == set(Fault)


def test_an_empty_team_lacks_each_seat_and_says_how_many() -> None:
    lacking = faults_of(GRID, DUTIES, [], on=TODAY)
    assert [(it.fault, it.seat) for it in lacking] == [
        (Fault.SEAT_VACANT, seat.code) for seat in GRID.seats
    ]
    assert lacking[1].text == "网格长不足：应至少 1 人，现有 0 人"


TWICE = uuid4()
SAME = {"phone_key": b"same"}


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        (whole(term("leader")), Fault.SEAT_OVERFULL),
        (whole(term("gardener")), Fault.SEAT_UNKNOWN),
        (whole(term("helper", title="书记")), Fault.SEAT_UNKNOWN),
        (whole(term("helper", staff_id=TWICE), term("helper", staff_id=TWICE)), Fault.TERM_OVERLAP),
        (whole(term("helper", **SAME), term("helper", **SAME)), Fault.TERM_OVERLAP),
        ([term("cadre", **SAME), term("leader", **SAME), term("helper")], Fault.PERSON_TWICE),
        (whole(term("helper", duties=())), Fault.NO_DUTY),
        (whole(term("helper", duties=("gone",))), Fault.NO_DUTY),
    ],
)
def test_one_fault_and_no_other(terms, fault) -> None:
    assert found(terms) == [fault]


def test_a_duty_that_nobody_has_is_named() -> None:
    terms = [term(seat.code, duties=ALL[1:]) for seat in GRID.seats]
    [it] = faults_of(GRID, DUTIES, terms, on=TODAY)
    assert (it.fault, it.text) == (Fault.DUTY_UNCOVERED, "职责无人承担：政策宣传")


def test_terms_are_half_open() -> None:
    ends, begins = term(until=TODAY), term(since=TODAY)
    assert (ends.holds_on(TODAY), begins.holds_on(TODAY)) == (False, True)
    assert not ends.overlaps(begins.since, begins.until)
    assert term(until=TODAY + timedelta(days=1)).overlaps(begins.since, begins.until)
    assert found([term("cadre"), ends, begins, term("helper")]) == []


def test_who_comes_later_does_not_fill_a_seat_today() -> None:
    terms = [term("cadre"), term("leader", since=TODAY + timedelta(days=1)), term("helper")]
    assert Fault.SEAT_VACANT in found(terms)


def test_a_template_of_the_city_counts_instead() -> None:
    roomy = TEMPLATES[GridLevel.MICRO]
    assert Fault.SEAT_UNKNOWN in found(whole(), roomy)
