"""Anybody does anything at any time, and what must be true of the database stays true.

Hypothesis drives the whole application on a real database: submissions, every action with random
forms by the right people and by wrong ones, with right versions and stale ones, repeated calls,
races, time going by, the jobs. After every step the invariants hold, the chains of the audit hold,
and the figures are those that are counted one by one; a step that is refused has changed nothing;
nothing is ever answered with a fault of the program.

Every way of ``ways`` begins some example, so that nothing is left out; the rest is chance. The
examples are the same in every run. ``LIANXIN_MACHINE_EXAMPLES=1000`` looks further, at new ones
each time; ``LIANXIN_MACHINE_SHRINK=1`` takes minutes to find the shortest way to a failure.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from itertools import zip_longest
from random import Random
from typing import ClassVar

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, note, seed
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

from app.domain.identity import Role
from app.domain.lifecycle import TRANSITIONS, Transition
from app.domain.states import Action, State
from app.settings import SessionSettings, Settings
from tests.city import NOW
from tests.machine.forms import PLACES, form_of
from tests.machine.life import BY_ROLE, Edge, Life, Submission
from tests.machine.town import Town, people
from tests.machine.ways import WAYS

_EXAMPLES = os.environ.get("LIANXIN_MACHINE_EXAMPLES")
_HALF = (len(WAYS) + 1) // 2
_BEGINNINGS = tuple(zip_longest([*WAYS][:_HALF], [*WAYS][_HALF:], fillvalue="new"))
_PROFILE = hypothesis_settings(
    # Of each beginning: the shortest example there is, which comes first, and one by chance.
    max_examples=1 + (int(_EXAMPLES) // len(_BEGINNINGS) + 1 if _EXAMPLES else 1),
    stateful_step_count=30,
    database=None,
    deadline=None,
    phases=(Phase.generate, *([Phase.shrink] if "LIANXIN_MACHINE_SHRINK" in os.environ else [])),
    suppress_health_check=list(HealthCheck),
)
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
_EVERYBODY = tuple(name for names in BY_ROLE.values() for name in names)
_PUBLIC = tuple(action for action in Action if action not in (
    Action.SUBMIT, Action.QUEUE, Action.AUTO_SIGN, Action.AUTO_CLOSE, Action.ARCHIVE))  # fmt: skip
# What the clockwork may try at any time; its other steps belong to a rung of a ladder.
_CLOCKWORK = (Action.ARCHIVE, Action.AUTO_CLOSE, Action.DECIDE_EXTENSION, Action.RESUME,
              Action.SUPERVISE)  # fmt: skip


def _submission(dice: Random) -> Submission:
    """Any way, mostly from where it leads; now and then taken down by staff."""
    way = dice.choice(("new", "signed", *WAYS))
    return Submission(
        who=dice.choice(("甲", "甲", "甲", "甲", "乙", "乙", "desk 1", "grid")),
        category=WAYS[way].category,
        place=WAYS[way].place if dice.random() < 0.8 else dice.choice((None, *PLACES)),
        confidential=dice.random() < 0.2,
        way=way,
    )


def going(way: str) -> Submission:
    """A resident's, from where the way leads."""
    return Submission("甲", WAYS[way].category, WAYS[way].place, way=way)


# One draw decides a step: a sequence shrinks by leaving steps out.
_SEED = st.integers(0, 2**32)
_SUBMISSIONS = _SEED.map(lambda seed: _submission(Random(seed)))


class Workflow(RuleBasedStateMachine):
    """The town's requests, as many as an example submits."""

    town: ClassVar[Town]
    taken: ClassVar[Counter[Edge]]
    ways: ClassVar[tuple[str, str]]

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(self.town, note)

    # --- what happens ----------------------------------------------------------------------------

    @initialize(start=st.sampled_from(_STARTS), confidential=st.booleans())
    def begin(self, start: datetime, confidential: bool) -> None:
        self.life.begin(start)
        for way in self.ways:
            self.life.go(going(way)._replace(confidential=confidential))

    @precondition(lambda self: len(self.life.present) < _MOST_REQUESTS)
    @rule(one=_SUBMISSIONS)
    def submit_another(self, one: Submission) -> None:
        self.life.go(one)

    def _some_step(self, dice: Random) -> tuple[asyncpg.Record, Transition, list[str]] | None:
        """A request, a row that the table has for it, and those who may take it."""
        request = dice.choice(self.life.present)
        rows = [row for row in TRANSITIONS if row.source == request["state"]]
        rows = [row for row in rows if row.by != {Role.SYSTEM}]
        if not rows:
            return None
        # What leads on is taken more often than what can be done over and over.
        [row] = dice.choices(rows, [3 if row.targets != (row.source,) else 1 for row in rows])
        role = dice.choice(sorted(row.by - {Role.SYSTEM}))
        return request, row, self.life.in_scope(role, request)

    @rule(seed=_SEED)
    def do_what_comes_next(self, seed: int) -> None:
        """A step that the table allows, by somebody of a role that may."""
        dice = self.life.dice(seed)
        if found := self._some_step(dice):
            request, row, near = found
            form = form_of(row.action, self.life.scene(request), dice)
            self.life.act(request, row.action, dice.choice(near), form, request["version"])

    # The machine chooses among rules evenly: the work itself is what should happen most.
    do_it_again = do_what_comes_next
    and_again = do_what_comes_next
    and_once_more = do_what_comes_next

    @rule(seed=_SEED)
    def do_anything(self, seed: int) -> None:
        """Any step by anybody, perhaps on a version that is not there (any more)."""
        dice = self.life.dice(seed)
        request = dice.choice(self.life.present)
        version = request["version"] + dice.choice((0, 0, 0, 0, -1, 1))
        who, action = dice.choice(_EVERYBODY), dice.choice(_PUBLIC)
        form = form_of(action, self.life.scene(request), dice)
        self.life.act(request, action, who, form, max(version, 1))

    @rule(seed=_SEED)
    def several_at_once(self, seed: int) -> None:
        dice = self.life.dice(seed)
        if found := self._some_step(dice):
            request, row, near = found
            self.life.race(request, row, near[0], dice)

    @rule(seed=_SEED)
    def let_the_clockwork_try(self, seed: int) -> None:
        dice = self.life.dice(seed)
        self.life.clockwork(dice.choice(self.life.present), dice.choice(_CLOCKWORK))

    @rule(span=st.sampled_from(_SPANS), exactly=st.booleans(), working=st.booleans())
    def time_goes_by(self, span: timedelta, exactly: bool, working: bool) -> None:
        self.town.later(seconds=span.total_seconds(), microseconds=0 if exactly else 1)
        if working:
            self.life.jobs_run()

    # --- what stays true -------------------------------------------------------------------------

    @invariant()
    def everything_fits_together(self) -> None:
        self.life.whole()

    def teardown(self) -> None:
        self.life.jobs_run()
        self.life.whole()
        self.taken.update(self.life.taken())


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


_EDGES = {(row.source, row.action, target) for row in TRANSITIONS for target in row.targets}


def _say_what_was_reached(request: pytest.FixtureRequest, taken: Counter[Edge]) -> None:
    """How often each action was taken, and which ways between two states were not gone."""
    actions: Counter[str] = Counter()
    for (_, action, _), times in taken.items():
        actions[action] += times
    states = {state for _, _, state in taken}
    gone = {edge for edge in taken if edge[0] is not None} & _EDGES
    write = request.config.get_terminal_writer().line
    write(f"\nactions taken {len(actions)}/{len(Action)}, states {len(states)}/{len(State)}, "
          f"edges {len(gone)}/{len(_EDGES)}, steps {actions.total()}")  # fmt: skip
    write("  " + ", ".join(f"{action} {times}" for action, times in actions.most_common()))


def _left_out(taken: Counter[Edge]) -> tuple[set[str], set[str]]:
    """Actions that nobody took, states in which nothing ever was."""
    actions = {action for _, action, _ in taken}
    return set(Action) - actions, set(State) - {state for _, _, state in taken}


@pytest.mark.slow
async def test_every_action_and_every_state_lies_on_a_way(town: Town, request) -> None:
    """The ways are gone to their ends, with all that must be true checked at every leg."""
    taken: Counter[Edge] = Counter()

    def go(way: str) -> None:
        life = Life(town, lambda _: None)
        life.begin(NOW)
        life.submit(going("new")._replace(who="乙"))  # for the ways that need another one
        gone = life.go(going(way))
        assert gone == len(WAYS[way].legs), f"{way}: refused at {WAYS[way].legs[gone]}"
        taken.update(life.taken())

    for way in WAYS:
        await asyncio.to_thread(go, way)
    _say_what_was_reached(request, taken)
    assert _left_out(taken) == (set(), set())


@pytest.mark.slow
async def test_whatever_anybody_does_the_invariants_hold(town: Town, request) -> None:
    taken: Counter[Edge] = Counter()
    for number, ways in enumerate(_BEGINNINGS):
        machine = type("Machine", (Workflow,), {"town": town, "taken": taken, "ways": ways})
        if _EXAMPLES is None:
            machine = seed(number)(machine)
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=_PROFILE)
    _say_what_was_reached(request, taken)
    assert _left_out(taken) == (set(), set())
