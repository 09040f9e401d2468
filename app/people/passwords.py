"""Passwords: which are good enough, and how they are hashed without stopping the house.

Argon2id with OWASP's parameters costs 19 MiB and a few hundredths of a second, on purpose. A small
pool of threads at low priority does it, so that a flood of log-ins leaves the API its processor;
whoever finds the queue full is asked to come back.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from app.domain.errors import FieldError, Invalid, TooMany

LONGEST_BYTES = 1_024
_SHORTEST = 10
_AT_ONCE = 2
_WAITING = 50
_RETRY_AFTER_S = 2

P = ParamSpec("P")
T = TypeVar("T")

# Source: OWASP Password Storage (argon2id, 19 MiB, t=2, p=1).
_HASHER = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
# What people type when ten characters are asked for; compared in lower case, without digits around.
_COMMON_WORDS = """
password passw0rd p@ssw0rd p@ssword qwerty qwertyuiop qwertyui qazwsxedc qazwsx asdfghjkl
asdfgh zxcvbnm iloveyou woaini woaini1314 wodemima mima admin administrator root letmein welcome
sunshine princess football baseball superman batman dragon monkey abc abcd abcdef abcdefg
abcdefgh abcdefghij aaaaaa changeme default guest test login master hello jiaozhou qingdao
lianxin china zhongguo nihao woshishui huawei weixin wechat government zhengfu wangge
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_RUNS = (
    "01234567890123456789",
    "98765432109876543210",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)


class PasswordTooWeak(Invalid):
    """密码不够安全，请换一个。"""

    code = "password_too_weak"


class HashingBusy(TooMany):
    """登录的人较多，请稍后再试。"""

    code = "overloaded"


def check_policy(password: str, *, username: str) -> None:
    """Length and common passwords; no rules about character classes (NIST SP 800-63B).

    Raises:
        PasswordTooWeak: with the reason as a field error.
    """
    reason: tuple[str, str] | None = None
    core = password.lower().strip("0123456789!@#$%^&*._- ")
    if len(password) < _SHORTEST:
        reason = ("too_short", f"密码至少 {_SHORTEST} 个字符")
    elif len(password.encode()) > LONGEST_BYTES:
        reason = ("too_long", f"密码不能超过 {LONGEST_BYTES} 字节")
    elif core in _COMMON or any(password.lower() in run * 2 for run in _RUNS):
        reason = ("too_common", "密码过于常见")
    elif len(set(password)) < 5 or (not core and len(set(password)) < 6):
        reason = ("too_simple", "密码过于简单")
    elif username in password.lower():
        reason = ("contains_username", "密码不能包含用户名")
    if reason is not None:
        raise PasswordTooWeak(errors=[FieldError("/password", *reason)])


def hash_password(password: str) -> str:
    """Hash in this thread (seeds and commands; a server uses ``PasswordPool``)."""
    return _HASHER.hash(password.encode())


@dataclass(frozen=True, slots=True)
class Verdict:
    """``new_hash`` is set when the password is right but was hashed with older parameters."""

    right: bool
    new_hash: str | None = None


class PasswordPool:
    """The threads of one process that hash. ``close()`` at the end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, "passwords", initializer=_step_back)
        self._inside = 0
        # Verified when there is no hash to verify, so that nobody can tell by the time it takes.
        self._dummy = hash_password(os.urandom(16).hex())

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Raises: HashingBusy."""
        return await self._run(hash_password, password)

    async def verify(self, password: str, password_hash: str | None) -> Verdict:
        """Takes the same time whether there is a hash or not.

        Raises:
            HashingBusy: too many are waiting already.
        """
        verdict = await self._run(_verify, password, password_hash or self._dummy)
        return verdict if password_hash else Verdict(right=False)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._inside >= _AT_ONCE + _WAITING:
            raise HashingBusy(retry_after_s=_RETRY_AFTER_S)
        self._inside += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))
        finally:
            self._inside -= 1


def _verify(password: str, password_hash: str) -> Verdict:
    try:
        _HASHER.verify(password_hash, password.encode())
    except (VerificationError, InvalidHashError):
        return Verdict(right=False)
    if _HASHER.check_needs_rehash(password_hash):
        return Verdict(right=True, new_hash=_HASHER.hash(password.encode()))
    return Verdict(right=True)


def _step_back() -> None:
    """Give this thread (on Linux, a thread alone) a lower priority than the event loop."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
