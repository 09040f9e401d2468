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
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from app.domain import sampling
from app.domain.errors import Invalid
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.sampling import Agreement
from app.domain.satisfaction import is_satisfied
from app.domain.suppression import LEAST
from app.requests.children import ANSWERED_BOTH_WAYS
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


# Of call-backs alone: each has the unit, and what was written, beside what was said. So an index
# holds all of it (``requests.children``), and neither ratings nor histories are read.
_ANSWERS = "unit_code, written, said, written_solved, said_solved"
_PAIRS = f"""
SELECT called.at, unit_code, written, satisfaction AS said, written_solved, solved AS said_solved,
  written_by, {{counted}} AS counted
FROM request_call_backs AS called {{drawn}} WHERE {ANSWERED_BOTH_WAYS}
"""  # noqa: S608 - a condition of the models
_ALL = _PAIRS.format(counted="true", drawn="")
_DRAWN = """{how} JOIN (
  SELECT request_id, cycle_no FROM call_back_draws WHERE campaign_id = :campaign_id
) AS drawn USING (request_id, cycle_no)"""
_OF_CAMPAIGN = _PAIRS.format(counted="true", drawn=_DRAWN.format(how=""))
_IN_IT_OR_NOT = _PAIRS.format(
    counted="drawn.request_id IS NOT NULL", drawn=_DRAWN.format(how="LEFT")
)


def _told(pairs: str) -> Statement:
    return Statement(f"""
SELECT {_ANSWERS}, count(*) AS n FROM ({pairs}) AS pairs GROUP BY {_ANSWERS}
""")  # noqa: S608 - put together from names of this file


_PERIOD = _told(f"{_ALL} AND called.at >= :since AND called.at < :until")
_CAMPAIGN = _told(_OF_CAMPAIGN)

# Stretches of time, put together of months, that are looked at each by itself: of a period every
# month in which somebody answered may be, of a campaign all from its first to its last.
_LOCAL = "AT TIME ZONE 'Asia/Shanghai'"
_MONTHS = f"""
SELECT month {_LOCAL} AS begins, (month + interval '1 month') {_LOCAL} AS ends
FROM (SELECT min(at) AS first, max(at) AS last FROM ({_ALL}) AS pairs) AS known,
  generate_series(
    date_trunc('month', greatest(first, :since::timestamptz) {_LOCAL}),
    least(last, :until::timestamptz - interval '1 us') {_LOCAL}, interval '1 month') AS month
WHERE first IS NOT NULL
"""  # noqa: S608 - put together from names of this file
_ITS_MONTHS = f"""
SELECT date_trunc('month', min(at) {_LOCAL}) {_LOCAL} AS begins,
  (date_trunc('month', max(at) {_LOCAL}) + interval '1 month') {_LOCAL} AS ends
FROM ({_OF_CAMPAIGN}) AS pairs
"""  # noqa: S608 - put together from names of this file


def _veiled(stretches: str, pairs: str) -> Statement:
    """As ``_told``, and with each row whether the total and the units must not be told: of one
    state of the data, so that nobody comes between the two.

    People are counted by bits first, of which there are never more than people; where those are too
    few, though there are pairs enough, by themselves.
    """
    within = f"({pairs} AND called.at >= its.begins AND called.at < its.ends) AS pairs"
    return Statement(f"""
WITH stretches AS MATERIALIZED ({stretches}), sums AS MATERIALIZED (
  SELECT its.*, sum.* FROM stretches AS its CROSS JOIN LATERAL (
    SELECT counted, {_ANSWERS}, count(*) AS n,
      bit_or(1::bigint << (uuid_hash(written_by) & 63)) AS people
    FROM {within} GROUP BY counted, {_ANSWERS}
  ) AS sum
), few AS (
  SELECT begins, ends, counted, unit_code, grouping(unit_code) = 1 AS whole, sum(n) AS n
  FROM sums GROUP BY GROUPING SETS ((begins, ends, counted), (begins, ends, counted, unit_code))
  HAVING bit_count(bit_or(people)::bit(64)) < {LEAST:d}
), small AS (
  SELECT coalesce(bool_or(whole), false) AS total_small, count(*) > 0 AS units_small
  FROM few AS its
  WHERE CASE WHEN n < {LEAST:d} THEN true ELSE {LEAST:d} > (
    SELECT count(DISTINCT written_by) FROM {within}
    WHERE pairs.counted = its.counted
      AND (whole OR pairs.unit_code IS NOT DISTINCT FROM its.unit_code)) END
)
SELECT {_ANSWERS}, sum(n)::bigint AS n, total_small, units_small
FROM sums CROSS JOIN small WHERE counted GROUP BY {_ANSWERS}, total_small, units_small
""")  # noqa: S608 - put together from names of this file


_VEILED_PERIOD = _veiled(_MONTHS, _ALL)
_VEILED_CAMPAIGN = _veiled(_ITS_MONTHS, _IN_IT_OR_NOT)


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
        rows = await db.rows(_VEILED_CAMPAIGN if blind else _CAMPAIGN, campaign_id=campaign_id)
    elif not blind:
        rows = await db.rows(_PERIOD, since=since or _BEGINNING, until=until or _END)
    elif _begins_a_month(since) and _begins_a_month(until):
        rows = await db.rows(_VEILED_PERIOD, since=since, until=until)
    else:
        raise AgreementTooFine
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
