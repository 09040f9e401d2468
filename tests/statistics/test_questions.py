"""What the auditor asks over HTTP: any figures, by anything, compared, ranked, opened."""

import pytest

from app.domain.measures import DEFINITIONS, WEIGHTS, Measure
from app.statistics import endpoints
from app.statistics.schemas import MembersOut, StatisticsOut
from tests.city import (
    COMMUNITY,
    GRID,
    OTHER_GRID,
    OTHER_TOWN,
    TOWN,
    TOWN_UNIT,
    UNIT,
    VILLAGE_CATEGORY,
    point_in,
)
from tests.statistics.test_satisfaction import rate

FIGURES = "/api/v1/statistics"
OPENED = f"{FIGURES}/requests"


@pytest.fixture(scope="module")
async def supervisor(as_staff):
    return await as_staff("supervisor")


@pytest.fixture(scope="module")
async def driven(hall):
    """Three requests in March: rated well, rated badly, withdrawn; six more in April, by six."""
    residents = [await hall.as_resident() for _ in range(9)]
    handler = await hall.as_staff("handler")
    town_handler = await hall.as_staff("handler", unit=TOWN_UNIT)
    start = hall.clock.now
    here, there = {"location": point_in(GRID)}, {"location": point_in(OTHER_GRID)}
    await rate(residents[0], await hall.replied(residents[0], handler, **here), 5)
    bad = await hall.replied(residents[1], town_handler, category_code=VILLAGE_CATEGORY, **here)
    await rate(residents[1], bad, 1, reasons=["slow"], solved="partly")
    gone = await hall.submit(residents[2], **there)
    await hall.act(residents[2], gone, "withdraw")
    hall.clock.set("2026-04-08T09:00:00")
    for resident in residents[3:]:
        await hall.submit(resident, **there)
    hall.clock.set("2026-05-12T09:00:00")
    yield
    hall.clock.now = start


async def ask(caller, path=FIGURES, **params):
    answer = await caller.get(path, params={name.rstrip("_"): it for name, it in params.items()})
    assert answer.status_code == 200, answer.text
    (StatisticsOut if path == FIGURES else MembersOut).model_validate(answer.json())
    return answer.json()


def pairs(row) -> dict[str, tuple[float, int]]:
    return {name: (it["num"], it["den"]) for name, it in row["figures"].items()}


async def test_any_figures_are_told_together(driven, supervisor):
    wanted = ["received", "satisfied", "solved", "responded", "composite", "duration_median"]
    found = await ask(supervisor, measure=wanted, from_="2026-03-01", to="2026-03-31")
    assert pairs(found["total"]) == {
        "received": (3, 3),
        "satisfied": (1, 2),
        "solved": (1.5, 2),  # a partly solved matter counts half
        "responded": (2, 2),
        "composite": (None, None),
        "duration_median": (2, 2),
    }
    figures = found["total"]["figures"]
    assert figures["composite"]["value"] == pytest.approx(0.3 * 1 + 0.35 * 0.75 + 0.35 * 0.5)
    assert figures["satisfied"]["excluded"] == 1
    assert figures["satisfied"]["small_sample"] is True
    assert figures["satisfied"]["ci_low"] == pytest.approx(0.0945, abs=1e-4)
    assert figures["satisfied"]["ci_high"] == pytest.approx(0.9055, abs=1e-4)
    assert found["basis"]["composite"] == "submitted"


async def test_groups_have_names_and_their_sums_on_every_level(driven, supervisor):
    found = await ask(supervisor, measure="received", group_by=["town", "month"])
    told = {tuple(row["keys"]): row["figures"]["received"]["num"] for row in found["groups"]}
    assert told == {(TOWN, "2026-03"): 2, (OTHER_TOWN, "2026-03"): 1, (OTHER_TOWN, "2026-04"): 6}
    sums = {row["keys"][0]: row["figures"]["received"]["num"] for row in found["subtotals"]}
    assert sums == {TOWN: 2, OTHER_TOWN: 7}
    assert found["total"]["figures"]["received"]["num"] == 9
    assert found["groups"][0]["names"][1] == "2026-03"
    found = await ask(supervisor, group_by=["unit_kind", "unit"])
    assert {tuple(row["keys"]) for row in found["groups"]} == {
        ("city_department", UNIT),
        ("town", TOWN_UNIT),
    }


@pytest.mark.parametrize(
    ("narrowed", "received"),
    [
        ({"unit": UNIT}, 8),
        ({"unit_kind": "town"}, 1),
        ({"grid": TOWN}, 2),
        ({"grid": COMMUNITY, "unit": UNIT}, 1),
        ({"category": "env"}, 1),
        ({"category": VILLAGE_CATEGORY}, 1),
        ({"channel": "desk"}, 0),
        ({"kind": "help"}, 0),
        ({"to": "2026-03-31"}, 3),
        ({"basis": "replied"}, 2),
        ({"basis": "ended"}, 2),  # the badly rated one is looked at again
    ],
)
async def test_figures_can_be_narrowed(driven, supervisor, narrowed, received):
    found = await ask(supervisor, **narrowed)
    assert found["total"]["figures"]["received"]["num"] == received


async def test_a_period_is_compared_with_the_one_before_and_the_year_before(driven, supervisor):
    april = {"from": "2026-04-01", "to": "2026-04-30"}
    answer = await supervisor.get(
        FIGURES, params={**april, "compare": "previous", "group_by": "town"}
    )
    found = answer.json()
    assert (found["before_since"], found["before_until"]) == (
        "2026-03-01T00:00:00+08:00",
        "2026-04-01T00:00:00+08:00",
    )
    assert found["total"]["before"]["received"]["num"] == 3
    assert found["total"]["before"]["received"]["change"] == 3
    [other] = found["groups"]
    assert (other["keys"], other["before"]["received"]["num"]) == ([OTHER_TOWN], 1)
    year = (await supervisor.get(FIGURES, params={**april, "compare": "year"})).json()
    assert year["before_since"] == "2025-04-01T00:00:00+08:00"
    assert year["total"]["before"]["received"]["num"] == 0
    by_time = await supervisor.get(
        FIGURES, params={**april, "compare": "year", "group_by": "month"}
    )
    assert (by_time.status_code, by_time.json()["code"]) == (422, "compare_by_time")


async def test_an_answer_has_an_end(driven, supervisor, monkeypatch):
    asked = {"measure": ["received", "closed"], "group_by": "unit", "from": "2026-01-01"}
    groups = len((await supervisor.get(FIGURES, params=asked)).json()["groups"]) + 1
    monkeypatch.setattr(endpoints, "MOST_FIGURES", 2 * groups)
    assert (await supervisor.get(FIGURES, params=asked)).status_code == 200
    compared = await supervisor.get(
        FIGURES, params={**asked, "to": "2026-05-31", "compare": "previous"}
    )
    assert (compared.status_code, compared.json()["code"]) == (422, "too_many_figures")
    monkeypatch.setattr(endpoints, "MOST_FIGURES", 2 * groups - 1)
    refused = await supervisor.get(FIGURES, params=asked)
    told = {"code": "too_many_figures", "figures": 2 * groups, "most": 2 * groups - 1}
    assert refused.status_code == 422
    assert told.items() <= refused.json().items()


async def test_a_small_sample_is_not_ranked(driven, supervisor):
    found = await ask(supervisor, measure="closed", group_by="unit", ranked="true")
    assert all(row["figures"]["closed"]["small_sample"] for row in found["groups"])
    assert [row["figures"]["closed"]["rank"] for row in found["groups"]] == [None, None]


@pytest.mark.parametrize("part", ["num", "den", "excluded"])
async def test_a_cell_opens_to_the_requests_that_it_counts(driven, supervisor, part):
    for measure in (it for it in Measure if it not in (Measure.COMPOSITE, Measure.PER_1000)):
        params = {"measure": measure, "group_by": "unit"}
        found = (await supervisor.get(FIGURES, params=params)).json()
        for row in [found["total"], *found["groups"]]:
            cell, key = row["figures"][measure], [it or "" for it in row["keys"]]
            answer = await supervisor.get(
                OPENED, params={**params, "part": part, "key": key, "limit": 100}
            )
            told = answer.json()
            assert int(answer.headers["X-Total-Count"]) == told["total"] == len(told["items"])
            weight = sum(it["weight"] for it in told["items"]) if part == "num" else told["total"]
            assert weight == cell[part], (measure, key)


async def test_a_list_is_turned_page_by_page(driven, supervisor):
    first = await ask(supervisor, OPENED, measure="received", limit=5)
    second = await ask(supervisor, OPENED, measure="received", limit=5, cursor=first["next_cursor"])
    numbers = [it["number"] for it in [*first["items"], *second["items"]]]
    assert (len(set(numbers)), second["next_cursor"], second["total"]) == (9, None, 9)


async def test_the_audit_sees_neither_small_cells_nor_the_place_of_a_request(driven, as_staff):
    auditor = await as_staff("auditor")
    april = {"from_": "2026-04-01", "to": "2026-04-30"}
    found = await ask(auditor, **april)
    assert found["total"]["figures"]["received"]["suppressed"]  # March has only three people
    assert found["total"]["figures"]["received"]["num"] is None
    closed = await ask(auditor, OPENED, **april)
    assert (closed["suppressed"], closed["total"], closed["items"]) == (True, None, [])


async def test_nothing_about_a_person_is_in_the_list(driven, supervisor):
    found = await ask(supervisor, OPENED, measure="received")
    names = set(found["items"][0])
    assert names.isdisjoint({"title", "text", "resident_id", "personal", "location", "address"})


async def test_residents_of_a_place_stand_for_it_where_somebody_has_counted_them(
    driven, supervisor
):
    found = await ask(supervisor, measure="per_1000", group_by="grid")
    cell = found["groups"][0]["figures"]["per_1000"]
    assert (cell["den"], cell["value"], cell["num"]) == (None, None, 2)


async def test_one_question_is_one_statement(driven, supervisor, count_queries):
    params = {"measure": [it.value for it in Measure], "group_by": ["unit", "month"]}
    params["measure"].remove("per_1000")
    await supervisor.get(FIGURES, params=params)
    with count_queries() as sent:
        answer = await supervisor.get(FIGURES, params=params)
    assert answer.status_code == 200
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"group_by": ["unit", "town", "month"]}, "group_by_invalid"),
        ({"group_by": ["unit", "unit"]}, "group_by_invalid"),
        ({"measure": "happiness"}, "query_enum"),
        ({"compare": "year"}, "compare_needs_period"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(driven, supervisor, params, code):
    answer = await supervisor.get(FIGURES, params=params)
    problem = answer.json()
    assert answer.status_code == 422
    assert code in (problem["code"], *(it["code"] for it in problem.get("errors", ())))


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"measure": "composite"}, "measure_not_countable"),
        ({"measure": "per_1000", "part": "den"}, "measure_not_countable"),
        ({"group_by": ["unit", "month"], "key": "housing"}, "group_keys_missing"),
        ({"cursor": "nonsense"}, "cursor_invalid"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(driven, supervisor, params, code):
    answer = await supervisor.get(OPENED, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_every_definition_says_everything(as_resident):
    told = (await (await as_resident()).get(f"{FIGURES}/definitions")).json()
    assert len(told["items"]) == len(DEFINITIONS) == len(Measure)
    for item in told["items"]:
        assert all(item[name] for name in ("name", "formula", "clause", "exclusions", "example"))
        assert item["version"] <= told["definition_version"]
    [weights] = told["weights"]
    assert weights["parts"] == {"responded": 0.3, "solved": 0.35, "satisfied": 0.35}
    assert all(sum(it.parts.values()) == pytest.approx(1) for it in WEIGHTS)
