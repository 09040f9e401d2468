"""Spans of cohorts and their sums, as one statement reads them; exact as of its moment.

A span's sums are *clean* from when they were made until somebody touches one of its requests, which
cannot be done without an entry in the audit: nothing has to be marked. They hold what is settled;
the others of the span (``live``) are remembered by id. Where spans are not clean, their cohorts
stand in, request by request, but for those that were touched. So what is asked is told by the clean
spans, by the cohorts between them, by the requests that these leave out, and by all requests of the
days that have neither.
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache

from app.statistics.cohorts import needed
from app.statistics.predicates import COUNTED, LOOKED_UP, OFFICE_TENTHS, PLAIN
from app.statistics.sums import (
    CODES,
    DAY,
    EPOCH,
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

# Longer than any transaction lives that took its time before and commits after: a statement may
# take 5 s, and nobody is silent for 10 (``DatabaseSettings``); what loads more calls ``forget``.
OVERLAP = timedelta(minutes=20)

# Requests that were touched since, or not long before, sums were looked after. The planner cannot
# know how few they are: a range with two ends makes it think of an index, LATERAL of looking each
# request up by itself.
TOUCHED = f"""
SELECT requests.id, {local_day("requests.submitted_at")} AS cohort, entry.at
FROM (
  SELECT chain, max(at) AS at FROM audit_entries
  WHERE at >= (SELECT checked_at FROM statistics_state) - :overlap::interval AND at <= 'infinity'
  GROUP BY chain OFFSET 0
) AS entry CROSS JOIN LATERAL (
  SELECT id, submitted_at FROM requests WHERE id = entry.chain OFFSET 0
) AS requests"""  # noqa: S608
STALE = f"""
  SELECT '{DAY}' AS span, cohort AS first, max(at) AS at FROM touched GROUP BY 2
  UNION ALL SELECT '{MONTH}', date_trunc('month', cohort::timestamp)::date, max(at)
  FROM touched GROUP BY 2"""  # noqa: S608
CLEAN = f"""
touched AS MATERIALIZED ({TOUCHED}), stale AS MATERIALIZED ({STALE}), clean AS MATERIALIZED (
  SELECT span, first, past, live FROM statistics_spans AS kept
  WHERE ready AND (SELECT definitions FROM statistics_state) = :definitions
    AND NOT EXISTS (SELECT FROM stale WHERE stale.span = kept.span AND stale.first = kept.first
      AND stale.at >= kept.computed_at - :overlap::interval)
)"""  # noqa: S608
WORDS, KINDS, COHORTS = -1, -2, -3  # rows that are no sums


def midnight(day: str) -> str:
    return f"({day}::timestamp AT TIME ZONE 'Asia/Shanghai')"


@lru_cache(maxsize=512)
def reading(wanted: tuple[Sum, ...], grains: tuple[str, ...]) -> Statement:
    """The statement that reads sums, or of each some conditions and some denominators.

    Its rows: for each of ``grains`` and each of ``wanted`` one, with the vectors of all spans put
    together (``kept``) and with requests that are not in them (``found``); for each grain one with
    the columns of cohorts; what the numbers in ``codes`` mean; and the kinds of units.
    """
    daily = all(it.facet.is_daily for it in wanted)
    inside = all(it.instant == SUBMITTED for it in wanted)
    parts = [_select(number, one, grain) for grain in grains for number, one in enumerate(wanted)]
    codes = ", ".join(f"'{it}'" for it in dict.fromkeys(wanted[0].facet.codes) if it != TENTHS)
    nothing = "NULL::int[], NULL::int[], NULL::bytea, NULL::bytea[], NULL::bytea[], NULL::bytea[]"
    parts += [_cohorts(wanted, grain) for grain in grains]
    parts.append(f"""SELECT {WORDS}, NULL, {nothing}, array_agg(number), array_agg(code),
  array_agg(key), NULL, NULL FROM statistics_keys WHERE code IN ({codes})""")  # noqa: S608
    if "unit" in wanted[0].facet.codes:
        parts.append(f"""SELECT {KINDS}, NULL, {nothing}, NULL, array_agg(code),
  array_agg(kind), NULL, NULL FROM units""")  # noqa: S608
    before = "".join(_spans(grain, daily, inside) for grain in grains)
    # Up to half of its time would go into planning it.
    return Statement(f"WITH {CLEAN}{before}\n{' UNION ALL '.join(parts)}", planned_once=True)


def _spans(grain: str, daily: bool, inside: bool) -> str:
    """The clean spans of a grain (days stand in for months that are not), the cohorts of the days
    that have none, the gaps that are left, and who must be looked up (``fresh``).

    Args:
        inside: cohorts outside the windows have nothing to say.
    """
    spans = f"SELECT * FROM clean WHERE span = '{grain}'"  # noqa: S608
    if grain == MONTH and daily:
        spans = f"""{spans} UNION ALL SELECT * FROM clean WHERE span = '{DAY}'
    AND date_trunc('month', first::timestamp)::date NOT IN (
      SELECT first FROM clean WHERE span = '{MONTH}')"""  # noqa: S608
    asked = f"""AND EXISTS (SELECT FROM {grain}_windows AS asked
      WHERE kept.first >= asked.first AND kept.first < asked.past)"""
    return f""", {grain}_windows AS MATERIALIZED (
  SELECT first, past, {midnight("first")} AS begins, {midnight("past")} AS ends
  FROM unnest(:{grain}_first::date[], :{grain}_past::date[]) AS stretch (first, past)
), {grain}_spans AS MATERIALIZED ({spans}), {grain}_cohorts AS MATERIALIZED (
  SELECT * FROM statistics_cohorts AS kept
  WHERE (SELECT definitions FROM statistics_state) = :definitions
    AND (holds_until > :now::timestamptz) IS NOT FALSE {asked if inside else ""}
    AND first NOT IN (SELECT first FROM {grain}_spans WHERE span = '{DAY}')
    AND date_trunc('month', first::timestamp)::date NOT IN (
      SELECT first FROM {grain}_spans WHERE span = '{MONTH}')
), {grain}_left AS MATERIALIZED (
  SELECT touched.id FROM touched JOIN {grain}_cohorts AS kept ON kept.first = touched.cohort
  WHERE touched.at >= kept.computed_at - :overlap::interval
  UNION SELECT unnest(apart) FROM {grain}_cohorts
), {grain}_fresh AS MATERIALIZED (
  SELECT * FROM requests WHERE id = ANY(ARRAY(
    SELECT id FROM {grain}_left UNION ALL SELECT unnest(live) FROM {grain}_spans))
), {grain}_gaps AS MATERIALIZED (
  WITH known AS (
    SELECT first, past FROM {grain}_spans UNION ALL SELECT first, first + 1 FROM {grain}_cohorts
  ) SELECT * FROM (
    SELECT coalesce({midnight("lag(past) OVER (ORDER BY first)")}, '-infinity') AS begins,
      {midnight("first")} AS ends FROM known
    UNION ALL SELECT coalesce({midnight("max(past)")}, '-infinity'), 'infinity' FROM known
  ) AS gap WHERE begins < ends
)"""  # noqa: S608


def _cohorts(wanted: tuple[Sum, ...], grain: str) -> str:
    """The columns of cohorts that tell what is wanted, and whom they leave out."""
    pieces = ", ".join(
        f"string_agg(substr(columns, {it.offset} * requests + 1, {it.width} * requests), '')"
        for it in needed(wanted)
    )
    return f"""
SELECT {COHORTS}, '{grain}', array_agg(first - DATE '{EPOCH}'), array_agg(requests),
  (SELECT string_agg(uuid_send(id), '') FROM {grain}_left), ARRAY[{pieces}]::bytea[], NULL, NULL,
  NULL, NULL, NULL, NULL, NULL
FROM (SELECT * FROM {grain}_cohorts ORDER BY first) AS kept"""  # noqa: S608


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
    """The same of requests: those of the gaps, and those that are looked up."""
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
    joins = _joins(one)

    def counted(requests: str, joins: Iterable[str]) -> str:
        return f"""
    SELECT {bucket} - DATE '{EPOCH}' AS bucket, {keys[0]} AS k0, {keys[1]} AS k1,
      ARRAY[{", ".join(counts)}]::bigint[] AS counts, ARRAY[{", ".join(people)}]::bigint[] AS people
    FROM {requests} AS requests {" ".join(joins)} JOIN {grain}_windows AS asked
      ON {one.instant} >= asked.begins AND {one.instant} < asked.ends
    {f"WHERE {TIMED_DEN} AND requests.office_s IS NOT NULL" if timed else ""}
    GROUP BY 1, 2, 3"""  # noqa: S608

    in_gaps = f"""(SELECT found.* FROM {grain}_gaps AS gap {more} CROSS JOIN LATERAL (
        SELECT * FROM requests WHERE submitted_at >= {begins} AND submitted_at < {ends} OFFSET 0
      ) AS found)"""  # noqa: S608
    return f"""
  SELECT array_agg(bucket) AS found_buckets, array_agg(k0) AS k0, array_agg(k1) AS k1,
    {_arrays("counts", counts)}, {_arrays("people", people)}
  FROM ({counted(in_gaps, joins)} UNION ALL
    {counted(f"{grain}_fresh", [LOOKED_UP[it] for it in joins])}
  ) AS one"""  # noqa: S608


def _arrays(name: str, numbers: list[str]) -> str:
    """PostgreSQL puts no empty arrays together."""
    return f"{f'array_agg({name})' if numbers else 'NULL::bigint[]'} AS found_{name}"


def _joins(one: Sum) -> list[str]:
    said = {*one.conditions, *one.dens}
    found = dict.fromkeys(
        it.join
        for it in COUNTED.values()
        if it.join and (it.due == one.instant or not said.isdisjoint((it.den, it.num, it.half)))
    )
    return list(found)
