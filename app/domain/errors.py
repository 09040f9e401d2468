"""What can go wrong, said without HTTP.

Every concrete error is one of these kinds and lives beside the rule that raises it. Its docstring
is the sentence a resident reads, its ``code`` the stable word a program reads. ``app.web.errors``
alone knows which HTTP status a kind becomes.

    AppError
    ├── Invalid          the input breaks a rule              (422)
    ├── Unauthenticated  we do not know who you are           (401)
    ├── Forbidden        this person may not do this          (403)
    ├── NotFound         no such thing, or not for you        (404)
    ├── Gone             was there, and was taken back        (410)
    ├── Conflict         right in itself, wrong just now      (409)
    ├── Stale            you decided on an older version      (412)
    ├── TooMany          too often; wait ``retry_after``      (429)
    └── Unavailable      someone we depend on is down         (503)
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong. ``pointer`` is a JSON pointer (RFC 6901) or a parameter's name."""

    pointer: str
    code: str
    message: str


class AppError(Exception):
    """出了点问题，请稍后再试。"""

    code: str = "error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        **facts: object,
    ) -> None:
        """Args: ``detail`` a further Chinese sentence; ``facts`` extra members of the answer."""
        super().__init__(detail or self.title())
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
        self.facts = facts

    @classmethod
    def title(cls) -> str:
        """The Chinese sentence of this error: the first line of its docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class Invalid(AppError):
    """填写的内容有误，请检查后重新提交。"""

    code = "invalid_input"


class Unauthenticated(AppError):
    """请先登录。"""

    code = "unauthenticated"


class Forbidden(AppError):
    """您没有权限进行此操作。"""

    code = "forbidden"


class NotFound(AppError):
    """没有找到您要的内容。"""

    code = "not_found"


class Gone(AppError):
    """您要的内容已失效。"""

    code = "gone"


class Conflict(AppError):
    """当前状态下不能这样做。"""

    code = "conflict"


class Stale(AppError):
    """内容已被他人更新，请刷新后再操作。"""

    code = "stale_version"


class TooMany(AppError):
    """操作过于频繁，请稍后再试。"""

    code = "rate_limited"


class Unavailable(AppError):
    """服务暂时不可用，请稍后再试。"""

    code = "unavailable"
