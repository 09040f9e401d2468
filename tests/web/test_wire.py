"""The types of fields: what they refuse, what they keep as it is."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from app.web.codes import code_and_message
from app.web.wire import (
    Day,
    Id,
    Instant,
    Latitude,
    Longitude,
    PersonName,
    PhoneNumber,
    Prose,
    WireIn,
    WireOut,
    line,
    prose,
    refused_as,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Place(WireIn):
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    colour: Annotated[Colour, refused_as("coord_unknown_crs", "不支持的坐标系")] | None = None
    other: Colour | None = None


class Everything(WireIn):
    text: Prose | None = None
    short: Annotated[str, prose(3)] | None = None
    title: Annotated[str, line(20)] | None = None
    name: PersonName | None = None
    phone: PhoneNumber | None = None
    at: Instant | None = None
    day: Day | None = None
    id: Id | None = None
    number: int | None = None
    colour: Colour | None = None
    colours: list[Colour] | None = None
    place: Place | None = None


class Needed(WireIn):
    stars: int
    colour: Colour


def codes(model: type[WireIn], **fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    return [code_and_message({**error})[0] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("text", "", "text_blank"),
        ("text", " 　\t\n", "text_blank"),  # U+3000 is white space too
        ("text", "\u200b\u200d\ufeff\u2060", "text_blank"),  # zero width
        ("text", "\u3164\u3164", "text_blank"),  # Hangul filler
        ("text", "\u2800", "text_blank"),  # empty Braille cell
        ("text", "a\x00", "text_control_char"),
        ("text", "a\x1b[31m", "text_control_char"),
        ("text", "a\x85", "text_control_char"),  # C1
        ("text", "a\rb", "text_control_char"),  # a lone CR
        ("text", "\ud800", "text_invalid_unicode"),
        ("text", "路" * 4001, "text_too_long"),
        ("text", 1, "type_string"),
        ("text", ["a"], "type_string"),
        ("short", "🚧" * 4, "text_too_long"),
        ("title", "x\r\nSet-Cookie: a=b", "text_control_char"),
        ("title", "x\u2028y", "text_control_char"),  # one line is one line
        ("name", "一" * 51, "text_too_long"),
        ("name", "\u3164", "text_blank"),
        ("phone", "1380013800", "phone_invalid"),
        ("phone", "12000000000", "phone_invalid"),
        ("phone", "138001380001", "phone_invalid"),
        ("phone", "", "phone_invalid"),
        ("phone", "1" * 10_000, "phone_invalid"),
        ("phone", 13800138000, "type_string"),
        ("at", "2026-11-21T00:00:00", "time_no_offset"),
        ("at", 1795200000000, "time_invalid"),
        ("at", "10000-01-01T00:00:00Z", "time_invalid"),
        ("at", "2026-02-29T00:00:00Z", "time_invalid"),
        ("at", "2026-01-01T24:00:00Z", "time_invalid"),
        ("at", "２０２６-01-01T00:00:00Z", "time_invalid"),
        ("at", "2026-01-01 00:00:00+08:00", "time_invalid"),
        ("at", "1986-05-04T02:30:00+08:00", "time_out_of_range"),
        ("at", "2101-01-01T00:00:00Z", "time_out_of_range"),
        ("day", "2026-02-29", "time_invalid"),
        ("day", "2026-1-1", "time_invalid"),
        ("id", "{550e8400-e29b-41d4-a716-446655440000}", "id_invalid"),
        ("id", "550E8400-E29B-41D4-A716-446655440000", "id_invalid"),
        ("number", "1", "type_integer"),
        ("number", True, "type_integer"),
        ("number", 1.0, "type_integer"),
        ("colour", "green", "enum_unknown"),
        ("colour", "RED", "enum_unknown"),
        ("colours", ["red", 1], "enum_unknown"),
        ("colours", "red", "type_array"),
        ("place", {"latitude": -90.0000001}, "coord_out_of_range"),
        ("place", {"longitude": 32.05, "latitude": 118.77}, "coord_out_of_range"),
        ("place", {"longitude": "118.7"}, "type_number"),
        ("place", {"longitude": "１１８.７"}, "type_number"),
        ("place", {"longitude": True}, "type_number"),
        ("place", {"colour": "BD-09"}, "coord_unknown_crs"),
        ("place", {"colour": 9}, "coord_unknown_crs"),
        ("place", [], "type_object"),
        ("status", "closed", "field_unknown"),
    ],
)
def test_a_wrong_field_has_its_code(field: str, value: Any, code: str) -> None:
    assert codes(Everything, **{field: value}) == [code]


def test_a_missing_and_an_empty_field_are_both_required() -> None:
    assert codes(Needed, colour="red") == ["field_required"]
    assert codes(Needed, stars=None, colour="red") == ["field_required"]


@pytest.mark.parametrize(
    "text",
    [
        "🚧" * 4000,
        "abc\u202egnp.exe",
        "👨‍👩‍👧‍👦🇨🇳 路灯坏了",
        "a\u2028b\u2029c",
        "'); DROP TABLE requests;--",
        "{{7*7}} ${7*7} %(x)s {0.__class__} %n",
        "=cmd|' /C calc'!A0",
        "*)(uid=*)) ; rm -rf / $(id) `id` {$ne:1}",
        "  leading, trailing \t\n",
        "e\u0301 is not é",  # no normalisation
        "𠮷𱁬龘䶮",
    ],
)
def test_a_hard_but_valid_text_is_kept_as_it_is(text: str) -> None:
    assert Everything(text=text).text == text


def test_windows_line_ends_become_plain_ones() -> None:
    assert Everything(text="a\r\nb").text == "a\nb"


@pytest.mark.parametrize("dot", ["\u2022", "\u30fb", "\u2027", "\u00b7"])
def test_the_dot_in_a_name_is_the_middle_dot(dot: str) -> None:
    assert Everything(name=f"迪丽{dot}热巴").name == "迪丽·热巴"


@pytest.mark.parametrize("name", ["丁", "A", "𠮷𱁬龘䶮", "Anna Maria O'Neill-张"])
def test_rare_and_short_names_are_names(name: str) -> None:
    assert Everything(name=name).name == name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("１３８００１３８０００", "13800138000"),
        ("+86 138 0013 8000", "13800138000"),
        ("＋86-138-0013-8000", "13800138000"),
        ("0532-8228 1234", "053282281234"),
        ("(010)65121234", "01065121234"),
    ],
)
def test_a_phone_number_becomes_its_digits(given: str, kept: str) -> None:
    assert Everything(phone=given).phone == kept


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00"),
        ("2026-01-01T00:00:00.000001+08:00", "2026-01-01T00:00:00.000001+08:00"),
        ("1990-06-01T00:00+09:00", "1990-05-31T23:00:00+08:00"),  # summer time then: still +08:00
    ],
)
def test_an_instant_is_said_in_china_time(given: str, said: str) -> None:
    at = Everything.model_validate({"at": given})
    assert at.model_dump(mode="json")["at"] == said


def test_answers_take_values_as_the_database_gives_them() -> None:
    class Answer(WireOut):
        id: Id
        at: Instant

    answer = Answer(id=UUID(int=1), at=datetime(2026, 1, 1, tzinfo=UTC))
    assert answer.to_bytes() == (
        b'{"id":"00000000-0000-0000-0000-000000000001","at":"2026-01-01T08:00:00+08:00"}'
    )
    with pytest.raises(ValidationError):
        Answer(id=UUID(int=1), at=datetime(2026, 1, 1))


def test_enums_are_given_as_their_values_at_any_depth() -> None:
    everything = Everything.model_validate(
        {"colour": "red", "colours": ["blue"], "place": {"colour": "red", "other": "blue"}}
    )
    assert everything.colour is Colour.RED
    assert everything.colours == [Colour.BLUE]
    assert everything.place is not None
    assert everything.place.other is Colour.BLUE


def test_the_description_of_the_api_tells_the_lengths() -> None:
    text = Everything.model_json_schema()["properties"]["title"]
    assert {"type": "string", "minLength": 1, "maxLength": 20} in text["anyOf"]
