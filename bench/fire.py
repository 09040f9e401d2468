"""Firing a magazine at a server for a while: with ``wrk`` where there is one, else by ourselves."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.shots import Magazine, Shot

_GRACE_S = 20.0

# What wrk runs. A key is 32 hex digits: 8 of this run, 24 counted up.
_LUA = """
local shots = dofile(%(shots)s)
local count, shot, keys = #shots, 0, 0
function request()
  shot = shot %% count + 1
  local it = shots[shot]
  if it[2] == nil then return it[1] end
  keys = keys + 1
  return it[1] .. string.format("%(run)s%%024x", keys) .. it[2]
end
function done(summary, latency, _)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format(
    '\\nRESULT {"done": %%d, "seconds": %%f, "failed": %%d, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


class Misfire(RuntimeError):
    """The load generator failed, or answers were not what was expected."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant in one round. Processor times are per answered request, in µs."""

    per_s: float
    p50_ms: float
    p99_ms: float
    done: int
    server_us: float | None = None
    database_us: float | None = None

    @property
    def whole_us(self) -> float:
        """Server and database together."""
        return (self.server_us or 0.0) + (self.database_us or 0.0)


def fire(
    magazine: Magazine,
    *,
    connections: int,
    seconds: float,
    server_used_us: Callable[[], float] = lambda: 0.0,
    database_used_us: Callable[[], float] = lambda: 0.0,
) -> Sample:
    """Keep ``connections`` requests under way for ``seconds``.

    Args:
        server_used_us: what the server's processes have used so far; read before and after.

    Raises: Misfire: an answer of 400 or more, or a broken connection.
    """
    with tempfile.TemporaryDirectory(prefix="lianxin-fire-") as folder:
        wrk = shutil.which("wrk")
        if wrk is not None:
            command = _wrk(wrk, Path(folder), magazine, connections, seconds)
        else:
            command = _own(Path(folder), magazine, connections, seconds)
        before, database_before = server_used_us(), database_used_us()
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + _GRACE_S, check=False
        )
        used, database_used = server_used_us() - before, database_used_us() - database_before
    told = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    if not told:
        raise Misfire(f"{command[0]} failed:\n{ran.stdout[-1000:]}{ran.stderr[-1000:]}")
    result = json.loads(told[0].removeprefix("RESULT "))
    if result["failed"] or not result["done"]:
        raise Misfire(f"{result['failed']} of {result['done']} answers were not as expected")
    done = result["done"]
    return Sample(
        per_s=done / result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        done=done,
        server_us=used / done,
        database_us=database_used / done,
    )


def _wrk(wrk: str, folder: Path, magazine: Magazine, connections: int, seconds: float) -> list[str]:
    shots = folder / "shots.lua"
    with shots.open("wb") as file:
        file.write(b"return {\n")
        for shot in magazine.shots:
            file.write(b"{" + b", ".join(map(_lua_string, _halves(shot))) + b"},\n")
        file.write(b"}\n")
    script = folder / "fire.lua"
    script.write_text(_LUA % {"shots": json.dumps(str(shots)), "run": os.urandom(4).hex()})
    return [
        *(wrk, "--threads=1", f"--connections={connections}", f"--duration={round(seconds)}s"),
        *("--timeout=10s", f"--script={script}", f"http://127.0.0.1:{magazine.port}"),
    ]


def _halves(shot: Shot) -> tuple[bytes, ...]:
    return (shot.before, shot.after) if shot.keyed else (shot.before,)


def _lua_string(raw: bytes) -> bytes:
    """Every byte that could mean something to Lua as a decimal escape."""
    plain = b" /:.,-_=?&{}[]"
    return (
        b'"'
        + b"".join(
            bytes((byte,)) if bytes((byte,)).isalnum() or byte in plain else b"\\%03d" % byte
            for byte in raw
        )
        + b'"'
    )


def _own(folder: Path, magazine: Magazine, connections: int, seconds: float) -> list[str]:
    plan = folder / "plan.json"
    plan.write_text(
        json.dumps(
            {
                "port": magazine.port,
                "expect": magazine.expect,
                "connections": connections,
                "seconds": seconds,
                "run": os.urandom(4).hex(),
                "shots": [[half.decode() for half in _halves(shot)] for shot in magazine.shots],
            }
        )
    )
    return [sys.executable, "-P", "-m", "bench.client", str(plan)]
