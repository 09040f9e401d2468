"""Writing what a resident says of a cycle, and with it how many ratings came near it.

A crowd of ratings (``domain.anomalies``) is looked for long after, when there are many more. So
each is written with two counts, by which an index finds the few that may be in one: of the same
account within ``ACCOUNT_AT_MOST`` of it and, if it is one of the best, of the best of the same unit
within ``BURST_AT_MOST``. Itself is counted. Both directions of time are looked at: clocks differ.

A count says what was known when its rating was written. It does not change when others follow, or
when one that was counted is given anew and so moves. What holds, and is enough: of ratings that lie
that near one another, the one written last has counted all. It misses none that is written at the
same moment, because whoever rates waits here for whoever came before: of one account always, of one
unit with the best ratings; a few milliseconds, until that transaction ends.
"""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.anomalies import ACCOUNT_AT_MOST, BURST_AT_MOST, FIVE_STARS
from app.requests.forms import RatingIn
from app.requests.models import CitizenRequest


def _interval(span: timedelta) -> str:
    return f"interval '{span.total_seconds():.0f} s'"


# A statement of its own: what is committed while a statement waits, it does not see. In one order
# for all; nobody waits on no unit.
_WAIT = text("""
SELECT pg_advisory_xact_lock(hashtextextended('ratings by ' || CAST(:resident_id AS text), 0)),
  pg_advisory_xact_lock(hashtextextended('best ratings of ' || CAST(:best_of AS text), 0))
""")
_NEAR = """
SELECT count(*) FROM request_ratings AS other
WHERE other.at BETWEEN said.at - {span} AND said.at + {span}
  AND (other.request_id, other.cycle_no) <> (said.request_id, said.cycle_no)
"""
_COLUMNS = (
    "request_id", "cycle_no", "resident_id", "contacted", "solved", "satisfaction", "reasons",
    "text", "at", "unit_code",
)  # fmt: skip
_WRITE = text(f"""
INSERT INTO request_ratings ({", ".join(_COLUMNS)}, of_account, of_unit)
SELECT {", ".join(_COLUMNS)},
  1 + ({_NEAR.format(span=_interval(ACCOUNT_AT_MOST))} AND other.resident_id = said.resident_id),
  CASE WHEN said.satisfaction < {FIVE_STARS} OR said.unit_code IS NULL THEN 0 ELSE
    1 + ({_NEAR.format(span=_interval(BURST_AT_MOST))} AND other.unit_code = said.unit_code
      AND other.satisfaction = {FIVE_STARS}) END
FROM jsonb_populate_record(NULL::request_ratings, CAST(:said AS jsonb)) AS said
ON CONFLICT (request_id, cycle_no) DO UPDATE
SET {", ".join(f"{name} = EXCLUDED.{name}" for name in (*_COLUMNS[2:], "of_account", "of_unit"))}
""")  # noqa: S608 - names of this file


async def write(
    session: AsyncSession,
    request: CitizenRequest,
    form: RatingIn,
    *,
    resident_id: UUID,
    now: datetime,
) -> None:
    """Write the resident's word of the request's present cycle, over what it was before."""
    said: dict[str, Any] = {
        "request_id": str(request.id),
        "cycle_no": request.cycle_no,
        "resident_id": str(resident_id),
        **form.model_dump(mode="json", include={"contacted", "solved", "satisfaction", "text"}),
        "reasons": list(form.reasons),
        "at": now.isoformat(),
        "unit_code": request.unit_code,
    }
    best_of = request.unit_code if form.satisfaction == FIVE_STARS else None
    await session.execute(_WAIT, {"resident_id": said["resident_id"], "best_of": best_of})
    await session.execute(_WRITE, {"said": json.dumps(said)})


# As if each row had been written at the time it has.
_COUNT_AGAIN = text(f"""
UPDATE request_ratings AS rating
SET of_account = greatest(rating.of_account, near.of_account),
  of_unit = greatest(rating.of_unit, near.of_unit)
FROM (
  SELECT request_id, cycle_no, count(*) OVER (PARTITION BY resident_id ORDER BY at
      RANGE BETWEEN {_interval(ACCOUNT_AT_MOST)} PRECEDING AND CURRENT ROW) AS of_account,
    CASE WHEN satisfaction < {FIVE_STARS} OR unit_code IS NULL THEN 0 ELSE
      count(*) FILTER (WHERE satisfaction = {FIVE_STARS}) OVER (PARTITION BY unit_code ORDER BY at
        RANGE BETWEEN {_interval(BURST_AT_MOST)} PRECEDING AND CURRENT ROW) END AS of_unit
  FROM request_ratings
  WHERE at >= CAST(:since AS timestamptz) - {_interval(ACCOUNT_AT_MOST)}
    AND at <= CAST(:until AS timestamptz) + {_interval(ACCOUNT_AT_MOST)}
) AS near
WHERE (near.of_account > 1 OR near.of_unit > 1)
  AND rating.request_id = near.request_id AND rating.cycle_no = near.cycle_no
  AND (rating.of_account < near.of_account OR rating.of_unit < near.of_unit)
""")  # noqa: S608 - names of this file


async def count_again(session: AsyncSession, *, since: datetime, until: datetime) -> None:
    """Bring the counts in order after many ratings of [since, until] were copied into the table,
    each with itself alone counted, while nobody else wrote any."""
    await session.execute(_COUNT_AGAIN, {"since": since, "until": until})
