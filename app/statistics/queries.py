"""The seven figures of ``/statistics/satisfaction``, and who lives where."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.identity import BLIND_ROLES, SYSTEM, Actor
from app.domain.measures import DEFINITIONS, OF_SATISFACTION, Basis, Measure
from app.domain.working_time import SHANGHAI
from app.statistics import engine, periods
from app.statistics.dimensions import Dimension, Filters
from app.statistics.engine import Cell
from app.statistics.questions import Query
from app.statistics.schemas import GroupBy
from app.store.session import Database, Statement

_DIMENSION: dict[GroupBy, tuple[Dimension, ...]] = {
    GroupBy.NONE: (),
    GroupBy.UNIT: (Dimension.UNIT,),
    GroupBy.TOWN: (Dimension.TOWN,),
    GroupBy.COMMUNITY: (Dimension.COMMUNITY,),
    GroupBy.GRID: (Dimension.GRID,),
    GroupBy.CATEGORY: (Dimension.CATEGORY_LEAF,),
    GroupBy.MONTH: (Dimension.MONTH,),
}
_BY_DUE = tuple(it for it in OF_SATISFACTION if DEFINITIONS[it].basis is Basis.DUE)
_BY_SUBMISSION = tuple(it for it in OF_SATISFACTION if it not in _BY_DUE)


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """The figures of [since, until), in total and by the key of each group.

    ``basis``: the instant by which each figure's requests were put into the period.
    """

    since: datetime
    until: datetime
    basis: Mapping[Measure, Basis]
    total: Mapping[Measure, Cell]
    groups: Mapping[str | None, Mapping[Measure, Cell]]


async def satisfaction(
    db: Database,
    period: tuple[datetime | None, datetime | None],
    group_by: GroupBy,
    *,
    actor: Actor,
    now: datetime,
) -> Satisfaction:
    """Count what was submitted in ``period`` (default: all until now).

    Who sees figures only is told what ``/statistics`` tells them, promises by when they were due:
    nearly the same requests, by another instant, could be subtracted. Where no end is named, due
    times have none either, so that the figures of all time are those by submission. In a city that
    has just begun they are told the total of all time however few are behind it (``_alone``).

    Raises: StatisticsTooFine.
    """
    by = _DIMENSION[group_by]
    if actor.role in BLIND_ROLES:
        since, until = periods.meant(*period, now)
        due_until = periods.END if period[1] is None else until
        queries = [
            Query(_BY_SUBMISSION, by, Filters(), since, until),
            Query(_BY_DUE, by, Filters(), since, due_until),
        ]
    else:
        since = period[0] or periods.BEGINNING
        until = period[1] or max(now + timedelta(seconds=1), since)
        # Nothing was submitted after now, and sums tell whole days.
        end = periods.meant(*period, now)[1] if period[1] is None else until
        queries = [Query(OF_SATISFACTION, by, Filters(), since, end, Basis.SUBMITTED)]
    total: dict[Measure, Cell] = {}
    groups: dict[str | None, dict[Measure, Cell]] = {}
    for query in queries:
        found = await engine.figures(db, query, actor=actor, now=now)
        total |= found.total
        if period == (None, None) and any(cell.suppressed for cell in found.total.values()):
            everything = replace(query, group_by=())
            seen = await engine.figures(db, everything, actor=SYSTEM, now=now)
            alone = await _alone(db, query, actor=actor, now=now)
            total |= {measure: seen.total[measure] for measure in alone}
        for (key,), cells in found.groups.items():
            groups.setdefault(key, dict.fromkeys(OF_SATISFACTION, Cell(0, 0))).update(cells)
    return Satisfaction(
        since=since,
        until=until,
        basis={it: query.basis_of(it) for query in queries for it in query.measures},
        total=total,
        groups=dict(sorted(groups.items(), key=lambda it: (it[0] is None, it[0] or ""))),
    )


# Of the register (人地房): who is known to live there now.
_RESIDENTS = Statement(
    "SELECT grid_code, count(*) AS people FROM registry_persons WHERE active GROUP BY grid_code"
)


async def _alone(db: Database, query: Query, *, actor: Actor, now: datetime) -> list[Measure]:
    """The measures of which nothing is told of any year before the running month.

    Then the total of all time is the only figure there is: no other one can be taken from it.
    """
    month = now.astimezone(SHANGHAI).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = replace(query, group_by=(Dimension.YEAR,), until=month)
    found = await engine.figures(db, before, actor=actor, now=now)
    years = found.groups.values()
    return [it for it in query.measures if all(cells[it].suppressed or not cells[it].den
                                               for cells in years)]  # fmt: skip


async def residents(db: Database) -> dict[str, int]:
    """How many people are registered in each grid; a grid without a register is not in it."""
    return {row["grid_code"]: row["people"] for row in await db.rows(_RESIDENTS)}
