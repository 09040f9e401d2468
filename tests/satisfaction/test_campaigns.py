"""回访抽样: the draw can be redone from what is kept, and what was drawn is called."""

from uuid import UUID

from sqlalchemy import text

from app.domain import sampling
from app.store.session import Statement
from tests.city import OTHER_UNIT, REQUESTS, UNIT
from tests.requests.doing import BAD, GOOD, race, seen

URL = "/api/v1/satisfaction"
# As ``docs/satisfaction.md`` gives it to whoever wants to draw again.
REDRAW = Statement("""
SELECT stratum.unit_code, array_agg(member ORDER BY lot) AS drawn
FROM call_back_campaigns AS campaign
JOIN call_back_strata AS stratum ON stratum.campaign_id = campaign.id
CROSS JOIN LATERAL (
  SELECT member, sha256(decode(campaign.seed, 'hex') || uuid_send(member)) AS lot
  FROM unnest(stratum.members) AS member ORDER BY lot LIMIT stratum.drawn
) AS again
WHERE campaign.id = :id GROUP BY stratum.unit_code
""")


def form(hall, **members):
    day = hall.clock.now.date().isoformat()
    return {
        "title": "三月回访",
        "replied_from": day,
        "replied_to": day,
        "sample_size": 4,
        "minimum": 1,
        **members,
    }


async def preview(hall, caller, **params):
    day = hall.clock.now.date().isoformat()
    asked = {"from": day, "to": day, "sample_size": 4, "minimum": 1, **params}
    return await caller.get(f"{URL}/frame", params=asked)


async def campaign_of(caller, drawn):
    answer = await caller.get(f"{URL}/campaigns/{drawn['id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_sample_is_looked_at_drawn_called_and_drawn_again_by_an_auditor(
    hall, db, answered, supervisor, auditor, as_staff, clock
):
    clock.set("2026-03-03T09:00:00")
    requests = [await answered(minutes=1) for _ in range(6)]
    requests += [await answered(unit=OTHER_UNIT, minutes=1) for _ in range(2)]
    clock.forward(minutes=1)
    looked = (await preview(hall, supervisor)).json()
    assert (looked["frame_size"], looked["drawn"]) == (8, 4)
    sizes = {it["unit_code"]: (it["size"], it["drawn"]) for it in looked["strata"]}
    assert sizes == {UNIT: (6, 3), OTHER_UNIT: (2, 1)}
    answer = await supervisor.post(
        f"{URL}/campaigns", form(hall, frame_digest=looked["frame_digest"])
    )
    assert answer.status_code == 201, answer.text
    drawn = answer.json()
    assert (drawn["frame_size"], drawn["drawn"]) == (8, 4)
    assert drawn["frame_digest"] == looked["frame_digest"]

    # What the API gives an auditor is enough to draw again, by the domain and by SQL.
    kept, positions = {}, {}
    for unit in (UNIT, OTHER_UNIT):
        path, members, cursor = f"{URL}/campaigns/{drawn['id']}/members", [], None
        while True:
            asked = {"unit": unit, "limit": 4} | ({"cursor": cursor} if cursor else {})
            page = (await auditor.get(path, params=asked)).json()
            members += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        kept[unit] = [UUID(it["request_id"]) for it in members]
        lots = {it["position"]: UUID(it["request_id"]) for it in members if it["position"]}
        positions[unit] = [lots[place] for place in sorted(lots)]
        again = sampling.draw(bytes.fromhex(drawn["seed"]), kept[unit], page["drawn"])
        assert again == positions[unit]
    assert sampling.frame_digest(kept) == drawn["frame_digest"]
    assert {str(it) for found in kept.values() for it in found} == {it["id"] for it in requests}
    rows = await db.rows(REDRAW, id=UUID(drawn["id"]))
    assert {row["unit_code"]: [UUID(bytes=it.bytes) for it in row["drawn"]] for row in rows} == (
        positions
    )

    # Everybody drawn is on the callers' list, without a new version.
    listed = await supervisor.get(REQUESTS, params={"sampled": True, "limit": 100})
    ids = {str(it) for found in positions.values() for it in found}
    assert ids <= {it["id"] for it in listed.json()["items"]}
    by_id = {it["id"]: it for it in requests}
    one, two, three, four = (by_id[it] for it in sorted(ids))
    desk = await as_staff("dispatcher")
    said = {"reached": True, "solved": "solved", "satisfaction": 4}
    await hall.act(desk, one, "call_back", **said)
    await hall.act(desk, two, "call_back", reached=False)
    owner = supervisor
    await hall.act(owner, three, "call_back", reached=True, solved="unsolved", satisfaction=1)
    progress = await campaign_of(auditor, drawn)
    counts = [progress[name] for name in ("drawn", "called", "reached", "lapsed", "waiting")]
    assert counts == [4, 3, 2, 0, 1]
    assert sum(it["called"] for it in progress["strata"]) == 3
    trail = (await auditor.get(f"{REQUESTS}/{four['id']}/audit")).json()["items"]
    [entry] = [it for it in trail if it["action"] == "sample"]
    assert entry["facts"] == {"campaign": drawn["id"]}

    # What cannot be called any more has lapsed; those who were called are in no further frame.
    async with db.transaction() as session:
        await session.execute(
            text("UPDATE requests SET cycle_no = 2 WHERE id = :id"), {"id": UUID(four["id"])}
        )
    progress = await campaign_of(auditor, drawn)
    assert (progress["lapsed"], progress["waiting"]) == (1, 0)
    assert (await preview(hall, supervisor)).json()["frame_size"] == 5
    listed = (await auditor.get(f"{URL}/campaigns")).json()
    assert [it["id"] for it in listed["items"]][:1] == [drawn["id"]]


async def test_what_cannot_be_drawn_is_refused_with_the_reason(
    hall, answered, supervisor, as_staff, clock
):
    clock.set("2026-03-04T09:00:00")
    assert (await preview(hall, supervisor)).json()["code"] == "frame_empty"
    ahead = await preview(hall, supervisor, **{"from": "2026-03-09", "to": "2026-03-10"})
    assert (ahead.status_code, ahead.json()["code"]) == (422, "period_ahead")
    await answered(minutes=1)
    for _ in range(2):
        await answered(unit=OTHER_UNIT, minutes=1)
    clock.forward(minutes=1)
    small = (await preview(hall, supervisor, sample_size=1)).json()
    assert (small["code"], small["needed"]) == ("sample_too_small", 2)
    old = (await preview(hall, supervisor)).json()["frame_digest"]
    await answered(minutes=1)
    clock.forward(minutes=1)
    answer = await supervisor.post(f"{URL}/campaigns", form(hall, frame_digest=old))
    assert (answer.status_code, answer.json()["code"]) == (409, "frame_changed")
    for role in ("dispatcher", "auditor", "unit_leader"):
        answer = await (await as_staff(role)).post(f"{URL}/campaigns", form(hall))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    answer = await (await as_staff("admin")).post(f"{URL}/campaigns", form(hall))
    assert answer.status_code == 201
    path = f"{URL}/campaigns/{answer.json()['id']}/members"
    answer = await supervisor.get(path, params={"unit": "police"})
    assert answer.json()["code"] == "stratum_not_found"


async def test_a_call_that_is_repeated_draws_once(hall, db, answered, supervisor, clock):
    clock.set("2026-03-05T09:00:00")
    await answered(minutes=1)
    clock.forward(minutes=1)
    body = form(hall)
    calls = (supervisor.post(f"{URL}/campaigns", body, key="once-only") for _ in range(4))
    assert await race(*calls) == {201: 4}
    count = Statement("SELECT count(*) AS n FROM call_back_campaigns WHERE drawn_at >= :since")
    row = await db.one_statement(count, since=clock.now)
    assert row["n"] == 1


async def test_the_frame_is_read_by_its_own_index(db):
    async with db.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = await connection.exec_driver_sql(
            "EXPLAIN SELECT id FROM requests WHERE state IN ('closed', 'replied')"
            " AND called_back_at IS NULL AND replied_at >= '2026-03-01'"
        )
        assert any("ix_requests_callable" in line for (line,) in plan)


async def test_a_call_back_never_takes_the_place_of_what_the_resident_wrote(
    hall, answered, supervisor, as_resident, clock
):
    clock.set("2026-03-06T09:00:00")
    since = clock.now.isoformat()
    answers = [  # in writing, when asked, whether called first
        (GOOD, {"solved": "solved", "satisfaction": 5}, False),
        (GOOD, {"solved": "partly", "satisfaction": 4}, True),
        ({**GOOD, "satisfaction": 3}, {"solved": "solved", "satisfaction": 2}, False),
        (BAD, {"solved": "unsolved", "satisfaction": 1}, False),
    ]
    made = []
    for unit in (UNIT, OTHER_UNIT):
        for written, said, called_first in answers[: 4 if unit == UNIT else 1]:
            resident = await as_resident()
            made.append((await answered(resident, unit, minutes=1), resident, written, said,
                         called_first))  # fmt: skip
    clock.forward(minutes=1)
    answer = await supervisor.post(f"{URL}/campaigns", form(hall, sample_size=100))
    assert answer.status_code == 201, answer.text
    for request, resident, written, said, called_first in made:
        steps = [(resident, "rate", written), (supervisor, "call_back", {"reached": True, **said})]
        for caller, action, members in reversed(steps) if called_first else steps:
            if (await seen(caller, request))["state"] == "reopen_review":
                break  # a bad word is being looked at; nobody calls meanwhile
            request = await hall.act(caller, request, action, **members)
        shown = await seen(supervisor, request)
        assert shown["satisfaction"] == written["satisfaction"]
        assert shown["rating"]["satisfaction"] == written["satisfaction"]

    async def agreement(**params):
        answer = await supervisor.get(f"{URL}/agreement", params=params)
        assert answer.status_code == 200, answer.text
        assert answer.json()["suppressed"] is False  # who sees everything is told everything
        return answer.json()

    found = await agreement(campaign=answer.json()["id"])
    total = found["total"]
    # The fourth was not called: three of one unit, one of the other.
    assert total["satisfied"]["n"] == 4
    assert (total["satisfied"]["agree"], total["satisfied"]["share"]) == (3, 0.75)
    assert (total["level"]["n"], total["level"]["agree"]) == (4, 2)
    assert (total["solved"]["n"], total["solved"]["agree"]) == (4, 3)
    assert (total["better_in_writing"], total["worse_in_writing"]) == (1, 0)
    assert total["small_sample"] is True
    by_unit = {it["unit_code"]: it for it in found["units"]}
    assert {code: it["satisfied"]["n"] for code, it in by_unit.items()} == {UNIT: 3, OTHER_UNIT: 1}
    assert by_unit[OTHER_UNIT]["satisfied"]["kappa"] is None
    assert (await agreement(**{"from": since}))["total"] == total
    assert (await agreement(to="2026-03-01"))["total"]["satisfied"]["n"] == 0
