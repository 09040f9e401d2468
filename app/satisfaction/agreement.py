"""What residents said when called against what they had rated themselves (回访一致性).

Blind roles are told it under the rule for small cells, in its plainest form: all units or none, and
nothing at all that concerns one to four residents. Of a period every month is looked at by itself;
of a campaign also what its months hold besides. So neither two periods nor a period and a campaign
in it differ by fewer. See ``docs/satisfaction.md``.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from app.domain import sampling
from app.domain.errors import Invalid
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.sampling import Agreement
from app.domain.satisfaction import is_satisfied
from app.domain.suppression import LEAST
from app.satisfaction.queries import campaign
from app.store.session import Database, Statement

_ZONE = ZoneInfo("Asia/Shanghai")
_BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)
_END = datetime(2200, 1, 1, tzinfo=UTC)


class AgreementTooFine(Invalid):
    """为防止识别到个人，您的角色只能按整月或按回访活动查看回访一致性。"""

    code = "agreement_too_fine"


Pairs = Counter[tuple[object, object]]


@dataclass(slots=True)
class Compared:
    """The two answers of the same people: pairs (in writing, when asked) and how often."""

    satisfied: Pairs = field(default_factory=Counter)
    level: Pairs = field(default_factory=Counter)
    solved: Pairs = field(default_factory=Counter)

    def add(self, row: asyncpg.Record) -> None:
        written, said, n = row["written"], row["said"], row["n"]
        self.satisfied[is_satisfied(written), is_satisfied(said)] += n
        self.level[written, said] += n
        if row["said_solved"] is not None:
            self.solved[row["written_solved"], row["said_solved"]] += n

    def figures(self) -> dict[str, Agreement]:
        return {
            "satisfied": sampling.agreement(self.satisfied),
            "level": sampling.agreement(self.level),
            "solved": sampling.agreement(self.solved),
        }


@dataclass(frozen=True, slots=True)
class Told:
    """In total and by unit, which is None for those that nobody is known to have answered for.

    None instead of either: not told, because too few people are behind it.
    """

    total: Compared | None
    units: Mapping[str | None, Compared] | None


# The unit is the one that answered in the cycle that was asked about: the history says it.
_PAIRS = """
SELECT step.unit_code, rating.satisfaction AS written, called.satisfaction AS said,
  rating.solved AS written_solved, called.solved AS said_solved, rating.resident_id,
  {counted} AS counted, {atom} AS atom
FROM request_call_backs AS called
JOIN request_ratings AS rating
  ON rating.request_id = called.request_id AND rating.cycle_no = called.cycle_no
LEFT JOIN LATERAL (
  SELECT unit_code FROM request_events AS event
  WHERE event.request_id = called.request_id AND event.action = 'call_back'
    AND event.at = called.at ORDER BY event.version DESC LIMIT 1
) AS step ON true
WHERE called.reached AND called.satisfaction IS NOT NULL AND {where}
"""
_OF_CAMPAIGN = """EXISTS (SELECT FROM call_back_draws AS lot WHERE lot.campaign_id = :campaign_id
    AND lot.request_id = called.request_id AND lot.cycle_no = called.cycle_no)"""
_IN_PERIOD = "called.at >= :since AND called.at < :until"
_MONTH = "date_trunc('month', called.at AT TIME ZONE 'Asia/Shanghai')"
# From the first to the last month in which somebody answered who is counted.
_ITS_MONTHS = f"""
  SELECT min({_MONTH}) AT TIME ZONE 'Asia/Shanghai' AS since,
    (max({_MONTH}) + interval '1 month') AT TIME ZONE 'Asia/Shanghai' AS until
  FROM call_back_draws AS lot
  JOIN request_call_backs AS called USING (request_id, cycle_no)
  JOIN request_ratings AS rating USING (request_id, cycle_no)
  WHERE lot.campaign_id = :campaign_id AND called.reached AND called.satisfaction IS NOT NULL
"""  # noqa: S608 - put together from names of this file
_IN_ITS_MONTHS = f"""called.at >= (SELECT since FROM ({_ITS_MONTHS}) AS months)
  AND called.at < (SELECT until FROM ({_ITS_MONTHS}) AS months)"""  # noqa: S608


def _counted(pairs: str) -> str:
    return f"""
SELECT unit_code, written, said, written_solved, said_solved, count(*) AS n
FROM {pairs} AS pairs WHERE counted GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - put together from names of this file


@lru_cache
def _statement(where: str) -> Statement:
    return Statement(_counted(f"({_PAIRS.format(counted='true', atom='NULL', where=where)})"))


@lru_cache
def _veiled_statement(counted: str, atom: str, where: str) -> Statement:
    """As ``_statement``, and with each row whether the total and the units must not be told: of one
    state of the data, so that nobody comes between the two."""
    pairs = _PAIRS.format(counted=counted, atom=atom, where=where)
    return Statement(f"""
WITH pairs AS MATERIALIZED ({pairs}),
small AS (
  SELECT coalesce(bool_or(whole), false) AS total_small, count(*) > 0 AS units_small
  FROM (
    SELECT grouping(unit_code) = 1 AS whole FROM pairs
    GROUP BY GROUPING SETS ((counted, atom), (counted, atom, unit_code))
    HAVING count(DISTINCT resident_id) < {LEAST:d}
  ) AS cells
)
SELECT counted.*, small.* FROM ({_counted("pairs")}) AS counted CROSS JOIN small
""")  # noqa: S608 - put together from names of this file


async def agreement(
    db: Database,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    campaign_id: UUID | None = None,
    actor: Actor,
) -> Told:
    """Compare what residents wrote with what they said when called, of everybody who did both: in
    total and by unit. Calls made in [since, until), or those of a campaign.

    Raises: CampaignNotFound, AgreementTooFine.
    """
    blind = actor.role in BLIND_ROLES
    if campaign_id is not None:
        await campaign(db, campaign_id)
        veiled = _veiled_statement(_OF_CAMPAIGN, "NULL", _IN_ITS_MONTHS)
        statement = veiled if blind else _statement(_OF_CAMPAIGN)
        rows = await db.rows(statement, campaign_id=campaign_id)
    else:
        if blind and not (_begins_a_month(since) and _begins_a_month(until)):
            raise AgreementTooFine
        veiled = _veiled_statement("true", _MONTH, _IN_PERIOD)
        statement = veiled if blind else _statement(_IN_PERIOD)
        rows = await db.rows(statement, since=since or _BEGINNING, until=until or _END)
    total, units = Compared(), dict[str | None, Compared]()
    for row in rows:
        total.add(row)
        units.setdefault(row["unit_code"], Compared()).add(row)
    small = rows[0] if blind and rows else {"total_small": False, "units_small": False}
    return Told(None if small["total_small"] else total, None if small["units_small"] else units)


def _begins_a_month(at: datetime | None) -> bool:
    if at is None:
        return True
    local = at.astimezone(_ZONE)
    return local.day == 1 and local.time() == time(0)
