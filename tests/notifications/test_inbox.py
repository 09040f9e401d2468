"""Who hears of what: events become messages, each exactly once."""

import pytest

from tests.city import COMMUNITY, GRID, TOWN, counted_queries, point_in

INBOX = "/api/v1/inbox"


async def titles(caller, **params) -> list[str]:
    answer = await caller.get(INBOX, params={"limit": 100, **params})
    assert answer.status_code == 200
    return [message["title"] for message in answer.json()["items"]]


@pytest.fixture
async def people(as_resident, as_staff):
    return {
        "resident": await as_resident(),
        "handler": await as_staff("handler"),
        "leader": await as_staff("unit_leader"),
        "grid": await as_staff("grid_leader", grid=GRID),
        "community": await as_staff("grid_leader", grid=COMMUNITY),
        "desk": await as_staff("dispatcher"),
        "town": await as_staff("dispatcher", grid=TOWN),
        "supervisor": await as_staff("supervisor"),
    }


@pytest.fixture
async def heard(hall, people):
    """Marks everything read, and later tells who has heard what since."""
    await hall.work("deliver_outbox")
    for caller in people.values():
        await caller.post(f"{INBOX}/read")

    async def since() -> dict[str, list[str]]:
        await hall.work("deliver_outbox")
        new = {name: await titles(caller, unread="true") for name, caller in people.items()}
        return {name: found for name, found in new.items() if found}

    return since


async def test_a_new_request_reaches_resident_unit_and_grid(submit, people, heard):
    await submit(people["resident"], location=point_in(GRID))
    assert await heard() == {
        "resident": ["诉求已受理"],
        "handler": ["待签收诉求"],
        "leader": ["待签收诉求"],
        "grid": ["本网格新诉求"],
        "community": ["本网格新诉求"],
    }


async def test_what_no_rule_decides_reaches_the_towns_desk(submit, people, heard):
    await submit(people["resident"], location=point_in(GRID), category_code=...)
    assert "待派单诉求" in (await heard())["town"]


async def test_what_has_no_place_reaches_the_citys_desk(submit, people, heard):
    await submit(people["resident"], category_code=...)
    told = await heard()
    assert told["desk"] == ["待派单诉求"]
    assert "town" not in told


async def test_nobody_is_told_what_they_did_themselves(hall, people, heard):
    request = await hall.submit(people["resident"])
    await heard()
    for caller in people.values():
        await caller.post(f"{INBOX}/read")
    request = await hall.act(people["handler"], request, "sign")
    request = await hall.act(people["resident"], request, "withdraw")
    assert await heard() == {
        "resident": ["诉求办理中"],
        "handler": ["诉求已撤回"],
        "leader": ["诉求已撤回"],
    }


async def test_a_breach_climbs_from_the_handler_to_the_desk(hall, people, clock):
    request = await hall.submit(people["resident"], location=point_in(GRID))
    clock.set("2026-03-02T19:30:00")
    for _ in range(5):
        await hall.work("sweep_clocks", "deliver_outbox")

    async def told(name: str) -> list[str]:
        items = (await people[name].get(INBOX, params={"limit": 100})).json()["items"]
        about = [item["title"] for item in items if item["request_id"] == request["id"]]
        return sorted(title for title in about if title.startswith("联系"))

    soon = ["联系时限临近到期", "联系时限即将到期"]
    late, later = "联系时限已超时", "联系时限超时升级"
    assert await told("handler") == sorted([*soon, late, later])
    assert await told("leader") == sorted([late, later])
    assert await told("town") == [later]
    assert await told("resident") == await told("supervisor") == []


async def test_an_event_is_told_once_however_often_it_is_delivered(hall, people, heard):
    await hall.submit(people["resident"])
    await heard()
    first = await titles(people["resident"])
    for _ in range(3):
        await hall.work("deliver_outbox")
    assert await titles(people["resident"]) == first


async def test_a_batch_costs_as_many_statements_however_many_events_there_are(
    hall, submit, people, db
):
    async def statements(events: int) -> int:
        for number in range(events):
            await submit(location=point_in(GRID if number % 2 else COMMUNITY))
        with counted_queries(db) as sent:
            await hall.work("deliver_outbox")
        return len(sent)

    await hall.work("deliver_outbox")
    assert await statements(2) == await statements(11)
    with counted_queries(db) as sent:
        await hall.work("deliver_outbox")
    assert len(sent) == 1  # nothing to tell


async def test_the_inbox_is_paged_marked_and_ones_own(hall, as_resident):
    resident, stranger = await as_resident(), await as_resident()
    for _ in range(3):
        await hall.submit(resident)
    await hall.work("deliver_outbox")
    page = (await resident.get(INBOX, params={"limit": 2})).json()
    assert (len(page["items"]), page["unread"]) == (2, 3)
    rest = (await resident.get(INBOX, params={"cursor": page["next_cursor"]})).json()
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)
    marked = await resident.post(f"{INBOX}/read", {"up_to": page["items"][1]["id"]})
    assert marked.json() == {"marked": 2}
    assert (await resident.get(INBOX)).json()["unread"] == 1
    assert (await stranger.get(INBOX)).json()["items"] == []


@pytest.mark.parametrize("cursor", ["x", "-1", "９", "1" * 19])
async def test_a_wrong_cursor_is_refused(as_resident, cursor):
    answer = await (await as_resident()).get(INBOX, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")
