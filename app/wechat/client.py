"""WeChat's server APIs, called over HTTP. The one place where an HTTP client is constructed.

Contract: wechat A1 (an error comes with status 200 and an ``errcode``), A2 (endpoints), A4 (what
to do about each error). Whatever we are sent is checked; whatever is secret (the app's secret, a
session key) is neither kept nor logged.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import orjson
import structlog

from app.domain.errors import AppError, Forbidden, TooMany, Unauthenticated, Unavailable
from app.settings import WechatSettings
from app.wechat.breaker import Breaker

_CONNECT_TIMEOUT_S = 3.0
_READ_TIMEOUT_S = 5.0
_CALL_TIMEOUT_S = 5.0  # of one call of ours with all its retries
_RETRY_DELAYS_S = (0.5, 1.0, 2.0)
_RETRY_AFTER_S = 30
_MINUTE_S = 60
_BUSY = -1
_MISCONFIGURED = frozenset({40013, 40125, 41002, 41004, 40243, 40164, 61004})
_OPENID = re.compile(r"[!-~]{1,128}")
_RID = re.compile(r"rid: ?([0-9a-f]+(?:-[0-9a-f]+)*)")
_log = structlog.get_logger(__name__)

# httpx writes whole URLs, and ours carry the app's secret.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class WechatCodeInvalid(Unauthenticated):
    """微信登录凭证无效或已过期，请重新打开小程序登录。"""

    code = "wechat_code_invalid"


class WechatCodeUsed(Unauthenticated):
    """微信登录凭证已被使用，请重新登录。"""

    code = "wechat_code_used"


class WechatLoginRestricted(Forbidden):
    """微信限制了此账号的登录。"""

    code = "wechat_login_restricted"


class WechatTooOften(TooMany):
    """登录过于频繁，请一分钟后再试。"""

    code = "wechat_rate_limited"


class WechatMisconfigured(Unavailable):
    """微信登录暂不可用，请联系管理员。"""

    code = "wechat_misconfigured"


class WechatUnavailable(Unavailable):
    """微信服务暂时不可用，请稍后再试。"""

    code = "wechat_unavailable"


class WechatClient:
    """Talks to WeChat with one pool of connections. ``close()`` at the end.

    Args:
        transport: where the calls go instead of the network (an ASGI app in tests and demos).
        retry_delays_s: waits before each new try when WeChat says that it is busy.
        clock: monotonic seconds, for the breaker.
    """

    def __init__(
        self,
        settings: WechatSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        retry_delays_s: Sequence[float] = _RETRY_DELAYS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app_id = settings.app_id
        self._app_secret = settings.app_secret
        self._retry_delays_s = tuple(retry_delays_s)
        self._breaker = Breaker(clock)
        self._http = httpx.AsyncClient(
            base_url=settings.base_url,
            transport=transport,
            timeout=httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json", "User-Agent": "lianxin"},
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def code_to_session(self, code: str) -> str:
        """Exchange the code of ``wx.login`` for the person's openid.

        The session key that comes along is dropped: we need it for nothing.

        Raises:
            WechatCodeInvalid, WechatCodeUsed, WechatLoginRestricted, WechatTooOften,
            WechatMisconfigured, WechatUnavailable.
        """
        answer = await self._call(
            "/sns/jscode2session",
            {
                "appid": self._app_id,
                "secret": self._app_secret.get_secret_value(),
                "js_code": code,
                "grant_type": "authorization_code",
            },
        )
        openid = answer.get("openid")
        if not isinstance(openid, str) or _OPENID.fullmatch(openid) is None:
            _log.error("wechat_answer_malformed", endpoint="jscode2session")
            raise _unavailable()
        return openid

    async def _call(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the answer of a call that WeChat did not refuse."""
        if not self._breaker.may_pass():
            raise _unavailable()
        answered = False
        try:
            async with asyncio.timeout(_CALL_TIMEOUT_S):
                answer = await self._until_not_busy(path, parameters)
            answered = True
        except TimeoutError:
            _log.warning("wechat_timeout", endpoint=path)
            raise _unavailable() from None
        finally:
            self._breaker.note(answered=answered)
        errcode = _errcode(answer)
        if errcode != 0:
            raise _error_of(errcode, answer, path)
        return answer

    async def _until_not_busy(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        for delay_s in (*self._retry_delays_s, None):
            answer = await self._once(path, parameters)
            if _errcode(answer) != _BUSY:
                return answer
            if delay_s is not None:
                await asyncio.sleep(delay_s)
        _log.warning("wechat_busy", endpoint=path, rid=_rid(answer))
        raise _unavailable()

    async def _once(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Never tried again after a broken connection: the code may have been used up by it."""
        try:
            response = await self._http.get(path, params=dict(parameters))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # ``from None``, and no text: the error carries the URL, and that the secret.
            _log.warning("wechat_unreachable", endpoint=path, error=type(error).__name__)
            raise _unavailable() from None
        try:
            # orjson refuses endless nesting; the standard parser runs out of stack.
            answer = orjson.loads(response.content) if response.status_code == 200 else None
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            _log.warning("wechat_not_json", endpoint=path, status=response.status_code)
            raise _unavailable()
        return answer


def _errcode(answer: Mapping[str, Any]) -> int:
    errcode = answer.get("errcode", 0)
    return errcode if isinstance(errcode, int) else -2


def _rid(answer: Mapping[str, Any]) -> str | None:
    """WeChat's id of the call, the only part of its message that is worth keeping."""
    found = _RID.search(str(answer.get("errmsg", "")))
    return None if found is None else found[1]


def _error_of(errcode: int, answer: Mapping[str, Any], path: str) -> AppError:
    """What an ``errcode`` means to the person who is logging in (A4)."""
    match errcode:
        case 40029:
            return WechatCodeInvalid()
        case 40163:
            return WechatCodeUsed()
        case 40226:
            _log.info("wechat_login_restricted", rid=_rid(answer))
            return WechatLoginRestricted()
        case 45011:
            return WechatTooOften(retry_after_s=_MINUTE_S)
    if errcode in _MISCONFIGURED:
        _log.critical("wechat_misconfigured", endpoint=path, errcode=errcode, rid=_rid(answer))
        return WechatMisconfigured(retry_after_s=_MINUTE_S)
    _log.error("wechat_error", endpoint=path, errcode=errcode, rid=_rid(answer))
    return _unavailable()


def _unavailable() -> WechatUnavailable:
    return WechatUnavailable(retry_after_s=_RETRY_AFTER_S)
