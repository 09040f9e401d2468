"""The leader's photograph over HTTP: sent, looked at, taken away."""

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from app.domain.identity import GRANTS, Permission
from app.teams import photos
from app.teams.deps import Administrator, Reader, TeamDesk
from app.teams.endpoints import change_team
from app.teams.models import HandoverRow, MemberRow
from app.teams.portraits import JPEG, MAX_BYTES, PNG, portrait_of
from app.teams.schemas import TeamChangedOut
from app.teams.service import Change
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.middleware import BodyRule
from app.web.strict_json import StrictRoute
from app.web.wire import Id

BODIES = {
    "/api/v1/teams/photos/": BodyRule(frozenset({JPEG.encode(), PNG.encode()}), MAX_BYTES),
}
router = APIRouter(prefix="/api/v1/teams/photos", tags=["teams"], route_class=StrictRoute)

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SENT = {"requestBody": {"required": True, "content": {JPEG: _BINARY, PNG: _BINARY}}}
_SHOWN = {"content": {JPEG: _BINARY}, "description": "照片，JPEG，不超过 480×640"}


@router.put("/{member_id}", response_model=TeamChangedOut, openapi_extra=_SENT)
async def set_photo(
    member_id: Id,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """上传负责人照片: JPEG or PNG, up to 1 MB. What is kept is a small JPEG made anew from it."""
    kind = desk.http.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Before anything of the transaction: unpacking takes a while.
    jpeg = await asyncio.to_thread(portrait_of, await desk.http.body(), kind)

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        return await photos.put(change, member_id, jpeg, today=desk.today), None

    code = await photos.place_code(desk.session, member_id)
    return await change_team(desk, actor, code, key, version, step, "set_team_photo")


@router.delete("/{member_id}", response_model=TeamChangedOut)
async def remove_photo(
    member_id: Id,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """删除负责人照片."""

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        return await photos.remove(change, member_id), None

    code = await photos.place_code(desk.session, member_id)
    return await change_team(desk, actor, code, key, version, step, "remove_team_photo")


@router.get("/{member_id}", response_class=Response, responses={200: _SHOWN})
async def get_photo(member_id: Id, desk: TeamDesk, actor: Reader) -> Response:
    """查看负责人照片: of who is published; whoever sets photographs sees the others too."""
    jpeg = await photos.shown(
        desk.session,
        desk.cipher,
        member_id,
        unpublished=actor.role in GRANTS[Permission.TEAM_CHANGE],
    )
    return Response(jpeg, headers={"Cache-Control": "no-store"}, media_type=JPEG)
