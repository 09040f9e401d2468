"""What is wrong with a set of routing rules: faults refuse it, warnings say what nobody meant.

Two rules can only stand in each other's way where category and grid are the same: elsewhere the
deeper one wins for a part and the other keeps the rest. So each such group is looked at by itself,
at sample moments between which nothing changes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from app.domain.matters import Kind
from app.domain.routing import GRID_FIRST_AT_MOST_MINUTES, RoutingRule

_LONGEST_GROUP = 200
_ANY_DAY = date(2001, 1, 1)  # where no rule of a group speaks of dates; a Monday
_DAY = timedelta(days=1)
_KINDS: tuple[Kind | None, ...] = (None, *Kind)


class FaultKind(StrEnum):
    UNKNOWN = "unknown"  # a code that nobody knows, or that is closed
    WRONG = "wrong"  # a rule that contradicts itself
    CONFLICT = "conflict"  # two rules say different things and only their ids decide
    UNREACHABLE = "unreachable"  # others win wherever it would hold, or it never holds


FAULT_TEXT: dict[FaultKind, str] = {
    FaultKind.UNKNOWN: "引用无效",
    FaultKind.WRONG: "规则有误",
    FaultKind.CONFLICT: "规则冲突",
    FaultKind.UNREACHABLE: "永不生效",
}
# No such set becomes active. What is closed only takes no effect: a city closes things every day.
REFUSED = frozenset({FaultKind.WRONG})


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One finding. ``rule_ids``: the rule it is about, then those that stand in its way."""

    kind: FaultKind
    rule_ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Known:
    """The codes that a rule may name: active ones."""

    units: Collection[str]
    categories: Collection[str]
    grids: Collection[str]
    policies: Collection[str]
    grid_matters: Collection[str] = ()  # and what is above them


def find_faults(rules: Sequence[RoutingRule], known: Known, *, today: date) -> list[RuleFault]:
    """Everything that is wrong with the rules taken together, in the order of their ids."""
    found = [fault for rule in rules for fault in _of_rule(rule, known, today)]
    groups: dict[tuple[str | None, str | None], list[RoutingRule]] = defaultdict(list)
    for rule in rules:
        groups[rule.category_code, rule.grid_code].append(rule)
    for group in groups.values():
        if len(group) > _LONGEST_GROUP:
            ids = tuple(rule.id for rule in group)
            text = f"同一类别和网格的规则超过{_LONGEST_GROUP}条"
            found.append(RuleFault(FaultKind.WRONG, ids, text))
        elif len(group) > 1:
            found.extend(_of_group(group))
    return sorted(found, key=lambda fault: (fault.rule_ids, fault.kind))


def _of_rule(rule: RoutingRule, known: Known, today: date) -> Iterator[RuleFault]:
    named: Iterable[tuple[str, str | None, Collection[str]]] = (
        ("主办单位", rule.unit_code, known.units),
        *(("协办单位", code, known.units) for code in rule.co_unit_codes),
        ("类别", rule.category_code, known.categories),
        ("网格", rule.grid_code, known.grids),
        ("时限规则", rule.policy_code, known.policies),
    )
    for what, code, codes in named:
        if code is not None and code not in codes:
            yield RuleFault(FaultKind.UNKNOWN, (rule.id,), f"{what}“{code}”不存在或已停用")
    if rule.unit_code in rule.co_unit_codes:
        yield RuleFault(FaultKind.WRONG, (rule.id,), "主办单位不能同时是协办单位")
    if len(set(rule.co_unit_codes)) < len(rule.co_unit_codes):
        yield RuleFault(FaultKind.WRONG, (rule.id,), "协办单位重复")
    if not 0 <= rule.grid_first_minutes <= GRID_FIRST_AT_MOST_MINUTES:
        text = f"网格自办时间应在 0 至 {GRID_FIRST_AT_MOST_MINUTES} 分钟之间"
        yield RuleFault(FaultKind.WRONG, (rule.id,), text)
    if rule.grid_first_minutes and rule.category_code not in (None, *known.grid_matters):
        text = "该类别不是网格自办事项，网格先办不会生效"
        yield RuleFault(FaultKind.UNREACHABLE, (rule.id,), text)
    window = rule.window
    if window is None:
        return
    if (window.opens is None) is not (window.closes is None) or (
        window.opens is not None and window.opens == window.closes
    ):
        yield RuleFault(FaultKind.WRONG, (rule.id,), "起止时刻应同时给出且不相同")
    if any(day not in range(1, 8) for day in window.weekdays):
        yield RuleFault(FaultKind.WRONG, (rule.id,), "星期应为 1 至 7")
    first, last = window.valid_from, window.valid_to
    if first is not None and last is not None and first > last:
        yield RuleFault(FaultKind.WRONG, (rule.id,), "生效日期晚于失效日期")
    elif last is not None and last < today:
        yield RuleFault(FaultKind.UNREACHABLE, (rule.id,), f"规则已于 {last} 失效")


def _of_group(group: Sequence[RoutingRule]) -> Iterator[RuleFault]:
    """Conflicts and rules that never win, of rules for one category and one grid."""
    ranked = sorted(group, key=_rank, reverse=True)
    wins: set[int] = set()
    holds: dict[int, set[int]] = defaultdict(set)  # where it held, these won
    clashes: set[tuple[int, int]] = set()
    moments = list(_moments(group))
    for kind in _KINDS if any(rule.kind for rule in group) else (None,):
        for moment in moments:
            held = [rule for rule in ranked if _holds(rule, kind, moment)]
            if not held:
                continue
            winner = held[0]
            wins.add(winner.id)
            for rule in held[1:]:
                holds[rule.id].add(winner.id)
                if _rank(rule)[:3] == _rank(winner)[:3] and _says(rule) != _says(winner):
                    clashes.add((winner.id, rule.id))
    for first, second in sorted(clashes):
        text = f"规则 {first} 与规则 {second} 范围、优先级相同而去向不同，只按编号先后取舍"
        yield RuleFault(FaultKind.CONFLICT, (first, second), text)
    for rule in group:
        if rule.id not in wins and rule.id in holds:
            stronger = tuple(sorted(holds[rule.id]))
            words = "、".join(map(str, stronger[:5]))
            text = f"凡规则 {rule.id} 适用之处，规则 {words} 均优先"
            yield RuleFault(FaultKind.UNREACHABLE, (rule.id, *stronger), text)


def _rank(rule: RoutingRule) -> tuple[bool, bool, int, int]:
    return (rule.kind is not None, rule.window is not None, rule.priority, -rule.id)


def _says(rule: RoutingRule) -> tuple[object, ...]:
    return (rule.unit_code, rule.co_unit_codes, rule.policy_code, rule.grid_first_minutes)


def _holds(rule: RoutingRule, kind: Kind | None, local: datetime) -> bool:
    if rule.kind is not None and rule.kind is not kind:
        return False
    return rule.window is None or rule.window.holds(local)


def _moments(group: Iterable[RoutingRule]) -> Iterator[datetime]:
    """One moment for each piece of the group's time in which the same rules hold, as wall time."""
    windows = [rule.window for rule in group if rule.window is not None]
    starts = {_ANY_DAY}
    for window in windows:
        starts |= {window.valid_from} if window.valid_from else set()
        starts |= {window.valid_to + _DAY} if window.valid_to else set()
    days: set[date] = set()
    for start in starts:
        days |= {start + _DAY * count for count in range(7)}
        days |= {start - _DAY * count for count in range(1, 8)}
    hours = {time(0)}
    for window in windows:
        hours |= {edge for edge in (window.opens, window.closes) if edge is not None}
    for day in sorted(days):
        for hour in sorted(hours):
            yield datetime.combine(day, hour)
