"""The lives of requests as the load lives them: who takes which step, and with what form.

Every step of a life succeeds whoever else is at work; so whatever else is answered is a fault.
Steps that only time opens (a window that is over, a day that has come) are not among them.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app.domain.working_time import SHANGHAI

# Each has a unit of its own, whose replies go out at once.
CATEGORIES = ("road.lamp", "road.damage", "env.sewage")
REVIEWED = "utility.power_outage"  # its policy is told to have replies looked at: see ``Rig``
OF_THE_GRID = "idea.micro"
OTHER_UNIT = "power_company"

_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def letters(key: str) -> str:
    """The key without digits: eleven in a row could be a telephone number, and refused."""
    return key.translate(_LETTERS)


class Moment(NamedTuple):
    """What a form may speak of."""

    key: str  # unique about this call
    page: Mapping[str, Any]  # the request's own, where the step looks at it; else empty
    beside: str  # another open request of the same resident


Form = Callable[[Moment], Mapping[str, Any]]


class Step(NamedTuple):
    action: str
    by: str  # resident, handler or leader (of its unit), other (unit's handler), grid, or a role
    form: Form
    looks: bool = False


class Life(NamedTuple):
    """``categories``: one of them is chosen; None: the desk is to find out."""

    steps: tuple[Step, ...] = ()
    categories: tuple[str | None, ...] = CATEGORIES
    joins: bool = False  # an open request stands beside it


def _step(action: str, by: str, note: str | None = "note", **form: Any) -> Step:
    """``note`` names the member that takes what is unique; values may be made by the moment."""

    def filled(moment: Moment) -> Mapping[str, Any]:
        said = {name: value(moment) if callable(value) else value for name, value in form.items()}
        return {**said, **({note: f"备注 {letters(moment.key)}"} if note else {})}

    return Step(action, by, filled)


def _in_two_days(_: Moment) -> str:
    return (datetime.now(UTC).astimezone(SHANGHAI).date() + timedelta(days=2)).isoformat()


def _part(by: str, step: str) -> Step:
    """A step of the only co-task."""
    taken = _step("co_feedback", by, step=step, co_task_id=lambda it: it.page["co_tasks"][0]["id"])
    return taken._replace(looks=True)


_DONE = {"public_reply": "已修好", "solved": "solved", "factual": True}
_BAD = {"contacted": True, "solved": "unsolved", "satisfaction": 1, "reasons": ["slow"]}

SIGN = _step("sign", "handler")
CALL_IN_VAIN = _step("contact", "handler", method="phone", result="no_answer")
CONTACT = _step("contact", "handler", method="phone", result="reached")
ASK_INFO = _step("ask_info", "handler")
SUPPLY = _step("supply", "resident", "text")
RETURN = _step("return", "handler", reason_code="not_ours")
REFUSE_RETURN = _step("decide_return", "dispatcher", decision="refuse")
GIVE_AWAY = _step("decide_return", "dispatcher", decision="reassign", unit_code=OTHER_UNIT)
LONGER = _step("request_extension", "handler", working_days=2, reason_code="survey")
GRANT = _step("decide_extension", "dispatcher", decision="approve")
REFUSE_LONGER = _step("decide_extension", "dispatcher", decision="deny")
SUSPEND = _step("suspend", "leader", reason_code="weather", until=_in_two_days)
ALLOW = _step("suspend", "dispatcher", decision="approve")
RESUME = _step("resume", "resident", "text")
URGE = _step("urge", "dispatcher")
ORDER = _step("supervise", "supervisor", level=1)
ANSWER = _step("supervise", "leader")
CO_ASSIGN = _step("co_assign", "leader", "task", unit_code=OTHER_UNIT)
TRANSFER = _step("transfer", "dispatcher", unit_code=OTHER_UNIT)
RECLASSIFY = _step("reclassify", "dispatcher", category_code=REVIEWED)
REPLY = _step("reply", "handler", "internal_note", **_DONE)
SEND_BACK = _step("decide_reply", "leader", decision="deny")
SEND = _step("decide_reply", "leader", decision="approve")
PRAISE = _step("rate", "resident", "text", contacted=True, solved="solved", satisfaction=5)
BLAME = _step("rate", "resident", "text", **_BAD)
ASK_AGAIN = _step("request_reopen", "resident")
REOPEN = _step("decide_reopen", "dispatcher", decision="reopen")
REFUSE_REOPEN = _step("decide_reopen", "dispatcher", decision="refuse")
ASSIGN = _step("assign", "dispatcher", unit_code="housing", category_code="road.lamp")
REJECT = _step("reject", "dispatcher", ground_code="petition", where_to_go="信访局")
APPROVE_REJECT = _step("reject", "supervisor", decision="approve")
APPEAL = _step("appeal", "resident")
TAKE_ON = _step("decide_reopen", "dispatcher", decision="reopen", unit_code="housing")
WITHDRAW = _step("withdraw", "resident")
MERGE = _step("merge", "dispatcher", master_id=lambda it: it.beside)
UNMERGE = _step("unmerge", "dispatcher")
GRID_CONTACT = _step("contact", "grid", method="visit", result="reached")
SETTLE = _step("settle", "grid", "internal_note", **_DONE)

LIVES: tuple[Life, ...] = (
    Life((SIGN, CONTACT, REPLY, PRAISE)),
    Life((SIGN, CALL_IN_VAIN, ASK_INFO, SUPPLY, REPLY, BLAME, REOPEN, SIGN, CONTACT, REPLY)),
    Life((RETURN, REFUSE_RETURN, CONTACT, LONGER, GRANT, LONGER, REPLY)),
    Life((RETURN, GIVE_AWAY, SIGN, CONTACT, LONGER, REFUSE_LONGER, WITHDRAW)),
    Life((SIGN, CONTACT, SUSPEND, ALLOW, RESUME, REPLY, PRAISE, ASK_AGAIN, REFUSE_REOPEN)),
    Life((URGE, SIGN, ORDER, ANSWER, CONTACT, TRANSFER, RECLASSIFY)),
    Life((SIGN, CONTACT, REPLY, SEND_BACK, REPLY, SEND, PRAISE), (REVIEWED,)),
    Life((SIGN, CONTACT, CO_ASSIGN, _part("other", "sign"), _part("other", "feed_back"),
          _part("handler", "confirm"), REPLY)),
    Life((REJECT, APPROVE_REJECT, APPEAL, TAKE_ON, SIGN), (None,)),
    Life((MERGE, UNMERGE, ASSIGN, SIGN), joins=True),
    Life((GRID_CONTACT, SETTLE, PRAISE), (OF_THE_GRID,)),
    Life(),
)  # fmt: skip
ONLY_SUBMITTED: tuple[Life, ...] = (Life(),)
