"""The residents' log-in, as it goes over the wire. The answer is ``people.schemas.LoginOut``."""

from typing import Annotated

from app.web.wire import WireIn, line


class WechatLogin(WireIn):
    """``code``: what ``wx.login`` gave the mini-program; good for five minutes, and once."""

    code: Annotated[str, line(256)]
