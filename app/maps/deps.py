"""What an endpoint may ask for: the borders as this process has drawn them."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.maps.atlas import Atlas, Atlases


async def current_atlas(http: HttpRequest) -> Atlas:
    state = http.app.state
    try:
        atlases = cast(Atlases, state.atlases)
    except AttributeError:
        atlases = state.atlases = Atlases()
    return await atlases.current(state.db, state.grids.current)


CurrentAtlas = Annotated[Atlas, Depends(current_atlas)]
