import pytest

from app.domain.identity import STAFF_ROLES, Role
from app.domain.lifecycle import (
    ACTION_TEXT,
    FINAL,
    GUARD_TEXT,
    REPLY_CLOCK,
    STATE_TEXT,
    TRANSITIONS,
    Action,
    Clock,
    Guard,
    GuardClosed,
    IllegalStep,
    NoteMissing,
    State,
    StepForbidden,
    open_actions,
    take,
)

# What later work adds: until then no row of the table leads there.
NOT_YET_ENTERED = {State.SUSPENDED, State.MERGED, State.ARCHIVED}
NOT_YET_LEFT = {State.REPLY_REVIEW, State.REOPEN_REVIEW}


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: f"{row.source}-{row.action}")
def test_every_row_can_be_taken_by_those_it_names_and_by_nobody_else(row):
    for role in Role:
        if role in row.by:
            assert take(row.source, row.action, by=role, note="因为") is row
        else:
            with pytest.raises((IllegalStep, StepForbidden)):
                take(row.source, row.action, by=role, note="因为")


def test_a_step_is_one_row():
    steps = [(row.source, row.action) for row in TRANSITIONS]
    assert len(steps) == len(set(steps))


def test_every_state_and_action_has_its_chinese_name_and_every_state_a_clock():
    assert set(STATE_TEXT) == set(REPLY_CLOCK) == set(State)
    assert set(ACTION_TEXT) == set(Action)
    assert set(GUARD_TEXT) == set(Guard)


def test_every_state_can_be_reached_and_left_or_is_final():
    entered = {target for row in TRANSITIONS for target in row.targets} | {State.SUBMITTED}
    left = {row.source for row in TRANSITIONS}
    assert entered == set(State) - NOT_YET_ENTERED
    assert set(State) - left == FINAL | NOT_YET_LEFT


def test_no_clock_runs_in_a_final_state():
    assert all(REPLY_CLOCK[state] in (Clock.ENDED, Clock.CANCELLED) for state in FINAL)


def test_every_action_but_submitting_stands_in_the_table():
    assert {row.action for row in TRANSITIONS} == set(Action) - {Action.SUBMIT}


def test_nobody_but_the_clockwork_takes_the_actions_of_the_clockwork():
    for row in TRANSITIONS:
        if row.action in (Action.QUEUE, Action.AUTO_CLOSE):
            assert row.by == {Role.SYSTEM}


def test_auditors_and_administrators_never_act():
    assert not any({Role.AUDITOR, Role.ADMIN} & set(row.by) for row in TRANSITIONS)
    assert {Role.AUDITOR, Role.ADMIN} <= STAFF_ROLES


def test_a_refused_step_says_why():
    with pytest.raises(IllegalStep) as refused:
        take(State.CLOSED, Action.SIGN, by=Role.HANDLER)
    assert refused.value.facts["allowed"] == []
    with pytest.raises(IllegalStep) as refused:
        take(State.ASSIGNED, Action.REPLY, by=Role.HANDLER)
    assert refused.value.facts["allowed"] == [Action.SIGN, Action.RETURN, Action.CONTACT]
    with pytest.raises(StepForbidden):
        take(State.REPLIED, Action.RATE, by=Role.HANDLER)
    with pytest.raises(NoteMissing):
        take(State.IN_PROGRESS, Action.ASK_INFO, by=Role.HANDLER, note=" \n")


@pytest.mark.parametrize(
    ("state", "action", "role", "guard"),
    [
        (State.IN_PROGRESS, Action.REPLY, Role.HANDLER, Guard.CONTACTED),
        (State.IN_PROGRESS, Action.ASK_INFO, Role.HANDLER, Guard.INFO_ROUNDS_LEFT),
        (State.ASSIGNED, Action.RETURN, Role.UNIT_LEADER, Guard.RETURN_WINDOW_OPEN),
        (State.ASSIGNED, Action.RETURN, Role.HANDLER, Guard.NOT_RETURNED_BEFORE),
        (State.REPLIED, Action.RATE, Role.RESIDENT, Guard.RATING_WINDOW_OPEN),
        (State.REPLIED, Action.AUTO_CLOSE, Role.SYSTEM, Guard.RATING_WINDOW_OVER),
    ],
)
def test_a_closed_guard_stops_the_step_and_is_named(state, action, role, guard):
    with pytest.raises(GuardClosed) as refused:
        take(state, action, by=role, note="因为", closed=frozenset({guard}))
    assert refused.value.facts["guard"] == guard
    others = frozenset(Guard) - {guard} - {Guard.RETURN_WINDOW_OPEN, Guard.NOT_RETURNED_BEFORE}
    assert take(state, action, by=role, note="因为", closed=others).action is action


def test_the_buttons_stand_in_the_order_of_the_table():
    actions = [row.action for row in open_actions(State.IN_PROGRESS, by=Role.HANDLER)]
    assert actions == [Action.ASK_INFO, Action.RETURN, Action.CONTACT, Action.REPLY]
    assert [row.action for row in open_actions(State.REPLIED, by=Role.RESIDENT)] == [Action.RATE]
