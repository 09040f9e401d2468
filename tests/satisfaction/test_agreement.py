"""回访一致性 for blind roles: nothing of one to four residents, and nothing to subtract."""

from uuid import UUID

import pytest
from sqlalchemy import text

from tests.city import OTHER_UNIT, UNIT
from tests.requests.doing import GOOD

URL = "/api/v1/satisfaction"


@pytest.fixture
def both(hall, db, answered, supervisor, as_resident):
    """Answer both ways, in writing and when called: ``await both(UNIT, resident)``."""

    async def make(unit=UNIT, resident=None):
        resident = resident or await as_resident()
        request = await answered(resident, unit, minutes=1)
        async with db.transaction() as session:  # by the lot, which is not what is tried here
            drawn = text("UPDATE requests SET sampled = true WHERE id = :id")
            await session.execute(drawn, {"id": UUID(request["id"])})
        request = await hall.act(resident, request, "rate", **GOOD)
        said = {"reached": True, "solved": "solved", "satisfaction": 4}
        await hall.act(supervisor, request, "call_back", **said)

    return make


async def ask(caller, **params):
    answer = await caller.get(f"{URL}/agreement", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(found):
    """How many in total, and of each unit; None: not told."""
    total = found["total"] and found["total"]["satisfied"]["n"]
    units = {it["unit_code"]: it["satisfied"]["n"] for it in found["units"]}
    assert not (found["suppressed"] and units)
    return total, None if found["suppressed"] else units


async def test_units_are_told_all_or_none_and_the_total_of_five_residents(
    both, auditor, supervisor, as_staff, as_resident, clock
):
    clock.set("2027-02-01T09:00:00")
    asked = {"from": "2027-02-01", "to": "2027-02-28"}
    assert told(await ask(auditor, **asked)) == (0, {})
    often = await as_resident()
    for resident in (often, often, None, None, None):
        await both(UNIT, resident)
    assert told(await ask(supervisor, **asked)) == (5, {UNIT: 5})
    assert told(await ask(auditor, **asked)) == (None, None)  # four people, whatever they asked
    await both()
    for caller in (auditor, await as_staff("admin")):
        assert told(await ask(caller, **asked)) == (6, {UNIT: 6})
    await both(OTHER_UNIT)
    assert told(await ask(supervisor, **asked)) == (7, {UNIT: 6, OTHER_UNIT: 1})
    assert told(await ask(auditor, **asked)) == (7, None)
    for _ in range(4):
        await both(OTHER_UNIT)
    assert told(await ask(auditor, **asked)) == (11, {UNIT: 6, OTHER_UNIT: 5})


async def test_two_periods_differ_by_months_that_are_told_themselves(
    both, auditor, supervisor, clock
):
    clock.set("2027-04-05T09:00:00")
    for _ in range(5):
        await both()
    clock.set("2027-05-06T09:00:00")
    await both()
    april, may = {"from": "2027-04-01", "to": "2027-04-30"}, {"from": "2027-05-01"}
    spring = {"from": "2027-04-01", "to": "2027-05-31"}
    assert told(await ask(auditor, **april)) == (5, {UNIT: 5})
    assert told(await ask(auditor, **may)) == (None, None)
    assert told(await ask(supervisor, **spring)) == (6, {UNIT: 6})
    assert told(await ask(auditor, **spring)) == (None, None)
    for _ in range(4):
        await both(OTHER_UNIT)
    assert told(await ask(auditor, **may)) == (5, None)
    assert told(await ask(auditor, **spring)) == (10, None)


@pytest.mark.parametrize(
    "period",
    [
        {"from": "2027-02-02", "to": "2027-02-28"},
        {"from": "2027-02-01", "to": "2027-02-27"},
        {"from": "2027-02-01T00:00:01+08:00"},
        {"to": "2027-02-01T00:00:00Z"},
    ],
)
async def test_less_than_a_month_is_not_told(auditor, supervisor, period):
    answer = await auditor.get(f"{URL}/agreement", params=period)
    assert (answer.status_code, answer.json()["code"]) == (422, "agreement_too_fine")
    await ask(supervisor, **period)


async def test_a_campaign_and_the_months_of_its_calls_do_not_differ_by_few(
    hall, both, answered, auditor, supervisor, as_resident, clock
):
    clock.set("2027-07-05T09:00:00")
    answers = []
    for _ in range(5):
        resident = await as_resident()
        answers.append((resident, await answered(resident, minutes=1)))
    clock.forward(minutes=1)
    form = {
        "title": "七月回访", "replied_from": "2027-07-05", "replied_to": "2027-07-05",
        "sample_size": 5, "minimum": 1,
    }  # fmt: skip
    drawn = await supervisor.post(f"{URL}/campaigns", form)
    assert drawn.status_code == 201, drawn.text
    campaign = {"campaign": drawn.json()["id"]}
    assert told(await ask(auditor, **campaign)) == (0, {})
    for resident, request in answers:
        request = await hall.act(resident, request, "rate", **GOOD)
        said = {"reached": True, "solved": "solved", "satisfaction": 2}
        await hall.act(supervisor, request, "call_back", **said)
    assert told(await ask(auditor, **campaign)) == (5, {UNIT: 5})
    july = {"from": "2027-07-01", "to": "2027-07-31"}
    await both()  # the sixth of July is not of the campaign
    assert told(await ask(supervisor, **campaign)) == (5, {UNIT: 5})
    assert told(await ask(auditor, **july)) == (6, {UNIT: 6})
    assert told(await ask(auditor, **campaign)) == (None, None)
    for _ in range(4):
        await both(OTHER_UNIT)
    assert told(await ask(auditor, **campaign)) == (5, None)
    for _ in range(4):
        await both()
    clock.set("2027-08-05T09:00:00")
    await both()  # other months have nothing to do with it
    assert told(await ask(auditor, **campaign)) == (5, None)
    assert told(await ask(auditor, **july)) == (14, None)
