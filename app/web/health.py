"""Is the process alive, and should it get work. Plain routes beside the API, without a log-in."""

import asyncio

import asyncpg
from fastapi import FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import Unavailable
from app.store.session import Statement
from app.web.metrics import metrics

_ANSWER_S = 1.0
_PING = Statement("SELECT 1")
_OK = b'{"status":"ok"}'


class NotReady(Unavailable):
    """服务尚未就绪，请稍后再试。"""

    code = "not_ready"


def install(app: FastAPI) -> None:
    """Add /health/live, /health/ready and /metrics.

    ``app.state.ready`` (bool) is set by the lifespan: True when started, False before shutdown.
    """
    app.state.ready = False
    app.add_route("/health/live", live, include_in_schema=False)
    app.add_route("/health/ready", ready, include_in_schema=False)
    app.add_route("/metrics", metrics, include_in_schema=False)


async def live(_: HttpRequest) -> Response:
    """200 as long as the process answers at all."""
    return Response(_OK, media_type="application/json")


async def ready(http: HttpRequest) -> Response:
    """200 when the database answers within a second and we are not shutting down.

    Raises:
        NotReady: otherwise (503).
    """
    if not http.app.state.ready:
        raise NotReady(retry_after_s=1)
    try:
        async with asyncio.timeout(_ANSWER_S):
            await http.app.state.db.one_statement(_PING)
    except (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        raise NotReady(retry_after_s=1) from None
    return Response(_OK, media_type="application/json")
