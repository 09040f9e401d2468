"""What of a single request those are told who see figures only (审计员、管理员). One rule. Pure.

A figure is told only where enough people are behind it, but the list behind it has a line for each
request. If the lines said who answers for it, what it is about and where it is, anybody could count
the very cells that are hidden. So a line says of these *facets* only what the question said
already: all lines of the list of one unit name that unit, and none names a category. Whoever opens
one request by its number has asked for none, and is told none.

It holds for every list, page and file: ``requests.views``, ``statistics.views``,
``statistics.detail``. Who must know the facets of one request opens its audit, which says so.
"""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from app.domain.identity import BLIND_ROLES, Actor

# As columns of requests; the place of a single request is never told, whatever was asked.
FACETS = ("unit_code", "category_code", "kind", "channel", "grid_code")
NEVER = frozenset({"grid_code"})
# Parts of the names of facts in a history that tell one.
_TELLING = ("unit", "category", "kind", "channel", "grid", "proposed")


class Row(Protocol):
    def __getitem__(self, name: str, /) -> Any: ...


def told(row: Row, actor: Actor, *, asked: Collection[str] = ()) -> dict[str, str | None]:
    """The facets of a request as ``actor`` is told them, by column; None: not told.

    Args:
        asked: those that are the same in all lines, because the question named one value.
    """
    if actor.role not in BLIND_ROLES:
        return {facet: row[facet] for facet in FACETS}
    return {facet: row[facet] if facet in asked and facet not in NEVER else None
            for facet in FACETS}  # fmt: skip


def without(facts: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """What a history notes of a step, as ``actor`` is told it."""
    if actor.role not in BLIND_ROLES:
        return dict(facts)
    return {name: fact for name, fact in facts.items()
            if not any(part in name for part in _TELLING)}  # fmt: skip
