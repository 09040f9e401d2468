"""Which request counts for which figure: the one place. Figures and their drill-down read it.

Of each measure: the condition of its denominator, that of its numerator (always inside the
denominator), the instant that puts it into a period, and what must be joined to say so. A figure is
``count(*) FILTER (WHERE condition)``, its drill-down the rows for which the condition holds, and
``excluded`` is what lies in the period and outside the denominator, also what was left out by a
decision (剔除). No condition is ever NULL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.domain.exclusions import NEVER_EXCLUDED
from app.domain.measures import Basis, Measure
from app.domain.satisfaction import SATISFIED_FROM, Satisfaction, Solved
from app.domain.sla import ClockState, Metric
from app.domain.states import State
from app.requests.exclusion import excluded_from
from app.requests.queries import CANCELLED, NO_CONTACT_AT

# A clock of the present cycle, whatever became of it; a request without one has NULLs.
_CLOCK = """LEFT JOIN request_clocks AS {name} ON {name}.request_id = requests.id
    AND {name}.cycle_no = requests.cycle_no AND {name}.metric = '{metric}'"""
_ACCEPT = _CLOCK.format(name="accept", metric=Metric.ACCEPT)
_REPLY = _CLOCK.format(name="reply", metric=Metric.REPLY)
# The same for few requests: one by one, where the planner, who cannot know how few, reads all.
_LOOKED_UP = """LEFT JOIN LATERAL (SELECT * FROM request_clocks AS clock
    WHERE clock.request_id = requests.id AND clock.cycle_no = requests.cycle_no
      AND clock.metric = '{metric}' LIMIT 1) AS {name} ON true"""
LOOKED_UP: Mapping[str, str] = MappingProxyType(
    {
        _ACCEPT: _LOOKED_UP.format(name="accept", metric=Metric.ACCEPT),
        _REPLY: _LOOKED_UP.format(name="reply", metric=Metric.REPLY),
    }
)


@dataclass(frozen=True, slots=True)
class Counted:
    """The conditions of one measure.

    Attributes:
        den, num: SQL over ``requests`` and ``join``; ``num`` is ANDed with ``den``.
        due: the column that ``Basis.DUE`` means.
        join: of at most one row for each request.
        half: of ``num``, those that count with the weight of a partly solved matter.
    """

    den: str
    num: str
    due: str = "requests.reply_due_at"
    join: str = ""
    half: str = ""


PERCENTILE: dict[Measure, float] = {Measure.DURATION_MEDIAN: 0.5, Measure.DURATION_P90: 0.9}


def _sure(condition: str) -> str:
    """Never NULL: what nobody knows does not hold."""
    return f"coalesce({condition}, false)"


IS_CLOSED = (
    f"(requests.state = '{State.CLOSED}'"
    f" OR requests.state = '{State.ARCHIVED}' AND NOT {CANCELLED})"
)
_DISPATCHED = "requests.assigned_at IS NOT NULL"
_HAS_WORD = "requests.satisfaction IS NOT NULL"
_REPLIED = "requests.replied_at IS NOT NULL"
_SAID = "requests.said_contacted IS NOT NULL"
_PARTLY = f"requests.solved = '{Solved.PARTLY}'"
_SOLVED = f"requests.solved = '{Solved.SOLVED}'"
_SATISFIED = f"requests.satisfaction >= {SATISFIED_FROM:d}"
# tried often enough in time (已尽责未联系上): neither met nor missed
_DILIGENT = f"""(requests.contacted_at IS NULL AND requests.diligent_at IS NOT NULL
    AND NOT {CANCELLED})"""
_CONTACT_MET = "requests.contacted_at <= requests.contact_due_at"
_CONTACT_JUDGED = f"""(requests.contacted_at IS NOT NULL
    OR NOT {CANCELLED} AND requests.diligent_at IS NULL
      AND requests.contact_due_at < {NO_CONTACT_AT})"""
_REPLY_JUDGED = f"""(requests.reply_due_at IS NOT NULL AND (requests.replied_at IS NOT NULL
    OR NOT {CANCELLED} AND requests.reply_due_at <= :now::timestamptz))"""
_ORIGINAL_JUDGED = f"""(requests.replied_at IS NOT NULL
    OR NOT {CANCELLED} AND requests.ended_at IS NULL
      AND reply.original_due_at <= :now::timestamptz)"""
_SIGN_JUDGED = f"""(accept.state IN ('{ClockState.MET}', '{ClockState.MISSED}')
    OR accept.state = '{ClockState.RUNNING}' AND accept.due_at < :now::timestamptz)"""

_ALL = "true"
_RAW: dict[Measure, Counted] = {
    Measure.RECEIVED: Counted(_ALL, _ALL),
    Measure.CLOSED: Counted(_ALL, IS_CLOSED),
    Measure.RATED: Counted(f"(requests.rate_until IS NOT NULL OR {_HAS_WORD})", _HAS_WORD),
    Measure.SATISFIED: Counted(_HAS_WORD, _SATISFIED),
    Measure.SATISFIED_STRICT: Counted(
        _HAS_WORD, f"requests.satisfaction >= {Satisfaction.SATISFIED:d}"
    ),
    Measure.SATISFIED_ALL_CLOSED: Counted(IS_CLOSED, _SATISFIED),
    Measure.CONTACT_ON_TIME: Counted(_CONTACT_JUDGED, _CONTACT_MET, "requests.contact_due_at"),
    Measure.DILIGENT: Counted(
        f"({_CONTACT_JUDGED} OR {_DILIGENT})", _DILIGENT, "requests.contact_due_at"
    ),
    Measure.REPLY_ON_TIME: Counted(_REPLY_JUDGED, "requests.replied_at < requests.reply_due_at"),
    Measure.OVERDUE: Counted(
        _REPLY_JUDGED, "(requests.replied_at < requests.reply_due_at) IS NOT TRUE"
    ),
    Measure.REPLY_ON_TIME_ORIGINAL: Counted(
        _ORIGINAL_JUDGED,
        "requests.replied_at < reply.original_due_at",
        "reply.original_due_at",
        _REPLY,
    ),
    Measure.SIGN_ON_TIME: Counted(
        _SIGN_JUDGED, f"accept.state = '{ClockState.MET}'", "accept.due_at", _ACCEPT
    ),
    Measure.RESPONDED: Counted(_SAID, "requests.said_contacted"),
    Measure.RESPONDED_STRICT: Counted(_SAID, f"requests.said_contacted AND {_CONTACT_MET}"),
    Measure.RESPONDED_ALL_CLOSED: Counted(IS_CLOSED, "requests.said_contacted"),
    Measure.SOLVED: Counted(_HAS_WORD, f"({_SOLVED} OR {_PARTLY})", half=_PARTLY),
    Measure.SOLVED_STRICT: Counted(_HAS_WORD, _SOLVED),
    Measure.SOLVED_ALL_CLOSED: Counted(IS_CLOSED, f"({_SOLVED} OR {_PARTLY})", half=_PARTLY),
    Measure.CALLED_BACK: Counted("requests.sampled", "requests.called_back_at IS NOT NULL"),
    Measure.RETURNED: Counted(_DISPATCHED, "requests.returned_units <> '[]'"),
    Measure.REASSIGNED: Counted(_DISPATCHED, "requests.reassigned > 0"),
    Measure.EXTENDED: Counted(_DISPATCHED, "requests.extensions > 0"),
    Measure.REOPENED: Counted(f"({_REPLIED} OR requests.reopens > 0)", "requests.reopens > 0"),
    Measure.SUPERVISED: Counted(_ALL, "requests.supervise_level > 0"),
    Measure.DURATION_MEDIAN: Counted(_REPLIED, _REPLIED),
    Measure.DURATION_P90: Counted(_REPLIED, _REPLIED),
    Measure.PER_1000: Counted(_ALL, _ALL),
}


def together(measure: Measure) -> tuple[Measure, ...]:
    """Two readings of the same durations: who is left out of one is left out of both."""
    return tuple(PERCENTILE) if measure in PERCENTILE else (measure,)


def is_excluded(measure: Measure) -> str:
    """By a decision (剔除). Never NULL."""
    if measure in NEVER_EXCLUDED:
        return "false"
    return f"({' OR '.join(map(excluded_from, together(measure)))})"


def _whole(measure: Measure, raw: Counted, *, excluding: bool = True) -> Counted:
    if measure in NEVER_EXCLUDED:
        return raw
    within = f"{raw.den} AND NOT {is_excluded(measure)}" if excluding else raw.den
    half = _sure(f"{within} AND {raw.half}") if raw.half else ""
    return Counted(_sure(within), _sure(f"{within} AND {raw.num}"), raw.due, raw.join, half)


# Everything but the composite, which is put together from others.
COUNTED: Mapping[Measure, Counted] = MappingProxyType(
    {measure: _whole(measure, raw) for measure, raw in _RAW.items()}
)
# What each of these conditions comes to for a request that nobody has excluded from anything: so
# many measures say the same of it.
UNEXCLUDED = "requests.excluded IS NULL"
PLAIN: Mapping[str, str] = MappingProxyType(
    {
        condition: getattr(_whole(measure, raw, excluding=False), name)
        for measure, raw in _RAW.items()
        for name in ("den", "num", "half")
        if (condition := getattr(COUNTED[measure], name))
    }
)

# What is ranked to find a middle: office time in whole tenths of an hour, a half upwards. So few
# values can be counted one by one, and their counts added up.
TENTHS = 10  # of an hour
OFFICE_TENTHS = "(requests.office_s + 180) / 360"

_INSTANT: dict[Basis, str] = {
    Basis.SUBMITTED: "requests.submitted_at",
    Basis.REPLIED: "requests.replied_at",
    Basis.ENDED: "requests.ended_at",
}


def instant_of(measure: Measure, basis: Basis) -> str:
    """The column that puts a request into a period."""
    return _INSTANT.get(basis) or COUNTED[measure].due
