"""docs/workflow.md is what the tables say."""

import re

from app.domain.lifecycle import TRANSITIONS
from app.domain.sla import Metric
from app.domain.states import Action, State
from tests.docs.workflow_page import _METRICS, PAGE, workflow_page


def test_the_page_is_the_table():
    assert PAGE.read_text("utf-8") == workflow_page(), "python -m tests.docs.workflow_page"


def test_the_diagram_draws_every_state_and_every_way_between_two():
    drawn = set(re.findall(r"^    (\w+) --> (\w+): ", workflow_page(), re.MULTILINE))
    ways = {(row.source, to) for row in TRANSITIONS for to in row.targets if to is not row.source}
    assert drawn == {(str(source), str(target)) for source, target in ways}
    named = set(re.findall(r"^    (\w+): ", workflow_page(), re.MULTILINE))
    assert named == {str(state) for state in State}


def test_every_action_and_every_clock_is_told():
    page = workflow_page()
    assert all(f"`{action}`" in page for action in Action)
    assert set(_METRICS) == set(Metric)
