"""Where faults are made: a durable PostgreSQL of our own, the service's processes, a scenario.

Everything listens on the loopback or on a Unix socket, works in one temporary folder, and is ended
by the numbers of the processes that were started here. ``Rig`` lives for the whole folder of tests;
a ``Scenario`` has a database of its own, cloned from a seeded one, the service on it, and clients.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from app.settings import DatabaseSettings
from app.store import leftovers
from app.store.embedded import APP_ROLE, EmbeddedPostgres
from tests.faults import invariants
from tests.faults.lives import LIVES, Life
from tests.faults.load import HANG_S, Load
from tests.faults.proxy import Proxy
from tests.platform.serving import ROOT, Service, free_port

APPLICATION = "app.main:create"
_SEEDED = "seeded"
_SETTLE_S = 60.0
# Of one category the unit's leader reads the replies first: see ``tests.faults.lives``.
_REVIEWED = "UPDATE sla_policies SET review_required = true WHERE code = 'urgent'"
# Faults make many calls from few people: nobody is to be told that it was too often.
_ENVIRONMENT = {
    "LIANXIN_LIMITS__REQUESTS_PER_HOUR": "1000000",
    "LIANXIN_LIMITS__STAFF_REQUESTS_PER_HOUR": "1000000",
    "LIANXIN_LIMITS__CALLS_PER_MINUTE": "1000000",
    "LIANXIN_LIMITS__LOGINS_PER_MINUTE": "1000000",
    "LIANXIN_JOBS__SWEEP_S": "0.5",
    "LIANXIN_JOBS__DELIVER_S": "0.5",
}


def _number(name: str, default: int) -> int:
    return int(os.environ.get(f"LIANXIN_FAULT_{name}", default))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; each from ``LIANXIN_FAULT_<NAME>``."""

    kills: int = field(default_factory=lambda: _number("KILLS", 100))
    blackouts: int = field(default_factory=lambda: _number("BLACKOUTS", 2))
    restarts: int = field(default_factory=lambda: _number("RESTARTS", 20))
    lost: int = field(default_factory=lambda: _number("LOST", 200))
    clocks: int = field(default_factory=lambda: _number("CLOCKS", 2_000))
    clock_kills: int = field(default_factory=lambda: _number("CLOCK_KILLS", 10))
    stops: int = field(default_factory=lambda: _number("STOPS", 5))
    longest_s: int = field(default_factory=lambda: _number("LONGEST_S", 900))  # of one scenario
    clients: int = field(default_factory=lambda: _number("CLIENTS", 32))
    seed: int = field(
        default_factory=lambda: _number("SEED", random.SystemRandom().getrandbits(32))
    )


class Rig:
    """``async with Rig() as rig``: the database server, a seeded city, and nobody serving yet."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lianxin-faults-")
        self.data = Path(self._folder.name) / "service"
        self.server = EmbeddedPostgres(Path(self._folder.name) / "database", durable=True)
        self.logins: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.server.start)
            await self._administrate(f"CREATE DATABASE {_SEEDED} OWNER {APP_ROLE}")
            await asyncio.to_thread(run, ["seed"], self.environment(self.url(_SEEDED)))
            await self._administrate(_REVIEWED, _SEEDED)
            self.logins = json.loads((self.data / "demo.json").read_text())["logins"]
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.server.stop)
        self._folder.cleanup()

    def url(self, database: str, *, admin: bool = False) -> str:
        url = make_url(self.server.admin_url if admin else self.server.url)
        return url.set(database=database).render_as_string(hide_password=False)

    def environment(self, url: str) -> dict[str, str]:
        return {**_ENVIRONMENT, "DATABASE_URL": url, "LIANXIN_DATA": str(self.data)}

    async def _administrate(self, command: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(database, admin=True))
        try:
            await connection.execute(command)
        finally:
            await connection.close()

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[str]:
        """A copy of the seeded city for one scenario; its URL."""
        await self._administrate(f"CREATE DATABASE {name} TEMPLATE {_SEEDED} OWNER {APP_ROLE}")
        try:
            yield self.url(name)
        finally:
            if self.server.alive:
                await self._administrate(f"DROP DATABASE {name} WITH (FORCE)")

    def end_database(self, sign: signal.Signals) -> None:
        """SIGQUIT: as ``pg_ctl stop -m immediate`` does. SIGKILL takes the postmaster alone."""
        pid = leftovers.postmaster_pid(self.server.cluster)
        assert pid is not None
        assert leftovers.is_server_of(self.server.cluster, pid)
        os.kill(pid, sign)
        until = time.monotonic() + 30
        while self.server.alive:
            assert time.monotonic() < until, "the database does not end"
            time.sleep(0.005)


def run(words: Sequence[str], environment: dict[str, str]) -> None:
    """One command of ours, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=ROOT,
        env=_clean() | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _clean() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LIANXIN_", "DATABASE_URL"))
    }


class Scenario:
    """The service on a database of its own, with everything a fault needs. See ``staged``."""

    def __init__(
        self,
        rig: Rig,
        sizes: Sizes,
        name: str,
        url: str,
        *,
        workers: int,
        settings: Mapping[str, str],
    ) -> None:
        self.rig, self.sizes, self.name, self.workers = rig, sizes, name, workers
        self.url = url  # what the service is given
        self.settings = settings
        self.port = free_port()
        self.random = random.Random(sizes.seed)
        self.counts: dict[str, object] = {}
        self._service: Service | None = None

    @property
    def service(self) -> Service:
        assert self._service is not None
        return self._service

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the service, on the same port every time, and wait until it is ready."""
        self._service = Service(
            self.rig.data,
            *("--workers", str(self.workers)),
            port=self.port,
            **{**self.rig.environment(self.url), **self.settings},
        )
        await asyncio.to_thread(self._service.until_ready)

    async def stop(self) -> int:
        """SIGTERM to the parent; the exit code."""
        return await asyncio.to_thread(self.service.stop)

    def end(self) -> None:
        """Whatever still runs of the service, without ceremony."""
        if self._service is not None and self._service.process.poll() is None:
            self._service.kill()

    def load(
        self,
        *,
        clients: int | None = None,
        lives: Sequence[Life] = LIVES,
        most: int | None = None,
    ) -> Load:
        return Load(
            self.base_url,
            self.rig.logins,
            seed=self.sizes.seed,
            clients=clients or self.sizes.clients,
            lives=lives,
            most=most,
        )

    async def kill_a_worker(self) -> None:
        """``kill -9`` to one of the processes that answer and run the jobs, as soon as one is."""
        for _ in range(200):
            with suppress(psutil.NoSuchProcess):
                workers = self.service.children(APPLICATION)
                if workers:
                    self.random.choice(workers).kill()
                    return
            await asyncio.sleep(0.05)
        raise AssertionError("no worker is started any more")

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.rig.url(self.name, admin=True))
        try:
            yield connection
        finally:
            await connection.close()

    async def verdict(self, load: Load, *, settle_s: float = _SETTLE_S) -> None:
        """Check everything that was promised, and every rule of the database.

        The service is running and the load has finished.
        """
        self.counts["load"] = load.tally
        calendar = await invariants.calendar_of(self.rig.url(self.name))
        async with self.admin() as connection:
            took = await invariants.settle(connection, within_s=settle_s)
            self.counts["settled"] = f"{took:.1f} s"
            unkept = await invariants.unkept(connection, load.acknowledged)
            broken = await invariants.violations(connection)
            lost_rungs = await invariants.lost_rungs(connection, calendar)
            altered = await invariants.altered(self.rig.url(self.name))
            backends = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usename = $2",
                *(self.name, APP_ROLE),
            )
        assert load.acknowledged
        assert not load.faults, f"{load.faults[:5]}\n{self.complaints()}"
        assert load.slowest_s <= HANG_S, load.slowest_s
        assert not unkept, unkept[:5]
        assert not broken, broken
        assert not lost_rungs, lost_rungs[:5]
        assert not altered, altered[:5]
        pools = DatabaseSettings()
        # Each worker also has one connection that listens for notices.
        most = self.workers * (pools.pool_size + pools.session_pool_size + 1)
        assert backends <= most, f"{backends} connections, {most} at most"

    def complaints(self) -> str:
        """What the service itself logged as a fault of the program."""
        lines = self.service.said().splitlines()
        return "\n".join(line for line in lines if "crash" in line)


Tell = Callable[[str], None]


@asynccontextmanager
async def staged(
    rig: Rig, sizes: Sizes, tell: Tell, name: str, *, workers: int = 3, **settings: str
) -> AsyncIterator[Scenario]:
    """A scenario with the service running; its line is told, however it ends."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(rig.database(name))
        scenario = Scenario(rig, sizes, name, url, workers=workers, settings=settings)
        async with _line(scenario, tell):
            await scenario.start()
            yield scenario
            assert await scenario.stop() == 0


@asynccontextmanager
async def staged_behind_proxy(
    rig: Rig, sizes: Sizes, tell: Tell, name: str, *, workers: int = 2
) -> AsyncIterator[tuple[Scenario, Proxy]]:
    """The same, and everything between the service and its database passes the proxy."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(rig.database(name))
        proxy = await stack.enter_async_context(Proxy(url))
        scenario = Scenario(rig, sizes, name, proxy.url, workers=workers, settings={})
        async with _line(scenario, tell):
            await scenario.start()
            yield scenario, proxy
            assert await scenario.stop() == 0


@asynccontextmanager
async def _line(scenario: Scenario, tell: Tell) -> AsyncIterator[None]:
    began, end = time.monotonic(), "FAILED"
    try:
        async with asyncio.timeout(scenario.sizes.longest_s):
            yield
        end = "ok"
    finally:
        scenario.end()
        counts = ", ".join(f"{name} {count}" for name, count in scenario.counts.items())
        took = time.monotonic() - began
        tell(f"{scenario.name}: {end} in {took:.0f} s, seed {scenario.sizes.seed}: {counts}")
