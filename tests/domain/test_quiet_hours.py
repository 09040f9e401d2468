from datetime import time

import pytest

from app.domain.quiet_hours import QUIET_NIGHTS, QuietHours
from tests.domain.calendars import at


@pytest.mark.parametrize(
    ("born", "visible"),
    [
        ("2026-11-20 21:29:59.999999", "2026-11-20 21:29:59.999999"),
        ("2026-11-20 21:30", "2026-11-21 07:30"),
        ("2026-11-20 23:59:59.999999", "2026-11-21 07:30"),
        ("2026-11-21 00:00", "2026-11-21 07:30"),
        ("2026-11-21 07:29:59.999999", "2026-11-21 07:30"),
        ("2026-11-21 07:30", "2026-11-21 07:30"),
        ("2026-11-21 12:00", "2026-11-21 12:00"),  # a Saturday is not quiet by day
        ("2026-12-31 22:00", "2027-01-01 07:30"),
        ("2024-02-28 22:00", "2024-02-29 07:30"),
        ("1986-05-03 22:00", "1986-05-04 07:30"),  # an hour of that night was left out
    ],
)
def test_what_is_born_in_the_night_is_seen_in_the_morning(born: str, visible: str) -> None:
    assert QUIET_NIGHTS.visible_at(at(born)) == at(visible)


def test_quiet_hours_may_lie_within_a_day_or_be_none() -> None:
    siesta = QuietHours(time(12), time(14))
    assert siesta.visible_at(at("2026-11-20 13:00")) == at("2026-11-20 14:00")
    assert siesta.visible_at(at("2026-11-20 14:00")) == at("2026-11-20 14:00")
    assert siesta.visible_at(at("2026-11-20 23:00")) == at("2026-11-20 23:00")
    never = QuietHours(time(0), time(0))
    assert never.visible_at(at("2026-11-20 00:00")) == at("2026-11-20 00:00")
