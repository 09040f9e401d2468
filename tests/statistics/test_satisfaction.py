"""The figures equal what was done, in total and in every group; auditors hear the large ones."""

from datetime import timedelta

import pytest

from app.domain.measures import OF_SATISFACTION, Measure
from app.statistics.schemas import FiguresOut, SatisfactionOut
from tests.city import (
    COMMUNITY,
    GRID,
    OTHER_GRID,
    OTHER_TOWN,
    REQUESTS,
    TOWN,
    TOWN_UNIT,
    UNIT,
    VILLAGE_CATEGORY,
    point_in,
)

FIGURES = "/api/v1/statistics/satisfaction"


@pytest.fixture(scope="module")
async def boss(as_staff):
    return await as_staff("supervisor")


@pytest.fixture(scope="module")
async def auditor(as_staff):
    return await as_staff("auditor")


async def rate(resident, request, satisfaction: int, **more) -> None:
    body = {"contacted": True, "solved": "solved", "satisfaction": satisfaction, **more}
    answer = await resident.post(
        f"{REQUESTS}/{request['id']}/rating", body, version=request["version"]
    )
    assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
async def driven(hall):
    """Five requests: two rated well (one contacted late), one rated badly, one not answered in
    time, one withdrawn."""
    residents = [await hall.as_resident() for _ in range(5)]
    handler = await hall.as_staff("handler")
    town_handler = await hall.as_staff("handler", unit=TOWN_UNIT)
    start = hall.clock.now
    here, there = {"location": point_in(GRID)}, {"location": point_in(OTHER_GRID)}

    await rate(residents[0], await hall.replied(residents[0], handler, **here), 5)
    late = await hall.submit(residents[1], **there)
    await hall.submit(residents[3], category_code=VILLAGE_CATEGORY, **here)
    gone = await hall.submit(residents[4], **here)
    await hall.act(residents[4], gone, "withdraw")
    bad = await hall.replied(residents[2], town_handler, category_code=VILLAGE_CATEGORY, **here)
    await rate(residents[2], bad, 1, reasons=["slow"])
    hall.clock.forward(hours=7)
    late = await hall.act(handler, late, "sign")
    late = await hall.act(handler, late, "contact", method="phone", result="reached")
    late = await hall.act(handler, late, "reply", public_reply="好", solved="solved")
    await rate(residents[1], late, 3)
    hall.clock.set("2026-03-10T00:00:00")
    yield
    hall.clock.now = start


def pairs(figures) -> dict[str, tuple[int, int]]:
    return {
        name: (figures[name]["num"], figures[name]["den"])
        for name in (
            "received",
            "closed",
            "rated",
            "satisfied",
            "contact_on_time",
            "reply_on_time",
        )
    }


async def figures(boss, **params):
    answer = await boss.get(FIGURES, params=params)
    assert answer.status_code == 200, answer.text
    SatisfactionOut.model_validate(answer.json())
    return answer.json()


async def test_the_total_is_what_was_driven(driven, boss):
    found = await figures(boss)
    assert found["definition_version"]
    assert pairs(found["total"]) == {
        "received": (5, 5),
        "closed": (2, 5),  # the dissatisfied one is looked at again
        "rated": (3, 3),
        "satisfied": (2, 3),
        "contact_on_time": (2, 4),  # one late, one never; the withdrawn one does not count
        "reply_on_time": (3, 4),
    }
    assert found["total"]["satisfied"]["value"] == pytest.approx(2 / 3)
    assert found["groups"] == []


@pytest.mark.parametrize(
    ("group_by", "received"),
    [
        ("unit", {UNIT: 3, TOWN_UNIT: 2}),
        ("town", {TOWN: 4, OTHER_TOWN: 1}),
        ("community", {COMMUNITY: 4, OTHER_GRID[:12]: 1}),
        ("grid", {GRID: 4, OTHER_GRID: 1}),
        ("category", {"road.lamp": 3, VILLAGE_CATEGORY: 2}),
        ("month", {"2026-03": 5}),
    ],
)
async def test_groups_add_up_to_the_total_and_open_to_the_requests_behind_them(
    driven, boss, group_by, received
):
    found = await figures(boss, group_by=group_by)
    assert {group["key"]: group["received"]["num"] for group in found["groups"]} == received
    total = pairs(found["total"])
    for name, (num, den) in total.items():
        groups = [pairs(group)[name] for group in found["groups"]]
        assert (sum(n for n, _ in groups), sum(d for _, d in groups)) == (num, den)
    if group_by in ("unit", "grid", "category"):
        for key, number in received.items():
            listed = await boss.get(REQUESTS, params={group_by: key, "limit": 100})
            assert len(listed.json()["items"]) == number


async def test_nothing_happened_is_null_and_not_zero_percent(driven, boss):
    found = await figures(boss, **{"from": "2026-04-01", "to": "2026-04-30"})
    nothing = {"num": 0, "den": 0, "value": None, "suppressed": False}
    assert all(figure == nothing for figure in found["total"].values())


async def test_a_period_of_days_takes_them_whole(driven, boss):
    found = await figures(boss, **{"from": "2026-03-02", "to": "2026-03-02"})
    assert found["total"]["received"]["num"] == 5
    found = await figures(boss, **{"from": "2026-03-03"})
    assert found["total"]["received"]["num"] == 0


async def test_one_question_is_one_statement(driven, boss, count_queries):
    await figures(boss)
    with count_queries() as sent:
        await figures(boss, group_by="unit")
    assert len(sent) == 1


@pytest.mark.parametrize("role", ["handler", "unit_leader", "dispatcher", "grid_leader"])
async def test_the_figures_are_for_those_who_audit(as_staff, role):
    answer = await (await as_staff(role)).get(FIGURES)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_every_figure_is_defined_where_all_can_read(as_resident):
    answer = await (await as_resident()).get("/api/v1/statistics/definitions")
    told = answer.json()
    assert told["definition_version"] == "2026.4"
    assert [item["code"] for item in told["items"]] == list(Measure)
    assert set(FiguresOut.model_fields) == set(OF_SATISFACTION)


HIDDEN = {"num": None, "den": None, "value": None, "suppressed": True}
BY_DUE = {"contact_on_time", "diligent", "reply_on_time"}


async def test_in_a_city_that_has_just_begun_the_total_is_told_however_few_there_are(
    driven, boss, auditor
):
    """In a city that has just begun: of a period the same total is not told."""
    seen, told = await figures(boss), await figures(auditor)
    assert told["total"] == seen["total"]
    assert not any(figure["suppressed"] for figure in told["total"].values())
    period = {"from": "2026-01-01", "to": "2026-12-31"}
    told = await figures(auditor, **period)
    assert any(figure["suppressed"] for figure in told["total"].values())


@pytest.fixture(scope="module")
async def many(driven, hall):
    """Six more people, all answered; half of them rate."""
    handler = await hall.as_staff("handler")
    before, hall.clock.now = hall.clock.now, hall.clock.now - timedelta(hours=14)
    for number in range(6):
        resident = await hall.as_resident(f"多{number}")
        request = await hall.replied(resident, handler, location=point_in(GRID))
        if number % 2:
            await rate(resident, request, 5)
    hall.clock.now = before


async def test_an_auditor_is_told_what_five_people_are_behind_and_no_more(many, boss, auditor):
    seen, told = await figures(boss, group_by="unit"), await figures(auditor, group_by="unit")
    assert told["total"] == seen["total"]
    for whole, group in zip(seen["groups"], told["groups"], strict=True):
        for name in FiguresOut.model_fields:
            few = 0 < whole[name]["den"] < 5
            assert group[name] in ([HIDDEN] if few else [HIDDEN, whole[name]]), (group["key"], name)
    hidden = [name for group in told["groups"] for name in BY_DUE if group[name]["suppressed"]]
    assert hidden


async def test_an_auditor_hears_of_promises_by_when_they_were_due_as_everywhere(
    many, boss, auditor
):
    told = await figures(auditor, group_by="month")
    assert {name for name, basis in told["basis"].items() if basis == "due"} == BY_DUE
    seen = await figures(boss, group_by="month")
    assert set(seen["basis"].values()) == {"submitted"}
    march = {"from": "2026-03-01", "to": "2026-03-31"}
    told = await figures(auditor, **march)
    answer = await auditor.get(
        "/api/v1/statistics", params={"measure": list(FiguresOut.model_fields), **march}
    )
    same = answer.json()["total"]["figures"]
    for name, figure in told["total"].items():
        for part in ("num", "den", "suppressed"):
            assert figure[part] == same[name][part], (name, part)


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_an_auditor_asks_for_whole_days(driven, as_staff, role):
    period = {"from": "2026-03-02T09:00:00+08:00"}
    answer = await (await as_staff(role, number=2)).get(FIGURES, params=period)
    assert (answer.status_code, answer.json()["code"]) == (422, "statistics_too_fine")


async def test_where_months_before_are_told_the_total_does_not_tell_the_few_of_this_one(
    many, hall, boss, auditor
):
    """Else the months before, taken from all time, would leave the one who asked today."""
    before, hall.clock.now = hall.clock.now, hall.clock.now + timedelta(days=31)
    try:
        await hall.submit(await hall.as_resident("首日一人"), location=point_in(GRID))
        year_so_far = {"from": "2026-01-01", "to": "2026-03-31"}
        assert not (await figures(auditor, **year_so_far))["total"]["received"]["suppressed"]
        assert (await figures(auditor))["total"]["received"] == HIDDEN
        assert (await figures(boss))["total"]["received"]["num"]
    finally:
        hall.clock.now = before
