"""Who sees which request, and what of it."""

from uuid import UUID, uuid4

import pytest

from app.store.session import Statement
from tests.city import (
    GRID,
    OTHER_GRID,
    OTHER_TOWN,
    OTHER_UNIT,
    REQUESTS,
    TEXT,
    TOWN,
    point_in,
)

CONTACT = {"name": "欧阳小明", "phone": "13800138000"}
LOOKS = Statement("""
SELECT actor_role, facts ->> 'reason' AS reason FROM audit_entries
WHERE chain = :id AND action = 'reveal'
""")


@pytest.fixture(scope="module")
async def request_in_grid(submit, as_resident):
    caller = await as_resident("owner")
    place = {**point_in(GRID), "address": "向阳路7号"}
    return await submit(caller, location=place, contact=CONTACT)


@pytest.mark.parametrize(
    ("role", "post", "sees"),
    [
        ("handler", {}, True),
        ("unit_leader", {}, True),
        ("handler", {"unit": OTHER_UNIT}, False),
        ("grid_leader", {"grid": GRID}, True),
        ("grid_leader", {"grid": OTHER_GRID}, False),
        ("dispatcher", {}, True),
        ("dispatcher", {"grid": TOWN}, True),
        ("dispatcher", {"grid": OTHER_TOWN}, False),
        ("supervisor", {}, True),
        ("auditor", {}, True),
        ("admin", {}, True),
    ],
)
async def test_staff_see_what_lies_in_their_scope(request_in_grid, as_staff, role, post, sees):
    caller = await as_staff(role, **post)
    answer = await caller.get(f"{REQUESTS}/{request_in_grid['id']}")
    assert answer.status_code == (200 if sees else 404)
    timeline = await caller.get(f"{REQUESTS}/{request_in_grid['id']}/timeline")
    assert timeline.status_code == answer.status_code
    listed = (await caller.get(REQUESTS)).json()["items"]
    assert (request_in_grid["id"] in [item["id"] for item in listed]) is sees


async def test_what_is_not_yours_does_not_exist(request_in_grid, as_resident):
    stranger = await as_resident("stranger")
    hidden = (await stranger.get(f"{REQUESTS}/{request_in_grid['id']}")).json()
    nothing = (await stranger.get(f"{REQUESTS}/{uuid4()}")).json()
    assert {**hidden, "request_id": ""} == {**nothing, "request_id": ""}
    assert hidden["code"] == "request_not_found"
    withdrawn = await stranger.post(
        f"{REQUESTS}/{request_in_grid['id']}/actions/withdraw", version=2
    )
    assert withdrawn.status_code == 404


async def test_the_owner_sees_everything_but_internal_notes(hall, as_resident, as_staff):
    owner, handler = await as_resident("owner"), await as_staff("handler")
    request = await hall.act(handler, await hall.submit(owner, contact=CONTACT), "sign")
    request = await hall.act(
        handler, request, "contact", method="phone", result="reached", note="内部记录"
    )
    await hall.act(
        handler, request, "reply", public_reply="已修好", internal_note="花了三百", solved="solved"
    )
    seen = (await owner.get(f"{REQUESTS}/{request['id']}")).json()
    assert seen["contact"] == {**CONTACT, "masked": False}
    assert seen["reply"]["public_reply"] == "已修好"
    assert seen["reply"]["internal_note"] is None
    timeline = (await owner.get(f"{REQUESTS}/{request['id']}/timeline")).text
    assert "内部记录" not in timeline
    assert "花了三百" not in timeline
    staff_view = (await handler.get(f"{REQUESTS}/{request['id']}")).json()
    assert staff_view["reply"]["internal_note"] == "花了三百"
    assert staff_view["contact"] == {"name": "欧阳**", "phone": "138****8000", "masked": True}


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_auditors_and_administrators_see_no_person_no_place_no_words(
    request_in_grid, as_staff, role
):
    caller = await as_staff(role)
    seen = await caller.get(f"{REQUESTS}/{request_in_grid['id']}")
    body = seen.json()
    assert [body[name] for name in ("text", "title", "location", "contact")] == [None] * 4
    everything = seen.text + (await caller.get(REQUESTS)).text
    everything += (await caller.get(f"{REQUESTS}/{request_in_grid['id']}/timeline")).text
    for secret in ("欧阳", "小明", "138", "向阳路", "路灯三天"):
        assert secret not in everything


NEAR = [
    ("handler", {}),
    ("unit_leader", {}),
    ("grid_leader", {"grid": GRID}),
    ("micro_grid_leader", {"grid": GRID}),
]


async def test_who_asks_for_confidence_is_hidden_from_unit_and_grid(submit, as_staff, as_resident):
    place = {**point_in(GRID), "address": "向阳路7号"}
    request = await submit(
        await as_resident("owner"), location=place, contact=CONTACT, confidential=True
    )
    path = f"{REQUESTS}/{request['id']}"
    for role, post in NEAR:
        caller = await as_staff(role, **post)
        answer = await caller.get(path)
        page = answer.json()
        assert page["contact"] is None
        # They need to know where it is and what; the address may be somebody's own door.
        assert (page["location"]["latitude"], page["location"]["address"]) == (
            place["latitude"],
            None,
        )
        assert page["text"] == TEXT
        everything = answer.text + (await caller.get(f"{path}/timeline")).text
        everything += (await caller.get(REQUESTS)).text
        assert [it for it in ("向阳路", "欧阳", "13800138000") if it in everything] == []
        opened = await caller.post(f"{path}/reveal", {"reason": "上门核实"})
        assert (opened.status_code, opened.json()["code"]) == (403, "reveal_confidential")
    desk = await as_staff("dispatcher")
    page = (await desk.get(path)).json()
    assert (page["contact"]["masked"], page["location"]["address"]) == (True, "向阳路7号")
    owner = await as_resident("owner")
    assert (await owner.get(path)).json()["location"]["address"] == "向阳路7号"


async def test_the_supervisor_opens_the_address_of_what_is_confidential_and_leaves_a_trace(
    submit, as_staff, as_resident, db
):
    place = {**point_in(GRID), "address": "向阳路8号"}
    request = await submit(location=place, contact=CONTACT, confidential=True)
    supervisor = await as_staff("supervisor")
    opened = await supervisor.post(f"{REQUESTS}/{request['id']}/reveal", {"reason": "核对地点"})
    assert opened.json()["address"] == "向阳路8号"
    [look] = await db.rows(LOOKS, id=UUID(request["id"]))
    assert (look["actor_role"], look["reason"]) == ("supervisor", "核对地点")


async def test_a_corrected_place_is_seen_by_near_staff_without_its_address(hall, submit, as_staff):
    request = await submit(location=point_in(GRID), contact=CONTACT, confidential=True)
    desk, handler = await as_staff("dispatcher"), await as_staff("handler")
    place = {**point_in(GRID), "address": "村东路3号"}
    request = await hall.act(desk, request, "reclassify", location=place, note="灯杆在村东路口")
    answer = await handler.get(f"{REQUESTS}/{request['id']}")
    assert answer.json()["location"]["address"] is None
    timeline = (await handler.get(f"{REQUESTS}/{request['id']}/timeline")).text
    assert ("村东路3号" in timeline, "灯杆在村东路口" in timeline) == (False, True)


async def test_what_is_not_confidential_shows_its_address_to_who_goes_there(
    request_in_grid, as_staff
):
    for role, post in NEAR[:3]:
        page = (
            await (await as_staff(role, **post)).get(f"{REQUESTS}/{request_in_grid['id']}")
        ).json()
        assert page["location"]["address"] == "向阳路7号"


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_who_only_looks_cannot_act(request_in_grid, as_staff, role):
    caller = await as_staff(role)
    refused = await caller.post(f"{REQUESTS}/{request_in_grid['id']}/actions/sign", version=2)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await caller.post(REQUESTS, {"text": "x"})).status_code == 403
