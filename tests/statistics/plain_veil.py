"""What small cells hides, worked out as the rule reads: from every request, cell by cell."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from app.domain.suppression import Cell
from app.statistics.dimensions import HIERARCHY, LEVELS, Dimension, Hierarchy
from app.statistics.questions import Query
from app.store.session import Database
from tests.domain.plain_suppression import hidden
from tests.statistics.recount import ZONE

_BITS = text("SELECT id, uuid_hash(coalesce(resident_id, id)) & 63 AS person FROM requests")
Row = dict[str, Any]


async def bits_of(db: Database) -> dict[Any, int]:
    """Of each request the bit of its person."""
    async with db.transaction() as session:
        return {row.id: 1 << row.person for row in await session.execute(_BITS)}


def levels_of(query: Query) -> dict[Hierarchy, Dimension]:
    """The deepest level of each hierarchy that the query names."""
    deepest: dict[Hierarchy, Dimension] = {}
    for level in (*query.group_by, *query.filters.narrowed()):
        hierarchy = HIERARCHY[level]
        if hierarchy is not Hierarchy.TIME:
            before = deepest.get(hierarchy, level)
            deepest[hierarchy] = max(before, level, key=LEVELS[hierarchy].index)
    return dict(sorted(deepest.items()))


def hidden_cells(
    query: Query, rows: list[Row], bits: dict[Any, int], key_of: Any, now: datetime
) -> frozenset[Cell]:
    """Args: ``rows``: the requests in the denominator; ``key_of(row, level)``."""
    since = query.since.astimezone(ZONE)
    last = (query.until - timedelta(microseconds=1)).astimezone(ZONE)
    touched = (f"{since:%Y-%m}", f"{last:%Y-%m}")
    running = f"{now.astimezone(ZONE):%Y-%m}"
    by_day = {Dimension.DAY, Dimension.WEEK} & set(query.group_by) or not all(
        (it := end.astimezone(ZONE)).day == 1 and it.hour == it.minute == 0
        for end in (query.since, query.until)
    )
    known = []
    for row in rows:
        cell = tuple(
            tuple(key_of(row, level) for level in shown[: shown.index(deepest) + 1])
            for hierarchy, deepest in levels_of(query).items()
            for shown in (LEVELS[hierarchy],)
        )
        known.append((cell, row["submitted_at"].astimezone(ZONE), bits[row["id"]]))
    away: frozenset[Cell] = frozenset()
    for year in range(since.year, last.year + 1):
        of_year = [it for it in known if it[1].year == year]
        by_month = [(cell, f"{at:%Y-%m}", bit) for cell, at, bit in of_year]
        found = hidden([it for it in by_month if it[1] < running])
        if touched[1] >= running:
            found = hidden(by_month, start=found)
        if by_day:
            days = [(cell, f"{at:%Y-%m-%d}", bit) for cell, at, bit in of_year
                    if touched[0] <= f"{at:%Y-%m}" <= touched[1]]  # fmt: skip
            found = hidden(days, start=found)
        away |= found
    return away
