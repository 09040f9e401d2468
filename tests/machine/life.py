"""What is done in the town, and what must be true of each answer to it.

A step that is taken has left its trace and is not taken twice by being asked twice. A step that is
refused has changed nothing, and the refusal is the right one: what the table does not have is 409
with what it has instead, another version is 412 with the present one.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

import asyncpg
import httpx

from app.domain.errors import Conflict, Forbidden, Invalid, NotFound
from app.domain.identity import Role
from app.domain.lifecycle import TRANSITIONS, Transition
from app.domain.states import Action
from tests.city import point_in
from tests.machine.forms import UNITS, Scene, form_of
from tests.machine.town import Town
from tests.machine.ways import WAYS, Step, Wait

# Statuses of a refusal, and the refusals that mean that the database had to step in.
REFUSED = frozenset({403, 404, 409, 412, 422})
BY_THE_DATABASE = frozenset({"rule_broken", "already_exists", "reference_missing"})
BY_ROLE: dict[Role, tuple[str, ...]] = {
    Role.RESIDENT: ("甲", "乙"),
    Role.HANDLER: ("handler housing", "handler power_company"),
    Role.UNIT_LEADER: ("leader housing", "leader power_company"),
    Role.DISPATCHER: ("desk 1", "desk 2"),
    Role.SUPERVISOR: ("supervisor 1", "supervisor 2"),
    Role.GRID_LEADER: ("grid",),
    Role.AUDITOR: ("auditor",),
}
_ROLE_OF = {name: role for role, names in BY_ROLE.items() for name in names}
_NOTE_LESS = (Action.SIGN, Action.RATE)  # where a way says nothing, a note is said, but here


class Submission(NamedTuple):
    who: str
    category: str | None
    place: str | None
    confidential: bool = False
    way: str = "new"


Present = asyncpg.Record  # a request as it is now
Edge = tuple[str | None, str, str]  # before, action, after


def rows_for(role: Role, state: str) -> list[Transition]:
    return [row for row in TRANSITIONS if row.source == state and role in row.by]


class Life:
    """The town's requests, as many as were submitted since it began."""

    def __init__(self, town: Town, say: Callable[[str], None]) -> None:
        self.town, self._say = town, say
        self.present: list[Present] = []
        self.written: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self._turns = 0

    def begin(self, at: datetime) -> None:
        self.town.begin(at)
        self.changed()

    # --- looking ---------------------------------------------------------------------------------

    def changed(self) -> list[str]:
        """Look anew; returns the tables in which something is different."""
        before = self.written
        self.present, self.written = self.town.look()
        return [name for name, digest in self.written.items() if before.get(name) != digest]

    def whole(self) -> None:
        """Everything fits together."""
        broken = self.town.broken()
        assert not broken, broken
        figures = self.town.figures()
        assert figures.told == figures.counted, figures

    def taken(self) -> Counter[Edge]:
        """The steps that were taken, by whomever."""
        return self.town.taken()

    def in_scope(self, role: Role, request: Present) -> list[str]:
        """Those of a role who see the request, if anybody does."""
        match role:
            case Role.RESIDENT:
                near = [n for n in BY_ROLE[role] if n == self.owners.get(request["id"])]
            case Role.HANDLER | Role.UNIT_LEADER:
                near = [n for n in BY_ROLE[role] if n.endswith(f" {request['unit_code']}")]
            case _:
                near = []
        return near or list(BY_ROLE.get(role, ("desk 1",)))

    def scene(self, request: Present) -> Scene:
        callers = self.town.callers
        return Scene(
            now=self.town.now,
            request_id=request["id"],
            unit_code=request["unit_code"],
            auditor_id=str(callers["auditor"].id),
            handler_ids=tuple(str(callers[name].id) for name in BY_ROLE[Role.HANDLER]),
            request_ids=tuple(row["id"] for row in self.present),
            co_task_ids=tuple(request["co_task_ids"]),
        )

    def dice(self, seed: int) -> Random:
        """Fall anew in every turn: Hypothesis likes to draw the same twice."""
        self._turns += 1
        return Random(f"{seed} {self._turns}")

    def _now(self, request_id: str) -> Present:
        [request] = [row for row in self.present if row["id"] == request_id]
        return request

    # --- answers ---------------------------------------------------------------------------------

    def _is_taken(
        self, answer: httpx.Response, who: str, action: Action, request: Present, version: int
    ) -> bool:
        """Whether the step was taken; if not, it was refused in good order and changed nothing."""
        changed = self.changed()
        here = [row for row in rows_for(_ROLE_OF[who], request["state"]) if row.action is action]
        if answer.status_code < 300:
            assert "request_events" in changed, "a step that left no trace"
            assert "audit_entries" in changed, "a step that the audit does not know"
            assert "outbox" in changed, "a step that nobody will hear of"
            assert version == request["version"], "a step on another version was taken"
            assert answer.json()["version"] == version + 1
            assert here, "a step that the table does not have"
            return True
        problem = answer.json()
        self._say(f"   refused: {answer.status_code} {problem['code']}")
        assert answer.status_code in REFUSED, answer.text
        assert problem["code"] not in BY_THE_DATABASE, f"only the database refused: {answer.text}"
        assert changed == [], f"refused with {problem['code']}, but changed"
        self._is_rightly_refused(answer, who, action, request, version)
        return False

    def _is_rightly_refused(
        self, answer: httpx.Response, who: str, action: Action, request: Present, version: int
    ) -> None:
        problem, role = answer.json(), _ROLE_OF[who]
        status, code = answer.status_code, problem["code"]
        open_to = [str(row.action) for row in rows_for(role, request["state"])]
        ever = any(row.action is action and role in row.by for row in TRANSITIONS)
        if not ever:
            assert status in (403, 404, 422), "a role that never may"
        elif action not in open_to:
            assert status in (404, 422) or (status, code) == (409, "illegal_step"), answer.text
        if code == "illegal_step":
            assert (status, ever) == (409, True)
            assert action not in open_to
            assert problem["allowed"] == open_to, answer.text
        if code == "stale_version":
            assert (status, problem["version"]) == (412, request["version"])
            assert version != request["version"]

    # --- doing -----------------------------------------------------------------------------------

    def submit(self, one: Submission) -> dict[str, Any]:
        """Submit, and ask again with the same key: the same answer, and nothing more."""
        body = {
            "text": "路口的灯不亮",
            "category_code": one.category,
            "confidential": one.confidential,
        }
        if one.place is not None:
            body["location"] = point_in(one.place)
        key = os.urandom(8).hex()
        answer = self.town.submit(one.who, body, key)
        assert answer.status_code == 201, answer.text
        request = dict(answer.json())
        self.changed()
        again = self.town.submit(one.who, body, key)
        assert (again.status_code, again.content) == (201, answer.content)
        assert self.changed() == [], "submitted twice by one key"
        if one.who in BY_ROLE[Role.RESIDENT]:
            self.owners[request["id"]] = one.who
        return request

    def go(self, one: Submission) -> int:
        """Submit and go its way as far as it leads; how many legs were gone."""
        self._say(f"   {one}")
        request = self.submit(one)
        self.whole()
        gone = 0
        for leg in WAYS[one.way].legs:
            if not self._went(leg, request["id"]):
                break
            self.whole()
            gone += 1
        return gone

    def _went(self, leg: Step | Wait, request_id: str) -> bool:
        if isinstance(leg, Wait):
            self.town.later(seconds=leg.span.total_seconds())
            self.jobs_run()
            return True
        way_of = request_id
        if leg.beside:
            others = [row["id"] for row in self.present if row["id"] != request_id]
            request_id = others[0] if others else request_id
        request = self._now(request_id)
        unit = request["unit_code"]
        known = {
            "resident": self.owners.get(request_id, ""),
            "handler": f"handler {unit}",
            "leader": f"leader {unit}",
            "other": next(f"handler {code}" for code in UNITS if code != unit),
        }
        who = known.get(leg.who, leg.who)
        if who not in self.town.callers:  # nobody's, or a unit's of which nobody is here
            return False
        scene = replace(self.scene(request), way_of=way_of)
        form = {} if leg.action in _NOTE_LESS else {"note": "说明"}
        form |= {name: it(scene) if callable(it) else it for name, it in leg.form.items()}
        taken = self.act(request, leg.action, who, form, request["version"])
        assert not (taken and leg.refused), f"taken, although it must not be: {leg}"
        return taken or leg.refused

    def act(
        self,
        request: Present,
        action: Action,
        who: str,
        form: dict[str, Any],
        version: int,
    ) -> bool:
        """Take one step, if it may be taken, and ask for it once more."""
        self._say(f"   {who}: {action} {form} on {said(request)}")
        key = os.urandom(8).hex()
        answer = self.town.act(who, request["id"], action, form, version=version, key=key)
        if not self._is_taken(answer, who, action, request, version):
            return False
        again = self.town.act(who, request["id"], action, form, version=version, key=key)
        assert (again.status_code, again.content) == (answer.status_code, answer.content)
        assert self.changed() == [], "a repeated call did it twice"
        return True

    def race(self, request: Present, row: Transition, who: str, dice: Random) -> None:
        """The same step three times at once: at most one of them is taken."""
        form = form_of(row.action, self.scene(request), dice)
        answers = self.town.race(
            [who] * 3, request["id"], row.action, form, version=request["version"]
        )
        statuses = sorted(answer.status_code for answer in answers)
        self._say(f"   {who} ×3: {row.action} {form} on {said(request)}: {statuses}")
        taken = [status for status in statuses if status < 300]
        assert len(taken) <= 1, "one version, two steps"
        assert set(statuses) - set(taken) <= REFUSED
        codes = {answer.json()["code"] for answer in answers if answer.status_code >= 300}
        assert not codes & BY_THE_DATABASE, codes
        assert bool(self.changed()) is bool(taken)

    def clockwork(self, request: Present, action: Action) -> None:
        refused = self.town.act_as_system(request["id"], action)
        changed = self.changed()
        self._say(f"   system: {action} on {said(request)}: {refused.code if refused else 'done'}")
        if refused is not None:
            assert isinstance(refused, Conflict | Forbidden | Invalid | NotFound)
            assert changed == [], f"refused with {refused.code}, but changed"

    def jobs_run(self) -> None:
        assert self.town.work() == [], "a rung that is due was passed over"
        self.changed()


def said(request: Present) -> str:
    return f"…{request['id'][-6:]} {request['state']} {request['version']}"
