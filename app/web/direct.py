"""The straight way to the few endpoints that a city calls all day.

FastAPI looks for the route, walks the tree of dependencies and opens two exit stacks for each HTTP
request, which for a small endpoint costs more than the endpoint itself. A ``DirectRoute`` is
declared, checked and described like any other route, and answers the same; ``DirectWay`` finds it
before the application does and calls what it needs in a fixed order. The application does not start
with one that asks for more than this: ``async`` dependencies of the HTTP request alone, parameters
of the path, one JSON body, an endpoint that returns a ``Response``
(``docs/decisions/0011-a-straight-way.md``).
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, get_type_hints

from fastapi.dependencies.models import Dependant
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.web import errors
from app.web.strict_json import BodyRequired, QueryRules, StrictRoute, parse


class CannotGoDirect(TypeError):
    """An endpoint or a dependency needs something that only FastAPI's own walk can give."""


class _Field:
    """A parameter of the path, or the body: where it stands, what it must be."""

    __slots__ = ("name", "place", "validate")

    def __init__(self, name: str, kind: Any, place: tuple[str, ...]) -> None:
        self.name = name
        self.place = place
        self.validate = TypeAdapter[Any](kind).validate_python

    def read(self, value: Any, into: dict[str, Any]) -> list[Any]:
        """Put the value ``into`` the arguments; returns what is wrong with it."""
        try:
            into[self.name] = self.validate(value)
        except ValidationError as wrong:
            found = wrong.errors(include_url=False)
            return [{**error, "loc": (*self.place, *error["loc"])} for error in found]
        return []


class DirectRoute(StrictRoute):
    """A strict route that runs a plan. Raises: CannotGoDirect, when it is declared."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.answer = self._plan()

    def _plan(self) -> Callable[[HttpRequest], Coroutine[Any, Any, Response]]:
        dependant = self.dependant
        endpoint: Callable[..., Awaitable[Response]] = self.endpoint
        self._check(dependant)
        kinds = get_type_hints(endpoint, include_extras=True)
        query = QueryRules(dependant)
        http_name = dependant.request_param_name
        needs = [(str(need.name), _callable(self.path, need)) for need in dependant.dependencies]
        fields = [
            _Field(field.name, kinds[field.name], ("path", field.name))
            for field in dependant.path_params
        ]
        sent = [_Field(field.name, kinds[field.name], ("body",)) for field in dependant.body_params]
        body_field = sent[0] if sent else None

        async def answer(http: HttpRequest) -> Response:
            scope = http.scope
            if scope["query_string"]:
                query.check(scope["query_string"])
            body = None
            if body_field is not None:
                raw = await http.body()
                if not raw:
                    raise BodyRequired
                body = parse(raw)
            values: dict[str, Any] = {name: await call(http) for name, call in needs}
            if http_name is not None:
                values[http_name] = http
            wrong: list[Any] = []
            for field in fields:
                wrong += field.read(scope["path_params"][field.name], values)
            if body_field is not None:
                wrong += body_field.read(body, values)
            if wrong:
                raise errors.from_validation(wrong)
            return await endpoint(**values)

        return answer

    def _check(self, dependant: Dependant) -> None:
        returns = get_type_hints(self.endpoint).get("return")
        if not (isinstance(returns, type) and issubclass(returns, Response)):
            raise CannotGoDirect(f"{self.path}: does not return a Response")
        if dependant.query_params or len(dependant.body_params) > 1 or self._embed_body_fields:
            raise CannotGoDirect(f"{self.path}: query parameters, or more than one body")
        if not inspect.iscoroutinefunction(self.endpoint):
            raise CannotGoDirect(f"{self.path}: not async")
        _check_needs(self.path, dependant)


def _check_needs(path: str, node: Dependant) -> None:
    asks_for_more = (
        node.header_params
        or node.cookie_params
        or node.websocket_param_name
        or node.http_connection_param_name
        or node.response_param_name
        or node.background_tasks_param_name
        or node.security_scopes_param_name
    )
    if asks_for_more:
        raise CannotGoDirect(f"{path}: {node.call} takes more than the HTTP request")


def _callable(path: str, need: Dependant) -> Callable[[HttpRequest], Awaitable[Any]]:
    """The dependency as a function of the HTTP request alone."""
    call: Any = need.call
    _check_needs(path, need)
    if need.dependencies or need.path_params or need.query_params or need.body_params:
        raise CannotGoDirect(f"{path}: {call} depends on more than the HTTP request")
    if not (inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)):
        raise CannotGoDirect(f"{path}: {call} is not async")
    if need.request_param_name is None:
        raise CannotGoDirect(f"{path}: {call} does not take the HTTP request")
    checked: Callable[[HttpRequest], Awaitable[Any]] = call
    return checked


def _check_shadows(patterns: Sequence[DirectRoute], routes: Sequence[BaseRoute]) -> None:
    """No path of its own may lie behind a direct one with a parameter: it would not be found."""
    for pattern in patterns:
        for route in routes:
            if (
                isinstance(route, Route)
                and route is not pattern
                and set(route.methods or ()) & set(pattern.methods or ())
                and pattern.path_regex.match(route.path)
            ):
                raise CannotGoDirect(f"{pattern.path} would hide {route.path}")


class DirectWay:
    """Pure ASGI, inside the door: ``app.add_middleware(DirectWay, routes=app.router.routes)``."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        found = [route for route in routes if isinstance(route, DirectRoute)]
        self._fixed = {
            (method, route.path): route
            for route in found
            if not route.param_convertors
            for method in route.methods or ()
        }
        self._patterns = [route for route in found if route.param_convertors]
        _check_shadows(self._patterns, routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._find(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        http = HttpRequest(scope, receive, send)
        try:
            response = await route.answer(http)
        except errors.TOLD as error:
            response = await errors.answer(http, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> DirectRoute | None:
        path, method = scope["path"], scope["method"]
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            scope["path_params"] = {}
            return fixed
        for route in self._patterns:
            match = route.path_regex.match(path)
            if match is not None and method in (route.methods or ()):
                scope["path_params"] = match.groupdict()
                return route
        return None
