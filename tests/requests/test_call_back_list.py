"""抽样回访: whom to call back is a list of its own, for who may call, with the number to call."""

from uuid import UUID

import pytest

from app.domain.satisfaction import is_sampled
from tests.city import GRID, OTHER_GRID, REQUESTS, TOWN, point_in
from tests.requests.doing import GOOD, REPLY, refused, seen

CONTACT = {"name": "欧阳静", "phone": "13812345678"}


async def sampled(caller, **params):
    answer = await caller.get(REQUESTS, params={"sampled": True, "limit": 100, **params})
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
async def drawn(hall, submit, handler):
    """Makes a request that was answered and falls into the sample, or not."""

    async def make(resident=None, *, wanted=True, **form):
        form = {"location": point_in(GRID), "contact": CONTACT, **form}
        request = await submit(resident, **form)
        while is_sampled(UUID(request["id"]), 1) is not wanted:
            request = await submit(resident, **form)
        request = await hall.act(handler, request, "sign")
        request = await hall.act(handler, request, "contact", method="phone", result="reached")
        return await hall.act(handler, request, "reply", **REPLY)

    return make


@pytest.fixture(scope="module")
def limits():
    return {"requests_per_hour": 100_000}


async def test_who_calls_back_reads_whom_to_call_and_nobody_else_does(
    hall, drawn, dispatcher, supervisor, as_staff, as_resident
):
    resident = await as_resident()
    request, other = await drawn(resident), await drawn(wanted=False)
    town, elsewhere = await as_staff("dispatcher", grid=TOWN), await as_staff(
        "dispatcher", grid="370281108"
    )  # fmt: skip
    for caller in (dispatcher, supervisor, town):
        found = await sampled(caller)
        assert (request["id"] in found, other["id"] in found) == (True, False)
    assert request["id"] not in await sampled(elsewhere)
    assert request["id"] in await sampled(dispatcher, state="replied")
    assert request["id"] not in await sampled(dispatcher, state="closed")
    for role in ("handler", "unit_leader", "grid_leader", "auditor", "admin"):
        answer = await (await as_staff(role)).get(REQUESTS, params={"sampled": True})
        assert (answer.status_code, answer.json()["code"]) == (403, "sample_forbidden")
    answer = await resident.get(REQUESTS, params={"sampled": True})
    assert (answer.status_code, answer.json()["code"]) == (403, "sample_forbidden")


async def test_who_was_called_is_off_the_list_rated_or_not(
    hall, drawn, dispatcher, as_resident, handler
):
    resident = await as_resident()
    request = await drawn(resident)
    request = await hall.act(resident, request, "rate", **GOOD)
    assert request["state"] == "closed"
    assert request["id"] in await sampled(dispatcher)  # a rating spares nobody the call
    assert await refused(handler, request, "call_back", reached=False) == "step_forbidden"
    await hall.act(dispatcher, request, "call_back", reached=True, solved="solved", satisfaction=4)
    assert request["id"] not in await sampled(dispatcher)


async def test_who_may_call_may_see_the_number_until_the_call(
    hall, drawn, dispatcher, supervisor, as_resident, handler
):
    resident = await as_resident()
    request = await hall.act(resident, await drawn(resident), "rate", **GOOD)
    path, why = f"{REQUESTS}/{request['id']}/reveal", {"reason": "回访"}
    for caller in (dispatcher, supervisor):
        answer = await caller.post(path, why)
        assert (answer.status_code, answer.json()["phone"]) == (200, CONTACT["phone"])
    assert (await handler.post(path, why)).json()["code"] == "reveal_closed"
    await hall.act(dispatcher, request, "call_back", reached=False)
    assert (await dispatcher.post(path, why)).json()["code"] == "reveal_closed"
    assert (await supervisor.post(path, why)).json()["code"] == "reveal_forbidden"


async def test_what_is_not_in_the_sample_or_confidential_is_not_opened_by_it(
    hall, drawn, dispatcher, supervisor
):
    why = {"reason": "回访"}
    other = await drawn(wanted=False)
    answer = await supervisor.post(f"{REQUESTS}/{other['id']}/reveal", why)
    assert answer.json()["code"] == "reveal_forbidden"
    hidden = await drawn(confidential=True, location=point_in(OTHER_GRID))
    path = f"{REQUESTS}/{hidden['id']}/reveal"
    assert (await dispatcher.post(path, why)).json()["code"] == "reveal_confidential"
    assert (await supervisor.post(path, why)).status_code == 200


async def test_the_list_is_read_by_its_own_index(hall, db, drawn, supervisor):
    request = await drawn()
    page = await seen(supervisor, request)
    assert "call_back" in {it["action"] for it in page["available_actions"]}
    async with db.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        await connection.exec_driver_sql("SET LOCAL enable_sort = off")
        plan = await connection.exec_driver_sql(
            "EXPLAIN SELECT id FROM requests WHERE sampled AND called_back_at IS NULL"
            " AND state IN ('replied', 'closed') ORDER BY submitted_at DESC, id DESC LIMIT 20"
        )
        assert any("ix_requests_to_call" in line for (line,) in plan)
