"""Logging in as staff, logging out, and one's own account. Residents: ``app.wechat.endpoints``."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.domain.identity import Actor, Permission
from app.people import logins, queries
from app.people.deps import (
    Cipher,
    ClientAddress,
    CurrentToken,
    OpenSessions,
    Passwords,
    limit_logins,
    permit,
)
from app.people.schemas import AccountOut, LoginOut, StaffLogin
from app.web.deps import Config, Db, Now
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1", tags=["people"], route_class=StrictRoute)


@router.post(
    "/auth/staff",
    summary="工作人员登录",
    dependencies=[Depends(permit(Permission.PUBLIC)), Depends(limit_logins)],
)
async def log_in(
    login: StaffLogin,
    db: Db,
    config: Config,
    passwords: Passwords,
    cipher: Cipher,
    address: ClientAddress,
    now: Now,
) -> LoginOut:
    return LoginOut.of(
        await logins.log_in_staff(
            db,
            passwords=passwords,
            cipher=cipher,
            limits=config.limits,
            sessions=config.sessions,
            username=login.username,
            password=login.password,
            address=address,
            now=now,
        )
    )


@router.post(
    "/auth/logout",
    summary="退出登录",
    status_code=204,
    response_class=Response,
    dependencies=[Depends(permit(Permission.SELF))],
)
async def log_out(token: CurrentToken, sessions: OpenSessions, now: Now) -> None:
    await sessions.revoke(token, now)


@router.get("/me", summary="我的账号")
async def me(actor: Annotated[Actor, Depends(permit(Permission.SELF))], db: Db) -> AccountOut:
    return AccountOut.of(await queries.account_of(db, actor))
