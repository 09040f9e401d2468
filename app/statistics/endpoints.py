"""/statistics over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.domain.identity import BLIND_ROLES, Actor, Permission
from app.domain.measures import Measure
from app.grids.deps import Grids
from app.people.deps import permit
from app.reference.deps import ReferenceData
from app.statistics import engine, members, periods, queries, questions, views
from app.statistics.dimensions import Filters
from app.statistics.questions import Query
from app.statistics.schemas import (
    Comparison,
    DefinitionsOut,
    FiguresIn,
    GroupBy,
    MembersIn,
    MembersOut,
    SatisfactionOut,
    StatisticsIn,
    StatisticsOut,
)
from app.web.asked import Asked
from app.web.deps import Db, Now, Session
from app.web.period import Period, span
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1/statistics", tags=["statistics"], route_class=StrictRoute)

Reader = Annotated[Actor, Depends(permit(Permission.STATISTICS_READ))]
MOST_FIGURES = 20_000  # of one answer: other people's requests wait while it is written
_MANY = frozenset({"measure", "group_by"})


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _query(asked: StatisticsIn, now: datetime) -> Query:
    since, until = periods.meant(*span(asked.first, asked.last), now)
    return Query(
        measures=tuple(dict.fromkeys(asked.measure)),
        group_by=tuple(asked.group_by),
        filters=Filters(
            unit_kind=asked.unit_kind,
            unit=asked.unit,
            grid=asked.grid,
            category=asked.category,
            channel=asked.channel,
            kind=asked.kind,
        ),
        since=since,
        until=until,
        basis=asked.basis,
    )


@router.get("", response_model=StatisticsOut)
async def get_statistics(
    actor: Reader,
    db: Db,
    now: Now,
    grids: Grids,
    reference: ReferenceData,
    asked: Annotated[FiguresIn, Depends(Asked(FiguresIn, many=_MANY))],
) -> Response:
    """统计查询: any measures, by up to two dimensions, over any period (default: all until now).

    ``compare``: with the period before, or the same a year before. ``ranked``: the place of each
    group; samples under 30 have none. Cells of fewer than five people are not told to auditors.
    One answer has at most 20,000 figures; an export has as many as there are.
    """
    query = _query(asked, now)
    people = None
    if Measure.PER_1000 in query.measures:
        people = await queries.residents(db)
    most = MOST_FIGURES if asked.compare is None else MOST_FIGURES // 2
    found = await engine.figures(db, query, actor=actor, now=now, people=people, most=most)
    if asked.ranked:
        found = engine.with_ranks(found)
    earlier = None
    if asked.compare is not None:
        years = 1 if asked.compare is Comparison.YEAR else 0
        since, until = periods.before(query.since, query.until, query.group_by, years=years)
        past = questions.over(query, since, until)
        counted = await engine.figures(db, past, actor=actor, now=now, people=people, most=most)
        earlier = (past, counted)
    return _json(views.figures_view(query, found, earlier, views.naming(reference, grids)))


@router.get("/requests", response_model=MembersOut)
async def list_counted_requests(
    actor: Reader,
    db: Db,
    session: Session,
    now: Now,
    reference: ReferenceData,
    answer: Response,
    asked: Annotated[MembersIn, Depends(Asked(MembersIn, many=_MANY | {"key"}))],
) -> dict[str, Any]:
    """统计明细: exactly the requests behind one figure, without personal data, newest first.

    The query of the figure, and ``part`` and ``key`` for the cell. ``X-Total-Count`` is the number
    that the figure tells; a cell that is not told has no list either. That an auditor or an
    administrator read it stands in the audit.
    """
    query = _query(asked, now)
    if len(asked.key) not in (0, len(query.group_by)):
        raise members.KeysMissing
    cell = (query.measures[0], asked.part, tuple(key or None for key in asked.key))
    page = await members.members(
        db, query, *cell, actor=actor, now=now, cursor=asked.cursor, limit=asked.limit
    )
    if actor.role in BLIND_ROLES and page.rows:
        await members.note_opened(session, query, *cell, actor=actor, now=now)
    if page.total is not None:
        answer.headers["X-Total-Count"] = str(page.total)
    return views.members_view(page, query.measures[0], asked.part, reference, actor)


@router.get("/satisfaction", response_model=SatisfactionOut)
async def get_satisfaction(
    actor: Reader,
    db: Db,
    now: Now,
    period: Period,
    grids: Grids,
    reference: ReferenceData,
    group_by: GroupBy = GroupBy.NONE,
) -> Response:
    """满意度统计 over the requests submitted in the period (default: all until now).

    Auditors are told what ``/statistics`` tells them: promises by when they were due, and no cells
    of fewer than five people, but for the total of all time in a city that has just begun.
    """
    found = await queries.satisfaction(db, period, group_by, actor=actor, now=now)
    return _json(views.satisfaction_view(found, group_by, views.naming(reference, grids)))


@router.get("/definitions", response_model=DefinitionsOut)
async def get_definitions(
    _actor: Annotated[Actor, Depends(permit(Permission.REFERENCE_READ))],
) -> dict[str, Any]:
    """指标口径: what each figure means, and the weights of the composite."""
    return views.definitions_view()
