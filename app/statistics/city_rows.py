"""Rows of made-up requests as PostgreSQL's COPY reads them: text, one line each, column by column.

Instants come in as seconds since 1970, UTC. Nothing that comes in has a tab, a backslash or a line
break in it.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from app.domain.anomalies import FIVE_STARS

NULL = "\\N"
SYSTEM_ID = "00000000-0000-0000-0000-000000000000"
JOB = "seed_year"
JOB_FACTS = f'{{"job": "{JOB}"}}'
_DAY_S = 86_400

_REQUEST: tuple[str, ...] = (
    "id", "number", "version", "state", "previous_state", "cycle_no", "kind", "text",
    "category_code", "channel", "confidential", "public", "resident_id", "submitted_by",
    "grid_code", "grid_certain", "unit_code", "handler_id", "routing", "latitude", "longitude",
    "policy_code", "policy_version", "calendar_version", "submitted_at", "assigned_at",
    "return_until", "returned_units", "contact_due_at", "reply_due_at", "provisional",
    "contacted_at", "contact_attempts", "diligent_at", "replied_at", "rate_until", "ended_at",
    "satisfaction", "solved", "said_contacted", "office_s", "hops", "reassigned", "extensions",
    "urge_count", "last_urged_at",
    "supervise_level", "sampled", "called_back_at", "reopens", "reviewed_by", "settled_by_grid",
)  # fmt: skip
# Table by table, in the order in which they are loaded: the columns that are written.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "requests": _REQUEST,
    "request_events": ("request_id", "version", "at", "action", "state", "actor_id", "actor_role",
                       "unit_code", "note", "public_note", "facts"),
    "request_clocks": ("request_id", "cycle_no", "metric", "state", "started_at", "due_at",
                       "original_due_at", "stopped_at"),
    "request_contacts": ("id", "request_id", "cycle_no", "method", "result", "at", "by",
                         "recorded_at"),
    "request_replies": ("request_id", "cycle_no", "public_reply", "factual", "solved",
                        "result_type", "by", "at", "sent_at", "took"),
    "request_ratings": ("request_id", "cycle_no", "resident_id", "contacted", "solved",
                        "satisfaction", "reasons", "text", "at", "unit_code", "of_account",
                        "of_unit"),
    "request_extensions": ("id", "request_id", "cycle_no", "working_days", "reason", "note",
                           "asked_by", "asked_at", "decided_by", "decided_at", "granted",
                           "due_before", "due_after"),
    "request_orders": ("id", "request_id", "level", "text", "ordered_by", "ordered_at",
                       "answer_due_at", "answer", "answered_by", "answered_at"),
    "request_call_backs": ("id", "request_id", "cycle_no", "reached", "contacted", "solved",
                           "satisfaction", "by", "at", "unit_code", "written", "written_solved",
                           "written_by"),
}  # fmt: skip
_CLOCK = [
    f"{second // 3_600:02d}:{second // 60 % 60:02d}:{second % 60:02d}+00"
    for second in range(_DAY_S)
]


def person(role: str, number: int) -> str:
    """A made-up person, by a hexadecimal digit for what they are and a number."""
    return f"{role}0000000-0000-8000-8000-{number:012x}"


def made_up_id(at: int, index: int, bits: int) -> str:
    """A UUID of version 8; later ones sort after earlier ones, as those of the service do."""
    head, tail = f"{at * 1_000 + index % 1_000:012x}", f"{bits % (1 << 60):015x}"
    return f"{head[:8]}-{head[8:]}-8{tail[:3]}-8{tail[3:6]}-{tail[6:]}{index % 4_096:03x}"


class Rows:
    """The lines of one batch, table by table."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {table: [] for table in COLUMNS}
        self._days: dict[int, str] = {}
        self._made = 0

    def taken(self) -> Iterator[tuple[str, bytes]]:
        """Each table with its lines, as they are sent."""
        for table, lines in self.lines.items():
            if lines:
                yield table, "".join(lines).encode()

    def at(self, instant: int | None) -> str:
        if instant is None:
            return NULL
        day, second = divmod(instant, _DAY_S)
        text = self._days.get(day)
        if text is None:
            text = self._days[day] = f"{date.fromordinal(719_163 + day)} "
        return text + _CLOCK[second]

    def _id(self, request_id: str) -> str:
        """Of a row that hangs on a request: its id with another version's end."""
        self._made += 1
        return f"{request_id[:24]}{self._made % (1 << 24):06x}{request_id[-6:]}"

    def request(self, row: Mapping[str, Any]) -> None:
        rule_id, code, reason = row["routing"]
        got, at = row.get, self.at
        self.lines["requests"].append(
            "\t".join((
                row["id"], row["number"], str(row["version"]), row["state"], row["previous_state"],
                str(row["cycle_no"]), row["kind"], row["text"], row["category_code"] or NULL,
                row["channel"], _truth(row["confidential"]), _truth(row["public"]),
                row["resident_id"] or NULL, row["submitted_by"], row["grid_code"], "t",
                row["unit_code"] or NULL, got("handler_id") or NULL,
                f'{{"rule": {rule_id or "null"}, "reasons": [{{"code": "grid_by_point", "text":'
                f' "按所选位置确定网格"}}, {{"code": "{code}", "text": "{reason}"}}]}}',
                f"{row['latitude']:.6f}", f"{row['longitude']:.6f}", row["policy_code"],
                str(row["policy_version"]), str(row["calendar_version"]), at(row["submitted_at"]),
                at(got("assigned_at")), at(got("return_until")), got("returned_units", "[]"),
                at(row["contact_due_at"]), at(row["reply_due_at"]), _truth(row["provisional"]),
                at(got("contacted_at")), str(got("contact_attempts", 0)), at(got("diligent_at")),
                at(got("replied_at")), at(got("rate_until")), at(row["ended_at"]),
                str(got("satisfaction") or NULL), got("solved") or NULL,
                NULL if got("said_contacted") is None else _truth(row["said_contacted"]),
                NULL if got("office_s") is None else str(row["office_s"]), str(got("hops", 0)),
                str(got("reassigned", 0)),
                str(got("extensions", 0)), str(got("urge_count", 0)), at(got("last_urged_at")),
                str(got("supervise_level", 0)), _truth(got("sampled", False)),
                at(got("called_back_at")), str(row["reopens"]), got("reviewed_by") or NULL,
                _truth(got("settled_by_grid", False)),
            )) + "\n"
        )  # fmt: skip

    def event(self, request_id: str, version: int, at: int, action: str, state: str, actor: str,
              role: str, unit: str | None, note: str, public: str, facts: str) -> None:  # fmt: skip
        self.lines["request_events"].append(
            f"{request_id}\t{version}\t{self.at(at)}\t{action}\t{state}\t{actor}\t{role}\t"
            f"{unit or NULL}\t{note}\t{public}\t{facts}\n"
        )

    def clock(self, request_id: str, cycle: int, metric: str, state: str, started: int, due: int,
              original: int, stopped: int) -> None:  # fmt: skip
        at = self.at
        self.lines["request_clocks"].append(
            f"{request_id}\t{cycle}\t{metric}\t{state}\t{at(started)}\t{at(due)}\t{at(original)}\t"
            f"{at(stopped)}\n"
        )

    def contact(self, request_id: str, cycle: int, result: str, at: int, by: str) -> None:
        moment = self.at(at)
        self.lines["request_contacts"].append(
            f"{self._id(request_id)}\t{request_id}\t{cycle}\tphone\t{result}\t{moment}\t{by}\t"
            f"{moment}\n"
        )

    def reply(
        self, request_id: str, cycle: int, text: str, by: str, at: int, given: int | None
    ) -> None:
        moment = self.at(at)
        self.lines["request_replies"].append(
            f"{request_id}\t{cycle}\t{text}\tt\tsolved\tsolved\t{by}\t{moment}\t{moment}\t"
            f"{NULL if given is None else f'{at - given} s'}\n"
        )

    def rating(self, request_id: str, cycle: int, said: tuple[str, bool, str, int], reasons: str,
               text: str, at: int, unit: str | None) -> None:  # fmt: skip
        """``said``: by whom, whether anybody spoke with them, how far solved, how satisfied.

        Of those near it, itself is counted; the others when all are loaded (``requests.crowds``).
        """
        resident, contacted, solved, word = said
        self.lines["request_ratings"].append(
            f"{request_id}\t{cycle}\t{resident}\t{_truth(contacted)}\t{solved}\t{word}\t{reasons}\t{text}\t"
            f"{self.at(at)}\t{unit or NULL}\t1\t{int(word == FIVE_STARS and unit is not None)}\n"
        )

    def extension(self, request_id: str, cycle: int, days: int, asked_by: str, asked: int,
                  decided_by: str, decided: int, due: int, after: int | None) -> None:  # fmt: skip
        at = self.at
        before = due if after is not None else None
        self.lines["request_extensions"].append(
            f"{self._id(request_id)}\t{request_id}\t{cycle}\t{days}\tcoordination\t需多单位协调\t"
            f"{asked_by}\t{at(asked)}\t{decided_by}\t{at(decided)}\t{_truth(after is not None)}\t"
            f"{at(before)}\t{at(after)}\n"
        )

    def order(self, request_id: str, by: str, at: int, answer_due: int, leader: str,
              answered: int) -> None:  # fmt: skip
        self.lines["request_orders"].append(
            f"{self._id(request_id)}\t{request_id}\t1\t请尽快办理并答复\t{by}\t{self.at(at)}\t"
            f"{self.at(answer_due)}\t已安排专人办理\t{leader}\t{self.at(answered)}\n"
        )

    def call_back(self, request_id: str, cycle: int, said: tuple[int, str] | None, by: str,
                  at: int, unit: str | None, written: tuple[int, str, str] | None,
                  ) -> None:  # fmt: skip
        """``written``: of the rating how satisfied, how far solved, and by whom."""
        word, solved = said or (NULL, NULL)
        own_word, own_solved, resident = written or (NULL, NULL, NULL)
        contacted = NULL if said is None else "t"
        self.lines["request_call_backs"].append(
            f"{self._id(request_id)}\t{request_id}\t{cycle}\t{_truth(said is not None)}\t"
            f"{contacted}\t{solved}\t{word}\t{by}\t{self.at(at)}\t{unit or NULL}\t"
            f"{own_word}\t{own_solved}\t{resident}\n"
        )


def _truth(value: object) -> str:
    return "t" if value else "f"
