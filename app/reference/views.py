"""The snapshot as it is shown."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from app.domain import sla
from app.domain.sla import Policy
from app.domain.working_time import Frames, WorkingCalendar
from app.reference.calendar_facts import frames_json
from app.reference.kinds import UNIT_KIND_TEXT
from app.reference.queries import Reference
from app.reference.schemas import (
    CalendarOut,
    CategoriesOut,
    CategoryOut,
    DayHoursOut,
    FrameOut,
    PoliciesOut,
    PolicyOut,
    SimulatedOut,
    SimulationOut,
    UnitOut,
    UnitsOut,
)

_MINUTE = timedelta(minutes=1)


def categories(reference: Reference) -> CategoriesOut:
    """The tree without its inactive branches."""
    return CategoriesOut(items=_branch(reference, None))


def _branch(reference: Reference, parent_code: str | None) -> tuple[CategoryOut, ...]:
    return tuple(
        CategoryOut(
            code=category.code,
            name=category.name,
            gb_code=category.gb_code,
            default_unit_code=reference.default_unit_code(category.code),
            policy_code=reference.policy_for(category.code).code,
            children=_branch(reference, category.code),
        )
        for category in reference.categories.values()
        if category.active and category.parent_code == parent_code
    )


def units(reference: Reference) -> UnitsOut:
    return UnitsOut(
        items=tuple(
            UnitOut(
                code=unit.code,
                name=unit.name,
                kind=unit.kind,
                kind_text=UNIT_KIND_TEXT[unit.kind],
                grid_code=unit.grid_code,
            )
            for unit in reference.units.values()
            if unit.active
        )
    )


def policies(reference: Reference) -> PoliciesOut:
    return PoliciesOut(items=tuple(_policy(it) for it in reference.current_policies.values()))


def _policy(policy: Policy) -> PolicyOut:
    return PolicyOut(
        code=policy.code,
        version=policy.version,
        name=policy.name,
        contact_minutes=policy.contact // _MINUTE,
        contact_mode=policy.contact_mode,
        reply_days=policy.reply_days,
        reply_mode=policy.reply_mode,
        accept_office_minutes=policy.accept // _MINUTE,
        return_days=policy.return_days,
        review_days=policy.review_days,
        rate_days=policy.rate_days,
        reopen_days=policy.reopen_days,
        reopen_window_days=policy.reopen_window_days,
        extension_days=policy.extension_days,
        info_days=policy.info_days,
        internal_days=policy.internal_days,
        review_required=policy.review_required,
    )


def calendar(
    calendar: WorkingCalendar, *, published_at: datetime | None, sources: Iterable[str]
) -> CalendarOut:
    published = calendar.version > 0
    return CalendarOut(
        version=calendar.version,
        published_at=published_at,
        coverage_from=calendar.coverage_from if published else None,
        coverage_to=calendar.coverage_to if published else None,
        zone=calendar.zone.key,
        weekly_frames=tuple(_hours(frames) for frames in calendar.weekly),
        off_days=tuple(sorted(calendar.off_days)),
        work_days=tuple(sorted(calendar.work_days)),
        own_hours=tuple(
            DayHoursOut(day=day, frames=_hours(frames))
            for day, frames in sorted(calendar.own_frames.items())
        ),
        sources=tuple(sources),
    )


def _hours(frames: Frames) -> tuple[FrameOut, ...]:
    return tuple(FrameOut(opens=opens, closes=closes) for opens, closes in frames_json(frames))


def simulation(
    policy: Policy, calendar: WorkingCalendar, submitted_at: Iterable[datetime]
) -> SimulationOut:
    """One item per instant, in the order given. Raises: CalendarCoverageError."""
    return SimulationOut(items=tuple(_simulated(policy, calendar, at) for at in submitted_at))


def _simulated(policy: Policy, calendar: WorkingCalendar, at: datetime) -> SimulatedOut:
    promise = sla.promise(policy, calendar, at)
    return SimulatedOut(
        submitted_at=at,
        contact_due_at=promise.contact_due_at,
        reply_due_at=promise.reply_due_at,
        provisional=promise.provisional,
    )
