"""What the endpoints of teams ask for: a permission each, and the desk of a change."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request as HttpRequest

from app.domain.identity import Actor, Permission
from app.domain.working_time import SHANGHAI
from app.grids.deps import Grids
from app.grids.queries import GridIndex
from app.people.deps import Cipher, permit
from app.store.crypto import FieldCipher
from app.web.deps import Config, Now, Session

Reader = Annotated[Actor, Depends(permit(Permission.TEAM_READ))]
Administrator = Annotated[Actor, Depends(permit(Permission.TEAM_CHANGE))]
Successor = Annotated[Actor, Depends(permit(Permission.TEAM_TAKE_OVER))]
Opener = Annotated[Actor, Depends(permit(Permission.TEAM_REVEAL))]
Anybody = Annotated[None, Depends(permit(Permission.PUBLIC))]

TeamCode = Annotated[str, Path(pattern=r"^(?:[0-9]{15}|[0-9]{17})$")]
PlaceCode = Annotated[str | None, Query(pattern=r"^[0-9]{6,17}$")]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every call about teams works with."""

    http: HttpRequest
    session: AsyncSession
    grids: GridIndex
    cipher: FieldCipher
    now: datetime
    base_url: str

    @property
    def today(self) -> date:
        return self.now.astimezone(SHANGHAI).date()


async def desk(
    http: HttpRequest, session: Session, grids: Grids, cipher: Cipher, config: Config, now: Now
) -> Desk:
    """``base_url``: ``web.public_url``, or else as the service was called."""
    base_url = config.web.public_url or str(http.base_url).rstrip("/")
    return Desk(http, session, grids, cipher, now, base_url)


TeamDesk = Annotated[Desk, Depends(desk, scope="function")]
