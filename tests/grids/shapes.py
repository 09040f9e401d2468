"""Builders: small places on the map, as rows of the table or as GeoJSON."""

from typing import Any

import shapely

from app.grids.kinds import CODE_DIGITS, LEVEL_OF_DIGITS, PARENT_LEVEL
from app.grids.queries import GridRecord

TOWN = "370281001"
COMMUNITY = f"{TOWN}601"
GRID = f"{COMMUNITY}001"


def square(west: float = 120.0, south: float = 36.2, side: float = 0.01) -> list[list[list[float]]]:
    """The coordinates of a square polygon."""
    east, north = west + side, south + side
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def record(
    code: str, rings: list[list[list[float]]] | None, *, name: str = "", active: bool = True
) -> GridRecord:
    level = LEVEL_OF_DIGITS[len(code)]
    above = PARENT_LEVEL[level]
    boundary = None if rings is None else shapely.to_wkb(shapely.Polygon(rings[0], rings[1:]))
    return GridRecord(
        code,
        code[: CODE_DIGITS[above]] if above is not None else None,
        level,
        name or f"名{code[-3:]}",
        active,
        boundary,
    )


def feature(
    code: str = TOWN,
    coordinates: Any = None,
    *,
    kind: str = "Polygon",
    name: str = "阜安街道",
    **properties: Any,
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"code": code, "name": name, **properties},
        "geometry": {
            "type": kind,
            "coordinates": square() if coordinates is None else coordinates,
        },
    }


def document(*features: Any, **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **members}
