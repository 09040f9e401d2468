"""When staff are left alone: a message born in the night is seen in the morning.

Only the message waits. The time of the event it speaks of, and every clock, know no quiet hours.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.domain.working_time import SHANGHAI

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """[``begins``, ``ends``) by the wall clock, every day of the year; over midnight if it begins
    later than it ends. Never quiet if both are the same."""

    begins: time = time(21, 30)
    ends: time = time(7, 30)
    zone: ZoneInfo = SHANGHAI

    def visible_at(self, born_at: datetime) -> datetime:
        """When a message written at ``born_at`` (aware) may be seen: at once, or when the quiet
        hours it was born in are over. In UTC."""
        local = born_at.astimezone(self.zone)
        at, day = local.time(), local.date()
        if self.begins <= self.ends:
            quiet = self.begins <= at < self.ends
        else:
            quiet = at >= self.begins or at < self.ends
            if at >= self.begins:
                day += _ONE_DAY
        if not quiet:
            return born_at.astimezone(UTC)
        return datetime.combine(day, self.ends, self.zone).astimezone(UTC)


QUIET_NIGHTS = QuietHours()
