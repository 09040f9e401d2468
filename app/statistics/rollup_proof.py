"""The proof that sums are right: every number of every clean span, counted again by the database,
and every column of every cohort of which nobody was touched.

Tests ask for it after every module that leaves requests behind.
"""

from datetime import date
from typing import Any

import numpy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.statistics.cohorts import JOIN_KEYS, TOGETHER
from app.statistics.predicates import OFFICE_TENTHS
from app.statistics.rollup_making import bound
from app.statistics.spans import CLEAN, OVERLAP, TOUCHED
from app.statistics.sums import (
    CODES,
    DAY,
    DEFINED,
    EPOCH,
    JOINS,
    MONTH,
    PERSON,
    SETTLED,
    SUBMITTED,
    SUMS,
    TENTHS,
    TIMED_DEN,
    Sum,
    local_day,
)

# (first day of the span, bucket, code, code) → counts, people
_Numbers = dict[tuple[Any, ...], tuple[list[int], list[int]]]

_CLEAN = bound(f"WITH {CLEAN} SELECT span, first FROM clean")  # noqa: S608
_KEPT = text("""
SELECT first, low, cells, buckets, codes, counts, people FROM statistics_sums
WHERE facet = :facet AND instant = :instant AND span = :span
""")
_COHORTS = f"""
WITH touched AS MATERIALIZED ({TOUCHED})
SELECT kept.first FROM statistics_cohorts AS kept JOIN (
  SELECT kept.first, {TOGETHER} AS columns
  FROM requests {JOINS} {JOIN_KEYS} JOIN statistics_cohorts AS kept
    ON kept.first = {local_day(SUBMITTED)} GROUP BY kept.first
) AS made USING (first)
WHERE kept.columns <> made.columns AND NOT EXISTS (SELECT FROM touched
  WHERE cohort = kept.first AND at >= kept.computed_at - :overlap::interval)
ORDER BY kept.first"""  # noqa: S608
_OTHER_COHORTS = bound(_COHORTS.replace(":now::timestamptz", "kept.computed_at"))
_WORDS = text("SELECT number, key FROM statistics_keys")


async def differences(session: AsyncSession) -> list[str]:
    """What the sums of clean spans say other than the requests do; nothing, when all is well."""
    given = {"overlap": OVERLAP, "definitions": DEFINED}
    clean = {(row.span, row.first) for row in await session.execute(_CLEAN, given)}
    words = {row.number: row.key for row in await session.execute(_WORDS)}
    others = await session.scalars(_OTHER_COHORTS, {"overlap": OVERLAP})
    wrong = [f"the cohort of {first}" for first in others]
    for span in (DAY, MONTH):
        firsts = {first for kind, first in clean if kind == span}
        for one in SUMS.values():
            if span == DAY and not one.facet.is_daily:
                continue
            kept = await _kept(session, one, span, firsts, words)
            counted = await _counted(session, one, span, firsts)
            if kept != counted:
                places = {it for it in {*kept, *counted} if kept.get(it) != counted.get(it)}
                name = f"{span}s, {one.facet.name}, {one.instant}"
                wrong.append(f"{name}: {len(places)} cells, as {min(places, key=str)}")
    return wrong


async def _kept(
    session: AsyncSession, one: Sum, span: str, firsts: set[date], words: dict[int, str]
) -> _Numbers:
    found: _Numbers = {}
    asked = {"facet": one.facet.name, "instant": one.instant, "span": span}
    for row in await session.execute(_KEPT, asked):
        if row.first not in firsts:
            continue
        shape = (-1, row.cells)
        low = (row.low - EPOCH).days
        buckets = numpy.full(row.cells, low) if row.buckets is None else _ints(row.buckets)
        codes = _ints(row.codes).reshape(shape)
        counts = _ints(row.counts).reshape(shape)
        people = numpy.frombuffer(row.people, dtype="<u8").reshape(shape)
        for at in range(row.cells):
            keys = [
                str(codes[place, at]) if code == TENTHS else words[int(codes[place, at])]
                for place, code in enumerate(one.facet.codes)
            ]
            numbers = (counts[:, at].tolist(), people[:, at].tolist())
            found[(row.first, int(buckets[at]), *keys)] = numbers
    return found


def _ints(kept: bytes) -> Any:
    return numpy.frombuffer(kept, dtype="<i4")


async def _counted(session: AsyncSession, one: Sum, span: str, firsts: set[date]) -> _Numbers:
    found: _Numbers = {}
    for row in await session.execute(text(_sql(one, span))):
        if row.first in firsts:
            people = [it % 2**64 for it in row.people]
            found[(row.first, row.bucket, *row.keys)] = (list(row.counts), people)
    return found


def _sql(one: Sum, span: str) -> str:
    codes = [
        f"({OFFICE_TENTHS})::text" if it == TENTHS else f"coalesce({CODES[it]}, '')"
        for it in one.facet.codes
    ]

    def first_of(instant: str) -> str:
        day = local_day(instant)
        return f"date_trunc('month', {day}::timestamp)::date" if span == MONTH else day

    counts = [f"count(*) FILTER (WHERE {it})" for it in one.conditions]
    people = [f"coalesce(bit_or(1::bigint << {PERSON}) FILTER (WHERE {it}), 0)" for it in one.dens]
    timed = (
        f"AND {TIMED_DEN} AND requests.office_s IS NOT NULL" if TENTHS in one.facet.codes else ""
    )
    sql = f"""
SELECT kept.first, {first_of(one.instant)} - DATE '{EPOCH}' AS bucket,
  ARRAY[{", ".join(codes)}] AS keys, ARRAY[{", ".join(counts)}]::bigint[] AS counts,
  ARRAY[{", ".join(people)}]::bigint[] AS people
FROM requests {JOINS} JOIN statistics_spans AS kept
  ON kept.span = '{span}' AND kept.first = {first_of(SUBMITTED)} AND kept.ready
WHERE {SETTLED} AND {one.instant} IS NOT NULL {timed}
GROUP BY 1, 2, 3"""  # noqa: S608
    return sql.replace(":now::timestamptz", "kept.computed_at")
