"""A small city to call over HTTP: the whole application, two towns, whoever a test needs.

``small_city`` starts ``create_app`` with its lifespan on the module's own database, with the
reference data (``reference.seeds``) and a cut-out of the demo city: two towns, a community in each,
six grids, two grids with micro-grids. WeChat is our fake one. The jobs do not run by themselves:
``CityHall.work()`` wakes them once. Time stands still at ``NOW`` until the test moves the clock.

The fixtures around it are in ``tests/conftest.py``: ``hall``, ``app``, ``client``, ``clock``,
``as_resident``, ``as_staff``, ``submit``, ``count_queries``, and ``limits``, which a module may
define anew to be allowed more, or less, than the defaults.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import wiring
from app.domain.identity import Role
from app.grids import demo
from app.grids.models import GridRow
from app.main import create_app
from app.people import service as people
from app.people.passwords import hash_password
from app.people.service import NewStaff
from app.reference import seeds
from app.requests.city import City
from app.settings import Settings, WechatSettings
from app.store.session import Database
from app.wechat.client import WechatClient
from app.wechat.fake import create_fake

BASE_URL = "http://127.0.0.1"
REQUESTS = "/api/v1/requests"
CHINA = timezone(timedelta(hours=8))
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)  # an ordinary working Monday

TOWN, OTHER_TOWN = "370281001", "370281108"
COMMUNITY, OTHER_COMMUNITY = "370281001601", "370281108601"
GRID, OTHER_GRID = "370281001601001", "370281108601001"
MICRO_GRID = "37028110860100101"
# Whatever the grid, this unit answers; VILLAGE_CATEGORY goes to the town, TOWN_UNIT.
CATEGORY, UNIT = "road.lamp", "housing"
VILLAGE_CATEGORY, TOWN_UNIT = "env.garbage", "t-370281001"
OTHER_UNIT = "water"
TEXT = "村东头路口的路灯三天没亮了"

_GRIDS_KEPT, _MICRO_GRIDS_OF = 6, 2
_UNIT_ROLES = frozenset({Role.HANDLER, Role.UNIT_LEADER})
_PASSWORD = "correct horse battery"
_NEW_KEY = object()


# --- the ground ----------------------------------------------------------------------------------


def _is_kept(code: str) -> bool:
    if code in (TOWN, OTHER_TOWN, COMMUNITY, OTHER_COMMUNITY):
        return True
    if code.startswith(COMMUNITY):
        return int(code[12:15]) <= _GRIDS_KEPT
    return code.startswith(OTHER_COMMUNITY) and int(code[12:15]) <= _MICRO_GRIDS_OF


@cache
def _places() -> list[dict[str, Any]]:
    return [
        {
            "code": record.code,
            "parent_code": record.parent_code,
            "level": record.level,
            "name": record.name,
            "boundary": record.boundary,
            "active": True,
            "sort": 0,
            "created_at": NOW,
            "updated_at": NOW,
        }
        for record in demo.records()
        if _is_kept(record.code)
    ]


async def seed_small_city(session: AsyncSession) -> None:
    """The reference data and the two towns; no staff."""
    await seeds.seed(session, now=NOW)
    await session.execute(insert(GridRow), _places())


def point_in(grid_code: str) -> dict[str, Any]:
    """A ``location`` well inside a grid."""
    latitude, longitude = demo.demo_point(grid_code)
    return {"latitude": latitude, "longitude": longitude, "coord_sys": "wgs84"}


def form(**overrides: Any) -> dict[str, Any]:
    """The body of a good submission. Overrides replace members; ``...`` takes one out."""
    body = {"text": TEXT, "category_code": CATEGORY, **overrides}
    return {name: value for name, value in body.items() if value is not ...}


# --- time ----------------------------------------------------------------------------------------


class Clock:
    """What the application takes for the present. Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now.astimezone(UTC)

    def set(self, moment: datetime | str) -> None:
        """To an aware instant, also as ISO-8601 text; without an offset it is local time."""
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        self.now = moment if moment.tzinfo else moment.replace(tzinfo=CHINA)

    def forward(self, **span: float) -> None:
        """By a ``timedelta``'s arguments: ``clock.forward(hours=6)``."""
        self.now += timedelta(**span)


# --- people --------------------------------------------------------------------------------------


class Caller:
    """Somebody who is logged in, and stays so: logs in anew when the clock outran the session."""

    def __init__(self, hall: "CityHall", login_path: str, login_form: Callable[[], Any]) -> None:
        self.hall, self._login_path, self.login_form = hall, login_path, login_form
        self.token = ""
        self.account: dict[str, Any] = {}
        self._expires_at = datetime.min.replace(tzinfo=UTC)

    @property
    def id(self) -> UUID:
        return UUID(self.account["id"])

    @property
    def role(self) -> Role:
        return Role(self.account["role"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def log_in(self) -> "Caller":
        answer = await self.hall.client.post(self._login_path, json=self.login_form())
        assert answer.status_code == 200, answer.text
        login = answer.json()
        self.token, self.account = login["token"], login["account"]
        self._expires_at = datetime.fromisoformat(login["expires_at"])
        return self

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call with this person's token; ``options`` as httpx takes them."""
        if self.hall.clock.now >= self._expires_at:
            await self.log_in()
        headers = {**self.headers, **(options.pop("headers", None) or {})}
        return await self.hall.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        version: int | None = None,
        key: object = _NEW_KEY,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """POST ``body`` as JSON, with a new Idempotency-Key (``key=None``: with none) and, if a
        version is given, with If-Match."""
        sent = dict(headers or {})
        if key is not None:
            sent["Idempotency-Key"] = uuid4().hex if key is _NEW_KEY else str(key)
        if version is not None:
            sent["If-Match"] = f'"{version}"'
        if "content" not in options:
            options["json"] = {} if body is None else body
        return await self.request("POST", path, headers=sent, **options)


# --- the whole -----------------------------------------------------------------------------------


class CityHall:
    """The application in use: who calls it, what time it is, and short ways to common things."""

    def __init__(self, app: FastAPI, db: Database, client: httpx.AsyncClient, clock: Clock) -> None:
        self.app, self.db, self.client, self.clock = app, db, client, clock
        self._password_hash: str | None = None
        self._callers: dict[object, Caller] = {}
        self._unnamed = count(1)

    async def as_resident(self, name: str | None = None) -> Caller:
        """The resident of this name, always the same person; without a name a new one."""
        who = name or f"resident-{next(self._unnamed)}"
        if who not in self._callers:
            self._callers[who] = await Caller(
                self,
                "/api/v1/auth/wechat",
                lambda: {"code": f"code-ok-{who}~{uuid4().hex}"},
            ).log_in()
        return self._callers[who]

    async def as_staff(
        self, role: Role | str, unit: str | None = None, grid: str | None = None, number: int = 1
    ) -> Caller:
        """The member of staff in this post, hired when first asked for.

        Without ``unit`` handlers and unit leaders belong to ``UNIT``; without ``grid`` grid leaders
        have ``GRID``, micro-grid leaders ``MICRO_GRID``, and dispatchers serve the whole city.
        ``number``: a second colleague in the same post.
        """
        role = Role(role)
        if role in _UNIT_ROLES:
            unit = unit or UNIT
        elif role is Role.GRID_LEADER:
            grid = grid or GRID
        elif role is Role.MICRO_GRID_LEADER:
            grid = grid or MICRO_GRID
        post = (role, unit, grid, number)
        if post not in self._callers:
            username = await self._hire(role, unit, grid)
            self._callers[post] = await Caller(
                self,
                "/api/v1/auth/staff",
                lambda: {"username": username, "password": _PASSWORD},
            ).log_in()
        return self._callers[post]

    async def _hire(self, role: Role, unit: str | None, grid: str | None) -> str:
        if self._password_hash is None:
            self._password_hash = hash_password(_PASSWORD)
        username = f"staff-{next(self._unnamed)}"
        new = NewStaff(username, "王五", role, unit, grid, self._password_hash)
        async with self.db.transaction() as session:
            await people.create_staff(session, new, now=self.clock.now)
        return username

    async def submit(
        self, caller: Caller | None = None, *, key: object = _NEW_KEY, **overrides: Any
    ) -> dict[str, Any]:
        """Submit ``form(**overrides)``, by a new resident if nobody is named; the answer's JSON."""
        caller = caller or await self.as_resident()
        answer = await caller.post(REQUESTS, form(**overrides), key=key)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def act(
        self, caller: Caller, request: Mapping[str, Any], action: str, /, **members: Any
    ) -> dict[str, Any]:
        """Take one step that must succeed; returns the request as it is afterwards.

        Args:
            request: an answer of ``submit`` or ``act``: its id and version.
            members: the step's form.
        """
        path = f"{REQUESTS}/{request['id']}/actions/{action}"
        answer = await caller.post(path, members, version=request["version"])
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def replied(
        self, resident: Caller | None = None, handler: Caller | None = None, **overrides: Any
    ) -> dict[str, Any]:
        """A request that was signed, contacted and answered, and now waits to be rated."""
        handler = handler or await self.as_staff(Role.HANDLER)
        request = await self.submit(resident, **overrides)
        request = await self.act(handler, request, "sign")
        request = await self.act(handler, request, "contact", method="phone", result="reached")
        return await self.act(
            handler, request, "reply", public_reply="已修好", solved="solved", factual=True
        )

    async def work(self, *names: str) -> None:
        """Wake the jobs once, at the clock's time: all of them, or those named."""
        state = self.app.state
        works = wiring.Works(
            self.db,
            state.settings,
            lambda: City(state.reference.current, state.grids.current, state.cipher),
        )
        for name, _period_s, run in wiring.jobs(state.settings):
            if not names or name in names:
                await run(works, self.clock.now)


@asynccontextmanager
async def small_city(
    settings: Settings, db: Database, limits: Mapping[str, int] | None = None
) -> AsyncIterator[CityHall]:
    """Seed the empty database behind ``db`` and run the application on it."""
    async with db.transaction() as session:
        await seed_small_city(session)
    wechat = WechatSettings(
        base_url="http://wechat.test", app_id="wxdemo", app_secret=SecretStr("demo-secret")
    )
    # The clock stands still, so a whole module logs in and calls within one minute.
    plenty = {"logins_per_minute": 1_000_000, "calls_per_minute": 1_000_000}
    app = create_app(
        settings.model_copy(
            update={
                "wechat": wechat,
                "jobs": settings.jobs.model_copy(update={"enabled": False}),
                "limits": settings.limits.model_copy(update={**plenty, **(limits or {})}),
            }
        )
    )
    clock = Clock()
    app.state.clock = clock
    async with app.router.lifespan_context(app):
        await app.state.wechat.close()
        app.state.wechat = WechatClient(wechat, transport=httpx.ASGITransport(create_fake()))
        async with client_of(app) as client:
            yield CityHall(app, db, client, clock)


def client_of(app: FastAPI, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client that calls from ``address``."""
    transport = httpx.ASGITransport(app, client=(address, 4_000))
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL)


# --- counting ------------------------------------------------------------------------------------


@contextmanager
def counted_queries(db: Database) -> Iterator[list[str]]:
    """The SQL that ``db`` sends meanwhile, by both roads: its pool of plain connections and
    SQLAlchemy's engine. BEGIN, COMMIT and the pools' own pings are not counted."""
    sent: list[str] = []
    pool = db._pool
    assert pool is not None
    plain = pool.fetch

    def note_engine(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    async def watched(sql: str, *arguments: Any, **how: Any) -> Any:
        sent.append(sql)
        return await plain(sql, *arguments, **how)

    pool.fetch = watched  # type: ignore[method-assign]
    event.listen(db.engine.sync_engine, "before_cursor_execute", note_engine)
    try:
        yield sent
    finally:
        event.remove(db.engine.sync_engine, "before_cursor_execute", note_engine)
        del pool.fetch
