"""Reading the tree of places, and asking where points lie."""

from fastapi import APIRouter, Depends

from app.domain import geometry
from app.domain.coverage import area_m2
from app.domain.identity import Permission
from app.grids.deps import GridNotFound, Grids
from app.grids.locator import Located
from app.grids.queries import GridIndex, GridNode, GridVersion, versions_of
from app.grids.schemas import (
    GridOut,
    GridRefOut,
    GridsOut,
    GridVersionOut,
    GridVersionsOut,
    LocatedListOut,
    LocatedOut,
    LocateIn,
)
from app.people.deps import permit
from app.web.deps import Session
from app.web.strict_json import StrictRoute

router = APIRouter(
    prefix="/api/v1/grids",
    tags=["grids"],
    route_class=StrictRoute,
    dependencies=[Depends(permit(Permission.REFERENCE_READ))],
)


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


@router.get("/{code}/versions")
async def list_versions(grids: Grids, session: Session, code: str) -> GridVersionsOut:
    """What the place was called, and how large it was, from when until when; the newest first."""
    if grids.node(code) is None:
        raise GridNotFound
    return GridVersionsOut(items=[_version(one) for one in await versions_of(session, code)])


def _version(version: GridVersion) -> GridVersionOut:
    return GridVersionOut(
        name=version.name,
        active=version.active,
        area_m2=None if version.shape is None else round(area_m2(version.shape), 2),
        valid_from=version.valid_from,
        valid_to=version.valid_to,
    )


def _grid(grids: GridIndex, node: GridNode) -> GridOut:
    return GridOut(
        code=node.code,
        name=node.name,
        level=node.level,
        level_text=grids.level_text(node.level, node.code),
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
