"""Whom an audience means: found out for a whole batch of events with one question."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.events import RequestEvent, RequestMoved
from app.domain.identity import Role
from app.notifications.letters import Audience
from app.people import queries as people

_TOWN = 9  # digits of a town's code
_COMMUNITY = 12
_GRID = 15
_OF_UNITS = (Role.HANDLER, Role.UNIT_LEADER)


class Recipients:
    """Knows all staff whom the events of a batch may concern. Make it with ``of_batch``."""

    def __init__(self, staff: Iterable[people.StaffMember]) -> None:
        self._at: dict[tuple[Role, str | None], list[UUID]] = defaultdict(list)
        self._supervisors: list[UUID] = []
        for member in staff:
            place = member.unit_code if member.role in _OF_UNITS else member.grid_code
            self._at[member.role, place].append(member.id)
            if member.role is Role.SUPERVISOR:
                self._supervisors.append(member.id)

    @classmethod
    async def of_batch(
        cls, session: AsyncSession, events: Collection[RequestEvent]
    ) -> "Recipients":
        """Ask for all staff of the units, grids and towns that ``events`` name, and of the city."""
        units = {event.unit_code for event in events} | {_co_unit(event) for event in events}
        grids = {code for event in events for code in _path(event)}
        staff = await people.staff_around(
            session, unit_codes=[code for code in units if code], grid_codes=grids
        )
        return cls(staff)

    def of(self, audience: Audience, event: RequestEvent) -> Collection[UUID]:
        """Who is meant, each once; nobody, where the event names no unit or no grid."""
        match audience:
            case Audience.RESIDENT:
                return (UUID(event.resident_id),) if event.resident_id else ()
            case Audience.HANDLERS:
                return self._found((Role.HANDLER,), {event.unit_code})
            case Audience.UNIT:
                return self._found(_OF_UNITS, {event.unit_code})
            case Audience.CO_UNIT:
                return self._found(_OF_UNITS, {_co_unit(event)})
            case Audience.DESK:
                town = event.grid_code and event.grid_code[:_TOWN]
                desk = (Role.DISPATCHER,)
                return self._found(desk, {town}) or self._at.get((Role.DISPATCHER, None), ())
            case Audience.GRID:
                return self._found(people.LEADER_ROLES, _path(event))
            case Audience.SUPERVISORS:
                return self._supervisors

    def _found(self, roles: Iterable[Role], places: Collection[str | None]) -> list[UUID]:
        return [
            person
            for role in roles
            for place in places
            if place
            for person in self._at.get((role, place), ())
        ]


def _co_unit(event: RequestEvent) -> str | None:
    return event.co_unit_code if isinstance(event, RequestMoved) else None


def _path(event: RequestEvent) -> set[str]:
    """The event's grid and all above it, up to the town."""
    code = event.grid_code
    return {code, code[:_GRID], code[:_COMMUNITY], code[:_TOWN]} if code else set()
