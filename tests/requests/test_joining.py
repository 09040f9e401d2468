"""并单 and 拆单: several people, one problem; or one person, several problems."""

import pytest

from app.domain.sla import Metric
from app.store.session import Statement
from tests.city import REQUESTS
from tests.requests.doing import (
    BAD,
    GOOD,
    REPLY,
    buttons,
    clock_states,
    clocks,
    letters,
    race,
    refused,
    rejected,
    seen,
    timeline,
    working,
)


@pytest.fixture
async def joined(hall, as_resident, handler, dispatcher, clock):
    """A master that came in an hour later than its follower, and both residents."""
    first, second = await as_resident(), await as_resident()
    follower = await hall.submit(first, contact={"name": "张三", "phone": "13800138000"})
    clock.forward(hours=1)
    master = await hall.act(handler, await hall.submit(second), "sign")
    follower = await hall.act(
        dispatcher, follower, "merge", master_id=master["id"], note="同一盏灯"
    )
    return follower, await seen(handler, master), first, second


async def test_the_master_keeps_the_earliest_promises_and_the_follower_its_own(
    hall, joined, handler, dispatcher, db
):
    follower, master, first, _ = joined
    assert follower["state"] == "merged"
    assert master["contact_due_at"] == "2026-03-02T15:30:00+08:00"
    assert master["followers"] == 1
    assert (await timeline(handler, master))[-1]["facts"] == {"follower_id": follower["id"]}
    page = await seen(first, follower)
    assert page["contact_due_at"] == "2026-03-02T15:30:00+08:00"
    assert (page["master"]["number"], page["master"]["id"]) == (master["number"], None)
    assert (await seen(dispatcher, follower))["master"]["id"] == master["id"]
    assert set((await clock_states(db, follower)).values()) == {"cancelled"}
    assert (await clocks(db, master))[Metric.CONTACT]["due_at"].isoformat() == (
        "2026-03-02T07:30:00+00:00"
    )
    await hall.work("deliver_outbox")
    assert "诉求合并办理" in await letters(first, follower)


async def test_each_follower_reads_the_answer_and_has_a_word_of_its_own(
    hall, joined, handler, clock
):
    follower, master, first, second = joined
    assert await refused(first, follower, "rate", **GOOD) == "answered"
    master = await hall.act(handler, master, "contact", method="phone", result="reached")
    master = await hall.act(handler, master, "reply", **REPLY)
    page = await seen(first, follower)
    assert page["master"]["reply"]["public_reply"] == "已修好"
    assert page["master"]["state_text"] == "已答复"
    await hall.work("deliver_outbox")
    assert "诉求已答复，请评价" in await letters(first, follower)
    follower = await hall.act(first, follower, "rate", **BAD)
    assert (follower["state"], follower["satisfaction"]) == ("merged", 1)
    master = await hall.act(second, master, "rate", **GOOD)
    assert (master["state"], master["satisfaction"]) == ("closed", 5)
    clock.set("2026-03-10T00:00:00")
    assert await refused(first, follower, "rate", **GOOD) == "rating_window_open"


async def test_a_followers_urge_reaches_the_master(hall, joined, handler, clock):
    follower, master, first, second = joined
    clock.forward(hours=24)
    follower = await hall.act(first, follower, "urge", note="还没修")
    page = await seen(handler, master)
    assert (page["urge_count"], page["version"]) == (1, master["version"] + 1)
    await hall.work("deliver_outbox")
    assert "诉求人催办" in await letters(handler, master)
    entry = (await timeline(second, master))[-1]
    assert (entry["action"], entry["public_note"], entry["note"]) == ("urge", None, None)
    assert await refused(first, follower, "urge") == "urge_allowed"
    master = await hall.act(handler, page, "contact", method="phone", result="reached")
    await hall.act(handler, master, "reply", **REPLY)
    clock.forward(hours=24)
    assert await refused(first, follower, "urge") == "master_not_urgeable"


async def test_who_has_followers_is_not_merged(hall, joined, dispatcher, submit):
    follower, master, _, _ = joined
    other = await submit()
    into = {"master_id": other["id"]}
    assert await refused(dispatcher, master, "merge", **into) == "no_followers"
    for wrong in (follower["id"], other["id"], "01980000-0000-7000-8000-000000000000"):
        assert await refused(dispatcher, other, "merge", master_id=wrong) == "merge_target_invalid"


async def test_only_what_is_alike_and_open_is_merged(hall, submit, dispatcher, handler):
    request = await submit()
    secret, replied = await submit(confidential=True), await hall.replied()
    gone = await rejected(hall)
    for wrong in (secret, replied, gone):
        assert await refused(dispatcher, request, "merge", master_id=wrong["id"]) == (
            "merge_target_invalid"
        )
    assert await refused(handler, request, "merge", master_id=secret["id"]) == "step_forbidden"
    assert await refused(dispatcher, replied, "merge", master_id=request["id"]) == "illegal_step"


async def test_a_request_parted_from_its_master_runs_on_as_if_it_never_had_been_merged(
    hall, joined, dispatcher, handler, db, clock
):
    follower, master, first, _ = joined
    assert await refused(dispatcher, follower, "unmerge") == "note_missing"
    clock.set("2026-03-02T14:00:00")
    follower = await hall.act(dispatcher, follower, "unmerge", note="是另一盏灯")
    assert (follower["state"], follower["unit"]) == ("triage", None)
    assert follower["reply_due_at"] == "2026-03-10T00:00:00+08:00"
    assert await clock_states(db, follower) == {
        "accept": "cancelled", "contact": "running", "reply": "running"
    }  # fmt: skip
    page = await seen(handler, master)
    assert page["followers"] == 0
    assert (await seen(first, follower))["master"] is None
    # Warnings that are over are told late, the breach in time.
    clock.set("2026-03-02T15:30:00")
    await hall.work("sweep_clocks", "deliver_outbox")
    assert (await seen(dispatcher, follower))["contact_overdue"] is False
    assert "联系时限已超时" in await letters(handler, master)


async def test_what_was_told_before_the_merge_is_not_told_again_after_it(
    hall, submit, handler, dispatcher, clock, db
):
    follower, master = await submit(), await submit()
    clock.set("2026-03-13T09:00:00")  # every rung of the reply was told
    await hall.work("sweep_clocks")
    assert (await seen(handler, follower))["supervise_level"] == 1
    follower, master = await seen(handler, follower), await seen(handler, master)
    follower = await hall.act(
        dispatcher, follower, "merge", master_id=master["id"], note="同一盏灯"
    )
    follower = await hall.act(dispatcher, follower, "unmerge", note="不是")
    fired = Statement("SELECT count(*) AS told FROM clock_fires")
    before = (await db.one_statement(fired))["told"]
    await hall.work("sweep_clocks")
    assert (await db.one_statement(fired))["told"] == before
    assert (await seen(dispatcher, follower))["orders"] == []  # ended with the merge, not repeated


async def test_a_request_merged_while_its_clock_stood_has_the_pause_counted(
    hall, handler, dispatcher, resident, submit, clock
):
    request = await working(hall, handler, resident)
    clock.set("2026-03-04T10:00:00")  # three days are left
    request = await hall.act(handler, request, "ask_info", note="请说明")
    master = await submit()
    clock.set("2026-03-06T10:00:00")
    request = await hall.act(dispatcher, request, "merge", master_id=master["id"], note="同一盏灯")
    clock.set("2026-03-09T10:00:00")
    request = await hall.act(dispatcher, request, "unmerge", note="不是")
    assert request["reply_due_at"] == "2026-03-12T00:00:00+08:00"  # 9th, 10th, 11th
    assert (await seen(resident, request))["info_until"] is None


async def test_followers_hear_when_the_master_is_not_taken_on(
    hall, submit, as_resident, dispatcher, second_dispatcher
):
    first = await as_resident()
    follower, master = await submit(first), await submit(category_code=...)
    follower = await hall.act(
        dispatcher, follower, "merge", master_id=master["id"], note="同一件事"
    )
    master = await seen(dispatcher, master)
    master = await hall.act(dispatcher, master, "reject", ground_code="petition", note="已信访")
    await hall.act(second_dispatcher, master, "reject", decision="approve", note="同意")
    await hall.work("deliver_outbox")
    assert "诉求不予受理" in await letters(first, follower)
    assert (await seen(first, follower))["master"]["public_label"] == "不予受理"


async def test_followers_hear_when_the_master_is_closed_without_an_answer(
    hall, submit, as_resident, handler, dispatcher, clock
):
    first = await as_resident()
    follower, master = await submit(first), await working(hall, handler)
    await hall.act(dispatcher, follower, "merge", master_id=master["id"], note="同一件事")
    master = await hall.act(handler, await seen(handler, master), "ask_info", note="请说明")
    clock.set("2026-03-08T09:00:00")
    await hall.act(dispatcher, master, "expire_info", decision="close", note="未补充")
    await hall.work("deliver_outbox")
    assert "诉求已办结" in await letters(first, follower)


async def test_one_request_becomes_several_that_were_all_submitted_then(
    hall, resident, handler, dispatcher, clock, db
):
    request = await working(
        hall, handler, resident, contact={"name": "张三", "phone": "13800138000"}
    )
    clock.forward(hours=4)
    assert await refused(dispatcher, request, "unmerge", note="两件事") == "parts_missing"
    request = await hall.act(
        dispatcher, request, "unmerge", note="两件事", texts=["路灯不亮", "井盖松动"]
    )
    assert request["state"] == "in_progress"
    parts = (await timeline(dispatcher, request))[-1]["facts"]["split_into"]
    assert len(parts) == 2
    numbers = set()
    for part, text in zip(parts, ("路灯不亮", "井盖松动"), strict=True):
        page = (await resident.get(f"{REQUESTS}/{part}")).json()
        assert (page["text"], page["state"], page["version"]) == (text, "triage", 1)
        assert page["submitted_at"] == "2026-03-02T09:30:00+08:00"
        assert page["reply_due_at"] == "2026-03-10T00:00:00+08:00"
        assert page["contact"]["phone"] == "13800138000"
        assert "withdraw" in buttons(page)
        assert await clock_states(db, page) == {"contact": "met", "reply": "running"}
        [entry] = await timeline(dispatcher, page)
        assert entry["facts"] == {"split_from": request["id"]}
        numbers.add(page["number"])
    assert len(numbers) == 2


async def test_of_two_that_are_merged_into_each_other_one_becomes_the_master(
    hall, submit, dispatcher, second_dispatcher
):
    for _ in range(5):
        one, other = await submit(), await submit()
        statuses = await race(
            *(
                caller.post(
                    f"{REQUESTS}/{request['id']}/actions/merge",
                    {"master_id": into["id"]},
                    version=request["version"],
                )
                for caller, request, into in (
                    (dispatcher, one, other),
                    (second_dispatcher, other, one),
                )
            )
        )
        assert statuses[200] == 1, statuses
        states = {(await seen(dispatcher, it))["state"] for it in (one, other)}
        assert states == {"merged", "assigned"}
