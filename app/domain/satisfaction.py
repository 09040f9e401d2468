"""Was it good? What a resident's answer means, in words and for what happens next."""

from enum import IntEnum, StrEnum
from hashlib import sha256
from uuid import UUID

from app.domain.states import State


class Solved(StrEnum):
    SOLVED = "solved"
    PARTLY = "partly"
    UNSOLVED = "unsolved"


SOLVED_TEXT: dict[Solved, str] = {
    Solved.SOLVED: "已解决",
    Solved.PARTLY: "部分解决",
    Solved.UNSOLVED: "未解决",
}


class ReplyResult(StrEnum):
    """How an answer ends the matter."""

    SOLVED = "solved"
    PARTLY = "partly"
    EXPLAINED = "explained"
    PLANNED = "planned"  # with the day on which it is to be done


REPLY_RESULT_TEXT: dict[ReplyResult, str] = {
    ReplyResult.SOLVED: "已解决",
    ReplyResult.PARTLY: "部分解决",
    ReplyResult.EXPLAINED: "解释答复",
    ReplyResult.PLANNED: "列入计划",
}


class Satisfaction(IntEnum):
    VERY_DISSATISFIED = 1
    DISSATISFIED = 2
    FAIR = 3
    SATISFIED = 4
    VERY_SATISFIED = 5


SATISFACTION_TEXT: dict[Satisfaction, str] = {
    Satisfaction.VERY_DISSATISFIED: "非常不满意",
    Satisfaction.DISSATISFIED: "不满意",
    Satisfaction.FAIR: "基本满意",
    Satisfaction.SATISFIED: "满意",
    Satisfaction.VERY_SATISFIED: "非常满意",
}

# 满意率, default reading: 非常满意, 满意 and 基本满意 count as satisfied.
SATISFIED_FROM = Satisfaction.FAIR


class RatingReason(StrEnum):
    """Why somebody is not satisfied. Needed when the answer is below 基本满意."""

    NOBODY_CAME = "nobody_came"
    SLOW = "slow"
    ATTITUDE = "attitude"
    NOT_SOLVED = "not_solved"
    UNCLEAR_REPLY = "unclear_reply"
    OTHER = "other"


RATING_REASON_TEXT: dict[RatingReason, str] = {
    RatingReason.NOBODY_CAME: "没有人联系我",
    RatingReason.SLOW: "办理太慢",
    RatingReason.ATTITUDE: "服务态度不好",
    RatingReason.NOT_SOLVED: "问题没有解决",
    RatingReason.UNCLEAR_REPLY: "答复不清楚",
    RatingReason.OTHER: "其他",
}


def is_satisfied(satisfaction: int) -> bool:
    return satisfaction >= SATISFIED_FROM


def after_rating(*, satisfaction: int, solved: Solved, cycle_no: int) -> State:
    """Return where a rated request goes.

    The first time somebody is dissatisfied, or nothing was solved, the request is looked at again;
    the second time it is closed with that rating.
    """
    good = is_satisfied(satisfaction) and solved is not Solved.UNSOLVED
    return State.CLOSED if good or cycle_no > 1 else State.REOPEN_REVIEW


SAMPLED_ONE_IN = 10  # 回访: how many replies are asked after


def is_sampled(request_id: UUID, cycle_no: int) -> bool:
    """Whether a reply is in the call-back sample: fixed for ever, and nobody's choice."""
    digest = sha256(request_id.bytes + bytes([cycle_no % 256])).digest()
    return int.from_bytes(digest[:4]) % SAMPLED_ONE_IN == 0
