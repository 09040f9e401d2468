"""Ways that requests go: from the desk to the archive, so that between them nothing is left out.

A way says what is submitted and what is done with it, leg by leg. Every action of the table lies on
one of them, and so does every state: random steps alone would seldom get to a second extension, or
to the end of a co-task. An example of the machine begins with some ways and goes on at random.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from app.domain.states import Action
from tests.machine.forms import PLACES, Scene

A = Action
LAMP, OUTAGE, IDEA = "road.lamp", "utility.power_outage", "idea.micro"


class Step(NamedTuple):
    """``who``: a name of the town, or ``resident``, ``handler``, ``leader``, ``other`` (a handler
    of another unit). Values of the form may be functions of the scene. ``beside``: it is done with
    another request. ``refused``: it must not be taken, and the way goes on."""

    who: str
    action: Action
    form: Mapping[str, Any]
    beside: bool = False
    refused: bool = False


class Wait(NamedTuple):
    """Time goes by, and the jobs run."""

    span: timedelta


Leg = Step | Wait


@dataclass(frozen=True)
class Way:
    legs: tuple[Leg, ...] = ()
    category: str | None = LAMP
    place: str | None = PLACES[0]


def _step(who: str, action: Action, /, **form: Any) -> Step:
    return Step(who, action, MappingProxyType(form))


def _not(who: str, action: Action, /, **form: Any) -> Step:
    return _step(who, action, **form)._replace(refused=True)


def _joined(who: str) -> Step:
    """Another one is merged into this one."""
    of_way = MappingProxyType({"master_id": lambda scene: scene.way_of})
    return Step(who, A.MERGE, of_way, beside=True)


def _days(days: float) -> Wait:
    return Wait(timedelta(days=days))


def _later(days: int) -> Any:
    return lambda scene: scene.day(days)


def _tick_away(microseconds: int) -> Any:
    """From the present, which is when the request was submitted, unless somebody waited."""
    away = timedelta(microseconds=microseconds)
    return lambda scene: (scene.now + away).isoformat()


def _another_request(scene: Scene) -> str:
    """Any that is not the request itself; where there is none, the step is refused."""
    others = [it for it in scene.request_ids if it != scene.request_id]
    return others[0] if others else scene.request_id


def _co_task(scene: Scene) -> str:
    return scene.co_task_ids[-1] if scene.co_task_ids else scene.request_id


_GOOD = {"contacted": True, "solved": "solved", "satisfaction": 5}
_BAD = {"contacted": False, "solved": "unsolved", "satisfaction": 1, "reasons": ["slow"]}
_FAIR = {"contacted": True, "solved": "partly", "satisfaction": 3}
_DONE = {"public_reply": "已修好", "solved": "solved"}
_CALL = {"method": "phone", "result": "reached"}

_TO_THE_UNIT = _step("desk 1", A.ASSIGN, unit_code="housing", category_code=LAMP)
_REACHED = _step("handler", A.CONTACT, **_CALL)
_SIGNED = (_step("handler", A.SIGN), _REACHED)
_ANSWER = _step("handler", A.REPLY, **_DONE)
_ANSWERED = (*_SIGNED, _ANSWER)
_LIKED = _step("resident", A.RATE, **_GOOD)
_DISLIKED = _step("resident", A.RATE, **_BAD)
_AGAIN = _step("desk 1", A.DECIDE_REOPEN, decision="reopen")
_ASKED = _step("desk 1", A.ASK_INFO)
_SUSPENDED = (
    _step("leader", A.SUSPEND, reason_code="weather", until=_later(9)),
    _step("desk 1", A.SUSPEND, decision="approve"),
)
_LONGER = _step("handler", A.REQUEST_EXTENSION, working_days=2, reason_code="survey")
_REFUSED = (
    _step("desk 1", A.REJECT, ground_code="petition", where_to_go="信访局"),
    _not("desk 1", A.REJECT, decision="approve"),  # nobody approves what they asked for
    _step("desk 2", A.REJECT, decision="approve"),
)
_GRID_CALL = _step("grid", A.CONTACT, **_CALL)


def _part(who: str, step: str) -> Step:
    return _step(who, A.CO_FEEDBACK, co_task_id=_co_task, step=step)


def _co_assigned(who: str) -> Step:
    return _step(who, A.CO_ASSIGN, unit_code="power_company", task="断电配合")


# fmt: off
WAYS: dict[str, Way] = {
    "new":          Way(),
    "signed":       Way((_SIGNED[0], _not("handler", A.REPLY, **_DONE),
                         _not("handler", A.CONTACT, **_CALL, at=_tick_away(1)), _REACHED)),
    "called since": Way((_SIGNED[0], _not("handler", A.CONTACT, **_CALL, at=_tick_away(-1)),
                         _step("handler", A.CONTACT, **_CALL, at=_tick_away(0)), _ANSWER)),
    "answered":     Way(_ANSWERED),
    "happy":        Way((*_ANSWERED, _LIKED,
                         _step("supervisor 1", A.CORRECT, field="分类", was="路灯", correct="井盖",
                               approval="一号", approved_by=lambda scene: scene.auditor_id))),
    "unhappy":      Way((*_ANSWERED, _DISLIKED)),
    "twice":        Way((*_ANSWERED, _DISLIKED, _AGAIN, *_ANSWERED,
                         _step("resident", A.RATE, **_FAIR))),
    "never happy":  Way((*_ANSWERED, _step("resident", A.REQUEST_REOPEN), _AGAIN, *_ANSWERED,
                         _step("resident", A.REQUEST_REOPEN),
                         _not("desk 2", A.DECIDE_REOPEN, decision="refuse"),
                         _step("supervisor 1", A.DECIDE_REOPEN, decision="refuse"))),
    "asked after":  Way((*_ANSWERED,
                         _step("desk 1", A.CALL_BACK, reached=True, **_GOOD),
                         _LIKED)),
    "unrated":      Way((*_ANSWERED, _joined("desk 2")._replace(refused=True), _days(9),
                         _not("resident", A.RATE, **_GOOD),
                         _joined("desk 2")._replace(refused=True),
                         _step("resident", A.REQUEST_REOPEN))),
    "forgotten":    Way((_days(14), _REACHED, _ANSWER, _days(9), _days(32))),
    "looked at":    Way((*_ANSWERED, _step("leader", A.DECIDE_REPLY, decision="deny"),
                         _ANSWER, _step("leader", A.DECIDE_REPLY, decision="approve"), _DISLIKED),
                        OUTAGE),
    "to look at":   Way(_ANSWERED, OUTAGE),
    "in parts":     Way((*_SIGNED, _co_assigned("leader"), _part("other", "sign"),
                         _not("handler", A.REPLY, **_DONE), _not("other", A.RETURN,
                                                                 reason_code="not_ours"),
                         _part("other", "feed_back"), _part("handler", "send_back"),
                         _part("other", "feed_back"), _part("handler", "confirm"), _ANSWER)),
    "declined":     Way((_SIGNED[0], _co_assigned("desk 1"), _part("other", "decline"),
                         _co_assigned("leader"), _part("other", "sign"))),
    "longer":       Way((*_SIGNED, _LONGER,
                         _step("desk 1", A.DECIDE_EXTENSION, decision="approve"), _LONGER,
                         _step("supervisor 1", A.DECIDE_EXTENSION, decision="deny"))),
    "extension":    Way((*_SIGNED, _LONGER)),
    "suspended":    Way((*_SIGNED, *_SUSPENDED)),
    "resumed":      Way((*_SIGNED, *_SUSPENDED, _step("leader", A.RESUME), _ANSWER)),
    "back":         Way((*_SIGNED, *_SUSPENDED, _days(10), _ANSWER)),
    "sent back":    Way((_step("handler", A.RETURN, reason_code="not_ours"),
                         _step("desk 1", A.DECIDE_RETURN, decision="triage"), _TO_THE_UNIT)),
    "kept":         Way((*_SIGNED, _step("leader", A.RETURN, reason_code="other"),
                         _step("desk 2", A.DECIDE_RETURN, decision="refuse"),
                         _not("handler", A.RETURN, reason_code="other"), _ANSWER)),
    "handed on":    Way((*_SIGNED, _step("desk 1", A.TRANSFER, unit_code="power_company"),
                         _step("desk 1", A.RECLASSIFY, category_code=OUTAGE))),
    "asked":        Way((_SIGNED[0], _ASKED, _step("resident", A.SUPPLY, text="在村口"))),
    "not said":     Way((*_SIGNED, _ASKED, _days(7),
                         _step("desk 1", A.EXPIRE_INFO, decision="resume"))),
    "never said":   Way((_TO_THE_UNIT, _SIGNED[0], _ASKED, _days(8),
                         _step("desk 1", A.EXPIRE_INFO, decision="close")), None),
    "pressed":      Way((*_SIGNED, _not("leader", A.SUPERVISE), _days(1.1),
                         _step("resident", A.URGE), _not("resident", A.URGE),
                         _step("supervisor 1", A.SUPERVISE, level=2),
                         _step("leader", A.SUPERVISE), _ANSWER)),
    "late":         Way((_SIGNED[0], _days(20))),
    "triaged":      Way((_TO_THE_UNIT,), None),
    "rejected":     Way(_REFUSED, None),
    "appealed":     Way((*_REFUSED, _step("resident", A.APPEAL),
                         _step("supervisor 1", A.DECIDE_REOPEN, decision="reopen",
                               unit_code="housing"), *_SIGNED), None),
    "in vain":      Way((*_REFUSED, _step("resident", A.APPEAL),
                         _step("desk 1", A.DECIDE_REOPEN, decision="refuse")), None),
    "withdrawn":    Way((_SIGNED[0], _step("resident", A.WITHDRAW), _days(31),
                         _step("supervisor 2", A.CORRECT, field="分类", was="路灯", correct="井盖",
                               approval="二号", approved_by=lambda scene: scene.auditor_id))),
    "merged":       Way((_step("desk 1", A.MERGE, master_id=_another_request),)),
    "parted":       Way((_step("desk 1", A.MERGE, master_id=_another_request),
                         _step("desk 2", A.UNMERGE), _TO_THE_UNIT)),
    "passed on":    Way((_SIGNED[0], _joined("desk 1"), _step("resident", A.WITHDRAW))),
    "split":        Way((*_SIGNED, _step("desk 1", A.UNMERGE, texts=["另一件事", "第三件事"]))),
    "settled":      Way((_GRID_CALL, _step("grid", A.SETTLE, **_DONE)), IDEA),
    "settled badly": Way((_GRID_CALL, _step("grid", A.SETTLE, **_DONE), _DISLIKED,
                          _step("desk 1", A.DECIDE_REOPEN, decision="reopen",
                                unit_code="housing")), IDEA),
}
# fmt: on
