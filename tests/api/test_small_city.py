"""The fixtures of the API tests do what they say: one life of a request, its statements counted."""

from app.domain.identity import Role
from tests.city import GRID, REQUESTS, UNIT, form, point_in


async def test_a_request_lives_from_submission_to_rating(hall, as_resident, as_staff, submit):
    resident = await as_resident("李四")
    handler = await as_staff(Role.HANDLER)
    request = await submit(resident, location=point_in(GRID))
    assert (request["state"], request["unit"]["code"]) == ("assigned", UNIT)
    assert request["grid"]["code"] == GRID
    request = await hall.act(handler, request, "sign")
    request = await hall.act(handler, request, "contact", method="phone", result="reached")
    request = await hall.act(handler, request, "reply", public_reply="已修好", solved="solved")
    request = await hall.act(
        resident, request, "rate", contacted=True, solved="solved", satisfaction=5
    )
    assert request["state"] == "closed"
    await hall.work()
    inbox = (await resident.get("/api/v1/inbox")).json()
    assert inbox["items"]


async def test_callers_stay_logged_in_when_the_clock_runs_on(clock, as_resident, as_staff):
    people = [await as_resident("常青"), await as_staff(Role.AUDITOR)]
    clock.forward(days=31)
    for person in people:
        assert (await person.get("/api/v1/me")).status_code == 200


async def test_statements_of_both_roads_are_counted(
    hall, as_resident, as_staff, submit, count_queries
):
    resident, handler = await as_resident(), await as_staff(Role.HANDLER)
    await submit(resident)  # the session is in the cache, serials are at hand
    with count_queries() as sent:
        answer = await resident.post(REQUESTS, form(grid_code=GRID))
    assert answer.status_code == 201
    assert len(sent) == 1, sent
    with count_queries() as sent:
        await hall.act(handler, answer.json(), "sign")
    assert any("FOR UPDATE" in statement for statement in sent)
    with count_queries() as sent:
        pass
    assert sent == []
