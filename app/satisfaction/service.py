"""Drawing a call-back sample (抽样回访): the frame, the draw, and what an auditor needs of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import sampling
from app.domain.errors import Conflict, Invalid
from app.domain.identity import Actor
from app.requests import sampling as requests_sampling
from app.satisfaction.models import Campaign, Draw, Stratum
from app.store.base import new_id

MOST_IN_FRAME = 200_000

# One row more than allowed is enough to know that there are too many.
_FRAME = text(f"""
SELECT unit_code, array_agg(id ORDER BY id) AS members FROM (
  SELECT coalesce(requests.unit_code, '') COLLATE "C" AS unit_code, requests.id FROM requests
  WHERE {requests_sampling.CALLABLE}
    AND requests.replied_at >= :replied_from AND requests.replied_at < :replied_to
  LIMIT {MOST_IN_FRAME + 1}
) AS callable
GROUP BY unit_code ORDER BY unit_code
""")  # noqa: S608 - put together from the table of the lifecycle
_CYCLES = text("SELECT id, cycle_no FROM requests WHERE id = ANY(:ids)")


class FrameEmpty(Conflict):
    """这段时间内没有可以回访的已答复诉求。"""

    code = "frame_empty"


class FrameTooLarge(Invalid):
    """这段时间内的诉求太多，请缩短时间范围。"""

    code = "frame_too_large"


class FrameChanged(Conflict):
    """抽样范围刚刚发生了变化，请重新预览后再抽取。"""

    code = "frame_changed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drawn: of the requests answered in [replied_from, replied_to), ``sample_size``
    in all and at least ``minimum`` of each unit."""

    replied_from: datetime
    replied_to: datetime
    sample_size: int
    minimum: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Who could be drawn, by unit (``sampling.BY_THE_GRID``: by no unit), and how many will be."""

    members: Mapping[str, Sequence[UUID]]
    counts: Mapping[str, int]
    digest: str

    @property
    def size(self) -> int:
        return sum(map(len, self.members.values()))

    @property
    def drawn(self) -> int:
        return sum(self.counts.values())


async def frame(session: AsyncSession, wish: Wish) -> Frame:
    """Return who is answered and not yet called, as of now. Writes nothing.

    Raises: FrameEmpty, FrameTooLarge, SampleTooSmall.
    """
    rows = await session.execute(
        _FRAME, {"replied_from": wish.replied_from, "replied_to": wish.replied_to}
    )
    members = {row.unit_code: [UUID(bytes=it.bytes) for it in row.members] for row in rows}
    sizes = {code: len(found) for code, found in members.items()}
    if not sizes:
        raise FrameEmpty
    if sum(sizes.values()) > MOST_IN_FRAME:
        raise FrameTooLarge(most=MOST_IN_FRAME)
    counts = sampling.allocate(sizes, wish.sample_size, wish.minimum)
    return Frame(members, counts, sampling.frame_digest(members))


async def draw(
    session: AsyncSession,
    title: str,
    wish: Wish,
    *,
    seed: bytes,
    frame_digest: str | None,
    actor: Actor,
    now: datetime,
) -> Campaign:
    """Draw the sample, keep the frame beside it, and put what was drawn on the callers' list.

    Args:
        seed: fresh random bytes, which nobody has chosen or seen.
        frame_digest: of the frame that ``actor`` looked at; None: whatever it is now.

    Raises: FrameChanged, and what ``frame`` raises.
    """
    found = await frame(session, wish)
    if frame_digest is not None and frame_digest != found.digest:
        raise FrameChanged
    lots = {
        code: sampling.draw(seed, members, found.counts[code])
        for code, members in found.members.items()
    }
    campaign = Campaign(
        id=new_id(),
        title=title,
        replied_from=wish.replied_from,
        replied_to=wish.replied_to,
        sample_size=wish.sample_size,
        minimum=wish.minimum,
        seed=seed.hex(),
        frame_size=found.size,
        frame_digest=found.digest,
        drawn=found.drawn,
        drawn_by=actor.id,
        drawn_at=now,
    )
    session.add(campaign)
    await session.flush()
    await _keep(session, campaign, found, lots)
    await requests_sampling.mark_sampled(
        session,
        [it for lot in lots.values() for it in lot],
        campaign_id=campaign.id,
        actor=actor,
        now=now,
    )
    await audit.append(
        session,
        campaign.id,
        actor=actor,
        action="draw_call_backs",
        facts={
            "replied_from": wish.replied_from.isoformat(),
            "replied_to": wish.replied_to.isoformat(),
            "seed": campaign.seed,
            "frame": found.digest,
            "strata": {
                code: {"size": len(members), "drawn": found.counts[code]}
                for code, members in found.members.items()
            },
        },
        now=now,
    )
    return campaign


async def _keep(
    session: AsyncSession, campaign: Campaign, found: Frame, lots: Mapping[str, Sequence[UUID]]
) -> None:
    await session.execute(
        insert(Stratum),
        [
            {
                "campaign_id": campaign.id,
                "unit_code": code,
                "size": len(members),
                "drawn": found.counts[code],
                "members": members,
            }
            for code, members in found.members.items()
        ],
    )
    ids = [it for lot in lots.values() for it in lot]
    cycles = {row.id: row.cycle_no for row in await session.execute(_CYCLES, {"ids": ids})}
    await session.execute(
        insert(Draw),
        [
            {
                "campaign_id": campaign.id,
                "request_id": request_id,
                "cycle_no": cycles[request_id],
                "unit_code": code,
                "position": position,
            }
            for code, lot in lots.items()
            for position, request_id in enumerate(lot, 1)
        ],
    )
