"""A production system that would lose data or give it away does not start."""

import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.store.embedded import EmbeddedPostgres
from tests.platform.serving import ROOT, free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Somebody else's server, as DATABASE_URL names one."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def environment(server: EmbeddedPostgres, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": server.url,
        "LIANXIN_PROFILE": "production",
        "LIANXIN_DATA": str(tmp_path / "data"),
        "LIANXIN_SECRET_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "LIANXIN_WEB__DOCS": "false",
        "LIANXIN_WEB__PORT": str(free_port()),
    }


def lianxin(
    environment: dict[str, str], *words: str, told: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=ROOT,
        env=environment,
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_does_not_migrate_by_itself(environment: dict[str, str]) -> None:
    done = lianxin(environment, "serve")
    assert done.returncode == 1
    assert "run lianxin migrate" in done.stderr
    assert "Traceback" not in done.stderr


def hears_sigterm(pid: int) -> bool:
    """Whether a process has got as far as to take SIGTERM in its own hands."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))


def test_migrated_and_seeded_it_starts_without_the_demo(environment: dict[str, str]) -> None:
    assert lianxin(environment, "migrate").returncode == 0
    demo = lianxin(environment, "seed")
    assert demo.returncode == 1
    assert "--reference-only" in demo.stderr
    seeded = lianxin(environment, "seed", "--reference-only")
    assert seeded.returncode == 0, seeded.stderr
    doctor = lianxin(environment, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    started = [
        subprocess.Popen([sys.executable, "-m", "app", *words], cwd=ROOT, env=environment)
        for words in (("serve", "--no-worker", "--workers", "2"), ("worker",))
    ]
    base_url = f"http://127.0.0.1:{environment['LIANXIN_WEB__PORT']}"
    try:
        with closing(httpx.Client(base_url=base_url, timeout=5)) as http:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                assert [process.poll() for process in started] == [None, None]
                try:
                    if http.get("/health/ready").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.1)
            while not hears_sigterm(started[1].pid) and time.monotonic() < until:
                time.sleep(0.1)  # before that it would die of it, as any program does
            assert http.get("/docs").status_code == 404
            assert not (Path(environment["LIANXIN_DATA"]) / "demo.json").exists()
            assert not (Path(environment["LIANXIN_DATA"]) / "secrets.json").exists()
    finally:
        for process in started:
            process.terminate()
    assert [process.wait(30) for process in started] == [0, 0]


@pytest.mark.parametrize(
    ("command", "change", "said"),
    [
        ("serve", {"LIANXIN_SECRET_KEY": ""}, "LIANXIN_SECRET_KEY must be base64"),
        ("worker", {"LIANXIN_SECRET_KEY": "c2hvcnQ="}, "LIANXIN_SECRET_KEY must be base64"),
        ("serve", {"LIANXIN_WEB__DOCS": "true"}, "/docs is open"),
        ("serve", {"LIANXIN_LOG_LEVEL": "debug"}, "debug logs"),
        ("serve", {"LIANXIN_WEB__WORKERS": "many"}, "LIANXIN_WEB__WORKERS"),
        (
            "serve",
            {"DATABASE_URL": "postgresql://lianxin@127.0.0.1:1/lianxin"},
            "cannot be reached",
        ),
    ],
)
def test_an_unsafe_setting_is_refused(
    environment: dict[str, str], command: str, change: dict[str, str], said: str
) -> None:
    done = lianxin(environment | change, command)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_superuser_and_a_careless_server_are_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "careless", durable=False) as careless:
        done = lianxin(environment | {"DATABASE_URL": careless.admin_url}, "serve")
    assert done.returncode == 1
    assert "fsync, full_page_writes, synchronous_commit is off" in done.stderr
    assert "the database role postgres is a superuser" in done.stderr


def test_a_lost_or_wrong_key_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secrets.json").write_text('{"secret_key": "an other one", "demo": {}}')
    done = lianxin(environment | {"LIANXIN_PROFILE": "demo"}, "serve")
    assert done.returncode == 1
    assert "is not the key in" in done.stderr
    (data / "secrets.json").write_text("{half")
    done = lianxin(environment | {"LIANXIN_PROFILE": "demo"}, "serve")
    assert done.returncode == 1
    assert "restore it from a backup" in done.stderr
