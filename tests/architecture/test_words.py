"""The repository speaks of the product only, and leaves nothing for later in a comment."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, repository_files

_LOCK = "uv.lock"  # a lock file must say where each package comes from
_TEXT_LIMIT = 4_000_000

# Put together, so that this file does not hold what it looks for.
_UNFINISHED = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X"))
_HOSTS = "|".join(
    re.escape(f"{name}.{end}")
    for name, end in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb.debian", "org"),
        ("crates", "io"),
    )
)
FORBIDDEN = {
    "unfinished work": re.compile(rf"\b(?:{_UNFINISHED})\b"),
    "a path of one machine": re.compile(
        "|".join((r"(?<![\w.])/wo" + "rk/", "/tm" + "p/plan/", r"\.libr" + "ary/"))
    ),
    "a package host": re.compile(_HOSTS),
    "a key": re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY-----"),
}


def findings(name: str, text: str) -> list[str]:
    """What a file of this name must not say, each with its line."""
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {kind}"
        for kind, pattern in FORBIDDEN.items()
        if not (kind == "a package host" and name == _LOCK)
        for match in pattern.finditer(text)
    ]


def _text(file: Path) -> str:
    try:
        return file.read_bytes()[:_TEXT_LIMIT].decode("utf-8")
    except UnicodeDecodeError:
        return ""  # a picture, an archive


def test_no_file_says_what_it_must_not() -> None:
    files = repository_files()
    assert len(files) > 150
    found = [
        finding
        for file in files
        for finding in findings(file.relative_to(ROOT).as_posix(), _text(file))
    ]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "x = 1  # TO" + "DO: later",
        "FIX" + "ME",
        "see /wo" + "rk/main",
        "index = 'https://py" + "pi.org/simple'",
        "sh /tmp/pl" + "an/try.sh",
    ],
)
def test_a_forbidden_word_is_seen(text: str) -> None:
    assert findings("docs/x.md", text)


def test_the_lock_file_may_name_package_hosts() -> None:
    assert not findings(_LOCK, "https://py" + "pi.org/simple")


def test_every_python_file_of_the_application_says_what_it_is_for() -> None:
    silent = [
        file.relative_to(ROOT).as_posix()
        for file in repository_files()
        if file.suffix == ".py"
        and file.relative_to(ROOT).parts[0] == "app"
        and _text(file).strip()
        and not _text(file).lstrip().startswith('"""')
    ]
    assert not silent
