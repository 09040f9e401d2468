"""What every refusal must look like, and how a request is read back."""

import json
from collections.abc import Collection, Iterable
from typing import Any

import httpx

from tests.city import REQUESTS, Caller

_MEMBERS = {"type", "title", "status", "code", "request_id"}
_SHORTEST_ECHO = 3  # shorter texts stand in an answer by chance


def codes_of(problem: dict[str, Any]) -> set[str]:
    """The answer's own code and those of its fields."""
    return {problem["code"], *(error["code"] for error in problem.get("errors", []))}


def assert_problem(
    answer: httpx.Response,
    statuses: int | Collection[int],
    codes: str | Collection[str] | None = None,
    *,
    sent: Iterable[str] = (),
) -> dict[str, Any]:
    """The answer is a problem+json with one of these statuses and codes, and repeats no input.

    Args:
        codes: None: any code.
        sent: texts that the answer must not contain.

    Returns: the problem.
    """
    wanted = {statuses} if isinstance(statuses, int) else set(statuses)
    assert answer.status_code in wanted, (answer.status_code, answer.text[:500])
    return assert_well_said(answer, codes, sent=sent)


def assert_well_said(
    answer: httpx.Response,
    codes: str | Collection[str] | None = None,
    *,
    sent: Iterable[str] = (),
) -> dict[str, Any]:
    """A refusal of any 4xx status, in the house's one shape."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) >= _MEMBERS, problem
    assert problem["status"] == answer.status_code
    assert problem["type"].endswith(problem["code"])
    assert answer.headers["x-request-id"] == problem["request_id"]
    if codes is not None:
        allowed = {codes} if isinstance(codes, str) else set(codes)
        assert codes_of(problem) & allowed, (codes_of(problem), allowed)
    if answer.status_code == 429:
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    told = json.dumps(problem, ensure_ascii=False)
    for text in sent:
        assert len(text) < _SHORTEST_ECHO or text not in told, "the input is repeated"
    return problem


async def read_back(caller: Caller, request_id: str) -> dict[str, Any]:
    """The request as ``GET`` shows it to ``caller``."""
    answer = await caller.get(f"{REQUESTS}/{request_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def timeline(caller: Caller, request_id: str) -> list[dict[str, Any]]:
    answer = await caller.get(f"{REQUESTS}/{request_id}/timeline")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])
