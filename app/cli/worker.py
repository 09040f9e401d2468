"""``lianxin worker``: the jobs alone, beside servers that were started with ``--no-worker``."""

import asyncio
import os
import signal
from datetime import UTC, datetime

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from app.cli.checks import refuse_unsafe
from app.cli.place import Keys, configured, fail, say

_APPLICATION = "app.main:create"


def worker() -> None:
    """Run the jobs (clocks, outbox) without serving HTTP."""
    settings = configured()
    if not settings.database_url:
        fail(
            "set DATABASE_URL: the embedded database belongs to lianxin serve, which runs the jobs"
        )
    if settings.profile == "demo" and not settings.secret_key.get_secret_value():
        keys = Keys.of(settings.data, settings.secret_key)
        os.environ["LIANXIN_SECRET_KEY"] = keys.secret_key
    if settings.profile == "production":
        refuse_unsafe(settings, settings.database_url, now=datetime.now(UTC))
    os.environ["LIANXIN_JOBS__ENABLED"] = "true"
    if not asyncio.run(_run()):
        fail("the jobs did not start")


async def _run() -> bool:
    """The application's own start and end, with the time between for the jobs."""
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):  # also while it starts
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    config = uvicorn.Config(
        _APPLICATION, factory=True, lifespan="on", log_config=None, log_level="warning"
    )
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    if lifespan.should_exit:
        return False
    say("the jobs are running")
    await stop.wait()
    say("stopping")
    await lifespan.shutdown()
    return not lifespan.should_exit
