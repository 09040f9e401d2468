"""Starting and stopping what is measured: ``lianxin serve`` and the no-op, each with N workers."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bench import machine

READY_S = 60.0
_STOP_S = 40.0
_HUGE = "1000000000"

# The limits must not be what is measured, and the jobs belong to another process, as with
# ``serve --no-worker``: nothing else differs from an ordinary start.
MEASURED = {
    "LIANXIN_LIMITS__REQUESTS_PER_HOUR": _HUGE,
    "LIANXIN_LIMITS__STAFF_REQUESTS_PER_HOUR": _HUGE,
    "LIANXIN_LIMITS__CALLS_PER_MINUTE": _HUGE,
    "LIANXIN_LIMITS__LOGINS_PER_MINUTE": _HUGE,
    "LIANXIN_JOBS__ENABLED": "false",
}


class DidNotStart(RuntimeError):
    """A server did not answer in time; the message is the end of its output."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours without what configures a service, and ``extra``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LIANXIN_") and name != "DATABASE_URL"
    }
    return {**kept, **extra}


class Server:
    """Processes of ours that answer HTTP on loopback. Ends only what it started."""

    def __init__(self) -> None:
        self.port = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        until = time.monotonic() + _STOP_S
        for process in self.processes:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def used_us(self) -> float:
        """Processor time of the workers so far, in µs."""
        return machine.used_us(self.workers)

    def _wait(self, path: str, log: Path) -> None:
        until = time.monotonic() + READY_S
        while not answers(self.port, path):
            ended = any(process.poll() is not None for process in self.processes)
            if ended or time.monotonic() > until:
                raise DidNotStart(log.read_text(errors="replace")[-2000:])
            time.sleep(0.01)


class Service(Server):
    """``lianxin serve`` on a data folder, with a database of ours or (None) its own."""

    def __init__(
        self, data: Path, *, database_url: str | None, workers: int, secret_key: str | None = None
    ) -> None:
        super().__init__()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data = data
        self.port = free_port()
        environment = clean_environment(MEASURED)
        if database_url is not None:
            environment["DATABASE_URL"] = database_url
        if secret_key is not None:
            environment["LIANXIN_SECRET_KEY"] = secret_key
        self._log = data / "serve.log"
        command = [sys.executable, "-P", "-m", "app", "serve"]
        command += ["--port", str(self.port), "--workers", str(workers), "--data", str(data)]
        with self._log.open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for the bench, which then stops it
                )
            )
        self._count = workers

    def wait_until_ready(self) -> None:
        """Raises: DidNotStart."""
        self._wait("/health/ready", self._log)
        until = time.monotonic() + READY_S
        while len(self.workers) < self._count and time.monotonic() < until:
            below = machine.descendants(self.processes[0].pid)
            self.workers = [pid for pid in below if "app.main:create" in machine.command_of(pid)]
            time.sleep(0.05)


class Noop(Server):
    """``bench.noop`` with as many workers as the service."""

    def __init__(self, data: Path, *, workers: int) -> None:
        super().__init__()
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = listener.getsockname()[1]
        log_path = data / "noop.log"
        with listener, log_path.open("ab") as log:
            for _ in range(workers):
                self.processes.append(
                    subprocess.Popen(
                        [
                            *(sys.executable, "-P", "-m", "bench.noop"),
                            f"--socket={listener.fileno()}",
                        ],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        pass_fds=[listener.fileno()],
                        start_new_session=True,
                    )
                )
        self.workers = [process.pid for process in self.processes]
        self._wait("/", log_path)


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
