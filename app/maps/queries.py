"""What the map shows of requests: only what ``requests.queries`` lets the caller see.

A figure of a place is keyed by the place's code at the level that is drawn, so that the borders are
sent once and the figures stay small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from asyncpg import Record

from app.domain.identity import Actor
from app.domain.measures import ratio
from app.domain.satisfaction import SATISFIED_FROM
from app.grids.kinds import CODE_DIGITS, GridLevel
from app.maps.atlas import Box
from app.maps.schemas import Layer
from app.requests import queries as requests
from app.requests.queries import Filters
from app.store.session import Database, Statement

MOST_POINTS = 5_000
# Clusters are drawn on a net of so many squares along the longer side of what is looked at.
_SQUARES = 40
# Up to so many places a box is looked up place by place, through their index.
MOST_PLACES = 400

Value = tuple[int, int | None, float | None]


# Layers that count requests; the others are of the registers.
_COUNTED: dict[Layer, tuple[str, str]] = {
    Layer.OPEN: ("count(*)", "NULL::bigint"),
    Layer.OVERDUE: (f"count(*) FILTER (WHERE {requests.OVERDUE})", "count(*)"),
    Layer.RECEIVED: ("count(*)", "NULL::bigint"),
    Layer.SATISFACTION: (
        f"count(*) FILTER (WHERE requests.satisfaction >= {SATISFIED_FROM:d})",
        "count(requests.satisfaction)",
    ),
}


@lru_cache(maxsize=256)
def _layer_statement(layer: Layer, digits: int, where: str) -> Statement:
    num, den = _COUNTED[layer]
    return Statement(f"""
SELECT left(requests.grid_code, {digits:d}) AS code, {num} AS num, {den} AS den
FROM requests
WHERE length(requests.grid_code) >= {digits:d} AND {where}
GROUP BY 1
""")  # noqa: S608 - put together from the fixed conditions of this file


async def layer(
    db: Database,
    shown: Layer,
    level: GridLevel,
    asked: Filters,
    *,
    actor: Actor,
    now: datetime,
) -> dict[str, Value]:
    """Return code → (numerator, denominator, value) for places where there is something to say."""
    where, values = requests.narrowed(requests.listed_for(actor), asked, now=now)
    if shown in (Layer.OPEN, Layer.OVERDUE):
        where.append(requests.IS_OPEN)
    if shown is Layer.OVERDUE:
        values["now"] = now
    statement = _layer_statement(shown, CODE_DIGITS[level], " AND ".join(where))
    rows = await db.rows(statement, **values)
    return {
        code: (num, den, ratio(num, den) if den is not None else None)
        for code, num, den in rows
        if den is None or den > 0
    }


@dataclass(frozen=True, slots=True)
class Points:
    """Requests in a box: rows of POINT_COLUMNS, or clusters (longitude, latitude, count)."""

    count: int
    rows: Sequence[Record]
    clusters: Sequence[tuple[float, float, int]]


POINT_COLUMNS = ("id", "longitude", "latitude", "state", "category_code", "overdue")


@lru_cache(maxsize=256)
def _points_statement(where: str) -> Statement:
    return Statement(f"""
SELECT requests.id, requests.longitude, requests.latitude, requests.state, requests.category_code,
  {requests.OVERDUE} AS overdue
FROM requests WHERE {where} LIMIT {MOST_POINTS + 1:d}
""")  # noqa: S608


@lru_cache(maxsize=256)
def _clusters_statement(where: str) -> Statement:
    return Statement(f"""
SELECT avg(requests.longitude), avg(requests.latitude), count(*)
FROM requests WHERE {where}
GROUP BY floor(requests.longitude / :square::float8), floor(requests.latitude / :square::float8)
""")  # noqa: S608


async def points(
    db: Database,
    box: Box,
    asked: Filters,
    *,
    only_open: bool,
    places: Sequence[str] | None,
    actor: Actor,
    now: datetime,
) -> Points:
    """Return the requests in a WGS-84 box.

    Args:
        places: the grids that reach into the box, where they are few; then only theirs are read.
    """
    west, south, east, north = box
    where, values = requests.narrowed(requests.listed_for(actor), asked, now=now)
    where.append(
        "requests.longitude BETWEEN :west AND :east AND requests.latitude BETWEEN :south AND :north"
    )
    values |= {"west": west, "south": south, "east": east, "north": north}
    if only_open:
        where.append(requests.IS_OPEN)
    if places is not None:
        where.append("requests.grid_code = ANY(:places)")
        values["places"] = list(places)
    condition = " AND ".join(where)
    rows = await db.rows(_points_statement(condition), **values, now=now)
    if len(rows) <= MOST_POINTS:
        return Points(len(rows), rows, ())
    clusters = await db.rows(_clusters_statement(condition), **values, square=square_of(box))
    return Points(sum(row[2] for row in clusters), (), [tuple(row) for row in clusters])


def square_of(box: Box) -> float:
    """The side of a cluster's square, in degrees."""
    west, south, east, north = box
    return max(east - west, north - south) / _SQUARES
