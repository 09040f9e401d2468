"""Periods of figures: what is meant where nobody says, and what a period is compared with."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.domain.errors import Invalid
from app.statistics.dimensions import HIERARCHY, Dimension, Hierarchy

ZONE = ZoneInfo("Asia/Shanghai")
# Nothing that a city keeps lies outside.
BEGINNING, END = datetime(2000, 1, 1, tzinfo=ZONE), datetime(2200, 1, 1, tzinfo=ZONE)


class ComparedByTime(Invalid):
    """按时间分组的统计不能再与其他期间比较。"""

    code = "compare_by_time"


class NothingToCompare(Invalid):
    """比较时请填写统计期间的起止。"""

    code = "compare_needs_period"


def meant(
    first: datetime | None, last: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """Return [since, until): from the beginning, to the end of the running month."""
    since = BEGINNING if first is None else min(max(first, BEGINNING), END)
    if last is None:
        last = max(_months_later(_first_of_month(now.astimezone(ZONE)), 1), since)
    return since, min(max(last, BEGINNING), END)


def before(
    since: datetime, until: datetime, group_by: tuple[Dimension, ...], *, years: int = 0
) -> tuple[datetime, datetime]:
    """Return the same period ``years`` years before, else the one that ends where this one begins.

    Whole months stay whole months: the one before March is February.

    Raises: ComparedByTime, NothingToCompare.
    """
    if any(HIERARCHY[it] is Hierarchy.TIME for it in group_by):
        raise ComparedByTime
    if since <= BEGINNING or until >= END:
        raise NothingToCompare
    begin, end = since.astimezone(ZONE), until.astimezone(ZONE)
    if years:
        return _years_before(begin, years), _years_before(end, years)
    if _is_month(begin) and _is_month(end):
        months = (end.year - begin.year) * 12 + end.month - begin.month
        return _months_later(begin, -months), begin
    return begin - (end - begin), begin


def of_key(dimension: Dimension, key: str | None) -> tuple[datetime, datetime] | None:
    """[since, until) of what a time group's key names; None for what is none."""
    if key is None or HIERARCHY[dimension] is not Hierarchy.TIME:
        return None
    try:
        match dimension:
            case Dimension.DAY:
                begin = datetime.combine(date.fromisoformat(key), time(0), ZONE)
                return begin, begin + timedelta(days=1)
            case Dimension.WEEK:
                monday = date.fromisocalendar(int(key[:4]), int(key[6:]), 1)
                begin = datetime.combine(monday, time(0), ZONE)
                return begin, begin + timedelta(days=7)
            case Dimension.MONTH:
                begin, months = datetime(int(key[:4]), int(key[5:]), 1, tzinfo=ZONE), 1
            case Dimension.QUARTER:
                begin, months = datetime(int(key[:4]), int(key[6:]) * 3 - 2, 1, tzinfo=ZONE), 3
            case _:
                begin, months = datetime(int(key), 1, 1, tzinfo=ZONE), 12
        return begin, _months_later(begin, months)
    except (ValueError, OverflowError):
        return None


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _is_month(moment: datetime) -> bool:
    return moment.day == 1 and moment.time() == time(0)


def _first_of_month(moment: datetime) -> datetime:
    return datetime.combine(moment.date().replace(day=1), time(0), ZONE)


def _months_later(moment: datetime, months: int) -> datetime:
    number = moment.year * 12 + moment.month - 1 + months
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=ZONE)


def _years_before(moment: datetime, years: int) -> datetime:
    """29 February becomes 1 March: periods end where the next begins."""
    try:
        return moment.replace(year=moment.year - years)
    except ValueError:
        day = date(moment.year - years, 2, 28) + timedelta(days=1)
        return datetime.combine(day, moment.time(), ZONE)
