"""Short ways to put people into teams of the small city."""

from typing import Any

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
    await change(admin, "/party-group", {"group": group}, code=code)
    await change(admin, "/plaque", code=code)
    heir = person(name="李四", staff_id=str(successor.id), published=True)
    ended = await change(admin, f"{path}/end", {"until": TODAY, "successor": heir}, code=code)
    handover = f"{TEAMS}/handovers/{ended['handover_id']}/acknowledge"
    answer = await successor.post(handover, version=1)
    assert answer.status_code == 200, answer.text
    await change(admin, "/plaque", code=code)
    await change(admin, "/plaque/revoke", code=code)
