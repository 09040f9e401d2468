"""Every figure counted once more: slowly, one request after the other, from what happened to it.

Nothing of the engine, its conditions or the present state of a request decides here: the history,
the clocks, the ratings, the call-backs, the orders and the approved exclusions do. Of the request
itself only what never happens to it is read: when it came, by which channel, what it is about,
where. Source: the definitions of the measures, in words.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from math import ceil, sqrt
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.domain.satisfaction import is_sampled

ZONE = ZoneInfo("Asia/Shanghai")
FINAL = {"closed", "rejected", "withdrawn", "merged", "archived"}
# State Council, 2026: what departs from Monday to Friday.
OFF = {
    date(2026, month, day)
    for month, days in (
        (1, (1, 2, 3)), (2, range(15, 24)), (4, (4, 5, 6)), (5, range(1, 6)), (6, (19, 20, 21)),
        (9, (25, 26, 27)), (10, range(1, 8)),
    )
    for day in days
}  # fmt: skip
MADE_UP = {
    date(2026, month, day) for month, day in ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10))
}
OFFICE = ((time(8, 30), time(12)), (time(13, 30), time(17, 30)))
READ = {
    "requests": "SELECT id, submitted_at, channel, kind, category_code, grid_code, master_id,"
    " rate_until, diligent_at, resident_id FROM requests",
    "events": "SELECT request_id, version, at, action, state, unit_code, facts"
    " FROM request_events ORDER BY request_id, version",
    "clocks": "SELECT * FROM request_clocks",
    "ratings": "SELECT * FROM request_ratings",
    "call_backs": "SELECT * FROM request_call_backs ORDER BY at",
    "orders": "SELECT request_id FROM request_orders",
    "exclusions": "SELECT request_id, cycle_no, jsonb_array_elements_text(measures) AS measure"
    " FROM measure_exclusions WHERE state = 'approved'",
    "units": "SELECT code, kind FROM units",
}


@dataclass
class Life:
    """One request as it is told by what happened to it. ``counts``: measure → (den, num, half);
    ``left_out``: the measures in which its present cycle does not count, by a decision."""

    id: UUID
    person: UUID
    dims: dict[str, str | None]
    instants: dict[str, datetime | None]
    dues: dict[str, datetime | None]
    counts: dict[str, tuple[bool, bool, bool]]
    hours: float | None
    left_out: frozenset[str] = frozenset()


@dataclass
class World:
    """Everything that was written."""

    rows: dict[str, list[dict[str, Any]]]
    now: datetime
    events: dict[UUID, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for event in self.rows["events"]:
            event["facts"] = json.loads(event["facts"] or "{}") or {}
            self.events.setdefault(event["request_id"], []).append(event)

    def lives(self) -> list[Life]:
        return [self._but_for_decisions(*self._life(row)) for row in self.rows["requests"]]

    def _but_for_decisions(self, life: Life, cycle: int) -> Life:
        """Median and ninth tenth of the durations are two readings of one set."""
        left_out = {
            it["measure"]
            for it in self.rows["exclusions"]
            if (it["request_id"], it["cycle_no"]) == (life.id, cycle)
        }
        durations = {"duration_median", "duration_p90"}
        left_out |= durations if left_out & durations else set()
        nothing = dict.fromkeys(left_out, (False, False, False))
        return replace(life, counts=life.counts | nothing, left_out=frozenset(left_out))

    def whole(self, request_id: UUID) -> list[dict[str, Any]]:
        """Its history; of one that took another's place, that one's before it."""
        own = self.events[request_id]
        for place in range(len(own) - 1, -1, -1):
            master = own[place]["facts"].get("inherited_from")
            if master:
                before = [it for it in self.whole(UUID(master)) if it["at"] <= own[place]["at"]]
                return [*before, *own[place:]]
        return own

    def _clock(self, request_id: UUID, cycle: int, metric: str) -> dict[str, Any] | None:
        for clock in self.rows["clocks"]:
            if (clock["request_id"], clock["cycle_no"], clock["metric"]) == (
                request_id, cycle, metric,
            ):  # fmt: skip
                return clock
        return None

    def _life(self, row: dict[str, Any]) -> tuple[Life, int]:
        """As if nothing had been decided to be left out, and its present cycle."""
        request_id, own = row["id"], self.events[row["id"]]
        whole = self.whole(request_id)
        again = [
            place
            for place, it in enumerate(own)
            if it["action"] == "decide_reopen" and it["facts"].get("decision") == "reopen"
        ]
        cycle = 1 + len(again)
        present = own[again[-1] :] if again else own
        came_to = [it["state"] for it in own if it["state"] != "archived"][-1]
        answers = [
            it["at"]
            for it in present
            if it["state"] == "replied" and it["action"] in ("reply", "decide_reply", "settle")
        ]
        replied_at = answers[-1] if answers else None
        ended_at = None
        for it in own:
            ended_at = None if it["state"] not in FINAL else (ended_at or it["at"])
        unanswered_review = came_to == "reopen_review" and replied_at is None
        owed = came_to not in ("rejected", "withdrawn", "merged") and not unanswered_review
        closed = came_to == "closed"
        contacted, solved, word = self._said(request_id, cycle, own)

        contact = self._clock(request_id, cycle, "contact")
        reply = self._clock(request_id, cycle, "reply")
        accept = self._clock(request_id, cycle, "accept")
        assert contact is not None
        assert reply is not None
        reached, in_time = contact["state"] in ("met", "missed"), contact["state"] == "met"
        diligent = row["diligent_at"] is not None and not reached and owed
        waited = replied_at or ended_at or self.now
        late = owed and row["diligent_at"] is None and waited > contact["due_at"]
        contact_judged = reached or late
        reply_due = None if reply["paused_at"] else reply["due_at"]
        judged = reply_due is not None and (
            replied_at is not None or (owed and reply_due <= self.now)
        )
        met = replied_at is not None and reply_due is not None and replied_at < reply_due
        first_due = reply["original_due_at"]
        first_judged = replied_at is not None or (
            owed and ended_at is None and first_due <= self.now
        )
        signed = self._signed(present, accept)
        dispatched = any(it["unit_code"] for it in whole)
        granted = any(
            it["action"] == "decide_extension" and it["facts"].get("decision") == "approve"
            for it in present
        )
        sampled = replied_at is not None and is_sampled(request_id, cycle)
        asked = any(
            (it["request_id"], it["cycle_no"]) == (request_id, cycle)
            for it in self.rows["call_backs"]
        )
        follower = row["master_id"] is not None
        rateable = bool(row["rate_until"] if follower else replied_at)
        said, has_word = contacted is not None, word is not None
        partly = solved == "partly"
        supervised = any(it["request_id"] == request_id for it in self.rows["orders"])

        def pair(den: bool, num: object, half: bool = False) -> tuple[bool, bool, bool]:
            return den, den and bool(num), den and half

        unit = own[-1]["unit_code"]
        kinds = {it["code"]: it["kind"] for it in self.rows["units"]}
        grid, category = row["grid_code"], row["category_code"]
        good = has_word and word >= 3  # type: ignore[operator]
        life = Life(
            id=request_id,
            person=row["resident_id"] or request_id,
            dims={
                "unit": unit,
                "unit_kind": kinds.get(unit),
                "town": _cut(grid, 9),
                "community": _cut(grid, 12),
                "grid": _cut(grid, 15),
                "category": None if category is None else category.split(".")[0],
                "category_leaf": category,
                "channel": row["channel"],
                "kind": row["kind"],
            },
            instants={
                "submitted": row["submitted_at"],
                "replied": replied_at,
                "ended": ended_at,
            },
            dues={
                "contact_on_time": contact["due_at"],
                "diligent": contact["due_at"],
                "sign_on_time": accept["due_at"] if accept else None,
                "reply_on_time_original": first_due,
                "": reply_due,
            },
            counts={
                "received": pair(True, True),
                "per_1000": pair(True, True),
                "closed": pair(True, closed),
                "rated": pair(rateable or has_word, has_word),
                "satisfied": pair(has_word, good),
                "satisfied_strict": pair(has_word, has_word and word >= 4),  # type: ignore[operator]
                "satisfied_all_closed": pair(closed, good),
                "contact_on_time": pair(contact_judged, in_time),
                "diligent": pair(contact_judged or diligent, diligent),
                "reply_on_time": pair(judged, met),
                "overdue": pair(judged, not met),
                "reply_on_time_original": pair(
                    first_judged, replied_at is not None and replied_at < first_due
                ),
                "sign_on_time": pair(signed is not None, signed),
                "responded": pair(said, contacted),
                "responded_strict": pair(said, contacted and in_time),
                "responded_all_closed": pair(closed, contacted),
                "solved": pair(has_word, solved in ("solved", "partly"), partly),
                "solved_strict": pair(has_word, solved == "solved"),
                "solved_all_closed": pair(closed, solved in ("solved", "partly"), partly),
                "called_back": pair(sampled, asked),
                "returned": pair(dispatched, any(it["action"] == "return" for it in whole)),
                "reassigned": pair(dispatched, _changed_hands(whole)),
                "extended": pair(dispatched, granted),
                "reopened": pair(replied_at is not None or bool(again), again),
                "supervised": pair(True, supervised),
                "duration_median": pair(replied_at is not None, True),
                "duration_p90": pair(replied_at is not None, True),
            },
            hours=None if replied_at is None else _office_hours(row["submitted_at"], replied_at),
        )
        return life, cycle

    def _said(
        self, request_id: UUID, cycle: int, own: Sequence[Mapping[str, Any]]
    ) -> tuple[bool | None, str | None, int | None]:
        """What the resident wrote, else said on the phone: contacted, solved, satisfaction."""
        parted = [
            it["at"]
            for it in own
            if (it["action"] == "unmerge" and "master_id" in it["facts"])
            or "inherited_from" in it["facts"]
        ]
        for source in ("ratings", "call_backs"):
            for it in self.rows[source]:
                mine = (it["request_id"], it["cycle_no"]) == (request_id, cycle)
                holds = it.get("reached", True) and it["satisfaction"] is not None
                if mine and holds and not (parted and it["at"] <= parted[-1]):
                    return it["contacted"], it["solved"], it["satisfaction"]
        return None, None, None

    def _signed(
        self, present: Sequence[Mapping[str, Any]], accept: Mapping[str, Any] | None
    ) -> bool | None:
        """Signed, or given back, in time; None where nobody has to have signed yet."""
        if accept is None or accept["state"] == "cancelled":
            return None
        for it in present:
            if it["at"] >= accept["started_at"] and it["action"] in ("sign", "return", "auto_sign"):
                return it["action"] != "auto_sign" and it["at"] <= accept["due_at"]
        return False if accept["due_at"] < self.now else None


def _cut(code: str | None, digits: int) -> str | None:
    return code[:digits] if code is not None and len(code) >= digits else None


def _changed_hands(whole: Sequence[Mapping[str, Any]]) -> bool:
    """Given to a unit after one had it before, and not by staying with it."""
    units = [it["unit_code"] for it in whole]
    first = next((place for place, unit in enumerate(units) if unit), len(units))
    return any(
        units[place] and units[place] != units[place - 1] for place in range(first + 1, len(units))
    )


def _office_hours(since: datetime, until: datetime) -> float:
    total, day = timedelta(0), since.astimezone(ZONE).date()
    while day <= until.astimezone(ZONE).date():
        if day in MADE_UP or (day.weekday() < 5 and day not in OFF):
            for opens, closes in OFFICE:
                begin = max(datetime.combine(day, opens, ZONE), since)
                end = min(datetime.combine(day, closes, ZONE), until)
                total += max(end - begin, timedelta(0))
        day += timedelta(days=1)
    return (int(total.total_seconds()) + 180) // 360 / 10  # tenths, a half upwards


def bucket(dimension: str, at: datetime) -> str:
    local = at.astimezone(ZONE)
    year, week, _ = local.isocalendar()
    return {
        "day": f"{local:%Y-%m-%d}",
        "week": f"{year:04}-W{week:02}",
        "month": f"{local:%Y-%m}",
        "quarter": f"{local.year:04}-Q{(local.month + 2) // 3}",
        "year": f"{local.year:04}",
    }[dimension]


def basis_of(measure: str, basis: str | None) -> str:
    if basis is not None:
        return basis
    by_due = ("contact_on_time", "diligent", "reply_on_time", "overdue", "sign_on_time",
              "reply_on_time_original")  # fmt: skip
    return "due" if measure in by_due else "submitted"


def instant_of(life: Life, measure: str, basis: str | None) -> datetime | None:
    name = basis_of(measure, basis)
    if name == "due":
        return life.dues.get(measure, life.dues[""])
    return life.instants[name]


def matches(life: Life, filters: Mapping[str, str]) -> bool:
    for name, value in filters.items():
        if name == "grid":
            grids = [life.dims[it] for it in ("town", "community", "grid")]
            if value not in grids:
                return False
        elif name == "category":
            leaf = life.dims["category_leaf"]
            if leaf is None or not (leaf == value or leaf.startswith(value + ".")):
                return False
        elif life.dims[name] != value:
            return False
    return True


def members_of(
    lives: Sequence[Life],
    measure: str,
    *,
    group_by: Sequence[str],
    filters: Mapping[str, str],
    since: datetime,
    until: datetime,
    basis: str | None,
) -> dict[tuple[str | None, ...], list[Life]]:
    """The requests whose instant lies in the period, under the keys of every level."""
    groups: dict[tuple[str | None, ...], list[Life]] = {(): []}
    for life in lives:
        at = instant_of(life, measure, basis)
        if at is None or not since <= at < until or not matches(life, filters):
            continue
        keys = tuple(life.dims[it] if it in life.dims else bucket(it, at) for it in group_by)
        for depth in range(len(keys) + 1):
            groups.setdefault(keys[:depth], []).append(life)
    return groups


def figure(measure: str, cohort: Sequence[Life]) -> dict[str, Any]:
    """num, den, excluded, value and the interval of one cell."""
    counts = [life.counts[measure] for life in cohort]
    den = sum(it[0] for it in counts)
    num = sum(1.0 if not half else 0.5 for _, counted, half in counts if counted)
    told: dict[str, Any] = {"num": num, "den": den, "excluded": len(counts) - den, "ci": None}
    told["value"] = num / den if den else None
    if measure == "received":
        told["value"] = float(num)
    elif measure.startswith("duration"):
        hours = sorted(
            life.hours for life in cohort if life.counts[measure][0] and life.hours is not None
        )
        share = 0.5 if measure == "duration_median" else 0.9
        told["value"] = hours[max(ceil(share * len(hours)), 1) - 1] if hours else None
    elif den:
        # The two shares from which this one is just as far as a 95 % deviation: a quadratic.
        share, z2 = num / den, 1.959963984540054**2
        a, b, c = den + z2, -(2 * den * share + z2), den * share**2
        root = sqrt(max(b * b - 4 * a * c, 0))
        told["ci"] = ((-b - root) / (2 * a), (-b + root) / (2 * a))
    return told
