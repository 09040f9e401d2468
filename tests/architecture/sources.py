"""The house's own source, read as text and as syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
_NOT_OURS = frozenset(
    {".git", ".venv", "__pycache__", "data", "out", ".mypy_cache", ".ruff_cache", ".hypothesis"}
)


@dataclass(frozen=True)
class Source:
    """A Python file. ``place`` is its path below the checkout, with slashes."""

    place: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


@cache
def app_sources() -> tuple[Source, ...]:
    """Every module of the application."""
    return tuple(
        Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
        for file in sorted(APP.rglob("*.py"))
    )


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of the modules that are imported, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@cache
def repository_files() -> tuple[Path, ...]:
    """What is, or would be, committed; in an unpacked archive everything that is not generated."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        files = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        files = [
            file
            for file in ROOT.rglob("*")
            if not _NOT_OURS.intersection(file.relative_to(ROOT).parts)
        ]
    return tuple(sorted(file for file in files if file.is_file()))
