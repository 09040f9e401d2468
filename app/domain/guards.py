"""Which guards of the lifecycle stop a request now. Pure: every fact is a column of the request."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.lifecycle import DILIGENT_ATTEMPTS, INFO_ROUNDS_PER_CYCLE, Guard


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guards look at."""

    unit_code: str | None
    contacted_at: datetime | None
    contact_attempts: int
    info_rounds: int
    return_until: datetime | None
    returned_units: tuple[str, ...]
    rate_until: datetime | None


def closed(facts: Facts, *, now: datetime) -> frozenset[Guard]:
    """Return every guard that would stop an action at ``now``."""
    rating_over = facts.rate_until is not None and now >= facts.rate_until
    holds = {
        Guard.CONTACTED: facts.contacted_at is not None
        or facts.contact_attempts >= DILIGENT_ATTEMPTS,
        Guard.INFO_ROUNDS_LEFT: facts.info_rounds < INFO_ROUNDS_PER_CYCLE,
        Guard.RETURN_WINDOW_OPEN: facts.return_until is None or now < facts.return_until,
        Guard.NOT_RETURNED_BEFORE: facts.unit_code not in facts.returned_units,
        Guard.RATING_WINDOW_OPEN: not rating_over,
        Guard.RATING_WINDOW_OVER: rating_over,
    }
    return frozenset(guard for guard, open_ in holds.items() if not open_)
