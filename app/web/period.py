"""``from`` and ``to`` of a list or a figure: days as people say them, or exact instants.

A day is a local day (Asia/Shanghai) and is meant whole, ``to`` included: from=2026-11-01 and
to=2026-11-30 is November. An instant is exact, ``to`` excluded.
"""

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from pydantic import BeforeValidator, TypeAdapter, WithJsonSchema

from app.domain.errors import FieldError, Invalid
from app.web.wire import Day, Instant

_ZONE = ZoneInfo("Asia/Shanghai")
_LOOKS_LIKE_A_DAY = re.compile(r"[^T ]{1,10}")
_day = TypeAdapter(Day).validate_python
_instant = TypeAdapter(Instant).validate_python


def _moment(value: Any) -> Any:
    """A ``date`` for a day, an aware ``datetime`` for an instant."""
    if not isinstance(value, str):
        return value
    return _day(value) if _LOOKS_LIKE_A_DAY.fullmatch(value) else _instant(value)


Moment = Annotated[
    date | datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-11-01", "2026-11-01T08:00:00+08:00"]}),
]


class PeriodInverted(Invalid):
    """开始时间不能晚于结束时间。"""

    code = "query_range"


async def period(
    first: Annotated[Moment | None, Query(alias="from")] = None,
    last: Annotated[Moment | None, Query(alias="to")] = None,
) -> tuple[datetime | None, datetime | None]:
    """Return [from, to) as instants. Raises: PeriodInverted."""
    return span(first, last)


def span(
    first: date | datetime | None, last: date | datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Return [from, to) as instants, where a day means the whole of it.

    Raises: PeriodInverted.
    """
    begin = _start_of(first) if first is not None else None
    end = None
    if last is not None:
        whole_day = not isinstance(last, datetime)
        end = _start_of(last + timedelta(days=1) if whole_day else last)
    if begin is not None and end is not None and begin > end:
        wrong = FieldError("from", PeriodInverted.code, PeriodInverted.title())
        raise PeriodInverted(errors=[wrong])
    return begin, end


def _start_of(moment: date | datetime) -> datetime:
    if isinstance(moment, datetime):
        return moment
    return datetime.combine(moment, time(0), _ZONE)


Period = Annotated[tuple[datetime | None, datetime | None], Depends(period)]
