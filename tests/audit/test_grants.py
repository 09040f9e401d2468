"""The database itself refuses: the role that owns the tables can add and read, and no more."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import alembic.command
import asyncpg
import pytest
from alembic.config import Config
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.identity import SYSTEM
from app.settings import DatabaseSettings
from app.store.session import Database
from app.tables import metadata
from tests.architecture.sources import ROOT
from tests.conftest import administrate

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
CHAIN = chain_of("calendar")


@dataclass(frozen=True)
class Owned:
    """A database whose tables an ordinary role made for itself, as the service's role does."""

    url: str
    role: str
    admin_url: str


@pytest.fixture(scope="module", params=["models", "migrations"])
async def owned(request: pytest.FixtureRequest, server_url: str) -> AsyncIterator[Owned]:
    name = f"grants_{uuid4().hex[:8]}"
    await administrate(server_url, f"CREATE ROLE {name} LOGIN")
    await administrate(server_url, f"CREATE DATABASE {name} OWNER {name}")
    admin = make_url(server_url).set(database=name)
    url = admin.set(username=name)
    if request.param == "models":
        engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()
    else:
        config = Config(str(ROOT / "alembic.ini"))
        config.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
        config.attributes["url"] = url.render_as_string(hide_password=False)
        await asyncio.to_thread(alembic.command.upgrade, config, "head")
    yield Owned(
        url.render_as_string(hide_password=False),
        name,
        admin.render_as_string(hide_password=False),
    )
    await administrate(server_url, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


@pytest.fixture
async def filled(owned: Owned) -> Owned:
    """With an entry and a seal in it, written by the service as that role."""
    db = Database(owned.url, DatabaseSettings())
    async with db.transaction() as session:
        await audit.append(session, CHAIN, actor=SYSTEM, action="publish", facts={}, now=NOW)
        await audit.seal_days(session, NOW.replace(day=4))
    await db.close()
    return owned


def statements() -> Iterator[str]:
    for table, column in (("audit_entries", "action = 'x'"), ("audit_roots", "entries = 0")):
        yield f"UPDATE {table} SET {column}"
        yield f"UPDATE {table} SET {column} WHERE false"
        yield f"DELETE FROM {table}"
        yield f"TRUNCATE {table}"
        yield f"SELECT * FROM {table} FOR UPDATE"
        yield (
            f"MERGE INTO {table} AS t USING (VALUES (1)) AS v ON true"
            f" WHEN MATCHED THEN UPDATE SET {column}"
        )
    yield (
        "INSERT INTO audit_entries SELECT * FROM audit_entries"
        " ON CONFLICT (chain, seq) DO UPDATE SET action = 'x'"
    )


@pytest.mark.parametrize("statement", [*statements()])
async def test_the_application_can_neither_change_nor_delete(filled: Owned, statement: str) -> None:
    connection = await asyncpg.connect(filled.url)
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(statement)
        assert refused.value.sqlstate == "42501"
    finally:
        await connection.close()


WRITES = [
    *(f"UPDATE {table} SET {column} {where}" for table, column in (
        ("audit_entries", "action = 'x'"), ("audit_roots", "entries = 0"))
      for where in ("", "WHERE false")),
    "DELETE FROM audit_entries",
    "DELETE FROM audit_roots",
    "TRUNCATE audit_entries",
    "TRUNCATE audit_roots",
    "INSERT INTO audit_entries SELECT * FROM audit_entries"
    " ON CONFLICT (chain, seq) DO UPDATE SET action = 'x'",
]  # fmt: skip


@pytest.mark.parametrize("statement", WRITES)
async def test_the_rights_alone_do_not_help_the_owner_who_takes_them_back(
    filled: Owned, statement: str
) -> None:
    connection = await asyncpg.connect(filled.url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("GRANT ALL ON audit_entries, audit_roots TO CURRENT_USER")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(statement)
    finally:
        await transaction.rollback()
        await connection.close()


@pytest.mark.parametrize("statement", WRITES)
async def test_a_superuser_whom_the_application_was_given_is_refused_too(
    filled: Owned, statement: str
) -> None:
    connection = await asyncpg.connect(filled.admin_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_application_reads_and_adds(filled: Owned) -> None:
    connection = await asyncpg.connect(filled.url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM audit_entries") >= 1
        assert await connection.fetchval("SELECT count(*) FROM audit_roots") >= 1
        assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = user")
    finally:
        await connection.close()


async def test_a_copy_of_the_database_refuses_too(filled: Owned, server_url: str) -> None:
    """The rights stand in the tables' own list, which goes with them into every copy and dump."""
    copy = f"copy_{uuid4().hex[:8]}"
    command = f"CREATE DATABASE {copy} TEMPLATE {filled.role} OWNER {filled.role}"
    await administrate(server_url, command)
    url = make_url(filled.url).set(database=copy).render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM audit_entries")
    finally:
        await connection.close()
        await administrate(server_url, f"DROP DATABASE {copy} WITH (FORCE)")
