import asyncio
import logging
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.domain.errors import AppError, Unavailable
from app.settings import WechatSettings
from app.wechat.client import (
    WechatClient,
    WechatCodeInvalid,
    WechatCodeUsed,
    WechatLoginRestricted,
    WechatMisconfigured,
    WechatTooOften,
    WechatUnavailable,
)
from app.wechat.fake import create_fake, fake_of, openid_of

SECRET = "demo-secret"


def settings_of(base_url="http://wechat.test", app_id="wxdemo", secret=SECRET):
    return WechatSettings(base_url=base_url, app_id=app_id, app_secret=SecretStr(secret))


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    return create_fake()


@pytest.fixture
def faults(server):
    return fake_of(server).faults


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
async def client(server, seconds):
    client = WechatClient(
        settings_of(),
        transport=httpx.ASGITransport(server),
        retry_delays_s=(0.0, 0.0, 0.0),
        clock=seconds,
    )
    yield client
    await client.close()


async def refusal_of(client, code):
    with pytest.raises(AppError) as refusal:
        await client.code_to_session(code)
    return refusal.value


@pytest.mark.parametrize("name", ["wang", "张三", "a b&c=d#?%", "😀", "x" * 100])
async def test_a_code_becomes_always_the_same_openid(client, name):
    first = await client.code_to_session(f"code-ok-{name}")
    again = await client.code_to_session(f"code-ok-{name}~2")
    assert first == again == openid_of(name)
    assert first.isascii()
    assert len(first) == 28


async def test_a_code_is_good_once(client):
    await client.code_to_session("code-ok-once")
    assert isinstance(await refusal_of(client, "code-ok-once"), WechatCodeUsed)
    await client.code_to_session("code-ok-once~1")
    assert isinstance(await refusal_of(client, "code-ok-once~1"), WechatCodeUsed)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("code-expired", WechatCodeInvalid),
        ("anything", WechatCodeInvalid),
        ("code-ok-", WechatCodeInvalid),
        ("code-ok-~2", WechatCodeInvalid),
        ("code-used", WechatCodeUsed),
        ("code-risk", WechatLoginRestricted),
    ],
)
async def test_a_code_that_wechat_refuses(client, code, error):
    assert type(await refusal_of(client, code)) is error


@pytest.mark.parametrize("errcode", [40013, 40125, 41002, 41004, 40243, 40164, 61004])
async def test_what_only_the_operator_can_mend_is_an_alarm_without_the_secret(
    client, faults, errcode
):
    faults.errcode = errcode
    with capture_logs() as logs:
        error = await refusal_of(client, "code-ok-a")
    assert type(error) is WechatMisconfigured
    (alarm,) = logs
    assert alarm["log_level"] == "critical"
    assert alarm["errcode"] == errcode
    assert alarm["rid"].count("-") == 2
    assert SECRET not in str(logs)


@pytest.mark.parametrize("settings", [settings_of(app_id="wxother"), settings_of(secret="wrong"),
                                      settings_of(app_id=""), settings_of(secret="")])  # fmt: skip
async def test_wrong_credentials_are_a_misconfiguration(server, settings):
    client = WechatClient(settings, transport=httpx.ASGITransport(server))
    assert type(await refusal_of(client, "code-ok-a")) is WechatMisconfigured
    await client.close()


async def test_the_minute_quota_asks_to_wait_a_minute(client, faults):
    faults.quota_calls = 1
    error = await refusal_of(client, "code-ok-a")
    assert type(error) is WechatTooOften
    assert error.retry_after_s == 60


async def test_a_busy_wechat_is_asked_three_times_more(client, server, faults):
    faults.busy_calls = 3
    assert await client.code_to_session("code-ok-a")
    assert len(fake_of(server).ledger) == 4
    faults.busy_calls = 4
    assert type(await refusal_of(client, "code-ok-b")) is WechatUnavailable
    assert faults.busy_calls == 0


@pytest.mark.parametrize("fault", ["html_calls", "truncated_calls"])
async def test_an_answer_that_is_no_json_is_an_outage(client, faults, fault):
    setattr(faults, fault, 1)
    error = await refusal_of(client, "code-ok-a")
    assert type(error) is WechatUnavailable
    assert error.retry_after_s == 30


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, json={"openid": "o1"}),
        httpx.Response(302, headers={"Location": "http://evil.test/"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json=None),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"openid": 7}),
        httpx.Response(200, json={"openid": ""}),
        httpx.Response(200, json={"openid": "o" * 129}),
        httpx.Response(200, json={"openid": "张三"}),
        httpx.Response(200, json={"openid": "a b"}),
        httpx.Response(200, json={"openid": "a\n"}),
        httpx.Response(200, json={"errcode": 99_999, "errmsg": "new"}),
        httpx.Response(200, json={"errcode": "40029"}),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, content=b"[" * 100_000),
    ],
)
async def test_a_strange_answer_is_an_outage(answer):
    transport = httpx.MockTransport(lambda _: answer)
    client = WechatClient(settings_of(), transport=transport)
    assert type(await refusal_of(client, "code")) is WechatUnavailable
    await client.close()


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadTimeout, httpx.ReadError,
              httpx.RemoteProtocolError, httpx.PoolTimeout]
)  # fmt: skip
async def test_a_broken_connection_is_not_tried_again(error):
    calls = []

    def answer(request):
        calls.append(request)
        raise error(f"broken {request.url}", request=request)

    client = WechatClient(settings_of(), transport=httpx.MockTransport(answer))
    with capture_logs() as logs:
        refusal = await refusal_of(client, "code")
    assert type(refusal) is WechatUnavailable
    assert refusal.__cause__ is None
    assert len(calls) == 1
    assert SECRET not in str(logs)
    await client.close()


async def test_after_five_failures_nobody_waits_and_one_in_thirty_seconds_tries(
    client, server, faults, seconds
):
    ledger = fake_of(server).ledger
    faults.truncated_calls = 6
    for _ in range(5):
        assert isinstance(await refusal_of(client, "code-risk"), WechatUnavailable)
    assert len(ledger) == 5
    assert isinstance(await refusal_of(client, "code-risk"), Unavailable)
    assert len(ledger) == 5  # nobody asked
    seconds.now += 30
    await asyncio.gather(*(refusal_of(client, "code-risk") for _ in range(10)))
    assert len(ledger) == 6  # one of ten asked, and it was the sixth failure
    seconds.now += 30
    assert isinstance(await refusal_of(client, "code-risk"), WechatLoginRestricted)
    assert isinstance(await refusal_of(client, "code-risk"), WechatLoginRestricted)


async def test_refusals_of_people_do_not_open_the_breaker(client):
    for _ in range(20):
        assert isinstance(await refusal_of(client, "code-expired"), WechatCodeInvalid)


# --- over a real socket ---------------------------------------------------------------------------


@pytest.fixture
def served(server):
    """The fake behind uvicorn; gives its base URL."""
    config = uvicorn.Config(server, log_config=None, lifespan="off")
    runner = uvicorn.Server(config)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not runner.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        runner.should_exit = True
        thread.join(10)
        listening.close()


async def test_over_a_socket_it_is_the_same_and_the_secret_is_nowhere_in_the_log(
    served, faults, caplog
):
    client = WechatClient(settings_of(served))
    with caplog.at_level(logging.INFO), capture_logs() as logs:
        assert await client.code_to_session("code-ok-张三") == openid_of("张三")
        assert isinstance(await refusal_of(client, "code-ok-张三"), WechatCodeUsed)
        faults.reset_calls = 1
        assert isinstance(await refusal_of(client, "code-ok-lost"), WechatUnavailable)
        # It was processed before the connection broke.
        assert isinstance(await refusal_of(client, "code-ok-lost"), WechatCodeUsed)
        faults.html_calls = 1
        assert isinstance(await refusal_of(client, "code-ok-b"), WechatUnavailable)
    # What the fake's own server logs is not ours.
    ours = [record.getMessage() for record in caplog.records if "uvicorn" not in record.name]
    assert SECRET not in str(ours + logs)
    await client.close()


async def test_a_wechat_that_does_not_answer_is_given_up(served, faults, monkeypatch):
    monkeypatch.setattr("app.wechat.client._CALL_TIMEOUT_S", 0.2)
    faults.latency_s = 0.6
    client = WechatClient(settings_of(served))
    started = time.monotonic()
    assert isinstance(await refusal_of(client, "code-ok-a"), WechatUnavailable)
    assert time.monotonic() - started < 0.5
    await client.close()


async def test_a_server_that_is_not_there_is_an_outage():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = WechatClient(settings_of(f"http://127.0.0.1:{closed.getsockname()[1]}"))
        assert isinstance(await refusal_of(client, "code-ok-a"), WechatUnavailable)
        await client.close()
