"""Our own awkward bodies, numbers and times beside those of the corpus."""

import base64
import json
import time
from collections.abc import Mapping

import pytest

from app.domain.identity import Role
from tests.api.answers import assert_problem, assert_well_said, read_back
from tests.city import GRID, REQUESTS, form, point_in

JSON = {"Content-Type": "application/json"}
GOOD = json.dumps(form()).encode()
TOO_DEEP = b"[" * 40 + b"]" * 40


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 100_000}


@pytest.mark.parametrize(
    ("body", "statuses", "codes"),
    [
        (b"", {400, 422}, {"body_required"}),
        (b" ", {400}, {"json_syntax"}),
        (b"null", {422}, {"type_object"}),
        (b"[]", {422}, {"type_object"}),
        (b'"text"', {422}, {"type_object"}),
        (b"5", {422}, {"type_object"}),
        (b"{}", {422}, {"field_required"}),
        (b'{"text":"a","text":"b"}', {422}, {"json_duplicate_key"}),
        (b'{"text":"a","\\u0074ext":"b"}', {422}, {"json_duplicate_key"}),
        (b'{"text":"a"}{"text":"b"}', {400}, {"json_syntax"}),
        (b'{"text":"a",}', {400}, {"json_syntax"}),
        (b'{"text":"a"', {400}, {"json_syntax"}),
        (b"{'text':'a'}", {400}, {"json_syntax"}),
        (b'{"text":"a"/* b */}', {400}, {"json_syntax"}),
        (b'{"text":"\x00"}', {400, 422}, {"json_syntax", "text_control_char"}),
        (b'{"text":"a\nb"}', {400, 422}, {"json_syntax", "text_control_char"}),
        (b'{"text":"\\u0000"}', {422}, {"text_control_char"}),
        (b'{"text":"\\q"}', {400}, {"json_syntax"}),
        (b'{"text":"\\ud83d"}', {400, 422}, {"text_invalid_unicode"}),
        (b'{"text":"\xc0\x80"}', {400}, {"json_invalid_utf8"}),  # overlong NUL
        (b'{"text":"\xed\xa0\x80"}', {400}, {"json_invalid_utf8"}),  # a surrogate as bytes
        (b'{"text":"\xf4\x90\x80\x80"}', {400}, {"json_invalid_utf8"}),  # beyond Unicode
        (b'{"text":"\xe8\xb7"}', {400}, {"json_invalid_utf8"}),  # cut in the middle
        (b"\xef\xbb\xbf" + GOOD, {400, 422}, {"json_syntax", "json_invalid_utf8"}),
        (GOOD.decode().encode("utf-16"), {400}, {"json_invalid_utf8", "json_syntax"}),
        ('{"text":"路灯"}'.encode("gbk"), {400}, {"json_invalid_utf8"}),
        (b'{"text":"a","title":' + TOO_DEEP + b"}", {400, 422}, {"json_too_deep"}),
        (b'{"text":"a","contact":{"name":{"name":{}}}}', {422}, {"type_string"}),
        (b'{"text":"a","contact":[]}', {422}, {"type_object"}),
        (b'{"text":["a"]}', {422}, {"type_string"}),
        (b'{"text":5}', {422}, {"type_string"}),
        (b'{"text":null}', {422}, {"field_required"}),
        (b'{"text":"a","public":"true"}', {422}, {"type_boolean"}),
        (b'{"text":"a","confidential":1}', {422}, {"type_boolean"}),
        (b'{"text":"a","state":"closed","version":9,"unit":"x"}', {422}, {"field_unknown"}),
        (b'{"Text":"a"}', {422}, {"field_unknown"}),
        (b'{"text":"a","n":1' + b"0" * 5_000 + b"}", {422}, {"number_too_large"}),
        (b'{"text":"a","n":-NaN}', {400, 422}, {"json_syntax", "number_not_finite"}),
        (b'{"text":"a"}' + b" " * 300_000, {413}, {"body_too_large"}),
    ],
)  # fmt: skip
async def test_a_body_that_is_not_what_is_asked_for_is_refused(body, statuses, codes, as_resident):
    resident = await as_resident("张三")
    answer = await resident.post(REQUESTS, content=body, headers=JSON)
    assert_problem(answer, statuses, codes)


MANY = 80_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 33 + b'\\"' * MANY,  # one string that never ends, and may begin anywhere
        b"[" * 33 + b'"' * MANY,
        b"[" * MANY + b"]" * MANY,
        b'{"a":' * (MANY // 2),
        b'{"a":"' + b"\\" * 2 * MANY + b'"}',
        b'{"a":' + b"9" * 3 * MANY + b"}",
        b'{"a":[' + b"{}," * MANY + b"{}]}",
        b'{"username":[' + b"0," * MANY + b'0],"password":"x"}',
        b"{" + b",".join(b'"k%d":1' % number for number in range(900)) + b"}",
        json.dumps({"username": "a", "password": "\u00e9" * MANY}, ensure_ascii=False).encode(),
    ],
    ids=range(10),
)
async def test_a_body_made_to_cost_time_costs_none(body, client):
    """Whoever is not logged in can send it; meanwhile nobody else would be answered."""
    began = time.perf_counter()
    answer = await client.post("/api/v1/auth/staff", content=body, headers=JSON)
    assert_well_said(answer)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "cursor",
    [
        "0001-01-01T00:00:00+23:59|",
        "9999-12-31T23:59:59-23:59|",
        "9999-12-31T23:59:59.999999+00:00|",
        "2026-03-02T09:00:00|",
        "2026-03-02T09:00:00+08:00",
        "2026-03-02T09:00:00+08:00|x|",
        "|",
        "2026-03-02T09:00:00+08:00|; DROP TABLE requests|",
        "\x00|",
    ],
)
@pytest.mark.parametrize("tail", ["", "0" * 32, "g" * 32])
async def test_a_cursor_of_ones_own_making_is_refused(cursor, tail, as_staff):
    dispatcher = await as_staff(Role.DISPATCHER)
    made = base64.urlsafe_b64encode((cursor + tail).encode()).decode()
    answer = await dispatcher.get(REQUESTS, params={"cursor": made})
    if answer.status_code != 200:  # a far but possible place is simply past the end
        assert_problem(answer, 422, {"cursor_invalid", "value_refused"}, sent=[made])


@pytest.mark.parametrize(
    "body",
    [
        b" \n\t" + GOOD + b"\r\n",
        json.dumps(form(text="路灯 \U0001f6a7 坏了")).encode(),  # surrogate pairs as escapes
        json.dumps(form(text='引号 " 反斜 \\ 斜 / 制表 \t')).encode().replace(b"/", b"\\/"),
        json.dumps(form(text="a" * 4_000, title="题" * 100)).encode(),
    ],
)
async def test_a_good_body_in_an_unusual_dress_is_taken(body, as_resident):
    resident = await as_resident("张三")
    answer = await resident.post(REQUESTS, content=body, headers=JSON)
    assert answer.status_code == 201, answer.text
    sent = json.loads(body)
    kept = await read_back(resident, answer.json()["id"])
    assert (kept["text"], kept["title"]) == (sent["text"], sent.get("title"))


@pytest.mark.parametrize("name", ["latitude", "longitude"])
@pytest.mark.parametrize(
    "number",
    ["null", '"36.2"', "true", "[36]", "{}", "1e999", "-1e999", "NaN", "1e308", "180.0000001",
     "-180.0000001", "0", "-0.0", "1e-400", "9" * 30, "361234567"],
)  # fmt: skip
async def test_a_crooked_coordinate_is_refused(name, number, as_resident):
    resident = await as_resident("张三")
    body = json.dumps(form(location={**point_in(GRID), name: "@"})).replace('"@"', number)
    answer = await resident.post(REQUESTS, content=body.encode(), headers=JSON)
    assert_problem(
        answer,
        {400, 422},
        {"field_required", "type_number", "coord_not_finite", "number_not_finite",
         "coord_out_of_range", "coord_outside_service_area", "number_too_large"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "missing", [("latitude",), ("longitude",), ("coord_sys",), ("latitude", "longitude")]
)
async def test_half_a_point_is_refused(missing, as_resident):
    resident = await as_resident("张三")
    point = {name: value for name, value in point_in(GRID).items() if name not in missing}
    assert_problem(await resident.post(REQUESTS, form(location=point)), 422, "field_required")


@pytest.mark.parametrize("metres", ["-1", "100001", "1e999", '"5"', "true", "NaN"])
async def test_a_crooked_accuracy_is_refused(metres, as_resident):
    resident = await as_resident("张三")
    body = json.dumps(form(location={**point_in(GRID), "accuracy_m": "@"})).replace('"@"', metres)
    answer = await resident.post(REQUESTS, content=body.encode(), headers=JSON)
    assert_well_said(answer, {"number_out_of_range", "number_not_finite", "type_number"})


@pytest.mark.parametrize(
    "stars", ["0", "6", "-1", "5.0", "4.5", "1e0", "2147483648", "9" * 30, '"5"', "[5]", "true"]
)
async def test_a_crooked_number_of_stars_is_refused(stars, hall, as_resident):
    resident = await as_resident("评星")
    request = await hall.replied(resident)
    body = f'{{"contacted":true,"solved":"solved","satisfaction":{stars}}}'
    answer = await resident.post(
        f"{REQUESTS}/{request['id']}/rating",
        content=body.encode(),
        headers=JSON,
        version=request["version"],
    )
    assert_problem(answer, 422, {"number_out_of_range", "type_integer", "number_too_large"})


TIMES = (
    "2026-02-29", "2026-13-01", "2026-00-10", "２０２６-03-02", "2026-3-2", "20260302",
    "2026-W10-1", "2026-03-02 09:00:00+08:00", "2026-03-02T09:00:00",
    "2026-03-02T24:00:01+08:00",
    "2026-03-02T09:60:00+08:00", "2026-03-02T09:00:61Z", "2026-03-02T09:00:00+25:00",
    "2026-03-02T09:00:00+08", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    "1986-05-04T02:30:00+08:00", "-2026-03-02", "1772413200000", "now", "yesterday", "",
    "2026-03-02T09:00:00.1234567Z", "2026-03-02T09:00:00Z[Asia/Shanghai]", "infinity",
)  # fmt: skip


@pytest.mark.parametrize("moment", TIMES)
async def test_a_crooked_time_is_refused_everywhere(moment, as_staff):
    admin = await as_staff(Role.ADMIN)
    codes = {"time_invalid", "time_no_offset", "time_out_of_range"}
    for path in (REQUESTS, "/api/v1/statistics/satisfaction"):
        for name in ("from", "to"):
            assert_problem(await admin.get(path, params={name: moment}), 422, codes)
    answer = await admin.post("/api/v1/calendars/simulate", {"submitted_at": [moment]})
    assert_problem(answer, 422, codes, sent=[moment])


async def test_a_time_as_a_number_is_refused(as_staff):
    admin = await as_staff(Role.ADMIN)
    for moment in (1_772_413_200, 1_772_413_200_000, 1.5, True, None, ["2026-03-02"]):
        answer = await admin.post("/api/v1/calendars/simulate", {"submitted_at": [moment]})
        assert_problem(answer, 422, {"time_invalid", "field_required"})


async def test_the_outermost_times_have_answers(as_staff):
    """Years that the calendar does not cover are provisional, never an error."""
    admin = await as_staff(Role.ADMIN)
    moments = ["1990-01-01T00:00:00Z", "2100-12-31T23:59:59.999999-12:00", "2027-01-01T00:00Z"]
    answer = await admin.post("/api/v1/calendars/simulate", {"submitted_at": moments})
    assert answer.status_code == 200, answer.text
    assert [item["provisional"] for item in answer.json()["items"]] == [True] * 3
    for path in (REQUESTS, "/api/v1/statistics/satisfaction"):
        for query in (
            {"from": "1990-01-01", "to": "2100-12-31"},
            {"from": "2100-12-31"},
            {"to": "1990-01-01"},
        ):
            answer = await admin.get(path, params=query)
            assert answer.status_code == 200, (path, query, answer.text)


@pytest.mark.parametrize(
    "version", ["", "2", 'W/"2"', "*", '"02"', '"-1"', '"2", "3"', '"9999999999"', '"x"', '""']
)
async def test_a_crooked_version_is_refused(version, as_resident, submit):
    resident = await as_resident("版本")
    request = await submit(resident)
    path = f"{REQUESTS}/{request['id']}/actions/withdraw"
    answer = await resident.post(path, headers={"If-Match": version})
    assert_problem(answer, 400, "if_match_invalid", sent=[version])
    assert (await read_back(resident, request["id"]))["state"] == "assigned"
    answer = await resident.post(path, version=request["version"] + 1)
    assert_problem(answer, 412, "stale_version")
