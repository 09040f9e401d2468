"""回访一致性 recomputed from ratings, call-backs and histories, and its hiding from the rule."""

from collections import Counter
from datetime import datetime
from random import Random
from uuid import UUID

import orjson
from sqlalchemy import text

from app.domain.identity import Actor, Role
from app.domain.satisfaction import is_satisfied
from app.satisfaction.agreement import Told, agreement
from app.store.session import Statement
from app.web.wire import CHINA
from tests.city import OTHER_UNIT, REQUESTS, UNIT
from tests.requests.doing import BAD, GOOD

# What the figures say is compared with: nothing of what a call-back has beside it but ``unit``.
_WRITTEN_AND_SAID = """
SELECT called.request_id, called.at, {unit} AS unit, rating.resident_id,
  rating.satisfaction AS written, called.satisfaction AS said, rating.solved AS written_solved,
  called.solved AS said_solved
FROM request_ratings AS rating JOIN request_call_backs AS called
  ON called.request_id = rating.request_id AND called.cycle_no = rating.cycle_no
WHERE called.reached AND called.satisfaction IS NOT NULL ORDER BY called.at
"""
_BY_HISTORY = Statement(
    _WRITTEN_AND_SAID.format(
        unit="""(SELECT event.unit_code FROM request_events AS event
          WHERE event.request_id = called.request_id AND event.action = 'call_back'
            AND event.at = called.at ORDER BY event.version DESC LIMIT 1)"""
    )
)
_DRAWN = Statement("SELECT request_id FROM call_back_draws WHERE campaign_id = :id")
SUPERVISOR = Actor(UUID(int=1), Role.SUPERVISOR)
AUDITOR = Actor(UUID(int=2), Role.AUDITOR)


def month_of(at):
    local = at.astimezone(CHINA)
    return local.year, local.month


def compared(pairs):
    """How often each pair of answers, in each of the three ways."""
    return (
        Counter((is_satisfied(it["written"]), is_satisfied(it["said"])) for it in pairs),
        Counter((it["written"], it["said"]) for it in pairs),
        Counter((it["written_solved"], it["said_solved"]) for it in pairs if it["said_solved"]),
    )


def by_unit(pairs):
    units = dict.fromkeys(it["unit"] for it in pairs)
    return {unit: [it for it in pairs if it["unit"] == unit] for unit in units}


def veiled(counted, besides, stretch):
    """Whether the total, and the units, are kept from blind roles, as the rule says it.

    ``stretch``: of a pair in which stretch of time it is looked at.
    """
    few = set()
    for pairs in (counted, besides):
        for part in {stretch(it) for it in pairs}:
            within = [it for it in pairs if stretch(it) == part]
            cells = [("total", within), *(("unit", its) for its in by_unit(within).values())]
            few |= {name for name, its in cells if len({it["resident_id"] for it in its}) < 5}
    return "total" in few, bool(few)


def expected(counted, besides, stretch, actor):
    total, units = compared(counted), {k: compared(its) for k, its in by_unit(counted).items()}
    if actor is AUDITOR:
        total_hidden, units_hidden = veiled(counted, besides, stretch)
        return None if total_hidden else total, None if units_hidden else units
    return total, units


def shown(told: Told):
    def whole(it):
        return None if it is None else (it.satisfied, it.level, it.solved)

    units = told.units
    return whole(told.total), None if units is None else {k: whole(it) for k, it in units.items()}


async def equal_in_period(db, pairs, since, until, actor):
    within = [it for it in pairs if (since or it["at"]) <= it["at"]]
    within = [it for it in within if until is None or it["at"] < until]
    told = await agreement(db, since=since, until=until, actor=actor)
    assert shown(told) == expected(within, [], lambda it: month_of(it["at"]), actor), (since, until)
    return told


async def equal_in_campaign(db, pairs, campaign_id, actor):
    drawn = {row["request_id"] for row in await db.rows(_DRAWN, id=campaign_id)}
    counted = [it for it in pairs if it["request_id"] in drawn]
    months = sorted(month_of(it["at"]) for it in counted)
    besides = [it for it in pairs if it["request_id"] not in drawn
               and months and months[0] <= month_of(it["at"]) <= months[-1]]  # fmt: skip
    told = await agreement(db, campaign_id=campaign_id, actor=actor)
    assert shown(told) == expected(counted, besides, lambda _: None, actor)
    return told


class Lives:
    """Residents and callers who say what the dice say, in any order that the workflow allows."""

    def __init__(self, hall, db, dice, answered):
        self.hall, self.db, self.dice, self.answered = hall, db, dice, answered
        self.orders = Counter()

    async def begin(self):
        resident = await self.hall.as_resident()
        request = await self.answered(resident, self.dice.choice((UNIT, OTHER_UNIT)), minutes=1)
        return await self.sample(request), resident

    async def sample(self, request):
        async with self.db.transaction() as session:
            drawn = text("UPDATE requests SET sampled = true WHERE id = :id")
            await session.execute(drawn, {"id": UUID(request["id"])})
        return request

    async def step(self, request, resident):
        """One step, if it may be taken; the request as it is then."""
        self.hall.clock.forward(minutes=self.dice.randrange(1, 2_000))
        [step] = self.dice.choices((self.rate, self.call, self.again), (5, 4, 1))
        if request["state"] == "reopen_review":
            step = self.again
        answer = await step(request, resident)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 409:
            return request
        self.orders[step.__name__] += 1
        request = answer.json()
        return await self.anew(request) if request["state"] == "assigned" else request

    async def _try(self, caller, request, action, **members):
        path = f"{REQUESTS}/{request['id']}/actions/{action}"
        return await caller.post(path, members, version=request["version"])

    async def rate(self, request, resident):
        word = self.dice.randrange(1, 6)
        words = GOOD if is_satisfied(word) else BAD
        return await self._try(resident, request, "rate", **words | {"satisfaction": word})

    async def call(self, request, _resident):
        said = {"reached": self.dice.random() < 0.85}
        if said["reached"] or self.dice.random() < 0.3:
            said["satisfaction"] = self.dice.randrange(1, 6)
            said["solved"] = self.dice.choice(("solved", "partly", "unsolved"))
        return await self._try(await self.hall.as_staff("dispatcher"), request, "call_back", **said)

    async def again(self, request, resident):
        """A second look is asked for; if it was, it is decided."""
        if request["state"] != "reopen_review":
            return await self._try(resident, request, "request_reopen", note="没有修好")
        boss = await self.hall.as_staff("supervisor", number=self.dice.randrange(1, 9))
        decided = {"decision": "refuse"}
        if self.dice.random() < 0.6:
            unit = self.dice.choice((UNIT, OTHER_UNIT))
            decided = {"decision": "reopen", "unit_code": unit}
        return await self._try(boss, request, "decide_reopen", note="复核", **decided)

    async def anew(self, request):
        """Another cycle is answered, by whoever has it now."""
        handler = await self.hall.as_staff("handler", unit=request["unit"]["code"])
        request = await self.hall.act(handler, request, "sign")
        reached = {"method": "phone", "result": "reached"}
        request = await self.hall.act(handler, request, "contact", **reached)
        reply = {"public_reply": "已修好", "solved": "solved", "factual": True}
        return await self.sample(await self.hall.act(handler, request, "reply", **reply))


async def test_random_lives_are_compared_as_ratings_call_backs_and_histories_say(
    hall, db, answered, clock
):
    clock.set("2028-01-27T09:00:00")
    began = clock()
    lives = Lives(hall, db, Random(7), answered)
    for _ in range(16):
        request, resident = await lives.begin()
        for _ in range(9):
            request = await lives.step(request, resident)
    pairs = await db.rows(_BY_HISTORY)
    ours = [it for it in pairs if it["at"] >= began]
    assert min(lives.orders.values()) > 5
    assert len(ours) > 8
    assert {it["unit"] for it in ours} == {UNIT, OTHER_UNIT}
    first = await db.rows(Statement("""
SELECT rating.at < called.at AS written_first, count(*) AS n FROM request_ratings AS rating
JOIN request_call_backs AS called USING (request_id, cycle_no)
WHERE called.at >= :began GROUP BY 1"""), began=began)  # fmt: skip
    assert {row["written_first"] for row in first} == {True, False}
    for actor in (SUPERVISOR, AUDITOR):
        await equal_in_period(db, pairs, None, None, actor)
    for _ in range(12):  # parts of months too
        since, until = sorted(lives.dice.choice(ours)["at"] for _ in range(2))
        await equal_in_period(db, pairs, since, until, SUPERVISOR)


# Cities of which only this is known, made of copies of one request.
_COPIES = """
INSERT INTO requests SELECT (jsonb_populate_record(one, jsonb_build_object(
  'id', md5('request' || i)::uuid, 'number', 'COPY' || i))).*
FROM generate_series(1, 300) AS i,
  (SELECT requests FROM requests WHERE state = 'closed' ORDER BY id LIMIT 1) AS it (one);
INSERT INTO call_back_campaigns
SELECT md5('campaign' || i)::uuid, '回访', now() - interval '1 day', now(), 1, 1, 'x', 1, 'x', 1,
  md5('x')::uuid, now() FROM generate_series(1, 2) AS i;
INSERT INTO call_back_strata
SELECT md5('campaign' || i)::uuid, '', 1, 1, '{}' FROM generate_series(1, 2) AS i;
"""
_EMPTY = """
DELETE FROM call_back_draws WHERE request_id IN (SELECT id FROM requests WHERE number ~ 'COPY');
DELETE FROM request_call_backs WHERE request_id IN (SELECT id FROM requests WHERE number ~ 'COPY');
DELETE FROM request_ratings WHERE request_id IN (SELECT id FROM requests WHERE number ~ 'COPY');
"""
# Of each pair its members; what else a rating has, it has from one that somebody gave.
_PAIRS = """
WITH pairs AS (
  SELECT md5('request' || i)::uuid AS request_id, *
  FROM jsonb_to_recordset(CAST(:pairs AS jsonb)) AS it (i int, at timestamptz, who uuid, unit text,
    written int, said int, written_solved text, said_solved text, campaign int)
), ratings AS (
  INSERT INTO request_ratings SELECT (jsonb_populate_record(one, jsonb_build_object(
    'request_id', request_id, 'cycle_no', 1, 'resident_id', who, 'solved', written_solved,
    'satisfaction', written, 'at', at))).*
  FROM pairs, (SELECT request_ratings FROM request_ratings ORDER BY at LIMIT 1) AS it (one)
), draws AS (
  INSERT INTO call_back_draws (campaign_id, request_id, cycle_no, unit_code, position)
  SELECT md5('campaign' || campaign)::uuid, request_id, 1, '', i FROM pairs
  WHERE campaign IS NOT NULL
)
INSERT INTO request_call_backs (id, request_id, cycle_no, reached, solved, satisfaction, by, at,
  unit_code, written, written_solved, written_by)
SELECT gen_random_uuid(), request_id, 1, true, said_solved, said, who, at, unit, written,
  written_solved, who FROM pairs
"""
# Six of these share one of the 64 bits by which people are counted at first.
_PEOPLE = Statement("""
SELECT array_agg(id ORDER BY id) AS them FROM (
  SELECT id, row_number() OVER (PARTITION BY uuid_hash(id) & 63 ORDER BY id) AS place,
    uuid_hash(id) & 63 AS bit
  FROM (SELECT md5('person' || i)::uuid AS id FROM generate_series(1, 2000) AS i) AS made
) AS them WHERE place <= CASE WHEN bit = 7 THEN 6 WHEN bit < 4 THEN 1 ELSE 0 END
""")
_CAMPAIGN_IDS = Statement("SELECT id FROM call_back_campaigns WHERE title = '回访'")
_BY_COLUMN = Statement(_WRITTEN_AND_SAID.format(unit="called.unit_code"))


def _another_city(dice, people):
    """Some calls in a few months; sometimes of many people, sometimes of hardly any."""
    units = dice.choices(("a", "b", None), k=dice.randrange(1, 4))
    months = dice.sample(range(1, 7), dice.randrange(1, 4))
    who = dice.sample(people, dice.randrange(4, len(people) + 1))
    drawn = dice.random()
    return [
        {
            "i": i,
            "at": datetime(
                2029, dice.choice(months), dice.choice((1, 14, 28)), dice.choice((0, 23)),
                tzinfo=CHINA,
            ).isoformat(),
            "who": str(dice.choice(who)),
            "unit": dice.choice(units),
            "written": dice.randrange(1, 6),
            "said": dice.randrange(1, 6),
            "written_solved": dice.choice(("solved", "partly")),
            "said_solved": dice.choice(("solved", "partly", None)),
            "campaign": dice.choice((1, 2)) if dice.random() < drawn else None,
        }
        for i in range(1, dice.randrange(5, 120))
    ]  # fmt: skip


async def test_what_is_kept_from_an_auditor_is_what_the_rule_says(hall, db, answered, as_resident):
    resident = await as_resident()
    await hall.act(resident, await answered(resident), "rate", **GOOD)
    await _run(db, _COPIES)
    [[people]] = await db.rows(_PEOPLE)
    campaigns = [row["id"] for row in await db.rows(_CAMPAIGN_IDS)]
    dice, answers = Random(11), Counter()
    ends = [datetime(2029, month, 1, tzinfo=CHINA) for month in range(1, 9)]
    for _ in range(60):
        await _run(db, _EMPTY)
        city = orjson.dumps(_another_city(dice, [str(it) for it in people])).decode()
        await _run(db, _PAIRS, pairs=city)
        pairs = await db.rows(_BY_COLUMN)
        since, until = dice.choice(ends[:3]), dice.choice([None, *ends[3:]])
        for actor in (AUDITOR, SUPERVISOR):
            await equal_in_period(db, pairs, None, until, actor)
            told = [await equal_in_period(db, pairs, since, until, actor)]
            told += [await equal_in_campaign(db, pairs, it, actor) for it in campaigns]
            if actor is AUDITOR:
                answers.update((it.total is None, it.units is None) for it in told)
    assert set(answers) == {(False, False), (False, True), (True, True)}
    assert min(answers.values()) > 5


async def _run(db, statements, **values):
    async with db.transaction() as session:
        for sql in statements.split(";"):
            if sql.strip():
                await session.execute(text(sql), values)
