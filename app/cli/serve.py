"""``lianxin serve``: everything on one machine, from an empty folder to answered requests.

The parent process serves nobody. It starts the embedded database (unless ``DATABASE_URL`` is set),
migrates, seeds a demo city, then starts the workers on one shared socket and looks after all of
them until it is told to stop: workers first, so that running requests end well, the database last.
"""

import asyncio
import http.client
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import multiprocess
from pydantic import SecretStr

from app.cli import banner, demo
from app.cli.checks import refuse_unsafe
from app.cli.family import Child, ChildrenKeepDying, Family
from app.cli.founding import demo_log_ins, seed_city
from app.cli.migrate import migrate_or_fail
from app.cli.place import Keys, configured, fail, said, say
from app.settings import Settings
from app.store.embedded import EmbeddedPostgres
from app.store.programs import EmbeddedPostgresError, StartCancelled
from app.store.session import Database

_APPLICATION = "app.main:create"
_FAKE_WECHAT = "app.wechat.fake:create_fake"
_FAKE_APP_ID, _FAKE_APP_SECRET = "wxdemo", "demo-secret"
_LOOK_S = 0.1
_READY_S = 60.0
_REVIVE_S = 5.0
_PORT_PATIENCE_S = 3.0
_EMBEDDED_CONNECTIONS = 190
_BACKLOG = 2048


def serve(
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="0: any free one")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of everything that is kept")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="worker processes")] = None,
    empty: Annotated[bool, typer.Option("--empty", help="do not seed the demo city")] = False,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="only HTTP; run lianxin worker for the jobs")
    ] = False,
) -> None:
    """Serve the API, run the jobs, and unless DATABASE_URL is set run the database too."""
    settings = configured(
        **said(data=data),
        web=said(port=port, host=host, workers=workers),
        jobs={"enabled": False} if no_worker else {},
    )
    try:
        Service(settings, empty=empty).run()
    except StartCancelled:
        return
    except (EmbeddedPostgresError, ChildrenKeepDying) as error:
        fail(str(error))


class Service:
    """One run of ``serve``."""

    def __init__(self, settings: Settings, *, empty: bool) -> None:
        # The children may not share our working directory for ever.
        self.settings = settings.model_copy(update={"data": settings.data.absolute()})
        self._empty = empty
        # Not in the data folder: that may be another's, which only the database's lock tells.
        self._metrics = Path(tempfile.mkdtemp(prefix="lianxin-metrics-"))
        self._told_to_stop = threading.Event()
        self._signals = 0
        self._database: EmbeddedPostgres | None = None
        self._family = Family()

    def run(self) -> None:
        """Returns after a clean stop. Exits 1, everything stopped, when it cannot start."""
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, self._on_signal)
        with ExitStack() as open_things:
            open_things.callback(shutil.rmtree, self._metrics, ignore_errors=True)
            listener = open_things.enter_context(self._listen())
            database = open_things.enter_context(ExitStack())  # closed after the children
            fake_url = self._start_children(listener, open_things)
            url = self._open_database(database)
            logins = self._prepare(url)
            if self._told_to_stop.is_set():
                return
            base_url = _base_url(*listener.getsockname()[:2])
            demo_city = self.settings.profile == "demo"
            docs = demo_city and self.settings.web.docs
            if demo_city and logins:
                # Before the workers: whoever finds the file can connect, and is answered soon.
                told = demo.write_demo_file(self.settings.data, base_url, logins)
            self._family.go(self._environment(url, listener, fake_url))

            def greet() -> None:
                if demo_city and logins:
                    banner.demo(base_url, told, self.settings.data / "demo.json", docs=docs)
                else:
                    banner.plain(base_url, docs=docs)

            self._watch(listener, greet)
            say("stopping")
            listener.close()  # so that nobody new is let in and then left waiting

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._signals += 1
        self._told_to_stop.set()

    def _listen(self) -> socket.socket:
        """Bind before anything is started. A killed predecessor's worker may need a moment."""
        web = self.settings.web
        family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
        until = time.monotonic() + _PORT_PATIENCE_S
        while True:
            try:
                return socket.create_server(
                    (web.host, web.port), family=family, backlog=_BACKLOG, reuse_port=False
                )
            except OSError as error:
                if time.monotonic() > until or self._told_to_stop.is_set():
                    fail(
                        f"cannot listen on {web.host} port {web.port}: {error.strerror or error}."
                        " Choose another one with --port (0: any free one)."
                    )
            self._told_to_stop.wait(_LOOK_S)

    def _open_database(self, open_things: ExitStack) -> str:
        """The URL of the database; the data folder exists afterwards."""
        if self.settings.database_url:
            self.settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self.settings.database_url
        pools, workers = self.settings.database, self.settings.web.workers
        needed = workers * (pools.pool_size + pools.session_pool_size + 1)
        if needed > _EMBEDDED_CONNECTIONS:
            fail(
                f"{workers} workers may open {needed} connections, the embedded"
                f" database has {_EMBEDDED_CONNECTIONS}: lower LIANXIN_DATABASE__POOL_SIZE and"
                " LIANXIN_DATABASE__SESSION_POOL_SIZE, or use fewer workers"
            )
        self._database = EmbeddedPostgres(self.settings.data, cancelled=self._told_to_stop.is_set)
        open_things.callback(self._database.stop)
        self._database.start()
        return self._database.url

    def _prepare(self, url: str) -> list[dict[str, str | None]]:
        """Keys, tables, checks, the demo city. The demo's log-ins, if it is one."""
        external = self.settings.database_url is not None
        production = self.settings.profile == "production"
        keys = None
        if not (production and external):
            keys = Keys.of(self.settings.data, self.settings.secret_key)
            self.settings = self.settings.model_copy(
                update={"secret_key": SecretStr(keys.secret_key)}
            )
            migrate_or_fail(url)
        if production:
            refuse_unsafe(self.settings, url, now=_now())
        (self.settings.data / "demo.json").unlink(missing_ok=True)
        return asyncio.run(self._seed(url, keys)) if keys and not production else []

    async def _seed(self, url: str, keys: Keys) -> list[dict[str, str | None]]:
        db = Database(url, self.settings.database)
        try:
            if not self._empty:
                await seed_city(db, self.settings, keys, now=_now())
            return await demo_log_ins(db, keys)
        finally:
            await db.close()

    def _start_children(self, listener: socket.socket, open_things: ExitStack) -> str | None:
        """Start everybody; they load and wait. The fake WeChat's address, in a demo."""
        open_things.callback(self._family.stop, hurry=lambda: self._signals > 1)
        fake_url = None
        if self.settings.profile == "demo":
            fake = open_things.enter_context(
                socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
            )
            fake_url = _base_url(*fake.getsockname()[:2])
            self._family.add(Child("fake-wechat", _FAKE_WECHAT, fake, grace_s=2))
        self._family.add(
            *(
                Child(
                    f"worker-{number}",
                    _APPLICATION,
                    listener,
                    self.settings.web.shutdown_grace_s,
                    # prometheus_client looks for it at its import.
                    {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics)},
                )
                for number in range(1, self.settings.web.workers + 1)
            )
        )
        return fake_url

    def _environment(
        self, url: str, listener: socket.socket, fake_url: str | None
    ) -> dict[str, str]:
        """What the children must know besides what we were given ourselves."""
        settings = self.settings
        host, port = listener.getsockname()[:2]
        environment = {
            "DATABASE_URL": url,
            "LIANXIN_DATA": str(settings.data),
            "LIANXIN_SECRET_KEY": settings.secret_key.get_secret_value(),
            "LIANXIN_WEB__HOST": str(host),
            "LIANXIN_WEB__PORT": str(port),
            "LIANXIN_WEB__WORKERS": str(settings.web.workers),
            "LIANXIN_JOBS__ENABLED": str(settings.jobs.enabled).lower(),
        }
        if fake_url is not None:
            environment |= {
                "LIANXIN_WECHAT__BASE_URL": fake_url,
                "LIANXIN_WECHAT__APP_ID": _FAKE_APP_ID,
                "LIANXIN_WECHAT__APP_SECRET": _FAKE_APP_SECRET,
            }
        return environment

    def _watch(self, listener: socket.socket, greet: Callable[[], None]) -> None:
        """Look after database and children until told to stop; greet when they answer."""
        began, greeted = time.monotonic(), False
        while not self._told_to_stop.wait(_LOOK_S):
            if self._database is not None and not self._database.alive:
                self._revive(self._database)
            for pid in self._family.look_after(patient=greeted):
                multiprocess.mark_process_dead(pid, str(self._metrics))  # type: ignore[no-untyped-call]
            if not greeted and _answers(listener):
                greeted = True
                greet()
            if not greeted and time.monotonic() - began > _READY_S:
                raise ChildrenKeepDying(f"no worker answered within {_READY_S:.0f} s")

    def _revive(self, database: EmbeddedPostgres) -> None:
        """Start the database again; if it cannot (a full disk), try until it can."""
        say("the database has ended, starting it again")
        try:
            database.start()
        except StartCancelled:
            return
        except EmbeddedPostgresError as error:
            say(str(error))
            self._told_to_stop.wait(_REVIVE_S)


def _answers(listener: socket.socket) -> bool:
    """Whether a worker takes connections. Any answer will do: the host name may be refused."""
    host, port = listener.getsockname()[:2]
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=2)
    try:
        connection.request("GET", "/health/live")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here


def _base_url(host: str, port: int) -> str:
    address = _reachable(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _now() -> datetime:
    return datetime.now(UTC)
