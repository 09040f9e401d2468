"""Log lines carry no personal data, whoever writes them."""

import json
import subprocess
import sys

from app.web import log

SCRIPT = """
import logging, warnings, structlog
from uuid import UUID
from app.web import log
log.configure("info")
log.REQUEST_ID.set("r-1")
structlog.get_logger("x").info("told\\nsecond", count=3, phone="13800138000", event_id=UUID(int=1))
structlog.get_logger("x").debug("not_told")
try:
    {}["13800138000"]
except KeyError:
    structlog.get_logger("x").exception("failed", extra={"phone": "13800138000"})
logging.getLogger("uvicorn.error").info("Started for %s", "13800138000")
logging.getLogger("uvicorn.access").info("GET /?q=13800138000")
logging.getLogger("sqlalchemy.engine").info("SELECT '13800138000'")
try:
    raise ValueError("13800138000")
except ValueError:
    logging.getLogger("asyncio").exception("Task exception was never retrieved\\n13800138000")
warnings.warn("something is old")
log.access("r-1", "GET", "/api", 200, 1.5)
"""


def test_lines_are_json_without_personal_data() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True, timeout=30
    )
    assert "13800138000" not in done.stdout + done.stderr
    told, failed, started, never, warned, access = map(json.loads, done.stdout.splitlines())
    assert told["event"] == "told\nsecond"  # escaped: still one line
    assert (told["count"], told["dropped"], told["request_id"]) == (3, ["phone"], "r-1")
    assert told["event_id"] == "00000000-0000-0000-0000-000000000001"
    assert told["time"].endswith("Z")
    assert (failed["error"], failed["level"]) == ("KeyError", "error")
    assert (started["logger"], started["message"]) == ("uvicorn.error", "Started for %s")
    assert (never["error"], never["message"]) == (
        "ValueError",
        "Task exception was never retrieved",
    )
    assert "something is old" in warned["message"]
    assert (access["route"], access["duration_ms"]) == ("/api", 1.5)


def test_unknown_keys_are_dropped_and_named() -> None:
    told = log.only_allowed(None, "", {"event": "x", "count": 1, "name_of_person": "张三"})
    assert told["dropped"] == ["name_of_person"]
    assert "张三" not in str(told)


def test_a_value_of_a_strange_type_is_told_by_its_type() -> None:
    assert log.only_allowed(None, "", {"event": "x", "state": object()})["state"] == "object"
