"""After every module here: what was summed up still says what the requests say."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.statistics import rollup_making, rollup_proof
from app.store.session import Database
from tests.city import NOW


@pytest.fixture(scope="module", autouse=True)
def sums_hold(request: pytest.FixtureRequest) -> None:
    """For modules that have a database."""
    if any(
        "db" in getattr(item, "fixturenames", ())
        for item in request.session.items
        if item.path == request.path
    ):
        request.getfixturevalue("sums_compared")


@pytest.fixture(scope="module")
async def sums_compared(db: Database) -> AsyncIterator[None]:
    """Sum up what the module leaves, and compare it with the requests number by number."""
    yield
    for later in (timedelta(days=40), timedelta(days=40, hours=2)):
        for _ in range(3):  # some days and a month each
            async with db.transaction() as session:
                await rollup_making.refresh(session, now=NOW + later)
    async with db.transaction() as session:
        assert await rollup_proof.differences(session) == []
