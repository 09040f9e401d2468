"""A draft of a calendar and its consequences, as they are shown."""

from app.domain.sla import METRIC_TEXT
from app.domain.working_time import CalendarCoverageError, WorkingCalendar
from app.reference.models import CalendarRow
from app.reference.service import Prepared
from app.requests.standings import ClockMove
from app.sla.recalculation import Consequences
from app.sla.schemas import MoveOut, PreviewOut, PublishedOut, YearOut


def preview(prepared: Prepared, found: Consequences) -> PreviewOut:
    facts = prepared.facts
    return PreviewOut(
        draft_hash=prepared.draft_hash,
        base_version=prepared.base_version,
        changed=prepared.changed,
        coverage_from=facts.coverage_from,
        coverage_to=facts.coverage_to,
        years=_years(prepared),
        moves=tuple(_move(move) for move in found.moves),
        total=found.total,
        later=found.later,
        earlier=found.earlier,
        confirmed=found.confirmed,
    )


def published(row: CalendarRow) -> PublishedOut:
    return PublishedOut(
        version=row.version,
        published_at=row.published_at,
        coverage_from=row.coverage_from,
        coverage_to=row.coverage_to,
    )


def _years(prepared: Prepared) -> tuple[YearOut, ...]:
    before = None if prepared.base is None else prepared.base.calendar(prepared.base_version)
    after = prepared.facts.calendar(prepared.version)
    missing = prepared.missing_festivals
    years = (
        YearOut(
            year=year,
            working_days_before=_working_days(before, year),
            working_days_after=_working_days(after, year),
            missing_festivals=missing.get(year, ()),
        )
        for year in sorted(prepared.facts.years)
    )
    return tuple(
        it
        for it in years
        if it.working_days_before != it.working_days_after or it.missing_festivals
    )


def _working_days(calendar: WorkingCalendar | None, year: int) -> int | None:
    try:
        return None if calendar is None else calendar.working_days_in(year)
    except CalendarCoverageError:
        return None


def _move(move: ClockMove) -> MoveOut:
    return MoveOut(
        request_id=str(move.request_id),
        number=move.number,
        metric=move.metric,
        metric_text=METRIC_TEXT[move.metric],
        due_before=move.due_before,
        due_after=move.due_after,
        provisional_before=move.provisional_before,
        provisional_after=move.provisional_after,
    )
