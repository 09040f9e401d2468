"""What kinds of unit there are, and what becomes of a set of routing rules."""

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


class RuleSetState(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"  # was active once, another one is now
    DISCARDED = "discarded"  # never was


RULE_SET_STATE_TEXT: dict[RuleSetState, str] = {
    RuleSetState.DRAFT: "草稿",
    RuleSetState.ACTIVE: "生效中",
    RuleSetState.RETIRED: "已停用",
    RuleSetState.DISCARDED: "已作废",
}
