"""Who sees what: nothing of another unit's, and auditors nothing about a person (LS-…, WF-017)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.domain.identity import Role
from app.domain.privacy import find_personal_data
from tests.api.answers import assert_problem
from tests.authorization.policy import RULES, Rule, Who
from tests.city import GRID, OTHER_UNIT, REQUESTS, point_in

# Said nowhere else in this module, so that it stands out wherever it turns up.
NAME, PHONE, ADDRESS = "赵钱孙", "13912345678", "阜安新村七单元501室"
WORDS = (
    "甘蓝色的灯罩",
    "请打我的电话",
    "昨夜有人摔倒",
    "已换新灯罩",
    "内部派车两次",
    "师傅态度很好",
    "缺少配件",
)
NOT_A_WORD = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d{2}-\d{2}T.*|[A-Za-z0-9_-]{43,}={0,2}")
# Open to an auditor although they are no GET: logging in and out, the own inbox, questions, and
# what is done with figures, never with a request.
NOT_WRITES = {
    "/api/v1/auth/wechat",
    "/api/v1/auth/staff",
    "/api/v1/auth/logout",
    "/api/v1/inbox/read",
    "/api/v1/grids/locate",
}
ABOUT_FIGURES = "/api/v1/statistics/"


@pytest.fixture(scope="module")
async def telling(hall, as_resident, as_staff) -> dict[str, Any]:
    """A finished request with personal data in every field that can hold some."""
    resident, handler = await as_resident(NAME), await as_staff(Role.HANDLER)
    request = await hall.submit(
        resident,
        title=f"{WORDS[0]} {NAME}",
        text=f"{WORDS[1]}{PHONE}，{WORDS[2]}，住{ADDRESS}",
        location={**point_in(GRID), "address": ADDRESS},
        contact={"name": NAME, "phone": PHONE},
    )
    request = await hall.act(handler, request, "sign", note=f"{NAME}说{WORDS[2]}")
    request = await hall.act(
        handler, request, "contact", method="phone", result="reached", note=f"打{PHONE}"
    )
    request = await hall.act(
        handler,
        request,
        "reply",
        public_reply=WORDS[3],
        internal_note=f"{WORDS[4]}，{ADDRESS}",
        solved="partly",
        unsolved_reason=WORDS[6],
    )
    request = await hall.act(
        resident, request, "rate", contacted=True, solved="solved", satisfaction=5, text=WORDS[5]
    )
    await hall.work()
    return request


async def paths_of(client: httpx.AsyncClient, *methods: str) -> list[tuple[str, str]]:
    described = (await client.get("/openapi.json")).json()["paths"]
    return [
        (method.upper(), path)
        for path, operations in described.items()
        for method in operations
        if method in methods
    ]


def rule_of(method: str, path: str) -> Rule:
    return RULES[f"{method} {path.removeprefix('/api/v1')}"]


def filled(method: str, path: str, request: dict[str, Any]) -> str:
    path = path.replace("{request_id}", request["id"])
    for name, value in {**rule_of(method, path_of(path, request)).path, "code": GRID}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def path_of(path: str, request: dict[str, Any]) -> str:
    """The path as it is described."""
    return path.replace(request["id"], "{request_id}")


def words_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from words_in(member)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from words_in(member)


def assert_nobody_in(answer: httpx.Response, latitude: float, longitude: float) -> None:
    is_page = answer.headers["content-type"].startswith("text/html")
    told = answer.text if is_page else json.dumps(answer.json(), ensure_ascii=False)
    for canary in (NAME, PHONE, PHONE[3:], PHONE[-4:], ADDRESS, *WORDS, "openid"):
        assert canary not in told, canary
    for degrees in (latitude, longitude):
        assert f"{degrees:.4f}" not in told
    for word in () if is_page else words_in(answer.json()):
        if NOT_A_WORD.fullmatch(word) is None:
            assert find_personal_data(word) == [], word


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMIN])
async def test_nothing_an_auditor_reads_is_about_a_person(role, client, as_staff, telling):
    """LS-037: every GET of the description, every grouping of the figures."""
    auditor, who = await as_staff(role), Who(role.value)
    point = point_in(GRID)
    groups = ("none", "unit", "town", "community", "grid", "category", "month")
    read = 0
    for _, path in await paths_of(client, "get"):
        rule = rule_of("GET", path)
        if path.endswith("/audit"):
            continue  # its hashes hold any digits by chance
        answer = await auditor.get(filled("GET", path, telling), params=rule.query)
        if who not in rule.takers:
            assert_problem(answer, 403)
            continue
        assert answer.status_code in rule.answers, (path, answer.text)
        assert_nobody_in(answer, point["latitude"], point["longitude"])
        read += 1
    assert read > 20
    for path in (
        f"{REQUESTS}/{telling['id']}",
        f"{REQUESTS}?state=closed&limit=100",
        *(f"/api/v1/statistics/satisfaction?group_by={group}" for group in groups),
    ):
        answer = await auditor.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert_nobody_in(answer, point["latitude"], point["longitude"])


async def test_the_canaries_are_there_for_whom_they_concern(as_resident, telling):
    """Else the test above would look for what was never kept."""
    resident = await as_resident(NAME)
    path = f"{REQUESTS}/{telling['id']}"
    told = (await resident.get(path)).text + (await resident.get(f"{path}/timeline")).text
    for canary in (NAME, PHONE, ADDRESS, *(word for word in WORDS if word != WORDS[4])):
        assert canary in told, canary


async def test_an_auditor_changes_nothing(hall, client, as_staff, telling):
    """WF-017: every route of the description that is no GET."""
    auditor = await as_staff(Role.AUDITOR)
    everything = """
        SELECT (SELECT count(*) FROM requests), (SELECT sum(version) FROM requests),
               (SELECT count(*) FROM request_events), (SELECT count(*) FROM idempotency_keys),
               (SELECT count(*) FROM outbox)
    """
    waiting = await hall.submit()

    async def state():
        async with hall.db.transaction() as session:
            return tuple((await session.execute(text(everything))).one())

    before = await state()
    routes = await paths_of(client, "post", "put", "patch", "delete")
    refused = 0
    for method, path in routes:
        if path in NOT_WRITES or path.startswith(ABOUT_FIGURES):
            continue
        for request in (telling, waiting):
            answer = await auditor.request(
                method,
                filled(method, path, request),
                json={},
                headers={"Idempotency-Key": "k-1", "If-Match": f'"{request["version"]}"'},
            )
            assert_problem(answer, 403, "forbidden")
            refused += 1
    assert {path for _, path in routes} >= NOT_WRITES
    assert refused >= 2 * 13
    assert await state() == before


async def test_what_another_unit_has_does_not_exist(client, as_staff, telling):
    """LS-035: the same bytes as for what nobody has, whatever is tried."""
    stranger = await as_staff(Role.HANDLER, unit=OTHER_UNIT)
    nowhere = {**telling, "id": "01900000-0000-7000-8000-000000000000"}
    forms = {
        "return": {"reason_code": "other", "note": "不归我们"},
        "contact": {"method": "phone", "result": "reached"},
        "contacts": {"method": "phone", "result": "reached"},
        "reply": {"public_reply": "好", "solved": "solved"},
        "ask_info": {"note": "请补充"},
    }
    tried = 0
    for method, path in await paths_of(client, "get", "post"):
        step = path.rpartition("/")[2]
        if path.startswith(REQUESTS) and Who.HANDLER not in rule_of(method, path).callers:
            continue  # not a handler's to read, whosever the request is
        if "{request_id}" not in path or (method == "POST" and step not in {*forms, "sign"}):
            continue
        answers = [
            await stranger.request(
                method,
                filled(method, path, request),
                json=forms.get(step, {}) if method == "POST" else None,
                headers={"Idempotency-Key": f"{path}-k", "If-Match": '"2"'}
                if method == "POST"
                else None,
            )
            for request in (telling, nowhere)
        ]
        problems = [assert_problem(answer, 404, "request_not_found") for answer in answers]
        same = [{**problem, "request_id": ""} for problem in problems]
        assert same[0] == same[1]
        tried += 1
    assert tried == 8
    listed = (await stranger.get(REQUESTS, params={"limit": 100})).json()["items"]
    assert telling["id"] not in {item["id"] for item in listed}


async def test_one_resident_has_nothing_of_another(as_resident, telling):
    stranger = await as_resident("路人")
    path = f"{REQUESTS}/{telling['id']}"
    for answer in (
        await stranger.get(path),
        await stranger.get(f"{path}/timeline"),
        await stranger.post(f"{path}/actions/withdraw", version=telling["version"]),
        await stranger.post(
            f"{path}/rating",
            {"contacted": True, "solved": "solved", "satisfaction": 1},
            version=telling["version"],
        ),
    ):
        assert_problem(answer, 404, "request_not_found")
    assert (await stranger.get(REQUESTS)).json()["items"] == []
