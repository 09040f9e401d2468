"""Publishing a calendar, as a test of the clocks needs it."""

from typing import Any

import pytest

from tests.sla.looking import Publish, until_known

CALENDARS = "/api/v1/calendars"


@pytest.fixture
async def publish(hall, as_staff) -> Publish:
    """``await publish(off_days=["2026-03-04"])`` → the preview; the process then knows it."""
    admin = await as_staff("admin")

    async def run(**draft: Any) -> dict[str, Any]:
        for kind in ("off_days", "work_days"):
            if kind in draft:
                draft[kind] = [
                    day if isinstance(day, dict) else {"day": day, "name": "本市安排"}
                    for day in draft[kind]
                ]
        preview = await admin.post(f"{CALENDARS}/preview", {"draft": draft}, key=None)
        assert preview.status_code == 200, preview.text
        seen = preview.json()
        if not seen["changed"]:
            return seen
        form = {name: seen[name] for name in ("draft_hash", "base_version")} | {"draft": draft}
        answer = await admin.post(CALENDARS, form)
        assert answer.status_code == 201, answer.text
        await until_known(hall, answer.json()["version"])
        return seen

    return run
