"""The machine: what it is, and how much processor time a group of processes has used."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import fastapi
import uvicorn

from app.store.programs import find_programs

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def facts() -> dict[str, str | int | float]:
    """What a reader of the figures must know of the machine."""
    postgres = subprocess.run(
        [find_programs().postgres, "--version"], capture_output=True, text=True, check=True
    )
    return {
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": postgres.stdout.strip().split()[-1],
        "fastapi": fastapi.__version__,
        "uvicorn": uvicorn.__version__,
        "asyncpg": asyncpg.__version__,
        "load_generator": "wrk" if shutil.which("wrk") else "bench.client (Python)",
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def require_proc() -> None:
    """Exits where there is no /proc to read processor time from."""
    if not (_PROC / "self" / "stat").exists():
        sys.exit("bench: needs Linux (it reads processor times from /proc)")


def used_us(pids: Iterable[int]) -> float:
    """Processor time that these processes have used so far, their threads included, in µs."""
    return sum(_stat(pid)[0] for pid in pids)


def used_by_tree_us(root: int) -> float:
    """The same for a process and all below it, those that have ended included."""
    return sum(sum(_stat(pid)) for pid in (root, *descendants(root)))


def descendants(root: int) -> list[int]:
    """Process ids of the children, their children, and so on."""
    found: list[int] = []
    for task in (_PROC / str(root) / "task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            found += [child, *descendants(child)]
    return found


def command_of(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _stat(pid: int) -> tuple[float, float]:
    """(own, reaped children's) processor time in µs; nothing of a process that is gone."""
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0.0, 0.0
    fields = line.rpartition(")")[2].split()
    user, system, of_children_user, of_children_system = map(int, fields[11:15])
    return (user + system) * _TICK_US, (of_children_user + of_children_system) * _TICK_US
