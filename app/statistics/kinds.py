"""Words about exports that models, wire and writers all need."""

from enum import StrEnum


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # was done; its file is deleted


EXPORT_STATE_TEXT: dict[ExportState, str] = {
    ExportState.QUEUED: "排队中",
    ExportState.RUNNING: "生成中",
    ExportState.DONE: "已完成",
    ExportState.FAILED: "未能生成",
    ExportState.CANCELLED: "已取消",
    ExportState.EXPIRED: "已过期",
}


class ExportFormat(StrEnum):
    XLSX = "xlsx"
    CSV = "csv"
    JSON = "json"


class SheetName(StrEnum):
    """A sheet of the workbook, a member of the JSON, the one table of a CSV."""

    SUMMARY = "summary"
    RANKING = "ranking"
    DETAIL = "detail"
    DEFINITIONS = "definitions"
    CHANGES = "changes"


SHEET_TEXT: dict[SheetName, str] = {
    SheetName.SUMMARY: "汇总",
    SheetName.RANKING: "排名",
    SheetName.DETAIL: "明细",
    SheetName.DEFINITIONS: "口径",
    SheetName.CHANGES: "变更",
}
