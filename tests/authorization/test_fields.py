"""Which member of an answer holds anything, for whom: the table is whole in both directions.

A few requests, which between them fill every member, are read by every role. A member that the
table hides must be null in all of them, one that it shows must not be null in all; a member that
the table does not name must not be there.
"""

from typing import Any

import pytest

from tests.authorization.policy import BLIND, DESK, EVERYBODY, RESIDENT, Who
from tests.city import GRID as GRID_CODE
from tests.city import OTHER_UNIT, REQUESTS, TOWN, UNIT, Caller, CityHall, point_in

SIGHTED = EVERYBODY - BLIND
STAFF = SIGHTED - RESIDENT
FAR_STAFF = DESK | {Who.SUPERVISOR}

# fmt: off
FACTS = dict.fromkeys((
    "id", "number", "version", "state", "state_text", "public_label", "cycle_no",
    "confidential", "public", "submitted_at",
    "contact_due_at", "reply_due_at", "provisional", "contacted_at", "replied_at", "rate_until",
    "ended_at", "contact_overdue", "reply_overdue", "satisfaction",
), EVERYBODY) | dict.fromkeys((
    "kind", "kind_text", "category", "grid", "unit", "channel",
), SIGHTED)
SUMMARY = FACTS | {
    "title":                 SIGHTED,
    "text":                  SIGHTED,
}
REPLY = {
    "public_reply":          SIGHTED,
    "internal_note":         STAFF,
    "factual":               EVERYBODY,
    "solved":                EVERYBODY,
    "solved_text":           EVERYBODY,
    "unsolved_reason":       SIGHTED,
    "result_type":           EVERYBODY,
    "result_text":           EVERYBODY,
    "planned_on":            EVERYBODY,
    "at":                    EVERYBODY,
}
RATING = {
    "contacted":             EVERYBODY,
    "solved":                EVERYBODY,
    "solved_text":           EVERYBODY,
    "satisfaction":          EVERYBODY,
    "satisfaction_text":     EVERYBODY,
    "reasons":               EVERYBODY,
    "text":                  SIGHTED,
    "at":                    EVERYBODY,
}


def _inside(member: str, table: dict[str, frozenset[Who]]) -> dict[str, frozenset[Who]]:
    return {f"{member}.{name}": readers for name, readers in table.items()}


DETAIL = SUMMARY | {
    "location":              SIGHTED,
    **_inside("location", dict.fromkeys(
        ("latitude", "longitude", "gcj02", "accuracy_m", "address"), SIGHTED)),
    "contact":               SIGHTED,  # of staff: masked
    **_inside("contact", dict.fromkeys(("name", "phone", "masked"), SIGHTED)),
    "routing":               EVERYBODY,
    "reply":                 EVERYBODY,
    **_inside("reply", REPLY),
    "rating":                EVERYBODY,
    **_inside("rating", RATING),
    "earlier_cycles":        EVERYBODY,
    "earlier_cycles.cycle_no": EVERYBODY,
    "earlier_cycles.reply":  EVERYBODY,
    **_inside("earlier_cycles.reply", REPLY),
    "earlier_cycles.rating": EVERYBODY,
    **_inside("earlier_cycles.rating", RATING),
    "urge_count":            EVERYBODY,
    "supervise_level":       EVERYBODY,
    "orders":                EVERYBODY,
    "orders.level":          EVERYBODY,
    "orders.text":           STAFF,
    "orders.ordered_at":     EVERYBODY,
    "orders.answer_due_at":  EVERYBODY,
    "co_tasks":              EVERYBODY,
    **_inside("co_tasks", dict.fromkeys(
        ("id", "state", "state_text", "due_at"), EVERYBODY)),
    "co_tasks.unit":         SIGHTED,
    "co_tasks.task":         STAFF,
    "co_tasks.feedback":     STAFF,
    "extensions":            EVERYBODY,
    "extension_asked":       STAFF,
    "extension_asked.working_days": STAFF,
    "internal_due_at":       STAFF,
    "suspension_asked":      STAFF,
    **_inside("suspension_asked", dict.fromkeys(("reason_code", "reason", "until"), STAFF)),
    "resume_on":             EVERYBODY,
    "info_until":            EVERYBODY,
    "rejection_asked":       STAFF,
    **_inside("rejection_asked", dict.fromkeys(
        ("ground_code", "ground", "note", "where_to_go"), STAFF)),
    "settled_by_grid":       EVERYBODY,
    "followers":             EVERYBODY,
    "master":                EVERYBODY,
    "master.id":             EVERYBODY - RESIDENT,  # of whoever else asked, nothing
    **_inside("master", dict.fromkeys(
        ("number", "state", "state_text", "public_label"), EVERYBODY)),
    "master.reply":          EVERYBODY,
    **_inside("master.reply", REPLY),
    "available_actions":     EVERYBODY,
}
# Where the resident asked for confidentiality, unit and grid do not learn who it was.
CONFIDENTIAL = DETAIL | dict.fromkeys(
    ("contact", "contact.name", "contact.phone", "contact.masked", "location.address"),
    RESIDENT | FAR_STAFF)
TIMELINE = dict.fromkeys((
    "version", "at", "action", "action_text", "state", "state_text", "public_label", "actor_role",
    "actor_role_text",
), EVERYBODY) | {
    "unit":                  SIGHTED,
    "note":                  STAFF,
    "public_note":           SIGHTED,
    "facts":                 STAFF | BLIND,
}
# fmt: on
_SCHEMAS = {
    "": "RequestOut",
    "location.": "LocationOut",
    "contact.": "ContactOut",
    "reply.": "ReplyOut",
    "rating.": "RatingOut",
    "earlier_cycles.": "CycleOut",
    "earlier_cycles.reply.": "ReplyOut",
    "earlier_cycles.rating.": "RatingOut",
    "orders.": "OrderOut",
    "co_tasks.": "CoTaskOut",
    "extension_asked.": "ExtensionAskedOut",
    "suspension_asked.": "SuspensionAskedOut",
    "rejection_asked.": "RejectionAskedOut",
    "master.": "MasterOut",
    "master.reply.": "ReplyOut",
}
_OPENED = tuple(prefix[:-1] for prefix in _SCHEMAS if prefix)  # the outer before the inner
_CONTACT = {"name": "欧阳小明", "phone": "13800138000"}
# Words of residents and staff that no reader of facts may find anywhere.
_SECRETS = ("欧阳", "小明", "13800138000", "向阳路", "七号楼", "内部", "花了三百", "灯又灭了",
            "换了灯泡", "线路老化", "断电配合", "已断电", "请说清楚", "督办词",
            "请到法院")  # fmt: skip

Scenes = list[dict[str, Any]]


class _Stage:
    """Requests of one resident in one grid and one unit, brought to where a member is filled."""

    def __init__(self, hall: CityHall, people: dict[str, Caller], *, confidential: bool) -> None:
        self.hall, self.people, self.confidential = hall, people, confidential

    async def submitted(self) -> dict[str, Any]:
        return await self.hall.submit(
            self.people["owner"],
            title="路灯不亮",
            text="七号楼前的路灯不亮",
            kind="help",
            location={**point_in(GRID_CODE), "accuracy_m": 12.5, "address": "向阳路7号"},
            contact=_CONTACT,
            confidential=self.confidential,
            public=not self.confidential,
        )

    async def go(self, request: dict[str, Any], *steps: tuple[str, str, dict[str, Any]]) -> Any:
        for who, action, form in steps:
            request = await self.hall.act(
                self.people[who], request, action, **{"note": "内部记录", **form}
            )
        return request

    async def scenes(self) -> Scenes:
        return [
            await self.go(await self.submitted(), *_ANSWERED, _RATED),
            await self.go(await self.submitted(), *_ANSWERED, _UNHAPPY, _REOPENED),
            await self._with_everything_asked(),
            await self.go(await self.submitted(), *_REACHED, _SUSPENDED, _ALLOWED),
            await self.go(await self.submitted(), *_REACHED, _MORE_INFO, _REJECTION),
            await self._merged(),
            await self.go(await self.submitted(), *_GIVEN_BACK),
        ]

    async def _with_everything_asked(self) -> dict[str, Any]:
        request = await self.go(await self.submitted(), *_REACHED, _EXTENSION, _SUSPENDED, _ORDER)
        request = await self.go(request, _PART)
        page = await self.people["desk"].get(f"{REQUESTS}/{request['id']}")
        part = {"co_task_id": page.json()["co_tasks"][0]["id"]}
        return await self.go(
            request,
            ("other", "co_feedback", {**part, "step": "sign"}),
            ("other", "co_feedback", {**part, "step": "feed_back", "note": "已断电"}),
        )

    async def _merged(self) -> dict[str, Any]:
        """Its master was answered with the whole form."""
        master, follower = await self.submitted(), await self.submitted()
        follower = await self.go(follower, ("desk", "merge", {"master_id": master["id"]}))
        master["version"] += 1  # it says that somebody joined
        await self.go(master, *_ANSWERED)
        return follower


_REACHED = (
    ("handler", "sign", {}),
    ("handler", "contact", {"method": "phone", "result": "reached"}),
)
_ANSWERED = (
    *_REACHED,
    ("handler", "reply", {
        "public_reply": "换了灯泡", "internal_note": "花了三百", "solved": "partly",
        "unsolved_reason": "线路老化", "factual": True, "result_type": "planned",
        "planned_on": "2026-05-01"}),
)  # fmt: skip
_RATED = ("owner", "rate", {
    "contacted": True, "solved": "partly", "satisfaction": 3, "reasons": ["slow"],
    "text": "灯又灭了"})  # fmt: skip
_UNHAPPY = ("owner", "rate", {**_RATED[2], "satisfaction": 1})
_REOPENED = ("desk", "decide_reopen", {"decision": "reopen"})
# Twice, so that the reader's own unit has it again, after another one returned it.
_RETURNED = {"reason_code": "not_ours"}
_GIVEN_BACK = (
    ("handler", "return", _RETURNED),
    ("desk", "decide_return", {"decision": "reassign", "unit_code": OTHER_UNIT}),
    ("other", "return", _RETURNED),
    ("desk", "decide_return", {"decision": "reassign", "unit_code": UNIT}),
)
_EXTENSION = ("handler", "request_extension", {"working_days": 2, "reason_code": "survey"})
_SUSPENDED = ("leader", "suspend", {"reason_code": "weather", "until": "2026-03-20"})
_ALLOWED = ("desk", "suspend", {"decision": "approve", "note": "请说清楚"})
_ORDER = ("supervisor", "supervise", {"level": 1, "note": "督办词"})
_PART = ("desk", "co_assign", {"unit_code": OTHER_UNIT, "task": "断电配合"})
_MORE_INFO = ("desk", "ask_info", {"note": "请说清楚"})
_REJECTION = ("desk", "reject", {"ground_code": "lawsuit", "where_to_go": "请到法院"})


@pytest.fixture(scope="module")
async def scenes(hall) -> dict[bool, Scenes]:
    people = {
        "owner": await hall.as_resident("owner"),
        "handler": await hall.as_staff("handler"),
        "leader": await hall.as_staff("unit_leader"),
        "other": await hall.as_staff("handler", unit=OTHER_UNIT),
        "desk": await hall.as_staff("dispatcher"),
        "supervisor": await hall.as_staff("supervisor"),
    }
    return {
        confidential: await _Stage(hall, people, confidential=confidential).scenes()
        for confidential in (False, True)
    }


async def _reader(hall, who: Who) -> Caller:
    match who:
        case Who.RESIDENT:
            return await hall.as_resident("owner")
        case Who.TOWN_DISPATCHER:
            return await hall.as_staff("dispatcher", grid=TOWN)
        case Who.MICRO_GRID_LEADER:  # the demo's grid has no micro-grids: theirs is the grid itself
            return await hall.as_staff(who.value, grid=GRID_CODE)
        case _:
            return await hall.as_staff(who.value)


def _members(answer: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every member by its full name; of a list of things the first that is there. No list, no
    things: null."""
    flat: dict[str, Any] = {}
    for name, value in answer.items():
        full = prefix + name
        if full not in _OPENED:
            flat[full] = value
            continue
        things = value if isinstance(value, list) else [value] if value is not None else []
        flat[full] = things or None
        for thing in things:
            flat = _together(flat, _members(thing, full + "."))
    return flat


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What either shows."""
    return other | {name: value for name, value in one.items() if value is not None}


def _wrong(members: dict[str, Any], table: dict[str, frozenset[Who]], who: Who) -> list[str]:
    """The members that ``who`` sees and should not, or should and does not."""
    undeclared = [f"{name}: nobody declared it" for name in members.keys() - table.keys()]
    shown = {name for name, value in members.items() if value is not None}
    due = {name for name, readers in table.items() if who in readers}
    return (
        undeclared
        + [f"{name}: hidden from {who}, but shown" for name in sorted(shown - due)]
        + [f"{name}: for {who}, but not shown" for name in sorted(due - shown)]
    )


@pytest.mark.parametrize("who", sorted(EVERYBODY))
@pytest.mark.parametrize("confidential", [False, True], ids=["open", "confidential"])
async def test_each_role_reads_the_members_declared_for_it(hall, scenes, who, confidential):
    caller = await _reader(hall, who)
    page: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    entry: dict[str, Any] = {}
    listed = {item["id"]: item for item in (await caller.get(REQUESTS)).json()["items"]}
    for scene in scenes[confidential]:
        path = f"{REQUESTS}/{scene['id']}"
        page = _together(page, _members((await caller.get(path)).json()))
        summary = _together(summary, listed[scene["id"]])
        for one in (await caller.get(f"{path}/timeline")).json()["items"]:
            entry = _together(entry, one)
    assert _wrong(page, CONFIDENTIAL if confidential else DETAIL, who) == []
    assert _wrong(summary, SUMMARY, who) == []
    assert _wrong(entry, TIMELINE, who) == []


@pytest.mark.parametrize("who", sorted(EVERYBODY))
async def test_a_name_and_a_number_are_clear_for_their_owner_only(hall, scenes, who):
    caller = await _reader(hall, who)
    contact = (await caller.get(f"{REQUESTS}/{scenes[False][0]['id']}")).json()["contact"]
    if who in RESIDENT:
        assert contact == {**_CONTACT, "masked": False}
    elif who in SIGHTED:
        assert contact == {"name": "欧阳**", "phone": "138****8000", "masked": True}
    else:
        assert contact is None


@pytest.mark.parametrize("who", sorted(BLIND))
@pytest.mark.parametrize("confidential", [False, True], ids=["open", "confidential"])
async def test_no_word_of_anybody_reaches_those_who_read_facts(hall, scenes, who, confidential):
    caller = await _reader(hall, who)
    everything = (await caller.get(REQUESTS)).text
    for scene in scenes[confidential]:
        path = f"{REQUESTS}/{scene['id']}"
        for answer in (await caller.get(path), await caller.get(f"{path}/timeline")):
            assert answer.status_code == 200
            everything += answer.text
    assert [secret for secret in _SECRETS if secret in everything] == []


def test_the_tables_name_what_the_document_promises(app):
    schemas = app.openapi()["components"]["schemas"]

    def promised(name: str) -> set[str]:
        return set(schemas[name]["properties"])

    assert SUMMARY.keys() == promised("RequestSummaryOut")
    assert TIMELINE.keys() == promised("TimelineEntryOut")
    for prefix, schema in _SCHEMAS.items():
        below = [name.removeprefix(prefix) for name in DETAIL if name.startswith(prefix)]
        assert {name for name in below if "." not in name} == promised(schema), prefix


async def test_what_a_step_answers_holds_facts_only(scenes):
    """The answers to submissions and steps are kept for replay: nothing of a person is in them."""
    for moved in (*scenes[False], *scenes[True]):
        assert moved.keys() == FACTS.keys() | {"routing", "hint", "available_actions"}
        assert [secret for secret in _SECRETS if secret in str(moved)] == []
