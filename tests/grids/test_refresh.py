"""Every process follows a change of the boundaries."""

import asyncio
from datetime import UTC, datetime
from time import monotonic

import pytest

from app.domain.geometry import CoordSys
from app.domain.identity import SYSTEM
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


async def test_two_workers_see_an_import_and_its_roll_back_within_two_seconds(
    db: Database, settings: Settings
):
    await move_town(db, 120.0)
    workers = [await Worker.start(settings) for _ in range(2)]
    try:
        for change, is_there in ((move_town(db, 120.1), True), (take_back(db), False)):
            await change
            took = await asyncio.gather(*(worker.sees(EAST, is_there) for worker in workers))
            assert max(took) < 2
    finally:
        for worker in workers:
            await worker.stop()


async def take_back(db: Database) -> None:
    async with db.transaction() as session:
        last = await service.last_applied(session)
        assert last is not None
        await service.roll_back(session, last.id, version=last.version, actor=SYSTEM, now=NOW)


class Worker:
    """What one worker process has of the grids: connections, a snapshot and a follower."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.snapshot: Snapshot[GridIndex] = Snapshot(TOPIC, queries.load)
        self.follower = Follower(db, [self.snapshot])  # type: ignore[list-item]

    @classmethod
    async def start(cls, settings: Settings) -> "Worker":
        assert settings.database_url
        worker = cls(Database(settings.database_url, settings.database))
        await worker.db.open()
        await worker.follower.start()
        return worker

    async def stop(self) -> None:
        await self.follower.stop()
        await self.db.close()

    async def sees(self, point: tuple[float, float], is_there: bool) -> float:
        """The seconds until this worker finds something there, or nothing."""
        started = monotonic()
        while (self.snapshot.current.locate(*point) is not None) is not is_there:
            assert monotonic() - started < 5
            await asyncio.sleep(0.01)
        return monotonic() - started
