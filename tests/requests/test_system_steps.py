"""Whatever nobody did, the system did: it says so, and which job or step it was."""

import pytest

from app.domain.identity import SYSTEM, Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import Action
from app.requests import service
from app.requests.city import City
from app.requests.forms import Form
from app.store.session import Statement
from tests.requests.doing import seen, working

STEPS = Statement("""
SELECT action, actor_id, facts ->> 'job' AS job FROM request_events WHERE actor_role = 'system'
""")
PEOPLES = Statement("""
SELECT count(*) AS wrong FROM request_events WHERE actor_role <> 'system' AND facts ? 'job'
""")
AUDITED = Statement("""
SELECT action, actor_id, facts ->> 'job' AS job FROM audit_entries WHERE actor_role = 'system'
""")
JOBS = {
    Action.ASSIGN: "submit",
    Action.QUEUE: "submit",
    Action.AUTO_SIGN: "sweep_clocks",
    Action.DECIDE_EXTENSION: "sweep_clocks",
    Action.RESUME: "sweep_clocks",
    Action.SUPERVISE: "sweep_clocks",
    Action.AUTO_CLOSE: "sweep_clocks",
    Action.ARCHIVE: "archive_ended",
    Action.MERGE: "pass_on",
}


@pytest.fixture
async def all_done(hall, submit, as_resident, handler, leader, dispatcher, clock):
    """Every step that the table leaves to the system was taken by it."""
    owner = await as_resident()
    await submit(category_code=...)  # waits for the desk
    await submit()  # nobody signs it, nobody answers it
    asked = await working(hall, handler)
    extension = {"working_days": 2, "reason_code": "survey", "note": "核实"}
    await hall.act(handler, asked, "request_extension", **extension)
    suspended = await working(hall, handler)
    rain = {"reason_code": "weather", "until": "2026-03-06", "note": "汛期"}
    suspended = await hall.act(leader, suspended, "suspend", **rain)
    await hall.act(dispatcher, suspended, "suspend", decision="approve", note="同意")
    await hall.replied()
    heir, other, master = await submit(), await submit(), await submit(owner)
    for follower in (heir, other):
        await hall.act(dispatcher, follower, "merge", master_id=master["id"], note="同")
    await hall.act(owner, await seen(owner, master), "withdraw")
    for day in ("2026-03-03", "2026-03-06", "2026-03-10", "2026-03-13", "2026-04-20"):
        clock.set(f"{day}T09:00:00")
        await hall.work("sweep_clocks", "archive_ended")


async def test_every_step_of_the_system_says_by_which_job_and_no_persons_does(hall, all_done, db):
    steps = await db.rows(STEPS)
    assert {(Action(it["action"]), it["job"]) for it in steps} == set(JOBS.items())
    assert {it["actor_id"] for it in steps} == {SYSTEM.id}
    assert (await db.one_statement(PEOPLES))["wrong"] == 0
    # The audit says the same of the same steps.
    entries = await db.rows(AUDITED)
    kept = [(it["action"], it["job"]) for it in entries if it["action"] in set(JOBS)]
    assert sorted(kept) == sorted((it["action"], it["job"]) for it in steps)
    assert {it["actor_id"] for it in entries} == {SYSTEM.id}


def test_these_are_all_the_steps_that_the_table_leaves_to_the_system():
    assert set(JOBS) == {row.action for row in TRANSITIONS if Role.SYSTEM in row.by}


async def test_the_system_does_nothing_without_a_job_and_nobody_has_one_but_the_system(
    hall, submit, dispatcher, db
):
    request = await submit()
    state = hall.app.state
    city = City(state.reference.current, state.grids.current, state.cipher)
    person = SYSTEM.__class__(dispatcher.id, Role.DISPATCHER)
    for actor, job in ((SYSTEM, None), (person, "sweep_clocks")):
        with pytest.raises(RuntimeError, match="by a job"):
            async with db.transaction() as session:
                await service.act(
                    session, city, request["id"], Action.ARCHIVE, Form(),
                    actor=actor, version=None, now=hall.clock.now, job=job,
                )  # fmt: skip
