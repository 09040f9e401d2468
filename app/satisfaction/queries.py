"""Reading call-back samples: as they were drawn, how far the calls are, what came of them."""

import base64
import binascii
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import asyncpg

from app.domain import sampling
from app.domain.errors import NotFound
from app.domain.sampling import Agreement
from app.domain.satisfaction import is_satisfied
from app.requests.queries import CursorInvalid
from app.requests.sampling import CALLABLE
from app.store.session import Database, Statement

_BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)
_END = datetime(2200, 1, 1, tzinfo=UTC)


class CampaignNotFound(NotFound):
    """没有找到该回访活动。"""

    code = "campaign_not_found"


class StratumNotFound(NotFound):
    """该回访活动的抽样范围内没有这个单位。"""

    code = "stratum_not_found"


# --- pages ---------------------------------------------------------------------------------------


def write_cursor(at: datetime, key: str) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{key}".encode()).decode()


def read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Raises: CursorInvalid."""
    if cursor is None:
        return None
    try:
        at, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("|")
        when = datetime.fromisoformat(at)
        if when.tzinfo is None or "\0" in key:
            raise CursorInvalid
        return when.astimezone(UTC), key
    except (binascii.Error, ValueError, OverflowError):
        raise CursorInvalid from None


def read_id_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """As ``read_cursor``, where the key is an id. Raises: CursorInvalid."""
    after = read_cursor(cursor)
    if after is None:
        return None, None
    try:
        return after[0], UUID(hex=after[1])
    except ValueError:
        raise CursorInvalid from None


# --- campaigns -----------------------------------------------------------------------------------

_CAMPAIGNS = Statement("""
SELECT * FROM call_back_campaigns
WHERE :after_at::timestamptz IS NULL OR (drawn_at, id) < (:after_at, :after_id::uuid)
ORDER BY drawn_at DESC, id DESC LIMIT :limit
""")
_CAMPAIGN = Statement("SELECT * FROM call_back_campaigns WHERE id = :id")
# Of a cycle there is one call at most; one before the draw kept the request out of the frame.
_PROGRESS = Statement(f"""
SELECT stratum.unit_code, stratum.size, stratum.drawn,
  count(called.id) AS called,
  count(called.id) FILTER (WHERE called.reached) AS reached,
  count(*) FILTER (WHERE lot.request_id IS NOT NULL AND called.id IS NULL AND NOT (
    requests.cycle_no = lot.cycle_no AND {CALLABLE})) AS lapsed
FROM call_back_strata AS stratum
LEFT JOIN call_back_draws AS lot
  ON lot.campaign_id = stratum.campaign_id AND lot.unit_code = stratum.unit_code
LEFT JOIN requests ON requests.id = lot.request_id
LEFT JOIN request_call_backs AS called
  ON called.request_id = lot.request_id AND called.cycle_no = lot.cycle_no
WHERE stratum.campaign_id = :id
GROUP BY stratum.unit_code, stratum.size, stratum.drawn ORDER BY stratum.unit_code
""")  # noqa: S608 - put together from the table of the lifecycle
_STRATUM = Statement("""
SELECT size, drawn FROM call_back_strata WHERE campaign_id = :id AND unit_code = :unit_code
""")
_MEMBERS = Statement("""
SELECT requests.id AS request_id, requests.number, lot.position
FROM (
  SELECT member FROM call_back_strata AS stratum, unnest(stratum.members) AS member
  WHERE stratum.campaign_id = :id AND stratum.unit_code = :unit_code
    AND (:after_id::uuid IS NULL OR member > :after_id)
  ORDER BY member LIMIT :limit
) AS page
JOIN requests ON requests.id = page.member
LEFT JOIN call_back_draws AS lot ON lot.campaign_id = :id AND lot.request_id = page.member
ORDER BY requests.id
""")


async def campaigns(
    db: Database, *, limit: int, cursor: str | None
) -> tuple[Sequence[asyncpg.Record], str | None]:
    """Return up to ``limit`` campaigns, newest first. Raises: CursorInvalid."""
    after_at, after_id = read_id_cursor(cursor)
    rows = await db.rows(_CAMPAIGNS, after_at=after_at, after_id=after_id, limit=limit + 1)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write_cursor(last["drawn_at"], last["id"].hex)


async def campaign(db: Database, campaign_id: UUID) -> asyncpg.Record:
    """Raises: CampaignNotFound."""
    row = await db.one_statement(_CAMPAIGN, id=campaign_id)
    if row is None:
        raise CampaignNotFound
    return row


async def progress(db: Database, campaign_id: UUID) -> Sequence[asyncpg.Record]:
    """Of each stratum: size, drawn, called, reached, lapsed."""
    return await db.rows(_PROGRESS, id=campaign_id)


async def members(
    db: Database, campaign_id: UUID, unit_code: str, *, limit: int, cursor: str | None
) -> tuple[asyncpg.Record, Sequence[asyncpg.Record], str | None]:
    """Return a stratum, up to ``limit`` of its members in the order of ids, and the cursor.

    Raises: CampaignNotFound, StratumNotFound, CursorInvalid.
    """
    _, after_id = read_id_cursor(cursor)
    stratum = await db.one_statement(_STRATUM, id=campaign_id, unit_code=unit_code)
    if stratum is None:
        await campaign(db, campaign_id)
        raise StratumNotFound
    rows = await db.rows(
        _MEMBERS, id=campaign_id, unit_code=unit_code, after_id=after_id, limit=limit + 1
    )
    if len(rows) <= limit:
        return stratum, rows, None
    return stratum, rows[:limit], write_cursor(_BEGINNING, rows[limit - 1]["request_id"].hex)


# --- agreement -----------------------------------------------------------------------------------

_OF_CAMPAIGN = """EXISTS (SELECT FROM call_back_draws AS lot WHERE lot.campaign_id = :campaign_id
    AND lot.request_id = called.request_id AND lot.cycle_no = called.cycle_no)"""
_IN_PERIOD = "called.at >= :since AND called.at < :until"


# The unit is the one that answered in the cycle that was asked about: the history says it.
@lru_cache
def _answers_statement(where: str) -> Statement:
    return Statement(f"""
SELECT step.unit_code, rating.satisfaction AS written, called.satisfaction AS said,
  rating.solved AS written_solved, called.solved AS said_solved, count(*) AS n
FROM request_call_backs AS called
JOIN request_ratings AS rating
  ON rating.request_id = called.request_id AND rating.cycle_no = called.cycle_no
LEFT JOIN LATERAL (
  SELECT unit_code FROM request_events AS event
  WHERE event.request_id = called.request_id AND event.action = 'call_back'
    AND event.at = called.at ORDER BY event.version DESC LIMIT 1
) AS step ON true
WHERE called.reached AND called.satisfaction IS NOT NULL AND {where}
GROUP BY 1, 2, 3, 4, 5
""")  # noqa: S608 - one of the two conditions above


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


async def agreement(
    db: Database,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    campaign_id: UUID | None = None,
) -> tuple[Compared, Mapping[str | None, Compared]]:
    """Compare what residents wrote with what they said when called, of everybody who did both: in
    total and by unit. Calls made in [since, until), or those of a campaign.

    Raises: CampaignNotFound.
    """
    if campaign_id is not None:
        await campaign(db, campaign_id)
        rows = await db.rows(_answers_statement(_OF_CAMPAIGN), campaign_id=campaign_id)
    else:
        rows = await db.rows(
            _answers_statement(_IN_PERIOD), since=since or _BEGINNING, until=until or _END
        )
    total, units = Compared(), dict[str | None, Compared]()
    for row in rows:
        total.add(row)
        units.setdefault(row["unit_code"], Compared()).add(row)
    return total, units
