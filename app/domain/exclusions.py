"""Asking that one request does not count in a figure (剔除申请), and who may decide it."""

from enum import StrEnum
from uuid import UUID

from app.domain.errors import Conflict, Forbidden, Invalid
from app.domain.identity import Actor
from app.domain.measures import Measure
from app.domain.privacy import find_personal_data

# How many there are is a fact, and the composite follows from the others.
NEVER_EXCLUDED = frozenset({Measure.RECEIVED, Measure.PER_1000, Measure.COMPOSITE})


class ExclusionGround(StrEnum):
    MALICIOUS = "malicious"
    MISTAKEN_RATING = "mistaken_rating"
    NOT_ABOUT_HANDLING = "not_about_handling"
    BEYOND_POWERS = "beyond_powers"
    NOT_OURS = "not_ours"
    FORCE_MAJEURE = "force_majeure"
    SYSTEM_FAULT = "system_fault"


EXCLUSION_GROUND_TEXT: dict[ExclusionGround, str] = {
    ExclusionGround.MALICIOUS: "恶意评价或非本人真实意愿",
    ExclusionGround.MISTAKEN_RATING: "诉求人确认误评",
    ExclusionGround.NOT_ABOUT_HANDLING: "评价内容与办理工作无关",
    ExclusionGround.BEYOND_POWERS: "诉求超出法律法规和政策规定",
    ExclusionGround.NOT_OURS: "非本单位职责且已按程序转出",
    ExclusionGround.FORCE_MAJEURE: "不可抗力",
    ExclusionGround.SYSTEM_FAULT: "系统故障",
}


class ExclusionState(StrEnum):
    ASKED = "asked"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"  # by whoever asked, before anybody decided
    REVOKED = "revoked"  # was approved, and another person found that it should not have been


EXCLUSION_STATE_TEXT: dict[ExclusionState, str] = {
    ExclusionState.ASKED: "待审批",
    ExclusionState.APPROVED: "已同意剔除",
    ExclusionState.DENIED: "不同意剔除",
    ExclusionState.WITHDRAWN: "已撤回",
    ExclusionState.REVOKED: "已撤销剔除",
}


# As the audit of a request names them.
ASK, DECIDE, WITHDRAW = "ask_exclusion", "decide_exclusion", "withdraw_exclusion"
REVOKE = "revoke_exclusion"
ACTION_TEXT: dict[str, str] = {
    ASK: "申请剔除", DECIDE: "审批剔除申请", WITHDRAW: "撤回剔除申请", REVOKE: "撤销已同意的剔除",
}  # fmt: skip


class EvidenceNamesSomebody(Invalid):
    """说明文字中不能出现身份证号或手机号码，请删除后再提交。"""

    code = "text_contains_pii"


class MeasureNotExcludable(Invalid):
    """受理量、千人诉求量和综合得分不能申请剔除。"""

    code = "measure_not_excludable"


class OwnExclusion(Forbidden):
    """剔除申请须由申请人和承办单位以外的人审批。"""

    code = "own_exclusion"


class OwnRevocation(Forbidden):
    """撤销剔除须由申请人、审批人和承办单位以外的人决定。"""

    code = "own_revocation"


class NotTheAsker(Forbidden):
    """只有申请人本人可以撤回。"""

    code = "not_the_asker"


class ExclusionNotInForce(Conflict):
    """只有已同意的剔除才能撤销。"""

    code = "exclusion_not_in_force"


class ExclusionDecided(Conflict):
    """该剔除申请已经办结。"""

    code = "exclusion_decided"


def check_asked(measures: frozenset[Measure], evidence: str) -> None:
    """Raises: MeasureNotExcludable, EvidenceNamesSomebody."""
    if measures & NEVER_EXCLUDED:
        raise MeasureNotExcludable
    check_words(evidence)


def check_words(text: str) -> None:
    """Auditors read it, who see no person. Raises: EvidenceNamesSomebody."""
    if find_personal_data(text):
        raise EvidenceNamesSomebody


def check_decider(state: ExclusionState, actor: Actor, *, asked_by: UUID, unit_code: str) -> None:
    """A second person decides, and nobody of the unit that gains by it.

    Raises: OwnExclusion, ExclusionDecided.
    """
    if actor.id == asked_by or actor.unit_code == unit_code:
        raise OwnExclusion
    if state is not ExclusionState.ASKED:
        raise ExclusionDecided


def check_revoker(
    state: ExclusionState, actor: Actor, *, asked_by: UUID, decided_by: UUID | None, unit_code: str
) -> None:
    """Nobody undoes their own decision, as nobody makes it alone.

    Raises: OwnRevocation, ExclusionNotInForce.
    """
    if actor.id in (asked_by, decided_by) or actor.unit_code == unit_code:
        raise OwnRevocation
    if state is not ExclusionState.APPROVED:
        raise ExclusionNotInForce


def check_withdrawal(state: ExclusionState, actor: Actor, *, asked_by: UUID) -> None:
    """Raises: NotTheAsker, ExclusionDecided."""
    if actor.id != asked_by:
        raise NotTheAsker
    if state is not ExclusionState.ASKED:
        raise ExclusionDecided
