"""The table of the lifecycle as the API shows it, with its Chinese names."""

from typing import Any

from app.domain.guards import GUARD_TEXT
from app.domain.identity import GRANTS, ROLE_TEXT, Permission, Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.states import ACTION_TEXT, FINAL, REPLY_CLOCK, STATE_TEXT, Action, State


def workflow_view() -> dict[str, Any]:
    """Every state, and every row of the table in its order."""
    states = [
        {
            "code": state,
            "text": text,
            "public_label": label,
            "final": state in FINAL,
            "reply_clock": REPLY_CLOCK[state],
        }
        for state, (text, label) in STATE_TEXT.items()
    ]
    submit_by = [role for role in Role if role in GRANTS[Permission.REQUEST_SUBMIT]]
    rows: list[dict[str, Any]] = [
        {
            "source": None,
            "source_text": None,
            "action": Action.SUBMIT,
            "action_text": ACTION_TEXT[Action.SUBMIT],
            "targets": [State.SUBMITTED],
            "by": submit_by,
            "by_text": [ROLE_TEXT[role] for role in submit_by],
            "note_required": False,
            "guards": [],
        }
    ]
    for step in TRANSITIONS:
        roles = [role for role in Role if role in step.by]
        rows.append(
            {
                "source": step.source,
                "source_text": STATE_TEXT[step.source][0],
                "action": step.action,
                "action_text": ACTION_TEXT[step.action],
                "targets": list(step.targets),
                "by": roles,
                "by_text": [ROLE_TEXT[role] for role in roles],
                "note_required": step.note_required,
                "guards": [{"code": g, "text": GUARD_TEXT[g]} for g in step.guards],
            }
        )
    return {"states": states, "transitions": rows}
