"""What each action does beyond moving the request: one row each.

A step checks what its form says, writes the rows that belong to it, and returns where the request
goes. The table of the lifecycle has already said that the step may be taken.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from app.domain.states import Action
from app.requests import (
    answering,
    assigning,
    cohandling,
    informing,
    joining,
    pressing,
    promises,
    reviewing,
)
from app.requests import forms as f
from app.requests.move import Move, Outcome

Step = Callable[[Move, Any], Awaitable[Outcome]]

# fmt: off
STEPS: dict[Action, tuple[type[f.Form], Step]] = {
    Action.ASSIGN:            (f.AssignIn,       assigning.assign),
    Action.ASK_INFO:          (f.Form,           informing.ask_info),
    Action.SUPPLY:            (f.SupplyIn,       informing.supply),
    Action.EXPIRE_INFO:       (f.ExpireInfoIn,   informing.expire_info),
    Action.SIGN:              (f.Form,           assigning.sign),
    Action.AUTO_SIGN:         (f.Form,           assigning.auto_sign),
    Action.RETURN:            (f.ReturnIn,       assigning.send_back),
    Action.DECIDE_RETURN:     (f.DecideReturnIn, assigning.decide_return),
    Action.TRANSFER:          (f.TransferIn,     assigning.transfer),
    Action.CONTACT:           (f.ContactLogIn,   informing.contact),
    Action.CO_ASSIGN:         (f.CoAssignIn,     cohandling.co_assign),
    Action.CO_FEEDBACK:       (f.CoFeedbackIn,   cohandling.co_feedback),
    Action.REQUEST_EXTENSION: (f.ExtensionIn,    promises.request_extension),
    Action.DECIDE_EXTENSION:  (f.DecideIn,       promises.decide_extension),
    Action.SUSPEND:           (f.SuspendIn,      promises.suspend),
    Action.RESUME:            (f.ResumeIn,       promises.resume),
    Action.URGE:              (f.Form,           pressing.urge),
    Action.SUPERVISE:         (f.SuperviseIn,    pressing.supervise),
    Action.REPLY:             (f.ReplyIn,        answering.reply),
    Action.DECIDE_REPLY:      (f.DecideIn,       answering.decide_reply),
    Action.RATE:              (f.RatingIn,       answering.rate),
    Action.AUTO_CLOSE:        (f.Form,           answering.auto_close),
    Action.CALL_BACK:         (f.CallBackIn,     answering.call_back),
    Action.REQUEST_REOPEN:    (f.Form,           reviewing.request_reopen),
    Action.DECIDE_REOPEN:     (f.DecideReopenIn, reviewing.decide_reopen),
    Action.REJECT:            (f.RejectIn,       reviewing.reject),
    Action.APPEAL:            (f.Form,           reviewing.appeal),
    Action.WITHDRAW:          (f.Form,           reviewing.withdraw),
    Action.MERGE:             (f.MergeIn,        joining.merge),
    Action.UNMERGE:           (f.UnmergeIn,      joining.unmerge),
    Action.SETTLE:            (f.ReplyIn,        answering.settle),
    Action.RECLASSIFY:        (f.ReclassifyIn,   assigning.reclassify),
    Action.ARCHIVE:           (f.Form,           reviewing.archive),
    Action.CORRECT:           (f.CorrectIn,      reviewing.correct),
}
# fmt: on
