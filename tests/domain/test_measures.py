"""The arithmetic of figures, on numbers worked out by hand."""

import pytest

from app.domain import measures
from app.domain.measures import CURRENT_WEIGHTS, DEFINITIONS, Measure, composite, ratio, wilson


def test_every_measure_is_defined_in_the_order_of_the_list():
    assert list(DEFINITIONS) == list(Measure)


def test_nothing_to_count_is_no_figure_and_not_zero():
    assert ratio(0, 0) is None
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("num", "den", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(num, den, low, high):
    assert wilson(num, den) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_ends_exactly_where_everybody_agrees():
    assert wilson(50, 50)[1] == 1.0
    assert wilson(0, 50)[0] == 0.0


def test_the_composite_is_its_parts_by_weight_and_nothing_without_one_of_them():
    values = {Measure.RESPONDED: 0.95, Measure.SOLVED: 0.85, Measure.SATISFIED: 0.94}
    assert composite(values, CURRENT_WEIGHTS) == pytest.approx(0.9115)
    assert composite({**values, Measure.SOLVED: None}, CURRENT_WEIGHTS) is None


def test_weights_are_found_by_their_version():
    assert measures.weights_of("2026.1") is measures.WEIGHTS[0]
    assert measures.weights_of() is measures.WEIGHTS[-1]
    assert all(sum(it.parts.values()) == pytest.approx(1) for it in measures.WEIGHTS)
