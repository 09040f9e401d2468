"""Every text that a stranger can send, in every field: kept exactly, or refused clearly."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.domain.identity import Role
from tests.api.answers import assert_well_said, read_back, timeline
from tests.api.nasty import NASTY, is_sendable, sendable
from tests.city import GRID, REQUESTS, Caller, form, point_in

JSON = {"Content-Type": "application/json"}
_A_NAME = re.compile(r"\w{1,64}", re.ASCII)
_IN_A_URL = 5_000  # what the client itself still sends


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 100_000, "staff_requests_per_hour": 100_000}


@pytest.fixture(scope="module")
async def resident(as_resident) -> Caller:
    return await as_resident("张三")


def encoded(body: object, *, escaped: bool = False) -> bytes:
    """JSON as UTF-8; what UTF-8 cannot say, or all of it, as escapes."""
    plain = json.dumps(body, ensure_ascii=False)
    escaped = escaped or not is_sendable(plain)
    return (json.dumps(body) if escaped else plain).encode()


def said(text: str) -> list[str]:
    """What a refusal of ``text`` must not repeat: itself, unless it could name a field."""
    return [text] if len(text) > 6 and _A_NAME.fullmatch(text) is None else []


def as_prose(text: str) -> str:
    return text.replace("\r\n", "\n")


def as_name(text: str) -> str:
    return text.replace("•", "·").replace("・", "·").replace("‧", "·")


# --- submissions ---------------------------------------------------------------------------------

FIELDS = {
    "text": (lambda v: {"text": v}, lambda r: r["text"], as_prose),
    "title": (lambda v: {"title": v}, lambda r: r["title"], str),
    "category_code": (lambda v: {"category_code": v}, lambda r: r["category"]["code"], str),
    "grid_code": (lambda v: {"grid_code": v}, lambda r: r["grid"]["code"], str),
    "kind": (lambda v: {"kind": v}, lambda r: r["kind"], str),
    "name": (lambda v: {"contact": {"name": v}}, lambda r: r["contact"]["name"], as_name),
    "phone": (lambda v: {"contact": {"phone": v}}, lambda r: r["contact"]["phone"], str),
    "address": (
        lambda v: {"location": {**point_in(GRID), "address": v}},
        lambda r: r["location"]["address"],
        str,
    ),
    "coord_sys": (lambda v: {"location": {**point_in(GRID), "coord_sys": v}}, None, None),
    "latitude": (lambda v: {"location": {**point_in(GRID), "latitude": v}}, None, None),
    "confidential": (lambda v: {"confidential": v}, None, None),
    "an unknown field": (lambda v: {"extra": v}, None, None),
    "the name of a field": (lambda v: {v: 1}, None, None),
}


@pytest.mark.parametrize("escaped", [False, True], ids=["as UTF-8", "as escapes"])
@pytest.mark.parametrize("field", FIELDS)
async def test_a_submission_keeps_a_nasty_text_exactly_or_refuses_it(field, escaped, resident):
    put, shown, kept_as = FIELDS[field]
    kept = 0
    for name, text in NASTY.items():
        body = encoded(form(**put(text)), escaped=escaped)
        answer = await resident.post(REQUESTS, content=body, headers=JSON)
        if answer.status_code == 201 and shown is not None:
            view = await read_back(resident, answer.json()["id"])
            assert shown(view) == kept_as(text), name
            kept += 1
        else:
            assert_well_said(answer, sent=said(text))
    assert kept >= {"text": 50, "title": 40, "name": 35, "address": 40}.get(field, 0)


async def test_a_nasty_key_is_a_key_or_refused(resident):
    for _name, text in sendable():
        if set(text) & {"\r", "\n", "\x00"}:
            continue  # no header can hold it
        headers = {b"Idempotency-Key": text.encode()[:30_000], b"Content-Type": b"application/json"}
        headers[b"Authorization"] = resident.headers["Authorization"].encode()
        answer = await resident.hall.client.post(REQUESTS, content=encoded(form()), headers=headers)
        if answer.status_code != 201:
            assert_well_said(answer, sent=said(text))


# --- the life of a request -----------------------------------------------------------------------


class Life:
    """One request; each step is first taken with the nasty text, then, if refused, without."""

    def __init__(self, text: str, request: dict[str, Any]) -> None:
        self.text, self.request = text, request
        self.kept: set[str] = set()

    async def step(
        self, caller: Caller, action: str, *fields: str, **members: Any
    ) -> httpx.Response:
        path = f"{REQUESTS}/{self.request['id']}/actions/{action}"
        for text in (self.text, "一句平常的话"):
            body = encoded({**members, **dict.fromkeys(fields, text)})
            answer = await caller.post(
                path, content=body, headers=JSON, version=self.request["version"]
            )
            if answer.status_code == 200:
                if text == self.text:
                    self.kept.add(action)
                break
            assert text == self.text, answer.text
            assert_well_said(answer, sent=said(self.text))
        self.request = answer.json()
        return answer


async def test_every_step_keeps_a_nasty_text_exactly_or_refuses_it(hall, resident, as_staff):
    handler = await as_staff(Role.HANDLER)
    dispatcher = await as_staff(Role.DISPATCHER)
    for name, text in NASTY.items():
        life = Life(text, await hall.submit(resident))
        await life.step(handler, "sign", "note")
        await life.step(handler, "contact", "note", method="phone", result="reached")
        await life.step(handler, "return", "note", reason_code="other")
        await life.step(dispatcher, "decide_return", "note", decision="refuse")
        await life.step(
            handler, "reply", "public_reply", "internal_note", "unsolved_reason", solved="partly"
        )
        rating = {"contacted": True, "solved": "solved", "satisfaction": 5}
        await life.step(resident, "rate", "text", **rating)

        history = await timeline(resident, life.request["id"])
        steps = [step["action"] for step in history]
        assert steps[2:] == ["sign", "contact", "return", "decide_return", "reply", "rate"], name
        if not life.kept:
            continue
        own = {step["action"]: step for step in history}
        inside = {step["action"]: step for step in await timeline(handler, life.request["id"])}
        view = await read_back(handler, life.request["id"])
        told = {
            **{action: inside[action]["note"] for action in ("sign", "contact", "return")},
            "decide_return": inside["decide_return"]["note"],
            "reply": own["reply"]["public_note"],
            "rate": own["rate"]["public_note"],
        }
        for action in life.kept:
            assert told[action] == as_prose(text), (name, action)
        if "reply" in life.kept:
            reply = view["reply"]
            words = (reply["public_reply"], reply["internal_note"], reply["unsolved_reason"])
            assert set(words) == {as_prose(text)}, name
        if "rate" in life.kept:
            assert view["rating"]["text"] == as_prose(text), name


async def test_every_step_of_the_desk_keeps_a_nasty_text_exactly_or_refuses_it(
    hall, resident, as_staff
):
    dispatcher = await as_staff(Role.DISPATCHER)
    second = await as_staff(Role.DISPATCHER, number=2)
    for name, text in NASTY.items():
        life = Life(text, await hall.submit(resident, category_code=...))
        path = f"{REQUESTS}/{life.request['id']}/actions/assign"
        for codes in ({"unit_code": text}, {"unit_code": "housing", "category_code": text}):
            answer = await dispatcher.post(
                path, content=encoded(codes), headers=JSON, version=life.request["version"]
            )
            assert_well_said(answer, sent=said(text))
        await life.step(dispatcher, "ask_info", "note")
        await life.step(resident, "supply", "text")
        await life.step(dispatcher, "reject", "note", "where_to_go", ground_code="petition")
        life.request = await hall.act(
            second, life.request, "reject", decision="approve", note="同意"
        )
        history = await timeline(resident, life.request["id"])
        steps = ["ask_info", "supply", "reject", "reject"]
        assert [step["action"] for step in history][2:] == steps, name
        own = {step["action"]: step for step in history}
        for action in life.kept - {"reject"}:
            assert own[action]["public_note"] == as_prose(text), (name, action)
        if "reject" in life.kept:
            assert own["reject"]["public_note"].count(as_prose(text)) >= 2, name
        assert life.request["state"] == "rejected"


# --- questions -----------------------------------------------------------------------------------

QUERIES = (
    *((REQUESTS, name) for name in ("unit", "grid", "category", "cursor", "state", "overdue")),
    *((REQUESTS, name) for name in ("limit", "from", "to", "q")),
    ("/api/v1/inbox", "cursor"),
    ("/api/v1/inbox", "unread"),
    ("/api/v1/grids", "parent"),
)


@pytest.mark.parametrize(("path", "parameter"), QUERIES)
async def test_a_nasty_question_is_answered_or_refused(path, parameter, as_staff):
    dispatcher = await as_staff(Role.DISPATCHER)
    for _name, text in sendable():
        answer = await dispatcher.get(path, params={parameter: text[:_IN_A_URL]})
        if answer.status_code != 200:
            assert_well_said(answer, sent=said(text))


@pytest.mark.parametrize("parameter", ["group_by", "from", "to", "unit"])
async def test_a_nasty_question_for_figures_is_refused(parameter, as_staff):
    auditor = await as_staff(Role.AUDITOR)
    for _name, text in sendable():
        answer = await auditor.get(
            "/api/v1/statistics/satisfaction", params={parameter: text[:_IN_A_URL]}
        )
        assert_well_said(answer, sent=said(text))


@pytest.mark.parametrize(
    "path", [f"{REQUESTS}/{{}}", f"{REQUESTS}/{{}}/timeline", "/api/v1/grids/{}"]
)
async def test_a_nasty_address_is_refused(path, as_staff):
    dispatcher = await as_staff(Role.DISPATCHER)
    for name, text in NASTY.items():
        if name == "empty":
            continue  # that is another address, and a good one
        escaped = quote(text[:_IN_A_URL], safe="", errors="surrogatepass")
        answer = await dispatcher.get(path.format(escaped))
        assert_well_said(answer, sent=said(text))


# --- other bodies --------------------------------------------------------------------------------


async def test_a_nasty_log_in_is_refused(client):
    for turn, text in enumerate(NASTY.values()):
        for body in (
            {"username": text, "password": "correct horse battery"},
            {"username": f"nobody-{turn}", "password": text},
            {"username": "nobody", "password": "correct horse battery", text: text},
        ):
            answer = await client.post("/api/v1/auth/staff", content=encoded(body), headers=JSON)
            assert_well_said(answer, sent=said(text))


async def test_a_nasty_code_from_wechat_logs_somebody_in_or_is_refused(client):
    for text in NASTY.values():
        for code in (text, f"code-ok-{text}"):
            answer = await client.post(
                "/api/v1/auth/wechat", content=encoded({"code": code}), headers=JSON
            )
            if answer.status_code != 200:
                assert_well_said(answer, sent=said(text))
            else:
                token = answer.json()["token"]
                assert text not in answer.text.replace(token, "") or not said(text)


async def test_nasty_members_of_the_lesser_bodies_are_refused(as_staff):
    admin = await as_staff(Role.ADMIN)
    dispatcher = await as_staff(Role.DISPATCHER)
    at = "2026-03-02T09:00:00+08:00"
    for text in NASTY.values():
        for caller, path, body in (
            (admin, "/api/v1/calendars/simulate", {"submitted_at": [at], "policy_code": text}),
            (admin, "/api/v1/calendars/simulate", {"submitted_at": [text]}),
            (dispatcher, "/api/v1/inbox/read", {"up_to": text}),
            (
                dispatcher,
                "/api/v1/grids/locate",
                {"points": [{**point_in(GRID), "coord_sys": text}]},
            ),
            (dispatcher, "/api/v1/grids/locate", {"points": text}),
        ):
            answer = await caller.post(path, content=encoded(body), headers=JSON)
            assert_well_said(answer, sent=said(text))
