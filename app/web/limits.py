"""How often somebody may do something, counted by all processes together.

``RateLimiter`` is for the ordinary call: it counts in memory and costs the request no statement;
about once a second the counts are added up in ``rate_counters``, so for a moment several processes
may together let through a little more than the limit. ``take_now`` is exact, for one statement.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import ceil

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request as HttpRequest

from app.domain.errors import TooMany, Unavailable
from app.store.session import Database, Statement

_log = structlog.get_logger(__name__)

_SYNC_S = 1.0
# Counts below this share of the limit are not told to the others: most callers never come near.
_TELL_FROM = 16

_SYNC = Statement("""
WITH mine AS (
  SELECT * FROM unnest(:buckets::text[], :starts::timestamptz[], :deltas::int[])
    AS mine (bucket, window_start, delta)
), told AS (
  INSERT INTO rate_counters AS counter (bucket, window_start, used)
  SELECT bucket, window_start, delta FROM mine WHERE delta > 0 ORDER BY bucket, window_start
  ON CONFLICT (bucket, window_start) DO UPDATE SET used = counter.used + excluded.used
  RETURNING bucket, window_start, used
)
SELECT bucket, window_start, used FROM told
UNION ALL
SELECT bucket, window_start, counter.used
FROM mine JOIN rate_counters AS counter USING (bucket, window_start)
WHERE mine.delta = 0
""")

_TAKE_SQL = """
INSERT INTO rate_counters AS counter (bucket, window_start, used)
VALUES (:bucket, :window_start, 1)
ON CONFLICT (bucket, window_start) DO UPDATE SET used = counter.used + 1
WHERE counter.used < :limit
RETURNING used
"""
_TAKE, _TAKE_WITH = Statement(_TAKE_SQL), text(_TAKE_SQL)

_PURGE = text("DELETE FROM rate_counters WHERE window_start < :before")


@dataclass(slots=True)
class _Count:
    limit: int
    ends_at: int
    told: int = 0  # what all processes together have used, as of the last sync
    fresh: int = 0  # what this process has used since

    def is_hot(self) -> bool:
        return (self.told + self.fresh) * _TELL_FROM >= self.limit


class RateLimiter:
    """The counters of one process. ``run(db)`` keeps them in step with the other processes."""

    def __init__(self, *, most_buckets: int = 50_000) -> None:
        self._counts: dict[tuple[str, int], _Count] = {}
        self._most = most_buckets
        self._latest = 0

    def take(self, bucket: str, limit: int, window_s: int, now: datetime) -> None:
        """Use ``bucket`` once; at most ``limit`` times in each window of ``window_s`` seconds.

        Raises:
            TooMany: with ``retry_after_s`` until the window ends.
        """
        second = int(now.timestamp())
        start = second - second % window_s
        count = self._counts.get((bucket, start))
        if count is None:
            count = self._open(bucket, start, limit, window_s, second)
        if count.told + count.fresh >= limit:
            raise TooMany(retry_after_s=max(1, count.ends_at - second))
        count.fresh += 1

    def _open(self, bucket: str, start: int, limit: int, window_s: int, second: int) -> _Count:
        self._latest = max(self._latest, second)
        if len(self._counts) >= self._most:
            self._forget()
            while len(self._counts) >= self._most:
                del self._counts[next(iter(self._counts))]
        count = self._counts[bucket, start] = _Count(limit, start + window_s)
        return count

    def _forget(self) -> None:
        over = [key for key, count in self._counts.items() if count.ends_at <= self._latest]
        for key in over:
            del self._counts[key]

    async def sync(self, db: Database) -> None:
        """Tell the others what was used here, and learn what they used. One statement."""
        self._forget()
        hot = sorted((key, count) for key, count in self._counts.items() if count.is_hot())
        if not hot:
            return
        sent = [count.fresh for _, count in hot]
        rows = await db.rows(
            _SYNC,
            buckets=[bucket for (bucket, _), _ in hot],
            starts=[datetime.fromtimestamp(start, UTC) for (_, start), _ in hot],
            deltas=sent,
        )
        used = {(row[0], int(row[1].timestamp())): row[2] for row in rows}
        for (key, count), delta in zip(hot, sent, strict=True):
            if key in used:
                count.told = used[key]
                count.fresh -= delta

    async def run(self, db: Database) -> None:
        """Sync about once a second, until cancelled. Without the database each counts alone."""
        while True:
            await asyncio.sleep(_SYNC_S)
            try:
                await self.sync(db)
            except (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("limits_not_synced", error=type(error).__name__)


async def take_now(
    db: Database, bucket: str, limit: int, window: timedelta, *, now: datetime
) -> None:
    """Use ``bucket`` once, exactly, at the price of one statement that commits by itself.

    Not in the caller's transaction: a failed log-in rolls back, and must count all the same.

    Raises:
        TooMany: with ``retry_after_s`` until the window ends.
    """
    window_s = int(window.total_seconds())
    second = int(now.timestamp())
    start = second - second % window_s
    row = await db.one_statement(
        _TAKE, bucket=bucket, window_start=datetime.fromtimestamp(start, UTC), limit=limit
    )
    if row is None:
        raise TooMany(retry_after_s=max(1, start + window_s - second))


async def take_with(
    session: AsyncSession,
    bucket: str,
    limit: int,
    *,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> None:
    """Use ``bucket`` once, exactly, in the caller's transaction: what rolls back was not used.

    Others who use the same bucket wait until it ends; take it last.

    Raises:
        TooMany: with ``retry_after_s`` until ``ends_at``.
    """
    used = await session.scalar(
        _TAKE_WITH, {"bucket": bucket, "window_start": starts_at, "limit": limit}
    )
    if used is None:
        raise TooMany(retry_after_s=max(1, ceil((ends_at - now).total_seconds())))


async def purge(session: AsyncSession, *, now: datetime, keep: timedelta) -> None:
    """Forget windows that began before ``now - keep``."""
    await session.execute(_PURGE, {"before": now - keep})


# --- who is calling ------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(network) for network in trusted)


def _is_in(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def is_loopback(address: str) -> bool:
    return _is_in(address, _networks(("127.0.0.0/8", "::1/128")))


def client_address(http: HttpRequest) -> str:
    """The caller's address: the peer's, or what a proxy in ``web.trusted_proxies`` says it is.

    ``X-Forwarded-For`` is read from its end, and only as far as trusted proxies wrote it.
    """
    client = http.scope.get("client")
    peer: str = client[0] if client else "127.0.0.1"  # a Unix socket has no peer address
    proxies: list[str] = http.app.state.settings.web.trusted_proxies
    if not proxies:
        return peer
    trusted = _networks(tuple(proxies))
    forwarded = ",".join(http.headers.getlist("x-forwarded-for")).split(",")
    while _is_in(peer, trusted) and forwarded:
        said = forwarded.pop().strip()
        try:
            peer = str(ip_address(said))
        except ValueError:
            break
    return peer
