"""The auditor's figures equal what was done, in total and in every group."""

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


async def figures(auditor, **params):
    answer = await auditor.get(FIGURES, params=params)
    assert answer.status_code == 200, answer.text
    SatisfactionOut.model_validate(answer.json())
    return answer.json()


async def test_the_total_is_what_was_driven(driven, auditor):
    found = await figures(auditor)
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
    driven, auditor, group_by, received
):
    found = await figures(auditor, group_by=group_by)
    assert {group["key"]: group["received"]["num"] for group in found["groups"]} == received
    total = pairs(found["total"])
    for name, (num, den) in total.items():
        groups = [pairs(group)[name] for group in found["groups"]]
        assert (sum(n for n, _ in groups), sum(d for _, d in groups)) == (num, den)
    if group_by in ("unit", "grid", "category"):
        for key, number in received.items():
            listed = await auditor.get(REQUESTS, params={group_by: key, "limit": 100})
            assert len(listed.json()["items"]) == number


async def test_nothing_happened_is_null_and_not_zero_percent(driven, auditor):
    found = await figures(auditor, **{"from": "2026-04-01", "to": "2026-04-30"})
    assert all(figure == {"num": 0, "den": 0, "value": None} for figure in found["total"].values())


async def test_a_period_of_days_takes_them_whole(driven, auditor):
    found = await figures(auditor, **{"from": "2026-03-02", "to": "2026-03-02"})
    assert found["total"]["received"]["num"] == 5
    found = await figures(auditor, **{"from": "2026-03-03"})
    assert found["total"]["received"]["num"] == 0


async def test_one_question_is_one_statement(driven, auditor, count_queries):
    await figures(auditor)
    with count_queries() as sent:
        await figures(auditor, group_by="unit")
    assert len(sent) == 1


@pytest.mark.parametrize("role", ["handler", "unit_leader", "dispatcher", "grid_leader"])
async def test_the_figures_are_for_those_who_audit(as_staff, role):
    answer = await (await as_staff(role)).get(FIGURES)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_every_figure_is_defined_where_all_can_read(as_resident):
    answer = await (await as_resident()).get("/api/v1/statistics/definitions")
    told = answer.json()
    assert told["definition_version"] == "2026.3"
    assert [item["code"] for item in told["items"]] == list(Measure)
    assert set(FiguresOut.model_fields) == set(OF_SATISFACTION)
