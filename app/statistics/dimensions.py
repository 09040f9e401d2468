"""By what figures are grouped and narrowed: hierarchies, their levels, and the SQL of each.

A request is counted where it is now: its present unit, grid and category. Every level of a
hierarchy lies within the one before it, which is what the rule for small cells builds on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.domain.grid_codes import CODE_DIGITS
from app.grids.kinds import GridLevel


class Dimension(StrEnum):
    UNIT_KIND = "unit_kind"
    UNIT = "unit"
    TOWN = "town"
    COMMUNITY = "community"
    GRID = "grid"
    CATEGORY = "category"  # the top of the tree
    CATEGORY_LEAF = "category_leaf"
    CHANNEL = "channel"
    KIND = "kind"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Hierarchy(StrEnum):
    UNITS = "units"
    PLACES = "places"
    CATEGORIES = "categories"
    CHANNELS = "channels"
    KINDS = "kinds"
    TIME = "time"


LEVELS: dict[Hierarchy, tuple[Dimension, ...]] = {
    Hierarchy.UNITS: (Dimension.UNIT_KIND, Dimension.UNIT),
    Hierarchy.PLACES: (Dimension.TOWN, Dimension.COMMUNITY, Dimension.GRID),
    Hierarchy.CATEGORIES: (Dimension.CATEGORY, Dimension.CATEGORY_LEAF),
    Hierarchy.CHANNELS: (Dimension.CHANNEL,),
    Hierarchy.KINDS: (Dimension.KIND,),
}
_TIME = (Dimension.DAY, Dimension.WEEK, Dimension.MONTH, Dimension.QUARTER, Dimension.YEAR)
HIERARCHY: dict[Dimension, Hierarchy] = {
    **{dimension: hierarchy for hierarchy, levels in LEVELS.items() for dimension in levels},
    **dict.fromkeys(_TIME, Hierarchy.TIME),
}
FINER_THAN_A_MONTH = frozenset({Dimension.DAY, Dimension.WEEK})

JOIN_UNITS = "LEFT JOIN units AS unit ON unit.code = requests.unit_code"
_TOWN, _COMMUNITY, _GRID = (
    CODE_DIGITS[level] for level in (GridLevel.TOWN, GridLevel.COMMUNITY, GridLevel.GRID)
)
PLACE_DIGITS = {
    Dimension.TOWN: _TOWN,
    Dimension.COMMUNITY: _COMMUNITY,
    Dimension.GRID: _GRID,
}
_SQL: dict[Dimension, str] = {
    Dimension.UNIT_KIND: "unit.kind",
    Dimension.UNIT: "requests.unit_code",
    **{
        level: f"CASE WHEN length(requests.grid_code) >= {digits}"
        f" THEN left(requests.grid_code, {digits}) END"
        for level, digits in PLACE_DIGITS.items()
    },
    Dimension.CATEGORY: "split_part(requests.category_code, '.', 1)",
    Dimension.CATEGORY_LEAF: "requests.category_code",
    Dimension.CHANNEL: "requests.channel",
    Dimension.KIND: "requests.kind",
}
_FORMAT: dict[Dimension, str] = {
    Dimension.DAY: "YYYY-MM-DD",
    Dimension.WEEK: 'IYYY-"W"IW',
    Dimension.MONTH: "YYYY-MM",
    Dimension.QUARTER: 'YYYY-"Q"Q',
    Dimension.YEAR: "YYYY",
}


def key_sql(dimension: Dimension, instant: str) -> str:
    """The key of a row; ``instant``: the column that puts it into a period."""
    if dimension in _FORMAT:
        local = f"{instant} AT TIME ZONE 'Asia/Shanghai'"
        return f"to_char({local}, '{_FORMAT[dimension]}')"
    return _SQL[dimension]


def time_key(dimension: Dimension, day: date) -> str:
    """As ``key_sql`` says, of a local day."""
    match dimension:
        case Dimension.DAY:
            return day.isoformat()
        case Dimension.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        case Dimension.MONTH:
            return f"{day.year:04}-{day.month:02}"
        case Dimension.QUARTER:
            return f"{day.year:04}-Q{(day.month + 2) // 3}"
        case _:
            return f"{day.year:04}"


def level_key(dimension: Dimension, code: str | None, kinds: Mapping[str, str]) -> str | None:
    """As ``key_sql`` says, of the finest code of its hierarchy.

    Args:
        kinds: of the units, by code.
    """
    if code is None:
        return None
    if dimension in PLACE_DIGITS:
        digits = PLACE_DIGITS[dimension]
        return code[:digits] if len(code) >= digits else None
    match dimension:
        case Dimension.UNIT_KIND:
            return kinds.get(code)
        case Dimension.CATEGORY:
            return code.split(".")[0]
        case _:
            return code


@dataclass(frozen=True, slots=True)
class Filters:
    """What the figures are narrowed to: each a code, its subtree included.

    ``category``: a top category or a leaf. ``grid``: a place of any level.
    """

    unit_kind: str | None = None
    unit: str | None = None
    grid: str | None = None
    category: str | None = None
    channel: str | None = None
    kind: str | None = None

    def given(self) -> dict[str, str]:
        named = ("unit_kind", "unit", "grid", "category", "channel", "kind")
        return {name: value for name in named if (value := getattr(self, name)) is not None}

    def narrowed(self) -> dict[Dimension, str]:
        """The level at which each filter cuts, and its key there."""
        cuts: dict[Dimension, str] = {}
        for name, value in self.given().items():
            match name:
                case "grid":
                    cuts[_place_level(value)] = value
                case "category":
                    leaf = "." in value
                    cuts[Dimension.CATEGORY_LEAF if leaf else Dimension.CATEGORY] = value
                case _:
                    cuts[Dimension(name)] = value
        return cuts


def _place_level(code: str) -> Dimension:
    """The coarsest level that is at least as fine as the code: a micro-grid's is finer than any."""
    fitting = (level for level, digits in PLACE_DIGITS.items() if len(code) <= digits)
    return next(fitting, Dimension.GRID)


# ":" is the byte after "9"; the column collates as bytes.
_WHERE: dict[str, str] = {
    "unit_kind": "unit.kind = :unit_kind",
    "unit": "requests.unit_code = :unit",
    "grid": "requests.grid_code >= :grid AND requests.grid_code < :grid_end",
    "category": "(requests.category_code = :category"
    " OR starts_with(requests.category_code, :category_below))",
    "channel": "requests.channel = :channel",
    "kind": "requests.kind = :kind",
}


def where_sql(name: str) -> str:
    return _WHERE[name]


def fits(name: str, value: str, code: str | None, kinds: Mapping[str, str]) -> bool:
    """As ``where_sql`` says, of the finest code of its hierarchy."""
    if code is None:
        return False
    match name:
        case "unit_kind":
            return kinds.get(code) == value
        case "grid":
            return code.startswith(value)
        case "category":
            return code == value or code.startswith(value + ".")
        case _:
            return code == value


def values_of(filters: Filters) -> dict[str, str]:
    values = filters.given()
    if filters.grid is not None:
        values["grid_end"] = filters.grid + ":"
    if filters.category is not None:
        values["category_below"] = filters.category + "."
    return values
