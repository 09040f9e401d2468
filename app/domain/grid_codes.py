"""The levels of the tree of places and how their codes are built.

A code is 370281 (county) + 3 digits town + 3 community + 3 grid = 15, + 2 micro-grid = 17, so that
every code begins with its parent's and the tree can have no cycle. A part is never all zeros:
that stands for "the whole above" in the statistical codes.
Source: GB/T 2260, GB/T 10114 and the 15 characters of a management grid's code (CJ/T 349).
"""

from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise


class GridLevel(StrEnum):
    TOWN = "town"
    COMMUNITY = "community"
    GRID = "grid"
    MICRO = "micro"


# What the levels are called where a city has not named them itself.
LEVEL_TEXT: dict[GridLevel, str] = {
    GridLevel.TOWN: "镇街",
    GridLevel.COMMUNITY: "村社区",
    GridLevel.GRID: "网格",
    GridLevel.MICRO: "微网格",
}

COUNTY_DIGITS = 6
CODE_DIGITS: dict[GridLevel, int] = {
    GridLevel.TOWN: 9,
    GridLevel.COMMUNITY: 12,
    GridLevel.GRID: 15,
    GridLevel.MICRO: 17,
}
LEVEL_OF_DIGITS: dict[int, GridLevel] = {digits: level for level, digits in CODE_DIGITS.items()}
PARENT_LEVEL: dict[GridLevel, GridLevel | None] = {
    GridLevel.TOWN: None,
    GridLevel.COMMUNITY: GridLevel.TOWN,
    GridLevel.GRID: GridLevel.COMMUNITY,
    GridLevel.MICRO: GridLevel.GRID,
}


def code_at(code: str | None, level: GridLevel) -> str | None:
    """The code of ``code``'s ancestor (or itself) at ``level``; None if it lies above it."""
    digits = CODE_DIGITS[level]
    return code[:digits] if code is not None and len(code) >= digits else None


def is_code(text: str) -> bool:
    """Whether this is the code of a county or of a place of some level, by its form."""
    return fault_of(text) is None


def fault_of(code: str, level: GridLevel | None = None) -> str | None:
    """What is wrong with a code, as a Chinese sentence; None if nothing is.

    Args:
        level: the level it must have; without one any level, and a county, will do.
    """
    if not (code.isascii() and code.isdigit()):
        return "编码应为数字组成的文字"
    if level is not None and len(code) != CODE_DIGITS[level]:
        return f"{LEVEL_TEXT[level]}的编码应为{CODE_DIGITS[level]}位，实为{len(code)}位"
    if len(code) not in LEVEL_OF_DIGITS and len(code) != COUNTY_DIGITS:
        return f"编码应为6、9、12、15或17位，实为{len(code)}位"
    for part in _parts(code):
        if not part.strip("0"):
            return f"编码中的“{part}”一段不能全为0"
    return None


def parent_of(code: str) -> str | None:
    """The code above: a town's is its county's; a county has none."""
    level = LEVEL_OF_DIGITS.get(len(code))
    if level is None:
        return None
    above = PARENT_LEVEL[level]
    return code[: COUNTY_DIGITS if above is None else CODE_DIGITS[above]]


def cycle_in(parents: Mapping[str, str]) -> tuple[str, ...]:
    """The first cycle among ``parents`` (code → code above), from its lowest code; empty if none.

    Codes that extend their parents cannot make one, but a file may say what it likes.
    """
    done: set[str] = set()
    for start in sorted(parents):
        way: dict[str, int] = {}
        code = start
        while code in parents and code not in done and code not in way:
            way[code] = len(way)
            code = parents[code]
        if code in way:
            loop = list(way)[way[code] :]
            first = loop.index(min(loop))
            return (*loop[first:], *loop[:first])
        done.update(way)
    return ()


def _parts(code: str) -> list[str]:
    cuts = (0, COUNTY_DIGITS, *CODE_DIGITS.values())
    return [code[begin:end] for begin, end in pairwise(cuts) if begin < len(code)]
