"""/teams over HTTP: what a city wants of its teams, the teams, their members. No rules here."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.domain.grid_codes import GridLevel
from app.domain.identity import Actor
from app.teams import forms, handovers, queries, reveal, rules, service, views
from app.teams.deps import (
    Administrator,
    Desk,
    Opener,
    PlaceCode,
    Reader,
    Successor,
    TeamCode,
    TeamDesk,
)
from app.teams.models import HandoverRow, MemberRow
from app.teams.schemas import (
    HandoverOut,
    HandoverPage,
    PersonalOut,
    RulesOut,
    TeamChangedOut,
    TeamOut,
    TeamPage,
)
from app.teams.service import Change
from app.web import idempotency
from app.web.deps import Config
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.strict_json import StrictRoute
from app.web.wire import Id, PageLimit, WireOut

router = APIRouter(prefix="/api/v1/teams", tags=["teams"], route_class=StrictRoute)
Step = Callable[[Change], Awaitable[tuple[MemberRow | None, HandoverRow | None]]]
Cursor = Annotated[str | None, Query(pattern=r"^[0-9]{15}(?:[0-9]{2})?$")]


async def change_team(
    desk: Desk,
    actor: Actor,
    code: str,
    key: str,
    version: int,
    step: Step,
    operation: str,
    status: int = 200,
) -> Response:
    """Take a team, change it, answer with what it lacks now: once, however often it is asked."""
    session = desk.session

    async def act() -> TeamChangedOut:
        place = queries.place_of(desk.grids, code)
        current = await rules.current(session)
        change = await service.take(
            session, desk.cipher, current, place, version=version, actor=actor, now=desk.now
        )
        member, handover = await step(change)
        await session.flush()
        [team] = await queries.teams_of(session, [place], current, on=desk.today)
        return views.changed_view(team, base_url=desk.base_url, member=member, handover=handover)

    return await _once(desk, actor, key, operation, act, status)


async def _once(
    desk: Desk,
    actor: Actor,
    key: str,
    operation: str,
    act: Callable[[], Awaitable[WireOut]],
    status: int = 200,
) -> Response:
    return await idempotency.once(
        desk.http,
        desk.session,
        actor_id=actor.id,
        operation=operation,
        key=key,
        now=desk.now,
        act=act,
        status=status,
    )


# --- what a city wants ---------------------------------------------------------------------------


@router.get("/rules")
async def get_rules(_actor: Reader, desk: TeamDesk) -> RulesOut:
    """队伍模板和职责清单, as they are now."""
    return views.rules_view(await rules.current(desk.session))


@router.post("/rules/templates/{level}", response_model=RulesOut)
async def set_template(
    level: Literal[GridLevel.GRID, GridLevel.MICRO],
    form: forms.TemplateIn,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """修改队伍模板: a new version. ``If-Match`` is the template's version."""

    async def act() -> RulesOut:
        seats = [it.seat() for it in form.seats]
        await rules.set_template(
            desk.session, level, form.name, seats, version=version, actor=actor, now=desk.now
        )
        return views.rules_view(await rules.current(desk.session))

    return await _once(desk, actor, key, "set_team_template", act)


@router.post("/rules/duties", response_model=RulesOut)
async def set_duties(
    form: forms.DutiesIn,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """修改职责清单: a new version. ``If-Match`` is ``duties_version``."""

    async def act() -> RulesOut:
        duties = [it.duty() for it in form.duties]
        await rules.set_duties(desk.session, duties, version=version, actor=actor, now=desk.now)
        return views.rules_view(await rules.current(desk.session))

    return await _once(desk, actor, key, "set_team_duties", act)


# --- hand-overs ----------------------------------------------------------------------------------


@router.get("/handovers")
async def list_handovers(
    actor: Reader,
    desk: TeamDesk,
    grid: PlaceCode = None,
    pending: bool = False,
    limit: PageLimit = 20,
    cursor: Id | None = None,
) -> HandoverPage:
    """工作移交记录, newest first: one's own, and those of the places one works for."""
    found = await handovers.page(
        desk.session, actor=actor, grid_code=grid, pending=pending, before=cursor, limit=limit
    )
    return HandoverPage(
        items=[
            views.handover_ref(desk.grids, row, successor, actor.id)
            for row, successor in found[:limit]
        ],
        next_cursor=str(found[limit - 1][0].id) if len(found) > limit else None,
    )


@router.get("/handovers/{handover_id}")
async def get_handover(handover_id: Id, actor: Reader, desk: TeamDesk) -> HandoverOut:
    """One hand-over with every request that was open."""
    return await _handover(desk, actor, handover_id)


@router.post("/handovers/{handover_id}/acknowledge", response_model=HandoverOut)
async def acknowledge_handover(
    handover_id: Id,
    desk: TeamDesk,
    actor: Successor,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """确认移交, by the successor; for one without an account by an administrator."""

    async def act() -> HandoverOut:
        await handovers.acknowledge(
            desk.session, handover_id, version=version, actor=actor, now=desk.now
        )
        return await _handover(desk, actor, handover_id)

    return await _once(desk, actor, key, "acknowledge_handover", act)


async def _handover(desk: Desk, actor: Actor, handover_id: UUID) -> HandoverOut:
    row, successor = await handovers.get(desk.session, handover_id, actor=actor)
    still_open = await queries.still_open(desk.session, row.request_ids)
    return views.handover_view(desk.grids, row, successor, actor.id, still_open=still_open)


# --- teams ---------------------------------------------------------------------------------------


@router.get("")
async def list_teams(
    _actor: Reader,
    desk: TeamDesk,
    grid: PlaceCode = None,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> TeamPage:
    """网格队伍, in the order of the codes, each with what it lacks."""
    places = queries.places_after(desk.grids, below=grid or "", after=cursor or "")
    shown = places[:limit]
    current = await rules.current(desk.session)
    found = await queries.teams_of(desk.session, shown, current, on=desk.today)
    return TeamPage(
        items=[views.summary_view(desk.grids, team, on=desk.today) for team in found],
        next_cursor=shown[-1].code if len(places) > limit else None,
    )


@router.get("/{code}", response_model=TeamOut)
async def get_team(
    code: TeamCode, _actor: Reader, desk: TeamDesk, former: bool = False
) -> Response:
    """One team, masked but for what was published; ``former=true``: and who has left."""
    place = queries.place_of(desk.grids, code)
    current = await rules.current(desk.session)
    [team] = await queries.teams_of(desk.session, [place], current, on=desk.today)
    gone = None
    if former:
        gone = await queries.former_members(desk.session, code, on=desk.today)
    answer = views.team_view(
        desk.cipher,
        desk.grids,
        current,
        team,
        former=gone,
        base_url=desk.base_url,
        on=desk.today,
    )
    return Response(
        answer.to_bytes(),
        headers={"ETag": idempotency.etag_of(answer) or ""},
        media_type="application/json",
    )


@router.post("/{code}/members", response_model=TeamChangedOut, status_code=201)
async def appoint_member(
    code: TeamCode,
    form: forms.AppointIn,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """任命成员. Whoever follows a leader that has left is handed the open work."""

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        return await service.appoint(
            change, form.seat, form.who(), since=form.since, today=desk.today
        )

    return await change_team(desk, actor, code, key, version, step, "appoint_member", 201)


@router.post("/{code}/members/{member_id}/end", response_model=TeamChangedOut)
async def end_term(
    code: TeamCode,
    member_id: Id,
    form: forms.EndIn,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """离任, with a successor if there is one: a leader's open work is handed over."""

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        successor = None if form.successor is None else form.successor.who()
        return await service.end(
            change, member_id, until=form.until, successor=successor, today=desk.today
        )

    return await change_team(desk, actor, code, key, version, step, "end_term")


@router.post("/{code}/members/{member_id}/amend", response_model=TeamChangedOut)
async def amend_member(
    code: TeamCode,
    member_id: Id,
    form: forms.AmendIn,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """修改成员: name, work telephone, account, duties, whether published."""
    said = {name: getattr(form, name) for name in form.model_fields_set}

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        return await service.amend(change, member_id, said, today=desk.today), None

    return await change_team(desk, actor, code, key, version, step, "amend_member")


@router.post("/{code}/members/{member_id}/reveal", response_model=PersonalOut)
async def reveal_member(
    code: TeamCode,
    member_id: Id,
    form: forms.RevealIn,
    desk: TeamDesk,
    actor: Opener,
    config: Config,
) -> Response:
    """查看成员姓名和电话, in clear, for a reason that is kept. Each call is a look of its own."""
    personal = await reveal.reveal(
        desk.session,
        desk.cipher,
        queries.place_of(desk.grids, code),
        member_id,
        reason=form.reason,
        actor=actor,
        per_day=config.limits.reveals_per_day,
        now=desk.now,
    )
    answer = PersonalOut(name=personal.name, phone=personal.phone)
    return Response(
        answer.to_bytes(), headers={"Cache-Control": "no-store"}, media_type="application/json"
    )


@router.post("/{code}/party-group", response_model=TeamChangedOut)
async def set_party_group(
    code: TeamCode,
    form: forms.PartyGroupIn,
    desk: TeamDesk,
    actor: Administrator,
    key: IdempotencyKey,
    version: IfMatch,
) -> Response:
    """党小组: its name, its secretary (a member of the team), since when."""
    said = form.group
    group = None if said is None else (said.name, said.secretary_id, said.since)

    async def step(change: Change) -> tuple[MemberRow | None, HandoverRow | None]:
        await service.set_party_group(change, group, today=desk.today)
        return None, None

    return await change_team(desk, actor, code, key, version, step, "set_party_group")
