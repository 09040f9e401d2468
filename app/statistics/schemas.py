"""What crosses the wire about figures."""

from enum import StrEnum

from app.web.wire import Instant, WireOut


class GroupBy(StrEnum):
    NONE = "none"
    UNIT = "unit"
    TOWN = "town"
    COMMUNITY = "community"
    GRID = "grid"
    CATEGORY = "category"
    MONTH = "month"


class FigureOut(WireOut):
    num: int
    den: int
    value: float | None


class FiguresOut(WireOut):
    received: FigureOut
    closed: FigureOut
    rated: FigureOut
    satisfied: FigureOut
    contact_on_time: FigureOut
    reply_on_time: FigureOut


class GroupOut(FiguresOut):
    key: str | None
    name: str


class DefinitionOut(WireOut):
    code: str
    name: str
    numerator: str
    denominator: str


class SatisfactionOut(WireOut):
    definition_version: str
    submitted_from: Instant
    submitted_to: Instant
    group_by: GroupBy
    total: FiguresOut
    groups: list[GroupOut]


class DefinitionsOut(WireOut):
    definition_version: str
    items: list[DefinitionOut]
