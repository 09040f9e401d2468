"""Due times and office time of a made-up year, in whole seconds, by the rules of ``domain.sla``.

What is counted in days is asked once for each day and policy; all else is asked each time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from app.domain import sla
from app.domain.sla import Policy, ReplyMode
from app.domain.working_time import WorkingCalendar
from app.statistics.city_year import DAY_S, LOCAL_S

Rule = Callable[[Policy, WorkingCalendar, datetime], datetime]


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _order_due(_policy: Policy, calendar: WorkingCalendar, at: datetime) -> datetime:
    return sla.working_days_later(calendar, at, 1)


class Deadlines:
    """Of one calendar, for requests of one year. Instants are seconds since 1970, UTC."""

    def __init__(self, calendar: WorkingCalendar, year: int) -> None:
        self.calendar, self._year = calendar, year
        self._any_year = calendar.provisional()
        self._known: dict[tuple[object, ...], tuple[int, bool]] = {}

    def contact(self, policy: Policy, at: int) -> int:
        return self._ask(sla.contact_due, policy, at)[0]

    def accept(self, policy: Policy, at: int) -> int:
        return self._ask(sla.accept_due, policy, at)[0]

    def reply(self, policy: Policy, at: int, *, cycle_no: int) -> tuple[int, bool]:
        """When the reply is due, and whether that is provisional."""
        days = policy.reply_days if cycle_no == 1 else policy.reopen_days

        def rule(of: Policy, calendar: WorkingCalendar, moment: datetime) -> datetime:
            return sla.reply_due(of, calendar, moment, days=days)

        if policy.reply_mode is ReplyMode.EXACT:
            return self._ask(rule, policy, at)
        return self._once("reply", rule, policy, at, days)

    def returned(self, policy: Policy, at: int) -> int:
        return self._once("return", sla.return_due, policy, at)[0]

    def internal(self, policy: Policy, at: int) -> int:
        return self._once("internal", sla.internal_due, policy, at)[0]

    def review(self, policy: Policy, at: int) -> int:
        return self._once("review", sla.review_due, policy, at)[0]

    def rate(self, policy: Policy, at: int) -> int:
        return self._once("rate", sla.rate_due, policy, at)[0]

    def order(self, policy: Policy, at: int) -> int:
        return self._once("order", _order_due, policy, at)[0]

    def extended(self, due_at: int, working_days: int) -> int:
        key = ("extended", due_at, working_days)
        if key not in self._known:
            later = sla.extend(self._any_year, _instant(due_at), working_days)
            self._known[key] = int(later.timestamp()), False
        return self._known[key][0]

    def last_to_extend(self, due_at: int) -> int:
        """A working day before it is due: from then on nobody can ask for more time."""
        key = ("before", due_at)
        if key not in self._known:
            day = sla.working_days_earlier(self._any_year, _instant(due_at), 1)
            self._known[key] = int(day.timestamp()), False
        return self._known[key][0]

    def office(self, at: int, worked_s: float) -> int:
        """When so much office time has passed: ``WorkingCalendar.add``, looked up."""
        opens, closes, before = self._hours
        place = bisect_right(closes, at)
        worked = int(worked_s) + before[place] + max(at - opens[place], 0)
        if worked > before[place]:
            place = bisect_left(before, worked, place) - 1
        return opens[place] + worked - before[place]

    def worked(self, since: int, until: int) -> int:
        """The office time between two instants: ``WorkingCalendar.between``, looked up."""
        return self._worked_until(until) - self._worked_until(since)

    def _worked_until(self, at: int) -> int:
        opens, closes, before = self._hours
        place = bisect_right(closes, at)
        return before[place] + max(at - opens[place], 0)

    @cached_property
    def _hours(self) -> tuple[list[int], list[int], list[int]]:
        """All office hours of the years around: when they open and close, and how much office time
        was before each."""
        opens: list[int] = []
        closes: list[int] = []
        before = [0]
        day, end = date(self._year, 1, 1), date(self._year + 2, 1, 1)
        while day < end:
            midnight = int(self._any_year.end_of_day(day).timestamp())
            for frame in self._any_year.frames_of(day):
                opening = datetime.combine(day, frame.opens, self.calendar.zone)
                closing = datetime.combine(day, frame.closes, self.calendar.zone)
                opens.append(int(opening.timestamp()))
                closes.append(midnight if frame.closes == time(0) else int(closing.timestamp()))
                before.append(before[-1] + closes[-1] - opens[-1])
            day += timedelta(days=1)
        return opens, closes, before

    def _once(
        self, name: str, rule: Rule, policy: Policy, at: int, *more: object
    ) -> tuple[int, bool]:
        key = (name, policy.code, policy.version, (at + LOCAL_S) // DAY_S, *more)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(rule, policy, at)
        return known

    def _ask(self, rule: Rule, policy: Policy, at: int) -> tuple[int, bool]:
        moment = _instant(at)
        due_at, provisional = sla.settled(self.calendar, lambda by: rule(policy, by, moment))
        return int(due_at.timestamp()), provisional
