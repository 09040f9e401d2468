"""What the map shows of people, land and houses: how many where, and where houses and plots lie.

Where people in need of care live is told by grid to the grid's own staff; to everybody else only
by community and town, where a number points at no door.
"""

from functools import lru_cache

from app.domain.errors import Forbidden
from app.domain.identity import GRANTS, Actor, Permission, Role
from app.domain.registry import Kind, Tag
from app.grids.kinds import CODE_DIGITS, GridLevel
from app.maps.atlas import Box
from app.maps.queries import MOST_POINTS, Points, Value, square_of
from app.registry.kinds import SPECS
from app.registry.queries import scope_of
from app.store.session import Database, Statement

CARE = (Tag.LIVING_ALONE, Tag.LOW_INCOME)
_GRID_STAFF = frozenset({Role.GRID_LEADER, Role.MICRO_GRID_LEADER})
_COARSE = frozenset({GridLevel.TOWN, GridLevel.COMMUNITY})
POINT_COLUMNS = ("id", "longitude", "latitude", "use")


class CareNotForRole(Forbidden):
    """您的角色不能查看关爱人群图层。"""

    code = "map_care_not_for_role"


class CareTooFine(Forbidden):
    """关爱人群只能按村社区或镇街汇总查看。"""

    code = "map_care_too_fine"


@lru_cache(maxsize=64)
def _counted(where: str, tagged: str) -> Statement:
    return Statement(f"""
SELECT left(record.grid_code, :digits::int) AS code, count(*) AS people
FROM registry_persons AS record
WHERE record.active AND length(record.grid_code) >= :digits::int AND {where}{tagged}
GROUP BY 1
""")  # noqa: S608 - `where` comes from scope_of


async def residents(db: Database, level: GridLevel, *, actor: Actor) -> dict[str, int]:
    """Return code → how many registered people live there, where there are any."""
    scope = scope_of(actor)
    rows = await db.rows(_counted(scope.where, ""), digits=CODE_DIGITS[level], **scope.values)
    return {row["code"]: row["people"] for row in rows}


async def in_care(db: Database, level: GridLevel, *, actor: Actor) -> dict[str, Value]:
    """Return code → how many people in need of care live there.

    Raises: CareNotForRole, CareTooFine.
    """
    if actor.role not in GRANTS[Permission.REGISTRY_PROGRESS]:
        raise CareNotForRole
    if actor.role not in _GRID_STAFF and level not in _COARSE:
        raise CareTooFine
    scope = scope_of(actor)
    statement = _counted(scope.where, " AND record.tags && :tags::varchar[]")
    rows = await db.rows(
        statement, digits=CODE_DIGITS[level], tags=[str(tag) for tag in CARE], **scope.values
    )
    return {code: (people, None, None) for code, people in rows}


@lru_cache(maxsize=64)
def _points(table: str, where: str) -> Statement:
    return Statement(f"""
SELECT record.id, record.longitude, record.latitude, record.use FROM {table} AS record
WHERE record.active AND {where}
  AND record.longitude BETWEEN :west AND :east AND record.latitude BETWEEN :south AND :north
LIMIT {MOST_POINTS + 1:d}
""")  # noqa: S608 - our own tables, and `where` from scope_of


@lru_cache(maxsize=64)
def _clusters(table: str, where: str) -> Statement:
    return Statement(f"""
SELECT avg(record.longitude), avg(record.latitude), count(*) FROM {table} AS record
WHERE record.active AND {where}
  AND record.longitude BETWEEN :west AND :east AND record.latitude BETWEEN :south AND :north
GROUP BY floor(record.longitude / :square::float8), floor(record.latitude / :square::float8)
""")  # noqa: S608


async def points(db: Database, kind: Kind, box: Box, *, actor: Actor) -> Points:
    """Return the houses or plots in a WGS-84 box."""
    scope, table = scope_of(actor), SPECS[kind].table
    west, south, east, north = box
    values = {**scope.values, "west": west, "south": south, "east": east, "north": north}
    rows = await db.rows(_points(table, scope.where), **values)
    if len(rows) <= MOST_POINTS:
        return Points(len(rows), rows, ())
    clusters = await db.rows(_clusters(table, scope.where), **values, square=square_of(box))
    return Points(sum(row[2] for row in clusters), (), [tuple(row) for row in clusters])
