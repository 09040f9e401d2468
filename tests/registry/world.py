"""Short ways to collect records in the small city."""

from typing import Any
from uuid import uuid4

from tests.city import GRID, Caller

REGISTRY = "/api/v1/registry"
AT = "2026-03-02T09:00:00+08:00"
# Made up; the district does not exist, the check characters are right.


def id_number(serial: int, born: str = "19800101") -> str:
    """A made-up identity number with the right check character."""
    digits = f"370299{born}{serial:03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return digits + "10X98765432"[total % 11]


def record(kind: str, data: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A good record; ``data`` replaces members of its content, ``...`` takes one out."""
    contents: dict[str, dict[str, Any]] = {
        "plot": {"use": "homestead"},
        "building": {"name": "1号楼"},
        "house": {"address": "向阳路7号1单元201"},
        "household": {"name": "欧阳小明", "member_count": 3},
        "person": {"name": "欧阳小明", "phone": "13800138000"},
    }
    content = {"grid_code": GRID, **contents[kind], **(data or {})}
    return {
        "client_id": uuid4().hex,
        "kind": kind,
        "collected_at": AT,
        "data": {name: value for name, value in content.items() if value is not ...},
        **members,
    }


async def send(caller: Caller, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to a batch."""
    answer = await caller.post(f"{REGISTRY}/batches", {"records": list(records)}, key=None)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def taken(caller: Caller, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """The same, where all are new."""
    items = await send(caller, *records)
    assert [item["outcome"] for item in items] == ["created"] * len(records), items
    return items
