"""Figures for Prometheus: how many HTTP requests, how long they took.

Labels are the method, the route's template and the class of the status, so there are few of them
and none tells of a person. With several workers set ``PROMETHEUS_MULTIPROC_DIR`` (an empty folder)
before the processes start: any worker then answers for all of them.
"""

import os
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import NotFound
from app.web.limits import client_address, is_loopback

REGISTRY = CollectorRegistry()

_LABELS = ("method", "route", "status")
_REQUESTS = Counter("http_requests", "HTTP requests answered", _LABELS, registry=REGISTRY)
_SECONDS = Histogram(
    "http_request_seconds",
    "Time from the request's head to the end of its answer",
    _LABELS,
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_children: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered HTTP request."""
    key = (method, route, status // 100)
    found = _children.get(key)
    if found is None:
        labels = (method, route, f"{status // 100}xx")
        found = (_REQUESTS.labels(*labels).inc, _SECONDS.labels(*labels).observe)
        _children[key] = found
    found[0]()
    found[1](seconds)


async def metrics(http: HttpRequest) -> Response:
    """GET /metrics. In production only for this machine, unless ``web.metrics_public``."""
    settings = http.app.state.settings
    is_open = settings.profile == "demo" or settings.web.metrics_public
    if not is_open and not is_loopback(client_address(http)):
        raise NotFound
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
