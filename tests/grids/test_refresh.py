"""Every process follows a change of the boundaries."""

import asyncio
from datetime import UTC, datetime
from time import monotonic

import pytest

from app.domain.geometry import CoordSys
from app.grids import queries, service
from app.grids.kinds import GridLevel
from app.grids.queries import TOPIC, GridIndex
from app.settings import Settings
from app.store.notices import Follower, Snapshot
from app.store.session import Database
from tests.grids.shapes import TOWN, document, feature, square

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
EAST = (36.205, 120.105)


async def move_town(db: Database, west: float, *, fail: bool = False) -> None:
    async with db.transaction() as session:
        await service.import_geojson(
            session,
            document(feature(coordinates=square(west=west))),
            coord_sys=CoordSys.WGS84,
            level=GridLevel.TOWN,
            now=NOW,
        )
        if fail:
            raise RuntimeError


async def test_a_changed_boundary_reaches_another_process_within_two_seconds(
    db: Database, settings: Settings
):
    await move_town(db, 120.0)
    assert settings.database_url
    other = Database(settings.database_url, settings.database)
    await other.open()
    snapshot: Snapshot[GridIndex] = Snapshot(TOPIC, queries.load)
    follower = Follower(other, [snapshot])  # type: ignore[list-item]
    try:
        await follower.start()
        before = snapshot.current
        assert before.locate(*EAST) is None

        with pytest.raises(RuntimeError):
            await move_town(db, 120.1, fail=True)
        await asyncio.sleep(0.1)
        assert snapshot.current is before

        await move_town(db, 120.1)
        started = monotonic()
        while snapshot.current is before:
            assert monotonic() - started < 2
            await asyncio.sleep(0.01)
        found = snapshot.current.locate(*EAST)
        assert found is not None
        assert found.code == TOWN
        assert before.locate(*EAST) is None
    finally:
        await follower.stop()
        await other.close()
