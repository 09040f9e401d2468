import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.audit import queries as audit
from app.domain import sla
from app.domain.audit_chain import chain_of
from app.domain.routing import choose_unit
from app.domain.sla import ContactMode, ReplyMode
from app.domain.working_time import OFFICE_WEEK
from app.reference import holiday_notice, queries
from app.reference.kinds import UnitKind
from app.reference.models import CategoryRow, RoutingRuleRow, UnitRow
from app.reference.queries import (
    CategoryUnknown,
    PolicyUnknown,
    Reference,
    UnitUnknown,
)
from app.reference.seeds import seed
from app.reference.seeds_calendar import NOTICES
from app.reference.seeds_city import CATEGORIES, TOWNS
from app.store.session import Database
from app.tables import metadata
from tests.domain import calendars

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
HOLIDAYS = Path(__file__).parents[3] / "shared" / "data" / "holidays"


@pytest.fixture(scope="module")
async def reference(db: Database) -> Reference:
    async with db.transaction() as session:
        await seed(session, now=NOW)
    return await queries.load(db)


async def test_an_empty_database_still_gives_the_citys_promise(db: Database) -> None:
    empty = await queries.load(db)
    assert empty.calendar_version == 0
    promise = sla.promise(empty.policy_for(None), empty.calendar, NOW)
    assert promise.provisional
    assert promise.contact_due_at == NOW + timedelta(hours=6)


async def test_two_processes_seeding_at_once_take_turns(db: Database) -> None:
    async def start_up() -> None:
        async with db.transaction() as session:
            await seed(session, now=NOW)

    await asyncio.gather(start_up(), start_up())
    assert (await queries.load(db)).calendar_version == 1


@pytest.mark.parametrize("name", ["units", "sla_policies", "categories", "routing_rules"])
async def test_what_was_seeded_is_told_once(db: Database, reference: Reference, name: str) -> None:
    async with db.transaction() as session:
        await seed(session, now=NOW)
        rows = await session.scalar(select(func.count()).select_from(metadata.tables[name]))
    [entry] = await audit.of_chain(db, chain_of(name))
    assert (entry.action, entry.actor_role) == ("seed_reference", "system")
    assert len(entry.said()["added"]) == rows


async def test_seeding_twice_changes_nothing(db: Database, reference: Reference) -> None:
    async with db.transaction() as session:
        await seed(session, now=NOW + timedelta(days=1))
    again = await queries.load(db)
    assert again.units == reference.units
    assert again.categories == reference.categories
    assert again.policies == reference.policies
    assert again.rules == reference.rules
    assert again.calendar_version == 1
    assert again.calendar_published_at == NOW


async def test_seeding_leaves_what_the_city_has_edited(db: Database, reference: Reference) -> None:
    async with db.transaction() as session:
        await session.execute(
            update(UnitRow).where(UnitRow.code == "market").values(name="市场局", active=False)
        )
        await session.execute(update(RoutingRuleRow).values(active=False))
        before = await session.scalar(select(func.count()).select_from(RoutingRuleRow))
        await seed(session, now=NOW)
        unit = await session.get_one(UnitRow, "market")
        assert (unit.name, unit.active) == ("市场局", False)
        assert before == await session.scalar(select(func.count()).select_from(RoutingRuleRow))
        snapshot = await queries.snapshot(session)
        assert snapshot.rules == ()
        assert snapshot.default_unit_code("policy.consumer") is None  # its unit is not active
        with pytest.raises(UnitUnknown):
            snapshot.active_unit("market")
        assert snapshot.unit("market").name == "市场局"
        await session.rollback()


def test_the_calendar_covers_2019_to_2026(reference: Reference) -> None:
    calendar = reference.calendar
    assert (calendar.coverage_from, calendar.coverage_to) == (date(2019, 1, 1), date(2026, 12, 31))
    assert calendar.weekly == OFFICE_WEEK
    assert len(reference.calendar_sources) == 10
    assert [calendar.working_days_in(year) for year in (2023, 2024, 2025, 2026)] == [
        249,
        251,
        248,
        248,
    ]


def test_the_seeded_table_agrees_with_one_typed_in_elsewhere(reference: Reference) -> None:
    day = date(2023, 1, 1)
    while day.year < 2027:
        assert reference.calendar.is_working_day(day) is not calendars.is_off(day), day
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("word", "works"),
    [
        ("2022-12-31", False),  # a Saturday; the notice of 2023 says so too
        ("2020-01-31", False),  # the Spring Festival that was made longer
        ("2020-02-03", True),
        ("2019-05-05", True),
        ("2019-05-02", False),  # from the later notice about Labour Day
    ],
)
def test_days_that_stand_in_special_notices(reference: Reference, word: str, works: bool) -> None:
    assert reference.calendar.is_working_day(date.fromisoformat(word)) is works


@pytest.mark.shared
@pytest.mark.parametrize("year", range(2019, 2027))
def test_the_seeded_table_agrees_with_the_published_files(reference: Reference, year: int) -> None:
    file = HOLIDAYS / f"{year}.json"
    if not file.exists():
        pytest.skip("the shared holiday files are not beside the checkout")
    notice = holiday_notice.read(json.loads(file.read_text(encoding="utf-8")))
    assert notice.missing_festivals == ()
    told = {day.day: day.working for day in notice.days}
    ours = {day.day: day.working for day in next(it for it in NOTICES if it.year == year).days}
    for day in told.keys() | ours.keys():
        plain = day.isoweekday() <= 5
        assert ours.get(day, plain) is told.get(day, plain), day
    day = date(year, 1, 1)
    while day.year == year:
        expected = told.get(day, day.isoweekday() <= 5)
        assert reference.calendar.is_working_day(day) is expected, day
        day += timedelta(days=1)


def test_the_default_policy_is_the_citys_promise(reference: Reference) -> None:
    policy = reference.policy_for(None)
    assert policy == sla.DEFAULT_POLICY == reference.policy("default", 1)
    assert (policy.contact, policy.contact_mode) == (timedelta(hours=6), ContactMode.NATURAL)
    assert (policy.reply_days, policy.reply_mode) == (5, ReplyMode.END_OF_DAY)
    assert policy.accept == timedelta(hours=2)


def test_the_nearest_policy_up_the_path_holds(reference: Reference) -> None:
    assert reference.policy_for("utility.water_outage").code == "urgent"
    assert reference.policy_for("utility.water_outage").reply_days == 1
    assert reference.policy_for("utility.water").code == "default"
    assert reference.policy_for("utility").code == "default"
    assert reference.policy_for("no.such").code == "default"
    with pytest.raises(PolicyUnknown):
        reference.policy("default", 2)
    with pytest.raises(PolicyUnknown):
        reference.current_policy("no-such")


def test_there_are_departments_utilities_and_a_unit_for_each_town(reference: Reference) -> None:
    units = list(reference.units.values())
    assert sum(unit.kind is UnitKind.CITY_DEPARTMENT for unit in units) >= 20
    assert sum(unit.kind is UnitKind.UTILITY for unit in units) == 4
    towns = {unit.grid_code for unit in units if unit.kind is UnitKind.TOWN}
    assert towns == set(TOWNS)
    assert len(towns) == 12
    assert reference.unit("t-370281102").name == "李哥庄镇人民政府"
    assert reference.unit("t-370281001").name == "阜安街道办事处"
    assert all(unit.grid_code is None for unit in units if unit.kind is not UnitKind.TOWN)
    with pytest.raises(UnitUnknown):
        reference.unit("no-such")


def test_the_tree_has_fifteen_roots_and_every_leaf_its_unit(reference: Reference) -> None:
    roots = [category for category in reference.categories.values() if not category.parent_code]
    assert [root.name for root in roots] == [root.name for root in CATEGORIES]
    assert len(roots) == 15
    for category in reference.categories.values():
        if category.parent_code is None:
            continue
        assert reference.category_path(category.code) == (category.parent_code, category.code)
        assert category.code.startswith(f"{category.parent_code}.")
        for_the_dispatcher = category.parent_code in {"idea", "praise", "other"}
        assert (reference.default_unit_code(category.code) is None) is for_the_dispatcher
    assert reference.category("road.damage").gb_code == "06013"
    assert reference.category("road.lamp").gb_code == "01037"


def test_an_unknown_or_inactive_category_cannot_be_chosen(reference: Reference) -> None:
    for ask in (reference.category, reference.active_category, reference.category_path):
        with pytest.raises(CategoryUnknown):
            ask("no.such")
    assert reference.active_category("env.garbage").name == "生活垃圾"


async def test_a_leaf_of_an_inactive_root_cannot_be_chosen(
    db: Database, reference: Reference
) -> None:
    async with db.transaction() as session:
        await session.execute(
            update(CategoryRow).where(CategoryRow.code == "env").values(active=False)
        )
        snapshot = await queries.snapshot(session)
        assert snapshot.category("env.garbage").name == "生活垃圾"
        with pytest.raises(CategoryUnknown):
            snapshot.active_category("env.garbage")
        await session.rollback()


@pytest.mark.parametrize(
    ("category", "grid", "unit"),
    [
        ("env.garbage", "370281102", "t-370281102"),  # village life: the town itself
        ("dispute.neighbour", "370281001", "t-370281001"),
        ("env", "370281001", "t-370281001"),  # not told more closely
        ("env.pollution", "370281102", "ecology"),  # a leaf that the city keeps
        ("env.garbage", None, "enforcement"),  # nobody knows where
        ("road.damage", "370281102", "transport"),
        ("utility.power", "370281102", "power_company"),
        ("idea.micro", "370281102", None),  # the dispatcher decides
        ("other.unsorted", None, None),
    ],
)
def test_routing_by_category_and_town(
    reference: Reference, category: str, grid: str | None, unit: str | None
) -> None:
    choice = choose_unit(
        reference.rules_for(category),
        category_path=reference.category_path(category),
        grid_path=(grid, f"{grid}001") if grid else (),
        default_unit_code=reference.default_unit_code(category),
    )
    assert choice.unit_code == unit


def test_the_rules_for_a_category_are_those_on_its_path(reference: Reference) -> None:
    assert reference.rules_for(None) == ()
    assert reference.rules_for("road.damage") == ()
    rules = reference.rules_for("env.garbage")
    assert {rule.category_code for rule in rules} == {"env", "env.garbage"}
    assert len(rules) == 24
