"""Plaques over HTTP: issuing and revoking, the sheet to print, and what the QR code opens."""

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.people.lockout import network_of
from app.teams import pages, plaques, queries, views
from app.teams.deps import (
    Administrator,
    Anybody,
    Desk,
    Reader,
    TeamCode,
    TeamDesk,
)
from app.teams.endpoints import change_team
from app.teams.models import HandoverRow, MemberRow
from app.teams.pages import Page, SheetSize
from app.teams.plaques import PlaqueNotFound, PlaqueRevoked, Published
from app.teams.schemas import PublicPlaqueOut, TeamChangedOut
from app.teams.service import Change
from app.web import limits
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1/teams", tags=["teams"], route_class=StrictRoute)
public = APIRouter(route_class=StrictRoute, include_in_schema=False)
# Of one network: whole towns call from one address.
_LOOKS_PER_MINUTE = 600
_MINUTE_S = 60


@router.post("/{code}/plaque", response_model=TeamChangedOut, status_code=201)
async def issue_plaque(
    code: TeamCode,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """制发服务牌. A new one revokes the former."""

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        await plaques.issue(change, today=desk.today)
        return None, None

    return await change_team(desk, actor, code, key, version, step, "issue_plaque", 201)


@router.post("/{code}/plaque/revoke", response_model=TeamChangedOut)
async def revoke_plaque(
    code: TeamCode,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """撤销服务牌: its code leads nowhere from now on."""

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        await plaques.revoke(change)
        return None, None

    return await change_team(desk, actor, code, key, version, step, "revoke_plaque")


@router.get("/{code}/plaque/sheet", response_class=Response)
async def print_plaque(
    code: TeamCode, _actor: Reader, desk: TeamDesk, size: SheetSize = SheetSize.A4
) -> Response:
    """打印服务牌: a page to print on A4 or A5."""
    place = queries.place_of(desk.grids, code)
    shown = await plaques.published_of(desk.session, desk.cipher, desk.grids, place, on=desk.today)
    return _html(pages.sheet(shown, views.plaque_url(desk.base_url, shown.plaque_id), size))


@router.get("/plaques/{plaque_id}")
async def get_plaque(
    plaque_id: str, http: HttpRequest, _anybody: Anybody, desk: TeamDesk
) -> PublicPlaqueOut:
    """服务牌公开内容, for the mini-program that a plaque's own code opens."""
    return views.public_view(await _published(http, desk, plaque_id))


@public.get(views.PLAQUE_PATH + "{plaque_id}")
async def open_plaque(
    plaque_id: str, http: HttpRequest, _anybody: Anybody, desk: TeamDesk
) -> Response:
    """What the printed QR code opens."""
    try:
        shown = await _published(http, desk, plaque_id)
    except PlaqueRevoked:
        return _html(pages.notice("服务牌已停用", PlaqueRevoked.title()), 410)
    except PlaqueNotFound:
        return _html(pages.notice("没有这块服务牌", PlaqueNotFound.title()), 404)
    return _html(pages.public(shown))


async def _published(http: HttpRequest, desk: Desk, plaque_id: str) -> Published:
    """Raises: PlaqueNotFound, PlaqueRevoked, TooMany: this network has looked too often."""
    bucket = f"plaques:{network_of(limits.client_address(http))}"
    http.app.state.limiter.take(bucket, _LOOKS_PER_MINUTE, _MINUTE_S, desk.now)
    return await plaques.published(desk.session, desk.cipher, desk.grids, plaque_id, on=desk.today)


def _html(page: Page, status: int = 200) -> Response:
    headers = {"Content-Security-Policy": page.policy, "Cache-Control": "no-store"}
    return Response(page.html, status, headers, "text/html")
