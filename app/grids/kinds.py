"""The words of the tree of places, as the rest of the house knows them: see ``domain.grid_codes``,
and the small kinds of this room that models and schemas both need."""

from enum import StrEnum

from app.domain.grid_codes import (
    CODE_DIGITS,
    COUNTY_DIGITS,
    LEVEL_OF_DIGITS,
    LEVEL_TEXT,
    PARENT_LEVEL,
    GridLevel,
    code_at,
)

__all__ = [
    "CODE_DIGITS",
    "COUNTY_DIGITS",
    "IMPORT_STATE_TEXT",
    "LEGACY_KIND_TEXT",
    "LEVEL_OF_DIGITS",
    "LEVEL_TEXT",
    "PARENT_LEVEL",
    "PLACE_CHANGE_TEXT",
    "GridLevel",
    "ImportState",
    "LegacyKind",
    "PlaceChange",
    "code_at",
]


class ImportState(StrEnum):
    PREPARED = "prepared"
    APPLIED = "applied"
    ROLLED_BACK = "rolled_back"


IMPORT_STATE_TEXT: dict[ImportState, str] = {
    ImportState.PREPARED: "已预览",
    ImportState.APPLIED: "已生效",
    ImportState.ROLLED_BACK: "已撤回",
}


class PlaceChange(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


PLACE_CHANGE_TEXT: dict[PlaceChange, str] = {
    PlaceChange.ADDED: "新增",
    PlaceChange.CHANGED: "变更",
    PlaceChange.REMOVED: "关闭",
}


class LegacyKind(StrEnum):
    """Nets that were there before the one net, and the statistics office's villages."""

    PARTY = "party"
    JUSTICE = "justice"
    SAFETY = "safety"
    HABITAT = "habitat"
    VILLAGE = "village"


LEGACY_KIND_TEXT: dict[LegacyKind, str] = {
    LegacyKind.PARTY: "党建网格",
    LegacyKind.JUSTICE: "政法网格",
    LegacyKind.SAFETY: "综治网格",
    LegacyKind.HABITAT: "人居环境网格",
    LegacyKind.VILLAGE: "统计用村级区划",
}
