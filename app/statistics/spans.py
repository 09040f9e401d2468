"""Spans of cohorts and their sums, as one statement reads them; exact as of its moment.

A span's sums are *clean* from when they were made until somebody touches one of its requests, which
cannot be done without an entry in the audit: nothing has to be marked. They hold what is settled;
the others of the span (``live``) are remembered by id. So what is asked is told by the clean spans,
plus their live requests, plus all requests of the gaps between them.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

from app.statistics.predicates import COUNTED, OFFICE_TENTHS, PLAIN
from app.statistics.sums import (
    CODES,
    DAY,
    MONTH,
    PERSON,
    SUBMITTED,
    SUMS,
    TENTHS,
    TIMED_DEN,
    Sum,
    local_day,
)
from app.store.session import Statement

# Longer than any transaction lives that took its time before and commits after.
OVERLAP = timedelta(hours=1)
EPOCH = date(1970, 1, 1)

# Cohorts with a request that was touched since, or not long before, they were made.
TOUCHED = f"""
SELECT {local_day("requests.submitted_at")} AS cohort, max(entry.at) AS at
FROM audit_entries AS entry JOIN requests ON requests.id = entry.chain
WHERE entry.at >= (SELECT checked_at FROM statistics_state) - :overlap::interval
GROUP BY 1"""  # noqa: S608
CLEAN = f"""
touched AS MATERIALIZED ({TOUCHED}), stale AS MATERIALIZED (
  SELECT '{DAY}' AS span, cohort AS first, at FROM touched
  UNION ALL SELECT '{MONTH}', date_trunc('month', cohort::timestamp)::date, max(at)
  FROM touched GROUP BY 2
), clean AS MATERIALIZED (
  SELECT span, first, past, live FROM statistics_spans AS kept
  WHERE ready AND (SELECT definitions FROM statistics_state) = :definitions
    AND NOT EXISTS (SELECT FROM stale WHERE stale.span = kept.span AND stale.first = kept.first
      AND stale.at >= kept.computed_at - :overlap::interval)
)"""  # noqa: S608
WORDS, KINDS = -1, -2  # rows that are no sums


def midnight(day: str) -> str:
    return f"({day}::timestamp AT TIME ZONE 'Asia/Shanghai')"


@lru_cache(maxsize=512)
def reading(wanted: tuple[Sum, ...], grains: tuple[str, ...]) -> Statement:
    """The statement that reads sums, or of each some conditions and some denominators.

    Its rows: for each of ``grains`` and each of ``wanted`` one, with the vectors of all spans put
    together (``kept``) and with requests that are not in them (``found``); what the numbers in
    ``codes`` mean; and the kinds of units.
    """
    daily = all(it.facet.is_daily for it in wanted)
    parts = [_select(number, one, grain) for grain in grains for number, one in enumerate(wanted)]
    codes = ", ".join(f"'{it}'" for it in dict.fromkeys(wanted[0].facet.codes) if it != TENTHS)
    nothing = "NULL::int[], NULL::int[], NULL::bytea, NULL::bytea[], NULL::bytea[], NULL::bytea[]"
    parts.append(f"""SELECT {WORDS}, NULL, {nothing}, array_agg(number), array_agg(code),
  array_agg(key), NULL, NULL FROM statistics_keys WHERE code IN ({codes})""")  # noqa: S608
    if "unit" in wanted[0].facet.codes:
        parts.append(f"""SELECT {KINDS}, NULL, {nothing}, NULL, array_agg(code),
  array_agg(kind), NULL, NULL FROM units""")  # noqa: S608
    return Statement(f"""WITH {CLEAN}{"".join(_spans(grain, daily) for grain in grains)}
{" UNION ALL ".join(parts)}""")


def _spans(grain: str, daily: bool) -> str:
    """The clean spans of a grain (days stand in for months that are not), the gaps, the live."""
    spans = f"SELECT * FROM clean WHERE span = '{grain}'"  # noqa: S608
    if grain == MONTH and daily:
        spans = f"""{spans} UNION ALL SELECT * FROM clean WHERE span = '{DAY}'
    AND date_trunc('month', first::timestamp)::date NOT IN (
      SELECT first FROM clean WHERE span = '{MONTH}')"""  # noqa: S608
    return f""", {grain}_spans AS MATERIALIZED ({spans}), {grain}_gaps AS MATERIALIZED (
  SELECT * FROM (
    SELECT coalesce({midnight("lag(past) OVER (ORDER BY first)")}, '-infinity') AS begins,
      {midnight("first")} AS ends FROM {grain}_spans
    UNION ALL SELECT coalesce({midnight("max(past)")}, '-infinity'), 'infinity' FROM {grain}_spans
  ) AS gap WHERE begins < ends
), {grain}_windows AS MATERIALIZED (
  SELECT first, past, {midnight("first")} AS begins, {midnight("past")} AS ends
  FROM unnest(:{grain}_first::date[], :{grain}_past::date[]) AS stretch (first, past)
)"""  # noqa: S608


def _select(number: int, one: Sum, grain: str) -> str:
    return f"""
SELECT {number} AS sum, '{grain}' AS grain, kept.*, found.*
FROM ({_kept(one, grain)}) AS kept CROSS JOIN ({_found(one, grain)}) AS found"""  # noqa: S608


def _kept(one: Sum, grain: str) -> str:
    whole = SUMS[one.facet, one.instant]
    codes = [_piece("codes", place, 4) for place in range(len(one.facet.codes))]
    counts = [_piece("counts", whole.conditions.index(it), 4) for it in plain(one.conditions)]
    people = [_piece("people", whole.dens.index(it), 8) for it in plain(one.dens)]
    return f"""
  SELECT array_agg(low - DATE '{EPOCH}') AS lows, array_agg(cells) AS sizes,
    string_agg(buckets, '') AS buckets, ARRAY[{", ".join(codes)}]::bytea[] AS codes,
    ARRAY[{", ".join(counts)}]::bytea[] AS counts, ARRAY[{", ".join(people)}]::bytea[] AS people
  FROM {grain}_spans JOIN statistics_sums USING (span, first)
  WHERE facet = '{one.facet.name}' AND instant = '{one.instant}' AND EXISTS (
    SELECT FROM {grain}_windows AS asked WHERE low < asked.past AND high >= asked.first)"""  # noqa: S608


def plain(conditions: Iterable[str]) -> tuple[str, ...]:
    """As they are kept, each once."""
    return tuple(dict.fromkeys(PLAIN[it] for it in conditions))


def _piece(column: str, place: int, size: int) -> str:
    """One vector out of several: only this is fetched of what is kept out of line."""
    return f"string_agg(substr({column}, {place * size} * cells + 1, {size} * cells), '')"


def _found(one: Sum, grain: str) -> str:
    """The same of requests: those of the gaps between clean spans, and live ones."""
    timed = TENTHS in one.facet.codes
    codes = [f"({OFFICE_TENTHS})::text" if it == TENTHS else CODES[it] for it in one.facet.codes]
    keys = [*codes, "NULL::text"][:2]
    local = f"({one.instant} AT TIME ZONE 'Asia/Shanghai')"
    bucket = f"date_trunc('month', {local})::date" if grain == MONTH else f"{local}::date"
    counts = [
        "count(*)" if it == "true" else f"count(*) FILTER (WHERE {it})" for it in one.conditions
    ]
    people = [f"coalesce(bit_or(1::bigint << {PERSON}) FILTER (WHERE {it}), 0)" for it in one.dens]
    more = ""
    if one.instant == SUBMITTED:
        more = f"""JOIN {grain}_windows AS asked
        ON gap.begins < asked.ends AND gap.ends > asked.begins"""
    edges = ("greatest(gap.begins, asked.begins)", "least(gap.ends, asked.ends)")
    begins, ends = edges if more else ("gap.begins", "gap.ends")
    return f"""
  SELECT array_agg(bucket) AS found_buckets, array_agg(k0) AS k0, array_agg(k1) AS k1,
    {_arrays("counts", counts)}, {_arrays("people", people)}
  FROM (
    SELECT {bucket} - DATE '{EPOCH}' AS bucket, {keys[0]} AS k0, {keys[1]} AS k1,
      ARRAY[{", ".join(counts)}]::bigint[] AS counts, ARRAY[{", ".join(people)}]::bigint[] AS people
    FROM (
      SELECT found.* FROM {grain}_gaps AS gap {more} CROSS JOIN LATERAL (
        SELECT * FROM requests WHERE submitted_at >= {begins} AND submitted_at < {ends} OFFSET 0
      ) AS found
      UNION ALL SELECT * FROM requests
      WHERE id = ANY(ARRAY(SELECT unnest(live) FROM {grain}_spans))
    ) AS requests {" ".join(_joins(one))} JOIN {grain}_windows AS asked
      ON {one.instant} >= asked.begins AND {one.instant} < asked.ends
    {f"WHERE {TIMED_DEN} AND requests.office_s IS NOT NULL" if timed else ""}
    GROUP BY 1, 2, 3
  ) AS one"""  # noqa: S608


def _arrays(name: str, numbers: list[str]) -> str:
    """PostgreSQL puts no empty arrays together."""
    return f"{f'array_agg({name})' if numbers else 'NULL::bigint[]'} AS found_{name}"


def _joins(one: Sum) -> Iterable[str]:
    said = {*one.conditions, *one.dens}
    return dict.fromkeys(
        it.join
        for it in COUNTED.values()
        if it.join and (it.due == one.instant or not said.isdisjoint((it.den, it.num, it.half)))
    )
