"""The seven figures of ``/statistics/satisfaction``, and who lives where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.identity import BLIND_ROLES, SYSTEM, Actor
from app.domain.measures import DEFINITIONS, OF_SATISFACTION, Basis, Measure
from app.domain.working_time import SHANGHAI
from app.statistics import engine, periods
from app.statistics.dimensions import Dimension, Filters
from app.statistics.questions import Keys, Query, by_key
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


class Said(NamedTuple):
    """A figure, or that it is not told."""

    num: int
    den: int
    suppressed: bool = False


NOT_TOLD = Said(0, 0, suppressed=True)
_NOBODY = dict.fromkeys(OF_SATISFACTION, Said(0, 0))


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """The figures of [since, until), in total and by the key of each group.

    ``basis``: the instant by which each figure's requests were put into the period.
    """

    since: datetime
    until: datetime
    basis: Mapping[Measure, Basis]
    total: Mapping[Measure, Said]
    groups: Mapping[str | None, Mapping[Measure, Said]]


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
        queries = [Query(OF_SATISFACTION, by, Filters(), since, until)]
        if period[1] is None:
            queries = [
                Query(_BY_SUBMISSION, by, Filters(), since, until),
                Query(_BY_DUE, by, Filters(), since, periods.END),
            ]
    else:
        since = period[0] or periods.BEGINNING
        until = period[1] or max(now + timedelta(seconds=1), since)
        # Nothing was submitted after now, and sums tell whole days.
        end = periods.meant(*period, now)[1] if period[1] is None else until
        queries = [Query(OF_SATISFACTION, by, Filters(), since, end, Basis.SUBMITTED)]
    every: dict[Keys, Mapping[Measure, Said]] = {}
    for query in queries:
        found = await _said(db, query, actor=actor, now=now)
        total = found[()]
        if period == (None, None) and any(figure.suppressed for figure in total.values()):
            seen = await _said(db, replace(query, group_by=()), actor=SYSTEM, now=now)
            alone = await _alone(db, query, actor=actor, now=now)
            found[()] = {**total, **{measure: seen[()][measure] for measure in alone}}
        for keys, figures in found.items():
            every[keys] = {**every.get(keys, _NOBODY), **figures}
    total = every.pop(())
    return Satisfaction(
        since=since,
        until=until,
        basis={it: query.basis_of(it) for query in queries for it in query.measures},
        total=total,
        groups={key: every[(key,)] for key in sorted((key for (key,) in every), key=by_key)},
    )


async def _said(
    db: Database, query: Query, *, actor: Actor, now: datetime
) -> dict[Keys, Mapping[Measure, Said]]:
    """Without intervals and ranks: there are tens of thousands of them."""
    veil, found = await engine.look(db, query, actor=actor, now=now)
    hidden = veil.hidden_of(found.keys) if veil is not None else {}
    columns = []
    for measure, column in found.columns.items():
        figures: Iterable[Said] = map(Said, column.num, column.den)
        if measure in hidden:
            pairs = zip(hidden[measure], figures, strict=True)
            figures = [NOT_TOLD if away else figure for away, figure in pairs]
        columns.append(figures)
    rows = zip(*columns, strict=True)
    measures = list(found.columns)
    told = (dict(zip(measures, row, strict=True)) for row in rows)
    return dict(zip(found.keys, told, strict=True))


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
    found = await _said(db, before, actor=actor, now=now)
    del found[()]
    return [
        it
        for it in query.measures
        if all(year[it].suppressed or not year[it].den for year in found.values())
    ]


async def residents(db: Database) -> dict[str, int]:
    """How many people are registered in each grid; a grid without a register is not in it."""
    return {row["grid_code"]: row["people"] for row in await db.rows(_RESIDENTS)}
