"""The query of a busy route as one model.

FastAPI looks at each query parameter by itself and works out its kind at every call; with nine of
them that cost a list as much as all the rest. ``Asked(Model)`` validates them together.
"""

from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request as HttpRequest

from app.web.errors import from_validation


class QueryIn(BaseModel):
    """The query of a route. Values come as text: numbers and booleans are read from it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=False
    )


Q = TypeVar("Q", bound=QueryIn)

# People turn the same few pages all day. A query longer than this is read anew each time.
_KEPT = 500
_KEPT_LENGTH = 120


class Asked(Generic[Q]):
    """A dependency that hands out the query as ``model``; ``StrictRoute`` checks the names."""

    def __init__(self, model: type[Q], *, many: frozenset[str] = frozenset()) -> None:
        """Args: ``many`` the parameters that may be repeated."""
        self.query_model = model
        self.query_many = many
        self._known = lru_cache(_KEPT)(self._read)
        self.openapi_parameters = _described(model)

    async def __call__(self, http: HttpRequest) -> Q:
        """Raises: Invalid."""
        query: bytes = http.scope["query_string"]
        return self._known(query) if len(query) <= _KEPT_LENGTH else self._read(query)

    def _read(self, query: bytes) -> Q:
        values: dict[str, Any] = {}
        for name, value in parse_qsl(query.decode(), keep_blank_values=True):
            if name in self.query_many:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        try:
            return self.query_model.model_validate(values)
        except ValidationError as wrong:
            errors = wrong.errors(include_url=False, include_input=False)
            raise from_validation(
                [{**error, "loc": ("query", *error["loc"])} for error in errors]
            ) from None


def _described(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The parameters as OpenAPI says them. Definitions are written out in place."""
    schema = model.model_json_schema(by_alias=True, ref_template="{model}")
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _inline(part, definitions),
        }
        for name, part in schema["properties"].items()
    ]


def _inline(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            return _inline(definitions[part["$ref"]], definitions)
        return {key: _inline(value, definitions) for key, value in part.items()}
    return [_inline(value, definitions) for value in part] if isinstance(part, list) else part
