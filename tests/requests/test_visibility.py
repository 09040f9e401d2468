"""Who sees which request, and what of it."""

from uuid import uuid4

import pytest

from tests.city import (
    GRID,
    OTHER_GRID,
    OTHER_TOWN,
    OTHER_UNIT,
    REQUESTS,
    TOWN,
    point_in,
)

CONTACT = {"name": "欧阳小明", "phone": "13800138000"}


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


async def test_who_asks_for_confidence_is_hidden_from_unit_and_grid(submit, as_staff, as_resident):
    request = await submit(
        await as_resident("owner"), location=point_in(GRID), contact=CONTACT, confidential=True
    )
    path = f"{REQUESTS}/{request['id']}"
    for role, post in (("handler", {}), ("unit_leader", {}), ("grid_leader", {"grid": GRID})):
        caller = await as_staff(role, **post)
        assert (await caller.get(path)).json()["contact"] is None
    desk = await as_staff("dispatcher")
    assert (await desk.get(path)).json()["contact"]["masked"] is True


@pytest.mark.parametrize("role", ["auditor", "admin"])
async def test_who_only_looks_cannot_act(request_in_grid, as_staff, role):
    caller = await as_staff(role)
    refused = await caller.post(f"{REQUESTS}/{request_in_grid['id']}/actions/sign", version=2)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await caller.post(REQUESTS, {"text": "x"})).status_code == 403
