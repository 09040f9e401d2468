"""Routing rules as every process holds them, and as the tables keep them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.matters import Kind
from app.domain.routing import RoutingRule, TimeWindow, UnitChoice, choice_of, decided
from app.reference.kinds import RuleSetState
from app.reference.models import RoutingRuleRow, RuleSetRow


class RuleBook:
    """The rules sorted by what they can apply to, so that choosing looks at few. Immutable."""

    def __init__(self, rules: Iterable[RoutingRule], paths: Mapping[str, Sequence[str]]) -> None:
        """Args: ``paths`` of each category: the codes from its root to itself."""
        by_category: dict[str | None, list[RoutingRule]] = {}
        for rule in rules:
            by_category.setdefault(rule.category_code, []).append(rule)
        whole = by_category.get(None, [])
        self._on: dict[str | None, tuple[RoutingRule, ...]] = {None: tuple(whole)}
        for code, path in paths.items():
            found = [rule for step in path for rule in by_category.get(step, ())]
            self._on[code] = tuple(sorted([*whole, *found], key=lambda rule: rule.id))
        self._depth = {code: len(path) for code, path in paths.items()}
        self._ranked = {
            code: _ranked(found, {step: depth for depth, step in enumerate(paths.get(code, ()), 1)})
            for code, found in self._on.items()
            if code is not None
        }
        self._of_any = _ranked(whole, {})

    def on(self, category_code: str | None) -> tuple[RoutingRule, ...]:
        """Those for the category or one above it; of an unknown one: those for any."""
        return self._on.get(category_code, self._on[None])

    def choose(
        self,
        category_code: str | None,
        grid_path: Iterable[str],
        *,
        default_unit_code: str | None,
        kind: Kind | None,
        at: datetime,
    ) -> UnitChoice:
        """As ``routing.choose_unit`` chooses from all the rules, in a few microseconds."""
        places = self._ranked.get(category_code or "", self._of_any)
        best: UnitChoice | None = None
        best_rank: tuple[int, int, _Rest] = _LEAST
        for grid, code in enumerate((None, *grid_path)):
            for category, rest, rule, choice in places.get(code, ()):
                if (rule.kind is None and rule.window is None) or rule.holds(kind, at):
                    rank = (category, grid, rest)
                    if rank > best_rank:
                        best, best_rank = choice, rank
                    break  # what follows here ranks lower
        return decided(
            best,
            best_rank[0],
            best_rank[1],
            depth=self._depth.get(category_code or "", 0),
            default_unit_code=default_unit_code,
        )


_Rest = tuple[bool, bool, int, int]
_Ranked = dict[str | None, tuple[tuple[int, _Rest, RoutingRule, UnitChoice], ...]]
_LEAST: tuple[int, int, _Rest] = (-1, -1, (False, False, 0, 0))


def _ranked(rules: Iterable[RoutingRule], depth: Mapping[str, int]) -> _Ranked:
    """The rules by their places, at each the one that wins first."""
    places: dict[str | None, list[tuple[int, _Rest, RoutingRule, UnitChoice]]] = {}
    for rule in rules:
        category = depth.get(rule.category_code or "", 0)
        rest = (rule.kind is not None, rule.window is not None, rule.priority, -rule.id)
        entry = (category, rest, rule, choice_of(rule))
        places.setdefault(rule.grid_code, []).append(entry)
    return {
        code: tuple(sorted(found, key=lambda entry: entry[:2], reverse=True))
        for code, found in places.items()
    }


async def active_rules(
    session: AsyncSession, active_units: Collection[str]
) -> tuple[RoutingRule, ...]:
    """The rules of the active set whose unit is active; other units that are not are left out."""
    rows = await session.scalars(
        select(RoutingRuleRow)
        .join(RuleSetRow, RuleSetRow.version == RoutingRuleRow.set_version)
        .where(RuleSetRow.state == RuleSetState.ACTIVE, RoutingRuleRow.active)
        .order_by(RoutingRuleRow.id)
    )
    return in_force((rule_of(row) for row in rows), active_units)


async def active_version(session: AsyncSession) -> int:
    """0: no rules were ever seeded."""
    active = RuleSetRow.state == RuleSetState.ACTIVE
    return await session.scalar(select(RuleSetRow.version).where(active)) or 0


def in_force(
    rules: Iterable[RoutingRule], active_units: Collection[str]
) -> tuple[RoutingRule, ...]:
    """The rules as they are chosen from: closed units get nothing."""
    return tuple(
        rule
        if all(code in active_units for code in rule.co_unit_codes)
        else replace(
            rule, co_unit_codes=tuple(it for it in rule.co_unit_codes if it in active_units)
        )
        for rule in rules
        if rule.unit_code in active_units
    )


def rule_of(row: RoutingRuleRow) -> RoutingRule:
    return RoutingRule(
        id=row.id,
        unit_code=row.unit_code,
        category_code=row.category_code,
        grid_code=row.grid_code,
        priority=row.priority,
        kind=row.kind,
        window=None if row.time_window is None else window_of(row.time_window),
        co_unit_codes=tuple(row.co_unit_codes),
        policy_code=row.policy_code,
        grid_first_minutes=row.grid_first_minutes,
    )


def window_of(words: Mapping[str, Any]) -> TimeWindow:
    """A time window from what the table keeps of it."""

    def told(name: str) -> str | None:
        return words.get(name)

    return TimeWindow(
        weekdays=tuple(words.get("weekdays") or ()),
        opens=time.fromisoformat(opens) if (opens := told("opens")) else None,
        closes=time.fromisoformat(closes) if (closes := told("closes")) else None,
        valid_from=date.fromisoformat(first) if (first := told("valid_from")) else None,
        valid_to=date.fromisoformat(last) if (last := told("valid_to")) else None,
    )


def window_words(window: TimeWindow | None) -> dict[str, Any] | None:
    """A time window as the table keeps it and the API says it."""
    if window is None:
        return None
    return {
        "weekdays": list(window.weekdays),
        "opens": None if window.opens is None else window.opens.isoformat("minutes"),
        "closes": None if window.closes is None else window.closes.isoformat("minutes"),
        "valid_from": None if window.valid_from is None else window.valid_from.isoformat(),
        "valid_to": None if window.valid_to is None else window.valid_to.isoformat(),
    }
