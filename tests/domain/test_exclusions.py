"""Who may ask, who may decide, and what is never left out."""

from uuid import UUID

import pytest

from app.domain import exclusions as rules
from app.domain.exclusions import ExclusionState as S
from app.domain.identity import Actor, Role
from app.domain.measures import Measure

ASKER, OTHER = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize("measure", ["received", "per_1000", "composite"])
def test_what_was_received_stays_received(measure):
    with pytest.raises(rules.MeasureNotExcludable):
        rules.check_asked(frozenset({Measure(measure), Measure.SATISFIED}), "录音证实")
    rules.check_asked(frozenset(Measure) - rules.NEVER_EXCLUDED, "录音证实")


@pytest.mark.parametrize("text", ["电话 13812345678", "身份证 11010519491231002X"])
def test_nobody_is_named_in_what_auditors_read(text):
    with pytest.raises(rules.EvidenceNamesSomebody):
        rules.check_asked(frozenset({Measure.SATISFIED}), text)


@pytest.mark.parametrize(
    ("state", "actor", "refused"),
    [
        (S.ASKED, Actor(OTHER, Role.SUPERVISOR), None),
        (S.ASKED, Actor(ASKER, Role.SUPERVISOR), rules.OwnExclusion),  # whatever became of them
        (S.ASKED, Actor(OTHER, Role.SUPERVISOR, unit_code="water"), rules.OwnExclusion),
        (S.ASKED, Actor(OTHER, Role.SUPERVISOR, unit_code="housing"), None),
        (S.APPROVED, Actor(OTHER, Role.SUPERVISOR), rules.ExclusionDecided),
        (S.DENIED, Actor(OTHER, Role.SUPERVISOR), rules.ExclusionDecided),
        (S.WITHDRAWN, Actor(OTHER, Role.SUPERVISOR), rules.ExclusionDecided),
    ],
)
def test_a_second_person_outside_the_unit_decides_once(state, actor, refused):
    def check():
        rules.check_decider(state, actor, asked_by=ASKER, unit_code="water")

    if refused is None:
        check()
    else:
        with pytest.raises(refused):
            check()


@pytest.mark.parametrize(
    ("state", "who", "refused"),
    [
        (S.ASKED, OTHER, rules.NotTheAsker),
        (S.APPROVED, OTHER, rules.NotTheAsker),
        (S.APPROVED, ASKER, rules.ExclusionDecided),
        (S.WITHDRAWN, ASKER, rules.ExclusionDecided),
    ],
)
def test_only_the_asker_takes_back_and_only_what_is_undecided(state, who, refused):
    rules.check_withdrawal(S.ASKED, Actor(ASKER, Role.UNIT_LEADER), asked_by=ASKER)
    with pytest.raises(refused):
        rules.check_withdrawal(state, Actor(who, Role.UNIT_LEADER), asked_by=ASKER)


THIRD = UUID(int=3)


@pytest.mark.parametrize(
    ("state", "actor", "refused"),
    [
        (S.APPROVED, Actor(THIRD, Role.SUPERVISOR), None),
        (S.APPROVED, Actor(OTHER, Role.SUPERVISOR), rules.OwnRevocation),  # approved it
        (S.APPROVED, Actor(ASKER, Role.SUPERVISOR), rules.OwnRevocation),
        (S.APPROVED, Actor(THIRD, Role.SUPERVISOR, unit_code="water"), rules.OwnRevocation),
        (S.ASKED, Actor(THIRD, Role.SUPERVISOR), rules.ExclusionNotInForce),
        (S.DENIED, Actor(THIRD, Role.SUPERVISOR), rules.ExclusionNotInForce),
        (S.REVOKED, Actor(THIRD, Role.SUPERVISOR), rules.ExclusionNotInForce),
    ],
)
def test_a_third_person_outside_the_unit_undoes_what_was_approved(state, actor, refused):
    def check():
        rules.check_revoker(state, actor, asked_by=ASKER, decided_by=OTHER, unit_code="water")

    if refused is None:
        check()
    else:
        with pytest.raises(refused):
            check()
