"""The shared corpus of bad inputs, case by case, against the whole application."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.identity import Role
from tests.api import corpus
from tests.api.answers import assert_problem, read_back
from tests.api.corpus import Case, parameters, strings_in
from tests.city import GRID, REQUESTS, Caller, form, point_in

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 100_000}


@pytest.fixture(scope="module")
async def resident(as_resident) -> Caller:
    return await as_resident("张三")


@pytest.fixture(scope="module")
async def dispatcher(as_staff) -> Caller:
    return await as_staff(Role.DISPATCHER)


@pytest.fixture(scope="module")
async def replied(hall, resident) -> dict[str, Any]:
    return await hall.replied(resident)


@pytest.fixture(scope="module")
async def in_progress(hall, resident, as_staff) -> dict[str, Any]:
    handler = await as_staff(Role.HANDLER)
    request = await hall.act(handler, await hall.submit(resident), "sign")
    return await hall.act(handler, request, "contact", method="visit", result="reached")


def submission(patch: dict[str, Any]) -> dict[str, Any]:
    """A good and complete submission with the corpus' patch in it."""
    whole = form(
        title="路灯",
        location={**point_in(GRID), "address": "阜安新村3号"},
        contact={"name": "李四", "phone": "13800138000"},
    )
    return corpus.patched(whole, patch)


def as_kept(body: dict[str, Any]) -> dict[str, Any]:
    """What ``GET`` must show of a submission. A phone number is digits, a name has one dot."""
    contact, location = body["contact"], body["location"]
    return {
        "title": body["title"],
        "text": body["text"],
        "name": contact["name"].replace("•", "·"),
        "phone": "13800138000",
        "address": location["address"],
    }


def shown(view: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": view["title"],
        "text": view["text"],
        "name": view["contact"]["name"],
        "phone": view["contact"]["phone"],
        "address": view["location"]["address"],
    }


async def assert_refused(case: Case, answer: httpx.Response, sent: object) -> None:
    assert_problem(answer, case.statuses, case.codes, sent=strings_in(sent))


def test_every_case_of_the_corpus_is_run_or_has_a_reason():
    corpus.need_corpus()
    assert corpus.unaccounted(corpus.all_cases()) == []


@pytest.mark.parametrize("name", corpus.WRITTEN_OUT)
def test_what_is_said_to_be_written_out_exists(name):
    file, _, test = corpus.WRITTEN_OUT[name].partition("::")
    assert f"def {test}(" in (Path(__file__).parent / file).read_text("utf-8")


@pytest.mark.parametrize("case", parameters("create_request", "patch"))
async def test_a_submission_is_kept_exactly_or_refused_clearly(case, resident):
    case = corpus.need(case)
    patch = case.built()
    body = submission(patch)
    answer = await resident.post(REQUESTS, body)
    if answer.status_code != 201:
        assert case.kind != "accept", answer.text
        await assert_refused(case, answer, patch)
        return
    assert case.kind != "reject", answer.text
    kept = await read_back(resident, answer.json()["id"])
    assert shown(kept) == as_kept(body)


async def pieces(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("case", parameters("create_request", "raw"))
async def test_a_body_that_is_no_good_json_is_refused(case, resident):
    case = corpus.need(case)
    built = case.built()
    content: Any = built
    headers = dict(JSON)
    if isinstance(built, dict):
        headers |= built.get("header", {})
        content = built["body"] if "body" in built else pieces(built["chunks"])
    else:
        content = corpus.raw_body(built)
    answer = await resident.post(REQUESTS, content=content, headers=headers)
    await assert_refused(case, answer, ())


@pytest.mark.parametrize("case", parameters("create_request", "header"))
async def test_a_submission_with_a_wrong_head_is_refused(case, resident):
    case = corpus.need(case)
    changed = {**JSON, "Idempotency-Key": "k-1", **case.built()}
    headers = {name: value for name, value in changed.items() if value is not None}
    content = json.dumps(submission({})).encode()
    answer = await resident.post(REQUESTS, content=content, headers=headers, key=None)
    await assert_refused(case, answer, ())


@pytest.mark.parametrize("case", parameters("rate", "patch"))
async def test_a_crooked_rating_is_refused(case, resident, replied):
    case = corpus.need(case)
    patch = case.built()
    good = {"contacted": True, "solved": "solved", "satisfaction": 5}
    path = f"{REQUESTS}/{replied['id']}/rating"
    answer = await resident.post(path, corpus.patched(good, patch), version=replied["version"])
    await assert_refused(case, answer, patch)
    assert (await read_back(resident, replied["id"]))["rating"] is None


@pytest.mark.parametrize("case", parameters("list", "query"))
async def test_a_list_asked_for_crookedly_is_refused(case, dispatcher):
    case = corpus.need(case)
    built = case.built()
    pairs = list(built.items()) if isinstance(built, dict) else built
    query = [(corpus.PARAMETERS.get(name, name), value) for name, value in pairs]
    answer = await dispatcher.get(REQUESTS, params=query)
    await assert_refused(case, answer, [value for _, value in pairs])


@pytest.mark.parametrize("case", parameters("list", "path"))
async def test_an_id_in_another_form_is_refused(case, dispatcher):
    case = corpus.need(case)
    built = case.built()
    answer = await dispatcher.get(f"{REQUESTS}/{built}")
    await assert_refused(case, answer, [built])


@pytest.mark.parametrize("case", parameters("login", "patch"))
async def test_a_crooked_log_in_is_refused(case, client):
    case = corpus.need(case)
    patch = case.built()
    body = {"username": "admin", "password": "correct horse battery", **patch}
    answer = await client.post("/api/v1/auth/staff", json=body)
    await assert_refused(case, answer, patch)


@pytest.mark.parametrize("case", parameters("login", "header"))
async def test_a_forged_token_opens_nothing(case, client):
    case = corpus.need(case)
    headers = case.built()
    answer = await client.get("/api/v1/me", headers=headers)
    sent = [value.partition(" ")[2] for value in strings_in(headers)]
    await assert_refused(case, answer, sent if max(map(len, sent)) > 5 else ())


@pytest.mark.parametrize("case", parameters("workflow", "header", "patch"))
async def test_a_crooked_step_is_refused(case, hall, resident, as_staff, dispatcher, in_progress):
    case = corpus.need(case)
    patch = case.built()
    if case.how == "header":
        version = None if patch == {"If-Match": None} else in_progress["version"]
        path = f"{REQUESTS}/{in_progress['id']}/actions/withdraw"
        await assert_refused(case, await resident.post(path, version=version), ())
    elif "reply" in patch:
        path = f"{REQUESTS}/{in_progress['id']}/actions/reply"
        body = corpus.patched({"solved": "solved"}, patch)
        handler = await as_staff(Role.HANDLER)
        answer = await handler.post(path, body, version=in_progress["version"])
        await assert_refused(case, answer, patch)
    else:
        waiting = await hall.submit(resident, category_code=...)
        path = f"{REQUESTS}/{waiting['id']}/actions/assign"
        body = {"unit_code": corpus.department(patch["department_id"])}
        answer = await dispatcher.post(path, body, version=waiting["version"])
        await assert_refused(case, answer, body)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("CR-089", "time_out_of_range"),  # in the future
        ("CR-091", "time_invalid"),
        ("CR-092", "time_no_offset"),
        ("CR-093", "time_invalid"),
        ("CR-097", "time_out_of_range"),
    ],
)
async def test_a_crooked_time_is_refused_where_there_is_one(name, code, as_staff, in_progress):
    """Submissions have no time of their own here; a contact has."""
    corpus.need_corpus()
    case = next(case for case in corpus.all_cases() if case.id == name)
    at = case.built()["occurred_at"]
    path = f"{REQUESTS}/{in_progress['id']}/contacts"
    body = {"method": "phone", "result": "reached", "at": at}
    handler = await as_staff(Role.HANDLER)
    answer = await handler.post(path, body, version=in_progress["version"])
    assert_problem(answer, case.statuses, code, sent=strings_in([at]))
