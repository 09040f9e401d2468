"""What the endpoints of requests ask for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.domain.identity import Actor, Permission
from app.people.deps import Permit
from app.requests.city import City, Serials
from app.settings import LimitSettings
from app.store.session import Database
from app.web.deps import now_of


@dataclass(frozen=True, slots=True)
class Desk:
    """Who calls, when, and all that the hot paths work with: one dependency instead of seven,
    because each costs a call about as much as a tenth of the no-op."""

    actor: Actor
    now: datetime
    db: Database
    city: City
    serials: Serials
    limits: LimitSettings


class DeskFor(Permit):
    """Lets the caller in, like ``permit``, and hands out the whole desk."""

    async def __call__(self, http: HttpRequest) -> Desk:
        """Raises: see ``Permit.actor_of``."""
        state, now = http.app.state, now_of(http)
        actor = await self.actor_of(http, now)
        city = City(state.reference.current, state.grids.current, state.cipher)
        return Desk(actor, now, state.db, city, state.serials, state.settings.limits)


Submitting = Annotated[Desk, Depends(DeskFor(Permission.REQUEST_SUBMIT))]
Reading = Annotated[Desk, Depends(DeskFor(Permission.REQUEST_READ))]
Acting = Annotated[Desk, Depends(DeskFor(Permission.REQUEST_ACT))]
Rating = Annotated[Desk, Depends(DeskFor(Permission.REQUEST_RATE))]
