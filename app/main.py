"""The application: its parts put together, started and stopped in order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from app import __doc__ as about
from app.domain.identity import Permission
from app.grids import queries as grids
from app.people.deps import Permit, PublicPermit
from app.people.passwords import PasswordPool
from app.reference import queries as reference
from app.registry import dwellings
from app.requests.city import City, Serials
from app.settings import Settings
from app.store.crypto import FieldCipher
from app.store.jobs import Job, JobRunner
from app.store.notices import Follower, Snapshot
from app.store.session import Database
from app.web import errors, health, log
from app.web.deps import system_clock
from app.web.direct import DirectWay
from app.web.limits import RateLimiter
from app.web.middleware import Door
from app.wechat.client import WechatClient
from app.wiring import BODIES, ROUTERS, Works, jobs


def create() -> FastAPI:
    """The application as a server starts it: everything from the environment."""
    settings = Settings()
    log.configure(settings.log_level)
    return create_app(settings)


def create_app(settings: Settings) -> FastAPI:
    """Put the application together. Nothing is opened before it starts."""
    docs = settings.web.docs and settings.profile == "demo"
    app = FastAPI(
        title="连心 LianXin",
        description=about or "",
        version="0.1.0",
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url="/docs" if docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
        # Prometheus counts here; to ask at each call whether OpenTelemetry is there costs as much.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.clock = system_clock
    app.state.db = Database(database_url(settings), settings.database)
    app.state.cipher = FieldCipher(settings.secret_key.get_secret_value())
    app.state.limiter = RateLimiter()
    app.state.reference = Snapshot(reference.TOPIC, reference.load)
    app.state.grids = Snapshot(grids.TOPIC, grids.load)
    app.state.serials = Serials(app.state.db)
    app.state.dwellings_of = dwellings.below  # grids and registry are neighbours
    errors.install(app)
    health.install(app)
    for router in ROUTERS:
        # Not ``include_router``: a router that is included is gone through twice for every call.
        app.router.routes.extend(router.routes)
    require_permissions(app)
    app.add_middleware(DirectWay, routes=app.router.routes)
    app.add_middleware(Door, settings=settings.web, bodies=BODIES)
    return app


def database_url(settings: Settings) -> str:
    """Raises: ValueError if no database is named (``lianxin serve`` names the embedded one)."""
    if not settings.database_url:
        raise ValueError("DATABASE_URL is not set")
    return settings.database_url


class PermissionUndeclared(RuntimeError):
    """A route says nowhere who may call it."""


def permissions_of(dependant: Dependant) -> Iterator[Permission]:
    """The permissions a route asks for."""
    if isinstance(dependant.call, Permit | PublicPermit):
        yield dependant.call.permission
    for inner in dependant.dependencies:
        yield from permissions_of(inner)


def require_permissions(app: FastAPI) -> None:
    """Deny by default: no route of the API without exactly one permission.

    Raises: PermissionUndeclared.
    """
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and len(list(permissions_of(route.dependant))) != 1:
            raise PermissionUndeclared(f"{route.methods} {route.path}")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state, settings = app.state, app.state.settings
    db: Database = state.db
    await db.open()
    follower = Follower(db, [state.reference, state.grids])
    state.wechat = WechatClient(settings.wechat)
    state.passwords = PasswordPool()
    counting: asyncio.Task[None] | None = None
    runner: JobRunner | None = None
    try:
        await follower.start()
        counting = asyncio.create_task(state.limiter.run(db), name="limits")
        if settings.jobs.enabled:
            runner = _start_jobs(app)
        state.ready = True
        yield
    finally:
        state.ready = False
        if runner is not None:
            runner.stop()
        if counting is not None:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        await follower.stop()
        await state.wechat.close()
        state.passwords.close()
        await db.close()


def _start_jobs(app: FastAPI) -> JobRunner:
    state = app.state

    def city() -> City:
        return City(state.reference.current, state.grids.current, state.cipher)

    works = Works(state.db, state.settings, city)
    runner = JobRunner(
        [Job(name, period_s, partial(run, works)) for name, period_s, run in jobs(state.settings)]
    )
    runner.start()
    return runner
