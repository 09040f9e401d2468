"""What crosses the wire about published figures and exported files."""

from typing import Annotated, Any

from pydantic import Field

from app.domain.measures import Basis, Measure
from app.statistics.dimensions import Dimension
from app.statistics.kinds import ExportFormat, ExportState, SheetName
from app.web.asked import QueryIn
from app.web.period import Moment
from app.web.wire import Day, Id, Instant, PageLimit, WireIn, WireOut, line, prose

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[str, line(60)]

# --- published figures ---------------------------------------------------------------------------


class PreviewIn(QueryIn):
    """Whole local days, ``to`` included."""

    first: Annotated[Day, Field(alias="from")]
    last: Annotated[Day, Field(alias="to")]


class PublishIn(WireIn):
    """``hash``: of the preview that was looked at. A correction names the newest revision and says
    why."""

    title: Annotated[str, line(100)]
    first: Annotated[Day, Field(alias="from")]
    last: Annotated[Day, Field(alias="to")]
    hash: Sha256
    revises: Id | None = None
    reason: Annotated[str, prose(1_000)] | None = None


class ChangeOut(WireOut):
    """``was`` and ``now``: the figure before and after; null where there was no such group."""

    group_by: tuple[str, ...]
    keys: tuple[str | None, ...]
    names: tuple[str, ...]
    measure: str
    measure_name: str
    was: dict[str, Any] | None
    now: dict[str, Any] | None
    difference: float | None
    cause: str
    cause_text: str


class PreviewOut(WireOut):
    since: Instant
    until: Instant
    hash: str
    content: dict[str, Any]
    revises: Id | None
    changes: tuple[ChangeOut, ...]


class SnapshotHeadOut(WireOut):
    """``intact``: the text has its hash, and the audit told of that hash."""

    id: Id
    since: Instant
    until: Instant
    revision: int
    revises: Id | None
    title: str
    reason: str | None
    definition_version: str
    hash: str
    published_by: Id
    published_at: Instant
    intact: bool


class SnapshotOut(SnapshotHeadOut):
    content: dict[str, Any]


class SnapshotsIn(QueryIn):
    limit: PageLimit = 20
    cursor: Annotated[str, line(200)] | None = None


class SnapshotsOut(WireOut):
    items: tuple[SnapshotHeadOut, ...]
    next_cursor: str | None


class RevisionOut(SnapshotHeadOut):
    """``changes``: how many figures differ from the revision before."""

    changes: int


class RevisionsOut(WireOut):
    items: tuple[RevisionOut, ...]


class ChangesIn(QueryIn):
    against: Id | None = None


class ChangesOut(WireOut):
    before: SnapshotHeadOut
    after: SnapshotHeadOut
    changes: tuple[ChangeOut, ...]


# --- exports -------------------------------------------------------------------------------------


class ExportIn(WireIn):
    """The query of the figures, and the form of the file. ``sheet``: which table a CSV holds."""

    format: ExportFormat
    measures: Annotated[tuple[Measure, ...], Field(min_length=1, max_length=40, strict=False)]
    group_by: Annotated[tuple[Dimension, ...], Field(max_length=2, strict=False)] = ()
    first: Annotated[Moment, Field(alias="from")]
    last: Annotated[Moment, Field(alias="to")]
    basis: Basis | None = None
    unit_kind: Code | None = None
    unit: Code | None = None
    grid: Code | None = None
    category: Code | None = None
    channel: Code | None = None
    kind: Code | None = None
    sheet: SheetName = SheetName.DETAIL


class ExportOut(WireOut):
    """``progress``: rows of the detail that are written, of how many. ``download_path`` is good
    until ``download_until``; ``digest``: of the figures; ``sha256``: of the file."""

    id: Id
    state: ExportState
    state_text: str
    format: ExportFormat
    query: dict[str, Any]
    asked_at: Instant
    rows_done: int
    rows_total: int | None
    progress: float | None
    finished_at: Instant | None
    expires_at: Instant | None
    size_bytes: int | None
    digest: str | None
    sha256: str | None
    error_code: str | None
    error_text: str | None
    download_path: str | None
    download_until: Instant | None


class ExportsIn(QueryIn):
    limit: PageLimit = 20
    cursor: Annotated[str, line(200)] | None = None


class ExportsOut(WireOut):
    items: tuple[ExportOut, ...]
    next_cursor: str | None


class FileIn(QueryIn):
    """The signed part of a download link."""

    until: Annotated[str, Field(pattern=r"^[0-9]{10}$")]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
