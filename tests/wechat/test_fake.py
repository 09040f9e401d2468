import httpx
import pytest

from app.wechat.fake import create_fake, fake_of

SESSION = "/sns/jscode2session"
TOKEN = "/cgi-bin/stable_token"
APP = {"appid": "wxdemo", "secret": "demo-secret"}


class Seconds:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def server(seconds):
    return create_fake(clock=seconds)


@pytest.fixture
async def http(server):
    transport = httpx.ASGITransport(server)
    async with httpx.AsyncClient(transport=transport, base_url="http://wechat.test") as http:
        yield http


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"appid": "other"}, 40013),
        ({"secret": ""}, 41004),
        ({"secret": "other"}, 40125),
        ({"grant_type": "other"}, 40002),
        ({"js_code": ""}, 41008),
        ({"js_code": "code-expired"}, 40029),
        ({"js_code": "code-used"}, 40163),
        ({"js_code": "code-risk"}, 40226),
    ],
)
async def test_a_refusal_comes_with_status_200_a_code_and_a_rid(http, query, errcode):
    good = {**APP, "grant_type": "authorization_code", "js_code": "code-ok-a"}
    answer = await http.get(SESSION, params={**good, **query})
    assert answer.status_code == 200
    assert answer.json()["errcode"] == errcode
    assert "rid: " in answer.json()["errmsg"]


async def test_a_session_key_comes_with_the_openid(http):
    query = {**APP, "grant_type": "authorization_code", "js_code": "code-ok-a"}
    answer = (await http.get(SESSION, params=query)).json()
    assert set(answer) == {"openid", "session_key"}


async def test_the_stable_token_stays_until_its_last_five_minutes(http, server, seconds):
    async def fetch():
        body = {**APP, "grant_type": "client_credential"}
        return (await http.post(TOKEN, json=body)).json()

    first = await fetch()
    assert first["expires_in"] == 7_200
    seconds.now += 6_899
    assert await fetch() == {"access_token": first["access_token"], "expires_in": 301}
    seconds.now += 1
    renewed = await fetch()
    assert renewed["access_token"] != first["access_token"]
    assert renewed["expires_in"] == 7_200
    assert fake_of(server).token_works(first["access_token"])
    seconds.now += 300
    assert not fake_of(server).token_works(first["access_token"])
    assert fake_of(server).token_works(renewed["access_token"])


async def test_force_ends_the_old_token_twenty_times_a_day_and_not_twice_in_thirty_seconds(
    http, server, seconds
):
    async def force():
        body = {**APP, "grant_type": "client_credential", "force_refresh": True}
        return (await http.post(TOKEN, json=body)).json()["access_token"]

    first = await force()
    assert await force() == first
    tokens = {first}
    for _ in range(25):
        seconds.now += 31
        tokens.add(await force())
    assert len(tokens) == 20
    assert not fake_of(server).token_works(first)


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"grant_type": "other"}, 40002),
        ({"appid": "other"}, 40013),
        ({"secret": "other"}, 40125),
    ],
)
async def test_the_token_endpoint_checks_its_arguments(http, body, errcode):
    good = {**APP, "grant_type": "client_credential"}
    assert (await http.post(TOKEN, json={**good, **body})).json()["errcode"] == errcode
    assert (await http.get(TOKEN)).json()["errcode"] == 43002
    assert (await http.post(TOKEN, content=b"{")).json()["errcode"] == 47001


async def test_faults_are_switched_over_http(http):
    query = {**APP, "grant_type": "authorization_code", "js_code": "code-ok-a"}
    switched = await http.post("/__fake__/faults", json={"busy_calls": 1})
    assert switched.json()["busy_calls"] == 1
    assert (await http.get(SESSION, params=query)).json()["errcode"] == -1
    assert "openid" in (await http.get(SESSION, params=query)).json()
    ledger = (await http.get("/__fake__/ledger")).json()
    assert [entry["errcode"] for entry in ledger] == [-1, 0]
    assert (await http.post("/__fake__/faults", json={"unknown": 1})).status_code == 422
