"""The map (网格一张图) over HTTP: borders once, figures and points by filter."""

from datetime import datetime
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain import geometry
from app.domain.errors import Forbidden, NotFound
from app.domain.geometry import CoordSys
from app.domain.identity import BLIND_ROLES, Actor, Permission
from app.domain.registry import Kind
from app.grids.kinds import LEVEL_TEXT, GridLevel
from app.maps import queries, registers
from app.maps.deps import CurrentAtlas
from app.maps.schemas import (
    LAYER_TEXT,
    OF_REQUESTS,
    BoxIn,
    Layer,
    LayerIn,
    LayerOut,
    MapCoordSys,
    MapLayerOut,
    MapLevelOut,
    MapOut,
    PointsOut,
    RequestPointsIn,
)
from app.people.deps import permit
from app.requests.queries import Filters
from app.store.session import Database
from app.web.asked import Asked
from app.web.deps import Db, Now
from app.web.period import span
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1/map", tags=["map"], route_class=StrictRoute)

Reader = Annotated[Actor, Depends(permit(Permission.MAP_READ))]
NOTICE = "示意图，不作为权属依据。"  # own borders are drawn, no surveyed ones
_NONE: queries.Value = (0, None, None)
_FOR_EVER = "private, max-age=31536000, immutable"


class MapVersionUnknown(NotFound):
    """网格边界已更新，请重新打开地图。"""

    code = "map_version_unknown"


class PointsNotForRole(Forbidden):
    """您的角色只能查看汇总图层，不能查看具体位置。"""

    code = "map_points_not_for_role"


class LayerInStatistics(Forbidden):
    """您的角色请在统计查询中按镇街、社区或网格查看诉求数据，再与地图边界对应。"""

    code = "map_layer_in_statistics"


def _in_statistics(layer: Layer, actor: Actor) -> bool:
    """Blind roles are told figures of requests where small cells are hidden: not here."""
    return layer in OF_REQUESTS and actor.role in BLIND_ROLES


@router.get("")
async def get_map(actor: Reader, atlas: CurrentAtlas) -> MapOut:
    """What there is to draw for the caller, and where it lies."""
    systems = (CoordSys.WGS84, CoordSys.GCJ02)
    return MapOut(
        version=atlas.version,
        bounds={system: atlas.bounds(system) for system in systems},
        levels=[
            MapLevelOut(
                level=level,
                level_text=LEVEL_TEXT[level],
                places=places,
                urls={
                    system: f"/api/v1/map/borders/{atlas.version}/{level}/{system}"
                    for system in systems
                },
            )
            for level, places in atlas.levels().items()
        ],
        layers=[
            MapLayerOut(layer=layer, text=text)
            for layer, text in LAYER_TEXT.items()
            if not _in_statistics(layer, actor)
        ],
        notice=NOTICE,
    )


@router.get("/borders/{version}/{level}/{coord_sys}")
async def get_borders(
    http: HttpRequest,
    _actor: Reader,
    atlas: CurrentAtlas,
    version: str,
    level: GridLevel,
    coord_sys: MapCoordSys,
) -> Response:
    """The borders of one level, in the form of ``docs/map.md``. Keep it: it never changes."""
    if version != atlas.version:
        raise MapVersionUnknown
    sheet = await atlas.sheet(level, coord_sys)
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    if "gzip" not in http.headers.get("accept-encoding", ""):
        return Response(sheet.body, 200, headers, "application/json")
    return Response(sheet.zipped, 200, {**headers, "Content-Encoding": "gzip"}, "application/json")


@router.get("/figures", response_model=LayerOut)
async def get_figures(
    actor: Reader,
    db: Db,
    now: Now,
    atlas: CurrentAtlas,
    asked: Annotated[LayerIn, Depends(Asked(LayerIn))],
) -> Response:
    """One figure for each place of a level: what a map is coloured by."""
    if _in_statistics(asked.layer, actor):
        raise LayerInStatistics
    submitted_from, submitted_to = span(asked.first, asked.last)
    which = Filters(
        category_code=asked.category, submitted_from=submitted_from, submitted_to=submitted_to
    )
    values = await _values(db, asked, which, actor, now)
    return _json(
        {
            "version": atlas.version,
            "layer": asked.layer,
            "level": asked.level,
            "submitted_from": submitted_from,
            "submitted_to": submitted_to,
            "values": values,
        }
    )


async def _values(
    db: Database, asked: LayerIn, which: Filters, actor: Actor, now: datetime
) -> dict[str, queries.Value]:
    level = asked.level
    match asked.layer:
        case Layer.CARE:
            return await registers.in_care(db, level, actor=actor)
        case Layer.RESIDENTS:
            found = await registers.residents(db, level, actor=actor)
            return {code: (people, None, None) for code, people in found.items()}
        case Layer.PER_1000:
            received = await queries.layer(db, Layer.RECEIVED, level, which, actor=actor, now=now)
            found = await registers.residents(db, level, actor=actor)
            counts = {code: received.get(code, _NONE)[0] for code in found}
            return {
                code: (counts[code], people, counts[code] / people * 1_000)
                for code, people in found.items()
            }
        case layer:
            return await queries.layer(db, layer, level, which, actor=actor, now=now)


@router.get("/requests", response_model=PointsOut)
async def get_request_points(
    actor: Reader,
    db: Db,
    now: Now,
    atlas: CurrentAtlas,
    asked: Annotated[RequestPointsIn, Depends(Asked(RequestPointsIn, many=frozenset({"state"})))],
) -> Response:
    """Where requests are: up to 5,000 as points, more as clusters. Open ones by default."""
    if actor.role in BLIND_ROLES:
        raise PointsNotForRole
    submitted_from, submitted_to = span(asked.first, asked.last)
    which = Filters(
        states=tuple(asked.state),
        category_code=asked.category,
        submitted_from=submitted_from,
        submitted_to=submitted_to,
    )
    box = asked.box()
    places = atlas.touched(box)
    found = await queries.points(
        db,
        box,
        which,
        only_open=asked.open and not asked.state,
        places=places if len(places) <= queries.MOST_PLACES else None,
        actor=actor,
        now=now,
    )
    return _points_out(found, queries.POINT_COLUMNS, asked.coord_sys)


@router.get("/{layer}", response_model=PointsOut)
async def get_register_points(
    actor: Annotated[Actor, Depends(permit(Permission.REGISTRY_READ))],
    db: Db,
    layer: Literal["houses", "plots"],
    asked: Annotated[BoxIn, Depends(Asked(BoxIn))],
) -> Response:
    """Where houses or plots are: up to 5,000 as points, more as clusters."""
    kind = Kind.HOUSE if layer == "houses" else Kind.PLOT
    found = await registers.points(db, kind, asked.box(), actor=actor)
    return _points_out(found, registers.POINT_COLUMNS, asked.coord_sys)


def _points_out(found: queries.Points, columns: tuple[str, ...], coord_sys: CoordSys) -> Response:
    return _json(
        {
            "coord_sys": coord_sys,
            "count": found.count,
            "clustered": bool(found.clusters),
            "columns": columns,
            "rows": [
                (str(row[0]), *_drawn(row[1], row[2], coord_sys), *row[3:]) for row in found.rows
            ],
            "clusters": [
                (*_drawn(longitude, latitude, coord_sys), count)
                for longitude, latitude, count in found.clusters
            ],
        }
    )


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _drawn(longitude: float, latitude: float, coord_sys: CoordSys) -> tuple[float, float]:
    """A WGS-84 point as (longitude, latitude) of the map it is drawn on, to about 0.1 m."""
    latitude, longitude = geometry.from_wgs84(latitude, longitude, coord_sys)
    return round(longitude, 6), round(latitude, 6)
