"""Log lines: one JSON object each, in UTC, without personal data.

Only keys of ``ALLOWED`` leave the process; of the others only the *names* are told. Of an exception
the type and our own frames are told, never its message: messages quote values. The same holds for
what libraries log through ``logging``: their templates are told, not the values filled in.
"""

import asyncio
import atexit
import logging
import sys
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

# fmt: off
ALLOWED = frozenset({
    "time", "level", "event", "logger", "message", "dropped", "request_id",
    "method", "route", "status", "duration_ms",
    "error", "sqlstate", "frames", "caused_by", "code", "errcode", "rid", "endpoint", "reason",
    "name", "pid", "host", "port", "signal", "log", "profile", "workers", "version", "revision",
    "job", "period_s", "took_ms", "late_s", "wait_s", "batch", "attempt", "attempts", "bytes",
    "count", "done", "failed", "skipped", "left", "total",
    "topic", "kind", "channel", "operation", "metric", "level_name", "state", "action",
    "policy_code", "grid_code", "unit_code", "category_code", "calendar", "year",
    "outbox_id", "event_id", "citizen_request_id",
})
# fmt: on
_MAX_TEXT = 200
_MAX_FRAMES = 12
_HOUSE = Path(__file__).resolve().parents[1]
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_KEEP_S = 0.2
_access_to: Callable[[bytes], object] | None = None
_kept: deque[bytes] = deque()


def configure(level: str = "info") -> None:
    """Send structlog and ``logging`` to standard output. Run uvicorn with ``log_config=None``."""
    global _access_to
    number = _LEVELS[level]
    write = _writer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            only_allowed,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(write),
        cache_logger_on_first_use=False,
    )
    _access_to = write if number <= logging.INFO else None
    handler = _Bridge(write)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.INFO))
    for name in ("uvicorn", "uvicorn.error", "apscheduler", "sqlalchemy"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False
    for name in ("apscheduler", "httpx", "httpcore", "sqlalchemy"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)


def access(request_id: str, method: str, route: str, status: int, duration_ms: float) -> None:
    """One line for one HTTP request. Beside structlog, because it is written for every request.

    It leaves with others, at most ``_KEEP_S`` later: a system call for each would cost more than
    the line. Whatever else is told goes after it at once.
    """
    if _access_to is not None:
        line = {
            "time": datetime.now(UTC),
            "level": "info",
            "event": "http_request",
            "request_id": request_id,
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": duration_ms,
        }
        _kept.append(orjson.dumps(line, option=_OPTIONS))
        if len(_kept) == 1:
            try:
                asyncio.get_running_loop().call_later(_KEEP_S, flush)
            except RuntimeError:  # nobody runs who would come back to it
                flush()


@atexit.register
def flush() -> None:
    """Write the access lines that wait."""
    if _kept and _access_to is not None:
        _access_to(b"")


def frames(error: BaseException) -> list[str]:
    """Where ``error`` came from, innermost last: only our own code, only file, line, function."""
    found = []
    at: TracebackType | None = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        file = Path(code.co_filename)
        if file.is_relative_to(_HOUSE):
            place = file.relative_to(_HOUSE.parent)
            found.append(f"{place}:{at.tb_lineno} {code.co_name}")
        at = at.tb_next
    return found[-_MAX_FRAMES:]


def causes(error: BaseException) -> list[str]:
    """The types of what led to ``error``."""
    found: list[str] = []
    at = error.__cause__ or error.__context__
    while at is not None and len(found) < 5:
        found.append(type(at).__name__)
        at = at.__cause__ or at.__context__
    return found


def only_allowed(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A structlog processor: keep what may be told, and name what was left out."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event.setdefault("error", type(error).__name__)
        event["frames"] = frames(error)
    kept = {key: _safe(value) for key, value in event.items() if key in ALLOWED}
    if len(kept) != len(event):
        kept["dropped"] = sorted(str(key)[:40] for key in event if key not in ALLOWED)
    if "request_id" not in kept and (request_id := REQUEST_ID.get()):
        kept["request_id"] = request_id
    return kept


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MAX_TEXT]
    if isinstance(value, (list, tuple)):
        return [_safe(part) for part in value[:_MAX_FRAMES]]
    if value is None or isinstance(value, (bool, int, float, datetime)):
        return value
    return str(value)[:_MAX_TEXT] if type(value).__name__ == "UUID" else type(value).__name__


_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


def _render(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    return orjson.dumps({"time": datetime.now(UTC), **event}, option=_OPTIONS)


def _writer() -> Callable[[bytes], object]:
    out = sys.stdout.buffer

    def write(line: bytes) -> None:
        lines = []
        while _kept:  # a thread may log, and another one add a line
            lines.append(_kept.popleft())
        out.write(b"".join((*lines, line)))
        out.flush()

    return write


class _Lines:
    """What structlog hands its finished lines to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.msg = write


class _Bridge(logging.Handler):
    """Lines of ``logging`` in the same form."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        event: EventDict = {
            "level": record.levelname.lower(),
            "event": "library_log",
            "logger": record.name,
            "message": _template(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["exc_info"] = record.exc_info[1]
        self._write(_render(None, "", only_allowed(None, "", event)))


def _template(record: logging.LogRecord) -> str:
    """The first line of the message as it stands in the library's source."""
    text = record.getMessage() if record.name == "py.warnings" else str(record.msg)
    return text.strip().split("\n", 1)[0]
