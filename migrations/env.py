"""Alembic's environment: runs the revisions on the database of ``DATABASE_URL``.

Two migrators do not collide: each waits for one advisory lock, held by its connection until it
ends, and finds the work done. A revision that waits for a busy table gives up after a few seconds
instead of stopping the traffic behind it; run it again.
"""

import asyncio
import os
from typing import Literal

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.store.base import UtcDateTime
from app.tables import metadata

_LOCK = 0x6C69616E78696E  # "lianxin"
_LOCK_TIMEOUT = "4s"


def database_url() -> str:
    url = context.config.attributes.get("url") or os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("Set DATABASE_URL to the database that is to be migrated.")
    return str(url)


def render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """A revision stands by itself: our own column types are written as what they are stored as."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, compare_type=True, render_item=render
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_online() -> None:
    engine = create_async_engine(
        make_url(database_url()).set(drivername="postgresql+asyncpg"),
        poolclass=pool.NullPool,
        connect_args={"server_settings": {"application_name": "lianxin-migrate"}},
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
            await connection.execute(text("SET statement_timeout = 0"))
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            await connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
            await connection.commit()
            await connection.run_sync(run)
    finally:
        await engine.dispose()


def run_offline() -> None:
    """Print the SQL instead of running it (``alembic upgrade head --sql``)."""
    context.configure(
        url="postgresql://", target_metadata=metadata, literal_binds=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    asyncio.run(run_online())
