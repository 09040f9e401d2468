"""Files of figures: whole, exact, harmless, and gone again."""

import asyncio
import csv
import io
import json
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import openpyxl
import pytest
from sqlalchemy import text

from app import wiring
from app.statistics import export_job, exporting
from tests.city import CHINA, GRID, point_in

EXPORTS = "/api/v1/statistics/exports"
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}
MEASURES = ["received", "satisfied", "contact_on_time", "solved"]


@pytest.fixture(scope="module")
async def boss(as_staff):
    return await as_staff("supervisor")


@pytest.fixture(scope="module")
async def auditor(as_staff):
    return await as_staff("auditor")


@pytest.fixture(scope="module")
async def march(hall):
    """Six answered and rated, one of them partly solved, one open; the clock stands in April."""
    before = hall.clock.now
    for solved in ("solved",) * 5 + ("partly",):
        resident = await hall.as_resident()
        request = await hall.replied(resident, location=point_in(GRID))
        await hall.act(resident, request, "rate", contacted=True, solved=solved, satisfaction=4)
    await hall.submit(location=point_in(GRID))
    hall.clock.set("2026-04-02T09:00:00")
    yield
    hall.clock.now = before


@pytest.fixture(autouse=True)
async def _none_is_left_open(hall):
    yield
    async with hall.db.transaction() as session:
        await session.execute(
            text("DELETE FROM statistics_exports WHERE state IN ('queued', 'running')")
        )


async def asked(caller, form="json", **more):
    body = {"format": form, "measures": MEASURES, "group_by": ["unit"], **MARCH, **more}
    answer = await caller.post(EXPORTS, body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def seen(caller, export):
    answer = await caller.get(f"{EXPORTS}/{export['id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def made(hall, caller, form="json", **more):
    export = await asked(caller, form, **more)
    await hall.work("run_exports")
    export = await seen(caller, export)
    assert export["state"] == "done", export
    return export


async def fetched(hall, export):
    return await hall.client.get(export["download_path"])


async def document(hall, caller, **more):
    export = await made(hall, caller, **more)
    return export, json.loads((await fetched(hall, export)).content)


# --- what is in it -------------------------------------------------------------------------------


async def test_whoever_filters_the_detail_counts_the_figures_again(march, hall, boss):
    export, told = await document(hall, boss)
    figures = {row["measure"]: row for row in told["summary"] if row["unit_code"] is None}
    for measure in MEASURES:
        column = Counter(row[f"in_{measure}"] for row in told["detail"])
        numerator = column["分子"] + 0.5 * column["分子（部分解决）"]
        den = column["分子"] + column["分子（部分解决）"] + column["仅分母"]
        assert (figures[measure]["num"], figures[measure]["den"]) == (numerator, den), measure
        assert figures[measure]["excluded"] == column["不计入"], measure
    assert figures["solved"]["num"] == 5.5
    assert told["about"]["digest"] == export["digest"]
    assert export["rows_done"] == export["rows_total"] == len(told["detail"]) == 14
    assert export["progress"] == 1


async def test_one_basis_tells_each_request_once(march, hall, boss):
    _, told = await document(hall, boss, basis="submitted")
    numbers = [row["number"] for row in told["detail"]]
    assert len(numbers) == len(set(numbers)) == 7


async def test_the_detail_names_nobody_and_who_sees_figures_only_sees_no_place(
    march, hall, boss, auditor
):
    for caller, places in ((boss, False), (auditor, True)):
        _, told = await document(hall, caller)
        members = set(told["detail"][0])
        assert not members & {"title", "text", "contact", "resident_id", "address", "location"}
        assert (told["detail"][0]["grid_code"] is None) == places


async def test_the_workbook_has_its_sheets_filters_formats_and_the_hash_in_its_footers(
    march, hall, boss, auditor
):
    form = {"title": "三月", **MARCH}
    snapshots = "/api/v1/statistics/snapshots"
    preview = (await auditor.get(f"{snapshots}/preview", params=MARCH)).json()
    answer = await auditor.post(snapshots, {**form, "hash": preview["hash"]})
    assert answer.status_code == 201, answer.text
    export = await made(hall, boss, "xlsx")
    answer = await fetched(hall, export)
    assert sha256(answer.content).hexdigest() == export["sha256"]
    assert len(answer.content) == export["size_bytes"]
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert book.sheetnames == ["汇总", "排名", "明细", "口径", "变更"]
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert export["digest"] in sheet.oddFooter.left.text
        assert sheet["A1"].font.b
    rows = {row[2].value: row for row in book["汇总"].iter_rows(min_row=2) if not row[0].value}
    value = rows["satisfied"][8]
    assert (value.value, value.number_format) == (1, "0.00%")
    detail = book["明细"]
    header = [cell.value for cell in detail[1]]
    number, at = (detail.cell(2, header.index(it) + 1) for it in ("诉求编号", "提交时间"))
    assert (number.data_type, at.is_date) == ("s", True)
    assert at.value.replace(tzinfo=CHINA).hour == 9
    assert book["变更"]["C2"].value == preview["hash"]


async def test_a_csv_is_one_table_that_office_programs_read_right(march, hall, boss):
    answer = await fetched(hall, await made(hall, boss, "csv"))
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 14
    assert all(row["诉求编号"].startswith("'2026") for row in rows)  # digits: kept as a text
    assert all(len(row["网格代码"]) >= 16 for row in rows)
    answer = await fetched(hall, await made(hall, boss, "csv", sheet="summary"))
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["指标代码"] for row in rows} == set(MEASURES)


# --- how it is made ------------------------------------------------------------------------------


async def test_a_killed_attempt_is_taken_over_when_its_lease_is_over(march, hall, boss, clock):
    export = await asked(boss)
    lost = await exporting.claim(hall.db, now=clock.now)
    assert str(lost["id"]) == export["id"]
    await hall.work("run_exports")
    assert (await seen(boss, export))["state"] == "running"
    clock.forward(seconds=91)
    await hall.work("run_exports")
    assert (await seen(boss, export))["state"] == "done"
    assert not await exporting.progress(hall.db, lost, done=1, total=1, now=clock.now)


async def test_what_fails_again_and_again_is_given_up(march, hall, boss, clock):
    export = await asked(boss)
    for _ in range(exporting.MOST_ATTEMPTS):
        assert await exporting.claim(hall.db, now=clock.now)
        clock.forward(seconds=91)
    await hall.work("run_exports")
    export = await seen(boss, export)
    assert (export["state"], export["error_code"]) == ("failed", "export_failed")
    assert export["error_text"]


@pytest.mark.parametrize(
    "finer",
    [
        {"group_by": ["grid", "category"]},
        {"basis": "replied"},
        {"from": "2026-03-02T09:00:00+08:00"},
        {"measures": ["composite"], "basis": "due"},
    ],
    ids=str,
)
async def test_what_may_not_be_asked_is_refused_when_it_is_asked(march, boss, auditor, finer):
    form = {"format": "json", "measures": MEASURES, **MARCH, **finer}
    before = (await auditor.get(EXPORTS)).json()
    answer = await auditor.post(EXPORTS, form)
    assert (answer.status_code, answer.json()["code"]) == (422, "statistics_too_fine")
    assert (await auditor.get(EXPORTS)).json() == before
    assert (await boss.post(EXPORTS, form)).status_code == 201


async def test_one_is_made_by_one_of_many(march, hall, boss):
    await asked(boss)
    claims = await asyncio.gather(*(exporting.claim(hall.db, now=hall.clock.now) for _ in range(5)))
    assert len([it for it in claims if it is not None]) == 1


async def test_a_cancelled_export_stops_and_leaves_nothing(march, hall, boss, clock):
    waiting, running = await asked(boss), await asked(boss)
    answer = await boss.post(f"{EXPORTS}/{waiting['id']}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    claimed = await exporting.claim(hall.db, now=clock.now)
    assert str(claimed["id"]) == running["id"]
    answer = await boss.post(f"{EXPORTS}/{running['id']}/cancel")
    assert answer.json()["state"] == "cancelled"
    assert not await exporting.progress(hall.db, claimed, done=1, total=2, now=clock.now)
    answer = await boss.post(f"{EXPORTS}/{running['id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "export_ended")


async def test_nobody_has_many_under_way(march, hall, boss):
    for _ in range(3):
        await asked(boss)
    answer = await boss.post(EXPORTS, {"format": "csv", "measures": ["received"], **MARCH})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_exports")


# --- fetching ------------------------------------------------------------------------------------


async def test_a_link_is_for_one_export_and_some_minutes_and_each_fetch_is_told(
    march, hall, boss, clock, db
):
    export, other = await made(hall, boss), await made(hall, boss, "csv")
    answer = await fetched(hall, export)
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    stolen = export["download_path"].replace(export["id"], other["id"])
    later = export["download_path"].replace("until=1", "until=2")
    for path in (stolen, later):
        answer = await hall.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "export_not_found")
    clock.forward(minutes=11)
    answer = await fetched(hall, export)
    assert (answer.status_code, answer.json()["code"]) == (410, "export_gone")
    assert (await fetched(hall, await seen(boss, export))).status_code == 200
    async with db.transaction() as session:
        rows = await session.execute(
            text("SELECT action, actor_id FROM audit_entries WHERE chain = :id ORDER BY seq"),
            {"id": UUID(export["id"])},
        )
        told = list(rows)
    actions = [action for action, _ in told]
    assert actions == ["ask_export", "finish_export", "download_export", "download_export"]
    assert {actor for action, actor in told if action == "download_export"} == {boss.id}


async def test_a_file_is_deleted_when_its_time_is_over(march, hall, boss, clock):
    export = await made(hall, boss)
    folder = export_job.folder_of(hall.app.state.settings)
    assert (folder / f"{export['id']}.1.json").is_file()
    (folder / f"{export['id'][:-4]}0000.1.part").write_bytes(b"left")
    clock.forward(hours=23)
    await hall.work("purge_exports")
    assert [path.suffix for path in folder.iterdir() if path.suffix == ".part"] == []
    assert (folder / f"{export['id']}.1.json").is_file()
    clock.forward(hours=2)
    await hall.work("purge_exports")
    assert list(folder.iterdir()) == []
    export = await seen(boss, export)
    assert (export["state"], export["download_path"]) == ("expired", None)


async def test_an_export_is_its_askers_alone(march, hall, boss, auditor):
    export = await made(hall, boss)
    answer = await auditor.get(f"{EXPORTS}/{export['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "export_not_found")
    assert (await auditor.post(f"{EXPORTS}/{export['id']}/cancel")).status_code == 404
    listed = (await auditor.get(EXPORTS)).json()["items"]
    assert export["id"] not in {it["id"] for it in listed}
    listed = (await boss.get(EXPORTS, params={"limit": 2})).json()
    assert listed["items"][0]["id"] == export["id"]
    assert listed["items"][0]["download_path"] is None
    more = await boss.get(EXPORTS, params={"limit": 2, "cursor": listed["next_cursor"]})
    assert more.json()["items"]


def test_the_job_is_woken(hall):
    names = [name for name, _, _ in wiring.jobs(hall.app.state.settings)]
    assert {"run_exports", "purge_exports"} <= set(names)


def test_a_clock_goes_on_from_where_it_was_set(hall):
    show = export_job.clock_from(hall.clock.now)
    assert timedelta(0) <= show() - hall.clock.now < timedelta(seconds=5)
