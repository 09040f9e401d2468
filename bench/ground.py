"""The ground that is measured on: a PostgreSQL of our own, a demo city, copies of it with rows."""

import asyncio
import base64
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app.store.embedded import EmbeddedPostgres
from bench import machine, rows
from bench.people import People, log_in
from bench.servers import Service

_CITY = "lianxin"  # the database that EmbeddedPostgres makes


class Ground:
    """Databases and keys. Everything lies below one folder; ``close()`` stops what was started."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        self.folder = folder
        self.workers = workers
        self.secret_key = base64.b64encode(os.urandom(32)).decode()
        self._open = ExitStack()
        self._server = EmbeddedPostgres(folder / "database")  # durable: synchronous_commit on
        self._open.callback(self._server.stop)
        self._server.start()

    def close(self) -> None:
        self._open.close()

    def url(self, name: str) -> str:
        """For the service."""
        return urlunsplit(urlsplit(self._server.url)._replace(path=f"/{name}"))

    def admin_url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server.admin_url)._replace(path=f"/{name}"))

    def database_used_us(self) -> float:
        """Processor time of all of PostgreSQL so far, in µs."""
        pid = int((self._server.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        return machine.used_by_tree_us(pid)

    def make_city(self, residents: int) -> People:
        """Migrate, seed the demo city and log everybody in, as ``lianxin serve`` does it."""
        with self.serve(_CITY) as service:
            service.wait_until_ready()
            told = json.loads((service.data / "demo.json").read_text())
            return log_in(f"http://127.0.0.1:{service.port}", told["logins"], residents)

    def copy_city(self, name: str) -> None:
        """Another database with the city and its log-ins."""
        asyncio.run(self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{_CITY}" OWNER lianxin'))

    def fill(
        self, name: str, count: int, people: People, *, closed_share: float = rows.CLOSED_SHARE
    ) -> None:
        asyncio.run(rows.fill(self.admin_url(name), count, people, closed_share=closed_share))

    def sample(
        self, name: str, people: People, count: int
    ) -> Sequence[tuple[str, str | None, str]]:
        return asyncio.run(rows.sample(self.admin_url(name), people, count))

    def serve(self, name: str) -> Service:
        """``lianxin serve`` on one of the databases; stops with the ground at the latest."""
        service = Service(
            self.folder / f"serve-{name}",
            database_url=self.url(name),
            workers=self.workers,
            secret_key=self.secret_key,
        )
        self._open.callback(service.stop)
        return service

    def count_requests(self, name: str) -> int:
        return asyncio.run(self._count(name, "SELECT count(*) FROM requests"))

    def rows_of_a_request(self, name: str) -> dict[str, float]:
        """How many rows of each table there are to one request."""
        requests = self.count_requests(name)
        return {
            table: asyncio.run(self._count(name, f"SELECT count(*) FROM {table}")) / requests
            for table in ("request_events", "outbox", "idempotency_keys")
        }

    async def _admin(self, command: str) -> None:
        connection = await asyncpg.connect(self._server.admin_url)
        try:
            await connection.execute(command)
        finally:
            await connection.close()

    async def _count(self, name: str, query: str) -> int:
        connection = await asyncpg.connect(self.admin_url(name))
        try:
            return int(await connection.fetchval(query))
        finally:
            await connection.close()
