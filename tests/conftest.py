"""A real PostgreSQL for every test: one template database per run, cloned for each test module."""

import base64
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.settings import Settings
from app.store.session import Database
from app.tables import metadata
from tests.city import CityHall, Clock, counted_queries, small_city

SECRET_KEY = base64.b64encode(b"k" * 32).decode()


def database_of(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


async def administrate(server_url: str, *commands: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A superuser's URL of the server: LIANXIN_TEST_SERVER_URL, or one of our own."""
    given = os.environ.get("LIANXIN_TEST_SERVER_URL")
    if given:
        yield given
        return
    from app.store.embedded import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="lianxin-test-") as folder:
        server = EmbeddedPostgres(Path(folder), durable=False)
        server.start()
        try:
            yield server.admin_url
        finally:
            server.stop()


@pytest.fixture(scope="session")
async def template(server_url: str) -> AsyncIterator[str]:
    """The name of a database that has the schema and nothing else."""
    name = f"template_{uuid4().hex[:12]}"
    await administrate(server_url, f"CREATE DATABASE {name}")
    engine = create_async_engine(
        make_url(database_of(server_url, name)).set(drivername="postgresql+asyncpg")
    )
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    yield name
    await administrate(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
async def database_url(
    request: pytest.FixtureRequest, server_url: str, template: str
) -> AsyncIterator[str]:
    """A fresh database for this test module."""
    stem = re.sub(r"\W", "_", Path(str(request.path)).stem)[:30]
    name = f"{stem}_{uuid4().hex[:8]}".lower()
    await administrate(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_of(server_url, name)
    await administrate(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        DATABASE_URL=database_url,  # type: ignore[call-arg]
        secret_key=SECRET_KEY,
        data=tmp_path_factory.mktemp("data"),
    )


@pytest.fixture(scope="module")
async def db(settings: Settings) -> AsyncIterator[Database]:
    assert settings.database_url
    db = Database(settings.database_url, settings.database)
    await db.open()
    yield db
    await db.close()


# --- the whole application in a small city (tests/city.py) ---------------------------------------


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    """Fields of ``settings.limits`` that this module wants changed: define it anew there."""
    return {}


@pytest.fixture(scope="module")
async def hall(
    settings: Settings, db: Database, limits: Mapping[str, int]
) -> AsyncIterator[CityHall]:
    """The application with everything around it; the fixtures below are its parts."""
    async with small_city(settings, db, limits) as hall:
        yield hall


@pytest.fixture(scope="module")
def app(hall: CityHall) -> FastAPI:
    """``create_app(settings)``, started."""
    return hall.app


@pytest.fixture(scope="module")
def client(hall: CityHall) -> httpx.AsyncClient:
    """An HTTP client that nobody has logged in with."""
    return hall.client


@pytest.fixture
def clock(hall: CityHall) -> Iterator[Clock]:
    """The application's clock; back at ``NOW`` after the test."""
    before = hall.clock.now
    yield hall.clock
    hall.clock.now = before


@pytest.fixture(scope="module")
def as_resident(hall: CityHall) -> Callable[..., Any]:
    """``await as_resident("张三")`` → a ``Caller``."""
    return hall.as_resident


@pytest.fixture(scope="module")
def as_staff(hall: CityHall) -> Callable[..., Any]:
    """``await as_staff("handler", unit="water")`` → a ``Caller``."""
    return hall.as_staff


@pytest.fixture(scope="module")
def submit(hall: CityHall) -> Callable[..., Any]:
    """``await submit(caller, text="…", location=point_in(GRID))`` → the answer's JSON."""
    return hall.submit


@pytest.fixture
def count_queries(app: FastAPI) -> Callable[[], AbstractContextManager[list[str]]]:
    """``with count_queries() as sent: …`` → the SQL that the application sent meanwhile."""
    return partial(counted_queries, app.state.db)
