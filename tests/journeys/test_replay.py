"""``lianxin replay`` against a real served process, as an operator runs it."""

import asyncio
import contextlib
import csv
import gzip
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.domain.lifecycle import Action
from app.store import leftovers
from tests.journeys.rough_road import rough_road_to
from tests.platform.serving import ROOT, Service, served

pytestmark = pytest.mark.slow

REAL = ROOT.parent / "shared" / "data" / "messages" / "labelled_messages.csv.gz"
SECRET_PLACE = "幸福里十八号院"
LABELS = ("城乡建设", "环境保护", "交通运输", "卫生计生", "")
# What the replay's people do: the main job.
STEPS = {
    action.value
    for action in (
        Action.SUBMIT, Action.ASSIGN, Action.ASK_INFO, Action.SUPPLY, Action.SIGN, Action.RETURN,
        Action.DECIDE_RETURN, Action.CONTACT, Action.REPLY, Action.RATE, Action.REJECT,
        Action.WITHDRAW,
    )
}  # fmt: skip

Line = Sequence[str]
HEADING = ("编号", "标题", "内容", "类别")
COLUMNS = (
    *("--id-column", "编号", "--title-column", "标题"),
    *("--text-column", "内容", "--label-column", "类别"),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("replay") / "data"
    with served(data) as running:
        yield running
        assert '"event":"crash"' not in running.said()
        assert '"status":500' not in running.said()
    leftovers.clear(data / "postgres")


def ordinary(count: int) -> list[Line]:
    """Rows whose ids, together, go through every outcome and every step from 40 on."""
    return [
        (f"u-{n}", "" if n % 3 else "垃圾清运", f"{SECRET_PLACE}第{n}次反映", LABELS[n % 5])
        for n in range(count)
    ]


def written(file: Path, lines: Sequence[Line], heading: Line = HEADING) -> Path:
    with file.open("w", encoding="utf-8-sig", newline="") as text:
        csv.writer(text).writerows([heading, *lines])
    return file


class Ended:
    """A replay that has ended."""

    def __init__(self, code: int, out: str, err: str, report: dict[str, Any]) -> None:
        self.code, self.out, self.err, self.report = code, out, err, report

    @property
    def rows(self) -> dict[str, int]:
        counts: dict[str, int] = self.report["rows"]
        return counts


async def replayed(service: Service, file: Path, *words: str, interrupted: bool = False) -> Ended:
    told = file.with_suffix(".report.json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "replay", str(file), "--json", str(told)),
        *("--demo-json", str(service.data / "demo.json"), *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    if interrupted:
        assert process.stderr
        assert b"rows/s" in await process.stderr.readline()  # on its way
        process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode is not None
    report = json.loads(told.read_text()) if told.exists() else {}
    return Ended(process.returncode, out.decode(), err.decode(), report)


def texts(service: Service) -> set[str]:
    """The newest texts that the city's dispatcher sees."""
    with contextlib.closing(service.log_in("dispatcher")) as http:
        page: dict[str, Any] = http.get("/api/v1/requests", params={"limit": 100}).json()
    return {item["text"] for item in page["items"]}


async def test_every_row_goes_to_its_end_and_the_figures_are_what_was_driven(
    service: Service, tmp_path: Path
) -> None:
    long_title = "很长的标题" * 21
    odd: list[Line] = [
        ("too-long", "", "长" * 4_001, "环境保护"),
        ("as-long-as-can-be", "", "长" * 4_000, "环境保护"),
        ("blank", "只有标题", " \u3000 ", "环境保护"),
        ("two-lines", "", "第一行，带“引号”\n第二行,带逗号", "环境保护"),
        ("long-title", long_title, "正文", "环境保护"),
        ("control", "", "响铃\x07", "环境保护"),
        ("", "", "没有编号的一行", "没见过的类别"),
    ]
    file = written(tmp_path / "small.csv", [*ordinary(40), *odd])
    ended = await replayed(service, file, *COLUMNS)
    assert ended.code == 0, ended.out + ended.err
    assert ended.rows == {
        "read": 47, "accepted": 44, "completed": 44, "refused": 3, "failed": 0
    }  # fmt: skip
    assert ended.report["refused"] == {
        "422 text_too_long /text": 1,
        "422 text_blank /text": 1,
        "422 text_control_char": 1,
    }
    assert set(ended.report["steps"]) >= STEPS
    assert sum(ended.report["outcomes"].values()) == 44
    assert ended.report["figures"]["equal"]
    received = next(
        line for line in ended.report["figures"]["total"] if line["figure"] == "received"
    )
    assert received["difference"] == received["driven"] == 44
    assert "✗" not in ended.out
    assert SECRET_PLACE not in ended.out + ended.err + json.dumps(ended.report, ensure_ascii=False)
    stored = texts(service)
    assert f"{long_title}\n正文" in stored
    assert "第一行，带“引号”\n第二行,带逗号" in stored
    assert "长" * 4_000 in stored


async def test_the_same_file_is_driven_the_same_way_again(service: Service, tmp_path: Path) -> None:
    file = written(tmp_path / "again.csv", ordinary(12))
    first = await replayed(service, file, *COLUMNS)
    second = await replayed(service, file, *COLUMNS, "--concurrency", "3")
    assert first.code == second.code == 0
    assert first.report["outcomes"] == second.report["outcomes"]
    assert {step: told["calls"] for step, told in first.report["steps"].items()} == {
        step: told["calls"] for step, told in second.report["steps"].items()
    }


async def test_on_a_rough_road_nothing_is_lost_and_nothing_is_done_twice(
    service: Service, tmp_path: Path
) -> None:
    file = written(tmp_path / "rough.csv", ordinary(40))
    async with rough_road_to(service.base_url) as (base_url, road):
        ended = await replayed(service, file, *COLUMNS, "--base-url", base_url)
    assert ended.code == 0, ended.out + ended.err
    assert ended.rows["completed"] == ended.rows["read"] == 40
    assert ended.report["figures"]["equal"]
    assert set(road.faults) == {"call lost", "answer lost", "503", "429", "overtaken"}
    retries = ended.report["retries"]
    assert retries["connection"] == road.faults["call lost"] + road.faults["answer lost"]
    assert retries["503"] == road.faults["503"]
    assert retries["429"] == road.faults["429"]
    assert retries["read again"] > 0


async def test_rows_that_nobody_can_work_on_are_listed_and_the_exit_code_says_so(
    service: Service, tmp_path: Path
) -> None:
    logins = [login for login in service.demo["logins"] if login["role"] != "handler"]
    staff = tmp_path / "staff.json"
    staff.write_text(json.dumps(service.demo | {"logins": logins}))
    file = written(tmp_path / "unworked.csv", ordinary(5))
    ended = await replayed(service, file, *COLUMNS, "--demo-json", str(staff))
    assert ended.code == 1
    assert ended.rows["failed"] == len(ended.report["failed"]) > 0
    assert ended.rows["read"] == ended.rows["completed"] + ended.rows["failed"] == 5
    assert "no handler of unit" in ended.out
    assert ended.report["figures"]["equal"]  # what was driven so far is counted rightly


async def test_an_interrupted_replay_ends_what_it_began_and_tells_it(
    service: Service, tmp_path: Path
) -> None:
    file = written(tmp_path / "long.csv", ordinary(3_000))
    ended = await replayed(service, file, *COLUMNS, interrupted=True)
    assert ended.code == 130
    assert 0 < ended.rows["read"] == ended.rows["completed"] < 3_000
    assert ended.report["figures"]["equal"]
    assert "interrupted" in ended.report["notes"]


async def test_a_file_that_breaks_off_is_replayed_as_far_as_it_goes(
    service: Service, tmp_path: Path
) -> None:
    whole = written(tmp_path / "whole.csv", ordinary(30)).read_bytes()
    packed = tmp_path / "broken.csv.gz"
    packed.write_bytes(gzip.compress(whole, 0)[:-300])
    ended = await replayed(service, packed, *COLUMNS)
    assert ended.code == 1
    assert 0 < ended.rows["completed"] == ended.rows["read"] < 30
    assert "the file cannot be read to its end" in ended.out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--text-column", "正文"), "there is no column '正文'; the heading names: 编号, 标题"),
        ((*COLUMNS, "--category", "环境保护=env.nowhere"), "has no category env.nowhere"),
        ((*COLUMNS, "--category", "环境保护"), "is not LABEL=CODE"),
        ((*COLUMNS, "--area", "120,36,119,37"), "is not WEST,SOUTH,EAST,NORTH"),
        ((*COLUMNS, "--base-url", "localhost:80"), "is not an address"),
        ((*COLUMNS, "--base-url", "http://127.0.0.1:9"), "does not answer: ConnectError"),
    ],
)
async def test_what_cannot_start_is_said_in_one_line(
    service: Service, tmp_path: Path, words: Sequence[str], line: str
) -> None:
    file = written(tmp_path / "any.csv", ordinary(1))
    ended = await replayed(service, file, *words)
    assert ended.code == 1
    assert line in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.shared
async def test_the_first_two_hundred_real_messages(service: Service, tmp_path: Path) -> None:
    if not REAL.exists():
        pytest.skip(f"the reference data is not here: {REAL}")
    file = tmp_path / REAL.name
    file.symlink_to(REAL)
    ended = await replayed(service, file, "--limit", "200", "--concurrency", "16")
    assert ended.code == 0, ended.out + ended.err
    assert ended.rows["read"] == ended.rows["completed"] + ended.rows["refused"] == 200
    assert ended.report["figures"]["equal"]
