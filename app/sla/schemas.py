"""What crosses the wire about a calendar that is to be published."""

import re
from datetime import date, time
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.domain.sla import Metric
from app.reference.calendar_facts import CalendarDraft, CityDay, Hours
from app.web.wire import Day, Instant, WireIn, WireOut, line

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _time_of_day(value: str) -> str:
    if _TIME.fullmatch(value) is None:
        raise PydanticCustomError("time_invalid", "时刻格式应为 08:30，当天结束写作 00:00")
    return value


TimeOfDay = Annotated[
    str,
    AfterValidator(_time_of_day),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]


class FrameIn(WireIn):
    """Office hours [opens, closes), local time; closing at ``00:00`` is the end of the day."""

    opens: TimeOfDay
    closes: TimeOfDay


Frames = Annotated[list[FrameIn], Field(max_length=8)]


class OffDayIn(WireIn):
    day: Day
    name: Annotated[str, line(50)]


class WorkDayIn(WireIn):
    """A day of work; without ``frames`` as on its weekday, or on the fullest day of the week."""

    day: Day
    name: Annotated[str, line(50)]
    frames: Frames | None = None


class CalendarDraftIn(WireIn):
    """What becomes different; what is not given stays as it is.

    ``years``: holiday-JSON documents, each adds a year or replaces it. ``weekly_frames``: seven
    days from Monday on. ``off_days`` and ``work_days``: all of the city's own ones, which win over
    the notices. The coverage grows by itself with the years.
    """

    years: Annotated[list[dict[str, Any]], Field(default_factory=list, max_length=30)]
    weekly_frames: Annotated[list[Frames], Field(min_length=7, max_length=7)] | None = None
    off_days: Annotated[list[OffDayIn], Field(max_length=400)] | None = None
    work_days: Annotated[list[WorkDayIn], Field(max_length=400)] | None = None
    coverage_from: Day | None = None
    coverage_to: Day | None = None

    def draft(self) -> CalendarDraft:
        return CalendarDraft(
            years=self.years,
            weekly=None
            if self.weekly_frames is None
            else [_hours(it) for it in self.weekly_frames],
            off_days=None if self.off_days is None else [_city_day(it) for it in self.off_days],
            work_days=None if self.work_days is None else [_city_day(it) for it in self.work_days],
            coverage_from=self.coverage_from,
            coverage_to=self.coverage_to,
        )


def _hours(frames: list[FrameIn]) -> Hours:
    return [(time.fromisoformat(it.opens), time.fromisoformat(it.closes)) for it in frames]


def _city_day(it: OffDayIn | WorkDayIn) -> CityDay:
    frames = it.frames if isinstance(it, WorkDayIn) and it.frames else []
    return CityDay(it.day, it.name, _hours(frames))


class PreviewIn(WireIn):
    draft: CalendarDraftIn


class PublishIn(WireIn):
    """``draft_hash`` and ``base_version`` as the preview answered them."""

    draft: CalendarDraftIn
    draft_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    base_version: Annotated[int, Field(ge=0, le=2**31 - 1)]


class YearOut(WireOut):
    """``None``: the year is not wholly covered."""

    year: int
    working_days_before: int | None
    working_days_after: int | None
    missing_festivals: tuple[str, ...]


class MoveOut(WireOut):
    request_id: str
    number: str
    metric: Metric
    metric_text: str
    due_before: Instant
    due_after: Instant
    provisional_before: bool
    provisional_after: bool


class PreviewOut(WireOut):
    """What publishing the draft would do. ``years``: those whose working days become different.

    ``moves`` are the first 500 due times of open requests that would move; ``total``, ``later``
    and ``earlier`` count all of them. ``confirmed``: requests whose promise would no longer be
    provisional.
    """

    draft_hash: str
    base_version: int
    changed: bool
    coverage_from: date
    coverage_to: date
    years: tuple[YearOut, ...]
    moves: tuple[MoveOut, ...]
    total: int
    later: int
    earlier: int
    confirmed: int


class PublishedOut(WireOut):
    version: int
    published_at: Instant
    coverage_from: date
    coverage_to: date
