"""Figures from sums that were made before, exact at any moment, and the job that makes them.

A cohort is what was submitted on one local day. Its requests that have ended, and whose due times
have passed, count for the same for ever, unless somebody touches them: they are summed, by day and
by each facet. The others (``live``) are remembered by id and counted when asked. ``predicates`` may
look at the present only for requests that have not ended, or whose due times lie ahead.

Whoever touches a request writes an audit entry, so nothing has to be marked: a cohort is stale from
the first entry on of one of its requests. Stale ones are counted from the requests themselves until
the job has made them anew, which it does once they have been left alone for ``OVERLAP``: longer
than any transaction lives that took its time before and commits after.

So the sums are never behind: a figure is, in one statement as of one moment, the sums of the clean
cohorts, plus their live requests, plus all requests of the other cohorts.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from app.domain import measures
from app.domain.measures import DEFINITIONS, Basis, Measure, Weights
from app.domain.working_time import SHANGHAI
from app.statistics.dimensions import (
    HIERARCHY,
    JOIN_UNITS,
    Dimension,
    Hierarchy,
    key_sql,
    values_of,
    where_sql,
)
from app.statistics.engine import Keys, Part, Query, Tally, parts_of
from app.statistics.predicates import COUNTED, PERCENTILE, instant_of
from app.store.session import Database, Statement

OVERLAP = timedelta(hours=1)

# What is grouped or narrowed → which keys are kept, as an expression over requests and as the
# column of requests that the key stands for.
FACETS: Mapping[str, tuple[str, str]] = {
    "unit": ("requests.unit_code", "unit_code"),
    "place": ("left(requests.grid_code, 12)", "grid_code"),
    "grid": ("left(requests.grid_code, 15)", "grid_code"),
    "category": ("requests.category_code", "category_code"),
    "channel": ("requests.channel", "channel"),
    "kind": ("requests.kind", "kind"),
}
_FACET_OF = {
    Hierarchy.UNITS: "unit",
    Hierarchy.PLACES: "place",
    Hierarchy.CATEGORIES: "category",
    Hierarchy.CHANNELS: "channel",
    Hierarchy.KINDS: "kind",
}
_ANY_FACET = "channel"  # the one with the fewest keys
SUBMITTED = "requests.submitted_at"
_ROLLED = tuple(measure for measure in COUNTED if measure not in PERCENTILE)
# Each instant with the facets that are kept for it.
INSTANTS: Mapping[str, tuple[str, ...]] = {
    SUBMITTED: tuple(FACETS),
    **{
        instant: tuple(facet for facet in FACETS if facet != "grid")
        for measure in _ROLLED
        if (instant := instant_of(measure, DEFINITIONS[measure].basis)) != SUBMITTED
    },
}
# All conditions once, and where each stands in ``counts`` (from 1, after the number of requests).
_CONDITIONS = tuple(
    dict.fromkeys(
        condition
        for measure in _ROLLED
        for condition in (COUNTED[measure].den, COUNTED[measure].num, COUNTED[measure].half)
        if condition and condition != "true"
    )
)
PLACES: Mapping[str, int] = {
    "true": 1,
    **{condition: place for place, condition in enumerate(_CONDITIONS, 2)},
}
JOINS = " ".join(dict.fromkeys(it.join for it in COUNTED.values() if it.join))
# Sums that were made by other definitions are no sums of ours.
DEFINED = sha256(repr((INSTANTS, FACETS, PLACES, JOINS)).encode()).hexdigest()
SETTLED = """(requests.ended_at IS NOT NULL
  AND greatest(requests.contact_due_at, requests.reply_due_at) <= :now::timestamptz)"""


def local_day(instant: str) -> str:
    return f"({instant} AT TIME ZONE 'Asia/Shanghai')::date"


# --- reading -------------------------------------------------------------------------------------

# Cohorts with a request that was touched since, or not long before, they were made.
STALE = f"""
SELECT DISTINCT {local_day("requests.submitted_at")} AS cohort, max(entry.at) AS at
FROM audit_entries AS entry JOIN requests ON requests.id = entry.chain
WHERE entry.at >= (SELECT checked_at FROM statistics_state) - :overlap::interval
GROUP BY 1"""  # noqa: S608


def covers(query: Query, weights: Weights = measures.CURRENT_WEIGHTS) -> bool:
    """Whether all that is asked can be put together from sums: at most one facet, whole days."""
    wanted = query.counted(weights)
    if any(measure in PERCENTILE for measure in wanted) or _facet(query) is None:
        return False
    for part in parts_of(wanted, query.basis):
        if _facet(query) not in INSTANTS.get(part.instant, ()):
            return False
        if part.instant != SUBMITTED and not (
            _is_midnight(query.since) and _is_midnight(query.until)
        ):
            return False
    return True


def _facet(query: Query) -> str | None:
    """The one that says enough; None: no single one does."""
    cuts = query.filters.narrowed()
    wanted = {_FACET_OF[HIERARCHY[it]] for it in (*query.group_by, *cuts)
              if HIERARCHY[it] is not Hierarchy.TIME}  # fmt: skip
    if len(wanted) > 1:
        return None
    facet = next(iter(wanted), _ANY_FACET)
    if facet == "place":
        digits = len(query.filters.grid or "")
        if digits > 15:
            return None
        if digits > 12 or Dimension.GRID in (*query.group_by, *cuts):
            return "grid"
    return facet


def _is_midnight(instant: datetime) -> bool:
    local = instant.astimezone(SHANGHAI)
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)


async def tallies(
    db: Database, query: Query, *, now: datetime, weights: Weights = measures.CURRENT_WEIGHTS
) -> dict[Keys, dict[Measure, Tally]]:
    """As ``engine.tallies``, of what ``covers`` says. The same figures, only sooner."""
    wanted = query.counted(weights)
    facet = _facet(query) or _ANY_FACET
    statement = _statement(wanted, query.group_by, tuple(query.filters.given()), query.basis, facet)
    since, until = (it.astimezone(SHANGHAI) for it in (query.since, query.until))
    values = {
        "since": query.since,
        "until": query.until,
        "first": since.date() + timedelta(days=0 if _is_midnight(since) else 1),
        "end": until.date(),
        "overlap": OVERLAP,
        "definitions": DEFINED,
        "now": now,
        **values_of(query.filters),
    }
    rows = await db.rows(statement, **{name: values[name] for name in statement.names})
    parts = parts_of(wanted, query.basis)
    sums: dict[tuple[int, Keys], list[int]] = {}
    for row in rows:
        keys = tuple(row[f"k{place}"] for place in range(len(query.group_by) - row["above"]))
        more = [row["cohort"] or 0, *(it or 0 for it in row["counts"])]
        known = sums.get((row["part"], keys))
        sums[row["part"], keys] = (
            more if known is None else [a + b for a, b in zip(known, more, strict=True)]
        )
    found: dict[Keys, dict[Measure, Tally]] = {}
    for (part, keys), (cohort, *counted) in sums.items():
        if not cohort and keys:
            continue
        counts = iter(counted)
        into = found.setdefault(keys, {})
        for measure in parts[part].measures:
            den, num = next(counts), next(counts)
            into[measure] = Tally(cohort, den, num, next(counts) if COUNTED[measure].half else 0)
    return dict(
        sorted(found.items(), key=lambda it: (len(it[0]), *((k is None, k or "") for k in it[0])))
    )


@lru_cache(maxsize=512)
def _statement(
    wanted: tuple[Measure, ...],
    group_by: tuple[Dimension, ...],
    filters: tuple[str, ...],
    basis: Basis | None,
    facet: str,
) -> Statement:
    selects = []
    for number, part in enumerate(parts_of(wanted, basis)):
        selects.append(_from_sums(number, part, group_by, filters, facet))
        selects.append(_from_requests(number, part, group_by, filters))
    return Statement(f"""
WITH touched AS ({STALE}), clean AS MATERIALIZED (
  SELECT cohort, live FROM statistics_days AS day
  WHERE ready AND (SELECT definitions FROM statistics_state) = :definitions
    AND NOT EXISTS (SELECT FROM touched WHERE touched.cohort = day.cohort
      AND touched.at >= day.computed_at - :overlap::interval)
), inside AS MATERIALIZED (
  SELECT cohort, live FROM clean WHERE cohort >= :first::date AND cohort < :end::date
), live AS MATERIALIZED (SELECT unnest(live) AS id FROM clean)
{" UNION ALL ".join(selects)}""")  # noqa: S608


def _select(number: int, keys: int, cohort: str, counts: list[str], source: str) -> str:
    named = [f"key.k{place}" for place in range(keys)]
    sets = ", ".join(f"({', '.join(named[:length])})" for length in range(keys + 1))
    above = " + ".join(f"GROUPING({key})" for key in named) or "0"
    told = "".join(f"{key}::text AS k{place}, " for place, key in enumerate(named))
    grouped = f"GROUP BY GROUPING SETS ({sets})" if named else ""
    return f"""(SELECT {number} AS part, {above} AS above, {told}{cohort}::bigint AS cohort,
  ARRAY[{", ".join(counts)}]::bigint[] AS counts FROM {source} {grouped})"""  # noqa: S608


def _asked(part: Part) -> list[str]:
    return [
        condition
        for measure in part.measures
        for condition in (COUNTED[measure].den, COUNTED[measure].num, COUNTED[measure].half)
        if condition
    ]


def _keyed(group_by: tuple[Dimension, ...], filters: tuple[str, ...], instant: str) -> str:
    joins = []
    if Dimension.UNIT_KIND in group_by or "unit_kind" in filters:
        joins.append(JOIN_UNITS)
    if group_by:
        keys = ", ".join(f"{key_sql(it, instant)} AS k{n}" for n, it in enumerate(group_by))
        joins.append(f"CROSS JOIN LATERAL (SELECT {keys}) AS key")
    return " ".join(joins)


def _from_sums(
    number: int, part: Part, group_by: tuple[Dimension, ...], filters: tuple[str, ...], facet: str
) -> str:
    """Sums that look like requests: the key in its column, the day's first moment as instant."""
    cohorts = "inside" if part.instant == SUBMITTED else "clean"
    source = f"""(SELECT nullif(key, '') AS {FACETS[facet][1]}, counts,
    day::timestamp AT TIME ZONE 'Asia/Shanghai' AS instant
  FROM statistics_rollups AS rolled
  WHERE facet = '{facet}' AND instant = '{part.instant}' AND day >= :first::date
    AND day < :end::date AND cohort IN (SELECT cohort FROM {cohorts})) AS requests
  {_keyed(group_by, filters, "requests.instant")}
  {"WHERE " + " AND ".join(map(where_sql, filters)) if filters else ""}"""  # noqa: S608
    counts = [f"sum(requests.counts[{PLACES[condition]}])" for condition in _asked(part)]
    return _select(number, len(group_by), "sum(requests.counts[1])", counts, source)


def _from_requests(
    number: int, part: Part, group_by: tuple[Dimension, ...], filters: tuple[str, ...]
) -> str:
    """Requests of the gaps between clean cohorts, and live ones."""
    submitted = part.instant == SUBMITTED
    low = "greatest(gap.begins, :since)" if submitted else "gap.begins"
    high = "least(gap.ends, :until)" if submitted else "gap.ends"
    cohorts = "inside" if submitted else "clean"
    edge = "(day::timestamp AT TIME ZONE 'Asia/Shanghai')"
    source = f"""(
    SELECT found.* FROM (
      SELECT coalesce({edge.replace("day", "lag(cohort + 1) OVER (ORDER BY cohort)")}, '-infinity')
          AS begins, {edge.replace("day", "cohort")} AS ends FROM {cohorts}
      UNION ALL SELECT coalesce({edge.replace("day", "max(cohort + 1)")}, '-infinity'), 'infinity'
      FROM {cohorts}
    ) AS gap CROSS JOIN LATERAL (
      SELECT * FROM requests WHERE submitted_at >= {low} AND submitted_at < {high} OFFSET 0
    ) AS found WHERE gap.begins < gap.ends
    UNION ALL SELECT requests.* FROM requests WHERE id = ANY(ARRAY(SELECT id FROM live))
      AND {local_day("submitted_at")} IN (SELECT cohort FROM {cohorts})
  ) AS requests {" ".join(part.joins)} {_keyed(group_by, filters, part.instant)}
  WHERE {
        " AND ".join(
            (f"{part.instant} >= :since", f"{part.instant} < :until", *map(where_sql, filters))
        )
    }"""  # noqa: S608
    counts = [
        "count(*)" if condition == "true" else f"count(*) FILTER (WHERE {condition})"
        for condition in _asked(part)
    ]
    return _select(number, len(group_by), "count(*)", counts, source)
