"""A private PostgreSQL in the data folder, for when no ``DATABASE_URL`` is given.

The server listens on a socket in a folder that only its owner can enter (which is why it may trust
whoever reaches it) and on no network. It runs in a session of its own, so that a Ctrl-C in the
terminal reaches the service alone, which then stops the database last. Whatever was killed, the
next ``start()`` clears it away: see ``app.store.leftovers``.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import structlog

from app.store import leftovers
from app.store.programs import (
    EmbeddedPostgresError,
    Programs,
    RunAs,
    StartCancelled,
    choose_run_as,
    find_programs,
)

APP_ROLE = "lianxin"
APP_DATABASE = "lianxin"
_ADMIN = "postgres"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 100  # the kernel takes 107 on Linux, 103 on macOS
_LOG_BYTES = 10 * 1024 * 1024
_RETRY_S = 60.0
_RECOVERY_S = 1800.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_log = structlog.get_logger(__name__)

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_buffers": "16MB",
    "wal_compression": "on",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Details and statements of a failed command would carry personal data into the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "cluster_name": "lianxin",
}


class DataFolderBusy(EmbeddedPostgresError):
    """Another process serves this data folder."""


class ForeignVersion(EmbeddedPostgresError):
    """The data folder was made by another major version of PostgreSQL."""


def url_of_running(data: Path) -> str | None:
    """The URL of the database that another process now runs in ``data``, or None."""
    cluster = data.absolute() / "postgres"
    lines = leftovers.postmaster_file(cluster)
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    pid = leftovers.postmaster_pid(cluster)
    alive = pid is not None and leftovers.is_server_of(cluster, pid)
    return _url(APP_ROLE, APP_DATABASE, lines[4].strip()) if alive else None


class EmbeddedPostgres:
    """One private server on ``data``. ``start()`` before use, ``stop()`` at the end.

    Args:
        data: folder for everything the service keeps; made if missing, private to its owner.
        durable: False gives up safety against crashes for speed, for tests.
        cancelled: asked while we wait for a start, which a recovery can make long.
    """

    def __init__(
        self,
        data: Path,
        *,
        durable: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.data = data.absolute()
        self.cluster = self.data / "postgres"
        self.log = self.data / "postgres.log"
        self._durable = durable
        self._cancelled = cancelled
        self._process: subprocess.Popen[bytes] | None = None
        self._programs: Programs | None = None
        self._run_as = RunAs()
        self._sockets = self.cluster
        self._held = ExitStack()

    @property
    def url(self) -> str:
        """For the service: a role that owns its database and nothing else."""
        return _url(APP_ROLE, APP_DATABASE, str(self._sockets))

    @property
    def admin_url(self) -> str:
        """For tests and tools: the superuser."""
        return _url(_ADMIN, _ADMIN, str(self._sockets))

    @property
    def alive(self) -> bool:
        """Whether the server process that we started still runs (reaps it when not)."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, making the database first where there is none.

        Returns when it accepts connections, after however long a recovery. Call it again when
        ``alive`` turned False: the lock on the data folder is kept.

        Raises:
            DataFolderBusy: another process holds the data folder.
            ForeignVersion: the folder belongs to another major version.
            StartCancelled: ``cancelled`` said so.
            EmbeddedPostgresError: anything else that the operator must put right.
        """
        if self.alive:
            return
        first = self._programs is None
        try:
            if first:
                self._take_folder()
            leftovers.clear(self.cluster)
            if not self.cluster.exists():
                self._initialise()
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server (open transactions are rolled back) and give the folder free."""
        process, self._process = self._process, None
        if process is not None:
            for sign, patience_s in (
                (signal.SIGINT, 60),
                (signal.SIGQUIT, 10),
                (signal.SIGKILL, 10),
            ):
                process.send_signal(sign)  # does nothing once it has ended
                try:
                    process.wait(patience_s)
                    break
                except subprocess.TimeoutExpired:
                    _log.warning("database_slow_to_stop", signal=sign.name)
        self._programs = None
        self._held.close()

    def _take_folder(self) -> None:
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.data / "lianxin.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"Cannot use the data folder {self.data}: {error.strerror}."
                " Choose another one with --data."
            ) from error
        self._held.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            raise DataFolderBusy(
                f"The data folder {self.data} is in use by process {owner}."
                " Stop that one first, or choose another folder with --data."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        programs = find_programs()
        self._refuse_foreign(programs)
        self._programs, self._run_as = choose_run_as(programs, self.data, self.cluster)
        if os.geteuid() == 0:
            self._adopt_files(lock)
        self._sockets = self._socket_folder()

    def _refuse_foreign(self, programs: Programs) -> None:
        if not self.cluster.exists():
            return
        try:
            version = (self.cluster / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{self.cluster} is not a readable PostgreSQL folder ({error.strerror})."
                " Choose another data folder with --data."
            ) from error
        if version != str(programs.major):
            raise ForeignVersion(
                f"The database in {self.cluster} was made by PostgreSQL {version}; the programs in"
                f" {programs.folder} are PostgreSQL {programs.major}. Nothing was changed. Run it"
                f" with PostgreSQL {version} (as a server, through DATABASE_URL), or dump it there"
                f" with pg_dump and restore it into a new data folder (--data NEW)."
            )

    def _adopt_files(self, lock: int) -> None:
        """Root leaves the folder usable for the folder's owner, and the cluster for the server."""
        owner = self.data.stat()
        os.fchown(lock, owner.st_uid, owner.st_gid)
        if self._run_as.user is not None and self.cluster.exists():
            uid, gid = self._run_as.user
            if self.cluster.stat().st_uid != uid:
                for folder, folders, files in os.walk(self.cluster):
                    for name in (*folders, *files):
                        os.lchown(os.path.join(folder, name), uid, gid)
                os.chown(self.cluster, uid, gid)

    def _socket_folder(self) -> Path:
        """The cluster's own folder, or a private short one where its path makes no good address."""
        path = str(self.cluster)
        fits = len(os.fsencode(f"{path}/{_SOCKET}")) <= _SOCKET_PATH_BYTES
        if fits and not re.search(r"""[,:"'%?#&=+@\\\s]""", path.replace(" ", "")):
            return self.cluster
        short = Path(tempfile.mkdtemp(prefix="lianxin-", dir="/tmp"))
        self._held.callback(shutil.rmtree, short, ignore_errors=True)
        if self._run_as.user is not None:
            os.chown(short, *self._run_as.user)
        return short

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole."""
        assert self._programs is not None  # noqa: S101 - set by _take_folder
        for halfway in self.data.glob("initdb-*"):
            shutil.rmtree(halfway, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            dir=self.data, prefix="initdb-", ignore_cleanup_errors=True
        ) as scratch:
            if self._run_as.user is not None:
                os.chown(scratch, *self._run_as.user)
            fresh = Path(scratch) / "postgres"
            options = ["-U", _ADMIN, "--auth-local=trust", "--auth-host=reject"]
            options += ["--encoding=UTF8", "--locale=C"]
            self._run(
                [self._programs.initdb, "-D", str(fresh), *options]
                + ([] if self._durable else ["--no-sync"])
            )
            self._run(
                [self._programs.postgres, "--single", "-D", str(fresh), _ADMIN],
                f"CREATE ROLE {APP_ROLE} LOGIN;\n"
                f"CREATE DATABASE {APP_DATABASE} OWNER {APP_ROLE};\n",
            )
            fresh.rename(self.cluster)

    def _run(self, command: list[str], told: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own programs
            [*self._run_as.prefix, *command],
            input=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            check=False,
            **self._run_as.popen_options(),  # type: ignore[call-overload]
        )
        if done.returncode != 0 or "ERROR:" in done.stdout:
            raise EmbeddedPostgresError(
                f"{Path(command[0]).name} failed on {self.data}:\n{done.stdout.strip()[-2000:]}"
            )

    def _launch(self) -> None:
        assert self._programs is not None  # noqa: S101 - set by _take_folder
        settings = _SETTINGS | {"unix_socket_directories": str(self._sockets)}
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            settings[name] = "on" if self._durable else "off"
        command = [*self._run_as.prefix, self._programs.postgres, "-D", str(self.cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        until = time.monotonic() + _RETRY_S
        while True:
            said = self._try_launch(command)
            if said is None:
                return
            # Somebody still holds the old server's memory or number: gone in a moment.
            passing = "pre-existing shared memory" in said or "lock file" in said
            if not passing or time.monotonic() > until:
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start on {self.data}:\n{said.strip()[-2000:]}"
                )
            time.sleep(0.2)
            leftovers.clear(self.cluster)

    def _try_launch(self, command: list[str]) -> str | None:
        """Start once and wait until it is ready; else return what the server said."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            began_at = os.fstat(log.fileno()).st_size
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
                **self._run_as.popen_options(),  # type: ignore[call-overload]
            )
        started, told = time.monotonic(), False
        while self._process.poll() is None:
            lines = leftovers.postmaster_file(self.cluster)
            mine = len(lines) >= 8 and lines[0].strip() == str(self._process.pid)
            if mine and lines[7].strip() == "ready":
                return None
            if self._cancelled():
                raise StartCancelled("stopped while the database was starting")
            waited = time.monotonic() - started
            if waited > _RECOVERY_S:
                raise EmbeddedPostgresError(
                    f"PostgreSQL is not ready after {waited:.0f} s; see {self.log}."
                )
            if waited > 3 and not told:
                told = True
                _log.warning("database_recovering", log=str(self.log))
            time.sleep(0.005)
        self._process = None
        with self.log.open("rb") as log:
            log.seek(began_at)
            return log.read().decode(errors="replace")


def _url(role: str, database: str, sockets: str) -> str:
    return f"postgresql://{role}@/{database}?host={quote(sockets, safe='/')}"
