"""The child processes of ``serve``: started together, replaced when they die, stopped in order."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

_CHILD = Path(__file__).with_name("child.py")
_SETTLED_S = 5.0  # a child that lived this long had started well
_HASTY_DEATHS = 5
_REST_S = 1.0
_log = structlog.get_logger(__name__)


class ChildrenKeepDying(RuntimeError):
    """A child process ends again and again right after its start; its output says why."""


@dataclass(slots=True)
class Child:
    """One application on one socket, which waits until it is told to ``go``.

    ``known``: of its environment what is no secret and is looked at while it loads.
    """

    name: str
    application: str
    listener: socket.socket
    grace_s: int
    known: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    rests_until: float = 0.0
    hasty_deaths: int = 0

    def start(self) -> None:
        descriptor = self.listener.fileno()
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            [
                *(sys.executable, "-P", str(_CHILD), self.application),
                *(f"--socket={descriptor}", f"--grace={self.grace_s}"),
            ],
            stdin=subprocess.PIPE,  # held open as long as we live
            env={**os.environ, **self.known},
            pass_fds=[descriptor],
            start_new_session=True,  # a Ctrl-C of the terminal is for the parent, who keeps order
        )

        if self.environment is not None:
            self.go(self.environment)

    def go(self, environment: Mapping[str, str]) -> None:
        """Let it serve. Through the pipe, not the process's environment, which others can read."""
        self.environment = environment
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died: look_after will see
                self.process.stdin.write(json.dumps(environment).encode() + b"\n")
                self.process.stdin.flush()

    def look_after(self, *, patient: bool) -> int | None:
        """Start a new process where the old one ended; the old one's number, when it is noticed.

        Args:
            patient: try for ever, with rests between. Otherwise give up after a few hasty deaths.

        Raises: ChildrenKeepDying.
        """
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            ended, self.process = self.process, None
            _close_pipe(ended)
            self.hasty_deaths = self.hasty_deaths + 1 if now - self.started_at < _SETTLED_S else 0
            _log.warning("child_ended", name=self.name, code=ended.returncode)
            if self.hasty_deaths >= _HASTY_DEATHS and not patient:
                raise ChildrenKeepDying(f"{self.name}: {ChildrenKeepDying.__doc__}")
            self.rests_until = now + (0.0 if self.hasty_deaths < 2 else _REST_S)
            return ended.pid
        if self.process is None and now >= self.rests_until:
            self.start()
        return None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, until: float, hurry: Callable[[], bool]) -> None:
        if self.process is None:
            return
        while self.process.poll() is None:
            if hurry() or time.monotonic() > until:
                self.process.kill()
                self.process.wait()
                break
            time.sleep(0.01)
        _close_pipe(self.process)


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@dataclass(slots=True)
class Family:
    children: list[Child] = field(default_factory=list)

    def add(self, *children: Child) -> None:
        for child in children:
            child.start()
            self.children.append(child)

    def go(self, environment: Mapping[str, str]) -> None:
        for child in self.children:
            child.go(environment)

    def look_after(self, *, patient: bool) -> list[int]:
        """See ``Child.look_after``; the numbers of those that ended. Raises: ChildrenKeepDying."""
        ended = [child.look_after(patient=patient) for child in self.children]
        return [pid for pid in ended if pid is not None]

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Stop the youngest kind first: those added later may still use the earlier ones.

        Args:
            hurry: says True when the operator has lost patience.
        """
        for group in self._generations():
            for child in group:
                child.stop()
            until = time.monotonic() + max(child.grace_s for child in group) + 5
            for child in group:
                child.wait(until, hurry)
        self.children.clear()

    def _generations(self) -> Sequence[list[Child]]:
        groups: dict[str, list[Child]] = {}
        for child in self.children:
            groups.setdefault(child.application, []).append(child)
        return list(reversed(groups.values()))
