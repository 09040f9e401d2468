"""The table of letters: nothing in it is about a step that cannot be taken."""

import pytest

from app.domain.events import RequestMoved
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import Action, State
from app.notifications.letters import BY_ACTION, BY_MEANING, BY_STATE, Audience, letters_for

LED_TO = {(row.action, target) for row in TRANSITIONS for target in row.targets}
# A follower hears of what happens to its master.
FOLLOWED = {
    (action, State.MERGED)
    for action in (Action.REPLY, Action.DECIDE_REPLY, Action.REJECT, Action.EXPIRE_INFO)
}


def test_every_letter_is_about_a_step_of_the_table():
    assert set(BY_STATE) <= LED_TO | FOLLOWED
    assert {action for action, _ in BY_MEANING} | set(BY_ACTION) <= set(Action)


def test_every_letter_has_words_and_names_nobody():
    for letters in (*BY_ACTION.values(), *BY_STATE.values(), *BY_MEANING.values()):
        for letter in letters:
            assert letter.title
            assert "{number}" in letter.body
            assert letter.body.format(number="x")


@pytest.mark.parametrize(
    ("action", "state", "meaning", "heard_by"),
    [
        (Action.AUTO_SIGN, State.IN_PROGRESS, None, {Audience.UNIT, Audience.RESIDENT}),
        (Action.TRANSFER, State.ASSIGNED, "inside", {Audience.HANDLERS}),
        (Action.TRANSFER, State.ASSIGNED, "across", {Audience.UNIT, Audience.RESIDENT}),
        (Action.CO_ASSIGN, State.IN_PROGRESS, None, {Audience.CO_UNIT}),
        (Action.REQUEST_EXTENSION, State.IN_PROGRESS, None, {Audience.DESK}),
        (Action.SUSPEND, State.IN_PROGRESS, "ask", {Audience.DESK}),
        (Action.SUSPEND, State.SUSPENDED, None, {Audience.RESIDENT, Audience.UNIT}),
        (Action.REJECT, State.TRIAGE, "ask", {Audience.DESK}),
        (Action.REJECT, State.REJECTED, None, {Audience.RESIDENT}),
        (Action.URGE, State.IN_PROGRESS, None, {Audience.UNIT}),
        (Action.URGE, State.MERGED, None, set()),
        (Action.SUPERVISE, State.REPLIED, "order", {Audience.UNIT}),
        (Action.SUPERVISE, State.REPLIED, "answer", {Audience.SUPERVISORS}),
        (Action.REPLY, State.REPLY_REVIEW, None, {Audience.UNIT}),
        (Action.REPLY, State.REPLIED, None, {Audience.RESIDENT}),
        (Action.DECIDE_REPLY, State.MERGED, None, {Audience.RESIDENT}),
        (Action.CORRECT, State.CLOSED, None, set()),
        (Action.ARCHIVE, State.ARCHIVED, None, set()),
    ],
)
def test_who_hears_of_a_step(action, state, meaning, heard_by):
    event = RequestMoved(
        request_id="1", number="n", at="", action=action, state=state, meaning=meaning
    )
    assert {letter.to for letter in letters_for(event)} == heard_by
