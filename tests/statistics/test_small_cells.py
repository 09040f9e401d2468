"""Nobody is found by a figure, nor by two of them subtracted, nor in the list behind one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random

import pytest
from sqlalchemy import insert

from app.domain.identity import SYSTEM, Actor, Role
from app.domain.measures import Basis, Measure
from app.domain.suppression import LEAST
from app.requests.models import CitizenRequest
from app.statistics import engine, rollup_making, small_cells
from app.statistics.dimensions import Dimension, Filters
from app.statistics.members import Part, members
from app.statistics.questions import Query
from app.statistics.small_cells import StatisticsTooFine
from app.store.base import new_id
from tests.city import seed_small_city
from tests.statistics import plain_veil
from tests.statistics.recount import ZONE

BLIND = Actor(SYSTEM.id, Role.AUDITOR)
SEEING = Actor(SYSTEM.id, Role.SUPERVISOR)
NOW = datetime(2026, 6, 20, 4, tzinfo=UTC)
UNITS = ("housing", "water", "power_company", "t-370281001", None)
PLACES = ("370281001601001", "370281001601002", "370281001", "370281108601001", None)
CATEGORIES = ("road.lamp", "road.hole", "env.garbage", "utility.power_outage")
MONTHS = tuple(datetime(2026, month, 1, tzinfo=ZONE) for month in range(1, 9))
KINDS = {"housing": "city_department", "water": "city_department",
         "power_company": "utility", "t-370281001": "town"}  # fmt: skip


@pytest.fixture(scope="module")
async def rows(db):
    """Requests of a half-year, some units and places with hardly any."""
    dice = Random(3)
    people = [new_id() for _ in range(150)]
    made = []
    weights = (1.0, 0.5, 0.3, 0.06, 0.04)
    for number in range(1400):
        at = datetime(2026, 1, 1, tzinfo=ZONE) + timedelta(hours=dice.random() * 24 * 170)
        unit = dice.choices(UNITS, weights)[0]
        answered = unit is not None and dice.random() < 0.8
        made.append(
            {
                "id": new_id(),
                "number": f"T{number:06}",
                "version": 1,
                "state": "closed" if answered else "triage",
                "text": "路灯不亮",
                "category_code": dice.choices(CATEGORIES, (1, 0.1, 0.5, 0.2))[0],
                "channel": dice.choices(("mini_program", "desk"), (1, 0.05))[0],
                "confidential": False,
                "public": False,
                "resident_id": dice.choice(people) if dice.random() < 0.95 else None,
                "submitted_by": SYSTEM.id,
                "grid_code": dice.choices(PLACES, (1, 0.6, 0.08, 0.5, 0.05))[0],
                "grid_certain": True,
                "unit_code": unit,
                "routing": {"rule": None, "reasons": []},
                "policy_code": "default",
                "policy_version": 1,
                "calendar_version": 1,
                "submitted_at": at,
                "contact_due_at": at + timedelta(hours=6),
                "reply_due_at": at + timedelta(days=7),
                "provisional": False,
                "replied_at": at + timedelta(days=2) if answered else None,
                "ended_at": at + timedelta(days=3) if answered else None,
                "satisfaction": dice.randint(1, 5) if answered and dice.random() < 0.5 else None,
            }
        )
    async with db.transaction() as session:
        await seed_small_city(session)
        await session.execute(insert(CitizenRequest), made)
    return made


def random_query(dice: Random) -> Query:
    chosen = dice.sample(
        ("unit", "unit_kind", "place", "category", "channel"), dice.choice((0, 1, 1, 2))
    )
    group_by, filters = [], {}
    for name in chosen:
        grouped = dice.random() < 0.7
        if name == "place":
            level = dice.choice((Dimension.TOWN, Dimension.COMMUNITY))
            if len(chosen) == 1:
                level = dice.choice((level, Dimension.GRID))
            digits = {Dimension.TOWN: 9, Dimension.COMMUNITY: 12, Dimension.GRID: 15}[level]
            if grouped:
                group_by.append(level)
            else:
                filters["grid"] = PLACES[0][:digits]
        elif name == "category":
            if grouped:
                group_by.append(dice.choice((Dimension.CATEGORY, Dimension.CATEGORY_LEAF)))
            else:
                filters["category"] = dice.choice(("road", "road.lamp", "env", "road.hole"))
        elif grouped:
            group_by.append(Dimension(name))
        else:
            known = {"unit": UNITS[:4], "unit_kind": ("town", "utility"), "channel": ("desk",)}
            filters[name] = dice.choice(known[name])
    days = len(chosen) <= 1 and Dimension.GRID not in group_by and len(filters.get("grid", "")) < 15
    begin, end = sorted(dice.sample(MONTHS, 2))
    if days and dice.random() < 0.4:
        begin += timedelta(days=dice.randrange(20))
        end -= timedelta(days=dice.randrange(5))
    if len(group_by) < 2 and dice.random() < 0.3:
        group_by.append(Dimension.MONTH)
    measure = dice.choice((Measure.RECEIVED, Measure.SATISFIED))
    return Query((measure,), tuple(group_by), Filters(**filters), begin, end)


def key_of(row, dimension: str):
    grid, category, unit = row["grid_code"] or "", row["category_code"], row["unit_code"]
    match dimension:
        case "unit":
            return unit
        case "unit_kind":
            return KINDS.get(unit)
        case "town" | "community" | "grid":
            digits = {"town": 9, "community": 12, "grid": 15}[dimension]
            return grid[:digits] if len(grid) >= digits else None
        case "category":
            return category.split(".")[0]
        case "category_leaf":
            return category
        case "channel":
            return row["channel"]
        case "month":
            return f"{row['submitted_at'].astimezone(ZONE):%Y-%m}"
    raise AssertionError(dimension)


def inside(rows, query: Query, keys) -> frozenset[int]:
    conditions = dict(zip(query.group_by, keys, strict=False))
    found = set()
    for number, row in enumerate(rows):
        if not query.since <= row["submitted_at"] < query.until:
            continue
        if query.measures == (Measure.SATISFIED,) and row["satisfaction"] is None:
            continue
        if any(key_of(row, it) != value for it, value in conditions.items()):
            continue
        if any(
            not (row["grid_code"] or "").startswith(value)
            if name == "grid"
            else not (row["category_code"] + ".").startswith(value + ".")
            if name == "category"
            else key_of(row, name) != value
            for name, value in query.filters.given().items()
        ):
            continue
        found.add(number)
    return frozenset(found)


def conditions_of(query: Query, keys) -> dict[str, object]:
    """What a cell says of its requests, level by level, without the time."""
    said: dict[str, object] = {}
    pairs = [*query.filters.narrowed().items(), *zip(query.group_by, keys, strict=False)]
    for dimension, key in pairs:
        if dimension is Dimension.MONTH:
            continue
        if dimension in ("town", "community", "grid") and key is not None:
            for level, digits in (("town", 9), ("community", 12), ("grid", 15)):
                if len(str(key)) >= digits:
                    said[level] = str(key)[:digits]
        elif dimension == "category_leaf" and key is not None:
            said |= {"category": str(key).split(".")[0], "category_leaf": key}
        elif dimension == "unit":
            said |= {"unit": key, "unit_kind": KINDS.get(str(key))}
        else:
            said[dimension.value] = key
    return said


def span_of(query: Query, keys):
    for dimension, key in zip(query.group_by, keys, strict=False):
        if dimension is Dimension.MONTH:
            begin = datetime.fromisoformat(f"{key}-01").replace(tzinfo=ZONE)
            following = (begin + timedelta(days=32)).replace(day=1)
            return max(begin, query.since), min(following, query.until)
    return query.since, query.until


async def told(db, rows, query: Query) -> list[tuple[dict, tuple, frozenset[int]]]:
    """The cells that are told: what they say, when, and who is in them."""
    found = await engine.figures(db, query, actor=BLIND, now=NOW)
    cells = []
    for keys, of_group in {(): found.total, **found.subtotals, **found.groups}.items():
        [cell] = of_group.values()
        if not cell.suppressed:
            numbers = inside(rows, query, keys)
            assert cell.den == len(numbers), (query, keys)
            cells.append((conditions_of(query, keys), span_of(query, keys), numbers))
    return cells


def persons(rows, numbers) -> set[object]:
    return {rows[number]["resident_id"] or number for number in numbers}


async def test_no_two_queries_can_be_subtracted_to_find_somebody(db, rows):
    """Any told cell within any other, of any two queries; and the rest of a table to its sum."""
    dice = Random(17)
    seen: list[tuple[Measure, list]] = []
    compared = differing = 0
    for _ in range(160):
        query = random_query(dice)
        cells = await told(db, rows, query)
        for conditions, _span, numbers in cells:
            assert not numbers or len(persons(rows, numbers)) >= LEAST, (query, conditions)
        seen.append((query.measures[0], cells))
    for (one, cells), (other, others) in product(seen, seen):
        if one is not other:
            continue
        for (outer, long, more), (inner, short, fewer) in product(cells, others):
            nested = outer.items() <= inner.items() and long[0] <= short[0] <= short[1] <= long[1]
            if nested:
                compared += 1
                rest = persons(rows, more - fewer)
                differing += bool(rest)
                assert not rest or len(rest) >= LEAST, (outer, long, inner, short)
    assert compared > 2000
    assert differing > 1000


async def test_what_is_hidden_is_what_the_rule_says_from_sums_or_from_requests(db, rows):
    dice, bits = Random(8), await plain_veil.bits_of(db)
    queries = [random_query(dice) for _ in range(60)]
    expected = []
    for query in queries:
        counted = [it for it in rows if query.measures == (Measure.RECEIVED,)
                   or it["satisfaction"] is not None]  # fmt: skip
        expected.append(plain_veil.hidden_cells(query, counted, bits, key_of, NOW))
    assert len({len(it) for it in expected}) > 10
    for summed in (False, True):
        if summed:
            async with db.transaction() as session:
                while await rollup_making.refresh(session, now=NOW):
                    pass
        for query, cells in zip(queries, expected, strict=True):
            veil = await small_cells.veil(db, query, now=NOW)
            assert veil.by_measure[query.measures[0]] == cells, query


async def test_what_a_table_leaves_of_its_sum_is_many(db, rows):
    for dimension in (Dimension.UNIT, Dimension.TOWN, Dimension.CATEGORY, Dimension.CHANNEL):
        for begin, end in ((MONTHS[0], MONTHS[5]), (MONTHS[2], MONTHS[3])):
            query = Query((Measure.RECEIVED,), (dimension,), Filters(), begin, end)
            found = await engine.figures(db, query, actor=BLIND, now=NOW)
            rest = set(inside(rows, query, ()))
            hidden = 0
            for keys, cells in found.groups.items():
                if cells[Measure.RECEIVED].suppressed:
                    hidden += 1
                else:
                    rest -= inside(rows, query, keys)
            assert not rest or len(persons(rows, rest)) >= LEAST
            assert hidden != 1


async def test_who_has_to_act_sees_every_cell_and_the_audit_only_the_large_ones(db, rows):
    query = Query((Measure.RECEIVED,), (Dimension.UNIT,), Filters(), MONTHS[0], MONTHS[4])
    blind = await engine.figures(db, query, actor=BLIND, now=NOW)
    seeing = await engine.figures(db, query, actor=SEEING, now=NOW)
    assert not any(cells[Measure.RECEIVED].suppressed for cells in seeing.groups.values())
    hidden = {keys for keys, it in blind.groups.items() if it[Measure.RECEIVED].suppressed}
    assert hidden
    assert hidden != set(blind.groups)
    for keys, cells in blind.groups.items():
        if keys not in hidden:
            assert cells == seeing.groups[keys]
    assert blind.total == seeing.total


async def test_what_is_hidden_has_no_list_and_what_is_told_a_whole_one(db, rows):
    query = Query((Measure.RECEIVED,), (Dimension.UNIT,), Filters(), MONTHS[0], MONTHS[4])
    found = await engine.figures(db, query, actor=BLIND, now=NOW)
    for keys, cells in found.groups.items():
        cell = cells[Measure.RECEIVED]
        page = await members(
            db, query, Measure.RECEIVED, Part.DEN, keys, actor=BLIND, now=NOW, limit=5
        )
        assert page.suppressed is cell.suppressed
        assert page.total == cell.den
        assert bool(page.rows) is not cell.suppressed


@pytest.mark.parametrize(
    "finer",
    [
        {"group_by": (Dimension.GRID, Dimension.UNIT)},
        {"group_by": (Dimension.UNIT, Dimension.TOWN), "filters": Filters(channel="desk")},
        {"group_by": (Dimension.GRID, Dimension.DAY)},
        {"group_by": (Dimension.UNIT,), "since": MONTHS[0] + timedelta(hours=1)},
        {"filters": Filters(grid="37028110860100101")},
        {"filters": Filters(grid="370281")},
        {"basis": Basis.REPLIED},
    ],
    ids=str,
)
async def test_what_would_be_too_fine_is_refused(db, rows, finer):
    query = replace(Query((Measure.RECEIVED,), (), Filters(), MONTHS[0], MONTHS[4]), **finer)
    with pytest.raises(StatisticsTooFine):
        await engine.figures(db, query, actor=BLIND, now=NOW)
    await engine.figures(db, query, actor=SEEING, now=NOW)


async def test_a_day_with_too_few_people_hides_the_days_around_it(db, rows):
    query = Query(
        (Measure.RECEIVED,), (Dimension.DAY,), Filters(unit="housing"), MONTHS[0], MONTHS[1]
    )
    found = await engine.figures(db, query, actor=BLIND, now=NOW)
    assert found.total[Measure.RECEIVED].suppressed  # some day has one to four
    whole = await engine.figures(db, replace(query, group_by=()), actor=BLIND, now=NOW)
    assert not whole.total[Measure.RECEIVED].suppressed
