"""The table of the lifecycle: whole, reachable, with clocks, roles, guards; and how it is read."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.domain import guards
from app.domain.escalation import AUTOMATIC
from app.domain.guards import GUARD_TEXT, HOLDS, Facts, Guard
from app.domain.identity import GRANTS, STAFF_ROLES, SYSTEM, Actor, Permission, Role
from app.domain.lifecycle import (
    TRANSITIONS,
    GuardClosed,
    IllegalStep,
    NoteMissing,
    StepForbidden,
    open_actions,
    take,
)
from app.domain.states import (
    ACTION_TEXT,
    FINAL,
    OPEN,
    REPLY_CLOCK,
    STATE_TEXT,
    Action,
    Clock,
    State,
)

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
FACTS = Facts(unit_code="housing", submitted_at=NOW)


def actor(role: Role) -> Actor:
    unit = "housing" if role in (Role.HANDLER, Role.UNIT_LEADER) else None
    return SYSTEM if role is Role.SYSTEM else Actor(UUID(int=7), role, unit_code=unit)


@pytest.fixture
def no_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """All guards open: what is left is who, what and from where."""
    open_gate = (lambda *_: True, "")
    monkeypatch.setattr(guards, "HOLDS", dict.fromkeys(Guard, open_gate))


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: f"{row.source}-{row.action}")
def test_every_row_can_be_taken_by_those_it_names_and_by_nobody_else(row, no_guards):
    for role in Role:
        step = {"by": actor(role), "facts": FACTS, "now": NOW, "note": "因为"}
        if role in row.by:
            assert take(row.source, row.action, **step) is row
        else:
            with pytest.raises((IllegalStep, StepForbidden)):
                take(row.source, row.action, **step)


def test_a_step_is_one_row():
    steps = [(row.source, row.action) for row in TRANSITIONS]
    assert len(steps) == len(set(steps))


def test_there_are_fifteen_states_and_thirty_six_actions():
    assert (len(State), len(Action)) == (15, 36)


def test_everything_has_its_chinese_name_and_every_state_a_clock():
    assert set(STATE_TEXT) == set(REPLY_CLOCK) == set(State)
    assert set(ACTION_TEXT) == set(Action)
    assert set(GUARD_TEXT) == set(HOLDS) == set(Guard)
    assert all(GUARD_TEXT.values())


def test_every_row_has_somebody_who_takes_it_and_somewhere_it_leads():
    for row in TRANSITIONS:
        assert row.by, row
        assert row.targets, row
        assert len(set(row.targets)) == len(row.targets), row


def test_every_state_can_be_reached_from_submission():
    reached, waiting = set(), {State.SUBMITTED}
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting |= {
            target for row in TRANSITIONS if row.source is state for target in row.targets
        } - reached
    assert reached == set(State)


def test_every_state_has_a_way_out_but_the_archive():
    left = {row.source for row in TRANSITIONS if set(row.targets) != {row.source}}
    assert set(State) - left == {State.ARCHIVED}


def test_from_every_open_state_a_person_can_lead_it_to_an_end():
    """No state hangs on the clock alone, or on somebody who may never come."""
    ends = set(FINAL)
    while True:
        more = {
            row.source
            for row in TRANSITIONS
            if row.by - {Role.SYSTEM, Role.RESIDENT} and set(row.targets) & ends
        } - ends
        if not more:
            break
        ends |= more
    # An answer that nobody rates is closed by the clock.
    assert OPEN - ends == set()


def test_the_clocks_follow_the_states():
    assert all(REPLY_CLOCK[state] in (Clock.ENDED, Clock.CANCELLED) for state in FINAL)
    standing = {state for state, clock in REPLY_CLOCK.items() if clock is Clock.STANDS}
    assert standing == {State.NEED_INFO, State.SUSPENDED}
    cancelled = {state for state, clock in REPLY_CLOCK.items() if clock is Clock.CANCELLED}
    assert cancelled == {State.REJECTED, State.WITHDRAWN, State.MERGED}


def test_a_promise_that_has_ended_runs_again_only_by_a_new_cycle_or_without_its_master():
    again = {
        row.action
        for row in TRANSITIONS
        for target in row.targets
        if REPLY_CLOCK[row.source] in (Clock.ENDED, Clock.CANCELLED)
        and REPLY_CLOCK[target] in (Clock.RUNS, Clock.STANDS)
    }
    assert again == {Action.DECIDE_REOPEN, Action.UNMERGE, Action.MERGE}


def test_every_action_but_submitting_stands_in_the_table():
    assert {row.action for row in TRANSITIONS} == set(Action) - {Action.SUBMIT}


def test_what_only_the_clock_does_nobody_else_does():
    only = {action for action in Action if _takers(action) == {Role.SYSTEM}}
    assert only == {Action.QUEUE, Action.AUTO_SIGN, Action.AUTO_CLOSE, Action.ARCHIVE}


def test_the_clock_may_do_what_its_rungs_say():
    for action in AUTOMATIC.values():
        assert Role.SYSTEM in _takers(action)


def test_auditors_and_administrators_never_act():
    assert not any({Role.AUDITOR, Role.ADMIN} & set(row.by) for row in TRANSITIONS)
    assert {Role.AUDITOR, Role.ADMIN} <= STAFF_ROLES


def test_whoever_may_act_gets_past_the_door():
    doers = {role for row in TRANSITIONS for role in row.by} - {Role.SYSTEM}
    assert doers == GRANTS[Permission.REQUEST_ACT]
    assert _takers(Action.RATE) == GRANTS[Permission.REQUEST_RATE]


def test_a_unit_acts_on_what_it_answers_for_and_only_feeds_back_on_parts():
    for row in TRANSITIONS:
        of_units = bool(row.by & {Role.HANDLER, Role.UNIT_LEADER})
        assert (Guard.HOST_UNIT in row.guards) is (
            of_units and row.action is not Action.CO_FEEDBACK
        )


def test_every_guard_guards_something():
    assert {guard for row in TRANSITIONS for guard in row.guards} == set(Guard)


def _takers(action: Action) -> set[Role]:
    return {role for row in TRANSITIONS if row.action is action for role in row.by}


# --- reading it ----------------------------------------------------------------------------------


def test_a_refused_step_says_why():
    handler = {"by": actor(Role.HANDLER), "facts": FACTS, "now": NOW}
    with pytest.raises(IllegalStep) as refused:
        take(State.WITHDRAWN, Action.SIGN, **handler)
    assert refused.value.facts["allowed"] == []
    with pytest.raises(IllegalStep) as refused:
        take(State.ASSIGNED, Action.REPLY, **handler)
    assert refused.value.facts["allowed"] == [
        Action.SIGN,
        Action.RETURN,
        Action.CONTACT,
        Action.CO_FEEDBACK,
        Action.RECLASSIFY,
    ]
    with pytest.raises(StepForbidden):
        take(State.REPLIED, Action.RATE, **handler)
    with pytest.raises(NoteMissing):
        take(State.IN_PROGRESS, Action.ASK_INFO, **handler, note=" \n")


def test_the_first_closed_guard_of_a_row_is_named():
    facts = Facts(unit_code="housing", submitted_at=NOW, unit_fixed=True, return_until=NOW)
    with pytest.raises(GuardClosed) as refused:
        take(State.ASSIGNED, Action.RETURN, by=actor(Role.HANDLER), facts=facts, now=NOW, note="x")
    assert refused.value.facts["guard"] is Guard.UNIT_NOT_FIXED
    assert refused.value.detail == GUARD_TEXT[Guard.UNIT_NOT_FIXED] + "。"


def test_the_buttons_stand_in_the_order_of_the_table():
    assert [row.action for row in open_actions(State.IN_PROGRESS, by=Role.HANDLER)] == [
        Action.ASK_INFO,
        Action.RETURN,
        Action.CONTACT,
        Action.CO_FEEDBACK,
        Action.REQUEST_EXTENSION,
        Action.REPLY,
        Action.RECLASSIFY,
    ]
    assert [row.action for row in open_actions(State.REPLIED, by=Role.RESIDENT)] == [
        Action.RATE,
        Action.REQUEST_REOPEN,
    ]
