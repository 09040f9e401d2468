"""Figures that are published and exported, for tests that watch what is written."""

from app.statistics import exporting
from tests.city import CityHall

_FEBRUARY = {"from": "2026-02-01", "to": "2026-02-28"}


async def figures_live(hall: CityHall) -> None:
    """A publication; an export that is made, fetched and deleted, one cancelled, one that fails."""
    boss = await hall.as_staff("supervisor")
    url = "/api/v1/statistics"
    seen = await boss.get(f"{url}/snapshots/preview", params=_FEBRUARY)
    asked = {"title": "二月", **_FEBRUARY, "hash": seen.json()["hash"]}
    answer = await boss.post(f"{url}/snapshots", asked)
    assert answer.status_code == 201, answer.text
    form = {"format": "csv", "measures": ["received"], **_FEBRUARY}
    cancelled = (await boss.post(f"{url}/exports", form)).json()
    answer = await boss.post(f"{url}/exports/{cancelled['id']}/cancel")
    assert answer.status_code == 200, answer.text
    failed = (await boss.post(f"{url}/exports", form)).json()
    for _ in range(exporting.MOST_ATTEMPTS):
        assert await exporting.claim(hall.db, now=hall.clock.now)
        hall.clock.forward(seconds=91)  # whoever makes it is gone
    await hall.work("run_exports")
    assert (await boss.get(f"{url}/exports/{failed['id']}")).json()["state"] == "failed"
    made = (await boss.post(f"{url}/exports", form)).json()
    await hall.work("run_exports")
    made = (await boss.get(f"{url}/exports/{made['id']}")).json()
    assert (await hall.client.get(made["download_path"])).status_code == 200
    hall.clock.forward(hours=25)
    await hall.work("purge_exports")
