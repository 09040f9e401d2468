"""Plausible forms for every action, by the fall of the dice: most of them good, some wrong."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from app.domain.cotasks import CoTaskStep
from app.domain.matters import (
    ContactMethod,
    ContactResult,
    ExtensionReason,
    PauseReason,
    RejectionGround,
    ReturnReason,
)
from app.domain.satisfaction import RatingReason, ReplyResult, Solved
from app.domain.states import Action
from tests.city import CHINA

UNITS = ("housing", "power_company")  # the one's replies are sent at once, the other's looked at
CATEGORIES = ("road.lamp", "utility.power_outage", "idea.micro", None)
PLACES = ("370281001601001", "370281108601001")
_MISSING = "01980000-0000-7000-8000-000000000000"
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Scene:
    """What a form may speak of: the request itself, those beside it, its parts, the time."""

    now: datetime
    request_id: str
    unit_code: str | None
    auditor_id: str
    handler_ids: tuple[str, ...]
    request_ids: tuple[str, ...]
    co_task_ids: tuple[str, ...] = field(default=())
    way_of: str = ""  # the request whose way is gone

    def day(self, later: int) -> str:
        return (self.now.astimezone(CHINA).date() + timedelta(days=later)).isoformat()


Draw = Callable[[Scene, Random], Any]
_LEFT_OUT = object()


def _of(words: Iterable[Any]) -> Draw:
    known = tuple(words)
    return lambda _, dice: dice.choice(known)


def _maybe(draw: Draw, often: float = 0.5) -> Draw:
    return lambda scene, dice: draw(scene, dice) if dice.random() < often else _LEFT_OUT


def _instant(*spans: timedelta) -> Draw:
    return lambda scene, dice: (scene.now + dice.choice(spans)).isoformat()


def _day(*later: int) -> Draw:
    return lambda scene, dice: scene.day(dice.choice(later))


def _one_of(found: Callable[[Scene], Sequence[str]]) -> Draw:
    """Mostly one of those that are there."""
    return lambda scene, dice: dice.choice((*found(scene), *found(scene), *found(scene), _MISSING))


def _another_unit(scene: Scene, dice: Random) -> str:
    """Mostly not the one that has it."""
    return dice.choice((*(unit for unit in UNITS if unit != scene.unit_code), *UNITS))


def _transfer(scene: Scene, dice: Random) -> dict[str, Any]:
    if dice.random() < 0.5:
        return {"unit_code": _another_unit(scene, dice)}
    return {"handler_id": dice.choice(scene.handler_ids)}


_YES_NO, _DECISION = _of((True, False)), _of(("approve", "approve", "deny"))
_REPLY: dict[str, Any] = {
    "public_reply": "已修好",
    "solved": _of(Solved),
    "factual": _maybe(_YES_NO),
    "internal_note": _maybe(_of(["记录"])),
    "unsolved_reason": _maybe(_of(["待备件"]), 0.8),
    "result_type": _maybe(_of(ReplyResult), 0.2),
    "planned_on": _maybe(_day(-1, 0, 30), 0.2),
}
_RATING: dict[str, Any] = {
    "contacted": _YES_NO,
    "solved": _of(Solved),
    "satisfaction": _of(range(1, 6)),
    "reasons": lambda _, dice: dice.sample(list(RatingReason), dice.choice((0, 1, 2))),
    "text": _maybe(_of(["说不清"])),
}

# fmt: off
FORMS: dict[Action, dict[str, Any]] = {
    Action.ASSIGN: {"unit_code": _of(UNITS), "category_code": _maybe(_of(CATEGORIES[:3]))},
    Action.SUPPLY: {"text": "在村口"},
    Action.EXPIRE_INFO: {"decision": _of(("resume", "close"))},
    Action.RETURN: {"reason_code": _of(ReturnReason), "suggested_unit_code": _maybe(_another_unit)},
    Action.DECIDE_RETURN: {
        "decision": _of(("reassign", "refuse", "triage")), "unit_code": _another_unit},
    Action.TRANSFER: {"": _transfer},
    Action.CONTACT: {
        "method": _of(ContactMethod), "result": _of((*ContactResult, ContactResult.REACHED)),
        "at": _maybe(_instant(-2 * _HOUR, -_DAY, -9 * _DAY, 0 * _DAY, _HOUR), 0.3)},
    Action.CO_ASSIGN: {
        "unit_code": _another_unit, "task": "断电配合",
        "due_at": _maybe(_instant(-_HOUR, _HOUR, _DAY, 30 * _DAY))},
    Action.CO_FEEDBACK: {
        "co_task_id": _one_of(lambda scene: scene.co_task_ids), "step": _of(CoTaskStep)},
    Action.REQUEST_EXTENSION: {
        "working_days": _of(range(1, 7)), "reason_code": _of(ExtensionReason)},
    Action.DECIDE_EXTENSION: {"decision": _DECISION},
    Action.SUSPEND: {
        "reason_code": _maybe(_of(PauseReason), 0.8), "decision": _maybe(_DECISION, 0.9),
        "until": _maybe(_day(0, 1, 2, 5, 20, 91), 0.9)},
    Action.RESUME: {"text": _maybe(_of(["可以继续了"]), 0.8)},
    Action.SUPERVISE: {
        "level": _maybe(_of((1, 2, 3))), "answer_due_at": _maybe(_instant(-_HOUR, _DAY, 3 * _DAY))},
    Action.REPLY: _REPLY,
    Action.SETTLE: _REPLY,
    Action.DECIDE_REPLY: {"decision": _DECISION},
    Action.RATE: _RATING,
    Action.CALL_BACK: {
        "reached": _YES_NO, "contacted": _maybe(_YES_NO), "solved": _maybe(_of(Solved), 0.9),
        "satisfaction": _maybe(_of(range(1, 6)), 0.9)},
    Action.DECIDE_REOPEN: {
        "decision": _of(("reopen", "reopen", "refuse")), "unit_code": _maybe(_of(UNITS))},
    Action.REJECT: {
        "ground_code": _maybe(_of(RejectionGround), 0.9), "decision": _maybe(_DECISION, 0.9),
        "where_to_go": _maybe(_of(["法院"]))},
    Action.MERGE: {
        "master_id": _one_of(
            lambda scene: [it for it in scene.request_ids if it != scene.request_id])},
    Action.UNMERGE: {"texts": lambda _, dice: ["另一件事"] * dice.choice((0, 1, 2))},
    Action.RECLASSIFY: {
        "category_code": _maybe(_of(CATEGORIES[:3]), 0.8),
        "grid_code": _maybe(_of((*PLACES, "999")), 0.3)},
    Action.CORRECT: {
        "field": "分类", "was": "路灯", "correct": "井盖", "approval": "一号",
        "approved_by": lambda scene, dice: dice.choice((scene.auditor_id, _MISSING))},
}
# fmt: on


def form_of(action: Action, scene: Scene, dice: Random) -> dict[str, Any]:
    """A body of ``action``, mostly with the note that many rows ask for."""
    form: dict[str, Any] = {"note": "说明"} if dice.random() < 0.85 else {}
    for name, how in FORMS.get(action, {}).items():
        value = how(scene, dice) if callable(how) else how
        if not name:
            form |= value
        elif value is not _LEFT_OUT:
            form[name] = value
    return form
