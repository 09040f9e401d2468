"""What was promised by one calendar, counted by another."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.recalculation import Course, Grant, due_again, own_due, reply_due
from app.domain.sla import ContactMode, Metric, Pause, Policy, ReplyMode
from app.domain.working_time import OFFICE_DAY, WorkingCalendar
from tests.domain.calendars import CALENDAR, at, day

POLICY = Policy()
NEXT_YEAR = replace(
    CALENDAR,
    version=2,
    coverage_to=day("2027-12-31"),
    off_days=CALENDAR.off_days | {day("2027-01-01")},
)


def without(*off: str) -> WorkingCalendar:
    """2023-2026 with more days off."""
    return replace(CALENDAR, version=2, off_days=CALENDAR.off_days | {day(word) for word in off})


def test_a_provisional_promise_is_counted_by_the_published_year() -> None:
    course = Course(POLICY, at("2026-12-31 10:00"))
    due_at = at("2027-01-08 00:00")
    assert due_again(Metric.REPLY, due_at, [course], old=CALENDAR, new=CALENDAR) == (due_at, True)
    assert due_again(Metric.REPLY, due_at, [course], old=CALENDAR, new=NEXT_YEAR) == (
        at("2027-01-09 00:00"),
        False,
    )


def test_pauses_and_extensions_count_in_the_order_of_time() -> None:
    course = Course(
        POLICY,
        at("2026-11-16 10:00"),  # due 11-23
        pauses=(Pause(at("2026-11-18 10:00"), at("2026-11-27 16:00")),),  # then 12-02
        grants=(Grant(5, at("2026-11-30 10:00")),),  # then 12-09
    )
    assert reply_due(course, CALENDAR) == at("2026-12-10 00:00")
    assert reply_due(course, without("2026-12-08")) == at("2026-12-11 00:00")
    # A day off inside the pause costs and gives nothing.
    assert reply_due(course, without("2026-11-25")) == at("2026-12-10 00:00")
    granted_while_it_stood = replace(course, grants=(Grant(1, at("2026-11-20 10:00")),))
    assert reply_due(granted_while_it_stood, CALENDAR) == at("2026-12-04 00:00")


def test_the_time_a_unit_has_for_itself_stands_with_the_pauses_since_it_got_the_request() -> None:
    before = Pause(at("2026-11-16 10:00"), at("2026-11-17 10:00"))
    course = Course(POLICY, at("2026-11-18 10:00"), pauses=(before,))  # two working days
    assert own_due(course, CALENDAR) == at("2026-11-21 00:00")
    later = replace(course, pauses=(before, Pause(at("2026-11-19 10:00"), at("2026-11-24 10:00"))))
    assert own_due(later, CALENDAR) == at("2026-11-26 00:00")
    due_at = at("2026-11-21 00:00")
    assert due_again(
        Metric.INTERNAL, due_at, [course], old=CALENDAR, new=without("2026-11-19")
    ) == (at("2026-11-24 00:00"), False)


def test_a_later_cycle_has_its_own_number_of_days() -> None:
    assert reply_due(Course(POLICY, at("2026-11-20 10:00"), cycle_no=2), CALENDAR) == at(
        "2026-11-26 00:00"
    )


def test_the_earliest_of_all_that_follow_holds() -> None:
    own, follower = Course(POLICY, at("2026-11-18 10:00")), Course(POLICY, at("2026-11-16 10:00"))
    due_at = at("2026-11-24 00:00")
    assert due_again(
        Metric.REPLY, due_at, [own, follower], old=CALENDAR, new=without("2026-11-17")
    ) == (at("2026-11-25 00:00"), False)


@pytest.mark.parametrize(
    ("due", "new_due"),
    [
        ("2026-11-20 00:00", "2026-11-21 00:00"),  # three days after the start, whatever the reason
        ("2026-11-19 17:30", "2026-11-20 17:30"),
        ("2026-11-19 10:15", "2026-11-20 10:15"),
        ("2026-11-16 18:00", "2026-11-16 18:00"),
    ],
)
def test_a_reply_with_another_reason_keeps_its_number_of_days(due: str, new_due: str) -> None:
    course = Course(POLICY, at("2026-11-16 10:00"))
    again = due_again(Metric.REPLY, at(due), [course], old=CALENDAR, new=without("2026-11-18"))
    assert again == (at(new_due), False)


def test_closing_time_follows_the_new_office_hours() -> None:
    course = Course(Policy(reply_mode=ReplyMode.OFFICE_CLOSE), at("2026-11-16 10:00"))
    short = replace(CALENDAR, version=2, weekly=((OFFICE_DAY[0],),) * 5 + ((), ()))
    assert due_again(Metric.REPLY, at("2026-11-23 17:30"), [course], old=CALENDAR, new=short) == (
        at("2026-11-23 12:00"),
        False,
    )
    assert due_again(  # and so does one that somebody set earlier
        Metric.REPLY, at("2026-11-19 17:30"), [course], old=CALENDAR, new=short
    ) == (at("2026-11-19 12:00"), False)


@pytest.mark.parametrize(
    ("metric", "due", "new_due"),
    [
        (Metric.ACCEPT, "2026-11-17 09:00", "2026-11-18 09:00"),
        (Metric.ACCEPT, "2026-11-17 11:00", "2026-11-17 11:00"),  # set by somebody
        (Metric.REVIEW, "2026-11-18 00:00", "2026-11-19 00:00"),
        (Metric.RETURN, "2026-11-18 00:00", "2026-11-19 00:00"),
        (Metric.RATE, "2026-11-24 00:00", "2026-11-24 00:00"),  # natural days
        (Metric.SUPERVISE, "2026-11-18 00:00", "2026-11-18 00:00"),  # set in the order
        (Metric.CONTACT, "2026-11-16 22:00", "2026-11-16 22:00"),  # natural hours
    ],
)
def test_only_what_is_counted_by_the_calendar_moves(metric: Metric, due: str, new_due: str) -> None:
    course = Course(POLICY, at("2026-11-16 16:00"))
    again = due_again(metric, at(due), [course], old=CALENDAR, new=without("2026-11-17"))
    assert again == (at(new_due), False)


def test_a_contact_in_office_hours_moves_with_them() -> None:
    policy = Policy(contact_mode=ContactMode.WORKING, contact=timedelta(hours=2))
    course = Course(policy, at("2026-11-16 16:30"))
    assert due_again(
        Metric.CONTACT, at("2026-11-17 09:30"), [course], old=CALENDAR, new=without("2026-11-17")
    ) == (at("2026-11-18 09:30"), False)
