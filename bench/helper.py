"""Processes of ours that are told what to do, and answer, a line of JSON at a time."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from bench.fire import Misfire
from bench.servers import clean_environment

_STOP_S = 20.0


class Helper:
    """``python -m module``; it ends when its input does."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment({}),
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def say(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for what the last thing told came to. Raises: Misfire."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Misfire(f"{self._module} ended by itself")
        answer: dict[str, Any] = json.loads(line)
        return answer
