"""The documents, read as text, tables and code blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
READMES = (ENGLISH, CHINESE)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WALK = re.compile(r"<!-- walk: begin -->\n(.*?)<!-- walk: end -->", re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced code block."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(*match.groups()) for match in _FENCE.finditer(text)]


def walk(text: str) -> str:
    """The part of a README that is run."""
    [found] = _WALK.findall(text)
    return str(found)


def rows(text: str) -> list[tuple[str, ...]]:
    """Every row of every table, its cells stripped; heads among them, rulers not."""
    lines = (line.strip() for line in _FENCE.sub("", text).splitlines())
    found = (
        tuple(cell.strip() for cell in _CELL.split(line[1:-1]))
        for line in lines
        if line.startswith("|") and line.endswith("|")
    )
    return [cells for cells in found if not all(re.fullmatch(r":?-+:?", cell) for cell in cells)]
