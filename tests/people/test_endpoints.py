import asyncio
import base64
import hashlib
import json
import statistics
import time
from datetime import UTC, datetime
from itertools import combinations

import pytest

from app.domain.identity import Role
from app.people import endpoints as people
from app.people import service
from app.people.service import NewStaff
from app.wechat import endpoints as wechat
from tests.people.conftest import PASSWORD, client_of

LOGIN = "/api/v1/auth/staff"


@pytest.fixture(scope="module")
async def staff(db, password_hash):
    """An auditor, a handler, a guarded account, and one without a password."""
    posts = {
        "auditor": {"role": Role.AUDITOR},
        "handler": {"role": Role.HANDLER, "unit_code": "U1"},
        "guarded": {"role": Role.ADMIN},
        "keyless": {"role": Role.ADMIN, "password_hash": None},
    }
    new = [
        NewStaff(username, "王五", **{"password_hash": password_hash, **post})
        for username, post in posts.items()
    ]
    async with db.transaction() as session:
        ids = await service.create_staff_many(session, new, now=datetime.now(UTC))
    return dict(zip(posts, ids, strict=True))


async def log_in(client, username="auditor", password=PASSWORD):
    answer = await client.post(LOGIN, json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def without_id(answer):
    return {**answer.json(), "request_id": ""}


def jwt(header, payload, signature=b""):
    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    return ".".join(part(raw) for raw in (json.dumps(header).encode(),
                                          json.dumps(payload).encode(), signature))  # fmt: skip


# --- logging in and out --------------------------------------------------------------------------


async def test_staff_log_in_and_see_themselves(client, staff):
    login = await log_in(client, "Handler")
    assert login["expires_at"] == "2026-03-03T05:00:00+08:00"
    account = login["account"]
    assert account == {
        "id": str(staff["handler"]),
        "role": "handler",
        "role_text": "承办员",
        "username": "handler",
        "display_name": "王五",
        "unit_code": "U1",
        "grid_code": None,
        "permissions": [
            "public",
            "self",
            "reference_read",
            "request_read",
            "request_act",
            "personal_reveal",
            "map_read",
            "team_read",
        ],
    }
    me = await client.get("/api/v1/me", headers=bearer(login["token"]))
    assert me.json() == account


async def test_a_resident_logs_in_and_sees_themselves(client):
    answer = await client.post("/api/v1/auth/wechat", json={"code": "code-ok-张三"})
    assert answer.status_code == 200, answer.text
    login = answer.json()
    assert login["account"]["role_text"] == "居民"
    assert login["account"]["display_name"] is None
    assert "session_key" not in answer.text
    assert "openid" not in answer.text
    me = await client.get("/api/v1/me", headers=bearer(login["token"]))
    assert me.json() == login["account"]
    again = await client.post("/api/v1/auth/wechat", json={"code": "code-ok-张三~2"})
    assert again.json()["account"] == login["account"]
    assert again.json()["token"] != login["token"]


async def test_a_wechat_code_is_good_once(client):  # AU-013
    await client.post("/api/v1/auth/wechat", json={"code": "code-ok-once"})
    answer = await client.post("/api/v1/auth/wechat", json={"code": "code-ok-once"})
    assert (answer.status_code, answer.json()["code"]) == (401, "wechat_code_used")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_logging_out_is_effective_at_once_here_and_within_a_second_elsewhere(make_app, staff):
    here, elsewhere = await make_app(), await make_app()
    async with client_of(here) as a, client_of(elsewhere) as b:
        headers = bearer((await log_in(a))["token"])
        assert (await a.get("/api/v1/me", headers=headers)).status_code == 200
        assert (await b.get("/api/v1/me", headers=headers)).status_code == 200
        out = await a.post("/api/v1/auth/logout", headers=headers)
        assert (out.status_code, out.content) == (204, b"")
        gone = await a.get("/api/v1/me", headers=headers)
        assert (gone.status_code, gone.json()["code"]) == (401, "invalid_token")
        await asyncio.sleep(1.01)
        assert (await b.get("/api/v1/me", headers=headers)).status_code == 401


async def test_a_deactivated_account_is_out_within_a_second(db, make_app, password_hash):
    new = NewStaff("soon-gone", "王五", Role.ADMIN, password_hash=password_hash)
    async with db.transaction() as session:
        staff_id = await service.create_staff(session, new, now=datetime.now(UTC))
    async with client_of(await make_app()) as client:
        headers = bearer((await log_in(client, "soon-gone"))["token"])
        async with db.transaction() as session:
            await service.deactivate(session, staff_id, now=datetime.now(UTC))
        await asyncio.sleep(1.01)
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 401


async def test_logging_out_ends_only_this_session(client, staff):
    phone, desk = await log_in(client), await log_in(client)
    await client.post("/api/v1/auth/logout", headers=bearer(phone["token"]))
    answer = await client.get("/api/v1/me", headers=bearer(desk["token"]))
    assert answer.status_code == 200


async def test_a_session_that_ran_out_says_so(client, clock, staff):
    headers = bearer((await log_in(client))["token"])
    clock.forward(hours=12)
    answer = await client.get("/api/v1/me", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "session_expired")


async def test_a_role_without_the_permission_is_refused(client, staff):
    for username, status in (("auditor", 200), ("handler", 403)):
        headers = bearer((await log_in(client, username))["token"])
        answer = await client.get("/probe/figures", headers=headers)
        assert answer.status_code == status
    assert answer.json()["code"] == "forbidden"


async def test_a_session_seen_a_moment_ago_asks_the_database_nothing(make_app, staff):
    app = await make_app()
    async with client_of(app) as client:
        headers = bearer((await log_in(client))["token"])
        assert (await client.get("/probe/figures", headers=headers)).status_code == 200
        await app.state.db.close()
        assert (await client.get("/probe/figures", headers=headers)).status_code == 200


def test_every_route_says_which_permission_it_asks_for():
    for route in (*people.router.routes, *wechat.router.routes):
        asked = [getattr(dependency.call, "permission", None)
                 for dependency in route.dependant.dependencies]  # fmt: skip
        assert len([permission for permission in asked if permission is not None]) == 1, route.path


async def test_a_session_that_calls_too_often_is_told_to_wait(make_app, clock, staff):
    async with client_of(await make_app(clock, calls_per_minute=3)) as client:
        headers = bearer((await log_in(client))["token"])
        answers = [await client.get("/api/v1/me", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) <= 60


# --- tokens that are none ------------------------------------------------------------------------

_KEY = hashlib.sha256(b"pub").digest()


@pytest.mark.parametrize(
    ("case", "headers", "code"),
    [
        ("none", [], "unauthenticated"),
        ("AU-018", [("Authorization", "Bearer " + jwt({"alg": "none"}, {"sub": "1"}))], None),
        (
            "AU-020",
            [("Authorization", "Bearer " + jwt({"alg": "HS256"}, {"sub": "1"}, _KEY))],
            None,
        ),
        ("AU-024", [("Authorization", "Bearer " + jwt({"kid": "x' UNION SELECT 'k"}, {}))], None),
        ("AU-026", [("Authorization", "Bearer " + jwt({"crit": ["b64"], "b64": False}, {}))], None),
        ("AU-031", [("Authorization", "Bearer " + "a" * 201)], None),
        ("AU-036 basic", [("Authorization", "Basic YTpi")], None),
        ("AU-036 empty", [("Authorization", "")], None),
        ("AU-036 no token", [("Authorization", "Bearer ")], None),
        ("AU-036 blanks", [("Authorization", "Bearer    ")], None),
        ("no scheme", [("Authorization", "Bearer")], None),
        ("unknown", [("Authorization", "Bearer " + "A" * 43)], None),
        ("not ASCII", [("Authorization", "Bearer 密码".encode())], None),
        ("NUL", [("Authorization", b"Bearer a\0b")], None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_token_opens_nothing(client, case, headers, code):
    answer = await client.get("/api/v1/me", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == (code or "invalid_token")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ([("Authorization", "Bearer " + "a" * 100_000)], {401, 431}),  # AU-031
        ([("Authorization", "Bearer a"), ("Authorization", "Bearer b")], {400, 401}),  # AU-036
    ],
    ids=["100 KB", "twice"],
)
async def test_headers_that_the_door_refuses_do_not_come_further(client, headers, statuses):
    assert (await client.get("/api/v1/me", headers=headers)).status_code in statuses


async def test_a_token_altered_in_any_way_opens_nothing(client, staff):  # AU-021
    token = (await log_in(client))["token"]
    flipped = token[:-2] + chr(ord(token[-2]) ^ 1) + token[-1]
    for wrong in (token[:-1], flipped, token + "A", token.swapcase()):
        answer = await client.get("/api/v1/me", headers=bearer(wrong))
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer", "Bearer  "])
async def test_the_scheme_is_read_in_any_case(client, staff, scheme):
    token = (await log_in(client))["token"]
    answer = await client.get("/api/v1/me", headers={"Authorization": f"{scheme} {token}"})
    assert answer.status_code == 200


# --- log-ins that are none -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "patch", "statuses", "code"),
    [
        ("AU-005", {"password": "x" * 10_000_000}, {413, 422}, None),
        ("AU-006", {"password": "x" * 4_097}, {422}, "text_too_long"),
        ("AU-006 bytes", {"password": "密" * 400}, {422}, "text_too_long"),
        ("AU-008", {"password": "abc\0def"}, {401, 422}, None),
        ("AU-009", {"username": "ａｄｍｉｎ"}, {401, 422}, None),
        ("AU-010", {"username": "аdmin"}, {422}, "username_invalid"),
        ("AU-011 array", {"password": ["a"]}, {422}, None),
        ("AU-011 object", {"password": {"a": 1}}, {422}, None),
        ("AU-011 number", {"password": 1}, {422}, None),
        ("AU-011 null", {"password": None}, {422}, None),
        ("AU-012", {"username": "' OR 1=1--"}, {401, 422}, None),
        ("empty", {"password": ""}, {422}, "text_blank"),
        ("line break", {"username": "admin\n"}, {401, 422}, None),
        ("unknown field", {"role": "admin"}, {422}, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_log_in_that_is_none_is_refused(client, staff, case, patch, statuses, code):
    body = {"username": "guarded", "password": "not the password", **patch}
    answer = await client.post(LOGIN, json=body)
    assert answer.status_code in statuses
    if code is not None:
        assert [wrong["code"] for wrong in answer.json()["errors"]] == [code]
    typed = str(patch.get("password", ""))
    assert len(typed) < 5 or typed not in answer.text


async def test_the_victims_own_address_stays_open(make_app, clock, staff):  # AU-003
    app = await make_app(clock)
    async with client_of(app, "203.0.113.9") as attacker, client_of(app, "192.0.2.9") as victim:
        wrong = {"username": "guarded", "password": "not the password"}
        answers = [await attacker.post(LOGIN, json=wrong) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert answers[-1].json()["code"] == "login_locked"
        assert int(answers[-1].headers["Retry-After"]) == 900
        await log_in(victim, "guarded")
        # AU-017: saying that one comes from elsewhere does not help.
        forged = await attacker.post(LOGIN, json=wrong, headers={"X-Forwarded-For": "192.0.2.9"})
        assert forged.status_code == 429
        clock.forward(seconds=901)
        await log_in(attacker, "guarded")


async def test_too_many_log_ins_from_one_address_are_put_off(make_app, clock):
    async with client_of(await make_app(clock, logins_per_minute=3)) as client:
        answers = [
            await client.post("/api/v1/auth/wechat", json={"code": "code-expired"})
            for _ in range(4)
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_nobody_can_tell_which_names_exist(make_app, clock, staff):
    """Same bytes, and no difference in time (median difference within 5 ms)."""
    app = await make_app(clock, login_failures=100_000)
    names = ("guarded", "no-such-name", "keyless")
    seconds = {name: [] for name in names}
    answers = {}
    async with client_of(app, "203.0.113.77") as client:
        for _ in range(40):
            for name in names:
                started = time.perf_counter()
                answers[name] = await client.post(LOGIN, json={"username": name, "password": "no"})
                seconds[name].append(time.perf_counter() - started)
    assert {answer.status_code for answer in answers.values()} == {401}
    assert len({json.dumps(without_id(answer)) for answer in answers.values()}) == 1
    headers = [dict(answer.headers) for answer in answers.values()]
    assert all(header.pop("x-request-id") for header in headers)
    assert headers[0] == headers[1] == headers[2]
    # Try against try, made one right after the other: what else the machine does cancels out.
    for one, other in combinations(seconds.values(), 2):
        differences = [a - b for a, b in zip(one, other, strict=True)]
        assert abs(statistics.median(differences)) < 0.005
