"""The real grid-governance records: taken as history, learned from, judged beside the look-up."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.intelligence import history_file, service
from app.intelligence.history_file import LAYOUTS, Reading
from tests.architecture.sources import ROOT
from tests.city import NOW

RECORDS = ROOT.parent / "shared" / "data" / "requests" / "pingshan_requests.csv.gz"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not RECORDS.exists(), reason=f"{RECORDS} is not there"),
]


def run(*arguments):
    done = CliRunner().invoke(cli, [str(word) for word in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("parts")
    train, test = folder / "train.csv", folder / "test.csv"
    run("routing", "split", RECORDS, "--train", train, "--test", test)
    return train, test


def test_the_fixed_split_is_always_the_same(parts, tmp_path):
    again = tmp_path / "train.csv", tmp_path / "test.csv"
    run("routing", "split", RECORDS, "--train", again[0], "--test", again[1])
    assert [it.read_bytes() for it in again] == [it.read_bytes() for it in parts]


@pytest.mark.slow
def test_what_is_learned_beats_the_plain_look_up_in_the_same_run(parts):
    train, test = parts
    figures = json.loads(run("routing", "evaluate", "--train", train, "--test", test))
    learned = figures["learned"]
    assert (figures["train_cases"], figures["test_cases"]) == (5_592, 1_331)
    assert learned["top1"] >= 0.70  # 0.704 was reached
    assert learned["top3"] >= 0.865  # 0.868
    assert learned["top1"] >= figures["look_up"]["top1"] + 0.05
    assert learned["top1"] >= figures["look_up_by_name"]["top1"] + 0.12
    assert learned["coverage"] == 1


async def test_the_records_are_taken_as_history_once(hall):
    layout = LAYOUTS["pingshan"]
    counts = []
    for _ in range(2):
        reading = Reading()
        async with hall.db.transaction() as session:
            cases = history_file.read(RECORDS, layout, reading)
            counts.append(await service.import_cases(session, cases, origin="pingshan", now=NOW))
        assert (reading.rows, len(reading.left_out)) == (6_940, 17)
    assert counts == [(6_923, 6_923), (6_923, 0)]
