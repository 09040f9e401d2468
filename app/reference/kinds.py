"""What kinds of unit there are."""

from enum import StrEnum


class UnitKind(StrEnum):
    CITY_DEPARTMENT = "city_department"
    TOWN = "town"
    UTILITY = "utility"


UNIT_KIND_TEXT: dict[UnitKind, str] = {
    UnitKind.CITY_DEPARTMENT: "市直部门",
    UnitKind.TOWN: "镇街",
    UnitKind.UTILITY: "公用企业",
}
