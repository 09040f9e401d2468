"""Driving one row through the whole life of a request, step by step, as the people would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from app.cli.replay_client import Caller, Client, LoginMissing, People, Refused, Unreachable
from app.cli.replay_figures import Driven
from app.cli.replay_lives import SCORES, Area, Dice, Life, Moment, Outcome, Reach, Return, Ruling
from app.cli.replay_rows import Row
from app.domain.matters import ContactMethod, ContactResult, RejectionGround, ReturnReason
from app.domain.satisfaction import Solved, after_rating, is_satisfied
from app.domain.states import Action, State
from app.requests.forms import Title
from app.requests.schemas import RequestMovedOut

_REQUESTS = "/api/v1/requests"
_TITLE_LIMIT: int = get_args(Title)[1].max_length
_REREADS = 3
_REFUSALS = frozenset({400, 413, 415, 422})  # of what the row says, not of who says it or when
_STALE = frozenset({409, 412})
_GROUNDS = (
    RejectionGround.LAWSUIT,
    RejectionGround.PETITION,
    RejectionGround.OUTSIDE_AREA,
    RejectionGround.OTHER_BODY,
)
_UNSORTED = "other.unsorted"  # what the desk chooses where nothing says what it is about
# A number that belongs to nobody's phone: the operator's own top-up line.
_NOBODYS_PHONE = "13800138000"


class RowRefused(Exception):
    """The service does not take the row in; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RowFailed(Exception):
    """The row stopped on its way. ``gone``: because the service no longer answers."""

    def __init__(self, step: str, why: str, *, gone: bool = False) -> None:
        super().__init__(f"{step}: {why}")
        self.gone = gone


@dataclass(frozen=True)
class World:
    """What all rows of one replay share."""

    client: Client
    people: People
    run: str
    labels: Mapping[str, tuple[str, ...]]
    default_units: Mapping[str, str | None]  # by category code
    area: Area
    per_resident: int


class Journey:
    """One row on its way. ``driven`` is None until the service has taken the row in."""

    def __init__(self, world: World, row: Row) -> None:
        self.driven: Driven | None = None
        self._world, self._row = world, row
        self._dice = Dice(row.id)
        self._life = Life(self._dice)
        self._resident = world.people.resident((row.number - 1) // world.per_resident)
        self._steps = 0
        choices = world.labels.get(row.label, ())
        self._category = self._dice.among("category", choices) if choices else None

    async def live(self) -> Outcome:
        """Drive the row to its end.

        Raises:
            RowRefused, RowFailed.
        """
        life = self._life
        await self._submit()
        if life.outcome is Outcome.REJECTED:
            await self._be_rejected()
            return life.outcome
        await self._get_signed()
        if not self._over:
            await self._be_worked_on()
        if not self._over and life.outcome in SCORES:
            await self._rate(*SCORES[life.outcome])
        return life.outcome

    # -- taking in ----------------------------------------------------------------------------

    async def _submit(self) -> None:
        row, life = self._row, self._life
        if row.surplus:
            raise RowFailed("read", "more cells than the heading names")
        form: dict[str, Any] = {"text": row.text}
        if len(row.title) > _TITLE_LIMIT:
            form["text"] = f"{row.title}\n{row.text}"
        elif row.title.strip():
            form["title"] = row.title
        if self._category is not None and not life.undecided:
            form["category_code"] = self._category
        place = life.place(self._world.area)
        if place is not None:
            form["location"] = place
        if life.kind is not None:
            form["kind"] = life.kind.value
        if life.leaves_phone:
            form["contact"] = {"name": "重放居民", "phone": _NOBODYS_PHONE}
        if life.confidential:
            form["confidential"] = True
        try:
            answer = await self._send("submit", self._resident, _REQUESTS, form)
        except Refused as refused:
            if refused.step == "submit" and refused.status in _REFUSALS:
                raise RowRefused(str(refused)) from None
            raise RowFailed(refused.step, str(refused)) from None
        if answer.state not in (State.ASSIGNED, State.TRIAGE):
            raise RowFailed("submit", f"led to {answer.state}")
        self.driven = Driven(answer)
        if life.withdrawn is Moment.AT_ONCE:
            await self._withdraw()

    async def _be_rejected(self) -> None:
        if self._now.state is State.ASSIGNED:
            await self._return()
            await self._rule(Ruling.TRIAGE)
        ground = self._dice.among("ground", _GROUNDS)
        if self._life.unclear:
            ground = RejectionGround.UNREACHABLE
            for _ in range(2):
                await self._ask(self._desk)
                await self._supply(State.TRIAGE)
        form = {"ground_code": ground.value, "note": "按规定不予受理，请通过所列渠道反映。"}
        await self._act(Action.REJECT, self._desk, form, State.TRIAGE)
        approval = {"decision": "approve", "note": "情况属实。"}
        await self._act(Action.REJECT, self._second, approval, State.REJECTED)
        self._driven.cancelled = True

    # -- getting to the unit that works on it --------------------------------------------------

    async def _get_signed(self) -> None:
        life = self._life
        if self._over:
            return
        if self._now.state is State.TRIAGE:
            if life.asked_by_desk:
                await self._ask(self._desk)
                await self._supply(State.TRIAGE)
            await self._assign(self._responsible())
        if life.returned is Return.UNSIGNED:
            await self._send_back()
        if not self._over and self._now.state is State.ASSIGNED:
            await self._sign()
        if not self._over and life.returned is Return.SIGNED:
            await self._send_back()
            if self._now.state is State.ASSIGNED:
                await self._sign()
        if life.withdrawn is Moment.SIGNED:
            await self._withdraw()

    async def _send_back(self) -> None:
        returned_by = self._unit
        await self._return()
        if self._life.withdrawn is Moment.RETURNED:
            await self._withdraw()
            return
        await self._rule(self._life.ruling)
        if self._now.state is State.TRIAGE:
            await self._assign(self._another(returned_by))

    def _responsible(self) -> str:
        default = self._world.default_units.get(self._category or "")
        return default or self._another(None)

    def _another(self, unit_code: str | None) -> str:
        others = [code for code in self._world.people.units if code != unit_code]
        if not others:
            raise RowFailed("assign", "there is no other unit with a log-in")
        return self._dice.among("unit", others)

    async def _assign(self, unit_code: str) -> None:
        form = {"unit_code": unit_code, "category_code": self._category or _UNSORTED}
        await self._act(Action.ASSIGN, self._desk, form, State.ASSIGNED)

    async def _sign(self) -> None:
        await self._act(Action.SIGN, self._handler, {}, State.IN_PROGRESS)

    async def _return(self) -> None:
        form = {"reason_code": ReturnReason.NOT_OURS.value, "note": "不属于本单位职责范围。"}
        await self._act(Action.RETURN, self._handler, form, State.RETURN_REVIEW)

    async def _rule(self, ruling: Ruling) -> None:
        form = {"decision": ruling.value, "note": "已核实。"}
        if ruling is Ruling.REASSIGN:
            form["unit_code"] = self._another(self._unit)
        target = {
            Ruling.REASSIGN: State.ASSIGNED,
            Ruling.REFUSE: State.IN_PROGRESS,
            Ruling.TRIAGE: State.TRIAGE,
        }[ruling]
        await self._act(Action.DECIDE_RETURN, self._desk, form, target)

    # -- the work -----------------------------------------------------------------------------

    async def _be_worked_on(self) -> None:
        life = self._life
        if life.asked:
            await self._ask(self._handler)
            if life.withdrawn is Moment.ASKED:
                await self._withdraw()
                return
            await self._supply(State.IN_PROGRESS)
        await self._contact()
        if life.withdrawn is Moment.CONTACTED:
            await self._withdraw()
            return
        await self._reply()

    async def _contact(self) -> None:
        calls = {
            Reach.FIRST: (ContactResult.REACHED,),
            Reach.SECOND: (ContactResult.NO_ANSWER, ContactResult.REACHED),
            Reach.NEVER: (ContactResult.NO_ANSWER,) * 3,
        }[self._life.reach]
        method = self._dice.among("method", tuple(ContactMethod))
        for result in calls:
            form = {"method": method.value, "result": result.value, "note": "按登记方式联系。"}
            await self._act(Action.CONTACT, self._handler, form, State.IN_PROGRESS)
        self._driven.reached = self._driven.reached or ContactResult.REACHED in calls
        if self._driven.reached is not (self._now.contacted_at is not None):
            raise RowFailed("contact", f"contacted_at is {self._now.contacted_at}")

    async def _reply(self) -> None:
        _score, solved = SCORES.get(self._life.outcome, (None, Solved.SOLVED))
        form: dict[str, Any] = {
            "public_reply": "您反映的问题已现场核实并处理，感谢您的监督。",
            "internal_note": "已派员到场处理。",
            "factual": self._dice.happens("factual", 0.9),
            "solved": solved.value,
        }
        if solved is not Solved.SOLVED:
            form["unsolved_reason"] = "需结合年度计划分步解决。"
        await self._act(Action.REPLY, self._handler, form, State.REPLIED)
        self._driven.replied = True

    async def _rate(self, score: int, solved: Solved) -> None:
        form = {
            "contacted": self._driven.reached,
            "solved": solved.value,
            "satisfaction": score,
            "reasons": [] if is_satisfied(score) else [r.value for r in self._life.reasons()],
            "text": "谢谢。" if is_satisfied(score) else "希望尽快解决。",
        }
        target = after_rating(satisfaction=score, solved=solved, cycle_no=self._now.cycle_no)
        await self._act(Action.RATE, self._resident, form, target)
        self._driven.score, self._driven.closed = score, target is State.CLOSED

    async def _ask(self, by: Caller) -> None:
        await self._act(Action.ASK_INFO, by, {"note": "请补充具体位置。"}, State.NEED_INFO)

    async def _supply(self, back_to: State) -> None:
        await self._act(Action.SUPPLY, self._resident, {"text": "就在村口路东。"}, back_to)
        self._driven.reached = True  # whoever has answered was reached

    async def _withdraw(self) -> None:
        await self._act(Action.WITHDRAW, self._resident, {}, State.WITHDRAWN)
        self._driven.cancelled = True

    # -- one step -----------------------------------------------------------------------------

    @property
    def _driven(self) -> Driven:
        assert self.driven is not None  # noqa: S101 - every step but the first comes after it
        return self.driven

    @property
    def _now(self) -> RequestMovedOut:
        return self._driven.request

    @property
    def _over(self) -> bool:
        return self._driven.cancelled

    @property
    def _unit(self) -> str | None:
        return self._now.unit.code if self._now.unit else None

    @property
    def _handler(self) -> Caller:
        try:
            return self._world.people.handler(self._unit)
        except LoginMissing as missing:
            raise RowFailed("log in", str(missing)) from None

    @property
    def _desk(self) -> Caller:
        try:
            return self._world.people.desk(self._now.grid.code if self._now.grid else None)
        except LoginMissing as missing:
            raise RowFailed("log in", str(missing)) from None

    @property
    def _second(self) -> Caller:
        """Who approves what the desk has asked for."""
        try:
            return self._world.people.supervisor
        except LoginMissing as missing:
            raise RowFailed("log in", str(missing)) from None

    async def _act(
        self, action: Action, caller: Caller, form: Mapping[str, Any], expected: State
    ) -> None:
        """Take one step; where somebody was faster, look again and take it on what is there now."""
        at = f"{_REQUESTS}/{self._now.id}"
        path = {Action.CONTACT: f"{at}/contacts", Action.RATE: f"{at}/rating"}.get(
            action, f"{at}/actions/{action}"
        )
        version = self._now.version
        self._steps += 1
        for looks_left in reversed(range(_REREADS + 1)):
            try:
                answer = await self._send(action, caller, path, form, version)
                break
            except Refused as refused:
                if refused.status not in _STALE or not looks_left:
                    raise RowFailed(refused.step, str(refused)) from None
                seen = await self._look(caller, at)
                if seen == version:  # nothing new: the refusal stands
                    raise RowFailed(refused.step, str(refused)) from None
                version = seen
                self._world.client.measured.retries["read again"] += 1
        self._driven.request = answer
        if answer.state is not expected:
            raise RowFailed(action, f"led to {answer.state}, not to {expected}")

    async def _look(self, caller: Caller, path: str) -> int:
        try:
            answer = await self._world.client.get(path, step="read", caller=caller)
            return int(answer.json()["version"])
        except Refused as refused:
            raise RowFailed("read", str(refused)) from None
        except Unreachable as gone:
            raise RowFailed("read", str(gone), gone=True) from None

    async def _send(
        self,
        step: str,
        caller: Caller,
        path: str,
        form: Mapping[str, Any],
        version: int | None = None,
    ) -> RequestMovedOut:
        world = self._world
        try:
            answer = await world.client.post(
                path,
                form,
                step=step,
                caller=caller,
                key=f"{world.run}-{self._row.number}-{self._steps}-{step}",
                version=version,
            )
            return RequestMovedOut.model_validate_json(answer.content)
        except Unreachable as gone:
            raise RowFailed(step, str(gone), gone=True) from None
        except ValidationError as error:
            raise RowFailed(step, f"not an answer of ours ({error.error_count()} faults)") from None
