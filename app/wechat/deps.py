"""The WeChat client, as an endpoint asks for it."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from app.wechat.client import WechatClient


async def wechat_client(http: HttpRequest) -> WechatClient:
    """The client of this process, made when it started and closed when it ends."""
    return cast(WechatClient, http.app.state.wechat)


Wechat = Annotated[WechatClient, Depends(wechat_client)]
