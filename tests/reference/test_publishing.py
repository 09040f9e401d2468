"""Publishing a calendar over HTTP: exactly what was previewed, by whom it may, once."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from app.domain.audit_chain import chain_of
from app.store.session import Statement

CALENDARS = "/api/v1/calendars"
AUDITED = Statement("""
SELECT actor_id, facts->>'calendar_version' AS version
FROM audit_entries WHERE chain = :chain ORDER BY seq
""")
ROW = Statement("SELECT * FROM calendars WHERE version = :version")


def off(*days: str) -> dict[str, Any]:
    return {"off_days": [{"day": day, "name": "本市放假"} for day in days]}


@pytest.fixture
async def admin(as_staff):
    return await as_staff("admin")


async def preview(admin, draft: dict[str, Any]) -> dict[str, Any]:
    answer = await admin.post(f"{CALENDARS}/preview", {"draft": draft}, key=None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def form(draft: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "draft": draft,
        "draft_hash": seen["draft_hash"],
        "base_version": seen["base_version"],
    }


async def test_a_preview_says_what_would_be_and_stores_nothing(admin, db):
    draft = off("2026-07-01")
    seen = await preview(admin, draft)
    assert seen["changed"] is True
    assert (seen["coverage_from"], seen["coverage_to"]) == ("2019-01-01", "2026-12-31")
    assert seen["years"] == [
        {
            "year": 2026,
            "working_days_before": 248,
            "working_days_after": 247,
            "missing_festivals": [],
        }
    ]
    assert (seen["moves"], seen["total"], seen["later"], seen["earlier"]) == ([], 0, 0, 0)
    assert await preview(admin, draft) == seen
    assert await db.one_statement(ROW, version=seen["base_version"] + 1) is None


async def test_a_year_that_names_few_festivals_is_pointed_out(admin):
    year = {
        "year": 2027,
        "papers": [],
        "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": True}],
    }
    seen = await preview(admin, {"years": [year]})
    assert seen["years"] == [
        {
            "year": 2027,
            "working_days_before": None,
            "working_days_after": 260,
            "missing_festivals": ["春节", "清明", "劳动节", "端午", "中秋", "国庆"],
        }
    ]


async def test_a_version_is_published_recorded_and_never_changes(admin, db):
    draft = off("2026-07-02")
    draft["work_days"] = [
        {"day": "2026-07-04", "name": "补班", "frames": [{"opens": "09:00", "closes": "12:00"}]}
    ]
    seen = await preview(admin, draft)
    key = uuid4().hex
    answer = await admin.post(CALENDARS, form(draft, seen), key=key)
    assert answer.status_code == 201
    version = answer.json()["version"]
    assert version == seen["base_version"] + 1
    again = await admin.post(CALENDARS, form(draft, seen), key=key)
    assert (again.status_code, again.content) == (201, answer.content)

    read = await admin.get(f"{CALENDARS}/{version}")
    assert read.status_code == 200
    calendar = read.json()
    assert "2026-07-02" in calendar["off_days"]
    assert "2026-07-04" in calendar["work_days"]
    assert calendar["own_hours"] == [
        {"day": "2026-07-04", "frames": [{"opens": "09:00", "closes": "12:00"}]}
    ]
    row = await db.one_statement(ROW, version=version)
    assert (row["published_by"], row["draft_hash"]) == (admin.id, seen["draft_hash"])
    entries = await db.rows(AUDITED, chain=chain_of("calendar"))
    assert (entries[-1]["actor_id"], entries[-1]["version"]) == (admin.id, str(version))

    older = (await admin.get(f"{CALENDARS}/{version - 1}")).json()
    assert "2026-07-02" not in older["off_days"]
    assert older["own_hours"] == []


async def test_only_what_was_previewed_is_published(admin):
    seen = await preview(admin, off("2026-07-03"))
    other = await admin.post(CALENDARS, form(off("2026-07-03", "2026-07-06"), seen))
    assert (other.status_code, other.json()["code"]) == (409, "calendar_draft_changed")


async def test_a_version_in_between_asks_for_another_preview(admin):
    mine, theirs = off("2026-07-07"), off("2026-07-08")
    seen, seen_by_them = await preview(admin, mine), await preview(admin, theirs)
    assert (await admin.post(CALENDARS, form(theirs, seen_by_them))).status_code == 201
    answer = await admin.post(CALENDARS, form(mine, seen))
    assert (answer.status_code, answer.json()["code"]) == (409, "calendar_changed")
    assert answer.json()["version"] == seen["base_version"] + 1


async def test_of_two_at_once_one_is_published(admin):
    draft = off("2026-07-09")
    seen = await preview(admin, draft)
    answers = await asyncio.gather(*(admin.post(CALENDARS, form(draft, seen)) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_what_is_known_already_is_not_published_again(admin):
    seen = await preview(admin, {})
    assert (seen["changed"], seen["years"]) == (False, [])
    answer = await admin.post(CALENDARS, form({}, seen))
    assert (answer.status_code, answer.json()["code"]) == (409, "calendar_unchanged")


@pytest.mark.parametrize(
    ("draft", "code", "pointer"),
    [
        ({"weekly_frames": []}, "list_too_short", "/draft/weekly_frames"),
        ({"weekly_frames": [[]] * 8}, "list_too_long", "/draft/weekly_frames"),
        (
            {"weekly_frames": [[{"opens": "8:30", "closes": "12:00"}]] + [[]] * 6},
            "time_invalid",
            "/draft/weekly_frames/0/0/opens",
        ),
        (
            {"weekly_frames": [[{"opens": "08:30", "closes": "24:00"}]] + [[]] * 6},
            "time_invalid",
            "/draft/weekly_frames/0/0/closes",
        ),
        (off("2026-02-30"), "time_invalid", "/draft/off_days/0/day"),
        ({"off_days": [{"day": "2026-07-01"}]}, "field_required", "/draft/off_days/0/name"),
        ({"other": 1}, "field_unknown", "/draft/other"),
        ({"years": [1]}, None, "/draft/years/0"),
        ({"years": [{"year": 2027, "papers": [], "days": []}]}, "holidays_not_published", None),
        (off("2031-01-01"), "entry_invalid", "/off_days/0"),
    ],
)
async def test_a_wrong_draft_is_refused_with_its_place(admin, draft, code, pointer):
    answer = await admin.post(f"{CALENDARS}/preview", {"draft": draft}, key=None)
    assert answer.status_code == 422
    problem = answer.json()
    found = {(error["pointer"], error["code"]) for error in problem.get("errors", ())}
    if pointer is None:
        assert problem["code"] == code
    elif code is None:
        assert pointer in {place for place, _ in found}
    else:
        assert (pointer, code) in found


@pytest.mark.parametrize("role", ["dispatcher", "supervisor", "auditor", "unit_leader"])
async def test_only_an_administrator_previews_and_publishes(as_staff, as_resident, role):
    for caller in (await as_staff(role), await as_resident()):
        for path, body in (
            (f"{CALENDARS}/preview", {"draft": {}}),
            (CALENDARS, {"draft": {}, "draft_hash": "0" * 64, "base_version": 1}),
        ):
            assert (await caller.post(path, body)).status_code == 403


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("999999", 404, "calendar_not_found"),
        ("0", 422, "invalid_input"),
        ("99999999999999999999", 422, "invalid_input"),
        ("simulate", 405, "http_method"),
    ],
)
async def test_there_are_only_the_versions_that_were_published(as_resident, path, status, code):
    answer = await (await as_resident()).get(f"{CALENDARS}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
