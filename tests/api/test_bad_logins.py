"""The log-in cases of the corpus that take several calls (AU-…)."""

import pytest

from app.domain.identity import Role
from app.settings import LimitSettings
from tests.api.answers import assert_problem
from tests.city import REQUESTS, client_of, form

STAFF, WECHAT = "/api/v1/auth/staff", "/api/v1/auth/wechat"
WRONG = "wrong horse battery"
FAILURES = LimitSettings().login_failures


@pytest.fixture
async def owner(as_staff):
    """Somebody who has logged in from 127.0.0.1, with user name and right password."""
    caller = await as_staff(Role.HANDLER, number=2)
    return caller, caller.login_form()


async def test_a_stranger_cannot_lock_the_owner_out(hall, client, owner):
    """AU-003"""
    _, right = owner
    async with client_of(hall.app, "203.0.113.7") as stranger:
        for _ in range(FAILURES):
            answer = await stranger.post(STAFF, json={**right, "password": WRONG})
            assert_problem(answer, 401, "invalid_credentials", sent=[WRONG, right["username"]])
        locked = await stranger.post(STAFF, json=right)
        assert_problem(locked, 429, "login_locked", sent=right.values())
    assert (await client.post(STAFF, json=right)).status_code == 200


async def test_a_forged_forwarding_header_dodges_no_limit(hall, owner):
    """AU-017: nobody in front of us is trusted, so whoever says to forward is not believed."""
    _, right = owner
    async with client_of(hall.app, "203.0.113.8") as stranger:
        statuses = []
        for turn in range(FAILURES + 3):
            forged = {"X-Forwarded-For": f"1.2.3.{turn}", "X-Real-IP": f"1.2.3.{turn}"}
            forged["Forwarded"] = f"for=1.2.3.{turn}"
            answer = await stranger.post(STAFF, json={**right, "password": WRONG}, headers=forged)
            statuses.append(answer.status_code)
        assert statuses == [401] * FAILURES + [429] * 3
        assert_problem(answer, 429, {"rate_limited", "login_locked"})


async def test_a_wechat_code_is_good_once(client):
    """AU-013"""
    body = {"code": "code-ok-一次"}
    assert (await client.post(WECHAT, json=body)).status_code == 200
    answer = await client.post(WECHAT, json=body)
    assert_problem(answer, 401, "wechat_code_used", sent=["code-ok-一次"])


def _flipped(token: str) -> str:
    return token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]


async def test_a_damaged_token_opens_nothing(client, as_resident):
    """AU-021"""
    token = (await as_resident("李四")).token
    for damaged in ("", token[:-1], token[: len(token) // 2], _flipped(token), token + "A", "x"):
        headers = {"Authorization": f"Bearer {damaged}"}
        answer = await client.get("/api/v1/me", headers=headers)
        assert_problem(answer, 401, "invalid_token", sent=[damaged] if damaged else ())


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Token {}", "{}", "Bearer {} x", "Bearer\t{}", "B {}"],
)
async def test_a_token_said_in_another_way_opens_nothing(header, client, as_resident):
    """AU-036"""
    token = (await as_resident("李四")).token
    headers = {"Authorization": header.format(token)}
    answer = await client.get("/api/v1/me", headers=headers)
    assert_problem(answer, 401, {"invalid_token", "unauthenticated"}, sent=[token])


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer  {}"])
async def test_the_word_bearer_may_be_written_small_or_large(header, client, as_resident):
    """AU-036"""
    headers = {"Authorization": header.format((await as_resident("李四")).token)}
    assert (await client.get("/api/v1/me", headers=headers)).status_code == 200


async def test_a_token_ends_when_its_time_is_over(client, clock, as_resident, as_staff):
    """AU-028"""
    resident = await as_resident("到期")
    handler = await as_staff(Role.HANDLER, number=3)
    clock.forward(hours=12, seconds=31)
    answer = await client.get("/api/v1/me", headers=handler.headers)
    assert_problem(answer, 401, "session_expired", sent=[handler.token])
    assert (await client.get("/api/v1/me", headers=resident.headers)).status_code == 200
    clock.forward(days=7, seconds=31)
    answer = await client.get("/api/v1/me", headers=resident.headers)
    assert_problem(answer, 401, "session_expired", sent=[resident.token])


async def test_a_token_is_worthless_after_logging_out(client, as_resident):
    """AU-033"""
    headers = (await as_resident("离开")).headers
    assert (await client.post("/api/v1/auth/logout", headers=headers)).status_code == 204
    for method, path in (("GET", "/api/v1/me"), ("POST", "/api/v1/auth/logout")):
        assert_problem(await client.request(method, path, headers=headers), 401, "invalid_token")


async def test_a_token_in_a_cookie_or_in_the_address_is_none(hall, as_resident):
    """What a form on somebody else's page could send along."""
    token = (await as_resident("李四")).token
    async with client_of(hall.app) as stranger:
        stranger.cookies.update({"token": token, "session": token, "Authorization": token})
        headers = {"Origin": "https://evil.test", "Idempotency-Key": "k-1"}
        answer = await stranger.post(REQUESTS, json=form(), headers=headers)
        assert_problem(answer, 401, "unauthenticated", sent=[token])
        answer = await stranger.post(REQUESTS, data=form(), headers=headers)
        assert_problem(answer, {401, 415}, {"unauthenticated", "media_type_unsupported"})
        answer = await stranger.get(f"{REQUESTS}?access_token={token}")
        assert_problem(answer, {401, 422}, {"unauthenticated", "query_unknown"}, sent=[token])


@pytest.mark.parametrize("password", [["a"], {"a": "b"}, 5, 1.5, True, None, ""])
async def test_a_password_that_is_no_text_is_refused(password, client):
    """AU-011"""
    answer = await client.post(STAFF, json={"username": "admin", "password": password})
    assert_problem(answer, 422, {"type_string", "field_required", "text_blank"})


async def test_an_unknown_name_and_a_wrong_password_look_the_same(client, owner):
    _, right = owner
    answers = [
        await client.post(STAFF, json={"username": name, "password": WRONG})
        for name in (right["username"], "nobody-of-this-name")
    ]
    known, unknown = (assert_problem(answer, 401, "invalid_credentials") for answer in answers)
    assert {**known, "request_id": ""} == {**unknown, "request_id": ""}
