import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import sla
from app.reference import holiday_notice, queries, service
from app.reference.holiday_notice import HolidayFileInvalid, HolidaysNotPublished
from app.reference.seeds import seed
from app.store.session import Database

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
HOLIDAYS = Path(__file__).parents[3] / "shared" / "data" / "holidays"


def entry(word: str, *, off: bool = True, name: str = "元旦") -> dict[str, Any]:
    return {"name": name, "date": word, "isOffDay": off}


def document(year: int, *days: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"year": year, "papers": ["https://example.org/notice"], "days": list(days), **members}


NEXT_YEAR = document(
    2027,
    entry("2027-01-01"),
    entry("2027-01-02"),
    entry("2027-01-03"),
    entry("2027-01-09", off=False),
)


@pytest.fixture(scope="module")
async def seeded(db: Database) -> Database:
    async with db.transaction() as session:
        await seed(session, now=NOW)
    return db


@pytest.fixture
async def session(seeded: Database) -> AsyncIterator[AsyncSession]:
    """A transaction on the seeded city, rolled back afterwards."""
    async with seeded.sessions() as session:
        yield session
        await session.rollback()


async def test_the_next_year_extends_the_coverage(session: AsyncSession) -> None:
    before = await queries.snapshot(session)
    late = datetime(2026, 12, 31, 2, tzinfo=UTC)
    assert sla.promise(sla.DEFAULT_POLICY, before.calendar, late).provisional

    done = await service.import_calendar(session, NEXT_YEAR, now=NOW)

    assert done.changed
    assert (done.year, done.version) == (2027, 2)
    assert (done.coverage_from, done.coverage_to) == (date(2019, 1, 1), date(2027, 12, 31))
    assert (done.off_days, done.make_up_days) == (3, 1)
    assert done.working_days == 261 - 1 + 1  # 261 weekdays, one of them off, one Saturday worked
    assert done.missing_festivals == ("春节", "清明", "劳动节", "端午", "中秋", "国庆")
    after = await queries.snapshot(session)
    assert after.calendar_version == 2
    assert after.calendar_sources == (*before.calendar_sources, "https://example.org/notice")
    assert after.calendar.working_days_in(2026) == 248
    promise = sla.promise(sla.DEFAULT_POLICY, after.calendar, late)
    assert not promise.provisional
    assert promise.reply_due_at == datetime(2027, 1, 8, 16, tzinfo=UTC)


async def test_the_same_year_again_publishes_nothing(session: AsyncSession) -> None:
    first = await service.import_calendar(session, NEXT_YEAR, now=NOW)
    again = await service.import_calendar(session, NEXT_YEAR, now=NOW + timedelta(days=1))
    assert first.changed
    assert not again.changed
    assert again.version == first.version


async def test_a_corrected_year_replaces_only_what_its_own_notice_said(
    session: AsyncSession,
) -> None:
    corrected = document(2022, entry("2022-01-01"), entry("2022-12-30", name="元旦"))
    done = await service.import_calendar(session, corrected, now=NOW)
    assert done.changed
    calendar = (await queries.snapshot(session)).calendar
    assert calendar.is_working_day(date(2022, 10, 3))  # no longer said to be off
    assert not calendar.is_working_day(date(2022, 12, 30))
    assert not calendar.is_working_day(date(2022, 12, 31))  # said by the notice of 2023
    assert calendar.working_days_in(2023) == 249


async def test_where_two_notices_speak_of_a_day_the_later_year_holds(session: AsyncSession) -> None:
    await service.import_calendar(
        session, document(2027, entry("2026-12-31"), entry("2027-01-01")), now=NOW
    )
    calendar = (await queries.snapshot(session)).calendar
    assert not calendar.is_working_day(date(2026, 12, 31))
    assert calendar.working_days_in(2026) == 247


async def test_a_year_may_also_be_added_in_front(session: AsyncSession) -> None:
    done = await service.import_calendar(session, document(2018, entry("2018-01-01")), now=NOW)
    assert done.coverage_from == date(2018, 1, 1)
    calendar = (await queries.snapshot(session)).calendar
    assert calendar.is_working_day(date(2018, 12, 29))  # said by the notice of 2019


async def test_the_first_calendar_of_an_empty_city(db: Database) -> None:
    async with db.sessions() as session:
        await session.execute(text("DELETE FROM calendar_days"))
        await session.execute(text("DELETE FROM calendars"))
        done = await service.import_calendar(session, NEXT_YEAR, now=NOW)
        assert (done.version, done.changed) == (1, True)
        assert (done.coverage_from, done.coverage_to) == (date(2027, 1, 1), date(2027, 12, 31))
        await session.rollback()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([], "应为一个 JSON 对象"),
        ("text", "应为一个 JSON 对象"),
        ({}, "缺少字段 days；缺少字段 papers；缺少字段 year"),
        (document(2027, entry("2027-01-01"), extra=1), "多出字段 extra"),
        (document("2027", entry("2027-01-01")), "year 应为"),  # type: ignore[arg-type]
        (document(True, entry("2027-01-01")), "year 应为"),
        (document(1, entry("0001-01-01")), "year 应为"),
        (document(2027, entry("2027-01-01"), papers="x"), "papers 应为"),
        (document(2027, entry("2027-01-01"), papers=[1]), "papers 应为"),
        (document(2027, entry("2027-01-01"), days={}), "days 应为"),
        (document(2027, *[entry("2027-01-01")] * 401), "days 应为"),
        (document(2027, entry("2026-05-01")), "第1项：日期 2026-05-01 不属于2027年的安排"),
        (document(2027, entry("2028-01-01")), "第1项：日期 2028-01-01 不属于2027年的安排"),
        (
            document(2027, entry("2027-01-01"), entry("2027-01-01", off=False)),
            "第2项：日期 2027-01-01 重复",
        ),
        (document(2027, entry("2027-02-29")), "第1项：date '2027-02-29' 不是日期"),
        (document(2027, entry("20270101")), "不是日期"),
        (document(2027, entry("2027-W01-1")), "不是日期"),
        (document(2027, entry("2027-01-01T00:00")), "不是日期"),
        (document(2027, entry(20270101)), "不是日期"),  # type: ignore[arg-type]
        (document(2027, entry("2027-01-01", name="")), "name 应为"),
        (document(2027, entry("2027-01-01", name="x" * 51)), "name 应为"),
        (document(2027, entry("2027-01-01", name="a\nb")), "name 应为"),
        (document(2027, entry("2027-01-01", off=1)), "isOffDay 应为"),  # type: ignore[arg-type]
        (document(2027, {"name": "元旦", "date": "2027-01-01"}), "应恰有"),
        (document(2027, "2027-01-01"), "应恰有"),  # type: ignore[arg-type]
        (document(2028, entry("2028-01-01")), "覆盖2019至2026年，2028年不与之相连"),
        (document(2017, entry("2017-01-01")), "2017年不与之相连"),
    ],
)
async def test_a_wrong_file_is_refused_by_name_and_changes_nothing(
    session: AsyncSession, wrong: object, says: str
) -> None:
    with pytest.raises(HolidayFileInvalid, match=says):
        await service.import_calendar(session, wrong, now=NOW)
    assert (await queries.snapshot(session)).calendar_version == 1


async def test_every_wrong_entry_is_pointed_at() -> None:
    days = (entry("2027-01-01"), entry("2027-13-01"), entry("2027-01-01"))
    with pytest.raises(HolidayFileInvalid) as caught:
        holiday_notice.read(document(2027, *days))
    assert [error.pointer for error in caught.value.errors] == ["/days/1", "/days/2"]


async def test_a_year_that_is_not_published_changes_nothing(session: AsyncSession) -> None:
    with pytest.raises(HolidaysNotPublished, match="2027年的放假安排尚未公布"):
        await service.import_calendar(session, document(2027, papers=[]), now=NOW)
    assert (await queries.snapshot(session)).calendar_version == 1


@pytest.mark.shared
@pytest.mark.parametrize("year", range(2019, 2027))
async def test_the_published_files_say_what_is_already_known(
    session: AsyncSession, year: int
) -> None:
    if not HOLIDAYS.exists():
        pytest.skip("the shared holiday files are not beside the checkout")
    published = json.loads((HOLIDAYS / f"{year}.json").read_text(encoding="utf-8"))
    before = (await queries.snapshot(session)).calendar
    done = await service.import_calendar(session, published, now=NOW)
    assert done.missing_festivals == ()
    assert done.changed is (year == 2020)  # it also names a Monday on which work began again
    after = (await queries.snapshot(session)).calendar
    assert done.working_days == before.working_days_in(year)
    assert after.working_days_in(2023) == 249


@pytest.mark.shared
async def test_the_empty_file_of_2027_is_not_published(session: AsyncSession) -> None:
    if not HOLIDAYS.exists():
        pytest.skip("the shared holiday files are not beside the checkout")
    with pytest.raises(HolidaysNotPublished):
        await service.import_calendar(
            session, json.loads((HOLIDAYS / "2027.json").read_text(encoding="utf-8")), now=NOW
        )


async def test_an_import_is_announced_when_it_commits(seeded: Database) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    listener = await asyncpg.connect(seeded.url)
    try:
        await listener.add_listener("lianxin", lambda *notice: heard.put_nowait(notice[-1]))
        async with seeded.transaction() as session:
            await service.import_calendar(session, NEXT_YEAR, now=NOW)
        assert await asyncio.wait_for(heard.get(), 5) == "reference"
        assert (await queries.load(seeded)).calendar_version == 2
    finally:
        await listener.close()


async def test_two_imports_at_once_make_two_versions(seeded: Database) -> None:
    start = (await queries.load(seeded)).calendar_version

    async def publish(*days: str) -> int:
        async with seeded.transaction() as session:
            wanted = document(2027, *(entry(word) for word in days))
            return (await service.import_calendar(session, wanted, now=NOW)).version

    versions = await asyncio.gather(publish("2027-01-01"), publish("2027-01-01", "2027-05-03"))
    assert sorted(versions) == [start + 1, start + 2]
