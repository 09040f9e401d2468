"""What an endpoint may ask for: the tree of places as this process holds it."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.domain.errors import NotFound
from app.grids.queries import GridIndex
from app.store.notices import Snapshot


class GridNotFound(NotFound):
    """没有这个网格。"""

    code = "grid_not_found"


async def grid_index(http: HttpRequest) -> GridIndex:
    return cast("Snapshot[GridIndex]", http.app.state.grids).current


Grids = Annotated[GridIndex, Depends(grid_index)]
