"""A whole service in a process of its own, for the tests beside this file."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Service:
    """``lianxin serve`` on ``data``. What it says is in ``said()``."""

    def __init__(self, data: Path, *words: str, port: int = 0, **environment: str) -> None:
        self.data = data
        self.log = data.with_name(f"{data.name}-{uuid4().hex[:6]}.log")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LIANXIN_", "DATABASE_URL"))
        }
        command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(data), *words],
                cwd=ROOT,
                env=kept | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def until_ready(self) -> "Service":
        """Wait for the greeting: until then ``demo.json`` may be that of an earlier start."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            assert self.process.poll() is None, self.said()
            if "/health/ready" in self.said():
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"{self.base_url}/health/ready", timeout=10).status_code == 200:
                        return self
            time.sleep(0.02)
        raise AssertionError(self.said())

    @property
    def demo(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.data / "demo.json").read_text())
        return content

    @property
    def base_url(self) -> str:
        return str(self.demo["base_url"])

    def family(self) -> list[psutil.Process]:
        """The parent and everything it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def children(self, application: str) -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process(self.process.pid).children()
            if application in " ".join(child.cmdline())
        ]

    def submit(self, text: str, *, key: str | None = None) -> str:
        """A resident's request over HTTP; its number."""
        with httpx.Client(base_url=self.base_url, timeout=20) as http:
            code = f"code-ok-{uuid4().hex[:12]}"
            resident = http.post("/api/v1/auth/wechat", json={"code": code})
            assert resident.status_code == 200, resident.text
            answer = http.post(
                "/api/v1/requests",
                json={"text": text},
                headers={
                    "Authorization": f"Bearer {resident.json()['token']}",
                    "Idempotency-Key": key or uuid4().hex,
                },
            )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["number"])

    def log_in(self, role: str) -> httpx.Client:
        """A client with the session of the first demo account of this role."""
        login = next(login for login in self.demo["logins"] if login["role"] == role)
        http = httpx.Client(base_url=self.base_url, timeout=20)
        answer = http.post(
            "/api/v1/auth/staff",
            json={"username": login["username"], "password": login["password"]},
        )
        assert answer.status_code == 200, answer.text
        http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return http

    def numbers(self) -> set[str]:
        """The numbers of all requests, as the city's dispatcher sees them."""
        found: set[str] = set()
        asked: dict[str, str | int] = {"limit": 100}
        with contextlib.closing(self.log_in("dispatcher")) as http:
            while True:
                answer = http.get("/api/v1/requests", params=asked)
                assert answer.status_code == 200, answer.text
                page = answer.json()
                found.update(item["number"] for item in page["items"])
                if page["next_cursor"] is None:
                    return found
                asked["cursor"] = page["next_cursor"]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def gone(processes: list[psutil.Process], within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with contextlib.suppress(psutil.NoSuchProcess):
            if not alive(processes):
                return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def served(data: Path, *words: str, port: int = 0, **environment: str) -> Iterator[Service]:
    service = Service(data, *words, port=port, **environment)
    try:
        yield service.until_ready()
    finally:
        if service.process.poll() is None:
            service.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
