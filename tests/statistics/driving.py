"""A small city in which everybody does something, by the fall of the dice."""

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from app.domain.exclusions import NEVER_EXCLUDED, ExclusionGround
from app.domain.identity import Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.measures import Measure
from app.domain.satisfaction import is_sampled
from app.domain.states import Action
from app.store.session import Database, Statement
from tests.city import REQUESTS, Caller, CityHall, point_in
from tests.machine.forms import CATEGORIES, PLACES, Scene, form_of
from tests.statistics.recount import READ, World

_STAFF = (
    (Role.HANDLER, "housing"),
    (Role.HANDLER, "power_company"),
    (Role.UNIT_LEADER, "housing"),
    (Role.UNIT_LEADER, "power_company"),
    (Role.DISPATCHER, None),
    (Role.SUPERVISOR, None),
)
_PRESENT = Statement("""
SELECT id, state, version, unit_code, resident_id, contacted_at,
  ARRAY(SELECT part.id::text FROM request_co_tasks AS part
    WHERE part.request_id = requests.id AND part.ended_at IS NULL) AS parts
FROM requests WHERE state <> 'archived' ORDER BY id
""")
_EXCLUDABLE = Statement("""
SELECT id, unit_code FROM requests
WHERE (replied_at IS NOT NULL OR ended_at IS NOT NULL)
  AND unit_code IN ('housing', 'power_company') ORDER BY id
""")
_EXCLUSIONS = "/api/v1/satisfaction/exclusions"
_KINDS = ("consult", "help", "complaint", ...)
# What ends a life early is drawn less often, that there is something to count.
_RARELY = {
    Action.WITHDRAW: 0.1,
    Action.MERGE: 0.4,
    Action.REJECT: 0.3,
    Action.RECLASSIFY: 0.3,
    Action.CORRECT: 0.05,
    Action.SUPERVISE: 0.4,
    Action.UNMERGE: 0.4,
}
# What brings a request on, where it stands.
_NEXT: dict[str, tuple[Role, Action]] = {
    "triage": (Role.DISPATCHER, Action.ASSIGN),
    "assigned": (Role.HANDLER, Action.SIGN),
    "in_progress": (Role.HANDLER, Action.REPLY),
    "reply_review": (Role.UNIT_LEADER, Action.DECIDE_REPLY),
    "replied": (Role.RESIDENT, Action.RATE),
    "reopen_review": (Role.DISPATCHER, Action.DECIDE_REOPEN),
    "need_info": (Role.RESIDENT, Action.SUPPLY),
    "suspended": (Role.DISPATCHER, Action.RESUME),
    "return_review": (Role.DISPATCHER, Action.DECIDE_RETURN),
    "closed": (Role.DISPATCHER, Action.CALL_BACK),
}


async def drive(hall: CityHall, *, seed: int, requests: int, steps: int, residents: int) -> None:
    """Submit, then let anybody try something that the table allows them; the rest is refused."""
    dice, luck = Random(seed), Random(seed)
    people = [await hall.as_resident() for _ in range(residents)]
    staff = {(role, unit, n): await hall.as_staff(role, unit=unit, number=n)
             for role, unit in _STAFF for n in (1, 2)}  # fmt: skip
    grid = await hall.as_staff(Role.GRID_LEADER)
    auditor = await hall.as_staff(Role.AUDITOR)
    owners = {caller.id: caller for caller in people}
    handlers = tuple(str(it.id) for (role, _, _), it in staff.items() if role is Role.HANDLER)
    for step in range(steps):
        if step < 0.7 * steps and step % max(steps // requests, 1) == 0:
            await _submit(hall, dice, people, staff[Role.DISPATCHER, None, 1])
        hall.clock.forward(minutes=dice.choice((1, 5, 30, 90, 240)))
        if step % 25 == 24:
            hall.clock.forward(days=dice.choice((0, 1, 2)))
            await hall.work()
        if step % 10 == 9:
            await leave_out(hall, luck)
        present = await hall.db.rows(_PRESENT)
        one = present[-1 - min(int(dice.expovariate(1 / 9)), len(present) - 1)]
        if dice.random() < 0.65 and one["state"] in _NEXT:
            role, action = _NEXT[one["state"]]
            if one["state"] == "in_progress" and one["contacted_at"] is None:
                action = Action.CONTACT
        else:
            rows = [it for it in TRANSITIONS if it.source == one["state"]]
            rows = [it for it in rows if dice.random() < _RARELY.get(it.action, 1.0)]
            if not rows:
                continue
            row = dice.choice(rows)
            role, action = dice.choice(sorted(row.by)), row.action
        caller = _caller(dice, role, one, owners, staff, grid)
        if caller is None:
            continue
        scene = Scene(
            now=hall.clock.now,
            request_id=str(one["id"]),
            unit_code=one["unit_code"],
            auditor_id=str(auditor.id),
            handler_ids=handlers,
            request_ids=tuple(str(it["id"]) for it in present),
            co_task_ids=tuple(one["parts"]),
        )
        form = form_of(action, scene, dice)
        if action is Action.CONTACT:
            form.pop("at", None)
        answer = await caller.post(
            f"{REQUESTS}/{one['id']}/actions/{action}", form, version=one["version"]
        )
        assert answer.status_code < 500, answer.text


async def _submit(
    hall: CityHall, dice: Random, people: list[Caller], desk: Caller
) -> dict[str, Any]:
    by_desk = dice.random() < 0.15
    form: dict[str, Any] = {"kind": dice.choice(_KINDS), "location": ..., "category_code": ...}
    category = dice.choice((*CATEGORIES, *CATEGORIES[:2]))
    if category is not None:
        form["category_code"] = category
    if dice.random() < 0.85:
        form["location"] = point_in(dice.choice(PLACES))
    return await hall.submit(desk if by_desk else dice.choice(people), **form)


def _caller(
    dice: Random,
    role: Role,
    one: Any,
    owners: dict[UUID, Caller],
    staff: dict[Any, Caller],
    grid: Caller,
) -> Caller | None:
    if role is Role.RESIDENT:
        return owners.get(one["resident_id"])
    if role in (Role.GRID_LEADER, Role.MICRO_GRID_LEADER):
        return grid
    if role is Role.SYSTEM:
        return None
    unit = one["unit_code"] if role in (Role.HANDLER, Role.UNIT_LEADER) else None
    return staff.get((role, unit, dice.choice((1, 2))))


async def leave_out(hall: CityHall, dice: Random, times: int = 1) -> None:
    """A unit asks that a request does not count; that is approved, and perhaps revoked, or not."""
    measures = sorted(set(Measure) - NEVER_EXCLUDED)
    for _ in range(times):
        found = await hall.db.rows(_EXCLUDABLE)
        if not found:
            return
        one = dice.choice(found)
        form = {
            "request_id": str(one["id"]),
            "measures": dice.sample(measures, dice.choice((1, 2, 5, 12))),
            "ground": dice.choice(list(ExclusionGround)),
            "evidence": "录音可证",
        }
        what = dice.choice(("nothing", "deny", "revoke", "approve", "approve", "approve"))
        leader = await hall.as_staff(Role.UNIT_LEADER, unit=one["unit_code"])
        answer = await leader.post(_EXCLUSIONS, form)
        if answer.status_code == 409:  # it is asked already
            continue
        assert answer.status_code == 201, answer.text
        if what == "nothing":
            continue
        url, told = f"{_EXCLUSIONS}/{answer.json()['id']}", {"note": "已核实"}
        decided = {"decision": "deny" if what == "deny" else "approve", **told}
        boss = await hall.as_staff(Role.SUPERVISOR)
        answer = await boss.post(f"{url}/decide", decided, version=1)
        assert answer.status_code == 200, answer.text
        if what == "revoke":
            another = await hall.as_staff(Role.SUPERVISOR, number=2)
            answer = await another.post(f"{url}/revoke", told, version=2)
            assert answer.status_code == 200, answer.text


async def seldom(hall: CityHall) -> None:
    """What dice hardly ever bring about: nobody answers; somebody is reached at the last instant;
    a unit gives back what nobody has taken since; somebody who was drawn is called back."""
    handler, desk = await hall.as_staff(Role.HANDLER), await hall.as_staff(Role.DISPATCHER)
    hall.clock.set(hall.clock.now.replace(hour=9) + timedelta(days=1))
    for _ in range(2):
        tried = await hall.act(handler, await hall.submit(), "sign")
        for _ in range(3):
            hall.clock.forward(minutes=30)
            tried = await hall.act(handler, tried, "contact", method="phone", result="no_answer")
    last = await hall.act(handler, await hall.submit(), "sign")
    hall.clock.forward(hours=6)
    await hall.act(handler, last, "contact", method="phone", result="reached")
    given = await hall.act(
        handler, await hall.submit(), "return", reason_code="not_ours", note="非本单位职责"
    )
    await hall.act(desk, given, "decide_return", decision="triage", note="重新派单")
    called = 0
    while called < 2:
        request = await hall.submit()
        if is_sampled(UUID(request["id"]), 1):
            request = await hall.act(handler, request, "sign")
            request = await hall.act(handler, request, "contact", method="phone", result="reached")
            request = await hall.act(
                handler, request, "reply", public_reply="好", solved="solved", factual=True
            )
            said = {"contacted": True, "solved": "partly", "satisfaction": 3}
            await hall.act(desk, request, "call_back", reached=called == 0, **said)
            called += 1
    hall.clock.forward(hours=8)


async def read(db: Database, now: Any) -> World:
    rows = {
        name: [dict(row) for row in await db.rows(Statement(sql))] for name, sql in READ.items()
    }
    return World(rows, now)
