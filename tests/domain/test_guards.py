from datetime import UTC, datetime, timedelta

import pytest

from app.domain.guards import Facts, closed
from app.domain.lifecycle import Guard

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def facts(**changes) -> Facts:
    return Facts(
        **{
            "unit_code": "housing",
            "contacted_at": None,
            "contact_attempts": 0,
            "info_rounds": 0,
            "return_until": None,
            "returned_units": (),
            "rate_until": None,
        }
        | changes
    )


@pytest.mark.parametrize(
    ("changes", "guard", "is_closed"),
    [
        ({}, Guard.CONTACTED, True),
        ({"contacted_at": NOW}, Guard.CONTACTED, False),
        ({"contact_attempts": 2}, Guard.CONTACTED, True),
        ({"contact_attempts": 3}, Guard.CONTACTED, False),  # 已尽责未联系上
        ({"info_rounds": 1}, Guard.INFO_ROUNDS_LEFT, False),
        ({"info_rounds": 2}, Guard.INFO_ROUNDS_LEFT, True),
        ({"return_until": NOW + TICK}, Guard.RETURN_WINDOW_OPEN, False),
        ({"return_until": NOW}, Guard.RETURN_WINDOW_OPEN, True),
        ({"returned_units": ("water",)}, Guard.NOT_RETURNED_BEFORE, False),
        ({"returned_units": ("water", "housing")}, Guard.NOT_RETURNED_BEFORE, True),
        ({}, Guard.RATING_WINDOW_OPEN, False),
        ({"rate_until": NOW + TICK}, Guard.RATING_WINDOW_OPEN, False),
        ({"rate_until": NOW}, Guard.RATING_WINDOW_OPEN, True),
        ({"rate_until": NOW + TICK}, Guard.RATING_WINDOW_OVER, True),
        ({"rate_until": NOW}, Guard.RATING_WINDOW_OVER, False),
    ],
)
def test_a_guard_is_read_from_the_facts_of_the_request(changes, guard, is_closed):
    assert (guard in closed(facts(**changes), now=NOW)) is is_closed
