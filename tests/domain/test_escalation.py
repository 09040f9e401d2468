from datetime import datetime

import pytest

from app.domain.escalation import LADDER, LEVEL_TEXT, Firing, Level, first_rung, next_rung
from app.domain.sla import Metric, extend
from tests.domain.calendars import CALENDAR, at


def climb(metric: Metric, started: str, due_at: datetime) -> list[Firing]:
    """All rungs that a clock would fire, in order."""
    firings: list[Firing] = []
    firing = first_rung(metric, started_at=at(started), due_at=due_at, calendar=CALENDAR)
    while firing is not None:
        firings.append(firing)
        firing = next_rung(
            metric,
            started_at=at(started),
            due_at=due_at,
            calendar=CALENDAR,
            after_level=firing.level,
        )
    return firings


@pytest.mark.parametrize(
    ("metric", "started", "due", "rungs"),
    [
        (
            Metric.CONTACT,
            "2026-11-20 09:00",
            "2026-11-20 15:00",
            [
                (Level.DUE_SOON_1, "2026-11-20 12:00"),
                (Level.DUE_SOON_2, "2026-11-20 13:00"),
                (Level.BREACH_1, "2026-11-20 15:00"),
                (Level.BREACH_2, "2026-11-20 19:00"),
            ],
        ),
        (
            Metric.REPLY,
            "2026-11-20 18:00",
            "2026-11-28 00:00",
            [
                (Level.DUE_SOON_1, "2026-11-25 08:30"),
                (Level.DUE_SOON_2, "2026-11-26 08:30"),
                (Level.BREACH_1, "2026-11-28 00:00"),
                (Level.BREACH_2, "2026-12-01 00:00"),
                (Level.BREACH_3, "2026-12-03 00:00"),
            ],
        ),
        (  # over Spring Festival, with working Saturdays
            Metric.REPLY,
            "2026-02-13 17:00",
            "2026-02-28 00:00",
            [
                (Level.DUE_SOON_1, "2026-02-25 08:30"),
                (Level.DUE_SOON_2, "2026-02-26 08:30"),
                (Level.BREACH_1, "2026-02-28 00:00"),
                (Level.BREACH_2, "2026-03-01 00:00"),
                (Level.BREACH_3, "2026-03-04 00:00"),
            ],
        ),
        (  # the higher rungs lie in a year nobody has published
            Metric.REPLY,
            "2026-12-24 10:00",
            "2027-01-01 00:00",
            [
                (Level.DUE_SOON_1, "2026-12-29 08:30"),
                (Level.DUE_SOON_2, "2026-12-30 08:30"),
                (Level.BREACH_1, "2027-01-01 00:00"),
                (Level.BREACH_2, "2027-01-02 00:00"),
                (Level.BREACH_3, "2027-01-06 00:00"),
            ],
        ),
        (  # one working day leaves no room for warnings
            Metric.REPLY,
            "2026-11-19 10:00",
            "2026-11-21 00:00",
            [
                (Level.BREACH_1, "2026-11-21 00:00"),
                (Level.BREACH_2, "2026-11-24 00:00"),
                (Level.BREACH_3, "2026-11-26 00:00"),
            ],
        ),
        (  # three hours: T - 2 h would come before half way
            Metric.CONTACT,
            "2026-11-20 09:00",
            "2026-11-20 12:00",
            [
                (Level.DUE_SOON_1, "2026-11-20 10:30"),
                (Level.BREACH_1, "2026-11-20 12:00"),
                (Level.BREACH_2, "2026-11-20 16:00"),
            ],
        ),
        (
            Metric.RATE,
            "2026-11-20 17:00",
            "2026-11-28 00:00",
            [
                (Level.REMIND_1, "2026-11-23 09:00"),
                (Level.REMIND_2, "2026-11-26 09:00"),
                (Level.EXPIRED, "2026-11-28 00:00"),
            ],
        ),
        (
            Metric.RATE,
            "2026-11-20 17:00",
            "2026-11-23 00:00",
            [(Level.EXPIRED, "2026-11-23 00:00")],
        ),
        (
            Metric.ACCEPT,
            "2026-11-20 09:00",
            "2026-11-20 11:00",
            [(Level.BREACH_1, "2026-11-20 11:00")],
        ),
        (  # an order whose term was over when it was given
            Metric.SUPERVISE,
            "2026-11-20 09:00",
            "2026-11-20 08:00",
            [(Level.BREACH_1, "2026-11-20 08:00")],
        ),
        (Metric.RETURN, "2026-11-20 09:00", "2026-11-24 00:00", []),
    ],
)
def test_each_clock_climbs_its_ladder(
    metric: Metric, started: str, due: str, rungs: list[tuple[Level, str]]
) -> None:
    assert climb(metric, started, at(due)) == [(level, at(when)) for level, when in rungs]


@pytest.mark.parametrize("metric", list(Metric))
def test_a_level_stands_only_once_on_a_ladder(metric: Metric) -> None:
    levels = [level for level, _ in LADDER[metric]]
    assert len(levels) == len(set(levels))


def test_rungs_not_yet_fired_follow_a_due_instant_that_moved() -> None:
    moved = extend(CALENDAR, at("2026-11-28 00:00"), 5)
    assert next_rung(
        Metric.REPLY,
        started_at=at("2026-11-20 18:00"),
        due_at=moved,
        calendar=CALENDAR,
        after_level=Level.DUE_SOON_1,
    ) == (Level.DUE_SOON_2, at("2026-12-03 08:30"))


def test_levels_have_chinese_names_and_metrics_have_ladders() -> None:
    assert set(LEVEL_TEXT) == set(Level)
    assert set(LADDER) == set(Metric)
