"""The levels of the tree of places and how long their codes are.

A code is 370281 (county) + 3 digits town + 3 community + 3 grid + 2 micro-grid.
Source: GB/T 2260, GB/T 10114 and the 15 characters of a management grid's code.
"""

from enum import StrEnum


class GridLevel(StrEnum):
    TOWN = "town"
    COMMUNITY = "community"
    GRID = "grid"
    MICRO = "micro"


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
