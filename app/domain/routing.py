"""Who is responsible: the grid a resident stands in and the category decide the unit.

Two questions, each answered with its reasons, so that whoever is routed can be told why.

1. ``choose_grid``: the point decides; else the grid the resident chose; else where they live.
2. ``choose_unit``: of the rules whose category and grid subtree both contain the request, the most
   specific wins; ties go by priority (higher first), then by the smaller id.

Nothing matches → no unit: the dispatcher of the town looks at it (兜底).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WHOLE_CITY = None


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Requests of ``category_code`` (and below) in ``grid_code`` (and below) go to ``unit_code``.

    ``None`` stands for any category, or for the whole city.
    """

    id: int
    unit_code: str
    category_code: str | None = None
    grid_code: str | None = WHOLE_CITY
    priority: int = 0


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
    """``unit_code`` is None when a dispatcher has to decide."""

    unit_code: str | None
    rule_id: int | None
    reason: Reason


def choose_grid(
    *, located: tuple[str, float] | None, chosen: str | None, home: str | None
) -> GridChoice:
    """Return the grid of a request.

    Args:
        located: code of the grid at (or nearest to) the point, and its distance in metres.
        chosen: the grid the resident picked.
        home: the grid the resident lives in, if known.

    Source: workflow, section 4 (polygon, else chosen grid, else home grid, else dispatcher).
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
    if home is not None:
        return GridChoice(home, Reason("grid_home", "按居民所在网格"))
    return GridChoice(None, Reason("grid_unknown", "没有位置信息，由调度员确定网格"), certain=False)


def choose_unit(
    rules: Iterable[RoutingRule],
    *,
    category_path: Sequence[str],
    grid_path: Sequence[str],
    default_unit_code: str | None = None,
) -> UnitChoice:
    """Return the responsible unit.

    Args:
        rules: only those of active units.
        category_path: codes from the root category to the request's own; empty if not given.
        grid_path: codes from the town to the request's own grid; empty if unknown.
        default_unit_code: the unit that the category names for the whole city.
    """
    category_depth = {code: depth for depth, code in enumerate(category_path, 1)}
    grid_depth = {code: depth for depth, code in enumerate(grid_path, 1)}
    best: RoutingRule | None = None
    best_rank: tuple[int, int, int, int] | None = None
    for rule in rules:
        category = 0 if rule.category_code is None else category_depth.get(rule.category_code)
        grid = 0 if rule.grid_code is None else grid_depth.get(rule.grid_code)
        if category is None or grid is None:
            continue
        # A rule for the kind of matter says more than a rule for the place.
        rank = (category, grid, rule.priority, -rule.id)
        if best_rank is None or rank > best_rank:
            best, best_rank = rule, rank
    # What the category itself names counts as a rule for the whole city, behind any explicit one.
    default_rank = (len(category_path), 0)
    if default_unit_code and (best_rank is None or best_rank[:2] < default_rank):
        return UnitChoice(
            default_unit_code, None, Reason("category_default", "按类别的默认承办单位派单")
        )
    if best is not None:
        return UnitChoice(
            best.unit_code, best.id, Reason("rule_matched", f"匹配派单规则 {best.id}")
        )
    if not category_path:
        return UnitChoice(None, None, Reason("category_missing", "未选择类别，转镇街调度员派单"))
    return UnitChoice(None, None, Reason("no_rule", "没有匹配的派单规则，转镇街调度员派单"))
