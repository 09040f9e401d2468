"""Residents log in with the code that WeChat gave their phone."""

from fastapi import APIRouter, Depends

from app.domain.identity import Permission
from app.people import service as people
from app.people.deps import Cipher, ClientAddress, limit_logins, permit
from app.people.schemas import LoginOut
from app.web.deps import Config, Now, Session
from app.web.strict_json import StrictRoute
from app.wechat.deps import Wechat
from app.wechat.schemas import WechatLogin

router = APIRouter(prefix="/api/v1/auth", tags=["people"], route_class=StrictRoute)


@router.post(
    "/wechat",
    summary="居民微信登录",
    dependencies=[Depends(permit(Permission.PUBLIC)), Depends(limit_logins)],
)
async def log_in(
    login: WechatLogin,
    wechat: Wechat,
    session: Session,
    cipher: Cipher,
    config: Config,
    address: ClientAddress,
    now: Now,
) -> LoginOut:
    # The transaction takes its connection at its first statement: none is held while we call out.
    openid = await wechat.code_to_session(login.code)
    return LoginOut.of(
        await people.login_resident(
            session,
            openid,
            cipher=cipher,
            sessions=config.sessions,
            now=now,
            address=address,
        )
    )
