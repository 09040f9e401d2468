"""Who calls: logged in once over HTTP, before the databases are copied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Caller:
    token: str
    id: str
    unit_code: str | None = None


@dataclass(frozen=True, slots=True)
class People:
    residents: Sequence[Caller]
    handlers: Sequence[Caller]
    dispatchers: Sequence[Caller]  # of the whole city


def log_in(base_url: str, logins: Sequence[dict[str, Any]], residents: int) -> People:
    """Log in: so many residents, every handler, the city's dispatcher.

    Args:
        logins: as ``demo.json`` has them.
    """
    with httpx.Client(base_url=base_url, timeout=30, trust_env=False) as http:
        dispatchers = [
            login for login in logins if login["role"] == "dispatcher" and not login["grid"]
        ]
        return People(
            residents=[_resident(http, number) for number in range(residents)],
            handlers=list(staff(http, [login for login in logins if login["role"] == "handler"])),
            dispatchers=list(staff(http, dispatchers)),
        )


def _resident(http: httpx.Client, number: int) -> Caller:
    return _log_in(http, "wechat", {"code": f"code-ok-bench{number}"})


def staff(http: httpx.Client, logins: Sequence[dict[str, Any]]) -> Iterator[Caller]:
    for login in logins:
        form = {"username": login["username"], "password": login["password"]}
        yield _log_in(http, "staff", form)


def _log_in(http: httpx.Client, door: str, form: dict[str, str]) -> Caller:
    answer = http.post(f"/api/v1/auth/{door}", json=form)
    answer.raise_for_status()
    said = answer.json()
    return Caller(said["token"], said["account"]["id"], said["account"]["unit_code"])
