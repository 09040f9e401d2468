"""What the endpoints of requests ask for."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.requests.city import City, Serials
from app.store.notices import Snapshot


def city_of(state: object) -> City:
    """The city as this process knows it now. ``state`` is the application's."""
    reference = cast("Snapshot[object]", state.reference).current  # type: ignore[attr-defined]
    grids = cast("Snapshot[object]", state.grids).current  # type: ignore[attr-defined]
    return City(reference, grids, state.cipher)  # type: ignore[arg-type,attr-defined]


async def city(http: HttpRequest) -> City:
    return city_of(http.app.state)


async def serials(http: HttpRequest) -> Serials:
    return cast(Serials, http.app.state.serials)


CityNow = Annotated[City, Depends(city)]
SerialNumbers = Annotated[Serials, Depends(serials)]
