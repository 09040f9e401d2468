"""Every route says who may call it, reads strictly, and is done once however often it is asked."""

import base64
from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from app import main
from app.domain.identity import GRANTS, Permission, Role
from app.main import PermissionUndeclared, create_app, permissions_of
from app.settings import Settings
from app.web.idempotency import idempotency_key, if_match
from app.web.strict_json import StrictRoute
from app.wiring import ROUTERS

# Open to everybody who reaches the port; each answers without personal data.
WITHOUT_PERMISSION = {
    "/health/live",
    "/health/ready",
    "/metrics",  # refuses strangers itself
    "/docs",  # the demo's only
    "/docs/oauth2-redirect",
    "/openapi.json",
}
# Writes only into the audit: nobody decides on a version of the request.
VERSIONLESS = {"/api/v1/requests/{request_id}/reveal"}
# POST that needs no Idempotency-Key, and why.
REPEATABLE = {
    "/api/v1/auth/staff": "a second log-in is a second session",
    "/api/v1/auth/wechat": "WeChat takes a code once",
    "/api/v1/auth/logout": "twice is as once",
    "/api/v1/inbox/read": "twice is as once",
    "/api/v1/grids/locate": "only reads",
    "/api/v1/requests/{request_id}/reveal": "each call is a look; a kept answer would lie readable",
    "/api/v1/registry/batches": "each record has its own key; a kept answer would hold masked data",
    "/api/v1/registry/persons/lookup": "only reads, and tells the audit of each look",
    "/api/v1/registry/{kind}/{record_id}/reveal": "as that of a request",
    "/api/v1/teams/{code}/members/{member_id}/reveal": "as that of a request",
    "/api/v1/calendars/simulate": "only computes",
    "/api/v1/calendars/preview": "only computes",
}


def settings() -> Settings:
    key = base64.b64encode(b"k" * 32).decode()
    url = "postgresql://nobody@localhost/nothing"  # nothing is opened before the app starts
    return Settings(DATABASE_URL=url, secret_key=key)  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(settings())


def api_routes(app: FastAPI) -> list[APIRoute]:
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    return [route for route in routes if isinstance(route, APIRoute)]


def calls(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from calls(inner)


def test_every_route_of_the_api_declares_one_permission(app: FastAPI) -> None:
    routes = api_routes(app)
    assert len(routes) > 25
    assert not [route.path for route in routes if len(list(permissions_of(route.dependant))) != 1]


def test_whatever_is_not_of_the_api_is_listed(app: FastAPI) -> None:
    others = {
        context.path
        for context in iter_route_contexts(app.routes)
        if not isinstance(context.original_route, APIRoute)
    }
    assert others == WITHOUT_PERMISSION


def test_an_application_with_an_open_route_does_not_come_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    careless = APIRouter(prefix="/api/v1")

    @careless.get("/everything")
    async def everything() -> None: ...

    monkeypatch.setattr(main, "ROUTERS", (*ROUTERS, careless))
    with pytest.raises(PermissionUndeclared, match="/everything"):
        create_app(settings())


def test_every_permission_is_granted_to_somebody_and_asked_for_somewhere(app: FastAPI) -> None:
    asked = {said for route in api_routes(app) for said in permissions_of(route.dependant)}
    assert asked == set(Permission) == GRANTS.keys()
    assert all(GRANTS.values())
    assert not any(Role.SYSTEM in roles for roles in GRANTS.values())


def test_every_route_reads_strictly(app: FastAPI) -> None:
    assert not [route.path for route in api_routes(app) if not isinstance(route, StrictRoute)]


def test_every_change_takes_an_idempotency_key(app: FastAPI) -> None:
    changing = [route for route in api_routes(app) if route.methods - {"GET", "HEAD"}]
    without = {route.path for route in changing if idempotency_key not in calls(route.dependant)}
    assert without == REPEATABLE.keys()


def test_every_change_of_a_request_names_the_version_it_was_decided_on(app: FastAPI) -> None:
    changing = [
        route
        for route in api_routes(app)
        if route.path.startswith("/api/v1/requests/{request_id}/") and "POST" in route.methods
    ]
    assert len(changing) > 10
    without = {route.path for route in changing if if_match not in calls(route.dependant)}
    assert without == VERSIONLESS
