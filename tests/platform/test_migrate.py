"""The revisions: they make what the models say, run twice without harm, and wait for each other."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import alembic.command
import asyncpg
import pytest
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from app.cli import migrate
from tests.conftest import administrate, database_of
from tests.platform.serving import ROOT


@pytest.fixture
async def bare_url(server_url: str) -> AsyncIterator[str]:
    """A database with nothing in it."""
    name = f"bare_{uuid4().hex[:12]}"
    await administrate(server_url, f"CREATE DATABASE {name}")
    yield database_of(server_url, name)
    await administrate(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def revision_of(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT version_num FROM alembic_version")
    finally:
        await connection.close()


async def test_the_revisions_make_what_the_models_say(bare_url: str) -> None:
    await asyncio.to_thread(migrate.upgrade, bare_url)
    assert await revision_of(bare_url) == migrate.head()
    await asyncio.to_thread(alembic.command.check, migrate.config_of(bare_url))


async def test_a_second_run_changes_nothing(bare_url: str) -> None:
    for _ in range(2):
        await asyncio.to_thread(migrate.upgrade, bare_url)
    assert await revision_of(bare_url) == migrate.head()


async def test_down_and_up_again_is_the_same(bare_url: str) -> None:
    config = migrate.config_of(bare_url)
    await asyncio.to_thread(migrate.upgrade, bare_url)
    await asyncio.to_thread(alembic.command.downgrade, config, "base")
    connection = await asyncpg.connect(bare_url)
    left = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'S') AND relname <> 'alembic_version'"
    )
    await connection.close()
    assert [row["relname"] for row in left] == []
    await asyncio.to_thread(migrate.upgrade, bare_url)
    await asyncio.to_thread(alembic.command.check, config)


async def test_two_migrators_take_turns(bare_url: str) -> None:
    migrators = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "migrate"),
            cwd=ROOT,
            env={"DATABASE_URL": bare_url, "PATH": os.environ["PATH"]},
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = [(await migrator.communicate())[1].decode() for migrator in migrators]
    assert [migrator.returncode for migrator in migrators] == [0, 0, 0], said
    assert await revision_of(bare_url) == migrate.head()


async def test_a_database_from_the_future_is_refused(bare_url: str) -> None:
    await asyncio.to_thread(migrate.upgrade, bare_url)
    await administrate(bare_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CommandError, match="9999"):
        await asyncio.to_thread(migrate.upgrade, bare_url)


async def test_a_busy_table_is_not_waited_for_for_ever(bare_url: str) -> None:
    await administrate(
        bare_url,
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)",
    )
    blocker = await asyncpg.connect(bare_url)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DBAPIError, match="lock timeout"):
            await asyncio.to_thread(migrate.upgrade, bare_url)
    await blocker.close()
    await asyncio.to_thread(migrate.upgrade, bare_url)
