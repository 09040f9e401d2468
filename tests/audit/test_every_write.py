"""Nothing is changed that the audit is not told of, in the same transaction.

Twice: the source is searched for ways to write into the database, and all of them are declared in
``writes``; and while the application is used, the database itself notes what is written.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text, update

from app.domain.identity import Role
from app.people import service as people
from app.people.models import Staff
from app.store.session import Database
from app.tables import metadata
from tests.architecture.sources import ROOT, Source, app_sources
from tests.audit import writes
from tests.audit.living import live
from tests.audit.watching import CHAINS, Watch, untold
from tests.city import CityHall

# --- in the source -------------------------------------------------------------------------------


def test_every_way_to_write_is_declared() -> None:
    new = {
        source.place: tables for source in app_sources() if (tables := writes.undeclared(source))
    }
    assert new == {}


def test_what_is_declared_is_still_there() -> None:
    ways = {source.place: writes.found(source) for source in app_sources()}
    assert {place for place, tables in writes.AUDITED.items() if not tables & ways[place]} == set()
    assert {way for way in writes.EXCUSED if way[1] not in ways[way[0]]} == set()
    everywhere = set().union(*ways.values())
    assert writes.TECHNICAL.keys() <= everywhere


def test_every_table_is_either_told_of_or_technical() -> None:
    assert CHAINS.keys() | writes.TECHNICAL.keys() == metadata.tables.keys()
    assert not CHAINS.keys() & writes.TECHNICAL.keys()


def test_the_page_names_every_table() -> None:
    page = (ROOT / "docs" / "audit.md").read_text("utf-8")
    assert [name for name in metadata.tables if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("code", "table"),
    [
        ('WISH = text("UPDATE staff SET role = :role")', "staff"),
        ('S = Statement("""WITH x AS (\\n DELETE FROM grids WHERE true) SELECT 1""")', "grids"),
        ('"INSERT  INTO units (code) VALUES (1)"', "units"),
        ('f"TRUNCATE {table}"', "?"),
        ('f"UPDATE requests SET {column} = 1"', "requests"),
        ("from sqlalchemy import update\nfrom x import Staff\nupdate(Staff)", "staff"),
        ("from sqlalchemy import delete as gone\nfrom x import GridRow\ngone(GridRow)", "grids"),
        (
            "from sqlalchemy.dialects.postgresql import insert as upsert\n"
            "from x import UnitRow as Unit\nupsert(Unit)",
            "units",
        ),
        ("import sqlalchemy\nfrom x import Resident\nsqlalchemy.update(Resident)", "residents"),
        ("from sqlalchemy import insert\ninsert(table)", "?"),
        ("from x import Staff\nStaff.__table__.update()", "staff"),
        ("from x import CategoryRow\nsession.add(CategoryRow(code='x'))", "categories"),
        ("await session.delete(row)", "?"),
        ("await move.session.merge(row)", "?"),
        ("member.display_name = 'x'", "staff"),
        ("member.session_epoch += 1", "staff"),
        ("one, member.username = 1, 'x'", "staff"),
        ("request.public = True", "requests"),
    ],
)
def test_a_new_way_to_write_is_found(code: str, table: str) -> None:
    assert table in writes.undeclared(Source("app/people/wishes.py", code))


@pytest.mark.parametrize(
    "code",
    [
        'text("SELECT * FROM staff FOR UPDATE SKIP LOCKED")',
        'text("INSERT INTO outbox VALUES (1)")',
        "known.update(Staff)\nfound.insert(0, 1)\nseen.add(member)",
        "self.role = role",
        "from sqlalchemy import select\nfrom x import Staff\nselect(Staff)",
    ],
)
def test_what_changes_nothing_is_no_way_to_write(code: str) -> None:
    assert writes.undeclared(Source("app/people/wishes.py", code)) == set()


# --- in the database -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def watch(database_url: str) -> AsyncIterator[Watch]:
    connection = await asyncpg.connect(database_url)
    yield await Watch.install(connection)
    await connection.close()


@pytest.fixture(scope="module")
async def db(watch: Watch, db: Database) -> Database:
    """Watched before anything is written: what is seeded is told too."""
    return db


@pytest.fixture(scope="module")
async def lived(hall: CityHall) -> CityHall:
    """Everything that can be written, written at least once."""
    await live(hall)
    return hall


async def test_whatever_is_changed_is_told_in_the_same_transaction(
    lived: CityHall, watch: Watch
) -> None:
    changes = await watch.changes()
    the_tests_own = (changes[0].xid, "grids")  # tests/city.py puts a part of the demo city there
    assert untold([it for it in changes if (it.xid, it.name) != the_tests_own]) == []


async def test_every_table_that_is_told_of_was_written(lived: CityHall, watch: Watch) -> None:
    """Or else the test above says nothing of it."""
    written = {change.name for change in await watch.changes() if change.needs_entry}
    assert CHAINS.keys() - written == set()


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("UPDATE staff SET display_name = 'x'", "UPDATE staff (display_name)"),
        ("UPDATE staff SET role = 'admin' WHERE role = 'auditor'", "UPDATE staff (role)"),
        ("UPDATE requests SET public = NOT public", "UPDATE requests (public)"),
        (
            "UPDATE request_clocks SET due_at = due_at + interval '1 h'",
            "UPDATE request_clocks (due_at)",
        ),
        ("UPDATE grids SET boundary = NULL", "UPDATE grids (boundary)"),
        ("UPDATE units SET active = false", "UPDATE units (active)"),
        ("UPDATE residents SET home_grid_code = '370281001'", "UPDATE residents (home_grid_code)"),
        ("UPDATE login_sessions SET revoked_at = now()", "UPDATE login_sessions (revoked_at)"),
    ],
)
async def test_a_change_that_nobody_tells_of_is_seen(
    lived: CityHall, watch: Watch, change: str, seen: str
) -> None:
    before = await watch.last()
    async with lived.db.transaction() as session:
        await session.execute(text(change))
    assert seen in untold(await watch.changes(before))


async def test_an_entry_of_somebody_else_does_not_count(lived: CityHall, watch: Watch) -> None:
    before = await watch.last()
    one, two = await lived.as_staff("handler"), await lived.as_staff("unit_leader")
    async with lived.db.transaction() as session:
        await people.deactivate(session, one.id, now=lived.clock.now)
        await session.execute(update(Staff).where(Staff.id == two.id).values(role=Role.ADMIN))
    assert untold(await watch.changes(before)) == ["UPDATE staff (role)"]


async def test_nor_does_an_entry_of_another_transaction(lived: CityHall, watch: Watch) -> None:
    before = await watch.last()
    new = people.NewStaff(f"late-{uuid4().hex[:8]}", "王五", Role.AUDITOR)
    async with lived.db.transaction() as session:
        staff_id = await people.create_staff(session, new, now=lived.clock.now)
    async with lived.db.transaction() as session:
        await session.execute(update(Staff).where(Staff.id == staff_id).values(active=False))
    assert untold(await watch.changes(before)) == ["UPDATE staff (active)"]
