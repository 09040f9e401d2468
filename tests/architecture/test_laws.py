"""Laws that the source itself must keep: who commits, who reads a clock, who catches everything."""

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.architecture.sources import Source, app_sources

LONGEST_FILE = 400
Fault = Callable[[Source], Iterator[int]]

# Whoever may do it, and why nobody else.
COMMITTERS = ("app/web/deps.py", "app/store/")  # the doors that commit
TRANSACTION_OPENERS = (
    "app/web/deps.py",  # one for each HTTP request
    "app/wiring.py",  # one for each turn of a job
    "app/outbox/service.py",  # one for each batch that is told
    "app/sla/sweeping.py",  # one for each batch of rungs, one for each step a clock takes
    "app/reference/queries.py",  # reads a snapshot as of one moment
    "app/statistics/export_job.py",  # one for each end of an export
    "app/cli/",  # one for each command
    "app/store/",
)
CATCHERS = {
    "app/outbox/service.py",  # a subscriber may fail in any way and costs only its own event
    "app/store/jobs.py",  # one bad turn must not end the job
    "app/web/middleware.py",  # the last resort keeps the connection usable
}


def commits(source: Source) -> Iterator[int]:
    return _calls(source, "commit", "rollback", allowed=COMMITTERS)


def opens_transaction(source: Source) -> Iterator[int]:
    return _calls(source, "transaction", "begin", allowed=TRANSACTION_OPENERS)


def _calls(source: Source, *names: str, allowed: tuple[str, ...]) -> Iterator[int]:
    if source.place.startswith(allowed):
        return
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in names
        ):
            yield node.lineno


def catches_everything(source: Source) -> Iterator[int]:
    if source.place in CATCHERS:
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        last = node.body[-1]
        passes_on = isinstance(last, ast.Raise) and last.exc is None
        if not passes_on and any(
            kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds
        ):
            yield node.lineno


def reads_clock_in_domain(source: Source) -> Iterator[int]:
    if not source.place.startswith("app/domain/"):
        return
    for node in ast.walk(source.tree):
        imports_time = isinstance(node, ast.Import) and any(a.name == "time" for a in node.names)
        from_time = isinstance(node, ast.ImportFrom) and node.module == "time"
        asks = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("now", "utcnow", "today")
        )
        if imports_time or from_time or asks:
            yield node.lineno


def raises_http_exception(source: Source) -> Iterator[int]:
    if source.place.startswith("app/web/"):
        return
    for node in ast.walk(source.tree):
        imported = isinstance(node, ast.alias) and node.name == "HTTPException"
        named = isinstance(node, ast.Attribute) and node.attr == "HTTPException"
        # The standard library's client has an exception of the same name.
        if imported or (named and ast.unparse(node) != "http.client.HTTPException"):
            yield node.lineno


def is_too_long(source: Source) -> Iterator[int]:
    lines = source.text.count("\n")
    if lines > LONGEST_FILE:
        yield lines


BAD = {
    commits: [
        ("app/grids/service.py", "await session.commit()"),
        ("app/requests/steps.py", "session.rollback()"),
    ],
    opens_transaction: [
        ("app/requests/service.py", "async def f(db):\n async with db.transaction(): ..."),
        ("app/sla/service.py", "async def f(db):\n async with db.sessions.begin(): ..."),
    ],
    catches_everything: [
        ("app/grids/service.py", "try: f()\nexcept Exception: pass"),
        ("app/grids/service.py", "try: f()\nexcept (ValueError, Exception): x = 1"),
        ("app/grids/service.py", "try: f()\nexcept: pass"),
        ("app/cli/serve.py", "try: f()\nexcept BaseException as e: raise Other from e"),
    ],
    reads_clock_in_domain: [
        ("app/domain/sla.py", "datetime.now(UTC)"),
        ("app/domain/sla.py", "from datetime import date\ndate.today()"),
        ("app/domain/sla.py", "import time"),
        ("app/domain/sla.py", "from time import monotonic"),
    ],
    raises_http_exception: [
        ("app/requests/endpoints.py", "from fastapi import HTTPException"),
        ("app/grids/service.py", "raise fastapi.HTTPException(404)"),
    ],
    is_too_long: [("app/grids/service.py", "\n" * (LONGEST_FILE + 1))],
}
GOOD = {
    commits: [
        ("app/store/session.py", "await session.commit()"),
        ("app/grids/service.py", "await session.flush()"),
    ],
    opens_transaction: [("app/wiring.py", "works.db.transaction()")],
    catches_everything: [
        ("app/grids/service.py", "try: f()\nexcept BaseException:\n undo()\n raise"),
        ("app/store/jobs.py", "try: f()\nexcept Exception: pass"),
    ],
    reads_clock_in_domain: [
        ("app/domain/sla.py", "local.time()\ntime(22)"),
        ("app/web/deps.py", "datetime.now(UTC)"),
    ],
    raises_http_exception: [
        ("app/web/errors.py", "from fastapi import HTTPException"),
        ("app/cli/serve.py", "try: f()\nexcept http.client.HTTPException: pass"),
    ],
    is_too_long: [("app/grids/service.py", "\n" * LONGEST_FILE)],
}
LAWS = tuple(BAD)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_house_keeps_the_law(law: Fault) -> None:
    sources = app_sources()
    assert len(sources) > 50
    broken = [f"{source.place}:{line}" for source in sources for line in law(source)]
    assert not broken


@pytest.mark.parametrize(
    ("law", "place", "text"),
    [(law, *bad) for law, examples in BAD.items() for bad in examples],
    ids=str,
)
def test_a_breach_is_seen(law: Fault, place: str, text: str) -> None:
    assert list(law(Source(place, text)))


@pytest.mark.parametrize(
    ("law", "place", "text"),
    [(law, *good) for law, examples in GOOD.items() for good in examples],
    ids=str,
)
def test_what_is_allowed_is_no_breach(law: Fault, place: str, text: str) -> None:
    assert not list(law(Source(place, text)))


@pytest.mark.parametrize("place", sorted(CATCHERS))
def test_whoever_is_excused_still_needs_the_excuse(place: str) -> None:
    [source] = [source for source in app_sources() if source.place == place]
    assert list(catches_everything(Source("app/elsewhere.py", source.text)))
