"""Every error that leaves the house is one shape: ``application/problem+json`` (RFC 9457).

    {"type": "urn:lianxin:error:<code>", "title": <Chinese>, "status": 422, "code": <code>,
     "detail"?, "request_id", "errors"?: [{"pointer", "code", "message"}], ...facts}

The input is never echoed. The kinds of ``app.domain.errors`` become their numbers here and nowhere
else; errors of the database are told apart by SQLSTATE (``from_database``), never by class.
``python -m app.web.error_list`` prints ``docs/errors.md``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg
import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from app.domain import errors as kinds
from app.domain.errors import AppError, FieldError, Invalid
from app.web.codes import code_and_message, pointer

_log = structlog.get_logger(__name__)
_MAX_FIELD_ERRORS = 20
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class WebError(AppError):
    """请求的格式不正确。"""

    code = "http_malformed"
    status = 400


class MethodNotAllowed(WebError):
    """不支持这种请求方法。"""

    code = "http_method"
    status = 405


class Internal(WebError):
    """服务出现内部错误，请稍后再试；如反复出现，请告知编号。"""

    code = "internal"
    status = 500


class ValueRefused(Invalid):
    """填写的内容无法保存，请检查后重新提交。"""

    code = "value_refused"


class AlreadyExists(kinds.Conflict):
    """已有相同的内容。"""

    code = "already_exists"


class ReferenceMissing(kinds.Conflict):
    """引用的内容不存在，或仍在被使用。"""

    code = "reference_missing"


class RuleBroken(kinds.Conflict):
    """内容之间互相矛盾，无法保存。"""

    code = "rule_broken"


class DatabaseDown(kinds.Unavailable):
    """服务暂时不可用，请稍后再试。"""

    code = "unavailable"


_STATUS: tuple[tuple[type[AppError], int], ...] = (
    (Invalid, 422),
    (kinds.Unauthenticated, 401),
    (kinds.Forbidden, 403),
    (kinds.NotFound, 404),
    (kinds.Gone, 410),
    (kinds.Conflict, 409),
    (kinds.Stale, 412),
    (kinds.TooMany, 429),
    (kinds.Unavailable, 503),
)


def status_of(kind: type[AppError]) -> int:
    if issubclass(kind, WebError):
        return kind.status
    return next((status for base, status in _STATUS if issubclass(kind, base)), 500)


# --- the answer --------------------------------------------------------------------------------


def problem(error: AppError, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that says ``error``."""
    status = status_of(type(error))
    content: dict[str, Any] = {
        "type": f"urn:lianxin:error:{error.code}",
        "title": error.title(),
        "status": status,
        "code": error.code,
    }
    if error.detail is not None:
        content["detail"] = error.detail
    content["request_id"] = request_id
    if error.errors:
        content["errors"] = [
            {"pointer": wrong.pointer, "code": wrong.code, "message": wrong.message}
            for wrong in error.errors
        ]
    for name, fact in error.facts.items():
        content.setdefault(name, fact)
    response = Response(
        orjson.dumps(content, default=str), status, media_type="application/problem+json"
    )
    if headers:
        response.headers.update(headers)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, error.retry_after_s))
    elif status in (429, 503):
        response.headers["Retry-After"] = "1"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def request_id_of(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


# --- what others raise -------------------------------------------------------------------------


def from_validation(errors: Sequence[Any]) -> Invalid:
    """What pydantic and FastAPI found wrong, without the input."""
    found = []
    for error in errors[:_MAX_FIELD_ERRORS]:
        code, message = code_and_message(error)
        found.append(FieldError(pointer(error["loc"]), code, message))
    return Invalid(errors=found)


_UNAVAILABLE = ("08", "53")
_UNAVAILABLE_STATES = frozenset(
    {"40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "25P03"}
)
_NOT_SENT = "22000"  # asyncpg could not encode a parameter
_REFUSED = frozenset({"22021", "22P02", "22P05", "22001", "22003"})
_CONFLICTS: dict[str, type[AppError]] = {
    "23505": AlreadyExists,
    "23503": ReferenceMissing,
    "23514": RuleBroken,
}


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a driver's error, also when SQLAlchemy has wrapped it."""
    at: BaseException | None = error
    for _ in range(6):
        if at is None:
            return None
        state = getattr(at, "sqlstate", None)
        if isinstance(state, str):
            return state
        at = getattr(at, "orig", None) or at.__cause__
    return None


def from_database(error: BaseException) -> AppError | None:
    """The error of ours that a database error means; None: a fault of the program."""
    state = sqlstate(error)
    if state is None or state == _NOT_SENT:
        return _without_sqlstate(error)
    if state in _UNAVAILABLE_STATES or state.startswith(_UNAVAILABLE):
        return DatabaseDown(retry_after_s=1)
    if state in _REFUSED:
        return ValueRefused()
    return _CONFLICTS[state]() if state in _CONFLICTS else None


def _without_sqlstate(error: BaseException) -> AppError | None:
    """The driver's own errors: a value it cannot send (a wrong type is a fault of the program), or
    no connection to send it on."""
    origin = getattr(error, "orig", None)
    chain = [error, origin, error.__cause__, origin.__cause__ if origin is not None else None]
    if any(isinstance(link, ValueError | OverflowError) for link in chain):
        return ValueRefused()
    lost = (OSError, PoolTimeout, asyncpg.InterfaceError)
    if getattr(error, "connection_invalidated", False) or any(
        isinstance(link, lost) for link in chain
    ):
        return DatabaseDown(retry_after_s=1)
    return None


# --- handlers ----------------------------------------------------------------------------------


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error as a problem."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


async def answer(http: HttpRequest, error: Exception) -> Response:
    """What ``install`` makes of an error of ``TOLD``, for who answers beside the application."""
    kind = next(kind for kind in type(error).__mro__ if kind in _HANDLERS)
    return await _HANDLERS[kind](http, error)


async def _app_error(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - registered for nothing else
    return problem(error, request_id_of(http.scope))


async def _validation(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return problem(from_validation(error.errors()), request_id_of(http.scope))


async def _http_exception(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    request_id = request_id_of(http.scope)
    if error.status_code == 404:
        return problem(kinds.NotFound(), request_id)
    if error.status_code == 405:
        return problem(MethodNotAllowed(), request_id, {"Allow": allowed_methods(http.scope)})
    same = {401: kinds.Unauthenticated, 403: kinds.Forbidden, 409: kinds.Conflict, 422: Invalid}
    if error.status_code in same:
        return problem(same[error.status_code](), request_id)
    return problem(WebError() if error.status_code < 500 else Internal(), request_id)


async def _database(http: HttpRequest, error: Exception) -> Response:
    meant = from_database(error)
    if meant is None:
        raise error
    _log.warning("database_error", error=type(error).__name__, sqlstate=sqlstate(error))
    return problem(meant, request_id_of(http.scope))


_Handler = Callable[[HttpRequest, Exception], Awaitable[Response]]
_HANDLERS: dict[type[Exception], _Handler] = {
    AppError: _app_error,
    RequestValidationError: _validation,
    HTTPException: _http_exception,
    **dict.fromkeys(
        (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError), _database
    ),
}
TOLD = tuple(_HANDLERS)


def allowed_methods(scope: Scope) -> str:
    """Every method that the path of ``scope`` takes: the routing only knows the first of them."""
    routes = scope["app"].router.routes
    return ", ".join(
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    )
