"""Whom an audience means, among all staff around."""

from uuid import uuid4

import pytest

from app.domain.events import RequestMoved, RequestSubmitted
from app.domain.identity import Role
from app.notifications.letters import Audience
from app.notifications.recipients import Recipients
from app.people.queries import StaffMember

TOWN, OTHER_TOWN = "370281001", "370281002"
GRID, MICRO = f"{TOWN}001001", f"{TOWN}00100101"


def member(role: Role, unit: str | None = None, grid: str | None = None) -> StaffMember:
    return StaffMember(uuid4(), role, unit, grid)


STAFF = {
    "handler": member(Role.HANDLER, unit="water"),
    "leader": member(Role.UNIT_LEADER, unit="water"),
    "co-handler": member(Role.HANDLER, unit="power"),
    "desk": member(Role.DISPATCHER),
    "town": member(Role.DISPATCHER, grid=TOWN),
    "town's leader": member(Role.GRID_LEADER, grid=TOWN),
    "grid": member(Role.GRID_LEADER, grid=GRID),
    "micro": member(Role.MICRO_GRID_LEADER, grid=MICRO),
    "supervisor": member(Role.SUPERVISOR),
    "regional supervisor": member(Role.SUPERVISOR, grid=TOWN),
}
EVENT = {"request_id": str(uuid4()), "number": "1", "at": "2026-03-02T09:00:00+00:00"}


def found(audience: Audience, **about: str) -> set[str]:
    kind = RequestMoved if "co_unit_code" in about else RequestSubmitted
    extra = {"action": "co_assign"} if kind is RequestMoved else {}
    event = kind(**EVENT, state="assigned", **extra, **about)
    names = {one.id: name for name, one in STAFF.items()}
    ids = list(Recipients(STAFF.values()).of(audience, event))
    assert len(ids) == len(set(ids))
    return {names[person] for person in ids}


@pytest.mark.parametrize(
    ("audience", "about", "who"),
    [
        (Audience.HANDLERS, {"unit_code": "water"}, {"handler"}),
        (Audience.UNIT, {"unit_code": "water"}, {"handler", "leader"}),
        (Audience.UNIT, {}, set()),
        (Audience.CO_UNIT, {"unit_code": "water", "co_unit_code": "power"}, {"co-handler"}),
        (Audience.CO_UNIT, {"unit_code": "water"}, set()),
        (Audience.DESK, {"grid_code": GRID}, {"town"}),
        (Audience.DESK, {"grid_code": f"{OTHER_TOWN}001001"}, {"desk"}),
        (Audience.DESK, {}, {"desk"}),
        (Audience.GRID, {"grid_code": MICRO}, {"micro", "grid", "town's leader"}),
        (Audience.GRID, {"grid_code": GRID}, {"grid", "town's leader"}),
        (Audience.GRID, {}, set()),
        (Audience.SUPERVISORS, {}, {"supervisor", "regional supervisor"}),
        (Audience.RESIDENT, {}, set()),
    ],
)
def test_an_audience_is_these_people(audience, about, who):
    assert found(audience, **about) == who
