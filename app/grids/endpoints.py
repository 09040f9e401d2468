"""Reading the tree of places, and asking where points lie."""

from fastapi import APIRouter, Depends

from app.domain import geometry
from app.domain.errors import NotFound
from app.domain.identity import Permission
from app.grids.deps import Grids
from app.grids.kinds import LEVEL_TEXT
from app.grids.locator import Located
from app.grids.queries import GridIndex, GridNode
from app.grids.schemas import (
    GridOut,
    GridRefOut,
    GridsOut,
    LocatedListOut,
    LocatedOut,
    LocateIn,
)
from app.people.deps import permit
from app.web.strict_json import StrictRoute

router = APIRouter(
    prefix="/api/v1/grids",
    tags=["grids"],
    route_class=StrictRoute,
    dependencies=[Depends(permit(Permission.REFERENCE_READ))],
)


class GridNotFound(NotFound):
    """没有这个网格。"""

    code = "grid_not_found"


@router.get("")
async def list_grids(grids: Grids, parent: str | None = None) -> GridsOut:
    """The places right below ``parent``; without it, the towns."""
    if parent is not None and grids.node(parent) is None:
        raise GridNotFound
    return GridsOut(items=[_grid(grids, node) for node in grids.children(parent)])


@router.post("/locate")
async def locate(grids: Grids, asked: LocateIn) -> LocatedListOut:
    """Where points lie, in the order of the question."""
    points = [
        geometry.to_wgs84(point.latitude, point.longitude, point.coord_sys)
        for point in asked.points
    ]
    return LocatedListOut(items=[_located(grids, found) for found in grids.locate_many(points)])


@router.get("/{code}")
async def get_grid(grids: Grids, code: str) -> GridOut:
    node = grids.node(code)
    if node is None:
        raise GridNotFound
    return _grid(grids, node)


def _grid(grids: GridIndex, node: GridNode) -> GridOut:
    return GridOut(
        code=node.code,
        name=node.name,
        level=node.level,
        level_text=LEVEL_TEXT[node.level],
        parent_code=node.parent_code,
        active=node.active,
        child_count=len(grids.children(node.code)),
        path=[_ref(above) for above in grids.path(node.code)],
    )


def _ref(node: GridNode) -> GridRefOut:
    return GridRefOut(code=node.code, name=node.name, level=node.level)


def _located(grids: GridIndex, found: Located | None) -> LocatedOut:
    if found is None:
        return LocatedOut(grid=None, path=[], distance_m=None, certain=False)
    path = [_ref(node) for node in grids.path(found.code)]
    return LocatedOut(grid=path[-1], path=path, distance_m=found.distance_m, certain=found.certain)
