"""Figures counted from the requests themselves: any question, as one statement."""

from datetime import datetime
from functools import lru_cache

from app.domain import measures
from app.domain.measures import Basis, Measure, Weights
from app.statistics.dimensions import JOIN_UNITS, Dimension, key_sql, values_of, where_sql
from app.statistics.predicates import COUNTED, OFFICE_TENTHS, PERCENTILE, TENTHS
from app.statistics.questions import (
    Column,
    Keys,
    Part,
    Query,
    Tallies,
    Tally,
    by_key,
    conditions_of,
    parts_of,
)
from app.store.session import Database, Statement


async def tallies(
    db: Database, query: Query, *, now: datetime, weights: Weights = measures.CURRENT_WEIGHTS
) -> Tallies:
    """Count everything in one statement."""
    wanted = query.counted(weights)
    statement = _statement(wanted, query.group_by, tuple(query.filters.given()), query.basis)
    rows = await db.rows(
        statement,
        since=query.since,
        until=query.until,
        **({"now": now} if "now" in statement.names else {}),
        **values_of(query.filters),
    )
    parts = parts_of(wanted, query.basis)
    found: dict[Keys, dict[Measure, Tally]] = {}
    for row in rows:
        keys = tuple(row[f"k{place}"] for place in range(len(query.group_by) - row["above"]))
        into = found.setdefault(keys, {})
        counts, middles = iter(row["counts"]), iter(row["middles"])
        for measure in parts[row["part"]].measures:
            den, num = next(counts), next(counts)
            half = next(counts) if COUNTED[measure].half else 0
            tenths = next(middles) if measure in PERCENTILE else None
            middle = None if tenths is None else tenths / TENTHS
            into[measure] = Tally(row["cohort"], den, num, half, middle)
    keys_in_order = sorted(found, key=lambda keys: (len(keys), *map(by_key, keys)))
    nobody = Tally(0, 0, 0)
    return Tallies(
        keys_in_order,
        {
            measure: Column(
                *map(
                    list,
                    zip(*(found[it].get(measure, nobody) for it in keys_in_order), strict=True),
                )
            )
            for measure in wanted
        },
    )


@lru_cache(maxsize=512)
def _statement(
    wanted: tuple[Measure, ...],
    group_by: tuple[Dimension, ...],
    filters: tuple[str, ...],
    basis: Basis | None,
) -> Statement:
    parts = [
        _part(number, part, group_by, filters)
        for number, part in enumerate(parts_of(wanted, basis))
    ]
    return Statement("\nUNION ALL\n".join(parts))


def _part(
    number: int, part: Part, group_by: tuple[Dimension, ...], filters: tuple[str, ...]
) -> str:
    keys = [f"key.k{place}" for place in range(len(group_by))]
    sets = ", ".join(f"({', '.join(keys[:length])})" for length in range(len(keys) + 1))
    above = " + ".join(f"GROUPING({key})" for key in keys) or "0"
    named = "".join(f"{key}::text AS k{place}, " for place, key in enumerate(keys))
    grouped = f"GROUP BY GROUPING SETS ({sets})" if keys else ""
    return f"""SELECT {number} AS part, {above} AS above, {named}count(*) AS cohort,
  ARRAY[{", ".join(_counts(part))}]::bigint[] AS counts,
  ARRAY[{", ".join(_middles(part))}]::int[] AS middles
{source(part, group_by, filters)}
{grouped}"""


def _counts(part: Part) -> list[str]:
    return [
        "count(*)" if condition == "true" else f"count(*) FILTER (WHERE {condition})"
        for measure in part.measures
        for condition in conditions_of(measure).values()
    ]


def _middles(part: Part) -> list[str]:
    return [
        f"percentile_disc({PERCENTILE[measure]}) WITHIN GROUP (ORDER BY {OFFICE_TENTHS})"
        f" FILTER (WHERE {COUNTED[measure].den})"
        for measure in part.measures
        if measure in PERCENTILE
    ]


def source(part: Part, group_by: tuple[Dimension, ...], filters: tuple[str, ...]) -> str:
    """FROM and WHERE: the requests of a part whose instant lies in the period."""
    joins = list(part.joins)
    if Dimension.UNIT_KIND in group_by or "unit_kind" in filters:
        joins.append(JOIN_UNITS)
    if group_by:
        named = ", ".join(
            f"{key_sql(dimension, part.instant)} AS k{place}"
            for place, dimension in enumerate(group_by)
        )
        joins.append(f"CROSS JOIN LATERAL (SELECT {named}) AS key")
    conditions = [
        f"{part.instant} >= :since",
        f"{part.instant} < :until",
        *map(where_sql, filters),
    ]
    return f"""FROM requests {" ".join(joins)}
WHERE {" AND ".join(conditions)}"""
