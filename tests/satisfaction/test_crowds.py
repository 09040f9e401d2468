"""Ratings close together: what is written with each, and that every crowd is found by it."""

import asyncio
import random
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from annotated_types import Ge, Le
from sqlalchemy import text

from app.domain import anomalies as rules
from app.domain.anomalies import Anomaly, Thresholds
from app.requests import crowds
from app.requests.forms import RatingIn
from app.requests.models import CitizenRequest
from app.satisfaction import anomalies
from app.settings import AnomalySettings
from tests.city import CHINA, OTHER_UNIT, UNIT
from tests.requests.doing import BAD, GOOD
from tests.satisfaction.copying import copy_ratings, copy_requests, made
from tests.satisfaction.plain_crowds import plainly

_STORED = text("""
SELECT request_id AS id, resident_id AS who, unit_code AS unit, satisfaction AS stars, at,
  of_account, of_unit
FROM request_ratings WHERE at >= :since AND at < :until ORDER BY at
""")


async def write(session, row, *, stars=None, at=None):
    """As the step of the workflow does."""
    request = await session.get_one(CitizenRequest, row["id"])
    form = RatingIn(contacted=row["contacted"], solved="solved", satisfaction=stars or row["stars"])
    await crowds.write(session, request, form, resident_id=row["who"], now=at or row["at"])


def counted(rows):
    """What stands beside each rating if they were written in the order of time."""
    for it in rows:
        before = [other for other in rows if other["at"] <= it["at"]]
        it["of_account"] = sum(
            other["who"] == it["who"] and it["at"] - other["at"] <= timedelta(days=1)
            for other in before
        )
        it["of_unit"] = sum(
            it["stars"] == other["stars"] == 5
            and it["unit"] == other["unit"]
            and it["at"] - other["at"] <= timedelta(minutes=1)
            for other in before
        )
    return rows


# --- what is written -----------------------------------------------------------------------------


async def test_each_rating_is_written_with_how_many_came_near_it(
    hall, db, answered, as_resident, clock
):
    clock.set("2026-03-03T08:00:00")
    one, two = await as_resident(), await as_resident()
    made_by = [
        (who, await answered(who, unit))
        for who, unit in ((one, UNIT), (two, UNIT), (one, UNIT), (one, OTHER_UNIT), (two, UNIT),
                          (one, UNIT), (one, OTHER_UNIT), (two, UNIT))
    ]  # fmt: skip
    since = clock.now
    steps = [0, 20, 40, 1, 59, 2, 60, 24 * 3_600 - 100]
    words = [GOOD, GOOD, BAD, GOOD, GOOD, GOOD, {**GOOD, "satisfaction": 4}, GOOD]
    for (who, request), seconds, word in zip(made_by, steps, words, strict=True):
        clock.forward(seconds=seconds)
        await hall.act(who, request, "rate", **word)
    async with db.transaction() as session:
        span = {"since": since, "until": clock.now + timedelta(seconds=1)}
        stored = [dict(row) for row in (await session.execute(_STORED, span)).mappings()]
    assert {it["unit"] for it in stored} == {UNIT, OTHER_UNIT}
    assert stored == counted([dict(it) for it in stored])
    assert [it["of_account"] for it in stored] == [1, 1, 2, 3, 2, 4, 5, 2]
    assert [it["of_unit"] for it in stored] == [1, 2, 0, 1, 1, 2, 0, 1]


async def test_a_rating_given_anew_counts_itself_once_and_as_it_is_now(
    hall, db, answered, as_resident, clock
):
    clock.set("2026-03-10T08:00:00")
    resident = await as_resident()
    first, second = await answered(resident), await answered(resident)
    first = await hall.act(resident, first, "rate", **GOOD)
    clock.forward(seconds=10)
    await hall.act(resident, second, "rate", **GOOD)
    clock.forward(seconds=10)
    await hall.act(resident, first, "rate", **{**GOOD, "satisfaction": 4, "text": "还行"})
    async with db.transaction() as session:
        rows = await session.execute(
            text("SELECT satisfaction, text, at, of_account, of_unit FROM request_ratings"
                 " WHERE request_id = :id"),
            {"id": UUID(first["id"])},
        )  # fmt: skip
        assert [tuple(row) for row in rows] == [(4, "还行", clock.now, 2, 0)]


@pytest.mark.parametrize("same", ["who", "unit"])
async def test_of_two_written_at_the_same_moment_the_second_knows_of_the_first(
    db, submit, clock, same
):
    clock.set("2026-03-17T08:00:00" if same == "who" else "2026-03-18T08:00:00")
    template, at = UUID((await submit())["id"]), clock.now
    who = uuid4()
    rows = [
        made(at, who if same == "who" else uuid4(), UNIT if same == "unit" else unit, 5)
        for unit in (UNIT, OTHER_UNIT)
    ]
    # Who came first has the later time: clocks differ.
    rows[0]["at"] += timedelta(milliseconds=20)

    async def second():
        async with db.transaction() as session:
            await write(session, rows[1])

    async with db.transaction() as session:
        await copy_requests(session, template, rows)
    async with db.transaction() as session:
        await write(session, rows[0])
        other = asyncio.create_task(second())
        done, _ = await asyncio.wait([other], timeout=0.3)
        assert not done
    await other
    async with db.transaction() as session:
        span = {"since": at, "until": at + timedelta(seconds=1)}
        stored = {it["id"]: it for it in (await session.execute(_STORED, span)).mappings()}
    column = {"who": "of_account", "unit": "of_unit"}[same]
    assert [stored[it["id"]][column] for it in rows] == [1, 2]


def test_a_city_cannot_set_what_is_not_counted():
    def bound(name, kind):
        [found] = [it for it in AnomalySettings.model_fields[name].metadata if type(it) is kind]
        return found

    for name in ("account_ratings", "burst_ratings"):
        assert bound(name, Ge).ge >= rules.CROWD_AT_LEAST
    assert timedelta(hours=bound("account_within_hours", Le).le) <= rules.ACCOUNT_AT_MOST
    assert timedelta(seconds=bound("burst_within_s", Le).le) <= rules.BURST_AT_MOST


# --- what is found -------------------------------------------------------------------------------


async def paged(db, limit, **asked):
    found, cursor = [], None
    while True:
        items, cursor = await anomalies.page(db, limit=limit, cursor=cursor, **asked)
        found += items
        if cursor is None:
            return found


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_found_is_what_a_plain_reading_of_all_ratings_finds(db, submit, clock, seed):
    dice = random.Random(seed)
    day = datetime(2020, 1, 1, tzinfo=CHINA) + timedelta(days=200 * seed)
    clock.set("2026-03-24T08:00:00")
    template = UUID((await submit())["id"])
    people, rows = [uuid4() for _ in range(6)], []
    for _ in range(45):  # some at every time of two months, in heaps of seconds and of days
        begin = day + timedelta(seconds=dice.randrange(60 * 86_400))
        wide = dice.choice((90, 90, 180, 86_400, 2 * 86_400))
        crowd, where = dice.choice(people), dice.choice((UNIT, OTHER_UNIT))
        for _ in range(dice.choice((1, 2, 4, 6, 9))):
            unit = dice.choice((where, where, where, OTHER_UNIT))
            stars = dice.choices((5, 4, 1), (12, 1, 1))[0]
            who = crowd if wide > 1_000 or dice.random() < 0.4 else uuid4()
            at = begin + timedelta(seconds=dice.randrange(0, wide, max(wide // 40, 1)))
            rows.append(made(at, who, unit, stars))
    # Some were there before; the others are written in any order, some of them twice.
    dice.shuffle(rows)
    before, later = rows[:60], rows[60:]
    async with db.transaction() as session:
        await copy_requests(session, template, rows)
        await copy_ratings(session, before)
        await crowds.count_again(session, since=day, until=day + timedelta(days=70))
        for it in dice.choices(later, k=20):
            moved = it["at"] - timedelta(seconds=dice.choice((5, 30, 3_600)))
            await write(session, it, stars=dice.choice((1, 5)), at=moved)
        for it in later:
            await write(session, it)
    seen = 0
    for _ in range(25):
        limits = Thresholds(
            account_ratings=dice.randint(3, 6),
            account_within=timedelta(hours=dice.choice((1, 5, 24))),
            burst_ratings=dice.randint(3, 6),
            burst_within=timedelta(seconds=dice.choice((7, 30, 60))),
        )
        since = dice.choice((day, dice.choice(rows)["at"]))
        until = dice.choice((day + timedelta(days=64), dice.choice(rows)["at"]))
        unit = dice.choice((None, None, UNIT, OTHER_UNIT))
        inside = [it for it in rows if since <= it["at"] < until]
        for kind, of in (
            (Anomaly.MANY_RATINGS, ("who", limits.account_ratings, limits.account_within, 1)),
            (Anomaly.FIVE_STAR_BURST, ("unit", limits.burst_ratings, limits.burst_within, 5)),
        ):
            expected = [it for it in plainly(inside, kind, *of) if unit is None or unit in it[2]]
            found = await paged(
                db, dice.choice((1, 2, 5, 100)), since=since, until=until, thresholds=limits,
                kind=kind, unit_code=unit,
            )  # fmt: skip
            assert [(it.at, [one["id"] for one in it.requests]) for it in found] == [
                (key[0], ids) for key, ids, *_ in expected
            ]
            for it, (_, ids, units, first_at, best) in zip(found, expected, strict=True):
                assert it.unit_code == (units.pop() if len(units) == 1 else None)
                assert it.evidence["ratings"] == len(ids)
                assert it.evidence["five_star"] == best
                assert datetime.fromisoformat(it.evidence["first_at"]) == first_at
                assert datetime.fromisoformat(it.evidence["last_at"]) == it.at
            seen += len(expected)
    assert seen > 50
