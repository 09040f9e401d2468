"""Publishing the figures of a period: previewed, frozen, told to the audit, and never changed.

What is published is what those who see figures only may see, whoever publishes: everybody reads it.
A correction is a further revision of the same period, which says why. The row cannot be altered
(see ``audit.models``); if it was, reading says so: its text must have its hash, and the audit must
have told of the same hash in the transaction that published it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import exclusions, measures
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict, Invalid, NotFound, Unavailable
from app.domain.identity import Actor, Role
from app.domain.measures import DEFINITION_VERSION, Measure
from app.statistics import engine, frozen, queries
from app.statistics.dimensions import Dimension, Filters
from app.statistics.frozen import Change, Frozen
from app.statistics.questions import Query
from app.statistics.views import Name
from app.store.base import new_id
from app.store.session import Columns, Database, Statement

CHAIN = chain_of("snapshots")
ACTION = "publish_figures"
LONGEST_S = 40.0  # of counting: a proxy in front of us gives up after a minute
# What a publication tells: the whole, and each of these.
TABLES: tuple[tuple[Dimension, ...], ...] = (
    (),
    (Dimension.UNIT,),
    (Dimension.TOWN,),
    (Dimension.CATEGORY,),
)


class PeriodNotOver(Invalid):
    """统计期间尚未结束，不能发布。"""

    code = "period_not_over"


class FiguresMoved(Conflict):
    """数据在预览之后有变化，请重新预览后再发布。"""

    code = "figures_moved"


class PeriodPublished(Conflict):
    """该期间已经发布；如需更正，请在最新一版的基础上另发一版，并说明理由。"""

    code = "period_published"


class NothingCorrected(Conflict):
    """现有数据与最新一版相同，无需更正。"""

    code = "nothing_corrected"


class CorrectionUnclear(Invalid):
    """更正须同时写明所更正的版本和理由；首次发布不写。"""

    code = "correction_unclear"


class SnapshotNotFound(NotFound):
    """没有找到这一期已发布的统计。"""

    code = "snapshot_not_found"


class SnapshotAltered(Conflict):
    """这一期统计与发布时的记录不符，可能被改动过，请立即核查审计。"""

    code = "snapshot_altered"


class FiguresSlow(Unavailable):
    """该期间的统计汇总尚未就绪，请稍后再预览或发布。"""

    code = "figures_not_ready"


class PeriodsDiffer(Invalid):
    """只能比较同一期间的两个版本。"""

    code = "snapshot_periods_differ"


@dataclass(frozen=True, slots=True)
class Publication:
    """What somebody wants to publish: the figures with the ``hash`` that they looked at."""

    title: str
    since: datetime
    until: datetime
    hash: bytes
    revises: UUID | None
    reason: str | None


async def compute(
    db: Database,
    since: datetime,
    until: datetime,
    *,
    actor: Actor,
    name: Name,
    now: datetime,
) -> Frozen:
    """The figures of [since, until) as they would be published now.

    Sums make that quick. Where none are made yet (after an import, or under new definitions) it
    can take longer than anybody's connection lasts: then it is given up, and the sums come.

    Raises: PeriodNotOver, FiguresSlow.
    """
    if until > now:
        raise PeriodNotOver
    people = await queries.residents(db)
    everybody = Actor(id=actor.id, role=Role.AUDITOR)
    tables = []
    try:
        async with asyncio.timeout(LONGEST_S):
            for group_by in TABLES:
                query = Query(tuple(Measure), group_by, Filters(), since, until)
                found = await engine.figures(db, query, actor=everybody, now=now, people=people)
                tables.append((query, found))
    except TimeoutError:
        raise FiguresSlow(retry_after_s=60) from None
    return frozen.freeze(since, until, tables, name=name, weights=measures.CURRENT_WEIGHTS)


_LATEST = text("""
SELECT id, revision, hash FROM figure_snapshots WHERE since = :since AND until = :until
ORDER BY revision DESC LIMIT 1
""")
_ADD = text("""
INSERT INTO figure_snapshots (id, since, until, revision, revises, title, reason,
  definition_version, content, hash, published_by, published_at)
VALUES (:id, :since, :until, :revision, :revises, :title, :reason, :definition_version,
  :content, :hash, :published_by, :published_at)
ON CONFLICT (since, until, revision) DO NOTHING
""")


async def publish(
    session: AsyncSession,
    asked: Publication,
    figures: Frozen,
    *,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Publish ``figures`` as the next revision of their period; returns its id.

    Raises: FiguresMoved, PeriodPublished, NothingCorrected, CorrectionUnclear,
        EvidenceNamesSomebody.
    """
    for words in (asked.title, asked.reason):
        if words is not None:
            exclusions.check_words(words)
    if (asked.revises is None) != (asked.reason is None):
        raise CorrectionUnclear
    if figures.hash != asked.hash:
        raise FiguresMoved
    period = {"since": asked.since, "until": asked.until}
    latest = (await session.execute(_LATEST, period)).one_or_none()
    if (latest.id if latest else None) != asked.revises:
        raise PeriodPublished if latest else SnapshotNotFound
    if latest and latest.hash == figures.hash:
        raise NothingCorrected
    snapshot_id, revision = new_id(), latest.revision + 1 if latest else 1
    added = await session.execute(
        _ADD,
        {
            "id": snapshot_id,
            **period,
            "revision": revision,
            "revises": asked.revises,
            "title": asked.title,
            "reason": asked.reason,
            "definition_version": DEFINITION_VERSION,
            "content": figures.text,
            "hash": figures.hash,
            "published_by": actor.id,
            "published_at": now,
        },
    )
    assert isinstance(added, CursorResult)  # noqa: S101 - what an INSERT answers
    if added.rowcount == 0:  # somebody else was faster
        raise PeriodPublished
    await audit.append(
        session,
        CHAIN,
        actor=actor,
        action=ACTION,
        facts={
            "snapshot": str(snapshot_id),
            "since": asked.since.isoformat(),
            "until": asked.until.isoformat(),
            "revision": revision,
            "revises": str(asked.revises) if asked.revises else None,
            "definitions": DEFINITION_VERSION,
            "hash": figures.hash.hex(),
            # What was written beside the figures may not be kept for ever, its digest may.
            "words": sha256(f"{asked.title}\n{asked.reason or ''}".encode()).hexdigest(),
        },
        now=now,
    )
    return snapshot_id


# --- reading -------------------------------------------------------------------------------------

# ``told``: the audit told of this hash, period, revision and these words when the row was written.
_TOLD = f"""EXISTS (SELECT FROM audit_entries AS entry
  WHERE entry.chain = '{CHAIN}' AND entry.action = '{ACTION}'
    AND entry.facts ->> 'snapshot' = snap.id::text
    AND entry.facts ->> 'hash' = encode(snap.hash, 'hex')
    AND (entry.facts ->> 'since')::timestamptz = snap.since
    AND (entry.facts ->> 'until')::timestamptz = snap.until
    AND (entry.facts ->> 'revision')::int = snap.revision
    AND entry.facts ->> 'revises' IS NOT DISTINCT FROM snap.revises::text
    AND entry.facts ->> 'words' = encode(sha256(
      convert_to(snap.title || chr(10) || coalesce(snap.reason, ''), 'UTF8')), 'hex')
    AND entry.actor_id = snap.published_by) AS told"""  # noqa: S608 - put together from our own words
_HEAD = """snap.id, snap.since, snap.until, snap.revision, snap.revises, snap.title, snap.reason,
  snap.definition_version, snap.hash, snap.published_by, snap.published_at"""
_INTACT = "sha256(convert_to(snap.content, 'UTF8')) = snap.hash AS hashed"

_BY_ID = f"""
SELECT {_HEAD}, snap.content, {_TOLD} FROM figure_snapshots AS snap WHERE snap.id = :id
"""  # noqa: S608 - put together from fixed pieces
_ONE, _ONE_NOW = Statement(_BY_ID), text(_BY_ID)
_REVISIONS = Statement(f"""
SELECT {_HEAD}, snap.content, {_TOLD} FROM figure_snapshots AS snap
WHERE snap.since = :since AND snap.until = :until ORDER BY snap.revision
""")  # noqa: S608 - put together from fixed pieces
_PAGE = Statement(f"""
SELECT {_HEAD}, {_INTACT}, {_TOLD} FROM figure_snapshots AS snap
WHERE NOT EXISTS (SELECT FROM figure_snapshots AS later
    WHERE later.since = snap.since AND later.until = snap.until AND later.revision > snap.revision)
  AND (:before_at::timestamptz IS NULL
    OR (snap.published_at, snap.id) < (:before_at::timestamptz, :before_id::uuid))
ORDER BY snap.published_at DESC, snap.id DESC LIMIT :limit
""")  # noqa: S608 - put together from fixed pieces


@dataclass(frozen=True, slots=True)
class Published:
    """A revision that is still what was published."""

    row: Columns
    figures: Frozen


async def get(db: Database, snapshot_id: UUID) -> Published:
    """Read one revision and verify it. Raises: SnapshotNotFound, SnapshotAltered."""
    rows = await db.rows(_ONE, id=snapshot_id)
    if not rows:
        raise SnapshotNotFound
    return _verified(rows[0])


async def of(session: AsyncSession, snapshot_id: UUID) -> Published:
    """As ``get``, in the transaction that published it. Raises: SnapshotNotFound."""
    row = (await session.execute(_ONE_NOW, {"id": snapshot_id})).mappings().one_or_none()
    if row is None:
        raise SnapshotNotFound
    return _verified({str(name): value for name, value in row.items()})


async def revisions(db: Database, since: datetime, until: datetime) -> list[Published]:
    """All revisions of a period, the first one first. Raises: SnapshotAltered."""
    return [_verified(row) for row in await db.rows(_REVISIONS, since=since, until=until)]


def _verified(row: Columns) -> Published:
    content: str = row["content"]
    if not row["told"] or sha256(content.encode()).digest() != row["hash"]:
        raise SnapshotAltered
    return Published(row, Frozen(content, row["hash"]))


async def latest(
    db: Database, before: tuple[datetime | None, UUID | None], limit: int
) -> Sequence[Columns]:
    """The newest revision of each period, newest first; ``hashed`` and ``told``: is it intact."""
    at, snapshot_id = before
    return await db.rows(_PAGE, before_at=at, before_id=snapshot_id, limit=limit)


@dataclass(frozen=True, slots=True)
class Difference:
    """What ``after`` tells otherwise than ``before``, and what its publisher gave as the reason."""

    before: Published
    after: Published
    changes: list[Change]


def compare(before: Published, after: Published) -> Difference:
    """Raises: PeriodsDiffer."""
    if any(before.row[end] != after.row[end] for end in ("since", "until")):
        raise PeriodsDiffer
    found = frozen.changes(before.figures.content(), after.figures.content())
    return Difference(before, after, found)


def causes(change: Change) -> dict[str, Any]:
    """Why a figure differs, as far as the two texts tell."""
    if change.redefined:
        return {"cause": "definition", "cause_text": "口径变更"}
    if change.was is None or change.now is None:
        return {"cause": "group", "cause_text": "分组增减"}
    if change.was["suppressed"] != change.now["suppressed"]:
        return {"cause": "suppression", "cause_text": "隐去范围变化"}
    return {"cause": "data", "cause_text": "数据更正"}
