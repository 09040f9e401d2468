"""What the endpoints of the registers ask for: a permission each, and the query of a list."""

from typing import Annotated, Literal

from fastapi import Depends
from pydantic import Field

from app.domain.identity import Actor, Permission
from app.domain.registry import FRESH_DAYS, Tag
from app.people.deps import permit
from app.web.asked import QueryIn
from app.web.wire import Id, Line, PageLimit

Collector = Annotated[Actor, Depends(permit(Permission.REGISTRY_COLLECT))]
Reader = Annotated[Actor, Depends(permit(Permission.REGISTRY_READ))]
Opener = Annotated[Actor, Depends(permit(Permission.REGISTRY_REVEAL))]
Counter = Annotated[Actor, Depends(permit(Permission.REGISTRY_PROGRESS))]

Plural = Literal["persons", "households", "houses", "buildings", "plots"]
PlaceCode = Annotated[str, Field(pattern=r"^(?:[0-9]{9}|[0-9]{12}|[0-9]{15}|[0-9]{17})$")]
Days = Annotated[int, Field(ge=1, le=3_650)]


class ListIn(QueryIn):
    """What a list is narrowed by: a place and all below it, a tag, freshness, a household."""

    grid: PlaceCode | None = None
    tag: Tag | None = None
    household: Id | None = None
    stale: bool | None = None
    stale_days: Days = FRESH_DAYS
    active: bool = True
    limit: PageLimit = 20
    cursor: Line | None = None


class ProgressIn(QueryIn):
    """``level``: of the places that are counted; right below ``grid`` where it is not said."""

    grid: PlaceCode | None = None
    level: Literal["town", "community", "grid", "micro"] | None = None
    stale_days: Days = FRESH_DAYS
