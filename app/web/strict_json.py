"""Routes that read JSON and query strings strictly.

Python's ``json`` is generous: repeated keys, ``NaN``, endless numbers, lone surrogates and nesting
of any depth pass. ``parse`` refuses them, at the price of about ten microseconds for an ordinary
small body; the dear checks run only where a cheap look says that they are needed.
"""

import re
from collections.abc import Callable, Coroutine, Iterator
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import Any, NoReturn, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.errors import FieldError, Invalid
from app.web.errors import WebError

MAX_DEPTH = 32
MAX_KEYS = 1_000  # of one object
_MAX_INTEGER = 2**63 - 1
_MAX_PARAMETERS = 100
_KEPT, _KEPT_LENGTH = 500, 120  # good queries remembered, of each route

_CONTROL_IN_VALUE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Possessive, and content with a string that never ends: else a body of quotes costs its square.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


class JsonSyntax(WebError):
    """提交的内容不是正确的 JSON。"""

    code = "json_syntax"
    status = 400


class JsonNotUtf8(WebError):
    """提交的内容不是 UTF-8 编码。"""

    code = "json_invalid_utf8"
    status = 400


class JsonTooDeep(WebError):
    """提交的内容嵌套层数过多。"""

    code = "json_too_deep"
    status = 400


class JsonTooManyKeys(Invalid):
    """提交的内容字段过多。"""

    code = "json_too_many_keys"


class JsonDuplicateKey(Invalid):
    """提交的内容中有重复的字段。"""

    code = "json_duplicate_key"


class JsonNotObject(Invalid):
    """提交的内容必须是一个 JSON 对象。"""

    code = "type_object"


class BodyRequired(Invalid):
    """缺少要提交的内容。"""

    code = "body_required"


class NumberNotFinite(Invalid):
    """数字必须是有限的数值。"""

    code = "number_not_finite"


class NumberTooLarge(Invalid):
    """数字过大。"""

    code = "number_too_large"


class TextControlCharacter(Invalid):
    """内容中含有不允许的控制字符。"""

    code = "text_control_char"


class TextInvalidUnicode(Invalid):
    """内容中含有不完整的字符。"""

    code = "text_invalid_unicode"


class QueryUnknown(Invalid):
    """查询参数中有无法识别的参数。"""

    code = "query_unknown"


class QueryDuplicate(Invalid):
    """查询参数重复。"""

    code = "query_duplicate"


class QueryNotUtf8(Invalid):
    """查询参数不是 UTF-8 编码。"""

    code = "query_invalid_utf8"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise JsonTooManyKeys
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonDuplicateKey
    return members


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise NumberTooLarge
    value = int(digits)
    if not -_MAX_INTEGER - 1 <= value <= _MAX_INTEGER:
        raise NumberTooLarge
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise NumberNotFinite
    return value


def _constant(_: str) -> NoReturn:
    raise NumberNotFinite


_decode = JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=_constant,
).decode


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object that ``body`` is.

    Raises:
        JsonNotUtf8, JsonSyntax, JsonTooDeep: (400) it is no JSON that we read.
        JsonNotObject, JsonDuplicateKey, JsonTooManyKeys, NumberNotFinite, NumberTooLarge,
        TextControlCharacter, TextInvalidUnicode: (422) it is JSON, but not what is asked for.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise JsonNotUtf8 from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        value = _decode(text)
    except JSONDecodeError:
        raise JsonSyntax from None
    if not isinstance(value, dict):
        raise JsonNotObject
    # Raw control characters are refused by the decoder; escaped ones and C1 are not.
    if "\\" in text or not text.isprintable():
        _check_texts(value)
    return value


def _check_depth(text: str) -> None:
    """Refuse nesting that is too deep, without recursion, before the recursive decoder sees it."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if depth != 0:
        raise JsonSyntax
    if deepest > MAX_DEPTH:
        raise JsonTooDeep


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value, _CONTROL_IN_VALUE)
    elif isinstance(value, dict):
        for key, member in value.items():
            _check_text(key, _CONTROL)
            _check_texts(member)
    elif isinstance(value, list):
        for member in value:
            _check_texts(member)


def _check_text(text: str, control: re.Pattern[str]) -> None:
    if control.search(text) is not None:
        raise TextControlCharacter
    if not text.isascii() and _SURROGATE.search(text) is not None:
        raise TextInvalidUnicode


class QueryRules:
    """Which query parameters a route takes, and which of them may be repeated."""

    def __init__(self, dependant: Dependant) -> None:
        self.once: set[str] = set()
        self.many: set[str] = set()
        self._good: set[bytes] = set()
        self._collect(dependant)

    def _collect(self, dependant: Dependant) -> None:
        for parameter in dependant.query_params:
            kind = parameter.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for name, field in kind.model_fields.items():
                    self._add(field.alias or name, field.annotation)
            else:
                self._add(parameter.alias, kind)
        model = getattr(dependant.call, "query_model", None)
        if model is not None:
            self.many |= dependant.call.query_many  # type: ignore[union-attr]
            names = {field.alias or name for name, field in model.model_fields.items()}
            self.once |= names - self.many
        for dependency in dependant.dependencies:
            self._collect(dependency)

    def _add(self, name: str, kind: Any) -> None:
        (self.many if _is_sequence(kind) else self.once).add(name)

    def check(self, query: bytes) -> None:
        """Raises: QueryUnknown, QueryDuplicate, QueryNotUtf8, TextControlCharacter."""
        if query in self._good:
            return
        self._check(query)
        if len(query) <= _KEPT_LENGTH and len(self._good) < _KEPT:
            self._good.add(query)

    def _check(self, query: bytes) -> None:
        try:
            pairs = parse_qsl(
                query.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_PARAMETERS,
            )
        except UnicodeDecodeError:
            raise QueryNotUtf8 from None
        except ValueError:
            raise QueryUnknown from None
        seen: set[str] = set()
        for name, value in pairs:
            if name in self.once:
                if name in seen:
                    raise QueryDuplicate(errors=[_wrong(name, QueryDuplicate)])
                seen.add(name)
            elif name not in self.many:
                raise QueryUnknown
            if _CONTROL.search(value) is not None:
                raise TextControlCharacter(errors=[_wrong(name, TextControlCharacter)])


def _wrong(name: str, error: type[Invalid]) -> FieldError:
    return FieldError(name, error.code, error.title())


def _is_sequence(kind: Any) -> bool:
    if get_origin(kind) in (list, set, tuple, frozenset) or kind in (list, set, tuple, frozenset):
        return True
    return any(_is_sequence(part) for part in get_args(kind))


def _described(dependant: Dependant) -> Iterator[dict[str, Any]]:
    for dependency in dependant.dependencies:
        described = getattr(dependency.call, "openapi_parameter", None)
        if described is not None:
            yield described
        yield from getattr(dependency.call, "openapi_parameters", ())
        yield from _described(dependency)


class _StrictRequest(HttpRequest):
    """A request whose JSON was parsed strictly beforehand."""

    parsed: Any = None

    async def json(self) -> Any:
        return self.parsed


class StrictRoute(APIRoute):
    """A route that refuses sloppy JSON and unknown or repeated query parameters.

    A dependency with an attribute ``openapi_parameter`` is told in the API's description.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        parameters = list(_described(self.dependant))
        if parameters:
            self.openapi_extra = {"parameters": parameters, **(self.openapi_extra or {})}

    def get_route_handler(self) -> Callable[[HttpRequest], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        query_rules = QueryRules(self.dependant)
        field = self.body_field
        reads_json = field is not None and not isinstance(field.field_info, Form)
        required = field is not None and field.field_info.is_required()

        async def strict(http: HttpRequest) -> Response:
            query = http.scope["query_string"]
            if query:
                query_rules.check(query)
            if not reads_json:
                return await handle(http)
            request = _StrictRequest(http.scope, http.receive)
            body = await request.body()
            if body:
                request.parsed = parse(body)
            elif required:
                raise BodyRequired
            return await handle(request)

        return strict
