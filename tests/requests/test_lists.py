import pytest

from app.requests.schemas import RequestOut, RequestPage
from tests.city import (
    CATEGORY,
    COMMUNITY,
    GRID,
    OTHER_GRID,
    OTHER_TOWN,
    OTHER_UNIT,
    REQUESTS,
    TOWN,
    UNIT,
    point_in,
)


@pytest.fixture(scope="module")
async def requests(hall):
    """Twelve requests, an hour apart, from Monday 09:30: every third one without a category,
    the even ones in GRID, the odd ones in OTHER_GRID."""
    start, made = hall.clock.now, []
    for number in range(12):
        place = point_in(GRID if number % 2 == 0 else OTHER_GRID)
        category = ... if number % 3 == 0 else CATEGORY
        made.append(await hall.submit(location=place, category_code=category))
        hall.clock.forward(hours=1)
    yield made
    hall.clock.now = start


@pytest.fixture(scope="module")
async def supervisor(as_staff):
    return await as_staff("supervisor")


async def ids(caller, **params) -> list[str]:
    answer = await caller.get(REQUESTS, params={"limit": 100, **params})
    assert answer.status_code == 200, answer.text
    RequestPage.model_validate(answer.json())
    return [item["id"] for item in answer.json()["items"]]


async def test_pages_follow_one_another_without_gap_or_repeat(requests, supervisor):
    seen, cursor = [], None
    while True:
        params = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        page = (await supervisor.get(REQUESTS, params=params)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [request["id"] for request in reversed(requests)]


@pytest.mark.parametrize(
    ("params", "which"),
    [
        ({"state": "triage"}, {0, 3, 6, 9}),
        ({"state": ["triage", "closed"]}, {0, 3, 6, 9}),
        ({"state": "closed"}, set()),
        ({"unit": UNIT}, {1, 2, 4, 5, 7, 8, 10, 11}),
        ({"unit": OTHER_UNIT}, set()),
        ({"grid": GRID}, {0, 2, 4, 6, 8, 10}),
        ({"grid": COMMUNITY}, {0, 2, 4, 6, 8, 10}),
        ({"grid": TOWN}, {0, 2, 4, 6, 8, 10}),
        ({"grid": OTHER_TOWN}, {1, 3, 5, 7, 9, 11}),
        ({"category": CATEGORY}, {1, 2, 4, 5, 7, 8, 10, 11}),
        ({"category": "road"}, {1, 2, 4, 5, 7, 8, 10, 11}),
        ({"category": "roa"}, set()),
        ({"from": "2026-03-02T15:30:00+08:00"}, set(range(6, 12))),
        ({"to": "2026-03-02T15:30:00+08:00"}, set(range(6))),
        ({"from": "2026-03-02", "to": "2026-03-02"}, set(range(12))),
        ({"from": "2026-03-03"}, set()),
        ({"overdue": "true"}, set(range(6))),  # at 21:30: six hours are over for 09:30 … 14:30
        ({"overdue": "false"}, set(range(6, 12))),
        ({"grid": GRID, "state": "assigned", "overdue": "true"}, {2, 4}),
    ],
)
async def test_a_list_is_narrowed(requests, supervisor, params, which):
    assert set(await ids(supervisor, **params)) == {requests[number]["id"] for number in which}


async def test_a_list_costs_the_same_statements_whatever_its_length(
    requests, supervisor, count_queries
):
    await ids(supervisor)  # the session is in memory
    for limit in (2, 12):
        with count_queries() as sent:
            await ids(supervisor, limit=limit)
        assert len(sent) == 1


async def test_reading_one_costs_one_statement_and_answers_as_declared(
    requests, supervisor, count_queries
):
    with count_queries() as sent:
        answer = await supervisor.get(f"{REQUESTS}/{requests[1]['id']}")
    assert len(sent) == 1
    assert answer.headers["etag"] == '"2"'
    RequestOut.model_validate(answer.json())


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"cursor": "nonsense"}, "cursor_invalid"),
        ({"cursor": "MjAyNi0wMy0wMlQwOTozMDowMHw="}, "cursor_invalid"),
        ({"from": "2026-02-29"}, "time_invalid"),
        ({"from": "2026-03-02T09:00:00"}, "time_no_offset"),
        ({"from": "2026-03-03", "to": "2026-03-01"}, "query_range"),
        ({"state": "CLOSED "}, "query_enum"),
        ({"limit": "0"}, "page_limit"),
        ({"sort": "id"}, "query_unknown"),
    ],
)
async def test_a_wrong_question_is_refused(supervisor, params, code):
    answer = await supervisor.get(REQUESTS, params=params)
    assert answer.status_code == 422
    body = answer.json()
    assert code in [body["code"], *(error["code"] for error in body.get("errors", []))]
