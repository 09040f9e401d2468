from datetime import UTC, datetime, timedelta

import pytest

from app.domain import sla
from app.domain.sla import ClockState, ContactMode, Metric, Pause, Policy, ReplyMode
from app.domain.working_time import CalendarCoverageError
from tests.domain.calendars import CALENDAR, SUMMER_TIME, at

POLICY = sla.DEFAULT_POLICY
TICK = timedelta(microseconds=1)


def end_of(word: str) -> datetime:
    """24:00 of that day in Shanghai."""
    return at(f"{word} 00:00") + timedelta(days=1)


# -- the promise --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("submitted", "due_day"),
    [
        ("2023-06-19 09:00", "2023-06-27"),  # Dragon Boat 22-24 off, Sunday 25 works
        ("2023-09-28 16:00", "2023-10-11"),  # Saturday 7 and Sunday 8 work
        ("2024-02-03 09:00", "2024-02-08"),  # Sunday 4 works
        ("2024-02-08 20:00", "2024-02-21"),  # Sunday 18 works
        ("2025-01-25 09:00", "2025-02-07"),  # Sunday 26 works
        ("2025-09-27 12:00", "2025-10-10"),  # Sunday 28 works
        ("2026-02-13 17:00", "2026-02-27"),  # Saturday 14 works; Spring Festival 15-23 off
        ("2026-02-14 09:00", "2026-02-28"),  # from one working Saturday to another
        ("2026-04-29 08:00", "2026-05-09"),  # a working Saturday is a working day
        ("2026-05-01 00:00", "2026-05-11"),
        ("2026-09-19 23:59", "2026-09-24"),  # Sunday 20 works
        ("2026-09-30 23:30", "2026-10-13"),  # National Day 1-7 off, Saturday 10 works
        ("2026-11-20 18:00", "2026-11-27"),
        ("2024-02-26 09:00", "2024-03-04"),  # 29 February is a working day
        ("2026-11-20 23:59:59.999999", "2026-11-27"),
        ("2026-11-21 00:00", "2026-11-27"),  # a Saturday: the same five days
        ("2026-11-23 00:00", "2026-11-30"),  # Monday's first instant is Monday
        ("2026-11-22 23:59:59.999999", "2026-11-27"),
        ("2026-12-24 23:59:59.999999", "2026-12-31"),  # the last one that 2026 can answer
    ],
)
def test_the_reply_is_due_at_the_end_of_the_fifth_working_day(submitted: str, due_day: str) -> None:
    promise = sla.promise(POLICY, CALENDAR, at(submitted))
    assert promise.reply_due_at == end_of(due_day)
    assert promise.reply_due_at.tzinfo is UTC
    assert not promise.provisional


@pytest.mark.parametrize(
    ("submitted", "due_day"),
    [
        ("2026-12-31 10:00", "2027-01-07"),
        ("2026-12-25 00:00", "2027-01-01"),  # the first one that needs 2027
        ("2027-06-01 10:00", "2027-06-08"),
        ("2022-12-29 10:00", "2023-01-06"),  # 30 by the plain rule; 31, 1 and 2 are known to be off
        ("2017-05-01 10:00", "2017-05-08"),
    ],
)
def test_a_year_nobody_has_published_makes_the_promise_provisional(
    submitted: str, due_day: str
) -> None:
    promise = sla.promise(POLICY, CALENDAR, at(submitted))
    assert promise.provisional
    assert promise.reply_due_at == end_of(due_day)
    assert promise.contact_due_at == at(submitted) + timedelta(hours=6)
    with pytest.raises(CalendarCoverageError):
        sla.reply_due(POLICY, CALENDAR, at(submitted))


@pytest.mark.parametrize(
    ("submitted", "due"),
    [
        ("2026-11-20 23:00", "2026-11-21 05:00"),  # into the night
        ("2026-11-21 09:00", "2026-11-21 15:00"),  # a Saturday
        ("2026-02-17 12:00", "2026-02-17 18:00"),  # Spring Festival
        ("2024-02-28 20:00", "2024-02-29 02:00"),
    ],
)
def test_contact_is_due_six_natural_hours_later(submitted: str, due: str) -> None:
    assert sla.promise(POLICY, CALENDAR, at(submitted)).contact_due_at == at(due)


def test_promises_across_the_summer_time_of_1986() -> None:
    promise = sla.promise(POLICY, SUMMER_TIME, at("1986-05-03 23:00"))
    assert promise.contact_due_at == at("1986-05-04 06:00")  # an hour of that night was left out
    assert promise.reply_due_at == datetime(1986, 5, 9, 15, tzinfo=UTC)
    promise = sla.promise(POLICY, SUMMER_TIME, at("1991-09-14 23:00"))
    assert promise.contact_due_at == at("1991-09-15 04:00")  # and this night had one more
    assert promise.reply_due_at == datetime(1991, 9, 20, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("submitted", "due"),
    [
        ("2026-11-20 21:59:59.999999", "2026-11-21 03:59:59.999999"),
        ("2026-11-20 22:00", "2026-11-21 09:00"),
        ("2026-11-20 23:59:59.999999", "2026-11-21 09:00"),
        ("2026-11-21 00:00", "2026-11-21 09:00"),
        ("2026-11-21 06:59:59.999999", "2026-11-21 09:00"),
        ("2026-11-21 07:00", "2026-11-21 13:00"),
    ],
)
def test_a_night_window_moves_the_contact_to_nine(submitted: str, due: str) -> None:
    policy = Policy(contact_mode=ContactMode.NIGHT_WINDOW)
    assert sla.promise(policy, CALENDAR, at(submitted)).contact_due_at == at(due)


def test_contact_may_be_promised_in_office_hours() -> None:
    policy = Policy(contact_mode=ContactMode.WORKING)
    promise = sla.promise(policy, CALENDAR, at("2026-11-20 15:00"))
    assert promise.contact_due_at == at("2026-11-23 12:00")  # 2.5 h on Friday, 3.5 h on Monday
    assert sla.promise(policy, CALENDAR, at("2026-12-31 17:00")).provisional


@pytest.mark.parametrize(
    ("mode", "due"),
    [
        (ReplyMode.END_OF_DAY, "2026-11-28 00:00"),
        (ReplyMode.OFFICE_CLOSE, "2026-11-27 17:30"),
        (ReplyMode.EXACT, "2026-11-27 10:00"),
    ],
)
def test_the_instant_of_the_due_day_depends_on_the_policy(mode: ReplyMode, due: str) -> None:
    policy = Policy(reply_mode=mode)
    assert sla.promise(policy, CALENDAR, at("2026-11-20 10:00")).reply_due_at == at(due)


def test_a_later_cycle_has_fewer_days() -> None:
    promise = sla.promise(POLICY, CALENDAR, at("2026-11-20 10:00"), cycle_no=2)
    assert promise.reply_due_at == end_of("2026-11-25")
    assert promise.contact_due_at == at("2026-11-20 16:00")


def test_the_smaller_clocks() -> None:
    friday = at("2026-11-20 17:00")
    assert sla.accept_due(POLICY, CALENDAR, friday) == at("2026-11-23 10:00")
    assert sla.return_due(POLICY, CALENDAR, friday) == end_of("2026-11-23")
    assert sla.review_due(POLICY, CALENDAR, friday) == end_of("2026-11-23")
    assert sla.rate_due(POLICY, CALENDAR, friday) == end_of("2026-11-27")
    assert sla.natural_days_later(CALENDAR, friday, POLICY.info_days) == end_of("2026-11-25")
    assert sla.rate_due(POLICY, CALENDAR, at("2026-12-30 10:00")) == end_of("2027-01-06")


# -- met or missed ------------------------------------------------------------------------------


def test_contact_after_exactly_six_hours_is_in_time() -> None:
    due_at = at("2026-11-20 15:00")
    assert sla.met(due_at, due_at, Metric.CONTACT)
    assert not sla.met(due_at, due_at + TICK, Metric.CONTACT)


@pytest.mark.parametrize(
    ("replied", "in_time"),
    [
        ("2026-11-27 23:59:59.999", True),
        ("2026-11-27 23:59:59.999999", True),
        ("2026-11-28 00:00", False),
    ],
)
def test_a_reply_at_midnight_is_too_late(replied: str, in_time: bool) -> None:
    assert sla.met(end_of("2026-11-27"), at(replied), Metric.REPLY) is in_time


@pytest.mark.parametrize("metric", list(Metric))
def test_a_breach_is_derived_from_the_two_instants(metric: Metric) -> None:
    due_at = end_of("2026-11-27")
    long_after = due_at + timedelta(days=30)
    assert not sla.is_breached(due_at, None, due_at - TICK, metric)
    assert sla.is_breached(due_at, None, due_at + TICK, metric)
    assert not sla.is_breached(due_at, due_at - TICK, long_after, metric)
    assert sla.is_breached(due_at, due_at + TICK, long_after, metric)
    at_due = sla.is_breached(due_at, None, due_at, metric)
    assert at_due is (metric not in {Metric.CONTACT, Metric.ACCEPT, Metric.SUPERVISE})


def test_clock_states_and_metrics_all_have_chinese_names() -> None:
    assert set(sla.METRIC_TEXT) == set(Metric)
    assert set(sla.CLOCK_STATE_TEXT) == set(ClockState)


# -- pauses and extensions ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "paused", "resumed", "new_due"),
    [
        ("2026-11-23", "2026-11-18 10:00", "2026-11-27 16:00", "2026-12-02"),
        ("2026-02-14", "2026-02-11 10:00", "2026-02-16 10:00", "2026-02-26"),  # resumed on holiday
        ("2026-09-29", "2026-09-23 10:00", "2026-09-24 10:00", "2026-09-30"),
        ("2026-11-23", "2026-11-18 00:00", "2026-11-18 23:59:59.999999", "2026-11-23"),
        ("2026-11-23", "2026-11-18 23:59:59.999999", "2026-11-19 00:00", "2026-11-24"),
        ("2026-11-23", "2026-11-23 10:00", "2026-11-25 10:00", "2026-11-25"),  # none remained
        ("2026-11-23", "2026-11-23 10:00", "2026-11-28 10:00", "2026-11-30"),  # and a Saturday
        ("2026-11-23", "2026-11-24 00:00", "2026-11-28 10:00", "2026-11-23"),  # due already
    ],
)
def test_the_days_that_remained_are_counted_anew_after_a_pause(
    due: str, paused: str, resumed: str, new_due: str
) -> None:
    result = sla.due_after_pause(
        CALENDAR, end_of(due), paused_at=at(paused), resumed_at=at(resumed)
    )
    assert result == end_of(new_due)


@pytest.mark.parametrize(
    ("submitted", "due_day"),
    [("2026-11-16", "2026-11-23"), ("2026-02-09", "2026-02-14"), ("2026-09-21", "2026-09-29")],
)
def test_the_pause_vectors_start_from_these_promises(submitted: str, due_day: str) -> None:
    promise = sla.promise(POLICY, CALENDAR, at(f"{submitted} 10:00"))
    assert promise.reply_due_at == end_of(due_day)


def test_overlapping_pauses_count_once() -> None:
    one = Pause(at("2026-11-18 10:00"), at("2026-11-25 10:00"))
    other = Pause(at("2026-11-20 10:00"), at("2026-11-27 16:00"))
    inside = Pause(at("2026-11-19 10:00"), at("2026-11-20 11:00"))
    assert sla.due_after_pauses(CALENDAR, end_of("2026-11-23"), [other, inside, one]) == end_of(
        "2026-12-02"
    )


def test_pauses_that_touch_or_follow_each_other_add_up() -> None:
    first = Pause(at("2026-11-18 10:00"), at("2026-11-19 10:00"))
    touching = Pause(at("2026-11-19 10:00"), at("2026-11-20 10:00"))
    later = Pause(at("2026-11-19 15:00"), at("2026-11-20 10:00"))
    for second in (touching, later):
        assert sla.due_after_pauses(CALENDAR, end_of("2026-11-23"), [first, second]) == end_of(
            "2026-11-25"
        )
    assert sla.due_after_pauses(CALENDAR, end_of("2026-11-23"), []) == end_of("2026-11-23")


def test_a_pause_into_an_unpublished_year_is_provisional() -> None:
    due_at, provisional = sla.settled(
        CALENDAR,
        lambda by: sla.due_after_pause(
            by,
            end_of("2026-12-31"),
            paused_at=at("2026-12-30 10:00"),
            resumed_at=at("2027-01-04 10:00"),
        ),
    )
    assert (due_at, provisional) == (end_of("2027-01-05"), True)


@pytest.mark.parametrize(
    ("due", "days", "new_due"),
    [
        ("2026-02-27", 5, "2026-03-05"),  # Saturday 28 works
        ("2026-11-27", 1, "2026-11-30"),
        ("2026-09-30", 5, "2026-10-13"),
    ],
)
def test_an_extension_adds_working_days_to_the_current_due(
    due: str, days: int, new_due: str
) -> None:
    assert sla.extend(CALENDAR, end_of(due), days) == end_of(new_due)


def test_a_due_instant_keeps_its_kind_when_it_moves() -> None:
    assert sla.extend(CALENDAR, at("2026-11-27 17:30"), 1) == at("2026-11-30 17:30")
    assert sla.extend(CALENDAR, at("2026-11-27 10:15"), 1) == at("2026-11-30 10:15")
    assert sla.due_after_pause(
        CALENDAR,
        at("2026-11-23 17:30"),
        paused_at=at("2026-11-18 10:00"),
        resumed_at=at("2026-11-27 16:00"),
    ) == at("2026-12-02 17:30")


def test_an_extension_beyond_the_published_years_says_so() -> None:
    with pytest.raises(CalendarCoverageError):
        sla.extend(CALENDAR, end_of("2026-12-31"), 5)
    assert sla.settled(CALENDAR, lambda by: sla.extend(by, end_of("2026-12-31"), 5)) == (
        end_of("2027-01-07"),
        True,
    )
