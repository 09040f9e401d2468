"""Log-in and account, as they go over the wire."""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.domain.identity import ROLE_TEXT, Permission, Role
from app.people.logins import LoggedIn
from app.people.passwords import LONGEST_BYTES
from app.people.queries import Account
from app.web.wire import Id, Instant, WireIn, WireOut

# Capitals are forgiven at log-in; letters of other scripts that look alike are not.
_USERNAME = re.compile(r"[A-Za-z0-9._-]{3,40}")


def _username(value: str) -> str:
    if _USERNAME.fullmatch(value) is None:
        raise PydanticCustomError("username_invalid", "用户名格式不正确")
    return value


def _password(value: str) -> str:
    if not value:
        raise PydanticCustomError("text_blank", "请输入密码")
    if len(value) > LONGEST_BYTES or len(value.encode()) > LONGEST_BYTES:
        raise PydanticCustomError("text_too_long", "密码过长")
    return value


Username = Annotated[
    str, AfterValidator(_username), WithJsonSchema({"type": "string", "pattern": _USERNAME.pattern})
]
Password = Annotated[
    str,
    AfterValidator(_password),
    WithJsonSchema({"type": "string", "format": "password", "maxLength": LONGEST_BYTES}),
]


class StaffLogin(WireIn):
    username: Username
    password: Password


class AccountOut(WireOut):
    """``grid_code``: a leader's grid, a dispatcher's town, a resident's home."""

    id: Id
    role: Role
    role_text: str
    username: str | None
    display_name: str | None
    unit_code: str | None
    grid_code: str | None
    permissions: list[Permission]

    @classmethod
    def of(cls, account: Account) -> "AccountOut":
        return cls(
            id=account.id,
            role=account.role,
            role_text=ROLE_TEXT[account.role],
            username=account.username,
            display_name=account.display_name,
            unit_code=account.unit_code,
            grid_code=account.grid_code,
            permissions=account.permissions,
        )


class LoginOut(WireOut):
    """``token`` goes into ``Authorization: Bearer <token>`` of every further call."""

    token: str
    expires_at: Instant
    account: AccountOut

    @classmethod
    def of(cls, login: LoggedIn) -> "LoginOut":
        return cls(
            token=login.token,
            expires_at=login.expires_at,
            account=AccountOut.of(login.account),
        )
