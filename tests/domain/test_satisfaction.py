from datetime import date

import pytest

from app.domain.lifecycle import State
from app.domain.matters import emergency_number
from app.domain.measures import DEFINITIONS, Measure, ratio
from app.domain.numbering import request_number
from app.domain.satisfaction import Satisfaction, Solved, after_rating, is_satisfied


@pytest.mark.parametrize("answer", Satisfaction)
def test_fair_and_better_count_as_satisfied(answer):
    assert is_satisfied(answer) is (answer >= Satisfaction.FAIR)


@pytest.mark.parametrize(
    ("satisfaction", "solved", "cycle_no", "state"),
    [
        (5, Solved.SOLVED, 1, State.CLOSED),
        (3, Solved.PARTLY, 1, State.CLOSED),
        (2, Solved.SOLVED, 1, State.REOPEN_REVIEW),
        (5, Solved.UNSOLVED, 1, State.REOPEN_REVIEW),  # kind, but nothing was solved
        (1, Solved.UNSOLVED, 2, State.CLOSED),  # the second time it ends with that rating
    ],
)
def test_dissatisfied_means_again_the_first_time(satisfaction, solved, cycle_no, state):
    assert after_rating(satisfaction=satisfaction, solved=solved, cycle_no=cycle_no) is state


def test_nothing_to_count_is_not_zero_percent():
    assert ratio(0, 0) is None
    assert ratio(0, 4) == 0
    assert ratio(372_011, 395_000) == pytest.approx(0.9418, abs=5e-5)


def test_every_figure_has_its_definition():
    assert set(DEFINITIONS) == set(Measure)


def test_a_number_is_the_day_and_a_serial():
    assert request_number(date(2026, 11, 22), 123) == "20261122000123"
    assert request_number(date(2026, 11, 22), 1_234_567) == "202611221234567"


@pytest.mark.parametrize(
    ("text", "number"),
    [("楼下起火了", "119"), ("有人持刀", "110"), ("老人昏迷", "120"), ("路灯不亮", None)],
)
def test_danger_to_life_names_the_emergency_number(text, number):
    assert emergency_number(text) == number
