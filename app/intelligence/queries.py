"""Who usually had the like of a request, and what a model makes of it."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.identity import Actor
from app.domain.matters import KIND_TEXT
from app.domain.suggestion import LEVELS, BackOff, Fields, LinearModel
from app.grids.kinds import GridLevel
from app.intelligence.models import RoutingModel
from app.intelligence.service import unpacked
from app.requests.city import City
from app.requests.queries import RequestNotFound, visible_to


def _counted(level: tuple[str, ...]) -> str:
    same = " AND ".join(f"{name} = :{name} AND :{name} <> ''" for name in level)
    return f"count(*) FILTER (WHERE {same})"


_COUNTS = text(f"""
SELECT unit, max(unit_name) AS unit_name, {", ".join(_counted(level) for level in LEVELS)}
FROM routing_history
WHERE (sub_type = :sub_type AND :sub_type <> '') OR (main_type = :main_type AND :main_type <> '')
  OR (type = :type AND :type <> '')
GROUP BY unit
""")  # noqa: S608 - names of our own


class _Loaded:
    """The newest model of this process; a version never changes."""

    newest: tuple[int, LinearModel] | None = None


async def newest_model(session: AsyncSession) -> tuple[int, LinearModel | None]:
    """The newest model and its version; 0 and None if nothing was learned yet."""
    version = await session.scalar(
        select(RoutingModel.version).order_by(RoutingModel.version.desc()).limit(1)
    )
    if version is None:
        return 0, None
    if _Loaded.newest is None or _Loaded.newest[0] != version:
        row = await session.get_one(RoutingModel, version)
        _Loaded.newest = (version, unpacked(row.units, row.features, row.weights))
    return _Loaded.newest


async def counts(session: AsyncSession, fields: Fields) -> tuple[BackOff, dict[str, str]]:
    """The cases that share something with the fields, by level; and what their units are called."""
    asked = {name: fields.get(name, "") for level in LEVELS for name in level}
    names: dict[str, str] = {}
    by_level: dict[tuple[str, ...], Counter[str]] = {level: Counter() for level in LEVELS}
    for unit, unit_name, *found in await session.execute(_COUNTS, asked):
        names[unit] = unit_name
        for level, count in zip(LEVELS, found, strict=True):
            if count:
                by_level[level][unit] = count
    return BackOff.of(fields, by_level), names


async def request_to_route(
    session: AsyncSession, request_id: UUID, actor: Actor
) -> Mapping[str, Any]:
    """What a suggestion goes by. Raises: RequestNotFound."""
    scope = visible_to(actor)
    found = await session.execute(
        text(
            "SELECT id, category_code, grid_code, kind, unit_code, routing FROM requests"  # noqa: S608
            f" WHERE id = :id AND {scope.where}"
        ),
        {"id": request_id, **scope.values},
    )
    row = found.mappings().one_or_none()
    if row is None:
        raise RequestNotFound
    return dict(row)


def fields_of(
    city: City, category_code: str | None, grid_code: str | None, kind: str | None
) -> dict[str, str]:
    """A request in the words that the history has: names of places and categories."""
    fields: dict[str, str] = {}
    for node in city.grids.path(grid_code) if grid_code else ():
        if node.level is GridLevel.TOWN:
            fields["town"] = node.name
        elif node.level is GridLevel.COMMUNITY:
            fields["community"] = node.name
    categories = city.reference.categories
    if category_code is not None and category_code in categories:
        path = city.reference.category_path(category_code)
        fields["type"] = categories[path[0]].name
        fields["main_type"] = fields["sub_type"] = categories[category_code].name
    if kind is not None:
        fields["kind"] = {str(code): words for code, words in KIND_TEXT.items()}.get(kind, kind)
    return fields


_WINDOW = text("""
SELECT id, number, state, category_code, grid_code, kind, submitted_at FROM requests
WHERE submitted_at >= :since
  AND (submitted_at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid))
ORDER BY submitted_at DESC, id DESC LIMIT :limit
""")
LAST_ID = UUID(int=2**128 - 1)


async def requests_before(
    session: AsyncSession, *, since: datetime, before: tuple[datetime, UUID], limit: int
) -> list[Mapping[str, Any]]:
    """Requests of [since, before), newest first: what routing looks at, and nothing personal."""
    found = await session.execute(
        _WINDOW,
        {"since": since, "before_at": before[0], "before_id": before[1], "limit": limit},
    )
    return [dict(row) for row in found.mappings()]
