"""What the service's figures must have grown by, and whether they have."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from app.cli.replay_client import Client, People
from app.domain.measures import Measure
from app.domain.satisfaction import is_satisfied
from app.requests.schemas import RequestMovedOut
from app.statistics.schemas import FiguresOut, GroupBy, SatisfactionOut

_ZONE = ZoneInfo("Asia/Shanghai")
_PARTS = ("num", "den")

Figure = tuple[Measure, str]
# What ``/statistics/satisfaction`` tells.
MEASURES = tuple(Measure(name) for name in FiguresOut.model_fields)
Figures = Counter[Figure]
Readings = dict[GroupBy, dict[str | None, Figures]]


@dataclass
class Driven:
    """What was really done to one request. The steps fill it in; the service's last answer says
    where the request is counted and by when what was done was due."""

    request: RequestMovedOut
    reached: bool = False
    replied: bool = False
    score: int | None = None
    closed: bool = False
    cancelled: bool = False


@dataclass
class Tally:
    """All that was driven, added up as the figures tell it."""

    figures: Readings = field(default_factory=lambda: defaultdict(lambda: defaultdict(Counter)))
    _waiting: list[tuple[datetime, Measure, dict[GroupBy, str | None]]] = field(
        default_factory=list
    )

    def add(self, driven: Driven) -> None:
        request = driven.request
        keys = _keys(request)
        grown: list[tuple[Measure, bool]] = [
            (Measure.RECEIVED, True),
            (Measure.CLOSED, driven.closed),
        ]
        if driven.replied:
            grown.append((Measure.RATED, driven.score is not None))
            grown.append((Measure.REPLY_ON_TIME, _before(request.replied_at, request.reply_due_at)))
        elif not driven.cancelled and request.reply_due_at is not None:
            self._waiting.append((request.reply_due_at, Measure.REPLY_ON_TIME, keys))
        if driven.score is not None:
            grown.append((Measure.SATISFIED, is_satisfied(driven.score)))
        if driven.reached:
            on_time = (
                request.contacted_at is not None and request.contacted_at <= request.contact_due_at
            )
            grown += [(Measure.CONTACT_ON_TIME, on_time), (Measure.DILIGENT, False)]
        elif driven.replied:
            # Answered without being reached: tried often enough in time, neither met nor missed.
            grown.append((Measure.DILIGENT, True))
        elif not driven.cancelled:
            self._waiting.append((request.contact_due_at, Measure.CONTACT_ON_TIME, keys))
        for measure, counts in grown:
            self._grow(keys, measure, counts=counts)

    def as_of(self, now: datetime) -> Readings:
        """What was driven, and the promises that were broken by ``now`` without anything done."""
        for due_at, measure, keys in self._waiting:
            if due_at < now:
                self._grow(keys, measure, counts=False)
                if measure is Measure.CONTACT_ON_TIME:
                    self._grow(keys, Measure.DILIGENT, counts=False)
        self._waiting = [waiting for waiting in self._waiting if waiting[0] >= now]
        return self.figures

    def _grow(self, keys: Mapping[GroupBy, str | None], measure: Measure, *, counts: bool) -> None:
        for group_by, key in keys.items():
            figures = self.figures[group_by][key]
            figures[measure, "den"] += 1
            figures[measure, "num"] += counts


def _before(moment: datetime | None, due_at: datetime | None) -> bool:
    return moment is not None and due_at is not None and moment < due_at


def _keys(request: RequestMovedOut) -> dict[GroupBy, str | None]:
    grid = request.grid.code if request.grid else ""
    return {
        GroupBy.NONE: None,
        GroupBy.UNIT: request.unit.code if request.unit else None,
        GroupBy.TOWN: grid[:9] or None,
        GroupBy.COMMUNITY: grid[:12] if len(grid) >= 12 else None,
        GroupBy.GRID: grid[:15] if len(grid) >= 15 else None,
        GroupBy.CATEGORY: request.category.code if request.category else None,
        GroupBy.MONTH: request.submitted_at.astimezone(_ZONE).strftime("%Y-%m"),
    }


async def readings(client: Client, people: People, since: datetime) -> tuple[Readings, datetime]:
    """The figures over the requests submitted from ``since`` on, and until when; as the supervisor
    reads them, who is told every cell.

    Raises: Refused, Unreachable, LoginMissing, pydantic.ValidationError.
    """
    found: Readings = {}
    until = since
    for group_by in GroupBy:
        answer = await client.get(
            "/api/v1/statistics/satisfaction",
            step="figures",
            caller=people.supervisor,
            group_by=group_by.value,
            **{"from": since.isoformat()},
        )
        told = SatisfactionOut.model_validate_json(answer.content)
        found[group_by] = {group.key: _figures(group) for group in told.groups}
        if group_by is GroupBy.NONE:
            found[group_by] = {None: _figures(told.total)}
            until = told.submitted_to
    return found, until


def _figures(told: FiguresOut) -> Figures:
    return Counter(
        {
            (measure, part): getattr(getattr(told, measure), part)
            for measure in MEASURES
            for part in _PARTS
        }
    )


@dataclass(frozen=True)
class Line:
    """One figure of the comparison. ``group`` is empty for the total."""

    group: str
    figure: str
    part: str
    before: int
    after: int
    driven: int

    @property
    def difference(self) -> int:
        return self.after - self.before

    @property
    def equal(self) -> bool:
        return self.difference == self.driven


@dataclass(frozen=True)
class Grouped:
    """The same comparison for every group of one grouping: those that differ are listed."""

    group_by: GroupBy
    groups: int
    figures: int
    different: Sequence[Line]


@dataclass(frozen=True)
class Comparison:
    total: Sequence[Line]
    grouped: Sequence[Grouped]

    @property
    def equal(self) -> bool:
        return all(line.equal for line in self.total) and not any(
            group.different for group in self.grouped
        )


def compare(before: Readings, after: Readings, driven: Readings) -> Comparison:
    grouped = []
    for group_by in GroupBy:
        if group_by is not GroupBy.NONE:
            lines = _lines(group_by, before, after, driven)
            groups = len({line.group for line in lines})
            different = [line for line in lines if not line.equal]
            grouped.append(Grouped(group_by, groups, len(lines), different))
    return Comparison(_lines(GroupBy.NONE, before, after, driven), grouped)


def _lines(group_by: GroupBy, before: Readings, after: Readings, driven: Readings) -> list[Line]:
    sides = [readings.get(group_by, {}) for readings in (before, after, driven)]
    keys = {None} if group_by is GroupBy.NONE else {key for side in sides for key in side}
    nothing: Figures = Counter()
    lines = []
    for key in sorted(keys, key=lambda key: key or ""):
        figures = [side.get(key, nothing) for side in sides]
        for measure in MEASURES:
            for part in _PARTS:
                counts = (it[measure, part] for it in figures)
                lines.append(Line(_said(group_by, key), measure.value, part, *counts))
    return lines


def _said(group_by: GroupBy, key: str | None) -> str:
    return "" if group_by is GroupBy.NONE else key or "none"
