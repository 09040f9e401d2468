"""A draft says only what becomes different, and is refused by name."""

from datetime import date, time
from typing import Any

import pytest

from app.domain.errors import Invalid
from app.domain.working_time import OFFICE_DAY, OFFICE_WEEK, Frame
from app.reference.calendar_facts import (
    CITY_YEAR,
    CalendarDraft,
    CalendarDraftInvalid,
    CalendarFacts,
    CityDay,
    draft_on,
)
from app.reference.holiday_notice import HolidayFileInvalid, HolidaysNotPublished, stated


def document(year: int, *off: str, work: tuple[str, ...] = ()) -> dict[str, Any]:
    days = [{"name": "元旦", "date": word, "isOffDay": True} for word in off]
    days += [{"name": "调休", "date": word, "isOffDay": False} for word in work]
    return {"year": year, "papers": [f"https://example.org/{year}"], "days": days}


def hours(*words: str) -> list[tuple[time, time]]:
    """``hours("08:30-12:00", …)``"""
    spans = (word.split("-") for word in words)
    return [(time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in spans]


def day(word: str, *frames: str) -> CityDay:
    return CityDay(date.fromisoformat(word), "本市安排", hours(*frames))


BASE = CalendarFacts(
    coverage_from=date(2025, 1, 1),
    coverage_to=date(2026, 12, 31),
    weekly=OFFICE_WEEK,
    notices=(
        stated(2025, ("a",), off={"元旦": "01-01"}, work=""),
        stated(2026, ("b",), off={"元旦": "01-01/01-03"}, work="01-04"),
    ),
    sources=("a", "b"),
)


def test_a_year_extends_the_coverage_and_keeps_the_rest() -> None:
    facts = draft_on(BASE, CalendarDraft(years=[document(2027, "2027-01-01")]))
    assert (facts.coverage_from, facts.coverage_to) == (date(2025, 1, 1), date(2027, 12, 31))
    assert facts.years == {2025, 2026, 2027}
    assert facts.sources == ("a", "b", "https://example.org/2027")
    assert facts.weekly == OFFICE_WEEK
    calendar = facts.calendar(2)
    assert not calendar.is_working_day(date(2027, 1, 1))
    assert calendar.is_working_day(date(2026, 1, 4))


def test_the_first_calendar_needs_nothing_but_a_year() -> None:
    facts = draft_on(None, CalendarDraft(years=[document(2027, "2027-01-01")]))
    assert (facts.coverage_from, facts.coverage_to) == (date(2027, 1, 1), date(2027, 12, 31))
    assert facts.weekly == OFFICE_WEEK
    with pytest.raises(CalendarDraftInvalid, match="至少应有一个年份"):
        draft_on(None, CalendarDraft())


def test_the_citys_own_days_have_the_last_word() -> None:
    facts = draft_on(
        BASE,
        CalendarDraft(
            off_days=[day("2026-01-04"), day("2026-05-20")],
            work_days=[day("2026-01-03", "09:00-11:30", "14:00-16:00")],
        ),
    )
    assert facts.notices[-1].year == CITY_YEAR
    calendar = facts.calendar(2)
    assert not calendar.is_working_day(date(2026, 1, 4))
    assert not calendar.is_working_day(date(2026, 5, 20))
    assert calendar.frames_of(date(2026, 1, 3)) == (
        Frame(time(9), time(11, 30)),
        Frame(time(14), time(16)),
    )
    again = draft_on(facts, CalendarDraft(years=[document(2027, "2027-01-01")]))
    assert again.city_days == facts.city_days
    assert again.notices[-1].year == CITY_YEAR
    fewer = draft_on(facts, CalendarDraft(off_days=[]))
    assert [it.day for it in fewer.city_days] == [date(2026, 1, 3)]
    none = draft_on(facts, CalendarDraft(off_days=[], work_days=[]))
    assert none.rules() == BASE.rules()


def test_a_week_may_have_several_frames_a_day_and_other_weekdays() -> None:
    week = [hours("08:00-10:00", "10:00-12:00", "20:00-00:00")] * 2 + [[]] * 3
    facts = draft_on(BASE, CalendarDraft(weekly=[*week, hours("09:00-12:00"), []]))
    calendar = facts.calendar(2)
    assert not calendar.is_working_day(date(2026, 11, 20))  # a Friday
    assert calendar.is_working_day(date(2026, 11, 21))
    assert len(calendar.frames_of(date(2026, 11, 17))) == 3


def test_the_coverage_may_be_said_but_only_over_known_years() -> None:
    facts = draft_on(BASE, CalendarDraft(coverage_from=date(2025, 7, 1)))
    assert (facts.coverage_from, facts.coverage_to) == (date(2025, 7, 1), date(2026, 12, 31))
    with pytest.raises(CalendarDraftInvalid, match="2027年没有放假安排"):
        draft_on(BASE, CalendarDraft(coverage_to=date(2027, 6, 30)))
    with pytest.raises(CalendarDraftInvalid, match="截止日 2025-01-01 早于起始日 2026-01-01"):
        draft_on(BASE, CalendarDraft(coverage_from=date(2026, 1, 1), coverage_to=date(2025, 1, 1)))


MIDWEEK = [hours("08:30-12:00", "13:30-17:30")] * 4


@pytest.mark.parametrize(
    ("draft", "pointer", "says"),
    [
        (
            CalendarDraft(weekly=[hours("12:00-08:30"), *MIDWEEK, [], []]),
            "/weekly_frames/0/0",
            "星期一第1段：结束时间 08:30 应晚于开始时间 12:00",
        ),
        (
            CalendarDraft(weekly=[*MIDWEEK, hours("08:30-08:30"), [], []]),
            "/weekly_frames/4/0",
            "星期五第1段",
        ),
        (
            CalendarDraft(weekly=[*MIDWEEK, hours("08:30-12:00", "11:00-17:00"), [], []]),
            "/weekly_frames/4/1",
            "星期五第2段 11:00 开始，但第1段到 12:00 才结束",
        ),
        (
            CalendarDraft(weekly=[*MIDWEEK, hours("20:00-00:00", "21:00-22:00"), [], []]),
            "/weekly_frames/4/1",
            "星期五第2段",
        ),
        (CalendarDraft(weekly=[[]] * 7), "/weekly_frames", "至少应有一个办公时段"),
        (CalendarDraft(weekly=MIDWEEK), "/weekly_frames", "恰有七天"),
        (
            CalendarDraft(work_days=[day("2026-05-16", "17:00-09:00")]),
            "/work_days/0/frames/0",
            "2026-05-16第1段",
        ),
        (
            CalendarDraft(off_days=[day("2026-05-20"), day("2026-05-20")]),
            "/off_days/1",
            "2026-05-20 重复",
        ),
        (
            CalendarDraft(off_days=[day("2026-05-20")], work_days=[day("2026-05-20")]),
            "/work_days/0",
            "2026-05-20 同时列为休息日和工作日",
        ),
        (
            CalendarDraft(off_days=[day("2027-05-20")]),
            "/off_days/0",
            "2027-05-20 不在覆盖范围 2025-01-01 至 2026-12-31 之内",
        ),
        (CalendarDraft(years=[document(2029, "2029-01-01")]), "/years", "2027年没有放假安排"),
    ],
)
def test_a_wrong_draft_is_refused_by_day_and_frame(
    draft: CalendarDraft, pointer: str, says: str
) -> None:
    with pytest.raises(CalendarDraftInvalid, match=says) as caught:
        draft_on(BASE, draft)
    assert pointer in [error.pointer for error in caught.value.errors]


@pytest.mark.parametrize(
    ("years", "kind", "pointer", "says"),
    [
        ([document(2027)], HolidaysNotPublished, "/years/0", "2027年的放假安排尚未公布"),
        (
            [document(2027, "2027-01-01"), document(2027, "2027-01-02")],
            HolidayFileInvalid,
            "/years/1",
            "2027年的放假安排重复",
        ),
        (
            [document(2027, "2027-01-01", "2027-02-30")],
            HolidayFileInvalid,
            "/years/0/days/1",
            "第2项",
        ),
        ([{"year": 2027}], HolidayFileInvalid, "/years/0", "缺少字段"),
    ],
)
def test_a_wrong_year_is_refused_with_its_place(
    years: list[Any], kind: type[Invalid], pointer: str, says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        draft_on(BASE, CalendarDraft(years=years))
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_names_and_papers_make_no_other_rules_but_another_digest() -> None:
    renamed = CalendarFacts(
        BASE.coverage_from,
        BASE.coverage_to,
        BASE.weekly,
        (stated(2025, (), off={"新年": "01-01"}, work=""), BASE.notices[1]),
        ("c",),
    )
    assert renamed.rules() == BASE.rules()
    assert renamed.digest(1) != BASE.digest(1)
    assert BASE.digest(1) != BASE.digest(2)
    assert BASE.digest(1) == draft_on(BASE, CalendarDraft()).digest(1)
    assert BASE.weekly[0] == OFFICE_DAY
