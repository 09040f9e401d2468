"""Which figures a request is left out of (剔除): decided elsewhere, told to its row for who counts.

The row says it by cycle, ``{"1": ["satisfied"]}``: a request that is handled anew counts anew.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import null, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.requests.models import CitizenRequest


def excluded_from(measure: str) -> str:
    """An SQL condition on ``requests``: its present cycle was excluded from ``measure``.

    Never NULL. For the figures: such a request is neither in the numerator nor in the denominator,
    and is told as ``excluded``.
    """
    return f"""(requests.excluded IS NOT NULL
    AND (requests.excluded -> requests.cycle_no::text) ? '{measure}') IS TRUE"""


async def leave_out(
    session: AsyncSession, request_id: UUID, measures: Mapping[int, Sequence[str]]
) -> None:
    """Note what a request does not count in, by cycle; nothing: it counts in all figures.

    The caller holds the request's lock and tells its audit.
    """
    said = {str(cycle): sorted(them) for cycle, them in measures.items()} or null()
    await session.execute(
        update(CitizenRequest).where(CitizenRequest.id == request_id).values(excluded=said)
    )
