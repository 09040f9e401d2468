"""A made-up request being told: its steps in the order of time, and what may happen on the way."""

from datetime import date
from typing import Any
from uuid import UUID

from app.domain import numbering, satisfaction
from app.statistics.city_deadlines import Deadlines
from app.statistics.city_rows import JOB_FACTS, NULL, SYSTEM_ID, Rows, made_up_id, person
from app.statistics.city_words import TEXTS
from app.statistics.city_year import DAY_S, LOCAL_S, Drawn, Ground, Matter, Place, Route

_HOUR = 3_600
_KINDS = ("help", "complaint", "consult", "report", "suggestion")
DISPATCHERS, SUPERVISORS, _HANDLERS = 12, 4, 6


class Chances:
    """The numbers of one request, taken one after the other. Beyond the last it begins again."""

    __slots__ = ("_at", "_chances")

    def __init__(self, chances: list[float]) -> None:
        self._chances, self._at = chances, -1

    def __call__(self) -> float:
        self._at += 1
        return self._chances[self._at % len(self._chances)]


class Telling:
    """One request: what is drawn of it, its steps so far, the columns of its row."""

    def __init__(self, ground: Ground, deadlines: Deadlines, rows: Rows, drawn: Drawn) -> None:
        self.ground, self.due, self.rows, self.drawn = ground, deadlines, rows, drawn
        self.matter: Matter = ground.matters[drawn.matter]
        self.place: Place = ground.places[drawn.place]
        self.chance = Chances(drawn.chances)
        self.id = made_up_id(drawn.submitted_at, drawn.index, drawn.bits)
        self.version, self.cycle = 0, 1
        self.state = "submitted"
        self.unit: str | None = None
        self.steps: list[tuple[int, tuple[Any, ...]]] = []  # not yet in the order of time
        self.request: dict[str, Any] = {}
        self._contact_due = self._reply_due = 0

    # --- steps -----------------------------------------------------------------------------------

    def later(self, at: int, action: str, actor: str, role: str, *, into: str | None = None,
              unit: str | None = None, note: str = NULL, public: str = NULL,
              facts: str = NULL) -> None:  # fmt: skip
        """A step at a time; ``into`` None: the request stays in its state, ``unit``: with whom."""
        self.steps.append((at, (action, actor, role, into, unit, note, public, facts)))

    def by_system(self, at: int, action: str, *, into: str | None = None, unit: str | None = None,
                  note: str = NULL, public: str = NULL) -> None:  # fmt: skip
        self.later(at, action, SYSTEM_ID, "system", into=into, unit=unit, note=note,
                   public=public, facts=JOB_FACTS)  # fmt: skip

    def write_steps(self) -> None:
        """The steps so far, in the order of time."""
        self.steps.sort(key=lambda step: step[0])
        for at, (action, actor, role, into, unit, note, public, facts) in self.steps:
            self.version += 1
            self.state = into or self.state
            self.unit = unit or self.unit
            self.rows.event(
                self.id, self.version, at, action, self.state, actor, role, self.unit, note,
                public, facts,
            )  # fmt: skip
        self.steps.clear()

    def clock(self, metric: str, state: str, started: int, due: int, stopped: int,
              original: int | None = None) -> None:  # fmt: skip
        self.rows.clock(self.id, self.cycle, metric, state, started, due, original or due, stopped)

    def _sampled(self) -> bool:
        return satisfaction.is_sampled(UUID(self.id), self.cycle)

    def dispatcher(self) -> str:
        return person("d", int(self.chance() * DISPATCHERS))

    def handler(self, unit: str) -> str:
        number = self.ground.numbers[unit]
        return person("a", number * _HANDLERS + int(self.chance() * _HANDLERS))

    def leader(self, unit: str) -> str:
        return person("1", self.ground.numbers[unit])

    def _describe(self, at: int, resident: str | None, matter: Matter | None) -> None:
        drawn, place, chance = self.drawn, self.place, self.chance
        root = (self.matter.code or "").split(".")[0]
        kind = {"policy": "consult", "idea": "suggestion", "praise": "praise"}.get(
            root, _KINDS[int(chance() ** 1.5 * len(_KINDS))]
        )
        day = (at + LOCAL_S) // DAY_S + date(1970, 1, 1).toordinal()
        # Inside the circle around the grid's spot that is all its own.
        turn, reach = drawn.bits % 4_096, (drawn.bits >> 12) % 1_000 / 1_000 * place.radius
        self.request.update(
            id=self.id, number=numbering.request_number(date.fromordinal(day), drawn.index + 1),
            kind=kind, category_code=matter.code if matter else None,
            text=TEXTS[drawn.bits % len(TEXTS)].format(
                matter=self.matter.name or "生活"),
            channel="mini_program" if resident else "desk",
            confidential=drawn.bits % 29 == 0, public=drawn.bits % 29 != 0 and drawn.bits % 3 == 0,
            resident_id=resident, grid_code=place.code,
            latitude=place.latitude + reach * (turn / 2_048 - 1) * 0.7,
            longitude=place.longitude + reach * ((turn * 31 % 4_096) / 2_048 - 1) * 0.7,
            policy_code=self.matter.policy.code, policy_version=self.matter.policy.version,
            calendar_version=self.ground.calendar.version, submitted_at=at,
        )  # fmt: skip

    def _route(self, route: Route | None) -> None:
        self.request["routing"] = (
            (route.rule_id, route.reason_code, route.reason_text) if route
            else (None, "category_missing", "未选择类别，转镇街调度员派单")
        )  # fmt: skip

    def _other(self, unit: str, further: int) -> str:
        return self.ground.units[(self.ground.numbers[unit] + further) % len(self.ground.units)]

    # --- on the way ------------------------------------------------------------------------------

    def _attempt(self, at: int, result: str, actor: str, role: str) -> None:
        self.later(at, "contact", actor, role,
                   facts=f'{{"method": "phone", "result": "{result}"}}')  # fmt: skip
        self.rows.contact(self.id, self.cycle, result, at, actor)

    def _extended(self, ready: int, replied: int, handler: str, *, granted: bool) -> None:
        due = self._reply_due
        asked = ready + max(int((min(replied, due) - ready) * 0.35), 60)
        decided = self.due.office(asked, 600 + self.chance() * 2 * _HOUR)
        days = self.matter.policy.extension_days
        if asked >= self.due.last_to_extend(due) or decided >= min(due, replied) or not days:
            return
        desk = self.dispatcher()
        self.later(asked, "request_extension", handler, "handler", note="需多单位协调",
                   facts=f'{{"working_days": {days}, "reason_code": "coordination"}}')  # fmt: skip
        word = "approve" if granted else "deny"
        self.later(decided, "decide_extension", desk, "dispatcher", note="按规定审批",
                   facts=f'{{"decision": "{word}", "working_days": {days}}}')  # fmt: skip
        after = self.due.extended(due, days) if granted else None
        self.rows.extension(self.id, self.cycle, days, handler, asked, desk, decided, due, after)
        if after is not None:
            self._reply_due = after
            self.request["extensions"] = 1

    def _on_the_way(
        self, at: int, signed: int, replied: int, unit: str, handler: str
    ) -> tuple[str, str]:
        """催办, 督办, 转派."""
        chance, resident = self.chance, self.request["resident_id"]
        urged = max(at + DAY_S + int(chance() * DAY_S), signed + 1)
        if resident and chance() < 0.05 and urged < replied:
            self.later(urged, "urge", resident, "resident", public="请尽快处理",
                       facts='{"urges": 1}')  # fmt: skip
            self.request.update(urge_count=1, last_urged_at=urged)
        alarm = self.due.extended(self._reply_due, 3)
        if replied > alarm + 60 and alarm > signed:
            self._ordered(alarm, unit, by_system=True, before=replied)
        elif chance() < 0.004 and replied - signed > 2 * _HOUR:
            middle = signed + (replied - signed) // 2
            self._ordered(middle, unit, by_system=False, before=replied)
        moved = signed + int((replied - signed) * 0.3)
        if chance() < 0.012 and moved > signed + _HOUR and "hops" not in self.request:
            to = self._other(unit, 3)
            if to != unit:
                self.later(moved, "transfer", self.dispatcher(), "dispatcher", unit=to,
                           note="职责调整",
                           facts=f'{{"from_unit_code": "{unit}", "unit_code": "{to}",'
                                 f' "hops": 1}}')  # fmt: skip
                self.request.update(
                    hops=1, reassigned=1, assigned_at=moved, handler_id=None,
                    return_until=self.due.returned(self.matter.policy, moved),
                )  # fmt: skip
                unit, handler = to, self.handler(to)
        return unit, handler

    def _ordered(self, at: int, unit: str, *, by_system: bool, before: int) -> None:
        """督办: a written order, answered by the unit's leader."""
        answer_due = self.due.order(self.matter.policy, at)
        answered = self.due.office(at, 1_200 + self.chance() * 4 * _HOUR)
        leader = self.leader(unit)
        facts = '{"supervise_level": 1}'
        if by_system:
            orderer = SYSTEM_ID
            self.by_system(at, "supervise", note="超时三个工作日，自动督办")
        else:
            orderer = person("c", int(self.chance() * SUPERVISORS))
            self.later(at, "supervise", orderer, "supervisor", note="请尽快办理并答复",
                       facts=facts)  # fmt: skip
        answered = min(answered, before - 1)
        self.rows.order(self.id, orderer, at, answer_due, leader, answered)
        self.clock("supervise", "met" if answered <= answer_due else "missed", at, answer_due,
                   answered)  # fmt: skip
        self.request["supervise_level"] = 1
        self.later(answered, "supervise", leader, "unit_leader", note="已安排专人办理",
                   facts='{"answered": true}')  # fmt: skip


def verdict(first: float, second: float, *, good: bool) -> tuple[int, str]:
    if good:
        word = 5 if first < 0.62 else 4 if first < 0.9 else 3
        return word, "solved" if second < (0.93 if word > 3 else 0.6) else "partly"
    word = 2 if first < 0.6 else 1
    return word, "unsolved" if second < 0.55 else "partly" if second < 0.85 else "solved"
