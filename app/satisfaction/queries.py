"""Reading call-back samples: as they were drawn, and how far the calls are."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from app.domain.errors import NotFound
from app.requests.queries import CursorInvalid
from app.requests.sampling import CALLABLE
from app.store.session import Database, Statement

_BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)


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
