"""What goes over the wire: base models, and the types of fields that come from strangers.

Texts are kept as they were typed (no trimming, no Unicode normalisation): the types here only
refuse. Each refusal is a ``PydanticCustomError`` whose type is the stable code of the answer and
whose message is the Chinese sentence; ``app.web.errors`` turns it into problem+json.

    class Contact(WireIn):
        name: PersonName
        phone: PhoneNumber
        note: Annotated[str, prose(500)] | None = None
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, ValidationError, core_schema

from app.domain.privacy import plain_phone

CHINA = timezone(timedelta(hours=8))

_NOT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_PROSE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# A character that leaves ink: not white space, not invisible, not one of the fillers.
_VISIBLE = re.compile(
    "[^\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def _lenient_enums(schema: Any, handler: GetCoreSchemaHandler, seen: set[int]) -> None:
    """Let enum members be given as their values: JSON has no other way to say them."""
    if id(schema) in seen:
        return
    if isinstance(schema, dict):
        seen.add(id(schema))
        if schema.get("type") == "enum":
            schema["strict"] = False
        elif schema.get("type") == "definition-ref":
            with suppress(LookupError):  # a model that is still being built: it does its own
                _lenient_enums(handler.resolve_ref_schema(cast(CoreSchema, schema)), handler, seen)
        for key, part in schema.items():
            if key not in ("metadata", "members", "serialization"):
                _lenient_enums(part, handler, seen)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _lenient_enums(part, handler, seen)


class WireIn(BaseModel):
    """What a client sends: no unknown field, no silent conversion; enums as their text values."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        _lenient_enums(schema, handler, set())
        return schema


class WireOut(BaseModel):
    """What we answer."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def to_bytes(self) -> bytes:
        """The JSON of this answer, UTF-8, fields in the order of the class."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)


@dataclass(frozen=True, slots=True)
class _Text:
    """Text of 1 to ``max_length`` code points, at least one of them visible."""

    max_length: int
    forbidden: re.Pattern[str]
    many_lines: bool

    def check(self, value: str) -> str:
        if self.many_lines and "\r" in value:
            value = value.replace("\r\n", "\n")
        found = self.forbidden.search(value)
        if found is not None:
            if "\ud800" <= found[0] <= "\udfff":
                raise PydanticCustomError("text_invalid_unicode", "含有不完整的字符")
            raise PydanticCustomError("text_control_char", "不能包含控制字符或不允许的换行")
        if _VISIBLE.search(value) is None:
            raise PydanticCustomError("text_blank", "内容不能为空")
        if len(value) > self.max_length:
            raise PydanticCustomError(
                "text_too_long", "不能超过{max_length}个字", {"max_length": self.max_length}
            )
        return value

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self.check, core_schema.str_schema(strict=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minLength": 1, "maxLength": self.max_length}


def line(max_length: int) -> _Text:
    """One line of text: ``Annotated[str, line(100)]``."""
    return _Text(max_length, _NOT_IN_LINE, many_lines=False)


def prose(max_length: int) -> _Text:
    """Text that may have line breaks and tabs; CR LF becomes LF."""
    return _Text(max_length, _NOT_IN_PROSE, many_lines=True)


Line = Annotated[str, line(200)]
Prose = Annotated[str, prose(4_000)]


def refused_as(code: str, message: str) -> WrapValidator:
    """Whatever is wrong with the field, say it with this code: ``Annotated[CoordSys, ...]``."""

    def check(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise PydanticCustomError(code, message) from None

    return WrapValidator(check)


# --- times -----------------------------------------------------------------------------------

_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARS = range(1990, 2101)


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise PydanticCustomError("time_no_offset", "时间必须带时区，例如 +08:00")
        return value
    match = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("time_invalid", "时间格式应为 2026-01-31T09:30:00+08:00")
    if match[1] is None:
        raise PydanticCustomError("time_no_offset", "时间必须带时区，例如 +08:00")
    try:
        moment = datetime.fromisoformat(match[0])
    except ValueError:
        raise PydanticCustomError("time_invalid", "没有这个时间") from None
    _check_year(moment.year)
    return moment


def _day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise PydanticCustomError("time_invalid", "日期格式应为 2026-01-31")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("time_invalid", "没有这一天") from None
    _check_year(day.year)
    return day


def _check_year(year: int) -> None:
    if year not in _YEARS:
        raise PydanticCustomError("time_out_of_range", "年份应在 1990 至 2100 之间")


def _say_instant(value: datetime) -> str:
    return value.astimezone(CHINA).isoformat()


_INSTANT_JSON = WithJsonSchema({"type": "string", "format": "date-time"})
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(_say_instant, return_type=str, when_used="json"),
    _INSTANT_JSON,
]
"""In: ISO-8601 with an offset, years 1990..2100. Out: ``+08:00``, microseconds if there are any."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A calendar day, ``2026-01-31``."""

# --- identifiers and numbers -------------------------------------------------------------------

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _id(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise PydanticCustomError("id_invalid", "编号格式不正确")
    return UUID(value)


Id = Annotated[UUID, BeforeValidator(_id), WithJsonSchema({"type": "string", "format": "uuid"})]
"""A UUID in its canonical form only. In a path a bad one is ``path_invalid``."""

_LIMIT_REFUSED = PydanticCustomError("page_limit", "每页条数应在 1 至 100 之间")


def _page_limit(value: Any) -> int:
    if isinstance(value, str):
        if re.fullmatch(r"[1-9][0-9]{0,2}", value) is None:
            raise _LIMIT_REFUSED
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100:
        raise _LIMIT_REFUSED
    return value


PageLimit = Annotated[
    int,
    BeforeValidator(_page_limit),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 100}),
]
"""Rows of a page: ``limit: PageLimit = 20``."""


def _within(bound: float) -> Callable[[float], float]:
    def check(value: float) -> float:
        if not -bound <= value <= bound:
            raise PydanticCustomError("coord_out_of_range", "坐标超出范围")
        return value

    return check


Latitude = Annotated[
    float,
    AfterValidator(_within(90)),
    WithJsonSchema({"type": "number", "minimum": -90, "maximum": 90}),
]
Longitude = Annotated[
    float,
    AfterValidator(_within(180)),
    WithJsonSchema({"type": "number", "minimum": -180, "maximum": 180}),
]

# --- people ------------------------------------------------------------------------------------


def _phone(value: str) -> str:
    digits = plain_phone(value)
    if digits is None:
        raise PydanticCustomError("phone_invalid", "请填写正确的手机号码，或带区号的固定电话")
    return digits


PhoneNumber = Annotated[
    str, AfterValidator(_phone), WithJsonSchema({"type": "string", "maxLength": 40})
]
"""A mainland mobile, or a landline with its area code; becomes digits only."""

_NAME_DOTS = str.maketrans({"\u2022": "\u00b7", "\u30fb": "\u00b7", "\u2027": "\u00b7"})

PersonName = Annotated[str, line(50), AfterValidator(lambda name: name.translate(_NAME_DOTS))]
"""A person's name, at most 50 characters; look-alike dots become U+00B7, else as typed."""
