"""What another set of rules would have done with the requests of the last days. Writes nothing.

The requests are read batch by batch, newest first, so the memory it takes does not grow with them.
Both sets choose anew for each: compared are two answers of the rules, not what people made of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.matters import Kind
from app.domain.routing import RoutingRule, UnitChoice
from app.grids.queries import GridIndex
from app.intelligence import queries
from app.reference.queries import Reference
from app.reference.rules import RuleBook

_AT_ONCE = 1_000
Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class MovedRequest:
    """A request that would go elsewhere: facts of its place and matter, nobody's data."""

    row: Mapping[str, Any]
    before: UnitChoice
    after: UnitChoice


@dataclass(slots=True)
class DryRun:
    """What was found.

    Attributes:
        examined, moved: requests looked at, and those that another unit would get.
        otherwise: the same unit, but other co-units, another policy or another time in the grid.
        ways: (from, to) → how many; None: a dispatcher.
        listed: the first of the moved ones; ``next_before``: where the next page goes on.
    """

    examined: int = 0
    moved: int = 0
    otherwise: int = 0
    ways: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    listed: list[MovedRequest] = field(default_factory=list)
    next_before: Position | None = None


class _Chooser:
    """The units that one set of rules gives."""

    def __init__(
        self, reference: Reference, grids: GridIndex, rules: Sequence[RoutingRule]
    ) -> None:
        self._reference, self._grids = reference, grids
        paths = {code: reference.category_path(code) for code in reference.categories}
        self._book = RuleBook(rules, paths)

    def choose(self, row: Mapping[str, Any]) -> UnitChoice:
        reference = self._reference
        category = row["category_code"] if row["category_code"] in reference.categories else None
        return self._book.choose(
            category,
            [node.code for node in self._grids.path(row["grid_code"] or "")],
            default_unit_code=reference.default_unit_code(category),
            kind=Kind(row["kind"]) if row["kind"] else None,
            at=row["submitted_at"],
        )


async def run(
    session: AsyncSession,
    reference: Reference,
    grids: GridIndex,
    *,
    before: Sequence[RoutingRule],
    after: Sequence[RoutingRule],
    days: int,
    limit: int,
    position: Position | None,
    now: datetime,
) -> DryRun:
    """Choose by both sets for every request of the last ``days``.

    Args:
        position: of a further page; then only as many are looked at as the page needs.
    """
    old, new = _Chooser(reference, grids, before), _Chooser(reference, grids, after)
    found, since = DryRun(), now - timedelta(days=days)
    at: Position = position or (now + timedelta(days=1), queries.LAST_ID)
    while batch := await queries.requests_before(session, since=since, before=at, limit=_AT_ONCE):
        for row in batch:
            at = (row["submitted_at"], row["id"])
            _look_at(found, row, old.choose(row), new.choose(row), limit)
            if position is not None and len(found.listed) == limit:
                found.next_before = at
                return found
            if found.next_before is None and len(found.listed) == limit:
                found.next_before = at
        if len(batch) < _AT_ONCE:
            break
    if found.moved <= limit:
        found.next_before = None
    return found


def _look_at(
    found: DryRun, row: Mapping[str, Any], before: UnitChoice, after: UnitChoice, limit: int
) -> None:
    found.examined += 1
    if before.unit_code == after.unit_code:
        found.otherwise += _besides(before) != _besides(after)
        return
    found.moved += 1
    found.ways[before.unit_code, after.unit_code] += 1
    if len(found.listed) < limit:
        found.listed.append(MovedRequest(row, before, after))


def _besides(choice: UnitChoice) -> tuple[object, ...]:
    rule = choice.rule
    return ((), None, 0) if rule is None else (
        rule.co_unit_codes, rule.policy_code, rule.grid_first_minutes
    )  # fmt: skip
