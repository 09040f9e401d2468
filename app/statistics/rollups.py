"""Figures from sums that were made before: the same as from the requests, at any moment, sooner."""

from datetime import date, datetime

from app.domain import measures
from app.domain.measures import Weights
from app.domain.working_time import SHANGHAI
from app.statistics.dimensions import FINER_THAN_A_MONTH
from app.statistics.predicates import PERCENTILE, PLAIN
from app.statistics.questions import Query, Tallies, conditions_of, parts_of
from app.statistics.sheets import Windows, read
from app.statistics.sums import EVERYBODY, SUBMITTED, SUMS, Facet, Sum, facet_of
from app.statistics.tallying import tallies_of
from app.store.session import Database


def covers(query: Query, weights: Weights = measures.CURRENT_WEIGHTS) -> bool:
    """Whether sums can tell all that is asked; the one place that decides it.

    Whole days; at most two hierarchies, each measure by an instant for which it is kept; whole
    months where days are not kept; office time by at most one hierarchy.
    """
    facet = facet_of(query.group_by, query.filters)
    if facet is None or not (_is_midnight(query.since) and _is_midnight(query.until)):
        return False
    if not facet.is_daily and not in_whole_months(query):
        return False
    wanted = query.counted(weights)
    for part in parts_of(wanted, query.basis):
        kept = SUMS.get((facet, part.instant))
        said = {PLAIN[it] for measure in part.measures for it in conditions_of(measure).values()}
        if kept is None or not said.issubset(kept.conditions):
            return False
        middles = not set(part.measures).isdisjoint(PERCENTILE)
        if middles and (facet.timed, part.instant) not in SUMS:
            return False
    return True


def in_whole_months(query: Query) -> bool:
    """Whether no day needs to be told from another of its month."""
    return FINER_THAN_A_MONTH.isdisjoint(query.group_by) and all(
        _is_midnight(it) and it.astimezone(SHANGHAI).day == 1 for it in (query.since, query.until)
    )


def _is_midnight(instant: datetime) -> bool:
    local = instant.astimezone(SHANGHAI)
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)


def days_of(query: Query) -> tuple[date, date]:
    """[first, past) in local days."""
    return query.since.astimezone(SHANGHAI).date(), query.until.astimezone(SHANGHAI).date()


async def tallies(
    db: Database, query: Query, *, now: datetime, weights: Weights = measures.CURRENT_WEIGHTS
) -> Tallies:
    """As ``counting.tallies``, of what ``covers`` says."""
    wanted = wanted_of(query, weights)
    sheet = await read(db, wanted, _windows(query), now=now)
    return tallies_of(sheet, query, weights)


def wanted_of(query: Query, weights: Weights, *, veiled: bool = False) -> list[Sum]:
    """Which sums, and what of each, tell the figures; with people where some may be hidden."""
    facet = facet_of(query.group_by, query.filters) or Facet(())
    wanted = query.counted(weights)
    found = []
    for part in parts_of(wanted, query.basis):
        said = [it for measure in part.measures for it in conditions_of(measure).values()]
        dens = [conditions_of(measure)["den"] for measure in part.measures] if veiled else []
        found.append(
            Sum(
                facet,
                part.instant,
                tuple(dict.fromkeys([EVERYBODY, *said])),
                tuple(dict.fromkeys(dens)),
            )
        )
    if any(measure in PERCENTILE for measure in wanted):
        found.append(Sum(facet.timed, SUBMITTED, (EVERYBODY,), ()))
    return found


def _windows(query: Query) -> Windows:
    """Whole months as such, as far as there are and may be."""
    first, past = days_of(query)
    if first >= past:
        return Windows(((first, first),), ())
    if not FINER_THAN_A_MONTH.isdisjoint(query.group_by):
        return Windows((), ((first, past),))
    inner = first if first.day == 1 else next_month(first)
    outer = past.replace(day=1)
    if inner >= outer:
        return Windows((), ((first, past),))
    edges = ((first, inner), (outer, past))
    return Windows(((inner, outer),), tuple(it for it in edges if it[0] < it[1]))


def next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
