"""剔除申请: a unit asks, somebody else decides, a third may undo it, and the figures follow."""

from uuid import UUID

import pytest

from app.domain.measures import Measure
from app.requests.exclusion import excluded_from
from app.store.session import Statement
from tests.city import OTHER_UNIT, REQUESTS
from tests.requests.doing import GOOD, race

URL = "/api/v1/satisfaction/exclusions"
NOBODY = "01980000-0000-7000-8000-000000000000"


def form(request, **members):
    return {
        "request_id": request["id"],
        "measures": ["satisfied", "satisfied_strict"],
        "ground": "mistaken_rating",
        "evidence": "诉求人电话确认点错，录音编号2026-18",
        **members,
    }


@pytest.fixture
async def rated(hall, answered, as_resident):
    async def make():
        resident = await as_resident()
        return await hall.act(resident, await answered(resident), "rate", **GOOD)

    return make


async def ask(caller, request, **members):
    answer = await caller.post(URL, form(request, **members))
    assert answer.status_code == 201, answer.text
    assert answer.headers["etag"] == '"1"'
    return answer.json()


async def decide(caller, asked, decision="approve", **options):
    body = {"decision": decision, "note": "证据充分" if decision == "approve" else "证据不足"}
    return await caller.post(f"{URL}/{asked['id']}/decide", body, **{"version": 1, **options})


async def excluded(db, request, measure):
    where = excluded_from(Measure(measure))
    row = await db.one_statement(
        Statement(f"SELECT {where} AS it FROM requests WHERE id = :id"), id=UUID(request["id"])
    )
    return row["it"]


async def test_what_one_asks_and_another_approves_is_left_out_of_those_figures_only(
    hall, db, rated, leader, supervisor, auditor
):
    request, other = await rated(), await rated()
    asked = await ask(leader, request)
    assert (asked["state"], asked["state_text"]) == ("asked", "待审批")
    assert asked["number"] == request["number"]
    assert asked["measure_texts"][0] == "满意率"
    assert asked["ground_text"] == "诉求人确认误评"
    assert not await excluded(db, request, "satisfied")  # nothing is decided yet
    answer = await decide(supervisor, asked)
    assert answer.status_code == 200, answer.text
    decided = answer.json()
    assert (decided["state"], decided["version"]) == ("approved", 2)
    assert (decided["decided_by"], decided["decision_note"]) == (str(supervisor.id), "证据充分")
    assert await excluded(db, request, "satisfied")
    assert await excluded(db, request, "satisfied_strict")
    assert not await excluded(db, request, "solved")
    assert not await excluded(db, other, "satisfied")
    shown = await auditor.get(f"{URL}/{asked['id']}")
    assert shown.json() == decided
    assert shown.headers["etag"] == '"2"'
    trail = (await auditor.get(f"{REQUESTS}/{request['id']}/audit")).json()["items"]
    told = [(it["action_text"], it["facts"]["state"]) for it in trail if "exclusion" in it["facts"]]
    assert told == [("申请剔除", "asked"), ("审批剔除申请", "approved")]
    again = await leader.post(URL, form(request, measures=["satisfied"]))
    assert again.json()["code"] == "already_excluded"
    await ask(leader, request, measures=["satisfied", "solved"])  # one of them is new


async def test_a_new_cycle_counts_anew(hall, db, rated, leader, supervisor):
    request = await rated()
    await decide(supervisor, await ask(leader, request))
    assert await excluded(db, request, "satisfied")
    async with db.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            f"UPDATE requests SET cycle_no = 2 WHERE id = '{request['id']}'"
        )
    assert not await excluded(db, request, "satisfied")


async def test_what_is_denied_or_taken_back_counts_and_may_be_asked_again(
    db, rated, leader, supervisor, as_staff
):
    request = await rated()
    asked = await ask(leader, request)
    pending = await leader.post(URL, form(request))
    assert (pending.status_code, pending.json()["code"]) == (409, "exclusion_pending")
    answer = await decide(supervisor, asked, "deny")
    assert answer.json()["state"] == "denied"
    asked = await ask(leader, request)
    colleague = await as_staff("unit_leader", number=2)
    path = f"{URL}/{asked['id']}/withdraw"
    answer = await colleague.post(path, version=1)
    assert answer.json()["code"] == "not_the_asker"
    answer = await leader.post(path, version=1)
    assert (answer.json()["state"], answer.json()["decided_by"]) == ("withdrawn", None)
    late = await decide(supervisor, asked, version=2)
    assert (late.status_code, late.json()["code"]) == (409, "exclusion_decided")
    assert not await excluded(db, request, "satisfied")
    await ask(leader, request)


async def test_only_the_unit_that_answers_asks_and_only_for_what_it_has_answered(
    hall, rated, leader, as_staff, submit
):
    request = await rated()
    elsewhere = await as_staff("unit_leader", unit=OTHER_UNIT)
    answer = await elsewhere.post(URL, form(request))
    assert (answer.status_code, answer.json()["code"]) == (404, "request_not_found")
    answer = await leader.post(URL, form({"id": NOBODY}))
    assert (answer.status_code, answer.json()["code"]) == (404, "request_not_found")
    answer = await leader.post(URL, form(await submit()))
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_exclude")
    for role in ("handler", "supervisor", "admin"):
        answer = await (await as_staff(role)).post(URL, form(request))
        assert answer.json()["code"] == "forbidden"
    for members, code in [
        ({"measures": ["received"]}, "measure_not_excludable"),
        ({"measures": []}, "invalid_input"),
        ({"measures": ["nonsense"]}, "invalid_input"),
        ({"ground": "nonsense"}, "invalid_input"),
        ({"evidence": "请看 13812345678"}, "text_contains_pii"),
    ]:
        answer = await leader.post(URL, form(request, **members))
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_part_of_the_work_is_no_right_to_ask(hall, submit, as_staff, leader):
    handler, part = await as_staff("handler"), await as_staff("unit_leader", unit=OTHER_UNIT)
    request = await hall.act(handler, await submit(), "sign")
    await hall.act(leader, request, "co_assign", unit_code=OTHER_UNIT, task="抽水")
    answer = await part.post(URL, form(request))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_the_host_unit")


async def test_units_see_their_own_and_the_others_all(rated, leader, auditor, as_staff):
    asked = [await ask(leader, await rated()) for _ in range(3)]
    elsewhere = await as_staff("unit_leader", unit=OTHER_UNIT)
    assert (await elsewhere.get(URL)).json()["items"] == []
    answer = await elsewhere.get(f"{URL}/{asked[0]['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "exclusion_not_found")
    answer = await elsewhere.post(f"{URL}/{asked[0]['id']}/withdraw", version=1)
    assert (answer.status_code, answer.json()["code"]) == (404, "exclusion_not_found")
    for caller in (leader, auditor):
        first = (await caller.get(URL, params={"state": "asked", "limit": 2})).json()
        assert [it["id"] for it in first["items"]] == [asked[2]["id"], asked[1]["id"]]
        cursor = first["next_cursor"]
        rest = (await caller.get(URL, params={"state": "asked", "cursor": cursor})).json()
        assert rest["items"][0]["id"] == asked[0]["id"]
    assert (await auditor.get(URL, params={"unit": OTHER_UNIT})).json()["items"] == []


async def test_a_decision_names_the_version_and_is_made_once(rated, leader, supervisor, as_staff):
    asked = await ask(leader, await rated())
    assert (await decide(supervisor, asked, version=None)).status_code == 428
    stale = await decide(supervisor, asked, version=7)
    assert (stale.status_code, stale.json()["version"]) == (412, 1)
    second = await as_staff("supervisor", number=2)
    calls = [decide(it, asked, word) for it in (supervisor, second) for word in ("approve", "deny")]
    assert await race(*calls) == {200: 1, 409: 3}
    asked = await ask(leader, await rated())
    twice = [await decide(supervisor, asked, key="the-same") for _ in range(2)]
    assert twice[0].content == twice[1].content


async def test_two_who_ask_at_once_ask_once(rated, leader, as_staff):
    request, colleague = await rated(), await as_staff("unit_leader", number=2)
    calls = [it.post(URL, form(request)) for it in (leader, colleague, leader)]
    assert await race(*calls) == {201: 1, 409: 2}


STATISTICS = "/api/v1/statistics"


@pytest.fixture
async def figure(clock, supervisor):
    """Tells a figure of its own day as (num, den, excluded), and who is in a part of it."""

    class Figure:
        async def told(self, measure):
            day = clock.now.date().isoformat()
            params = {"measure": measure, "from": day, "to": day, "basis": "submitted"}
            answer = await supervisor.get(STATISTICS, params=params)
            cell = answer.json()["total"]["figures"][measure]
            return cell["num"], cell["den"], cell["excluded"]

        async def listed(self, measure, part):
            day = clock.now.date().isoformat()
            params = {"measure": measure, "from": day, "to": day, "part": part}
            answer = await supervisor.get(f"{STATISTICS}/requests", params=params)
            assert answer.status_code == 200, answer.text
            return {it["id"]: it["exclusion"] for it in answer.json()["items"]}

    return Figure()


async def revoke(caller, asked, **options):
    body = {"note": "复核录音，居民并未误评"}
    return await caller.post(f"{URL}/{asked['id']}/revoke", body, **{"version": 2, **options})


async def test_figures_leave_out_what_is_approved_and_take_it_back_when_that_is_revoked(
    hall, rated, leader, supervisor, as_staff, auditor, figure, clock
):
    clock.set("2026-05-11T09:30:00")
    request, other = await rated(), await rated()
    assert await figure.told("satisfied") == (2, 2, 0)
    asked = await ask(leader, request)
    assert await figure.told("satisfied") == (2, 2, 0)
    await decide(supervisor, asked)
    assert await figure.told("satisfied") == (1, 1, 1)
    assert await figure.told("satisfied_strict") == (1, 1, 1)
    assert await figure.told("solved") == (2, 2, 0)
    assert set(await figure.listed("satisfied", "den")) == {other["id"]}
    assert await figure.listed("satisfied", "excluded") == {
        request["id"]: {
            "id": asked["id"], "ground": "mistaken_rating", "ground_text": "诉求人确认误评",
        }
    }  # fmt: skip
    answer = await revoke(await as_staff("supervisor", number=2), asked)
    assert answer.status_code == 200, answer.text
    revoked = answer.json()
    assert (revoked["state"], revoked["version"]) == ("revoked", 3)
    assert (revoked["decided_by"], revoked["decision_note"]) == (str(supervisor.id), "证据充分")
    assert revoked["revocation_note"].startswith("复核")
    assert (await auditor.get(f"{URL}/{asked['id']}")).json() == revoked
    assert await figure.told("satisfied") == (2, 2, 0)
    assert set((await figure.listed("satisfied", "den")).values()) == {None}
    trail = (await auditor.get(f"{REQUESTS}/{request['id']}/audit")).json()["items"]
    last = [it for it in trail if "exclusion" in it["facts"]][-1]
    assert (last["action_text"], last["facts"]["state"]) == ("撤销已同意的剔除", "revoked")
    await ask(leader, request)  # it may be asked again


async def test_of_two_exclusions_the_other_one_stays_in_force(
    db, rated, leader, supervisor, as_staff
):
    request = await rated()
    first = await ask(leader, request)
    await decide(supervisor, first)
    second = await ask(leader, request, measures=["satisfied", "solved"])
    await decide(supervisor, second)
    await revoke(await as_staff("supervisor", number=2), first)
    assert await excluded(db, request, "satisfied")
    assert await excluded(db, request, "solved")
    assert not await excluded(db, request, "satisfied_strict")


async def test_nobody_revokes_their_own_decision_nor_twice(rated, leader, supervisor, as_staff):
    asked = await ask(leader, await rated())
    second, third = [await as_staff("supervisor", number=it) for it in (2, 3)]
    answer = await revoke(second, asked, version=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "exclusion_not_in_force")
    await decide(supervisor, asked)
    answer = await revoke(supervisor, asked)
    assert (answer.status_code, answer.json()["code"]) == (403, "own_revocation")
    assert (await revoke(leader, asked)).json()["code"] == "forbidden"
    assert (await revoke(second, asked, version=None)).status_code == 428
    assert (await revoke(second, asked, version=1)).status_code == 412
    assert (await revoke(second, {"id": NOBODY})).json()["code"] == "exclusion_not_found"
    path = f"{URL}/{asked['id']}/revoke"
    answer = await second.post(path, {"note": "请问 13812345678"}, version=2)
    assert answer.json()["code"] == "text_contains_pii"
    assert await race(*(revoke(it, asked) for it in (second, third, second))) == {200: 1, 409: 2}
    again = [await revoke(second, asked, key="once") for _ in range(2)]
    assert [it.status_code for it in again] == [409, 409]
