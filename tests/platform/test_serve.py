"""``lianxin serve`` as an operator meets it: started, killed, stopped, started again."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from app.domain.identity import STAFF_ROLES
from app.store import leftovers
from tests.platform.serving import ROOT, Service, alive, free_port, gone, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data folder for the whole file: each test is one more start on it."""
    folder = tmp_path_factory.mktemp("serve") / "data"
    yield folder
    leftovers.clear(folder / "postgres")


def refused(data: Path, *words: str, **environment: str) -> str:
    """What a service says that does not start."""
    service = Service(data, *words, **environment)
    assert service.process.wait(60) == 1, service.said()
    return service.said()


def test_a_fresh_folder_becomes_a_city_within_seconds_and_ends_without_a_trace(
    data: Path,
) -> None:
    began = time.monotonic()
    with served(data, "--workers", "2") as service:
        number = service.submit("路灯不亮")
        assert time.monotonic() - began < 15  # 3.5 s on two quiet cores
        roles = {login["role"] for login in service.demo["logins"]}
        assert roles == {role.value for role in STAFF_ROLES}
        assert len(service.demo["residents"]) == 10
        communities = [
            login["grid"] for login in service.demo["logins"] if login["role"] == "grid_leader"
        ]
        assert len(communities) == len({grid[:12] for grid in communities}) == 119
        for role in STAFF_ROLES:
            service.log_in(role.value).close()
        assert number in service.numbers()
        family = service.family()
        for name in ("demo.json", "secrets.json"):
            assert (data / name).stat().st_mode & 0o077 == 0
        assert service.stop(signal.SIGTERM) == 0
    assert alive([process for process in family if process.is_running()]) == []
    assert leftovers.postmaster_pid(data / "postgres") is None


def test_a_second_start_keeps_data_and_passwords_and_ctrl_c_ends_it(data: Path) -> None:
    with served(data) as service:
        before = service.demo
        number = service.submit("井盖松动")
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 0
    with served(data) as service:
        assert service.demo["logins"] == before["logins"]
        assert number in service.numbers()


def test_a_killed_worker_is_replaced_and_nothing_is_lost(data: Path) -> None:
    with served(data, "--workers", "2") as service:
        number = service.submit("下水道堵塞")
        for worker in service.children("app.main:create"):
            worker.kill()
        service.until_ready()
        assert number in service.numbers()
        assert len(service.children("app.main:create")) == 2
        for fake in service.children("create_fake"):
            fake.kill()
        time.sleep(1.5)
        service.submit("新的微信服务")


def test_a_killed_database_is_started_again(data: Path) -> None:
    with served(data) as service:
        number = service.submit("停水")
        pid = leftovers.postmaster_pid(data / "postgres")
        psutil.Process(pid).kill()
        time.sleep(0.3)
        began = time.monotonic()
        service.until_ready()
        assert number in service.numbers()
        assert time.monotonic() - began < 10
        assert leftovers.postmaster_pid(data / "postgres") != pid


def test_a_killed_parent_leaves_nobody_behind_and_the_port_is_free_at_once(data: Path) -> None:
    port = free_port()
    service = Service(data, "--workers", "2", port=port).until_ready()
    number = service.submit("噪音扰民")
    children = service.children("child.py")
    service.process.kill()
    service.process.wait()
    with served(data, port=port) as again:
        assert again.base_url == f"http://127.0.0.1:{port}"
        assert number in again.numbers()
        assert gone(children, within_s=10)


def test_after_kill_9_of_everything_it_starts_again_at_once(data: Path) -> None:
    for text in ("第一次", "第二次"):
        service = Service(data, "--workers", "2").until_ready()
        number = service.submit(text)
        service.kill()
        with served(data) as again:
            assert number in again.numbers()


def test_it_can_be_killed_at_any_moment_of_its_first_start(tmp_path: Path) -> None:
    for tenths in (8, 14, 20, 26):  # before, during and after initdb, migration, seeding
        folder = tmp_path / "data"
        service = Service(folder)
        time.sleep(tenths / 10)
        service.kill()
    with served(folder) as service:
        service.submit("终于起来了")
        assert len(service.demo["logins"]) > 100


def test_a_busy_port_is_said_and_nothing_is_left_running(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = Service(data, port=port)
        assert service.process.wait(60) == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in service.said()
    assert "Traceback" not in service.said()
    assert leftovers.postmaster_pid(data / "postgres") is None


def test_a_folder_in_use_is_said(data: Path) -> None:
    with served(data) as service:
        said = refused(data)
        assert f"in use by process {service.process.pid}" in said
        assert "Traceback" not in said
        service.until_ready()


def test_sigterm_during_the_start_ends_it_cleanly(tmp_path: Path) -> None:
    for wait_s in (0.3, 1.0, 2.0, 3.0):
        service = Service(tmp_path / "data")
        time.sleep(wait_s)
        family = service.family()
        assert service.stop() == 0, service.said()
        assert gone(family, within_s=5)


def test_an_empty_city_has_no_accounts(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", "--empty")
    try:
        until = time.monotonic() + 60
        while "/health/ready" not in service.said() and time.monotonic() < until:
            assert service.process.poll() is None, service.said()
            time.sleep(0.05)
        assert not (tmp_path / "data" / "demo.json").exists()
    finally:
        assert service.stop() == 0


def submit_until_it_ends(service: Service, numbers: set[str]) -> None:
    """Submit one request after the other; keep the number of every one that was acknowledged."""
    for n in range(10_000):
        try:
            numbers.add(service.submit(f"停机前第{n}件"))
        except httpx.TransportError:
            return


def test_what_was_acknowledged_under_load_survives_a_stop_and_a_kill(data: Path) -> None:
    acknowledged: set[str] = set()
    for end in (signal.SIGTERM, signal.SIGKILL):
        before = len(acknowledged)
        with served(data, "--workers", "2") as service, ThreadPoolExecutor(8) as clients:
            submitting = [
                clients.submit(submit_until_it_ends, service, acknowledged) for _ in range(8)
            ]
            time.sleep(2)
            if end is signal.SIGTERM:
                began = time.monotonic()
                assert service.stop() == 0
                assert time.monotonic() - began < 25
            else:
                service.kill()
            for client in submitting:
                client.result()  # an answer that was no 201 fails here
        assert len(acknowledged) > before
    with served(data) as service:
        assert acknowledged <= service.numbers()


def test_doctor_and_staff_work_beside_a_running_service(data: Path) -> None:
    def lianxin(*words: str, told: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", *words],
            cwd=ROOT,
            env={"LIANXIN_DATA": str(data), "PATH": "/usr/bin:/bin"},
            input=told,
            capture_output=True,
            text=True,
            check=False,
        )

    with served(data) as service:
        doctor = lianxin("doctor")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        assert "the schema is at revision" in doctor.stdout
        words = ("staff", "create", "--role", "auditor", "--username", "second-auditor")
        weak = lianxin(*words, told="123456\n")
        assert weak.returncode == 1
        assert "密码" in weak.stderr
        made = lianxin(*words, told="Kx9-mornings-blue\n")
        assert made.returncode == 0, made.stderr
        again = lianxin(*words, told="Kx9-mornings-blue\n")
        assert again.returncode == 1
        assert "该用户名已被使用" in again.stderr
        assert "second-auditor" not in json.dumps(service.demo)
    stopped = lianxin("doctor")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
