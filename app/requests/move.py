"""A step being taken, and what comes of it: what every step function gets and returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import privacy, sla
from app.domain.errors import Invalid
from app.domain.identity import Actor, Role
from app.domain.matters import PauseReason
from app.domain.sla import Metric
from app.domain.states import Action, State
from app.requests import clocks
from app.requests.children import CoTask, Extension, PauseRow
from app.requests.city import City
from app.requests.models import CitizenRequest, RequestClock


class SameUnit(Invalid):
    """不能派给同一个单位。"""

    code = "same_unit"


class ReasonMissing(Invalid):
    """请填写原因。"""

    code = "reason_missing"


class PersonalDataInReply(Invalid):
    """诉求人能看到的文字中不能出现身份证号或手机号码，请删除后再提交。"""

    code = "text_contains_pii"


def refuse_personal_data(*texts: str | None) -> None:
    """What goes out to a resident names nobody. Raises: PersonalDataInReply."""
    if any(text and privacy.find_personal_data(text) for text in texts):
        raise PersonalDataInReply


@dataclass(frozen=True, slots=True)
class Move:
    """The request is locked and nothing has been changed yet."""

    session: AsyncSession
    city: City
    request: CitizenRequest
    clocks: dict[Metric, RequestClock]
    actor: Actor
    now: datetime

    @property
    def policy(self) -> sla.Policy:
        return self.city.reference.policy(self.request.policy_code, self.request.policy_version)

    @property
    def today(self) -> date:
        return self.city.reference.calendar.local_date(self.now)

    def start(self, metric: Metric, due_at: datetime) -> None:
        """Start a clock of the present cycle, anew if it ran before."""
        clock = clocks.started(
            self.request.id,
            self.request.cycle_no,
            metric,
            due_at,
            city=self.city,
            now=self.now,
            known=self.clocks.get(metric),
        )
        if metric not in self.clocks:
            self.session.add(clock)
            self.clocks[metric] = clock

    def end(self, metric: Metric) -> None:
        """Stop a clock if it runs."""
        clock = self.clocks.get(metric)
        if clock is not None and clock.stopped_at is None:
            clocks.stop(clock, self.now)

    def cancel(self, metric: Metric) -> None:
        """What a clock promised is no longer owed."""
        clock = self.clocks.get(metric)
        if clock is not None and clock.stopped_at is None:
            clocks.cancel(clock, self.now)

    async def move_reply_due(self, due_at: datetime, *, provisional: bool) -> None:
        """Give the reply another due time; while the clock stands, it counts once it runs again.
        No part is due later than the whole."""
        reply = self.clocks[Metric.REPLY]
        clocks.move_due(reply, due_at, city=self.city)
        if reply.paused_at is None:
            self.request.reply_due_at = due_at
        else:
            self.request.stands_due_at = due_at
        self.request.provisional = self.request.provisional or provisional
        if not self.request.open_co_tasks:
            return
        for task in await self.open_co_tasks():
            task.due_at = min(task.due_at, due_at)
        cotask = self.clocks.get(Metric.COTASK)
        if cotask is not None and cotask.stopped_at is None and cotask.due_at > due_at:
            clocks.move_due(cotask, due_at, city=self.city)

    def pause(self, reason: PauseReason) -> None:
        """Remember why the reply clock is about to stand, and who allowed it."""
        self.session.add(
            PauseRow(
                request_id=self.request.id,
                cycle_no=self.request.cycle_no,
                reason=reason,
                allowed_by=self.actor.id,
                paused_at=self.now,
            )
        )

    async def end_pause(self, at: datetime, *, runs_on: bool) -> None:
        """Close the pause; with the whole, its open parts are due later by as many days."""
        paused = await self.session.scalars(
            update(PauseRow)
            .where(PauseRow.request_id == self.request.id, PauseRow.resumed_at.is_(None))
            .values(resumed_at=at)
            .returning(PauseRow.paused_at)
        )
        since = paused.first()
        if since is None or not runs_on or not self.request.open_co_tasks:
            return
        for task in await self.open_co_tasks():
            task.due_at = self._after_pause(task.due_at, paused_at=since, resumed_at=at)

    def _after_pause(
        self, due_at: datetime, *, paused_at: datetime, resumed_at: datetime
    ) -> datetime:
        after, _ = sla.settled(
            self.city.reference.calendar,
            lambda by: sla.due_after_pause(by, due_at, paused_at=paused_at, resumed_at=resumed_at),
        )
        return after

    async def open_co_tasks(self) -> list[CoTask]:
        found = await self.session.scalars(
            select(CoTask)
            .where(CoTask.request_id == self.request.id, CoTask.ended_at.is_(None))
            .order_by(CoTask.id)
        )
        return list(found)

    async def end_co_tasks(self, unit_code: str | None = None) -> None:
        """Nobody needs the parts any more: all of them, or those of one unit."""
        if not self.request.open_co_tasks:
            return
        for task in await self.open_co_tasks():
            if unit_code in (None, task.unit_code):
                task.ended_at = self.now
                self.request.open_co_tasks -= 1
        if not self.request.open_co_tasks:
            self.cancel(Metric.COTASK)

    async def drop_what_was_asked(self) -> None:
        """What the unit asked for and nobody decided is not granted."""
        request = self.request
        request.suspension_asked = None
        if request.extension_asked is None:
            return
        request.extension_asked = None
        await self.session.execute(
            update(Extension)
            .where(Extension.request_id == request.id, Extension.decided_at.is_(None))
            .values(decided_at=self.now, granted=False)
        )

    def open_rating(self) -> None:
        """Open the window in which the resident may rate."""
        due_at = sla.rate_due(self.policy, self.city.reference.calendar, self.now)
        self.request.rate_until = due_at
        self.start(Metric.RATE, due_at)

    def open_review(self) -> None:
        """Start the clock of the decision whether it is handled anew."""
        due_at, _ = sla.settled(
            self.city.reference.calendar, lambda by: sla.review_due(self.policy, by, self.now)
        )
        self.start(Metric.REVIEW, due_at)

    async def give_to(self, unit_code: str, *, to_sign: bool = True) -> None:
        """Hand the request to a unit: what was promised to the resident does not move.

        Args:
            to_sign: the unit has yet to sign it; else it goes on where the other one stood.
        """
        unit = self.city.reference.active_unit(unit_code)
        request, calendar = self.request, self.city.reference.calendar
        if request.assigned_at is not None and request.unit_code != unit.code:
            request.reassigned += 1
        request.unit_code, request.handler_id = unit.code, None
        request.assigned_at, request.grid_until = self.now, None
        request.return_until, _ = sla.settled(
            calendar, lambda by: sla.return_due(self.policy, by, self.now)
        )
        if to_sign:
            accept_by, _ = sla.settled(
                calendar, lambda by: sla.accept_due(self.policy, by, self.now)
            )
            self.start(Metric.ACCEPT, accept_by)
        self.cancel(Metric.INTERNAL)  # another unit's
        await self.drop_what_was_asked()
        await self.end_co_tasks(unit.code)  # a part of what is now its own

    def give_time(self) -> None:
        """The unit pays for no other one's delay: it has some days for itself, whatever is due."""
        own_due, _ = sla.settled(
            self.city.reference.calendar, lambda by: sla.internal_due(self.policy, by, self.now)
        )
        self.start(Metric.INTERNAL, own_due)

    async def take_from_unit(self) -> None:
        """Nobody answers for it until the desk gives it to somebody."""
        await self.drop_what_was_asked()
        self.cancel(Metric.ACCEPT)
        self.cancel(Metric.INTERNAL)
        # Last: the row is whole again only in the state that follows, so nothing may flush it now.
        request = self.request
        request.unit_code = request.handler_id = request.return_until = None

    @property
    def by_clock(self) -> bool:
        """Nobody does this: its time has come."""
        return self.actor.role is Role.SYSTEM


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the request goes, and what its history says of the step.

    ``meaning``: which of the things that the action can mean it was, for whoever is told of it.
    ``also``: other requests that the step touched, already at their next version and in ``target``.
    ``action``: what it was to one of those, if not the step itself.
    ``job``: it followed by itself, by whose doing; then not the actor did it but the system.
    """

    target: State
    note: str | None = None
    public_note: str | None = None
    facts: Mapping[str, Any] | None = None
    meaning: str | None = None
    co_unit_code: str | None = None
    action: Action | None = None
    job: str | None = None
    also: "tuple[tuple[CitizenRequest, Outcome], ...]" = ()
