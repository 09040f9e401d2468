import pytest

from app.domain.cotasks import (
    CO_TASK_STATE_TEXT,
    CO_TRANSITIONS,
    OPEN_CO_TASK,
    CoTaskState,
    CoTaskStep,
    IllegalCoTaskStep,
    NotYourCoTask,
    Side,
    take,
)


@pytest.mark.parametrize("row", CO_TRANSITIONS, ids=lambda row: f"{row.source}-{row.step}")
def test_each_step_is_taken_by_its_side_only(row):
    assert take(row.source, row.step, by=row.by) is row
    other = Side.HOST if row.by is Side.CO_UNIT else Side.CO_UNIT
    with pytest.raises(NotYourCoTask):
        take(row.source, row.step, by=other)


def test_what_does_not_stand_in_the_table_is_refused():
    steps = {(row.source, row.step) for row in CO_TRANSITIONS}
    for state in CoTaskState:
        for step in CoTaskStep:
            if (state, step) not in steps:
                with pytest.raises(IllegalCoTaskStep):
                    take(state, step, by=Side.HOST)


def test_every_part_begins_unsigned_and_ends_confirmed_or_declined():
    reached, waiting = set(), {CoTaskState.ASSIGNED}
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting |= {row.target for row in CO_TRANSITIONS if row.source is state} - reached
    assert reached == set(CoTaskState) == set(CO_TASK_STATE_TEXT)
    left = {row.source for row in CO_TRANSITIONS}
    assert left == OPEN_CO_TASK
    assert set(CoTaskState) - left == {CoTaskState.DONE, CoTaskState.DECLINED}
