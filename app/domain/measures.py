"""What a figure means. Each has its definition once; the API publishes it, the SQL follows it.

``value`` is ``num / den`` unless the unit says otherwise; nothing to count in the denominator gives
``None``, never zero. A figure counts the requests whose ``basis`` lies in the period: those neither
in the denominator nor anywhere else are told as ``excluded``. Source: KPI formulas (C7) of the page
on the domain; the statistics paragraph of the workflow page; registry version below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy

DEFINITION_VERSION = "2026.4"


class Measure(StrEnum):
    RECEIVED = "received"
    CLOSED = "closed"
    RATED = "rated"
    SATISFIED = "satisfied"
    CONTACT_ON_TIME = "contact_on_time"
    DILIGENT = "diligent"
    REPLY_ON_TIME = "reply_on_time"
    REPLY_ON_TIME_ORIGINAL = "reply_on_time_original"
    OVERDUE = "overdue"
    SIGN_ON_TIME = "sign_on_time"
    RESPONDED = "responded"
    RESPONDED_STRICT = "responded_strict"
    RESPONDED_ALL_CLOSED = "responded_all_closed"
    SOLVED = "solved"
    SOLVED_STRICT = "solved_strict"
    SOLVED_ALL_CLOSED = "solved_all_closed"
    SATISFIED_STRICT = "satisfied_strict"
    SATISFIED_ALL_CLOSED = "satisfied_all_closed"
    CALLED_BACK = "called_back"
    RETURNED = "returned"
    REASSIGNED = "reassigned"
    EXTENDED = "extended"
    REOPENED = "reopened"
    SUPERVISED = "supervised"
    DURATION_MEDIAN = "duration_median"
    DURATION_P90 = "duration_p90"
    PER_1000 = "per_1000"
    COMPOSITE = "composite"


class Basis(StrEnum):
    """Which instant of a request must lie in the period."""

    SUBMITTED = "submitted"
    DUE = "due"  # the due time that the measure itself is about
    REPLIED = "replied"  # of the present cycle
    ENDED = "ended"


BASIS_TEXT: dict[Basis, str] = {
    Basis.SUBMITTED: "按提交时间",
    Basis.DUE: "按应完成时间（到期时间）",
    Basis.REPLIED: "按答复时间（本轮）",
    Basis.ENDED: "按办结、不予受理、撤回或并单的时间",
}


class Unit(StrEnum):
    """What ``value`` is."""

    COUNT = "count"  # the numerator itself
    RATIO = "ratio"
    HOURS = "hours"  # of office time
    PER_1000 = "per_1000"  # for each thousand residents
    SCORE = "score"  # 0 to 1, put together by weights


@dataclass(frozen=True, slots=True)
class Definition:
    """One figure in words.

    Attributes:
        clause: where the formula comes from.
        basis: which instant puts a request into a period, if nobody asks for another one.
        exclusions: who is left out of the denominator, and why.
        version: the registry's version in which this wording began to hold.
        example: worked numbers.
        falls: lower is better: a ranking begins with the lowest.
    """

    name: str
    numerator: str
    denominator: str
    unit: Unit = Unit.RATIO
    basis: Basis = Basis.SUBMITTED
    clause: str = "C7 指标公式"
    exclusions: str = "无"
    version: str = "2026.3"
    example: str = ""
    falls: bool = False


_WORD = "居民已评价（含回访时所评）的诉求"
_UNANSWERED = "居民未评价、回访也未答的；超期自动办结不算评价"
_OWED = "计时暂停的，不予受理、撤回、并单的，未答复即办结的"
_DISPATCHED = "派过承办单位的诉求（接续主单的，随主单计）"
_CLOSED = "现已办结（含归档）的诉求"
_WORKFLOW = "工作流程·统计"

# fmt: off
DEFINITIONS: dict[Measure, Definition] = {
    Measure.RECEIVED: Definition(
        "受理量", "期内提交的诉求", "同分子", Unit.COUNT, version="2026.1",
        example="396000 件提交 → 396000"),
    Measure.CLOSED: Definition(
        "办结率", "期内提交、现已办结（含归档）的诉求", "期内提交的诉求", version="2026.1",
        example="395000 ÷ 396000 = 99.75%"),
    Measure.RATED: Definition(
        "评价率", "居民已评价（含回访时所评）的诉求", "本轮已答复的诉求，含随主单答复的并单",
        exclusions="本轮未答复的", version="2026.1", example="80 件评价 ÷ 100 件答复 = 80%"),
    Measure.SATISFIED: Definition(
        "满意率", "评价为基本满意、满意、非常满意的诉求",
        "居民已评价（含回访时所评）的诉求；超期自动办结不计入", clause=_WORKFLOW,
        exclusions=_UNANSWERED, version="2026.1", example="372011 ÷ 395000 = 94.18%"),
    Measure.CONTACT_ON_TIME: Definition(
        "首次联系及时率", "在联系时限内（含到期时刻）首次联系上诉求人的诉求",
        "已联系上的，加上联系时限已过仍未联系上的；时限内三次联系未果（已尽责）的，"
        "不予受理、撤回、并单且未联系的除外",
        basis=Basis.DUE, clause=_WORKFLOW, version="2026.1",
        exclusions="已尽责未联系上的，时限未到的，不予受理、撤回、并单且未联系的",
        example="9:00 提交，15:00:00 联系上 → 及时；15:00:01 → 超时"),
    Measure.DILIGENT: Definition(
        "已尽责未联系上率", "联系时限内三次联系未果、至今未联系上的诉求（不算及时，也不算超时）",
        "首次联系及时率的分母，加上本项分子", basis=Basis.DUE, clause=_WORKFLOW, falls=True,
        exclusions="时限未到的，不予受理、撤回、并单且未联系的", version="2026.2",
        example="1 件已尽责 ÷ (1 + 99 件) = 1%"),
    Measure.REPLY_ON_TIME: Definition(
        "按时办结率（按时答复，现行时限）", "在现行答复时限（含批准的延期、暂停顺延）内答复的诉求",
        "已答复的，加上答复时限已过仍未答复的；计时暂停的，不予受理、撤回、并单的除外",
        basis=Basis.DUE, clause=_WORKFLOW, exclusions=_OWED + "，时限未到的", version="2026.1",
        example="11-23 24:00 到期，23:59:59 答复 → 按时；次日 0:00 → 超期"),
    Measure.REPLY_ON_TIME_ORIGINAL: Definition(
        "按时办结率（原定时限）", "在最初承诺的答复时限内答复的诉求",
        "已答复的，加上原定时限已过仍未答复的（延期、暂停不顺延）",
        basis=Basis.DUE, clause=_WORKFLOW,
        exclusions="不予受理、撤回、并单的，未答复即办结的，原定时限未到的",
        example="原定 11-23，延期至 11-30，11-25 答复 → 现行按时、原定超期"),
    Measure.OVERDUE: Definition(
        "超期率", "超过现行答复时限才答复或仍未答复的诉求", "同按时办结率（现行时限）的分母",
        basis=Basis.DUE, exclusions=_OWED + "，时限未到的", falls=True,
        example="2 件超期 ÷ 100 件 = 2%，与按时办结率合计 100%"),
    Measure.SIGN_ON_TIME: Definition(
        "签收及时率", "承办单位在签收时限内签收或退单的诉求（本轮最近一次派单）",
        "已签收、已退单的，加上签收时限已过仍未签收的", basis=Basis.DUE,
        exclusions="未派单的，派单已收回的，时限未到的",
        example="14:00 派单、16:00 前签收 → 及时；系统自动签收 → 超时"),
    Measure.RESPONDED: Definition(
        "响应率", "居民在评价或回访中确认有人联系过的诉求",
        "居民在评价或回访中回答了是否联系的诉求",
        clause=_WORKFLOW, exclusions="居民未评价、回访也未答的", example="95 ÷ 100 = 95%"),
    Measure.RESPONDED_STRICT: Definition(
        "响应率（严格）", "居民确认有人联系过，且首次联系在时限内的诉求",
        "居民在评价或回访中回答了是否联系的诉求", clause=_WORKFLOW,
        exclusions="居民未评价、回访也未答的",
        example="居民确认联系 95 件，其中及时 90 件，90 ÷ 100 = 90%"),
    Measure.RESPONDED_ALL_CLOSED: Definition(
        "响应率（全部办结）", "现已办结且居民确认有人联系过的诉求", _CLOSED, clause=_WORKFLOW,
        exclusions="尚未办结的", example="95 ÷ 全部办结 200 = 47.5%"),
    Measure.SOLVED: Definition(
        "解决率", "居民认为已解决的诉求，加上部分解决的按系数折算", _WORD,
        exclusions=_UNANSWERED, example="(已解决 80 + 0.5 × 部分解决 10) ÷ 100 = 85%"),
    Measure.SOLVED_STRICT: Definition(
        "解决率（严格）", "居民认为已解决的诉求", _WORD, clause=_WORKFLOW,
        exclusions=_UNANSWERED, example="80 ÷ 100 = 80%"),
    Measure.SOLVED_ALL_CLOSED: Definition(
        "解决率（全部办结）", "现已办结的诉求中居民认为已解决的，加上部分解决的按系数折算", _CLOSED,
        clause=_WORKFLOW, exclusions="尚未办结的", example="(80 + 0.5 × 10) ÷ 200 = 42.5%"),
    Measure.SATISFIED_STRICT: Definition(
        "满意率（严格）", "评价为满意、非常满意的诉求", _WORD, clause=_WORKFLOW,
        exclusions=_UNANSWERED, example="85 ÷ 100 = 85%"),
    Measure.SATISFIED_ALL_CLOSED: Definition(
        "满意率（全部办结）", "现已办结的诉求中评价为基本满意、满意、非常满意的", _CLOSED,
        clause=_WORKFLOW, exclusions="尚未办结的", example="94 ÷ 200 = 47%"),
    Measure.CALLED_BACK: Definition(
        "回访率", "本轮已回访的诉求（无论是否接通）", "本轮抽中回访的诉求",
        exclusions="未抽中的", example="9 ÷ 10 = 90%"),
    Measure.RETURNED: Definition(
        "退单率", "承办单位退过单的诉求", _DISPATCHED, exclusions="从未派单的", falls=True,
        example="3 ÷ 100 = 3%；一件退两次仍计一件"),
    Measure.REASSIGNED: Definition(
        "改派率",
        "派单后又派给单位的诉求（跨单位转派、退单改派、收回后再派；单位内转办不计）", _DISPATCHED,
        exclusions="从未派单的", falls=True, example="4 ÷ 100 = 4%"),
    Measure.EXTENDED: Definition(
        "延期率", "本轮批准过延期的诉求", _DISPATCHED, exclusions="从未派单的", falls=True,
        example="5 ÷ 100 = 5%"),
    Measure.REOPENED: Definition(
        "重办率", "经审核重新办理过的诉求", "本轮已答复的诉求，加上重新办理过的诉求",
        exclusions="未答复、也未重办过的", falls=True, example="2 ÷ 100 = 2%"),
    Measure.SUPERVISED: Definition(
        "督办率", "下达过督办的诉求（含三次催办、超期自动督办）", "期内提交的诉求", falls=True,
        example="1 ÷ 100 = 1%"),
    Measure.DURATION_MEDIAN: Definition(
        "办理时长中位数",
        "已答复诉求自提交至本轮答复的工作时长"
        "（办公时间，暂停不扣除，每件四舍五入到 0.1 小时），取中位数",
        "本轮已答复的诉求", Unit.HOURS, exclusions="本轮未答复的", version="2026.4", falls=True,
        example="2、4.06、9 小时 → 4.1 小时；按答复当时公布的工作日历计算"),
    Measure.DURATION_P90: Definition(
        "办理时长九成位数",
        "已答复诉求自提交至本轮答复的工作时长（每件四舍五入到 0.1 小时），九成诉求不超过的时长",
        "本轮已答复的诉求", Unit.HOURS, exclusions="本轮未答复的", version="2026.4", falls=True,
        example="10 件中第 9 短的一件的时长"),
    Measure.PER_1000: Definition(
        "每千居民诉求量", "期内提交的诉求", "所在网格登记的现住居民人数", Unit.PER_1000, falls=True,
        example="30 件 ÷ 2000 人 × 1000 = 15；人数未登记则无此数"),
    Measure.COMPOSITE: Definition(
        "三率综合", "响应率、解决率、满意率按权重相加", "权重之和", Unit.SCORE,
        exclusions="三率中有一项无数据的，不计综合分",
        example="0.30 × 95% + 0.35 × 85% + 0.35 × 94% = 91.15%"),
}
# fmt: on

# /statistics/satisfaction tells these.
OF_SATISFACTION = tuple(Measure)[:7]


# --- weights: data, by version -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weights:
    """What goes into a composite, and how much a partly solved matter counts.

    ``parts`` add up to one. Source: C7; 30/35/35 is a banner's in Inner Mongolia.
    """

    version: str
    since: date
    parts: Mapping[Measure, float]
    partly_solved: float


WEIGHTS: tuple[Weights, ...] = (
    Weights(
        version="2026.1",
        since=date(2020, 1, 1),
        parts={Measure.RESPONDED: 0.30, Measure.SOLVED: 0.35, Measure.SATISFIED: 0.35},
        partly_solved=0.5,
    ),
)
CURRENT_WEIGHTS = WEIGHTS[-1]


def weights_of(version: str | None = None) -> Weights:
    """The weights of a version; of the newest without one. Raises: KeyError."""
    if version is None:
        return CURRENT_WEIGHTS
    return {weights.version: weights for weights in WEIGHTS}[version]


# --- arithmetic ----------------------------------------------------------------------------------

SMALL_SAMPLE = 30  # below: flagged, and not ranked
_Z = 1.959963984540054  # two-sided 95 %


def ratio(num: float, den: float) -> float | None:
    """``num / den``, or None where there was nothing to count."""
    return num / den if den else None


def wilson(num: float, den: int) -> tuple[float, float] | None:
    """The 95 % interval of a share by Wilson's score; None where nothing was counted."""
    [low], [high] = wilsons([num], [den])
    return None if low is None or high is None else (low, high)


def wilsons(
    nums: Sequence[float], dens: Sequence[int]
) -> tuple[list[float | None], list[float | None]]:
    """The 95 % intervals of many shares by Wilson's score, as their lower and their upper ends;
    None where nothing was counted.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. It stays within [0, 1] and does not
    collapse at 0 and 1, as the plain normal interval does.
    """
    num, den = numpy.array(nums, dtype=float), numpy.array(dens, dtype=float)
    counted = den > 0
    of = numpy.where(counted, den, 1.0)
    share, squared = num / of, _Z * _Z / of
    middle = share + squared / 2
    spread = _Z * numpy.sqrt(share * (1 - share) / of + squared / (4 * of))
    low, high = (middle - spread) / (1 + squared), (middle + spread) / (1 + squared)
    low = numpy.where(num == 0, 0.0, numpy.maximum(low, 0.0))
    high = numpy.where(num == den, 1.0, numpy.minimum(high, 1.0))
    there = counted.tolist()
    return (
        [it if is_there else None for it, is_there in zip(low.tolist(), there, strict=True)],
        [it if is_there else None for it, is_there in zip(high.tolist(), there, strict=True)],
    )


def composite(values: Mapping[Measure, float | None], weights: Weights) -> float | None:
    """The weighted sum of ``values``; None if one of them has nothing to count."""
    total = 0.0
    for measure, weight in weights.parts.items():
        value = values[measure]
        if value is None:
            return None
        total += weight * value
    return total
