"""What a killed server leaves behind, and how it is cleared away safely.

A process is only ever signalled when it is shown to be a ``postgres`` of *this* cluster folder:
the number in ``postmaster.pid`` alone may by now belong to somebody else's process.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

_PROC = Path("/proc")
_ORPHANS_S = 60.0
_log = structlog.get_logger(__name__)


def clear(cluster: Path) -> None:
    """Stop every server process that still works on ``cluster`` and remove stale lock files.

    The caller holds the data folder's lock, so whatever still runs there has lost its supervisor.
    """
    pid = postmaster_pid(cluster)
    if pid is not None and is_server_of(cluster, pid):
        _log.warning("orphaned_database_stopped", pid=pid)
        for sign, patience_s in (
            (signal.SIGINT, 30.0),
            (signal.SIGQUIT, 10.0),
            (signal.SIGKILL, 10.0),
        ):
            _send(cluster, pid, sign)
            if _gone(cluster, [pid], patience_s):
                break
    # A backend outlives its postmaster while it computes, holding the shared memory.
    orphans = list(_servers_of(cluster))
    for orphan in orphans:
        _send(cluster, orphan, signal.SIGQUIT)
    if not _gone(cluster, orphans, _ORPHANS_S / 2):
        for orphan in orphans:
            _send(cluster, orphan, signal.SIGKILL)
        _gone(cluster, orphans, _ORPHANS_S / 2)
    # PostgreSQL itself only asks whether the number exists: a zombie, or a stranger's process
    # with the same number, would make it refuse.
    if pid is not None and _exists(pid) and not is_server_of(cluster, pid):
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        for lock in cluster.glob(".s.PGSQL.*.lock"):
            lock.unlink(missing_ok=True)


def postmaster_pid(cluster: Path) -> int | None:
    """The number in ``postmaster.pid``, alive or not."""
    lines = postmaster_file(cluster)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def postmaster_file(cluster: Path) -> list[str]:
    """Lines of ``postmaster.pid``: pid, folder, start, port, socket folder, hosts, key, status."""
    try:
        return (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def is_server_of(cluster: Path, pid: int) -> bool:
    """Whether ``pid`` is a living ``postgres`` that works on ``cluster``."""
    if not _PROC.joinpath("self", "stat").exists():
        return _is_server_by_ps(cluster, pid)
    try:
        # "pid (name) state ...": the name may contain anything, so cut from the right.
        name, _, rest = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")
        if "(postgres" not in name or rest.split()[0] in "ZX":
            return False
        try:
            return os.path.samestat((_PROC / str(pid) / "cwd").stat(), cluster.stat())
        except PermissionError:  # root without ptrace rights, the server under another uid
            words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            return os.fsencode(cluster) in words
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_server_by_ps(cluster: Path, pid: int) -> bool:
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "state=,command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    line = answer.stdout.strip()
    return bool(line) and not line.startswith("Z") and f"-D {cluster}" in line


def _servers_of(cluster: Path) -> Iterator[int]:
    if _PROC.is_dir():
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and is_server_of(cluster, int(entry.name)):
                yield int(entry.name)


def _send(cluster: Path, pid: int, sign: signal.Signals) -> None:
    if is_server_of(cluster, pid):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return


def _gone(cluster: Path, pids: list[int], patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while any(is_server_of(cluster, pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
