"""The life of one made-up request, as the rows that the service would have written of it.

Every step is a row of the table of the lifecycle, by a role of that row; every clock stops when the
rules of ``requests.clocks`` stop it. Nothing is left open: the last step is the archive's.

What is made up can be told from what was: ids of requests and of people are UUIDs of version 8,
and the system's steps name the job ``seed_year``. No name, number or address of anybody is in it.
"""

from collections.abc import Sequence
from math import exp

from app.domain.guards import ARCHIVE_AFTER, DILIGENT_ATTEMPTS
from app.statistics.city_deadlines import Deadlines
from app.statistics.city_rows import NULL, Rows, person
from app.statistics.city_telling import DISPATCHERS, SUPERVISORS, Telling, verdict
from app.statistics.city_words import NOT_GOOD, RATED, REPLIES
from app.statistics.city_year import DAY_S, LOCAL_S, Drawn, Ground

_HOUR = 3_600


class Life(Telling):
    """Tells one request; ``tell()`` adds its rows to ``rows``."""

    # --- the whole -------------------------------------------------------------------------------

    def tell(self) -> None:
        drawn, policy = self.drawn, self.matter.policy
        at = drawn.submitted_at
        route = self.ground.routes[drawn.matter, self.place.region]
        rejected = not drawn.closed and self.chance() < 0.4
        sampled = self._sampled()
        # What staff took down has no resident who could rate it: it is asked by a call-back.
        desk = sampled and drawn.closed and drawn.satisfied and self.chance() < 0.6
        resident = (
            None if desk else person("b", int(drawn.chances[-1] ** 2 * self.ground.residents))
        )
        asker = person("d", int(drawn.chances[-1] * DISPATCHERS)) if desk else resident
        unit = None if rejected else route.unit_code
        self._describe(at, resident, None if rejected else self.matter)
        self.request.update(submitted_by=asker, sampled=sampled and drawn.closed)
        self._contact_due = self.due.contact(policy, at)
        self._reply_due, provisional = self.due.reply(policy, at, cycle_no=1)
        self.request["provisional"] = provisional
        self.later(at, "submit", asker or "", "dispatcher" if desk else "resident",
                   into="submitted")  # fmt: skip
        if unit is None:
            self.by_system(at, "queue", into="triage", note="转镇街调度员派单")
        else:
            self.by_system(at, "assign", into="assigned", unit=unit, note="按规则派单")
        self.write_steps()
        self._route(None if rejected else route)
        if rejected:
            ended = self._rejected(at)
        elif not drawn.closed:
            ended = self._withdrawn(at, unit, resident or "")
        else:
            ended = self._closed(at, unit, resident, desk=desk)
        self.request["previous_state"] = self.state
        self.by_system(ended + int(ARCHIVE_AFTER.total_seconds()) + int(self.chance() * 300),
                       "archive", into="archived")  # fmt: skip
        self.write_steps()
        self.request.update(
            version=self.version, state=self.state, cycle_no=self.cycle, ended_at=ended,
            unit_code=self.unit, contact_due_at=self._contact_due, reply_due_at=self._reply_due,
            reopens=self.cycle - 1,
        )  # fmt: skip
        self.rows.request(self.request)

    # --- ends without an answer ------------------------------------------------------------------

    def _rejected(self, at: int) -> int:
        asked = self.due.office(at, 600 + self.chance() * 7_200)
        ended = self.due.office(asked, 900 + self.chance() * 14_400)
        ground = ("lawsuit", "petition", "outside_area", "other_body")[int(self.chance() * 4)]
        facts = f'{{"ground_code": "{ground}"}}'
        self.later(asked, "reject", self.dispatcher(), "dispatcher", note="建议不予受理",
                   facts=facts)  # fmt: skip
        boss = person("c", int(self.chance() * SUPERVISORS))
        self.later(ended, "reject", boss, "supervisor", into="rejected", note="同意",
                   public="您反映的事项应通过其他法定渠道解决。", facts=facts)  # fmt: skip
        self.write_steps()
        self.clock("contact", "cancelled", at, self._contact_due, ended)
        self.clock("reply", "cancelled", at, self._reply_due, ended)
        return ended

    def _withdrawn(self, at: int, unit: str | None, resident: str) -> int:
        ended = at + 300 + int(self.chance() * 5 * _HOUR)
        contacted = None
        if unit is not None:
            accept = self.due.accept(self.matter.policy, at)
            ended = min(ended, accept - 60)  # before anybody has signed it
            self.request.update(
                assigned_at=at, return_until=self.due.returned(self.matter.policy, at)
            )
            self.clock("accept", "cancelled", at, accept, ended)
            if self.chance() < 0.5:
                contacted = at + (ended - at) // 2
                self._attempt(contacted, "reached", self.handler(unit), "handler")
        told = "true" if contacted else "false"
        self.later(ended, "withdraw", resident, "resident", into="withdrawn",
                   public="问题已自行解决", facts=f'{{"after_contact": {told}}}')  # fmt: skip
        self.write_steps()
        self.request["contacted_at"] = contacted
        if contacted is None:
            self.clock("contact", "cancelled", at, self._contact_due, ended)
        else:
            met = contacted <= self._contact_due
            self.clock("contact", "met" if met else "missed", at, self._contact_due, contacted)
        self.clock("reply", "cancelled", at, self._reply_due, ended)
        return ended

    # --- handled, answered, rated ----------------------------------------------------------------

    def _closed(self, at: int, unit: str | None, resident: str | None, *, desk: bool) -> int:
        policy, chance, satisfied = self.matter.policy, self.chance, self.drawn.satisfied
        again = chance()
        # Somebody was not satisfied with the first answer, or with both.
        twice = not desk and again < (0.02 if satisfied else 0.35)
        replied = self._handled(at, unit)
        twice = twice and self.unit is not None  # what the grid settled nobody handles anew
        if not twice and satisfied and self.request["sampled"]:
            return self._asked(replied, resident, alone=desk or chance() < 0.3)
        rated = self._rated(replied, resident or "", good=satisfied and not twice)
        if satisfied and not twice:
            return rated
        decided = self.due.office(rated, 600 + chance() * 8 * _HOUR)
        review_due = self.due.review(policy, rated)
        self.clock("review", "met" if decided < review_due else "missed", rated, review_due,
                   decided)  # fmt: skip
        desk_id = self.dispatcher()
        self.request["reviewed_by"] = desk_id
        if not twice:
            self.later(decided, "decide_reopen", desk_id, "dispatcher", into="closed",
                       public="经复核，原办理结果符合规定。",
                       facts='{"decision": "refuse"}')  # fmt: skip
            self.write_steps()
            return decided
        self.later(decided, "decide_reopen", desk_id, "dispatcher", into="assigned",
                   unit=self.unit, public="已重新交办，请承办单位重新办理。",
                   facts=f'{{"decision": "reopen", "unit_code": "{self.unit}",'
                         f' "cycle_no": 2}}')  # fmt: skip
        self.write_steps()
        self.cycle = 2
        self._contact_due = self.due.contact(policy, decided)
        self._reply_due, self.request["provisional"] = self.due.reply(policy, decided, cycle_no=2)
        for name in ("contacted_at", "diligent_at", "satisfaction", "solved", "said_contacted"):
            self.request[name] = None
        self.request.update(contact_attempts=0, extensions=0)
        return self._rated(self._handled(decided, self.unit), resident or "", good=satisfied)

    def _handled(self, at: int, unit: str | None) -> int:
        """From being given to somebody until the answer; when that was sent."""
        policy, chance, due = self.matter.policy, self.chance, self.due
        begun = at
        if unit is None:
            first = self.dispatcher()
            if self.matter.grid_matter and self.drawn.satisfied and chance() < 0.5:
                return self._settled(at)
            unit = self._given(chance())
            begun = due.office(at, 300 + chance() * 2 * _HOUR)
            self.later(begun, "assign", first, "dispatcher", into="assigned", unit=unit,
                       facts=f'{{"unit_code": "{unit}"}}')  # fmt: skip
        if self.cycle == 1 and chance() < 0.03:
            unit, begun = self._returned(begun, unit)
        self.request.update(assigned_at=begun, return_until=due.returned(policy, begun))
        signed, handler = self._signed(begun, unit)
        reached = self._contacted(at, handler)
        ready = max(signed, reached)
        bad = 1.0 if self.drawn.satisfied else 1.45
        days = policy.reply_days if self.cycle == 1 else policy.reopen_days
        worked = exp(0.62 * self.drawn.normals[self.cycle - 1]) * 2.6 * _HOUR * days * bad
        replied = max(due.office(ready, min(worked, 25 * 7.5 * _HOUR)), ready + 300)
        original = self._reply_due
        if chance() < (0.5 if replied >= original else 0.025):
            self._extended(ready, replied, handler, granted=chance() < 0.85)
        if self.cycle == 1:
            unit, handler = self._on_the_way(at, signed, replied, unit, handler)
        self.later(replied, "reply", handler, "handler", into="replied",
                   public=REPLIES[self.drawn.bits % 3],
                   facts='{"solved": "solved", "result_type": "solved"}')  # fmt: skip
        self.write_steps()
        self._answered(at, replied, handler, original)
        return replied

    def _given(self, chance: float) -> str:
        """What no rule routes is given to the town, or to some unit."""
        town = self.ground.unit_of_town.get(self.place.code[:9])
        if town is not None and chance < 0.6:
            return town
        return self.ground.units[int(chance * 1_000) % len(self.ground.units)]

    def _returned(self, begun: int, unit: str) -> tuple[str, int]:
        """退单: not ours; the desk gives it to another unit, which has some days for itself."""
        policy, due = self.matter.policy, self.due
        back = due.office(begun, 300 + self.chance() * 3_600)
        accept = due.accept(policy, begun)
        if back > accept or back >= due.returned(policy, begun):
            return unit, begun
        to = self._other(unit, 1 + int(self.chance() * 9))
        if to == unit:
            return unit, begun
        decided = due.office(back, 300 + self.chance() * 2 * _HOUR)
        self.later(back, "return", self.handler(unit), "handler", into="return_review",
                   note="非本单位职责",
                   facts='{"reason_code": "not_ours", "reason": "非本单位职责",'
                         ' "hops": 1}')  # fmt: skip
        self.later(decided, "decide_return", self.dispatcher(), "dispatcher", into="assigned",
                   unit=to, note="同意改派",
                   facts=f'{{"decision": "approve", "unit_code": "{to}"}}')  # fmt: skip
        self.request.update(hops=1, reassigned=1, returned_units=f'["{unit}"]')
        self._internal = decided, due.internal(policy, decided)
        return to, decided

    def _signed(self, begun: int, unit: str) -> tuple[int, str]:
        handler = self.handler(unit)
        accept = self.due.accept(self.matter.policy, begun)
        signed = self.due.office(begun, 120 + self.chance() ** 2 * 7_900)
        if signed < accept:
            self.later(signed, "sign", handler, "handler", into="in_progress")
            self.clock("accept", "met", begun, accept, signed)
            self.request["handler_id"] = handler
        else:
            signed = accept
            self.by_system(signed, "auto_sign", into="in_progress",
                           note="超时未签收，系统自动签收")  # fmt: skip
            self.clock("accept", "missed", begun, accept, signed)
        return signed, handler

    def _contacted(self, at: int, handler: str) -> int:
        """Speaking with the resident: at once, at the second try, or three times in vain."""
        delay = min(120 + exp(7.9 + 0.7 * self.drawn.normals[2]), 5.7 * _HOUR)
        luck = self.chance()
        hour = (at + LOCAL_S) % DAY_S // _HOUR
        if luck < 0.006 and self.cycle == 1 and self._contact_due - at > 4 * _HOUR:
            tries = [at + int(delay * part) for part in (0.3, 0.6, 0.9)]
            for moment in tries:
                self._attempt(moment, "no_answer", handler, "handler")
            self.request.update(contact_attempts=DILIGENT_ATTEMPTS, diligent_at=tries[-1])
            return tries[-1]
        reached = at + int(delay)
        if luck > 0.975:
            reached = at + int((6.1 + 400 * (luck - 0.975)) * _HOUR)
        elif luck > 0.8 and (hour >= 22 or hour < 6):  # nobody was on duty
            reached = self.due.office(at, 300 + 60 * luck)
        if 0.1 < luck < 0.15:
            self._attempt(at + (reached - at) * 2 // 5, "no_answer", handler, "handler")
            self.request["contact_attempts"] = 1
        self._attempt(reached, "reached", handler, "handler")
        self.request["contacted_at"] = reached
        met = reached <= self._contact_due
        self.clock("contact", "met" if met else "missed", at, self._contact_due, reached)
        return reached

    def _settled(self, at: int) -> int:
        """自办自结: the grid answers by itself."""
        leader = person("e", self.drawn.place)
        reached = at + 300 + int(self.chance() * 4 * _HOUR)
        replied = reached + 600 + int(self.chance() * 20 * _HOUR)
        self._attempt(reached, "reached", leader, "grid_leader")
        self.request.update(contacted_at=reached, settled_by_grid=True)
        met = reached <= self._contact_due
        self.clock("contact", "met" if met else "missed", at, self._contact_due, reached)
        self.later(replied, "settle", leader, "grid_leader", into="replied",
                   public=REPLIES[self.drawn.bits % 3],
                   facts='{"solved": "solved", "result_type": "solved"}')  # fmt: skip
        self.write_steps()
        self._answered(at, replied, leader, self._reply_due)
        return replied

    def _answered(self, at: int, replied: int, by: str, original: int) -> None:
        """The clocks that an answer stops, and the answer itself."""
        due = self._reply_due
        self.clock("reply", "met" if replied < due else "missed", at, due, replied, original)
        if self.request.get("contacted_at") is None:
            self.clock("contact", "cancelled", at, self._contact_due, replied)
        internal = self.__dict__.pop("_internal", None)
        if internal:
            started, own = internal
            self.clock("internal", "met" if replied < own else "missed", started, own, replied)
        words, given = REPLIES[self.drawn.bits % 3], self.request.get("assigned_at")
        self.rows.reply(self.id, self.cycle, words, by, replied, given)
        rate_until = self.due.rate(self.matter.policy, replied)
        sampled = self.request["sampled"] if self.cycle == 1 else self._sampled()
        self.request.update(replied_at=replied, rate_until=rate_until, sampled=sampled,
                            office_s=self.due.worked(self.drawn.submitted_at, replied))  # fmt: skip

    def _rated(self, replied: int, resident: str, *, good: bool) -> int:
        chance = self.chance
        until: int = self.request["rate_until"]
        at = min(replied + 300 + int(exp(10 + self.drawn.normals[3])), until - 60)
        word, solved = verdict(chance(), chance(), good=good)
        contacted = self.request.get("contacted_at") is not None and (good or chance() < 0.85)
        final = good or self.cycle > 1
        self.later(at, "rate", resident, "resident", into="closed" if final else "reopen_review",
                   facts=f'{{"satisfaction": {word}, "solved": "{solved}", '
                         f'"contacted": {"true" if contacted else "false"},'
                         f' "cycle_no": {self.cycle}}}')  # fmt: skip
        self.write_steps()
        self.clock("rate", "met", replied, until, at)
        reasons = "[]" if good else f'["{NOT_GOOD[int(chance() * 5)]}"]'
        said = RATED[self.drawn.bits % 3] if good and chance() < 0.3 else NULL
        self.rows.rating(
            self.id, self.cycle, (resident, contacted, solved, word), reasons, said, at, self.unit
        )
        self.request.update(satisfaction=word, solved=solved, said_contacted=contacted)
        return at

    def _asked(self, replied: int, resident: str | None, *, alone: bool) -> int:
        """回访: somebody outside the unit asks; ``alone``: and nothing else was said."""
        until: int = self.request["rate_until"]
        closed, written = replied, None
        if not alone:
            closed = self._rated(replied, resident or "", good=True)
            written = self.request["satisfaction"], self.request["solved"], resident or ""
        asked = min(self.due.office(closed, 600 + self.chance() * 14 * _HOUR),
                    closed + 20 * DAY_S)  # fmt: skip
        if alone:
            asked = min(asked, until - 60)
        reached = alone or self.chance() < 0.8
        word, solved = verdict(self.chance(), self.chance(), good=True)
        if not alone and self.chance() < 0.9:  # mostly what was written already
            word, solved = self.request["satisfaction"], self.request["solved"]
        boss = self.dispatcher()
        self.later(asked, "call_back", boss, "dispatcher",
                   facts=f'{{"source": "call_back", "reached": {"true" if reached else "false"}, '
                         f'"satisfaction": {word if reached else "null"},'
                         f' "cycle_no": 1}}')  # fmt: skip
        self.rows.call_back(self.id, self.cycle, (word, solved) if reached else None, boss, asked,
                            self.unit, written)  # fmt: skip
        self.request["called_back_at"] = asked
        if alone:
            self.request.update(satisfaction=word, solved=solved, said_contacted=True)
            closed = until + int(self.chance() * 50)
            self.by_system(closed, "auto_close", into="closed",
                           public="评价期限已过，系统自动办结（未评价）")  # fmt: skip
            self.clock("rate", "missed", replied, until, closed)
        self.write_steps()
        return closed


def tell(ground: Ground, deadlines: Deadlines, requests: Sequence[Drawn], rows: Rows) -> None:
    """Add the rows of all these lives."""
    for drawn in requests:
        Life(ground, deadlines, rows, drawn).tell()
