"""A small application with all the plumbing and no feature."""

from typing import Annotated
from uuid import UUID

import httpx
from fastapi import APIRouter, FastAPI, Query
from sqlalchemy import text
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import Conflict, FieldError, Stale, TooMany
from app.settings import Settings, WebSettings
from app.store.session import Database, Statement
from app.web import errors, health, idempotency
from app.web.deps import Db, Now, Session, system_clock
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.middleware import BodyRule, Door
from app.web.strict_json import StrictRoute
from app.web.wire import Id, Instant, PageLimit, Prose, WireIn, WireOut

ACTOR = UUID(int=7)
HEADERS = {"Idempotency-Key": "k-1"}


class Note(WireIn):
    text: Prose
    number: int | None = None
    at: Instant | None = None


class Echo(WireOut):
    text: str
    number: int | None = None
    at: Instant | None = None
    version: int | None = None


class Forgotten(Exception):
    """A program fault whose message holds personal data."""


router = APIRouter(prefix="/api/v1/notes", route_class=StrictRoute)


@router.post("", status_code=201)
async def create(form: Note) -> Echo:
    return Echo(text=form.text, number=form.number, at=form.at)


@router.get("")
async def page(
    limit: PageLimit = 20,
    state: Annotated[list[str] | None, Query()] = None,
    at: Annotated[Instant | None, Query(alias="from")] = None,
) -> Echo:
    return Echo(text=",".join(state or []), number=limit, at=at)


@router.get("/faults/{name}")
async def fault(name: str) -> Echo:
    match name:
        case "crash":
            raise Forgotten("13800138000 SELECT secret /home/me")
        case "stale":
            raise Stale
        case "busy":
            raise TooMany(retry_after_s=17)
        case "facts":
            raise Conflict(
                "细节", errors=[FieldError("/a", "b", "丙")], allowed=["sign"], status="not this"
            )
    raise AssertionError(name)


@router.get("/query/{name}")
async def query(name: str, db: Db) -> Echo:
    await db.one_statement(Statement(STATEMENTS[name]))
    return Echo(text="")


@router.get("/session/{name}")
async def query_in_session(name: str, session: Session) -> Echo:
    await session.execute(text(STATEMENTS[name]))
    return Echo(text="")


@router.get("/commit")
async def fail_at_commit(session: Session) -> Echo:
    await session.execute(text("INSERT INTO deferred VALUES (1), (1)"))
    return Echo(text="done")


@router.get("/{note_id}")
async def read(note_id: Id) -> Echo:
    return Echo(text=str(note_id))


@router.put("/once")
async def put(
    http: HttpRequest,
    form: Note,
    key: IdempotencyKey,
    version: IfMatch,
    session: Session,
    now: Now,
) -> Response:
    async def act() -> Echo:
        await session.execute(text("UPDATE effects SET times = times + 1"))
        if form.text == "refuse":
            raise Stale
        if form.text == "slow":
            await session.execute(text("SELECT pg_sleep(0.5)"))
        return Echo(text=form.text, version=version + 1)

    return await idempotency.once(
        http, session, actor_id=ACTOR, operation="put", key=key, now=now, act=act, status=202
    )


@router.post("/upload")
async def upload(http: HttpRequest) -> Echo:
    return Echo(text="", number=len(await http.body()))


STATEMENTS = {
    "zero_byte": "SELECT convert_from('\\x00', 'UTF8')",
    "not_a_number": "SELECT 'x'::int",
    "too_big": "SELECT 2147483647 + 1",
    "check": "DO $$ BEGIN RAISE check_violation; END $$",
    "unique": "DO $$ BEGIN RAISE unique_violation; END $$",
    "foreign": "DO $$ BEGIN RAISE foreign_key_violation; END $$",
    "serial": "DO $$ BEGIN RAISE serialization_failure; END $$",
    "deadlock": "DO $$ BEGIN RAISE deadlock_detected; END $$",
    "lock": "DO $$ BEGIN RAISE lock_not_available; END $$",
    "cancelled": "DO $$ BEGIN RAISE query_canceled; END $$",
    "full": "DO $$ BEGIN RAISE disk_full; END $$",
    "syntax": "SELEC",
    "killed": "SELECT pg_terminate_backend(pg_backend_pid())",
}


def build(
    settings: Settings | None = None, db: Database | None = None, *, body_timeout_s: float = 15
) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    app.state.settings = settings or Settings(
        profile="demo", web=WebSettings(allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    )
    app.state.db = db
    app.state.clock = system_clock
    app.include_router(router)
    errors.install(app)
    health.install(app)
    app.state.ready = True
    app.add_middleware(
        Door,
        settings=app.state.settings.web,
        bodies={"/api/v1/notes/upload": BodyRule(frozenset({b"multipart/form-data"}), 1024 * 1024)},
        body_timeout_s=body_timeout_s,
    )
    return app


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
