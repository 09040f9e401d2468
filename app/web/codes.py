"""The words for a wrong field: pydantic's error types become our codes and Chinese sentences.

A ``PydanticCustomError`` of ours keeps its own code and message. Nothing here repeats the input.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

_REQUIRED = ("field_required", "此项必填")
_NUMBER = ("type_number", "应为数字")
_INTEGER = ("type_integer", "应为整数")
_BOOLEAN = ("type_boolean", "应为 true 或 false")
_OBJECT = ("type_object", "应为一个对象")
_ARRAY = ("type_array", "应为一个列表")
_RANGE = ("number_out_of_range", "数值超出允许的范围")
_TIME = ("time_invalid", "时间或日期格式不正确")
_ID = ("id_invalid", "编号格式不正确")
_OTHER = ("value_invalid", "填写的内容不正确")

_WORDS: dict[str, tuple[str, str]] = {
    "missing": _REQUIRED,
    "extra_forbidden": ("field_unknown", "无法识别的字段"),
    "string_type": ("type_string", "应为文字"),
    "string_unicode": ("text_invalid_unicode", "含有不完整的字符"),
    "string_too_long": ("text_too_long", "文字过长"),
    "string_too_short": ("text_too_short", "文字过短"),
    "string_pattern_mismatch": ("text_pattern", "格式不正确"),
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_from_float": _INTEGER,
    "int_parsing_size": ("number_too_large", "数字过大"),
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": ("number_not_finite", "必须是有限的数值"),
    "greater_than": _RANGE,
    "greater_than_equal": _RANGE,
    "less_than": _RANGE,
    "less_than_equal": _RANGE,
    "multiple_of": _RANGE,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "enum": ("enum_unknown", "不是允许的选项"),
    "literal_error": ("enum_unknown", "不是允许的选项"),
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": _ARRAY,
    "tuple_type": _ARRAY,
    "set_type": _ARRAY,
    "frozen_set_type": _ARRAY,
    "too_long": ("list_too_long", "数量过多"),
    "too_short": ("list_too_short", "数量过少"),
    "timezone_naive": ("time_no_offset", "时间必须带时区，例如 +08:00"),
    "json_invalid": ("json_syntax", "不是正确的 JSON"),
}
_IN_PATH = ("path_invalid", "网址不正确")
_IN_QUERY = ("query_enum", "不是允许的选项")
_FAMILIES = (("datetime_", _TIME), ("date_", _TIME), ("time_", _TIME), ("uuid_", _ID))
_PYDANTIC_TYPES = frozenset(get_args(ErrorType))
_SAFE_NAME = re.compile(r"[0-9]{1,4}|[A-Za-z_][A-Za-z0-9_.\-]{0,63}")


def code_and_message(error: Mapping[str, Any]) -> tuple[str, str]:
    """Our code and sentence for one error as ``errors()`` lists it."""
    kind: str = error["type"]
    place = error["loc"][0] if error["loc"] else None
    if place == "path":
        return _IN_PATH
    if kind not in _PYDANTIC_TYPES and kind not in _WORDS:
        return kind, error["msg"]
    if error.get("input", ...) is None and kind.endswith("_type"):
        return _REQUIRED
    if kind in ("enum", "literal_error") and place == "query":
        return _IN_QUERY
    if kind in _WORDS:
        return _WORDS[kind]
    return next((words for prefix, words in _FAMILIES if kind.startswith(prefix)), _OTHER)


def pointer(loc: Sequence[str | int]) -> str:
    """A JSON pointer into the body, or a parameter's name. A stranger's odd key is not told."""
    names = [str(part) if _SAFE_NAME.fullmatch(str(part)) else "…" for part in loc[1:]]
    if loc and loc[0] == "body":
        return "".join(f"/{name}" for name in names)
    return ".".join(names)


def every_word() -> list[tuple[str, str]]:
    """Every code of ours for an error type of pydantic's, with its sentence."""
    return [*_WORDS.values(), *(words for _, words in _FAMILIES), _OTHER, _IN_PATH, _IN_QUERY]
