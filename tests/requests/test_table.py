"""The table of the lifecycle, the steps behind it and the addresses in front of it fit together."""

import typing
from pathlib import Path

from app.domain.identity import Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import Action
from app.requests.steps import STEPS
from tests.city import REQUESTS

BY_SUBMISSION = {Action.SUBMIT, Action.QUEUE}  # written with the request itself
HERE = Path(__file__).parent


def test_every_action_has_its_step_and_its_form():
    assert set(STEPS) == set(Action) - BY_SUBMISSION
    for form, step in STEPS.values():
        taken = typing.get_type_hints(step)
        assert issubclass(form, next(kind for name, kind in taken.items() if "form" in name))


def test_what_people_do_has_an_address_and_what_the_clock_does_has_none(app):
    served = {
        path.rpartition("/")[2]
        for path in app.openapi()["paths"]
        if path.startswith(f"{REQUESTS}/{{request_id}}/actions/")
    }
    people = {row.action for row in TRANSITIONS if row.by - {Role.SYSTEM}}
    assert served == people


async def test_the_workflow_is_served_as_it_is_written(as_resident):
    table = (await (await as_resident()).get("/api/v1/workflow")).json()
    assert len(table["transitions"]) == len(TRANSITIONS) + 1  # and submitting
    assert len(table["states"]) == 15
    assert all(row["by_text"] for row in table["transitions"])


def test_every_action_is_taken_and_refused_somewhere_in_these_tests():
    words = "\n".join(file.read_text("utf-8") for file in sorted(HERE.glob("test_*.py")))
    people = {row.action for row in TRANSITIONS if row.by - {Role.SYSTEM}}
    flat = " ".join(words.split())
    for action in people:
        assert f'request, "{action}"' in flat or f', "{action}"' in flat, action
