"""What an endpoint may ask of the reference data."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.reference.queries import Reference


async def reference(http: HttpRequest) -> Reference:
    """The newest snapshot; keep it for one HTTP request."""
    return cast(Reference, http.app.state.reference.current)


ReferenceData = Annotated[Reference, Depends(reference)]
