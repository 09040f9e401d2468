"""A small app with the people's routes over a real database, and a fake WeChat behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import SecretStr

from app.domain.identity import Actor, Permission, Role
from app.people import endpoints, logins, service
from app.people.deps import permit
from app.people.passwords import PasswordPool, hash_password
from app.people.service import NewStaff
from app.settings import Settings, WechatSettings
from app.store.crypto import FieldCipher
from app.store.session import Database
from app.web import errors
from app.web.deps import system_clock
from app.web.limits import RateLimiter
from app.web.middleware import Door
from app.web.strict_json import StrictRoute
from app.wechat import endpoints as wechat
from app.wechat.client import WechatClient
from app.wechat.fake import create_fake
from tests.people.clock import NOW, Clock

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def password_hash() -> str:
    return hash_password(PASSWORD)


@pytest.fixture(scope="module")
def cipher(settings: Settings) -> FieldCipher:
    return FieldCipher(settings.secret_key.get_secret_value())


@pytest.fixture(scope="session")
def passwords() -> Any:
    pool = PasswordPool()
    yield pool
    pool.close()


probe = APIRouter(route_class=StrictRoute)


@probe.get("/probe/figures")
async def figures(
    actor: Annotated[Actor, Depends(permit(Permission.STATISTICS_READ))],
) -> dict[str, str]:
    return {"role": actor.role}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make_app(
    settings: Settings, passwords: PasswordPool, cipher: FieldCipher
) -> AsyncIterator[Callable[..., Any]]:
    """Build an app as one more process of the same service would: its own pools and caches."""
    async with AsyncExitStack() as stack:

        async def make(clock: Clock | None = None, **limits: int) -> FastAPI:
            assert settings.database_url
            db = Database(settings.database_url, settings.database)
            await db.open()
            stack.push_async_callback(db.close)
            app = FastAPI()
            errors.install(app)
            for router in (endpoints.router, wechat.router, probe):
                app.include_router(router)
            wechat_settings = WechatSettings(
                base_url="http://wechat.test",
                app_id="wxdemo",
                app_secret=SecretStr("demo-secret"),
            )
            web_settings = settings.web.model_copy(update={"allowed_hosts": ["lianxin.test"]})
            app.add_middleware(Door, settings=web_settings)
            app.state.db = db
            app.state.settings = settings.model_copy(
                update={"limits": settings.limits.model_copy(update=limits)}
            )
            app.state.passwords = passwords
            app.state.cipher = cipher
            app.state.limiter = RateLimiter()
            app.state.wechat = WechatClient(
                wechat_settings, transport=httpx.ASGITransport(create_fake())
            )
            stack.push_async_callback(app.state.wechat.close)
            app.state.clock = clock or system_clock
            return app

        yield make


def client_of(app: FastAPI, address: str = "192.0.2.1", **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(address, 4_000)),
        base_url="http://lianxin.test",
        **options,
    )


@pytest.fixture
async def client(make_app: Any, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(await make_app(clock)) as client:
        yield client


@pytest.fixture
def enter(db, settings, passwords, cipher):
    """Log in as staff."""

    def enter(username, password=PASSWORD, *, address="192.0.2.7", now=NOW, db=db, **limits):
        return logins.log_in_staff(
            db,
            passwords=passwords,
            cipher=cipher,
            limits=settings.limits.model_copy(update=limits),
            sessions=settings.sessions,
            username=username,
            password=password,
            address=address,
            now=now,
        )

    return enter


@pytest.fixture
def hire(db, password_hash):
    async def hire(username, role=Role.AUDITOR, **more):
        more = {"password_hash": password_hash, "display_name": "王五", **more}
        async with db.transaction() as session:
            new = NewStaff(username=username, role=role, **more)
            return await service.create_staff(session, new, now=NOW)

    return hire
