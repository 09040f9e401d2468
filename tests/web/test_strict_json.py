"""Strict JSON and strict query strings."""

import json

import pytest

from app.domain.errors import AppError
from app.web.strict_json import parse
from tests.web import small


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_syntax"),
        (b"{} x", "json_syntax"),
        (b"[" * 20_000, "json_syntax"),
        (b'{"a":' * 20_000, "json_syntax"),
        (b'{"a":"\n"}', "json_syntax"),  # a raw control character
        (b"{'a':1}", "json_syntax"),
        (b'{"a":01}', "json_syntax"),
        (b"\xef\xbb\xbf{}", "json_syntax"),  # byte order mark
        ('{"a":1}'.encode("utf-16-le"), "json_syntax"),
        ('{"a":1}'.encode("utf-16"), "json_invalid_utf8"),
        (b'{"text":"\xff\xfe"}', "json_invalid_utf8"),
        (b'{"text":"\xed\xa0\x80"}', "json_invalid_utf8"),  # a surrogate as bytes
        (b'{"text":"\xc0\x80"}', "json_invalid_utf8"),  # an over-long NUL
        ('{"a":"坏了"}'.encode("gbk"), "json_invalid_utf8"),
        (b"[]", "type_object"),
        (b"null", "type_object"),
        (b'"a"', "type_object"),
        (b'{"a":1,"a":1}', "json_duplicate_key"),
        (b'{"a":{"b":1,"\\u0062":2}}', "json_duplicate_key"),
        (b'{"a":NaN}', "number_not_finite"),
        (b'{"a":Infinity}', "number_not_finite"),
        (b'{"a":-Infinity}', "number_not_finite"),
        (b'{"a":1e999}', "number_not_finite"),
        (b'{"a":[-1e400]}', "number_not_finite"),
        (b'{"a":' + b"9" * 4000 + b"}", "number_too_large"),
        (b'{"a":9223372036854775808}', "number_too_large"),
        (b'{"a":-9223372036854775809}', "number_too_large"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "json_too_deep"),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "json_too_deep"),
        (json.dumps({str(i): 1 for i in range(1001)}).encode(), "json_too_many_keys"),
        (b'{"a":"\\u0000"}', "text_control_char"),
        (b'{"a\\u0000":1}', "text_control_char"),
        (b'{"a":["\\b"]}', "text_control_char"),
        (b'{"a":"\\u007f"}', "text_control_char"),
        ('{"a":"\x85"}'.encode(), "text_control_char"),
        (b'{"text":"\\ud800"}', "text_invalid_unicode"),
        (b'{"a":{"k":"\\udfff"}}', "text_invalid_unicode"),
        (b'{"\\ud83d":1}', "text_invalid_unicode"),
    ],
)
def test_sloppy_json_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(AppError) as caught:
        parse(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"text": '路灯坏了\n\t\r\n\\ " / 🚧 𠮷', "n": -1, "f": 118.777777777777777777, "x": None},
        {"a": 2**63 - 1, "b": -(2**63), "c": [True, False, None, {"d": []}]},
        {"text": '{"[{[":' * 100},  # brackets in a text are no nesting
        {"text": "a:b," * 2000},  # colons in a text are no keys
        {str(i): 1 for i in range(1000)},
        {"a\u2028": "\u2028"},
    ],
)
@pytest.mark.parametrize("as_ascii", [True, False])
def test_honest_json_is_read(value: object, as_ascii: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=as_ascii).encode()) == value


def test_thirty_two_levels_are_allowed() -> None:
    assert parse(b'{"a":' * 32 + b"1" + b"}" * 32)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=0", 422, "page_limit"),
        ("limit=-1", 422, "page_limit"),
        ("limit=1000000000", 422, "page_limit"),
        ("limit=1_0", 422, "page_limit"),
        ("limit=%2B1", 422, "page_limit"),
        ("limit=", 422, "page_limit"),
        ("limit=1&limit=1000", 422, "query_duplicate"),
        ("limit[]=1", 422, "query_unknown"),
        ("offset=1", 422, "query_unknown"),
        ("&".join(f"x{i}=1" for i in range(200)), 422, "query_unknown"),
        ("state=a%00b", 422, "text_control_char"),
        ("state=%ff", 422, "query_invalid_utf8"),
        ("state=%ed%a0%80", 422, "query_invalid_utf8"),
        ("from=2026-02-29", 422, "time_invalid"),
        ("state=" + "x" * 10_000, 414, "http_uri_too_long"),
        ("state=a&state=b", 200, None),  # a list may be repeated
        ("state=%25%25%31", 200, None),
        ("state=%u4e00", 200, None),
        ("state=%E8%B7%AF&limit=100", 200, None),
        ("from=2026-02-28T00:00:00%2B08:00", 200, None),
    ],
)
async def test_query_parameters_are_read_strictly(
    query: str, status: int, code: str | None
) -> None:
    async with small.client(small.build()) as client:
        answer = await client.get(f"/api/v1/notes?{query}")
    assert answer.status_code == status
    if code is not None:
        problem = answer.json()
        assert code in {problem["code"], *(error["code"] for error in problem.get("errors", []))}


@pytest.mark.parametrize(
    "note_id",
    [
        "9" * 5000,
        "1_0",
        "%2B1",
        "%20a",
        "%00",
        "{550e8400-e29b-41d4-a716-446655440000}",
        "550E8400-E29B-41D4-A716-446655440000",
        "550e8400-e29b-41d4-a716-44665544000",
    ],
)
async def test_only_the_canonical_form_of_an_id_is_a_path(note_id: str) -> None:
    async with small.client(small.build()) as client:
        answer = await client.get(f"/api/v1/notes/{note_id}")
    assert answer.status_code == 422
    problem = answer.json()
    assert "path_invalid" in {problem["code"], *(e["code"] for e in problem.get("errors", []))}


async def test_a_missing_body_is_asked_for() -> None:
    async with small.client(small.build()) as client:
        answer = await client.post("/api/v1/notes")
    assert (answer.status_code, answer.json()["code"]) == (422, "body_required")


def test_the_description_of_the_api_tells_of_the_headers() -> None:
    put = small.build().openapi()["paths"]["/api/v1/notes/once"]["put"]
    assert [parameter["name"] for parameter in put["parameters"]] == [
        "Idempotency-Key",
        "If-Match",
    ]
