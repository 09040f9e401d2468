"""Rate limits that all processes share."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from starlette.requests import Request as HttpRequest

from app.domain.errors import TooMany
from app.settings import Settings, WebSettings
from app.store.session import Database, Statement
from app.web import limits
from app.web.limits import RateLimiter, client_address, is_loopback, take_now

NOW = datetime(2026, 3, 1, 10, 0, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def take(limiter: RateLimiter, bucket: str, times: int, limit: int = 10) -> int:
    """How many of ``times`` were let through."""
    through = 0
    for _ in range(times):
        try:
            limiter.take(bucket, limit, 60, NOW)
        except TooMany as error:
            assert error.retry_after_s == 40  # noqa: PT017 - until the window ends
        else:
            through += 1
    return through


def test_one_process_lets_exactly_the_limit_through() -> None:
    limiter = RateLimiter()
    assert take(limiter, "a", 30) == 10
    assert take(limiter, "b", 5) == 5
    limiter.take("a", 10, 60, NOW + MINUTE)  # a new window


async def test_processes_count_together(db: Database) -> None:
    one, other, bucket = RateLimiter(), RateLimiter(), str(uuid4())
    assert take(one, bucket, 6) == 6
    assert take(other, bucket, 1) == 1
    await one.sync(db)
    await other.sync(db)
    assert take(other, bucket, 30) == 3
    await other.sync(db)
    await one.sync(db)
    assert take(one, bucket, 30) == 0


async def test_what_is_used_during_a_sync_is_not_lost(db: Database) -> None:
    limiter, bucket = RateLimiter(), str(uuid4())
    take(limiter, bucket, 4)
    syncing = asyncio.create_task(limiter.sync(db))
    await asyncio.sleep(0)
    take(limiter, bucket, 4)
    await syncing
    assert take(limiter, bucket, 30) == 2


async def test_rare_callers_cost_the_database_nothing(db: Database) -> None:
    limiter, bucket = RateLimiter(), str(uuid4())
    take(limiter, bucket, 5, limit=1_000)
    await limiter.sync(db)
    used = Statement("SELECT used FROM rate_counters WHERE bucket = :bucket")
    assert await db.one_statement(used, bucket=bucket) is None
    take(limiter, bucket, 95, limit=1_000)
    await limiter.sync(db)
    row = await db.one_statement(used, bucket=bucket)
    assert row is not None
    assert row["used"] == 100


async def test_without_a_database_each_process_counts_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_SYNC_S", 0.01)
    limiter = RateLimiter()
    take(limiter, "a", 4)
    assert settings.database_url
    gone = Database(settings.database_url, settings.database)
    await gone.open()
    await gone.close()
    task = asyncio.create_task(limiter.run(gone))
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
    assert take(limiter, "a", 30) == 6


def test_memory_is_bounded() -> None:
    limiter = RateLimiter(most_buckets=100)
    for number in range(1_000):
        limiter.take(str(number), 10, 60, NOW)
    assert len(limiter._counts) == 100
    limiter.take("later", 10, 60, NOW + 5 * MINUTE)
    assert len(limiter._counts) == 1


async def test_the_exact_limit_holds_under_a_race(db: Database) -> None:
    bucket = str(uuid4())

    async def one() -> bool:
        try:
            await take_now(db, bucket, 7, MINUTE, now=NOW)
        except TooMany as error:
            assert error.retry_after_s == 40  # noqa: PT017
            return False
        return True

    assert sum(await asyncio.gather(*(one() for _ in range(30)))) == 7


async def test_old_windows_are_forgotten(db: Database) -> None:
    bucket = str(uuid4())
    await take_now(db, bucket, 1, MINUTE, now=NOW)
    async with db.transaction() as session:
        await limits.purge(session, now=NOW + timedelta(days=3), keep=timedelta(days=2))
    await take_now(db, bucket, 1, MINUTE, now=NOW)


@pytest.mark.parametrize(
    ("peer", "trusted", "forwarded", "address"),
    [
        ("9.9.9.9", [], "1.2.3.4", "9.9.9.9"),  # nobody is believed by default
        ("9.9.9.9", ["10.0.0.0/8"], "1.2.3.4", "9.9.9.9"),
        ("10.0.0.1", ["10.0.0.0/8"], "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.0/8"], "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.0/8"], "rubbish", "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.0/8"], None, "10.0.0.1"),
        ("::1", ["::1"], "2001:db8::1", "2001:db8::1"),
        (None, [], None, "127.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_may_say_who_calls(
    peer: str | None, trusted: list[str], forwarded: str | None, address: str
) -> None:
    settings = Settings(web=WebSettings(trusted_proxies=trusted))
    scope: dict[str, Any] = {
        "type": "http",
        "client": None if peer is None else (peer, 1),
        "headers": [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())],
        "app": SimpleNamespace(state=SimpleNamespace(settings=settings)),
    }
    assert client_address(HttpRequest(scope)) == address


def test_loopback_is_known() -> None:
    assert is_loopback("127.0.0.9")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("rubbish")
