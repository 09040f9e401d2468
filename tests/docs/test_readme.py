"""The walk through the main job in the README, done as a reader would: pasted into a bash."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import ENGLISH, READMES, Block, blocks, walk
from tests.platform.serving import ROOT, Service, served

_MARK = "=-=-=-= next block =-=-=-="
_ANYTHING = "…"


def steps(text: str) -> list[tuple[str, str]]:
    """Each bash block of the walk with what the text block after it says it prints."""
    found: list[tuple[str, str]] = []
    for block in blocks(walk(text)):
        if block.language == "bash":
            found.append((block.text, ""))
        else:
            assert block.language == "text"
            found[-1] = (found[-1][0], block.text)
    return found


def prints(expected: str, printed: str) -> bool:
    """Whether ``printed`` is what was told; ``…`` stands for anything within a line."""
    pattern = ".+".join(re.escape(part) for part in expected.split(_ANYTHING))
    return re.fullmatch(pattern, printed) is not None


def test_both_languages_show_the_same_commands() -> None:
    english, chinese = (blocks(readme.read_text("utf-8")) for readme in READMES)
    runs = ("bash", "sh")
    assert [block for block in english if block.language in runs]
    assert [b for b in english if b.language in runs] == [b for b in chinese if b.language in runs]
    assert steps(ENGLISH.read_text("utf-8")) == steps(READMES[1].read_text("utf-8"))


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("20…\nclosed\n", "20261122\nclosed\n", True),
        ("20…\nclosed\n", "20261122\nopen\n", False),
        ("20…\nclosed\n", "20261122\nx\nclosed\n", False),
        ("", "surprise\n", False),
    ],
)
def test_what_a_block_prints_is_compared_line_by_line(
    expected: str, printed: str, same: bool
) -> None:
    assert prints(expected, printed) is same


def test_blocks_are_found_with_their_language() -> None:
    assert blocks("a\n```bash\necho 1\n```\nb\n```text\n1\n```\n") == [
        Block("bash", "echo 1\n"),
        Block("text", "1\n"),
    ]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("readme") / "data") as service:
        yield service


def run_in_bash(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As in a terminal that knows of no proxy: only what the README itself names is set."""
    bare = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder)}
    return subprocess.run(
        ["bash", "-s"],
        input=script,
        text=True,
        encoding="utf-8",
        capture_output=True,
        cwd=folder,
        env=bare | environment,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands need curl")
def test_the_walk_prints_what_the_readme_says(city: Service, tmp_path: Path) -> None:
    told = steps(ENGLISH.read_text("utf-8"))
    assert len(told) >= 7
    script = f"\necho '{_MARK}'\n".join(commands for commands, _ in told)
    done = run_in_bash(script, tmp_path, BASE=city.base_url, DATA=str(city.data))
    printed = [part.removeprefix("\n") for part in done.stdout.split(_MARK)]
    assert done.stderr == ""
    assert done.returncode == 0
    assert len(printed) == len(told)
    wrong = [
        (commands, expected, got)
        for (commands, expected), got in zip(told, printed, strict=True)
        if not prints(expected, got)
    ]
    assert not wrong


def test_the_readme_names_the_places_that_the_service_uses_by_itself() -> None:
    first, _ = steps(ENGLISH.read_text("utf-8"))[0]
    assert "BASE=${BASE:-http://127.0.0.1:8000}" in first
    assert "DATA=${DATA:-data}" in first
    assert "LIANXIN_DATA:-$ROOT/data" in (ROOT / "scripts" / "run").read_text("utf-8")
