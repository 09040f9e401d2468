"""Who is responsible: the grid a resident stands in and the category decide the unit.

Two questions, each answered with its reasons, so that whoever is routed can be told why.

1. ``choose_grid``: the point decides; else the grid the resident chose; else the place that the
   address names; else where they live.
2. ``choose_unit``: of the rules that hold for the request (its category and grid subtree, its kind,
   the time), the most specific wins: the deeper category, then the deeper grid, then a rule for a
   kind, then one for a time; ties go by priority (higher first), then by the smaller id.

Nothing matches → no unit: the dispatcher of the town looks at it (兜底).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from app.domain.matters import Kind

WHOLE_CITY = None
GRID_FIRST_AT_MOST_MINUTES = 120  # 自办自结: then the unit gets it
_LOCAL = timezone(timedelta(hours=8))  # Asia/Shanghai, which has not changed its clocks since 1991


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """When a rule holds, in local time; what is not said does not limit it.

    Attributes:
        weekdays: 1 (Monday) … 7 (Sunday).
        opens, closes: [opens, closes) of each day; ``closes`` not after ``opens``: past midnight,
            and the hours after it belong to their own day. Both or neither.
        valid_from, valid_to: first and last day.
    """

    weekdays: tuple[int, ...] = ()
    opens: time | None = None
    closes: time | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    def holds(self, local: datetime) -> bool:
        """Args: ``local`` the moment as the clock on the wall shows it."""
        if self.weekdays and local.isoweekday() not in self.weekdays:
            return False
        day = local.date()
        if self.valid_from is not None and day < self.valid_from:
            return False
        if self.valid_to is not None and day > self.valid_to:
            return False
        if self.opens is None or self.closes is None:
            return True
        at = local.time()
        if self.opens < self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Requests of ``category_code`` (and below) in ``grid_code`` (and below) go to ``unit_code``.

    ``None`` stands for any category, the whole city, any kind, always.

    Attributes:
        co_unit_codes: who does a part of it (协办).
        policy_code: what is promised; None: what the category says.
        grid_first_minutes: the grid leader has so long to settle it before the unit gets it; 0: no.
    """

    id: int
    unit_code: str
    category_code: str | None = None
    grid_code: str | None = WHOLE_CITY
    priority: int = 0
    kind: Kind | None = None
    window: TimeWindow | None = None
    co_unit_codes: tuple[str, ...] = ()
    policy_code: str | None = None
    grid_first_minutes: int = 0

    def holds(self, kind: Kind | None, at: datetime | None) -> bool:
        """Whether kind and time are the rule's. An instant that nobody names fits no window."""
        if self.kind is not None and self.kind is not kind:
            return False
        if self.window is None:
            return True
        return at is not None and self.window.holds(at.astimezone(_LOCAL))


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of the explanation. ``code`` is stable, ``text`` is Chinese."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class GridChoice:
    grid_code: str | None
    reason: Reason
    distance_m: float = 0.0
    certain: bool = True


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """``unit_code`` is None when a dispatcher has to decide. ``rule`` is the one that won."""

    unit_code: str | None
    rule_id: int | None
    reason: Reason
    rule: RoutingRule | None = None


def choose_grid(
    *,
    located: tuple[str, float] | None,
    chosen: str | None,
    home: str | None,
    addressed: tuple[str, bool] | None = None,
) -> GridChoice:
    """Return the grid of a request.

    Args:
        located: code of the grid at (or nearest to) the point, and its distance in metres.
        chosen: the grid the resident picked.
        home: the grid the resident lives in, if known.
        addressed: the place that the address names, and whether it can be no other.

    Source: workflow, section 4 (polygon, else chosen grid, else address text, else home grid, else
    dispatcher).
    """
    if located is not None:
        code, distance_m = located
        if distance_m == 0:
            return GridChoice(code, Reason("grid_by_point", "按所选位置确定网格"))
        return GridChoice(
            code,
            Reason(
                "grid_nearest", f"位置不在任何网格内，取最近的网格（约{distance_m:.0f}米），待确认"
            ),
            distance_m,
            certain=False,
        )
    if chosen is not None:
        return GridChoice(chosen, Reason("grid_chosen", "按居民选择的网格"))
    if addressed is not None:
        code, certain = addressed
        text = "按地址文字匹配网格" + ("" if certain else "，待确认")
        return GridChoice(code, Reason("grid_by_address", text), certain=certain)
    if home is not None:
        return GridChoice(home, Reason("grid_home", "按居民所在网格"))
    return GridChoice(None, Reason("grid_unknown", "没有位置信息，由调度员确定网格"), certain=False)


def choose_unit(
    rules: Iterable[RoutingRule],
    *,
    category_path: Sequence[str],
    grid_path: Sequence[str],
    default_unit_code: str | None = None,
    kind: Kind | None = None,
    at: datetime | None = None,
) -> UnitChoice:
    """Return the responsible unit.

    Args:
        rules: only those of active units.
        category_path: codes from the root category to the request's own; empty if not given.
        grid_path: codes from the town to the request's own grid; empty if unknown.
        default_unit_code: the unit that the category names for the whole city.
        kind, at: of the request; aware.
    """
    category_depth = {code: depth for depth, code in enumerate(category_path, 1)}
    grid_depth = {code: depth for depth, code in enumerate(grid_path, 1)}
    best: RoutingRule | None = None
    best_rank: tuple[int, int, bool, bool, int, int] | None = None
    for rule in rules:
        category = 0 if rule.category_code is None else category_depth.get(rule.category_code)
        grid = 0 if rule.grid_code is None else grid_depth.get(rule.grid_code)
        if category is None or grid is None:
            continue
        # A rule for the kind of matter says more than a rule for the place.
        rank = (category, grid, rule.kind is not None, rule.window is not None,
                rule.priority, -rule.id)  # fmt: skip
        if (best_rank is None or rank > best_rank) and rule.holds(kind, at):
            best, best_rank = rule, rank
    if best is None or best_rank is None:
        return decided(None, 0, 0, depth=len(category_path), default_unit_code=default_unit_code)
    return decided(
        choice_of(best),
        best_rank[0],
        best_rank[1],
        depth=len(category_path),
        default_unit_code=default_unit_code,
    )


def choice_of(rule: RoutingRule) -> UnitChoice:
    """What is chosen where this rule wins."""
    return UnitChoice(
        rule.unit_code, rule.id, Reason("rule_matched", f"匹配派单规则 {rule.id}"), rule
    )


_BY_CATEGORY = Reason("category_default", "按类别的默认承办单位派单")
_NO_CATEGORY = UnitChoice(None, None, Reason("category_missing", "未选择类别，转镇街调度员派单"))
_NO_RULE = UnitChoice(None, None, Reason("no_rule", "没有匹配的派单规则，转镇街调度员派单"))


def decided(
    best: UnitChoice | None,
    category: int,
    grid: int,
    *,
    depth: int,
    default_unit_code: str | None,
) -> UnitChoice:
    """The end of the choice, once the best rule is known.

    Args:
        best: None: no rule holds. ``category`` and ``grid`` are the depths of its scope.
        depth: of the request's category; 0 if none was given.
    """
    # What the category itself names counts as a rule for the whole city, behind any explicit one.
    if default_unit_code and (best is None or (category, grid) < (depth, 0)):
        return UnitChoice(default_unit_code, None, _BY_CATEGORY)
    if best is not None:
        return best
    return _NO_RULE if depth else _NO_CATEGORY
