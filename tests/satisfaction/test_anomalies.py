"""异常线索: each is listed with its requests and the facts it rests on, and with no person."""

import random
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.requests import crowds
from tests.city import CHINA, OTHER_UNIT, UNIT
from tests.requests.doing import GOOD, working
from tests.satisfaction.copying import copy_ratings, copy_requests, made
from tests.satisfaction.plain_crowds import plainly

URL = "/api/v1/satisfaction/anomalies"


@pytest.fixture
def listed(auditor):
    async def ask(day, **params):
        answer = await auditor.get(URL, params={"from": day, "to": day, "limit": 100, **params})
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    return ask


def ids(item):
    return {it["id"] for it in item["requests"]}


async def test_one_account_that_rates_five_times_in_a_day(
    hall, answered, as_resident, listed, clock
):
    clock.set("2026-04-01T08:00:00")
    often, seldom = await as_resident(), await as_resident()
    made = [await answered(often, unit, minutes=15) for unit in (UNIT, OTHER_UNIT, UNIT, UNIT)]
    others = [await answered(seldom, minutes=15) for _ in range(4)]
    for request in made:
        await hall.act(often, request, "rate", **{**GOOD, "satisfaction": 4})
        clock.forward(minutes=7)
    for request in others:
        await hall.act(seldom, request, "rate", **{**GOOD, "satisfaction": 4})
    assert await listed("2026-04-01", kind="many_ratings") == []
    made.append(await answered(often, minutes=15))
    await hall.act(often, made[-1], "rate", **{**GOOD, "satisfaction": 4})
    [item] = await listed("2026-04-01", kind="many_ratings")
    assert ids(item) == {it["id"] for it in made}
    assert (item["kind_text"], item["unit_code"]) == ("同一账号集中评价", None)
    assert item["evidence"]["ratings"] == item["requests_total"] == 5
    assert item["evidence"]["last_at"] == item["at"] == clock.now.isoformat()
    assert item["evidence"].keys() == {"ratings", "first_at", "last_at", "five_star"}
    for unit in (UNIT, OTHER_UNIT):
        assert await listed("2026-04-01", kind="many_ratings", unit=unit) == [item]
    assert await listed("2026-04-01", kind="many_ratings", unit="police") == []


@pytest.mark.parametrize(("day", "last_star", "found"), [("02", 5, True), ("03", 4, False)])
async def test_five_best_ratings_of_one_unit_in_a_minute(
    hall, answered, as_resident, listed, clock, day, last_star, found
):
    clock.set(f"2026-04-{day}T08:00:00")
    residents = [await as_resident() for _ in range(5)]
    made = [await answered(it, minutes=15) for it in residents]
    for number, (resident, request) in enumerate(zip(residents, made, strict=True)):
        star = last_star if number == 4 else 5
        await hall.act(resident, request, "rate", **{**GOOD, "satisfaction": star})
        clock.forward(seconds=15)  # the last after exactly a minute
    items = await listed(f"2026-04-{day}", kind="five_star_burst")
    assert [ids(it) for it in items] == ([{it["id"] for it in made}] if found else [])
    if found:
        assert items[0]["unit_code"] == UNIT
        assert items[0]["evidence"]["five_star"] == 5


async def test_an_answer_within_ten_minutes_of_the_assignment(hall, answered, listed, clock):
    clock.set("2026-04-07T09:00:00")
    fast = await answered(unit=OTHER_UNIT, minutes=10)
    slow = await answered(unit=OTHER_UNIT, minutes=11)
    [item] = await listed("2026-04-07")
    assert item["kind"] == "fast_reply"
    assert ids(item) == {fast["id"]} != {slow["id"]}
    assert item["evidence"]["seconds"] == 600
    assert item["evidence"]["assigned_at"] == "2026-04-07T09:00:00+08:00"
    assert item["evidence"]["replied_at"] == "2026-04-07T09:10:00+08:00"
    assert (item["unit_code"], item["unit_name"]) == (OTHER_UNIT, item["unit_name"])


async def test_a_fast_answer_of_an_earlier_cycle_is_found_by_the_history(
    hall, answered, as_resident, supervisor, listed, clock
):
    clock.set("2026-04-08T09:00:00")
    resident = await as_resident()
    request = await answered(resident, minutes=5)
    bad = {"contacted": True, "solved": "unsolved", "satisfaction": 1, "reasons": ["not_solved"]}
    request = await hall.act(resident, request, "rate", **bad)
    clock.set("2026-04-09T09:00:00")
    request = await hall.act(
        supervisor, request, "decide_reopen", decision="reopen", note="重办", unit_code=OTHER_UNIT
    )
    assert request["cycle_no"] == 2
    [item] = await listed("2026-04-08", kind="fast_reply")
    assert (item["unit_code"], item["requests"][0]["cycle_no"]) == (UNIT, 1)
    assert item["evidence"]["seconds"] == 300
    assert item["evidence"]["ended_at"] is None


async def test_what_is_corrected_after_the_end(
    hall, answered, as_resident, supervisor, auditor, listed, clock
):
    clock.set("2026-04-10T09:00:00")
    resident = await as_resident()
    request = await hall.act(resident, await answered(resident), "rate", **GOOD)
    clock.forward(hours=2)
    await hall.act(
        supervisor,
        request,
        "correct",
        note="笔误",
        field="分类",
        was="路灯",
        correct="井盖",
        approved_by=str(auditor.id),
        approval="审计〔2026〕1号",
    )
    [item] = await listed("2026-04-10", kind="late_edit")
    assert ids(item) == {request["id"]}
    assert item["evidence"]["ended_at"] == "2026-04-10T10:00:00+08:00"
    assert item["evidence"]["corrected_at"] == item["at"] == "2026-04-10T12:00:00+08:00"


async def test_who_withdraws_after_being_reached(
    hall, submit, as_resident, as_staff, listed, clock
):
    clock.set("2026-04-13T09:00:00")
    handler, resident = await as_staff("handler"), await as_resident()
    reached = await working(hall, handler, resident)
    tried = await hall.act(handler, await submit(resident), "sign")
    tried = await hall.act(handler, tried, "contact", method="phone", result="no_answer")
    clock.forward(minutes=4)
    for request in (reached, tried, await submit(resident)):
        await hall.act(resident, request, "withdraw")
    [item] = await listed("2026-04-13", kind="withdrawn_after_contact")
    assert ids(item) == {reached["id"]}
    assert item["evidence"]["contacts"] == 1
    assert item["evidence"]["methods"] == ["phone"]
    assert item["evidence"]["seconds_after_contact"] == 240
    assert item["unit_code"] == UNIT


async def test_a_contact_that_the_resident_denies_in_writing_or_when_called(
    hall, db, answered, as_resident, supervisor, listed, clock
):
    clock.set("2026-04-14T09:00:00")
    one, two, three = [await as_resident() for _ in range(3)]
    written, said, fine = await answered(one), await answered(two), await answered(three)
    denied = {**GOOD, "contacted": False}
    await hall.act(one, written, "rate", **denied)
    await hall.act(three, fine, "rate", **GOOD)
    async with db.transaction() as session:
        await session.execute(
            text("UPDATE requests SET sampled = true WHERE id = :id"), {"id": UUID(said["id"])}
        )
    word = {"reached": True, "contacted": False, "solved": "solved", "satisfaction": 4}
    await hall.act(supervisor, said, "call_back", **word)
    items = await listed("2026-04-14", kind="contact_denied")
    found = {it["evidence"]["denied_in"]: ids(it) for it in items}
    assert found == {"rating": {written["id"]}, "call_back": {said["id"]}}
    assert {it["evidence"]["contacts"] for it in items} == {1}


async def test_pages_follow_each_other_and_nobody_is_named(
    hall, answered, as_resident, auditor, clock
):
    clock.set("2026-04-15T09:00:00")
    resident = await as_resident()
    contact = {"name": "欧阳静", "phone": "13812345678"}
    for _ in range(5):
        request = await answered(resident, minutes=3)
        await hall.act(resident, request, "rate", **{**GOOD, "contacted": False})
    period = {"from": "2026-04-15", "to": "2026-04-15"}
    whole = await auditor.get(URL, params={**period, "limit": 100})
    assert len(whole.json()["items"]) == 11  # five fast, five denied, one account
    assert str(resident.id) not in whole.text
    assert all(word not in whole.text for word in contact.values())
    paged, cursor = [], None
    while True:
        asked = {**period, "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await auditor.get(URL, params=asked)).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole.json()["items"]
    assert [it["at"] for it in paged] == sorted((it["at"] for it in paged), reverse=True)


async def test_periods_and_cursors_that_make_no_sense_are_refused(auditor, clock):
    clock.set("2026-04-16T09:00:00")
    usual = (await auditor.get(URL)).json()
    assert usual["until"] == clock.now.isoformat()
    assert usual["since"] == "2026-03-17T09:00:00+08:00"
    assert usual["thresholds"]["burst_within_s"] == 60
    for params, code in [
        ({"from": "2026-01-01", "to": "2026-12-31"}, "period_too_long"),
        ({"from": "2026-04-03", "to": "2026-04-01"}, "query_range"),
        ({"cursor": "x"}, "cursor_invalid"),
        ({"kind": "x"}, "invalid_input"),
    ]:
        answer = await auditor.get(URL, params=params)
        assert answer.status_code == 422, (params, answer.text)
        assert answer.json()["code"] == code


# --- against a slow and simple reading -----------------------------------------------------------


def bursts(rows, *asked):
    return {frozenset(ids) for _, ids, *_ in plainly(rows, *asked)}


@pytest.mark.parametrize("seed", range(6))
async def test_bursts_are_the_same_as_looking_at_every_span(db, submit, listed, clock, seed):
    chance = random.Random(seed)
    day = datetime(2026, 5, 1, 0, 0, tzinfo=CHINA) + timedelta(days=2 * seed)
    clock.set(day)
    template = UUID((await submit())["id"])
    people = [uuid4() for _ in range(4)]
    rows = [
        made(
            # Whole seconds in a short while: many ties, many spans of exactly the limit.
            day + timedelta(seconds=chance.randrange(1_200)),
            chance.choice(people),
            chance.choice((UNIT, OTHER_UNIT)),
            chance.choices((5, 4), (25, 1))[0],
        )
        for _ in range(160)
    ]
    async with db.transaction() as session:
        await copy_requests(session, template, rows)
        await copy_ratings(session, rows)
        await crowds.count_again(session, since=day, until=day + timedelta(days=1))
    today = day.date().isoformat()
    spans = bursts(rows, "five_star_burst", "unit", 5, timedelta(minutes=1), 5)
    assert spans
    found = await listed(today, kind="five_star_burst")
    assert {frozenset(ids(it)) for it in found if it["requests_total"] <= 100} == {
        it for it in spans if len(it) <= 100
    }
    assert len(found) == len(spans)
    accounts = bursts(rows, "many_ratings", "who", 5, timedelta(hours=24), 1)
    found = await listed(today, kind="many_ratings")
    assert {frozenset(ids(it)) for it in found} == accounts
