"""The callers of the matrix, and for each of them one request in every relation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import update

from app.people.models import LoginSession
from app.people.sessions import hash_of
from tests.authorization.policy import Relation, Rule, Who
from tests.city import (
    GRID,
    MICRO_GRID,
    OTHER_GRID,
    TOWN,
    UNIT,
    Caller,
    CityHall,
    point_in,
)

API = "/api/v1"
OWN_CATEGORY = "road.lamp"  # answered for by UNIT, wherever it is
OTHER_CATEGORY, OTHER_UNIT = "road.damage", "transport"
NEVER = 99  # a version that no request of this world has
HOME: dict[Who, str] = {Who.MICRO_GRID_LEADER: MICRO_GRID}  # of all others: GRID
ELSEWHERE: dict[Who, str] = {Who.MICRO_GRID_LEADER: GRID}  # of all others: OTHER_GRID
_AS_DECLARED = object()
_PHONE = {"name": "欧阳小明", "phone": "13800138000"}


@dataclass
class World:
    hall: CityHall
    callers: dict[Who, Caller | None] = field(default_factory=dict)
    requests: dict[tuple[Who, Relation], str] = field(default_factory=dict)

    async def call(
        self,
        who: Who,
        operation: str,
        relation: Relation | None,
        rule: Rule,
        *,
        sent: Mapping[str, str | None] | None = None,
        body: Any = _AS_DECLARED,
    ) -> httpx.Response:
        """Really call one cell. ``sent``: headers otherwise than usual, None for one left out."""
        method, template = operation.split(" ", 1)
        path = dict(rule.path)
        if relation is not None:
            path["request_id"] = self.requests[who, relation]
        headers: dict[str, str | None] = {
            "Idempotency-Key": uuid4().hex,
            "If-Match": f'"{NEVER}"',
        }
        caller = self.callers[who]
        if operation == "POST /auth/logout" and caller is not None:
            caller = await self._once(who)
        if caller is not None:
            headers |= caller.headers
        headers |= sent or {}
        if body is _AS_DECLARED:
            body = await self._body(operation, rule)
        return await self.hall.client.request(
            method,
            API + template.format(**path),
            headers={name: value for name, value in headers.items() if value is not None},
            params=rule.query,
            json=body,
        )

    async def _body(self, operation: str, rule: Rule) -> Any:
        if operation == "POST /auth/wechat":
            return {"code": f"code-ok-visitor~{uuid4().hex}"}
        if operation == "POST /auth/staff":
            return (await self.hall.as_staff("auditor")).login_form()
        return rule.body

    async def _once(self, who: Who) -> Caller | None:
        """A session that may be ended: the caller's own goes on."""
        caller = self.callers[who]
        if caller is None or who in (Who.EXPIRED, Who.LOGGED_OUT):
            return caller
        again = Caller(self.hall, caller._login_path, caller.login_form)
        return await again.log_in()


async def build(hall: CityHall) -> World:
    world = World(hall)
    for who in Who:
        world.callers[who] = await _caller(hall, who)
        for relation in Relation:
            world.requests[who, relation] = await _request(hall, who, relation)
    return world


async def _caller(hall: CityHall, who: Who) -> Caller | None:
    match who:
        case Who.RESIDENT:
            return await hall.as_resident("owner")
        case Who.ANONYMOUS:
            return None
        case Who.TOWN_DISPATCHER:
            return await hall.as_staff("dispatcher", grid=TOWN)
        case Who.EXPIRED:
            caller = await hall.as_staff("handler", number=8)
            over = update(LoginSession).where(LoginSession.token_hash == hash_of(caller.token))
            async with hall.db.transaction() as session:
                await session.execute(over.values(expires_at=hall.clock.now))
            return caller
        case Who.LOGGED_OUT:
            caller = await hall.as_staff("handler", number=9)
            assert (await caller.post(f"{API}/auth/logout")).status_code == 204
            return caller
        case _:
            return await hall.as_staff(who.value)


async def _request(hall: CityHall, who: Who, relation: Relation) -> str:
    home, elsewhere = HOME.get(who, GRID), ELSEWHERE.get(who, OTHER_GRID)
    neighbour = await hall.as_resident("neighbour")
    match relation:
        case Relation.NON_EXISTENT:
            return str(uuid4())
        case Relation.OWN:
            return await _own(hall, who, home, elsewhere)
        case Relation.OWN_GRID:
            place, category, by = home, OTHER_CATEGORY, neighbour
        case Relation.OTHER_GRID | Relation.OTHER_UNIT:
            place, category, by = elsewhere, OTHER_CATEGORY, neighbour
        case Relation.OWN_UNIT:
            place, category, by = elsewhere, OWN_CATEGORY, neighbour
        case Relation.CO_UNIT:
            return await _with_a_part_for(hall, elsewhere, neighbour)
        case Relation.FORMERLY_OWN:
            by = await hall.as_resident("owner") if who is Who.RESIDENT else neighbour
            return await _taken_away(hall, home, elsewhere, by)
    request = await _submitted(hall, by, place, category)
    return str(request["id"])


async def _submitted(hall: CityHall, by: Caller, place: str, category: str) -> dict[str, Any]:
    location = {**point_in(place), "address": "向阳路7号"}
    return await hall.submit(by, location=location, category_code=category, contact=_PHONE)


async def _own(hall: CityHall, who: Who, home: str, elsewhere: str) -> str:
    match who:
        case Who.RESIDENT:
            by, place, category = await hall.as_resident("owner"), home, OTHER_CATEGORY
        case Who.MICRO_GRID_LEADER | Who.GRID_LEADER | Who.DISPATCHER | Who.TOWN_DISPATCHER:
            taker = await _caller(hall, who)
            assert taker is not None
            by, place, category = taker, home, OTHER_CATEGORY
        case _:
            by, place, category = await hall.as_resident("neighbour"), elsewhere, OWN_CATEGORY
    request = await _submitted(hall, by, place, category)
    if who in (Who.HANDLER, Who.UNIT_LEADER):
        await hall.act(await hall.as_staff(who.value), request, "sign")
    return str(request["id"])


async def _with_a_part_for(hall: CityHall, place: str, by: Caller) -> str:
    desk = await hall.as_staff("dispatcher")
    request = await _submitted(hall, by, place, OTHER_CATEGORY)
    request = await hall.act(desk, request, "co_assign", unit_code=UNIT, task="断电配合")
    return str(request["id"])


async def _taken_away(hall: CityHall, home: str, elsewhere: str, by: Caller) -> str:
    """Signed by the handler in the home grid, then given to another unit in another grid."""
    desk, handler = await hall.as_staff("dispatcher"), await hall.as_staff("handler")
    request = await _submitted(hall, by, home, OWN_CATEGORY)
    request = await hall.act(handler, request, "sign")
    request = await hall.act(desk, request, "transfer", unit_code=OTHER_UNIT, note="转派")
    moved = {"location": point_in(elsewhere), "category_code": OTHER_CATEGORY}
    request = await hall.act(desk, request, "reclassify", note="地址有误", **moved)
    assert request["unit"]["code"] == OTHER_UNIT
    assert request["grid"]["code"].startswith(elsewhere)
    return str(request["id"])
