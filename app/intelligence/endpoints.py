"""/routing for administrators, and proposals for dispatchers, over HTTP. No rules here."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.identity import Actor, Permission
from app.domain.routing_faults import Known
from app.grids.deps import Grids
from app.grids.queries import GridIndex
from app.intelligence import dry_run, queries, suggesting, views
from app.intelligence.schemas import DryRunOut, SuggestionsOut
from app.people.deps import Cipher, permit
from app.reference import rule_sets
from app.reference.deps import ReferenceData
from app.reference.models import RuleSetRow
from app.reference.queries import Reference
from app.reference.rule_schemas import (
    DraftIn,
    FaultsOut,
    RuleSetOut,
    RuleSetsOut,
    RulesIn,
    RulesOut,
)
from app.reference.rules import in_force, rule_of
from app.requests.city import City
from app.requests.queries import CursorInvalid
from app.web import idempotency
from app.web.deps import Now, Session
from app.web.idempotency import IdempotencyKey, IfMatch
from app.web.strict_json import StrictRoute
from app.web.wire import Id, PageLimit

router = APIRouter(prefix="/api/v1", tags=["routing"], route_class=StrictRoute)

Reader = Annotated[Actor, Depends(permit(Permission.ROUTING_READ))]
Editor = Annotated[Actor, Depends(permit(Permission.ROUTING_EDIT))]
Dispatcher = Annotated[Actor, Depends(permit(Permission.ROUTING_SUGGEST))]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
After = Annotated[int, Query(ge=0, le=2**31 - 1)]
Days = Annotated[int, Query(ge=1, le=366)]


@router.get("/routing/versions", response_model=RuleSetsOut)
async def list_rule_sets(session: Session, _: Reader) -> RuleSetsOut:
    """All versions of the rules, newest first."""
    found = await rule_sets.list_sets(session)
    return RuleSetsOut(items=tuple(views.rule_set(row, count) for row, count in found))


@router.get("/routing/versions/{version}", response_model=RuleSetOut)
async def read_rule_set(version: Version, session: Session, _: Reader) -> Response:
    row = await rule_sets.rule_set(session, version)
    answer = views.rule_set(row, await rule_sets.count_rules(session, version))
    return Response(
        answer.to_bytes(), headers={"ETag": f'"{row.revision}"'}, media_type="application/json"
    )


@router.get("/routing/versions/{version}/rules", response_model=RulesOut)
async def list_rules(
    version: Version,
    session: Session,
    reference: ReferenceData,
    _: Reader,
    after: After = 0,
    limit: PageLimit = 100,
) -> RulesOut:
    """The rules of a version, in the order that ties go by."""
    await rule_sets.rule_set(session, version)
    found = await rule_sets.rules(session, version, after=after, limit=limit + 1)
    return views.rules(reference, found[:limit], more=len(found) > limit)


@router.get("/routing/conflicts", response_model=FaultsOut)
async def list_conflicts(
    session: Session, reference: ReferenceData, grids: Grids, now: Now, _: Reader
) -> FaultsOut:
    """What is wrong with the active rules: conflicts, and rules that never win."""
    active = await rule_sets.active_set(session)
    return await _faults(session, active.version, reference, grids, now)


@router.get("/routing/versions/{version}/conflicts", response_model=FaultsOut)
async def validate_rule_set(
    version: Version, session: Session, reference: ReferenceData, grids: Grids, now: Now, _: Reader
) -> FaultsOut:
    """What is wrong with the rules of a version, a draft for example."""
    await rule_sets.rule_set(session, version)
    return await _faults(session, version, reference, grids, now)


async def _faults(
    session: Session, version: int, reference: Reference, grids: GridIndex, now: datetime
) -> FaultsOut:
    today = reference.calendar.local_date(now)
    found = await rule_sets.faults(session, version, _known(reference, grids), today=today)
    return views.faults(version, await rule_sets.count_rules(session, version), found)


def _known(reference: Reference, grids: GridIndex) -> Known:
    return Known(
        units={code for code, unit in reference.units.items() if unit.active},
        categories={code for code, it in reference.categories.items() if it.active},
        grids={code for code, node in grids.nodes.items() if node.active},
        policies=set(reference.current_policies),
        grid_matters={
            step
            for code, it in reference.categories.items()
            if it.grid_matter
            for step in reference.category_path(code)
        },
    )


@router.get("/routing/versions/{version}/dry-run", response_model=DryRunOut)
async def try_rule_set(
    version: Version,
    session: Session,
    reference: ReferenceData,
    grids: Grids,
    now: Now,
    _: Reader,
    days: Days = 30,
    limit: PageLimit = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> DryRunOut:
    """试运行: which requests of the last days this version would have sent elsewhere than the
    active one. Nothing is changed."""
    await rule_sets.rule_set(session, version)
    active = await rule_sets.active_set(session)
    units = {code for code, unit in reference.units.items() if unit.active}
    tried = [rule_of(row) for row in await rule_sets.rules(session, version) if row.active]
    found = await dry_run.run(
        session,
        reference,
        grids,
        before=reference.rules,
        after=in_force(tried, units),
        days=days,
        limit=limit,
        position=None if cursor is None else _position(cursor),
        now=now,
    )
    return views.dry_run(
        reference,
        found,
        version=version,
        against=active.version,
        days=days,
        first_page=cursor is None,
        next_cursor=None if found.next_before is None else _cursor(found.next_before),
    )


def _cursor(position: dry_run.Position) -> str:
    at, request_id = position
    words = f"{at.astimezone(UTC).isoformat()}|{request_id.hex}"
    return base64.urlsafe_b64encode(words.encode()).decode()


def _position(cursor: str) -> dry_run.Position:
    try:
        words = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
        at, _, request_id = words.partition("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise CursorInvalid
        return moment, UUID(hex=request_id)
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise CursorInvalid from None


@router.post("/routing/versions", response_model=RuleSetOut, status_code=201)
async def create_draft(
    body: DraftIn,
    http: HttpRequest,
    session: Session,
    actor: Editor,
    key: IdempotencyKey,
    now: Now,
) -> Response:
    """A draft with the rules of the active version."""

    async def act() -> RuleSetOut:
        row = await rule_sets.create_draft(session, note=body.note or "", actor=actor, now=now)
        return await _shown(session, row)

    return await _once(http, session, actor, "draft_routing", key, now, act, status=201)


@router.post("/routing/versions/{version}/rules", response_model=RuleSetOut)
async def change_rules(
    version: Version,
    body: RulesIn,
    http: HttpRequest,
    session: Session,
    reference: ReferenceData,
    actor: Editor,
    key: IdempotencyKey,
    revision: IfMatch,
    now: Now,
) -> Response:
    """Replace the rules of a draft, or add and remove some."""

    async def act() -> RuleSetOut:
        row = await rule_sets.put_rules(
            session,
            reference,
            version,
            body.add if body.rules is None else body.rules,
            keep_all_but=body.remove if body.rules is None else None,
            revision=revision,
            actor=actor,
            now=now,
        )
        return await _shown(session, row)

    return await _once(http, session, actor, "change_routing", key, now, act)


@router.post("/routing/versions/{version}/activate", response_model=RuleSetOut)
async def activate_rule_set(
    version: Version,
    http: HttpRequest,
    session: Session,
    reference: ReferenceData,
    grids: Grids,
    actor: Editor,
    key: IdempotencyKey,
    revision: IfMatch,
    now: Now,
) -> Response:
    """From now on requests are routed by this version."""

    async def act() -> RuleSetOut:
        row = await rule_sets.activate(
            session,
            version,
            _known(reference, grids),
            revision=revision,
            today=reference.calendar.local_date(now),
            actor=actor,
            now=now,
        )
        return await _shown(session, row)

    return await _once(http, session, actor, "activate_routing", key, now, act)


@router.post("/routing/versions/{version}/discard", response_model=RuleSetOut)
async def discard_rule_set(
    version: Version,
    http: HttpRequest,
    session: Session,
    actor: Editor,
    key: IdempotencyKey,
    revision: IfMatch,
    now: Now,
) -> Response:
    """Give up a draft."""

    async def act() -> RuleSetOut:
        row = await rule_sets.discard(session, version, revision=revision, actor=actor, now=now)
        return await _shown(session, row)

    return await _once(http, session, actor, "discard_routing", key, now, act)


async def _shown(session: Session, row: RuleSetRow) -> RuleSetOut:
    return views.rule_set(row, await rule_sets.count_rules(session, row.version))


async def _once(
    http: HttpRequest,
    session: Session,
    actor: Actor,
    operation: str,
    key: str,
    now: datetime,
    act: Callable[[], Awaitable[RuleSetOut]],
    status: int = 200,
) -> Response:
    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=operation,
        key=key,
        now=now,
        act=act,
        status=status,
    )


@router.get("/requests/{request_id}/suggestions", response_model=SuggestionsOut)
async def suggest_units(
    request_id: Id,
    session: Session,
    reference: ReferenceData,
    grids: Grids,
    cipher: Cipher,
    actor: Dispatcher,
) -> SuggestionsOut:
    """派单建议: who usually has such a request, where no rule names a unit. It decides nothing."""
    row = await queries.request_to_route(session, request_id, actor)
    found = await suggesting.suggest(session, City(reference, grids, cipher), row)
    return views.suggestions(reference, str(request_id), found)
