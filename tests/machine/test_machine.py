"""Anybody does anything at any time, and what must be true of the database stays true.

Hypothesis drives the whole application on a real database: submissions, every action with random
forms by the right people and by wrong ones, with right versions and stale ones, repeated calls,
races, time going by, the jobs. After every step the invariants hold; a step that is refused has
changed nothing; nothing is ever answered with a fault of the program.

The examples are the same in every run. ``LIANXIN_MACHINE_EXAMPLES=1000`` looks further, at new
ones each time; ``LIANXIN_MACHINE_SHRINK=1`` takes minutes to find the shortest way to a failure.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar, NamedTuple

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, Phase, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.domain.errors import Conflict, Forbidden, Invalid, NotFound
from app.domain.identity import Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import Action
from app.settings import SessionSettings, Settings
from tests.city import NOW, point_in
from tests.machine.forms import CATEGORIES, PLACES, UNITS, Scene, form_of
from tests.machine.town import Town, people

_EXAMPLES = os.environ.get("LIANXIN_MACHINE_EXAMPLES")
_PROFILE = hypothesis_settings(
    max_examples=int(_EXAMPLES or 30),
    stateful_step_count=40,
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    phases=(Phase.generate, *([Phase.shrink] if "LIANXIN_MACHINE_SHRINK" in os.environ else [])),
    suppress_health_check=list(HealthCheck),
)
# Statuses of a refusal, and the refusals that mean that the database had to step in.
_REFUSED = frozenset({403, 404, 409, 412, 422})
_BY_THE_DATABASE = frozenset({"rule_broken", "already_exists", "reference_missing"})
_STARTS = (
    NOW,
    datetime.fromisoformat("2026-02-13T16:59:59.999999+08:00"),  # Spring Festival follows
    datetime.fromisoformat("2026-09-30T23:30:00+08:00"),
    datetime.fromisoformat("2026-12-28T08:00:00+08:00"),  # 2027 is not published
)
_SPANS = tuple(
    timedelta(hours=hours)
    for hours in (0.02, 1, 2, 3, 6, 9, 24, 25, 48, 72, 5 * 24, 8 * 24, 16 * 24, 31 * 24)
)
_MOST_REQUESTS = 4
_BY_ROLE: dict[Role, tuple[str, ...]] = {
    Role.RESIDENT: ("甲", "乙"),
    Role.HANDLER: ("handler housing", "handler power_company"),
    Role.UNIT_LEADER: ("leader housing", "leader power_company"),
    Role.DISPATCHER: ("desk 1", "desk 2"),
    Role.SUPERVISOR: ("supervisor 1", "supervisor 2"),
    Role.GRID_LEADER: ("grid",),
    Role.AUDITOR: ("auditor",),
}
_EVERYBODY = tuple(name for names in _BY_ROLE.values() for name in names)
_PUBLIC = tuple(action for action in Action if action not in (
    Action.SUBMIT, Action.QUEUE, Action.AUTO_SIGN, Action.AUTO_CLOSE, Action.ARCHIVE))  # fmt: skip
# What the clockwork may try at any time; its other steps belong to a rung of a ladder.
_CLOCKWORK = (Action.ARCHIVE, Action.AUTO_CLOSE, Action.DECIDE_EXTENSION, Action.RESUME,
              Action.SUPERVISE)  # fmt: skip

# Ways that a request has gone before the example begins: who, what, with which form.
Path = tuple[tuple[str, Action, dict[str, Any]], ...]
_REACHED = ("handler", Action.CONTACT, {"method": "phone", "result": "reached"})
_SIGNED = (("handler", Action.SIGN, {}), _REACHED)
_ANSWERED = (*_SIGNED, ("handler", Action.REPLY, {"public_reply": "已修好", "solved": "solved"}))
_GOOD = {"contacted": True, "solved": "solved", "satisfaction": 5}
_BAD = {"contacted": False, "solved": "unsolved", "satisfaction": 1, "reasons": ["slow"]}
_AT_THE_GRID: Path = (("grid", *_REACHED[1:]),)
_PATHS: dict[str, Path] = {
    "new": (),
    "signed": _SIGNED,
    "suspended": (
        *_SIGNED,
        ("leader", Action.SUSPEND, {"reason_code": "weather", "until": "+9"}),
        ("desk 1", Action.SUSPEND, {"decision": "approve"}),
    ),
    "extension": (
        *_SIGNED,
        ("handler", Action.REQUEST_EXTENSION, {"working_days": 2, "reason_code": "survey"}),
    ),
    "answered": _ANSWERED,
    "unhappy": (*_ANSWERED, ("resident", Action.RATE, _BAD)),
    "happy": (*_ANSWERED, ("resident", Action.RATE, _GOOD)),
}


class Submission(NamedTuple):
    who: str
    category: str | None
    place: str | None
    confidential: bool
    path: str


def _submission(dice: Random) -> Submission:
    return Submission(
        who=dice.choice(("甲", "甲", "甲", "乙", "desk 1", "grid")),
        category=dice.choice((*CATEGORIES[:2], *CATEGORIES, *CATEGORIES[:2])),
        place=dice.choice((None, *PLACES)),
        confidential=dice.random() < 0.2,
        path=dice.choice(("new", "signed", *_PATHS)),
    )


# One draw decides a step: a sequence shrinks by leaving steps out.
_SEED = st.integers(0, 2**32)
_SUBMISSIONS = _SEED.map(lambda seed: _submission(Random(seed)))


def _said(request: asyncpg.Record) -> str:
    return f"…{request['id'][-6:]} {request['state']} {request['version']}"


class Workflow(RuleBasedStateMachine):
    """The town's requests, as many as an example submits."""

    town: ClassVar[Town]

    def __init__(self) -> None:
        super().__init__()
        self.present: list[asyncpg.Record] = []
        self.written: dict[str, str] = {}
        self.owners: dict[str, str] = {}

    # --- looking ---------------------------------------------------------------------------------

    def _changed(self) -> list[str]:
        """Look anew; returns the tables in which something is different."""
        before = self.written
        self.present, self.written = self.town.look()
        return [name for name, digest in self.written.items() if before.get(name) != digest]

    def _expect(self, answer: httpx.Response) -> bool:
        """Whether the step was taken; if not, it was refused in good order and changed nothing."""
        changed = self._changed()
        if answer.status_code < 300:
            assert "request_events" in changed, "a step that left no trace"
            return True
        code = answer.json()["code"]
        note(f"   refused: {answer.status_code} {code}")
        assert answer.status_code in _REFUSED, answer.text
        assert code not in _BY_THE_DATABASE, f"only the database refused: {answer.text}"
        assert changed == [], f"refused with {code}, but changed"
        return False

    def _in_scope(self, role: Role, request: asyncpg.Record) -> list[str]:
        """Those of a role who see the request, if anybody does."""
        match role:
            case Role.RESIDENT:
                near = [n for n in _BY_ROLE[role] if n == self.owners.get(request["id"])]
            case Role.HANDLER | Role.UNIT_LEADER:
                near = [n for n in _BY_ROLE[role] if n.endswith(f" {request['unit_code']}")]
            case _:
                near = []
        return near or list(_BY_ROLE.get(role, ("desk 1",)))

    def _scene(self, request: asyncpg.Record) -> Scene:
        callers = self.town.callers
        return Scene(
            now=self.town.now,
            request_id=request["id"],
            unit_code=request["unit_code"],
            auditor_id=str(callers["auditor"].id),
            handler_ids=tuple(str(callers[name].id) for name in _BY_ROLE[Role.HANDLER]),
            request_ids=tuple(row["id"] for row in self.present),
            co_task_ids=tuple(request["co_task_ids"]),
        )

    def _dice(self, seed: int) -> Random:
        """Fall anew after every step that was taken: Hypothesis likes to draw the same twice."""
        return Random(f"{seed} {sum(request['version'] for request in self.present)}")

    # --- what happens ----------------------------------------------------------------------------

    @initialize(start=st.sampled_from(_STARTS), first=_SUBMISSIONS, second=_SUBMISSIONS)
    def begin(self, start: datetime, first: Submission, second: Submission) -> None:
        self.town.begin(start)
        self.submit(first)
        self.submit(second)

    @precondition(lambda self: len(self.present) < _MOST_REQUESTS)
    @rule(one=_SUBMISSIONS)
    def submit_another(self, one: Submission) -> None:
        self.submit(one)

    def submit(self, one: Submission) -> None:
        body = {
            "text": "路口的灯不亮",
            "category_code": one.category,
            "confidential": one.confidential,
        }
        if one.place is not None:
            body["location"] = point_in(one.place)
        answer = self.town.submit(one.who, body)
        assert answer.status_code == 201, answer.text
        request = answer.json()
        self._changed()
        if one.who in _BY_ROLE[Role.RESIDENT]:
            self.owners[request["id"]] = one.who
        if request["unit"] is not None and request["unit"]["code"] in UNITS:
            self._walk(request, _PATHS[one.path])
        elif (one.category, one.place) == ("idea.micro", PLACES[0]):
            self._walk(request, _AT_THE_GRID)

    def _walk(self, request: dict[str, Any], path: Path) -> None:
        unit = request["unit"]["code"] if request["unit"] else ""
        for who, action, form in path:
            if who == "resident" and request["id"] not in self.owners:
                return
            name = {
                "handler": f"handler {unit}",
                "leader": f"leader {unit}",
                "resident": self.owners.get(request["id"], ""),
            }.get(who, who)
            filled = {"note": "说明", **form}
            if form.get("until") == "+9":
                filled["until"] = (self.town.now + timedelta(days=9)).date().isoformat()
            answer = self.town.act(name, request["id"], action, filled, version=request["version"])
            if not self._expect(answer):
                return
            request = answer.json()

    @rule(seed=_SEED)
    def do_what_comes_next(self, seed: int) -> None:
        """A step that the table allows, by somebody of a role that may."""
        dice = self._dice(seed)
        request = dice.choice(self.present)
        rows = [row for row in TRANSITIONS if row.source == request["state"]]
        rows = [row for row in rows if row.by != {Role.SYSTEM}]
        if not rows:
            return
        # What leads on is taken more often than what can be done over and over.
        [row] = dice.choices(rows, [3 if row.targets != (row.source,) else 1 for row in rows])
        role = dice.choice(sorted(row.by - {Role.SYSTEM}))
        who = dice.choice(self._in_scope(role, request))
        self._act(dice, request, row.action, who, request["version"])

    # The machine chooses among rules evenly: the work itself is what should happen most.
    do_it_again = do_what_comes_next
    and_again = do_what_comes_next
    and_once_more = do_what_comes_next

    @rule(seed=_SEED)
    def do_anything(self, seed: int) -> None:
        """Any step by anybody, perhaps on a version that is not there (any more)."""
        dice = self._dice(seed)
        request = dice.choice(self.present)
        version = request["version"] + dice.choice((0, 0, 0, 0, -1, 1))
        who, action = dice.choice(_EVERYBODY), dice.choice(_PUBLIC)
        self._act(dice, request, action, who, max(version, 1))

    def _act(
        self, dice: Random, request: asyncpg.Record, action: Action, who: str, version: int
    ) -> None:
        form = form_of(action, self._scene(request), dice)
        note(f"   {who}: {action} {form} on {_said(request)}")
        key = f"{len(self.written)}-{os.urandom(8).hex()}"
        answer = self.town.act(who, request["id"], action, form, version=version, key=key)
        if not self._expect(answer):
            return
        assert version == request["version"], "a step on another version was taken"
        assert answer.json()["version"] == version + 1
        again = self.town.act(who, request["id"], action, form, version=version, key=key)
        assert (again.status_code, again.content) == (answer.status_code, answer.content)
        assert self._changed() == [], "a repeated call did it twice"

    @rule(seed=_SEED)
    def several_at_once(self, seed: int) -> None:
        """The same step three times at once: at most one of them is taken."""
        dice = self._dice(seed)
        request = dice.choice(self.present)
        rows = [row for row in TRANSITIONS if row.source == request["state"]]
        rows = [row for row in rows if row.by != {Role.SYSTEM}]
        if not rows:
            return
        row = dice.choice(rows)
        who = self._in_scope(dice.choice(sorted(row.by - {Role.SYSTEM})), request)[0]
        form = form_of(row.action, self._scene(request), dice)
        answers = self.town.race(
            [who] * 3, request["id"], row.action, form, version=request["version"]
        )
        statuses = sorted(answer.status_code for answer in answers)
        note(f"   {who} ×3: {row.action} {form} on {_said(request)}: {statuses}")
        taken = [status for status in statuses if status < 300]
        assert len(taken) <= 1, "one version, two steps"
        assert set(statuses) - set(taken) <= _REFUSED
        assert bool(self._changed()) is bool(taken)

    @rule(seed=_SEED)
    def let_the_clockwork_try(self, seed: int) -> None:
        dice = self._dice(seed)
        request, action = dice.choice(self.present), dice.choice(_CLOCKWORK)
        refused = self.town.act_as_system(request["id"], action)
        changed = self._changed()
        note(f"   system: {action} on {_said(request)}: {refused.code if refused else 'done'}")
        if refused is not None:
            assert isinstance(refused, Conflict | Forbidden | Invalid | NotFound)
            assert changed == []

    @rule(span=st.sampled_from(_SPANS), exactly=st.booleans(), working=st.booleans())
    def time_goes_by(self, span: timedelta, exactly: bool, working: bool) -> None:
        self.town.later(seconds=span.total_seconds(), microseconds=0 if exactly else 1)
        if working:
            self.jobs_run()

    def jobs_run(self) -> None:
        assert self.town.work() == [], "a rung that is due was passed over"
        self._changed()

    # --- what stays true -------------------------------------------------------------------------

    @invariant()
    def everything_fits_together(self) -> None:
        assert self.town.broken() == []

    def teardown(self) -> None:
        self.jobs_run()
        self.everything_fits_together()


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    """Nobody has to log in anew while the months go by."""
    long = SessionSettings(resident_days=3_650, staff_hours=87_600)
    return settings.model_copy(update={"sessions": long})


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 1_000_000, "staff_requests_per_hour": 1_000_000}


@pytest.fixture(scope="module")
async def town(hall, settings: Settings) -> AsyncIterator[Town]:
    connection = await asyncpg.connect(
        settings.database_url,
        # Without statistics the planner would compile; and what others' rows an example had goes
        # away as one.
        server_settings={"jit": "off", "session_replication_role": "replica"},
    )
    await connection.execute("UPDATE sla_policies SET review_required = true WHERE code = 'urgent'")
    await hall.app.state.reference.refresh(hall.db)
    yield Town(hall, connection, await people(hall))
    await connection.close()


@pytest.mark.slow
async def test_whatever_anybody_does_the_invariants_hold(town: Town) -> None:
    machine = type("Machine", (Workflow,), {"town": town})
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=_PROFILE)
