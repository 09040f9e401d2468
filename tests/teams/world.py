"""Short ways to put people into teams of the small city."""

from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image

from tests.city import GRID, Caller

TEAMS = "/api/v1/teams"
TODAY = "2026-03-02"
SINCE = "2026-01-01"


def person(**members: Any) -> dict[str, Any]:
    return {"name": "欧阳小明", "phone": "13800138000", **members}


def leader(**members: Any) -> dict[str, Any]:
    """The form of a leader whose name and telephone may be published."""
    form = {"seat": "leader", "since": SINCE, "published": True, "duties": ["policy", "requests"]}
    return person(**{**form, **members})


async def team(caller: Caller, code: str = GRID, **query: Any) -> dict[str, Any]:
    answer = await caller.get(f"{TEAMS}/{code}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def change(
    caller: Caller, path: str, body: Any = None, *, code: str = GRID, status: int | None = None
) -> dict[str, Any]:
    """A change of the team, decided on what it is now; ``status``: what must be answered."""
    version = (await team(caller, code))["version"]
    answer = await caller.post(f"{TEAMS}/{code}{path}", body, version=version)
    wanted = {200, 201} if status is None else {status}
    assert answer.status_code in wanted, answer.text
    return dict(answer.json())


def picture(kind: str = "JPEG", size: tuple[int, int] = (60, 80), **options: Any) -> bytes:
    """A file with a picture: green, or ``colour``, of mode RGB or ``mode``."""
    made = BytesIO()
    colour, mode = options.pop("colour", (0, 128, 0)), options.pop("mode", "RGB")
    Image.new(mode, size, colour).save(made, kind, **options)
    return made.getvalue()


async def photo(
    caller: Caller, member_id: str, content: bytes | None = None, **asked: Any
) -> httpx.Response:
    """Set the photograph of a member to ``content``, or with ``method`` "DELETE" take it away;
    ``kind``: the media type, ``version``: of the team, ``key``."""
    headers = {
        "Idempotency-Key": asked.pop("key", None) or uuid4().hex,
        "If-Match": f'"{asked.pop("version")}"',
    }
    method = asked.pop("method", "PUT")
    if method == "PUT":
        headers["Content-Type"] = asked.pop("kind", "image/jpeg")
    path = f"{TEAMS}/photos/{member_id}"
    sent = content if method == "PUT" else None
    return await caller.request(method, path, content=sent, headers=headers, **asked)


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of the warnings."""
    return [warning["code"] for warning in answer["warnings"]]


async def a_team_lives(admin: Caller, successor: Caller, code: str = GRID) -> None:
    """Everything that can be done to a team, once."""
    duties = (await admin.get(f"{TEAMS}/rules")).json()
    form = {"duties": duties["duties"]}
    answer = await admin.post(f"{TEAMS}/rules/duties", form, version=duties["duties_version"])
    assert answer.status_code == 200, answer.text
    first = await change(admin, "/members", leader(), code=code)
    path = f"/members/{first['member_id']}"
    await change(admin, f"{path}/amend", {"duties": ["service"]}, code=code)
    group = {"name": "第一党小组", "secretary_id": first["member_id"], "since": SINCE}
    version = (await change(admin, "/party-group", {"group": group}, code=code))["version"]
    for at, step in enumerate(("PUT", "PUT", "DELETE"), version):
        content = picture() if step == "PUT" else None
        answer = await photo(admin, first["member_id"], content, method=step, version=at)
        assert answer.status_code == 200, answer.text
    await change(admin, "/plaque", code=code)
    heir = person(name="李四", staff_id=str(successor.id), published=True)
    ended = await change(admin, f"{path}/end", {"until": TODAY, "successor": heir}, code=code)
    handover = f"{TEAMS}/handovers/{ended['handover_id']}/acknowledge"
    answer = await successor.post(handover, version=1)
    assert answer.status_code == 200, answer.text
    await change(admin, "/plaque", code=code)
    await change(admin, "/plaque/revoke", code=code)
