"""What a figure means. Each has its definition once; the API publishes it, the SQL follows it.

Cohort: the requests submitted in the period. ``value`` is ``num / den``; nothing to count in the
denominator gives ``None``, never zero.
"""

from dataclasses import dataclass
from enum import StrEnum

DEFINITION_VERSION = "2026.1"


class Measure(StrEnum):
    RECEIVED = "received"
    CLOSED = "closed"
    RATED = "rated"
    SATISFIED = "satisfied"
    CONTACT_ON_TIME = "contact_on_time"
    REPLY_ON_TIME = "reply_on_time"


@dataclass(frozen=True, slots=True)
class Definition:
    name: str
    numerator: str
    denominator: str


# fmt: off
DEFINITIONS: dict[Measure, Definition] = {
    Measure.RECEIVED: Definition(
        "受理量", "期内提交的诉求", "同分子"),
    Measure.CLOSED: Definition(
        "办结率", "期内提交、现已办结（含归档）的诉求", "期内提交的诉求"),
    Measure.RATED: Definition(
        "评价率", "居民已评价（含回访时所评）的诉求", "本轮已答复的诉求，含随主单答复的并单"),
    Measure.SATISFIED: Definition(
        "满意率", "评价为基本满意、满意、非常满意的诉求",
        "居民已评价（含回访时所评）的诉求；超期自动办结不计入"),
    Measure.CONTACT_ON_TIME: Definition(
        "首次联系及时率", "在联系时限内（含到期时刻）首次联系上诉求人的诉求",
        "已联系上的，加上联系时限已过仍未联系上的；时限内三次联系未果（已尽责）的，不予受理、撤回、并单且未联系的除外"),
    Measure.REPLY_ON_TIME: Definition(
        "按时答复率", "在答复时限内答复的诉求",
        "已答复的，加上答复时限已过仍未答复的；计时暂停的，不予受理、撤回、并单的除外"),
}
# fmt: on


def ratio(num: int, den: int) -> float | None:
    """``num / den``, or None where there was nothing to count."""
    return num / den if den else None
