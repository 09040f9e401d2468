from datetime import UTC, date, datetime, time, timedelta

import pytest

from app.domain.working_time import OFFICE_DAY, CalendarCoverageError, Frame, WorkingCalendar
from tests.domain.calendars import CALENDAR, SUMMER_TIME, at, day

HOUR = timedelta(hours=1)


# -- days ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "works"),
    [
        ("2026-11-20", True),  # a plain Friday
        ("2026-11-21", False),  # a plain Saturday
        ("2026-02-14", True),  # a make-up Saturday
        ("2026-02-16", False),  # Spring Festival, a Monday
        ("2024-02-29", True),  # a leap day on a Thursday
        ("2023-01-01", False),  # from the notice that begins on 2022-12-31
    ],
)
def test_a_day_works_by_make_up_then_holiday_then_weekday(word: str, works: bool) -> None:
    assert CALENDAR.is_working_day(day(word)) is works


@pytest.mark.parametrize(("year", "days"), [(2023, 249), (2024, 251), (2025, 248), (2026, 248)])
def test_a_year_has_its_announced_number_of_working_days(year: int, days: int) -> None:
    assert CALENDAR.working_days_in(year) == days


@pytest.mark.parametrize(
    ("after", "n", "expected"),
    [
        ("2024-02-26", 3, "2024-02-29"),
        ("2024-02-28", 1, "2024-02-29"),
        ("2024-02-29", 1, "2024-03-01"),
        ("2026-02-13", 1, "2026-02-14"),
        ("2026-02-14", 1, "2026-02-24"),
        ("2022-12-31", 1, "2023-01-03"),  # the day before the coverage needs nothing outside it
        ("2026-12-30", 1, "2026-12-31"),
    ],
)
def test_the_nth_working_day_is_strictly_after(after: str, n: int, expected: str) -> None:
    assert CALENDAR.nth_working_day(day(after), n) == day(expected)


@pytest.mark.parametrize(
    ("before", "n", "expected"),
    [
        ("2026-11-27", 1, "2026-11-26"),
        ("2026-11-27", 2, "2026-11-25"),
        ("2026-02-24", 1, "2026-02-14"),
        ("2026-02-16", 1, "2026-02-14"),
        ("2023-01-04", 1, "2023-01-03"),
    ],
)
def test_the_nth_working_day_before_is_strictly_before(before: str, n: int, expected: str) -> None:
    assert CALENDAR.nth_working_day_before(day(before), n) == day(expected)


@pytest.mark.parametrize(
    ("after", "until", "count"),
    [
        ("2026-11-18", "2026-11-23", 3),
        ("2026-02-11", "2026-02-14", 3),
        ("2026-11-23", "2026-11-23", 0),
        ("2026-11-23", "2026-11-20", 0),
        ("2026-10-01", "2026-10-07", 0),
    ],
)
def test_working_days_between_leaves_the_first_day_out(after: str, until: str, count: int) -> None:
    assert CALENDAR.working_days_between(day(after), day(until)) == count


@pytest.mark.parametrize(
    "ask",
    [
        lambda: CALENDAR.is_working_day(day("2027-01-01")),
        lambda: CALENDAR.is_working_day(day("2022-12-31")),
        lambda: CALENDAR.nth_working_day(day("2026-12-25"), 5),
        lambda: CALENDAR.nth_working_day(day("2026-12-31"), 1),
        lambda: CALENDAR.nth_working_day(day("2022-12-30"), 1),
        lambda: CALENDAR.nth_working_day(date.max, 1),
        lambda: CALENDAR.nth_working_day_before(day("2023-01-03"), 1),
        lambda: CALENDAR.nth_working_day_before(date.min, 1),
        lambda: CALENDAR.working_days_between(day("2026-12-01"), day("2027-01-01")),
        lambda: CALENDAR.add(at("2026-12-31 17:00"), HOUR),
        lambda: CALENDAR.add(at("2027-01-01 00:00"), HOUR),
        lambda: CALENDAR.add(at("2027-01-01 00:00"), timedelta(0)),
        lambda: CALENDAR.between(at("2022-12-31 23:59"), at("2023-01-04 09:00")),
        lambda: CALENDAR.between(at("2026-12-31 09:00"), at("2027-01-01 00:01")),
        lambda: CALENDAR.local_date(datetime.max.replace(tzinfo=UTC)),
        lambda: CALENDAR.provisional().nth_working_day(day("2199-12-30"), 5),
    ],
)
def test_a_date_outside_the_coverage_is_never_guessed(ask: object) -> None:
    with pytest.raises(CalendarCoverageError, match="覆盖"):
        ask()  # type: ignore[operator]


def test_the_coverage_error_names_the_years_that_are_known() -> None:
    with pytest.raises(CalendarCoverageError) as caught:
        CALENDAR.is_working_day(day("2027-03-01"))
    assert caught.value.detail == "工作日历第1版覆盖2023-01-01至2026-12-31，不含2027-03-01。"


def test_the_provisional_view_keeps_the_facts_and_adds_plain_weekdays() -> None:
    view = CALENDAR.provisional()
    assert view.is_working_day(day("2026-02-14"))
    assert not view.is_working_day(day("2026-02-16"))
    assert view.is_working_day(day("2027-01-01"))  # a Friday nobody has spoken about
    assert not view.is_working_day(day("2027-01-02"))
    assert view.nth_working_day(day("2026-12-31"), 5) == day("2027-01-07")
    assert view is CALENDAR.provisional()


@pytest.mark.parametrize("n", [0, -1])
def test_counting_days_starts_at_one(n: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CALENDAR.nth_working_day(day("2026-11-20"), n)
    with pytest.raises(ValueError, match="at least 1"):
        CALENDAR.nth_working_day_before(day("2026-11-20"), n)


# -- instants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "local"),
    [
        ("2026-11-20T15:59:59.999999+00:00", "2026-11-20"),
        ("2026-11-20T16:00:00+00:00", "2026-11-21"),
        ("2026-11-20T23:30:00-05:00", "2026-11-21"),
        ("1988-07-01T15:00:00+00:00", "1988-07-02"),  # summer time: UTC+9
        ("1992-07-01T15:00:00+00:00", "1992-07-01"),
    ],
)
def test_the_local_date_is_that_of_shanghai(instant: str, local: str) -> None:
    assert CALENDAR.local_date(datetime.fromisoformat(instant)) == day(local)


def test_the_end_of_a_day_is_the_first_instant_of_the_next() -> None:
    end = CALENDAR.end_of_day(day("2026-11-20"))
    assert end == datetime(2026, 11, 20, 16, tzinfo=UTC)
    assert end.tzinfo is UTC
    assert CALENDAR.local_date(end - timedelta(microseconds=1)) == day("2026-11-20")
    assert CALENDAR.local_date(end) == day("2026-11-21")


@pytest.mark.parametrize(
    "ask",
    [
        lambda naive: CALENDAR.local_date(naive),
        lambda naive: CALENDAR.add(naive, HOUR),
        lambda naive: CALENDAR.between(naive, naive),
    ],
)
def test_a_naive_datetime_is_refused(ask: object) -> None:
    with pytest.raises(ValueError, match="naive"):
        ask(datetime(2026, 11, 20, 9))  # type: ignore[operator]


# -- office time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-20 09:00", 2, "2026-11-20 11:00"),
        ("2026-11-20 11:00", 2, "2026-11-20 14:30"),  # over lunch
        ("2026-11-20 11:00", 1, "2026-11-20 12:00"),  # ends with the frame, not after lunch
        ("2026-11-20 12:00", 1, "2026-11-20 14:30"),
        ("2026-11-20 17:00", 1, "2026-11-23 09:00"),  # over a weekend
        ("2026-11-20 23:00", 2, "2026-11-23 10:30"),
        ("2026-11-20 05:00", 2, "2026-11-20 10:30"),
        ("2026-11-21 10:00", 2, "2026-11-23 10:30"),
        ("2026-02-13 17:30", 2, "2026-02-14 10:30"),  # a working Saturday
        ("2026-02-14 17:30", 2, "2026-02-24 10:30"),  # Spring Festival
        ("2026-11-16 08:30", 37.5, "2026-11-20 17:30"),  # a week of office days
        ("2026-11-21 10:00", 0, "2026-11-21 10:00"),
    ],
)
def test_office_time_is_added_only_while_the_office_is_open(
    start: str, hours: float, end: str
) -> None:
    result = CALENDAR.add(at(start), timedelta(hours=hours))
    assert result == at(end)
    assert result.tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-11-20 09:00", "2026-11-20 11:00", 2),
        ("2026-11-20 11:00", "2026-11-20 14:30", 2),
        ("2026-11-20 12:00", "2026-11-20 13:30", 0),
        ("2026-11-20 00:00", "2026-11-21 00:00", 7.5),
        ("2026-11-21 00:00", "2026-11-23 00:00", 0),
        ("2026-02-09 00:00", "2026-02-16 00:00", 45),  # six working days
        ("2026-11-20 09:00", "2026-11-20 09:00", 0),
        ("2026-12-31 08:30", "2027-01-01 00:00", 7.5),  # half-open: nothing of 2027 is needed
    ],
)
def test_office_time_between_two_instants(start: str, end: str, hours: float) -> None:
    assert CALENDAR.between(at(start), at(end)) == timedelta(hours=hours)


def test_office_time_is_not_counted_backwards() -> None:
    with pytest.raises(ValueError, match="before"):
        CALENDAR.between(at("2026-11-20 10:00"), at("2026-11-20 09:00"))
    with pytest.raises(ValueError, match="negative"):
        CALENDAR.add(at("2026-11-20 10:00"), -HOUR)


def test_a_make_up_day_may_have_frames_of_its_own() -> None:
    half_day = (Frame(time(9), time(12)),)
    calendar = WorkingCalendar(
        version=1,
        coverage_from=day("2026-02-01"),
        coverage_to=day("2026-03-31"),
        work_days=frozenset({day("2026-02-14"), day("2026-02-28")}),
        own_frames={day("2026-02-14"): half_day},
    )
    assert calendar.frames_of(day("2026-02-14")) == half_day
    assert calendar.frames_of(day("2026-02-28")) == OFFICE_DAY
    assert calendar.opening(day("2026-02-14")) == at("2026-02-14 09:00")
    assert calendar.closing(day("2026-02-14")) == at("2026-02-14 12:00")
    assert calendar.add(at("2026-02-13 17:30"), 4 * HOUR) == at("2026-02-16 09:30")


def test_frames_of_a_weekday_may_differ_and_reach_midnight() -> None:
    early, night = (Frame(time(8), time(10)),), (Frame(time(20), time(0)),)
    calendar = WorkingCalendar(
        version=1,
        coverage_from=day("2026-11-01"),
        coverage_to=day("2026-11-30"),
        weekly=(early, night, early, early, early, (), ()),
    )
    assert calendar.office_day == 4 * HOUR
    assert calendar.closing(day("2026-11-17")) == at("2026-11-18 00:00")
    assert calendar.add(at("2026-11-16 08:00"), 5 * HOUR) == at("2026-11-17 23:00")
    assert calendar.frames_of(day("2026-11-21")) == ()


def test_impossible_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="closes after"):
        Frame(time(12), time(9))
    overlapping = (Frame(time(8), time(12)), Frame(time(11), time(17)))
    with pytest.raises(ValueError, match="overlap"):
        WorkingCalendar(
            version=1,
            coverage_from=day("2026-01-01"),
            coverage_to=day("2026-01-02"),
            weekly=(overlapping,) * 7,
        )
    with pytest.raises(ValueError, match="seven days"):
        WorkingCalendar(
            version=1,
            coverage_from=day("2026-01-01"),
            coverage_to=day("2026-01-02"),
            weekly=((),) * 7,
        )


# -- summer time 1986-1991 ----------------------------------------------------------------------


def test_a_summer_day_ends_an_hour_earlier_by_utc() -> None:
    assert SUMMER_TIME.end_of_day(day("1988-07-01")) == datetime(1988, 7, 1, 15, tzinfo=UTC)
    assert SUMMER_TIME.end_of_day(day("1988-01-04")) == datetime(1988, 1, 4, 16, tzinfo=UTC)


def test_the_lost_and_the_doubled_hour_count_as_they_passed() -> None:
    """Clocks went 02:00 → 03:00 on 1986-05-04, and 02:00 → 01:00 on 1986-09-14, both Sundays."""
    nights = WorkingCalendar(
        version=1,
        coverage_from=day("1986-01-01"),
        coverage_to=day("1986-12-31"),
        weekly=((Frame(time(0), time(4)),),) * 7,
    )
    for word, hours in (("1986-05-03", 4), ("1986-05-04", 3), ("1986-09-14", 5)):
        begin = at(f"{word} 00:00")
        assert nights.between(begin, nights.end_of_day(day(word))) == hours * HOUR
        assert nights.add(begin, hours * HOUR) == at(f"{word} 04:00")
