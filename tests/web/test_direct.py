"""A direct route answers as FastAPI's own walk does, and refuses at the start what it cannot do."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header
from fastapi.routing import APIRoute
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from app.domain.errors import Unauthenticated
from app.settings import WebSettings
from app.web import errors
from app.web.asked import Asked, QueryIn
from app.web.direct import CannotGoDirect, DirectRoute, DirectWay
from app.web.middleware import Door
from app.web.strict_json import StrictRoute
from app.web.wire import Id, PageLimit, WireIn, prose


class NoteIn(WireIn):
    text: Annotated[str, prose(10)]


class Window(QueryIn):
    limit: PageLimit = 20


calls: list[str] = []


async def who(http: HttpRequest) -> str:
    calls.append("who")
    name = http.headers.get("x-name")
    if name is None:
        raise Unauthenticated
    if name == "crash":
        raise RuntimeError
    return name


def build(route_class: type[APIRoute]) -> FastAPI:
    router = APIRouter(prefix="/api", route_class=route_class)

    @router.post("/notes/{note_id}")
    async def write(
        note_id: Id,
        form: NoteIn,
        http: HttpRequest,
        name: Annotated[str, Depends(who)],
        window: Annotated[Window, Depends(Asked(Window))],
    ) -> Response:
        return JSONResponse(
            {
                "id": str(note_id),
                "text": form.text,
                "n": window.limit,
                "by": name,
                "route": http.scope["route"].path,
            }
        )

    @router.get("/plain")
    async def plain() -> Response:
        return JSONResponse({})

    app = FastAPI(redirect_slashes=False)
    errors.install(app)
    app.router.routes.extend(router.routes)
    app.add_middleware(DirectWay, routes=app.router.routes)
    app.add_middleware(Door, settings=WebSettings())
    return app


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


NOTE = "/api/notes/550e8400-e29b-41d4-a716-446655440000"
NAMED = {"x-name": "li"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", NOTE, NAMED, {"text": "a"}),
        ("POST", f"{NOTE}?limit=7", NAMED, {"text": "a"}),
        ("POST", NOTE, {}, {"text": "a"}),  # who may not ask
        ("POST", NOTE, {}, {"text": ""}),  # hears that first
        ("POST", NOTE, NAMED, {"text": ""}),
        ("POST", NOTE, NAMED, {"text": "a", "more": 1}),
        ("POST", NOTE, NAMED, {}),
        ("POST", NOTE, NAMED, None),
        ("POST", "/api/notes/17", NAMED, {"text": ""}),  # both are told
        ("POST", f"{NOTE}?limit=0", NAMED, {"text": "a"}),
        ("POST", f"{NOTE}?unknown=1", NAMED, {"text": "a"}),
        ("POST", NOTE, {"x-name": "crash"}, {"text": "a"}),
        ("GET", NOTE, NAMED, None),  # another method
        ("GET", "/api/plain", {}, None),
        ("GET", "/api/plain/", {}, None),  # no such path
        ("GET", "/api/plain%2F", {}, None),
    ],
)
async def test_the_answer_is_the_same(
    method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    answers = []
    for route_class in (StrictRoute, DirectRoute):
        async with client(build(route_class)) as http:
            answer = await http.request(method, path, headers=headers, json=body)
        told = answer.json()
        told.pop("request_id", None)
        kept = {name: answer.headers.get(name) for name in ("allow", "content-type")}
        answers.append((answer.status_code, told, kept))
    assert answers[0] == answers[1]


async def test_a_dependency_is_called_once() -> None:
    async with client(build(DirectRoute)) as http:
        calls.clear()
        assert (await http.post(NOTE, headers=NAMED, json={"text": "a"})).status_code == 200
    assert calls == ["who"]


def test_it_is_described_as_any_other_route() -> None:
    assert build(DirectRoute).openapi() == build(StrictRoute).openapi()


def sync_dependency(http: HttpRequest) -> int:
    return 1


async def without_http() -> int:
    return 1


async def yielding(http: HttpRequest) -> AsyncIterator[int]:
    yield 1


async def with_header(http: HttpRequest, x: Annotated[str, Header()]) -> str:
    return x


async def with_tasks(http: HttpRequest, tasks: BackgroundTasks) -> int:
    return 1


async def with_another(http: HttpRequest, name: Annotated[str, Depends(who)]) -> str:
    return name


@pytest.mark.parametrize(
    "needs", [sync_dependency, without_http, yielding, with_header, with_tasks, with_another]
)
def test_what_it_cannot_do_is_refused_when_it_is_declared(needs: Any) -> None:
    router = APIRouter(route_class=DirectRoute)

    async def endpoint(it: Annotated[Any, Depends(needs)]) -> Response:
        return Response()

    with pytest.raises(CannotGoDirect):
        router.add_api_route("/x", endpoint)


def test_an_endpoint_that_returns_data_or_asks_for_a_query_is_refused() -> None:
    router = APIRouter(route_class=DirectRoute)

    async def data() -> dict[str, str]:
        return {}

    async def query(limit: PageLimit = 3) -> Response:
        return Response()

    for endpoint in (data, query):
        with pytest.raises(CannotGoDirect):
            router.add_api_route("/x", endpoint)


def test_a_direct_path_with_a_parameter_may_not_hide_another_path() -> None:
    router = APIRouter(route_class=DirectRoute)

    async def one(note_id: str) -> Response:
        return Response()

    async def fixed() -> Response:
        return Response()

    router.add_api_route("/notes/{note_id}", one)
    DirectWay(FastAPI(), routes=router.routes)
    router.add_api_route("/notes/newest", fixed)
    with pytest.raises(CannotGoDirect):
        DirectWay(FastAPI(), routes=router.routes)
