"""The figures counted once more, one request after the other, from what was written of each.

The product counts columns of the requests in one SELECT; here the clocks, the ratings, the
call-backs, the replies and the history are asked. Source: the definitions of the measures.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

# One row for each request: how it ended, what its present cycle has.
LIVES = """
SELECT requests.id, requests.state, requests.cycle_no, requests.master_id, rate_until, diligent_at,
  (SELECT event.state FROM request_events AS event
   WHERE event.request_id = requests.id AND event.state <> 'archived'
   ORDER BY version DESC LIMIT 1) AS came_to,
  (SELECT reply.sent_at FROM request_replies AS reply
   WHERE reply.request_id = requests.id AND reply.cycle_no = requests.cycle_no) AS answered_at,
  coalesce(
    (SELECT rating.satisfaction FROM request_ratings AS rating
     WHERE rating.request_id = requests.id AND rating.cycle_no = requests.cycle_no
       AND NOT EXISTS (SELECT FROM request_events AS parted
         WHERE parted.request_id = requests.id AND parted.at >= rating.at
           AND (action = 'unmerge' AND facts ? 'master_id' OR facts ? 'inherited_from'))),
    (SELECT asked.satisfaction FROM request_call_backs AS asked
     WHERE asked.request_id = requests.id AND asked.cycle_no = requests.cycle_no AND reached)
  ) AS word,
  contact.state AS contact, contact.due_at AS contact_due, contact.stopped_at AS contact_stop,
  reply.state AS reply, reply.due_at AS reply_due
FROM requests
JOIN request_clocks AS contact ON contact.request_id = requests.id
  AND contact.cycle_no = requests.cycle_no AND contact.metric = 'contact'
JOIN request_clocks AS reply ON reply.request_id = requests.id
  AND reply.cycle_no = requests.cycle_no AND reply.metric = 'reply'
"""
_FIGURES = ("received", "closed", "rated", "satisfied", "contact_on_time", "diligent",
            "reply_on_time")  # fmt: skip


def counted(lives: Iterable[Mapping[str, Any]], now: datetime) -> dict[str, list[int]]:
    """Each figure as [numerator, denominator]."""
    figures = {name: [0, 0] for name in _FIGURES}

    def count(name: str, good: bool) -> None:
        figures[name][0] += good
        figures[name][1] += 1

    for life in lives:
        count("received", True)
        count("closed", life["came_to"] == "closed")
        follower = life["master_id"] is not None
        if life["word"] is not None or (life["rate_until"] if follower else life["answered_at"]):
            count("rated", life["word"] is not None)
        if life["word"] is not None:
            count("satisfied", life["word"] >= 3)
        for name, verdict in (
            ("contact_on_time", _contact(life, now)),
            ("reply_on_time", _reply(life, now)),
        ):
            if verdict is not None:
                count(name, verdict)
        if _is_diligent(life):
            count("diligent", True)
        elif _contact(life, now) is not None:
            count("diligent", False)
    return figures


def _owed_nothing(life: Mapping[str, Any]) -> bool:
    """Refused, withdrawn, following another one; or refused and looked at once more."""
    in_review = life["came_to"] == "reopen_review" and life["answered_at"] is None
    return in_review or life["came_to"] in ("rejected", "withdrawn", "merged")


def _contact(life: Mapping[str, Any], now: datetime) -> bool | None:
    """In time, too late, or neither."""
    if life["contact"] in ("met", "missed"):
        return bool(life["contact"] == "met")
    if _owed_nothing(life) or life["diligent_at"] is not None:
        return None
    waited_until = life["contact_stop"] or now
    return False if waited_until > life["contact_due"] else None


def _is_diligent(life: Mapping[str, Any]) -> bool:
    reached = life["contact"] in ("met", "missed")
    return life["diligent_at"] is not None and not reached and not _owed_nothing(life)


def _reply(life: Mapping[str, Any], now: datetime) -> bool | None:
    if life["reply"] in ("met", "missed"):
        return bool(life["reply"] == "met")
    late = life["reply"] == "running" and now >= life["reply_due"]
    return False if late else None
