"""The tree of places as every process holds it in memory: names, paths, and where a point lies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.grids.kinds import GridLevel
from app.grids.locator import Located, Locator
from app.store.session import Database, Statement

TOPIC = "grids"

_ALL = Statement(
    "SELECT code, parent_code, level, name, active, boundary FROM grids"
    " ORDER BY length(code), sort, code"
)


@dataclass(frozen=True, slots=True)
class GridNode:
    """``active`` is false as soon as the place or one above it was closed."""

    code: str
    name: str
    level: GridLevel
    parent_code: str | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class GridIndex:
    """One loaded state of the tree. Closed places keep their names but are never located."""

    nodes: Mapping[str, GridNode]
    _paths: Mapping[str, tuple[GridNode, ...]] = field(repr=False)
    _children: Mapping[str | None, tuple[GridNode, ...]] = field(repr=False)
    _locator: Locator = field(repr=False)

    def node(self, code: str) -> GridNode | None:
        return self.nodes.get(code)

    def path(self, code: str) -> tuple[GridNode, ...]:
        """From the town down to the place itself; empty if the code is unknown."""
        return self._paths.get(code, ())

    def name_path(self, code: str) -> str:
        """``阜安街道 / 福安新村 / 第1网格``; empty if the code is unknown."""
        return " / ".join([node.name for node in self._paths.get(code, ())])

    def children(self, code: str | None = None) -> tuple[GridNode, ...]:
        """The active places right below ``code``; the towns for None."""
        return self._children.get(code, ())

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


def build(records: Iterable[GridRecord]) -> GridIndex:
    """Build the index. Args: ``records`` with parents before their children."""
    nodes: dict[str, GridNode] = {}
    paths: dict[str, tuple[GridNode, ...]] = {}
    children: dict[str | None, list[GridNode]] = {}
    shapes: dict[str, bytes] = {}
    for record in records:
        above = paths[record.parent_code] if record.parent_code is not None else ()
        active = record.active and (not above or above[-1].active)
        node = GridNode(record.code, record.name, record.level, record.parent_code, active)
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
    )


async def load(db: Database) -> GridIndex:
    """Read the whole tree, for ``Snapshot("grids", load)``."""
    rows = await db.rows(_ALL)
    return build(
        GridRecord(code, parent_code, GridLevel(level), name, active, boundary)
        for code, parent_code, level, name, active, boundary in rows
    )
