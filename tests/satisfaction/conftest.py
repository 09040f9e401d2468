"""Answered requests of several units, and who draws, calls, asks and decides."""

import pytest

from tests.city import OTHER_UNIT, UNIT
from tests.requests.doing import REPLY

CATEGORIES = {UNIT: "road.lamp", OTHER_UNIT: "util.water"}


@pytest.fixture(scope="module")
def limits():
    return {"requests_per_hour": 100_000}


@pytest.fixture
async def supervisor(as_staff):
    return await as_staff("supervisor")


@pytest.fixture
async def auditor(as_staff):
    return await as_staff("auditor")


@pytest.fixture
async def leader(as_staff):
    return await as_staff("unit_leader")


@pytest.fixture
def answered(hall, as_staff, submit):
    """``await answered(resident, unit)``: a request that the unit has answered."""

    async def make(resident=None, unit=UNIT, *, minutes=60, **form):
        handler = await as_staff("handler", unit=unit)
        request = await submit(resident, category_code=...)
        desk = await as_staff("dispatcher")
        request = await hall.act(desk, request, "assign", unit_code=unit, category_code="road.lamp")
        request = await hall.act(handler, request, "sign")
        request = await hall.act(handler, request, "contact", method="phone", result="reached")
        hall.clock.forward(minutes=minutes)
        return await hall.act(handler, request, "reply", **{**REPLY, **form})

    return make
