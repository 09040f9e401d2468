"""The tree of places as every process holds it in memory: names, paths, and where a point lies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import shapely
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.coverage import LOAD_RULES, LoadRule, Shape
from app.grids.kinds import LEVEL_TEXT, GridLevel
from app.grids.lineage import Lineage, Link, in_common
from app.grids.locator import Located, Locator
from app.store.session import Database, Statement

TOPIC = "grids"

_ALL = Statement(
    "SELECT code, parent_code, level, name, active, boundary FROM grids"
    " ORDER BY length(code), sort, code"
)
_COUNTIES = Statement("SELECT code, name, boundary FROM grid_counties ORDER BY code")
_LEVEL_NAMES = Statement("SELECT scope, level, name FROM grid_level_names")
_LOAD_RULES = Statement("SELECT scope, level, least, most FROM grid_load_rules")
_VERSIONS = text("""
SELECT name, boundary, active, updated_at, NULL FROM grids WHERE code = :code
UNION ALL (
  SELECT name, boundary, active, valid_from, valid_to FROM grid_versions WHERE code = :code
  ORDER BY valid_to DESC, id DESC LIMIT 100
)
""")
_LINEAGE = Statement("SELECT old_code, new_code, since FROM grid_lineage")


@dataclass(frozen=True, slots=True)
class County:
    """The ground that towns must cover. ``shape`` is None while nobody has drawn it."""

    code: str
    name: str
    shape: Shape | None


@dataclass(frozen=True, slots=True)
class GridNode:
    """``active`` is false as soon as the place or one above it was closed.

    ``name_path`` is put together once: ``阜安街道 / 福安新村 / 第1网格``.
    """

    code: str
    name: str
    level: GridLevel
    parent_code: str | None
    active: bool = True
    name_path: str = ""


@dataclass(frozen=True, slots=True)
class GridIndex:
    """One loaded state of the tree. Closed places keep their names but are never located."""

    nodes: Mapping[str, GridNode]
    _paths: Mapping[str, tuple[GridNode, ...]] = field(repr=False)
    _children: Mapping[str | None, tuple[GridNode, ...]] = field(repr=False)
    _locator: Locator = field(repr=False)
    counties: Mapping[str, County] = field(default_factory=dict, repr=False)
    level_names: Mapping[tuple[str, GridLevel], str] = field(default_factory=dict, repr=False)
    load_rules: tuple[LoadRule, ...] = field(default=LOAD_RULES, repr=False)
    lineage: Lineage = field(default_factory=Lineage, repr=False)

    def node(self, code: str) -> GridNode | None:
        return self.nodes.get(code)

    def path(self, code: str) -> tuple[GridNode, ...]:
        """From the town down to the place itself; empty if the code is unknown."""
        return self._paths.get(code, ())

    def name_path(self, code: str) -> str:
        """The names down to the place; empty if the code is unknown."""
        node = self.nodes.get(code)
        return node.name_path if node else ""

    def children(self, code: str | None = None) -> tuple[GridNode, ...]:
        """The active places right below ``code``; the towns for None."""
        return self._children.get(code, ())

    def shape(self, code: str) -> Shape | None:
        """The boundary of an active place or of a county, WGS-84; None if nobody drew it."""
        county = self.counties.get(code)
        return self._locator.shape(code) if county is None else county.shape

    def level_text(self, level: GridLevel, code: str) -> str:
        """What ``level`` is called where ``code`` lies: the name of the narrowest scope."""
        for digits in range(len(code), -1, -1):
            name = self.level_names.get((code[:digits], level))
            if name is not None:
                return name
        return LEVEL_TEXT[level]

    def present_code(
        self, code: str, at: datetime, point: tuple[float, float] | None = None
    ) -> str:
        """Where something counts today that happened in ``code`` at ``at``.

        Of a place that was split the part that holds the point, if there is one; otherwise the
        deepest place that all parts have in common ("" if there is none).
        """
        parts = self.lineage.present(code, at)
        if len(parts) == 1:
            return parts[0]
        found = None if point is None else self.locate(*point)
        if found is not None and found.certain:
            for part in parts:
                if found.code.startswith(part):
                    return part
        return in_common(parts)

    def locate(self, latitude: float, longitude: float) -> Located | None:
        """The deepest active place that holds a WGS-84 point.

        On a border the lowest code wins. Outside all: the nearest within 300 m, not ``certain``;
        farther away: None.
        """
        return self._locator.locate(latitude, longitude)

    def locate_many(self, points: Sequence[tuple[float, float]]) -> list[Located | None]:
        """``locate`` for many ``(latitude, longitude)``, some 10 times cheaper a point."""
        return self._locator.locate_many(points)

    def covers(self, latitude: float, longitude: float) -> bool:
        """Whether the city, 300 m around it included, holds a WGS-84 point.

        While no boundary is known at all, nothing can be outside.
        """
        return len(self._locator) == 0 or self.locate(latitude, longitude) is not None


@dataclass(frozen=True, slots=True)
class GridRecord:
    """What the index is made of: one row of the table."""

    code: str
    parent_code: str | None
    level: GridLevel
    name: str
    active: bool
    boundary: bytes | None


def build(
    records: Iterable[GridRecord],
    *,
    counties: Iterable[County] = (),
    level_names: Mapping[tuple[str, GridLevel], str] | None = None,
    load_rules: Iterable[LoadRule] = (),
    links: Iterable[Link] = (),
) -> GridIndex:
    """Build the index.

    Args:
        records: with parents before their children.
        load_rules: the city's own; the house's remain where they say nothing.
    """
    nodes: dict[str, GridNode] = {}
    paths: dict[str, tuple[GridNode, ...]] = {}
    children: dict[str | None, list[GridNode]] = {}
    shapes: dict[str, bytes] = {}
    for record in records:
        above = paths[record.parent_code] if record.parent_code is not None else ()
        active = record.active and (not above or above[-1].active)
        node = GridNode(
            record.code,
            record.name,
            record.level,
            record.parent_code,
            active,
            f"{above[-1].name_path} / {record.name}" if above else record.name,
        )
        nodes[node.code] = node
        paths[node.code] = (*above, node)
        if active:
            children.setdefault(node.parent_code, []).append(node)
            if record.boundary is not None:
                shapes[node.code] = record.boundary
    return GridIndex(
        nodes=nodes,
        _paths=paths,
        _children={code: tuple(below) for code, below in children.items()},
        _locator=Locator(list(shapes), list(shapes.values())),
        counties={county.code: county for county in counties},
        level_names=dict(level_names or {}),
        load_rules=_merged(load_rules),
        lineage=Lineage(links),
    )


def _merged(own: Iterable[LoadRule]) -> tuple[LoadRule, ...]:
    said = {(rule.scope, rule.level): rule for rule in (*LOAD_RULES, *own)}
    return tuple(said.values())


async def load(db: Database) -> GridIndex:
    """Read the whole tree, for ``Snapshot("grids", load)``."""
    rows = await db.rows(_ALL)
    return build(
        (
            GridRecord(code, parent_code, GridLevel(level), name, active, boundary)
            for code, parent_code, level, name, active, boundary in rows
        ),
        counties=[
            County(code, name, _shape(boundary))
            for code, name, boundary in await db.rows(_COUNTIES)
        ],
        level_names={
            (scope, GridLevel(level)): name for scope, level, name in await db.rows(_LEVEL_NAMES)
        },
        load_rules=[
            LoadRule(GridLevel(level), least, most, scope)
            for scope, level, least, most in await db.rows(_LOAD_RULES)
        ],
        links=[Link(old, new, since) for old, new, since in await db.rows(_LINEAGE)],
    )


@dataclass(frozen=True, slots=True)
class GridVersion:
    """What a place was or, with ``valid_to`` None, is."""

    name: str
    shape: Shape | None
    active: bool
    valid_from: datetime
    valid_to: datetime | None


async def versions_of(session: AsyncSession, code: str) -> list[GridVersion]:
    """Everything a place has been, the newest first; empty if it never was."""
    rows = await session.execute(_VERSIONS, {"code": code})
    return [
        GridVersion(name, _shape(boundary), active, since, until)
        for name, boundary, active, since, until in rows
    ]


def _shape(boundary: bytes | None) -> Shape | None:
    return None if boundary is None else shapely.from_wkb(boundary)


# A lineage as a table, for statistics by the places of today. Join it so:
#   LEFT JOIN LATERAL (
#     SELECT now_code FROM lineage
#     WHERE starts_with(requests.grid_code, lineage.code) AND requests.submitted_at < lineage.before
#     ORDER BY length(lineage.code) DESC, lineage.before LIMIT 1
#   ) AS became ON true
# and count by coalesce(became.now_code, requests.grid_code).
LINEAGE_CTE = """
lineage (code, before, now_code) AS (
  SELECT * FROM unnest(
    CAST(:lineage_codes AS text[]), CAST(:lineage_befores AS timestamptz[]),
    CAST(:lineage_now_codes AS text[])
  )
)
"""


def lineage_parameters(grids: GridIndex) -> dict[str, list[object]]:
    """The parameters of ``LINEAGE_CTE``: the whole lineage, some rows a reorganisation."""
    segments = grids.lineage.segments()
    return {
        "lineage_codes": [segment.code for segment in segments],
        "lineage_befores": [segment.before for segment in segments],
        "lineage_now_codes": [segment.now_code for segment in segments],
    }
