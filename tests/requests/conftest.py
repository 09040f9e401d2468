"""Who acts on requests, in every post a test of the workflow needs."""

import pytest

from tests.city import OTHER_UNIT


@pytest.fixture
async def resident(as_resident):
    return await as_resident()


@pytest.fixture
async def handler(as_staff):
    return await as_staff("handler")


@pytest.fixture
async def leader(as_staff):
    return await as_staff("unit_leader")


@pytest.fixture
async def other_handler(as_staff):
    return await as_staff("handler", unit=OTHER_UNIT)


@pytest.fixture
async def dispatcher(as_staff):
    return await as_staff("dispatcher")


@pytest.fixture
async def second_dispatcher(as_staff):
    return await as_staff("dispatcher", number=2)


@pytest.fixture
async def supervisor(as_staff):
    return await as_staff("supervisor")
