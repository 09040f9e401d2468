"""The embedded database: starts, stops, and comes back from every kind of death."""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.store import leftovers
from app.store.embedded import (
    DataFolderBusy,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    ForeignVersion,
    url_of_running,
)
from app.store.programs import RunAs, find_programs

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import asyncio, sys, time
from pathlib import Path
import asyncpg
from app.store.embedded import EmbeddedPostgres

async def work(url):
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS t (n int)")
    await connection.execute("INSERT INTO t SELECT count(*) + 1 FROM t")
    print(await connection.fetchval("SELECT count(*) FROM t"), flush=True)
    if len(sys.argv) > 2:
        await connection.execute(sys.argv[2])

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
asyncio.run(work(server.url))
if "stay" in sys.argv:
    time.sleep(600)
server.stop()
"""


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lianxin-pg-") as folder:
        yield Path(folder)
        leftovers.clear(Path(folder) / "postgres")


def ask(url: str, sql: str) -> object:
    """The first value of the answer. In a thread: the suite's own loop belongs to other tests."""

    async def answer() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer()).result()


def owner_process(data: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


def postmaster(data: Path) -> psutil.Process:
    pid = leftovers.postmaster_pid(data / "postgres")
    assert pid
    return psutil.Process(pid)


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_starts_serves_an_ordinary_role_and_stops(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    assert ask(server.url, "SELECT current_user || '@' || current_database()") == (
        "lianxin@lianxin"
    )
    privileged = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls FROM pg_roles"
    assert ask(server.url, f"{privileged} WHERE rolname = current_user") is False
    assert ask(server.admin_url, f"{privileged} WHERE rolname = current_user") is True
    for setting, value in {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "jit": "off",
        "max_connections": "200",
    }.items():
        assert ask(server.url, f"SHOW {setting}") == value
    assert url_of_running(data) == server.url
    process = postmaster(data)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 2
    assert not lives(process)
    assert url_of_running(data) is None
    server.stop()  # once more does no harm


def test_the_data_stays_and_the_test_mode_gives_up_durability(data: Path) -> None:
    with EmbeddedPostgres(data, durable=False) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
        assert ask(server.url, "SHOW fsync") == "off"
    with EmbeddedPostgres(data) as server:
        assert ask(server.url, "SELECT n FROM kept") == 7
        assert ask(server.url, "SHOW fsync") == "on"


def test_the_folder_and_the_socket_are_private(data: Path) -> None:
    with EmbeddedPostgres(data, durable=False):
        assert (data / "postgres").stat().st_mode & 0o777 == 0o700
        assert (data / "postgres" / ".s.PGSQL.5432").is_socket()


def test_a_folder_whose_path_makes_no_socket_address_still_works(data: Path) -> None:
    for name in ("with space", "甲, 乙%20", "deep" * 40):
        folder = data / name
        with EmbeddedPostgres(folder, durable=False) as server:
            assert ask(server.url, "SELECT 1") == 1
            assert url_of_running(folder) == server.url
        leftovers.clear(folder / "postgres")


def test_a_second_owner_is_refused(data: Path) -> None:
    with (
        EmbeddedPostgres(data, durable=False),
        pytest.raises(DataFolderBusy, match=f"in use by process {os.getpid()}"),
    ):
        EmbeddedPostgres(data).start()


def test_another_major_version_is_refused_and_named(data: Path) -> None:
    with EmbeddedPostgres(data, durable=False):
        pass
    (data / "postgres" / "PG_VERSION").write_text("12\n")
    ours = find_programs().major
    with pytest.raises(ForeignVersion, match=f"PostgreSQL 12; .* PostgreSQL {ours}.*pg_dump"):
        EmbeddedPostgres(data).start()


def test_a_folder_that_is_no_cluster_is_refused(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "holiday.jpg").touch()
    with pytest.raises(EmbeddedPostgresError, match="not a readable PostgreSQL folder"):
        EmbeddedPostgres(data).start()


def test_after_kill_9_of_the_postmaster_it_starts_again_at_once(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
        pool = ThreadPoolExecutor(1)
        busy = pool.submit(ask, server.url, "SELECT pg_sleep(30)")
        time.sleep(0.2)
        postmaster(data).kill()
        while server.alive:  # until this look it was a zombie
            time.sleep(0.01)
        server.start()
        assert ask(server.url, "SELECT n FROM kept") == 7
        with pytest.raises((asyncpg.PostgresError, OSError)):
            busy.result()
        pool.shutdown()


def test_after_kill_9_of_everything_it_starts_again_at_once(data: Path) -> None:
    owner = owner_process(data, "SELECT 1", "stay")
    assert first_line(owner) == "1"
    family = [postmaster(data), *postmaster(data).children(recursive=True)]
    owner.kill()
    for process in family:
        process.kill()
    again = owner_process(data)
    assert first_line(again) == "2"
    assert again.wait(30) == 0
    finish(owner)
    finish(again)


def test_an_orphaned_server_is_stopped_and_replaced(data: Path) -> None:
    owner = owner_process(data, "SELECT pg_sleep(600)")
    assert first_line(owner) == "1"
    orphan = postmaster(data)
    finish(owner)
    assert lives(orphan)
    with EmbeddedPostgres(data) as server:
        assert not lives(orphan)
        assert ask(server.url, "SELECT count(*) FROM t") == 1


def test_an_orphaned_backend_that_computes_is_waited_for(data: Path) -> None:
    endless = "SELECT count(*) FROM generate_series(1, 1000000000000)"
    owner = owner_process(data, endless)
    assert first_line(owner) == "1"
    main = postmaster(data)
    time.sleep(0.3)
    backends = main.children(recursive=True)
    finish(owner)
    main.kill()
    with EmbeddedPostgres(data) as server:
        assert not any(lives(backend) for backend in backends)
        assert ask(server.url, "SELECT count(*) FROM t") == 1


def test_a_strangers_process_with_the_same_number_is_left_alone(data: Path) -> None:
    with EmbeddedPostgres(data, durable=False):
        pass
    stranger = subprocess.Popen(["sleep", "60"])
    lines = [stranger.pid, data / "postgres", 1, 5432, data / "postgres", "", "1 1", "ready"]
    (data / "postgres" / "postmaster.pid").write_text("\n".join(map(str, lines)))
    (data / "postgres" / ".s.PGSQL.5432.lock").write_text("\n".join(map(str, lines[:5])))
    assert url_of_running(data) is None
    with EmbeddedPostgres(data, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_zombie_postmaster_does_not_stop_a_start(data: Path) -> None:
    with EmbeddedPostgres(data, durable=False):
        pass
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    (data / "postgres" / "postmaster.pid").write_text(f"{zombie.pid}\n{data}/postgres\n1\n5432\n")
    with EmbeddedPostgres(data, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1
    zombie.wait()


def test_a_half_made_database_is_made_anew(data: Path) -> None:
    (data / "initdb-halfway" / "postgres").mkdir(parents=True)
    with EmbeddedPostgres(data, durable=False) as server:
        assert server.alive
    assert not (data / "initdb-halfway").exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
def test_root_without_namespaces_runs_it_as_an_unprivileged_user(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.programs._namespace", lambda: None)
    with EmbeddedPostgres(data, durable=False) as server:
        assert postmaster(data).uids().effective != 0
        assert ask(server.url, "SELECT 1") == 1
    with EmbeddedPostgres(data, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1
    monkeypatch.undo()  # namespaces are back: the database keeps its owner
    with EmbeddedPostgres(data, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1
        assert postmaster(data).uids().effective != 0


@needs_root
def test_a_database_of_root_follows_to_where_namespaces_are_forbidden(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.chmod(0o711)
    with EmbeddedPostgres(data, durable=False) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
    monkeypatch.setattr("app.store.programs._namespace", lambda: None)
    with EmbeddedPostgres(data, durable=False) as server:
        assert ask(server.url, "SELECT n FROM kept") == 7


@needs_root
def test_root_is_told_when_the_user_cannot_reach_the_folder(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.programs._namespace", lambda: None)
    (data / "inner").mkdir()
    with pytest.raises(EmbeddedPostgresError, match=r"cannot reach .*--data"):
        EmbeddedPostgres(data / "inner").start()
    assert data.stat().st_mode & 0o777 == 0o700


@needs_root
def test_a_normal_user_runs_it_as_himself(data: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    user = RunAs(user=(nobody.pw_uid, nobody.pw_gid))
    python = next(
        (
            word
            for word in (sys.executable, "/usr/bin/python3")
            if user.succeeds(word, "-c", "import sys; assert sys.version_info >= (3, 11)")
        ),
        None,
    )
    if python is None or shutil.which("setpriv") is None:
        pytest.skip("no Python here that nobody may execute")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [
            *("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"),
            *(python, "-c", OWNER, str(data / "own")),
        ],
        cwd=ROOT,
        env={"PYTHONPATH": packages, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert (data / "own" / "postgres").stat().st_uid == nobody.pw_uid


def test_ctrl_c_of_the_terminal_does_not_reach_the_server(data: Path) -> None:
    with EmbeddedPostgres(data, durable=False) as server:
        assert os.getsid(postmaster(data).pid) != os.getsid(0)
        assert os.getpgid(postmaster(data).pid) != os.getpgid(0)
        assert server.alive


def test_the_owner_process_stops_its_server_on_exit(data: Path) -> None:
    owner = owner_process(data)
    assert first_line(owner) == "1"
    assert owner.wait(20) == 0
    finish(owner)
    assert leftovers.postmaster_pid(data / "postgres") is None


def test_signals_are_not_sent_on_a_number_alone(data: Path) -> None:
    assert not leftovers.is_server_of(data, os.getpid())
    assert not leftovers.is_server_of(data, 2**22 + 1)
