"""撤回主单: whoever asked first of those that followed takes its place, and the work goes on."""

from uuid import UUID

import pytest

from app.domain.sla import Metric
from app.store.session import Statement
from tests.city import OTHER_UNIT, REQUESTS, UNIT
from tests.requests.doing import (
    GOOD,
    REPLY,
    clock_states,
    clocks,
    letters,
    race,
    refused,
    seen,
    timeline,
    working,
)

EVENTS = Statement("""
SELECT version, action, state, actor_role, facts ->> 'job' AS job FROM request_events
WHERE request_id = :id ORDER BY version DESC LIMIT 1
""")
AUDITED = Statement("""
SELECT action, actor_role, facts FROM audit_entries WHERE chain = :id ORDER BY seq DESC LIMIT 1
""")
FIRES = Statement("SELECT metric, level FROM clock_fires WHERE request_id = :id")


@pytest.fixture
async def family(hall, as_resident, handler, dispatcher, clock):
    """A master in progress and two followers, the first of which asked an hour before the other;
    and the three residents, the master's first."""
    owner, first, second = [await as_resident() for _ in range(3)]
    heir = await hall.submit(first)
    clock.forward(hours=1)
    other = await hall.submit(second)
    master = await working(hall, handler, owner)
    for follower in (other, heir):  # who asked first counts, not who was merged first
        await hall.act(dispatcher, follower, "merge", master_id=master["id"], note="同一盏灯")
    return await seen(handler, master), heir, other, (owner, first, second)


async def test_the_first_that_asked_takes_its_place_and_the_others_follow_it(
    hall, family, handler, dispatcher, supervisor, db
):
    master, heir, other, (owner, *_) = family
    master = await hall.act(owner, master, "withdraw", note="已经好了")
    assert master["state"] == "withdrawn"
    page = await seen(dispatcher, heir)
    assert (page["state"], page["unit"]["code"], page["master"]) == ("in_progress", UNIT, None)
    assert (page["followers"], (await seen(owner, master))["followers"]) == (1, 0)
    assert page["routing"]["reasons"][-1]["code"] == "inherited"
    follower = await seen(dispatcher, other)
    assert (follower["state"], follower["master"]["id"]) == ("merged", heir["id"])
    assert (await timeline(supervisor, master))[-1]["facts"] == {
        "after_contact": True,
        "passed_on_to": heir["id"],
    }
    for request, state in ((heir, "in_progress"), (other, "merged")):
        event = await db.one_statement(EVENTS, id=UUID(request["id"]))
        page = await seen(dispatcher, request)
        assert dict(event) == {
            "version": page["version"],
            "action": "merge",
            "state": state,
            "actor_role": "system",
            "job": "pass_on",
        }
        entry = await db.one_statement(AUDITED, id=UUID(request["id"]))
        assert (entry["action"], entry["actor_role"]) == ("merge", "system")
        assert '"job":"pass_on"' in entry["facts"].replace(" ", "")


async def test_all_who_are_concerned_hear_of_it(hall, family, handler):
    master, heir, other, (owner, first, second) = family
    await hall.work("deliver_outbox")
    await hall.act(owner, master, "withdraw")
    await hall.work("deliver_outbox")
    assert (await letters(handler, master))[-1] == "诉求已撤回"
    assert (await letters(handler, heir))[-1] == "接续办理"
    assert (await letters(first, heir))[-1] == "诉求继续办理"
    assert (await letters(second, other))[-1] == "诉求合并办理"
    told = (await timeline(first, heir))[-1]
    assert told["public_note"] == (
        f"合并办理的 {master['number']} 已撤回，本诉求继续办理，承诺时限不变"
    )
    assert told["actor_role"] == "system"


async def test_each_resident_keeps_their_promise_and_the_new_master_the_earliest(
    hall, family, handler, db
):
    master, heir, other, (owner, first, second) = family
    before = {it["id"]: it for it in (await seen(first, heir), await seen(second, other))}
    await hall.act(owner, master, "withdraw")
    for caller, request in ((first, heir), (second, other)):
        page = await seen(caller, request)
        for name in ("contact_due_at", "reply_due_at", "submitted_at", "contacted_at"):
            assert page[name] == before[request["id"]][name]
    assert await clock_states(db, heir) == {
        "contact": "running", "reply": "running", "accept": "cancelled"
    }  # fmt: skip
    assert set((await clock_states(db, other)).values()) == {"cancelled"}
    # Nobody has spoken with this resident yet.
    assert await refused(handler, await seen(handler, heir), "reply", **REPLY) == "contacted"
    page = await hall.act(
        handler, await seen(handler, heir), "contact", method="phone", result="reached"
    )
    page = await hall.act(handler, page, "reply", **REPLY)
    assert (await seen(second, other))["master"]["reply"]["public_reply"] == "已修好"
    rated = await hall.act(second, await seen(second, other), "rate", **GOOD)
    assert rated["satisfaction"] == 5


async def test_an_earlier_promise_among_the_others_becomes_the_new_masters(
    hall, submit, as_resident, dispatcher, handler, clock, db
):
    owner = await as_resident()
    heir = await submit()
    clock.forward(hours=1)
    urgent = await submit(category_code="utility.water_outage")  # one working day
    master = await working(hall, handler, owner)
    for follower in (heir, urgent):
        await hall.act(dispatcher, follower, "merge", master_id=master["id"], note="同")
    await hall.act(owner, await seen(owner, master), "withdraw")
    page = await seen(dispatcher, heir)
    assert page["reply_due_at"] == urgent["reply_due_at"] == "2026-03-04T00:00:00+08:00"
    reply = (await clocks(db, heir))[Metric.REPLY]
    assert (reply["due_at"].isoformat(), reply["original_due_at"].isoformat()) == (
        "2026-03-03T16:00:00+00:00",
        "2026-03-09T16:00:00+00:00",
    )


async def test_where_the_master_waits_for_its_unit_the_new_one_waits_there_too(
    hall, submit, as_resident, dispatcher, handler, clock, db
):
    owner = await as_resident()
    heir, master = await submit(category_code=...), await submit(owner)
    await hall.act(dispatcher, heir, "merge", master_id=master["id"], note="同")
    clock.forward(hours=1)
    await hall.act(owner, await seen(owner, master), "withdraw")
    page = await seen(handler, heir)
    assert (page["state"], page["unit"]["code"]) == ("assigned", UNIT)
    accept = (await clocks(db, heir))[Metric.ACCEPT]
    assert accept["due_at"] == (await clocks(db, master))[Metric.ACCEPT]["due_at"]
    clock.forward(hours=2)
    await hall.work("sweep_clocks")
    assert (await seen(handler, heir))["state"] == "in_progress"


@pytest.mark.parametrize("stands", ["need_info", "suspended"])
async def test_what_was_asked_of_the_masters_resident_is_not_asked_of_the_next(
    hall, family, handler, leader, dispatcher, db, stands
):
    master, heir, _, (owner, *_) = family
    if stands == "need_info":
        master = await hall.act(handler, master, "ask_info", note="请说明")
    else:
        until = {"reason_code": "weather", "until": "2026-03-20", "note": "雨"}
        master = await hall.act(leader, master, "suspend", **until)
        master = await hall.act(dispatcher, master, "suspend", decision="approve", note="同意")
    assert master["state"] == stands
    await hall.act(owner, master, "withdraw")
    page = await seen(handler, heir)
    assert (page["state"], page["reply_due_at"]) == ("in_progress", "2026-03-10T00:00:00+08:00")
    assert (page["info_until"], page["resume_on"]) == (None, None)


async def test_before_anybody_had_it_the_new_one_waits_for_the_desk(
    hall, submit, as_resident, dispatcher
):
    owner = await as_resident()
    master = await submit(owner, category_code=...)
    heir = await submit()
    await hall.act(dispatcher, heir, "merge", master_id=master["id"], note="同")
    await hall.act(owner, await seen(owner, master), "withdraw")
    page = await seen(dispatcher, heir)
    assert (page["state"], page["unit"]) == ("triage", None)
    await hall.work("deliver_outbox")
    assert "待派单诉求" in await letters(dispatcher, heir)


async def test_parts_of_other_units_and_orders_go_on(
    hall, family, handler, leader, supervisor, as_staff, db
):
    master, heir, _, (owner, *_) = family
    other_handler = await as_staff("handler", unit=OTHER_UNIT)
    part = {"unit_code": OTHER_UNIT, "task": "请先抽干积水"}
    master = await hall.act(leader, master, "co_assign", **part)
    master = await hall.act(supervisor, master, "supervise", level=2, note="限期答复")
    await hall.act(owner, master, "withdraw")
    assert (await other_handler.get(f"{REQUESTS}/{master['id']}")).status_code == 404
    page = await seen(other_handler, heir)
    [task] = page["co_tasks"]
    assert (task["task"], task["due_at"]) == ("请先抽干积水", page["reply_due_at"])
    assert (page["supervise_level"], [it["level"] for it in page["orders"]]) == (2, [2])
    states = await clock_states(db, heir)
    assert (states["cotask"], states["supervise"]) == ("running", "running")
    page = await hall.act(other_handler, page, "co_feedback", co_task_id=task["id"], step="sign")
    page = await hall.act(leader, page, "supervise", note="正在办")
    assert (await seen(leader, page))["orders"] == []


async def test_no_rung_that_was_told_is_told_again_though_the_due_time_is_another(
    hall, submit, as_resident, dispatcher, handler, clock, db
):
    owner = await as_resident()
    heir = await submit()
    clock.set("2026-03-05T08:30:00")
    await hall.work("sweep_clocks")
    told = [tuple(row) for row in await db.rows(FIRES, id=UUID(heir["id"]))]
    assert ("reply", "due_soon_1") in told
    other, master = await submit(category_code="utility.water_outage"), await submit(owner)
    for follower in (heir, other):
        await hall.act(
            dispatcher, await seen(dispatcher, follower), "merge", master_id=master["id"], note="同"
        )
    await hall.act(owner, await seen(owner, master), "withdraw")
    assert (await seen(dispatcher, heir))["reply_due_at"] == "2026-03-07T00:00:00+08:00"
    clock.set("2026-03-05T09:30:00")
    await hall.work("sweep_clocks")
    fires = [tuple(row) for row in await db.rows(FIRES, id=UUID(heir["id"]))]
    assert fires.count(("reply", "due_soon_1")) == 1


async def test_of_a_withdrawal_and_a_parting_at_once_both_are_whole(
    hall, as_resident, submit, dispatcher
):
    for _ in range(5):
        owner = await as_resident()
        master, heir = await submit(owner), await submit()
        heir = await hall.act(dispatcher, heir, "merge", master_id=master["id"], note="同")
        master = await seen(owner, master)
        path = f"{REQUESTS}/{{}}/actions/{{}}"
        statuses = await race(
            owner.post(path.format(master["id"], "withdraw"), {}, version=master["version"]),
            dispatcher.post(
                path.format(heir["id"], "unmerge"), {"note": "另一盏"}, version=heir["version"]
            ),
        )
        assert statuses[200] >= 1, statuses
        assert set(statuses) <= {200, 409, 412, 503}, statuses
        master, heir = await seen(owner, master), await seen(dispatcher, heir)
        if master["state"] == "withdrawn":
            assert heir["master"] is None
        assert (heir["state"] == "merged") is (heir["master"] is not None)
        assert master["followers"] == (1 if heir["state"] == "merged" else 0)
