"""The city's slow tables as one frozen snapshot, held in memory by every process."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import sla
from app.domain.errors import Invalid
from app.domain.matters import Kind
from app.domain.routing import RoutingRule, UnitChoice
from app.domain.sla import Policy
from app.domain.working_time import WorkingCalendar
from app.reference.calendar_facts import CalendarFacts, frames_from
from app.reference.holiday_notice import Notice, NoticeDay
from app.reference.kinds import UnitKind
from app.reference.models import (
    CalendarDayRow,
    CalendarRow,
    CategoryRow,
    PolicyRow,
    UnitRow,
)
from app.reference.rules import RuleBook, active_rules, active_version
from app.store.session import Database

TOPIC = "reference"


class CategoryUnknown(Invalid):
    """没有这个诉求类别，或该类别已停用。"""

    code = "category_unknown"


class UnitUnknown(Invalid):
    """没有这个单位，或该单位已停用。"""

    code = "unit_unknown"


class PolicyUnknown(Invalid):
    """没有这个时限规则。"""

    code = "policy_unknown"


@dataclass(frozen=True, slots=True)
class Category:
    code: str
    name: str
    parent_code: str | None = None
    gb_code: str | None = None
    default_unit_code: str | None = None
    policy_code: str | None = None
    grid_matter: bool = False  # the grid may settle it by itself
    active: bool = True


@dataclass(frozen=True, slots=True)
class Unit:
    code: str
    name: str
    kind: UnitKind
    grid_code: str | None = None
    active: bool = True


# What stands in while no calendar was published at all: every promise is provisional.
NO_CALENDAR = WorkingCalendar(
    version=0, coverage_from=date(1970, 1, 2), coverage_to=date(1970, 1, 1)
)


@dataclass(frozen=True)
class Reference:
    """Everything slow, consistent at one moment. Iterate in the order of display.

    Attributes:
        rules: of active units only; ``rules_version``: the set they are of.
        calendar: the newest published version; ``calendar_sources`` names its notices.
    """

    categories: Mapping[str, Category] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    policies: Mapping[tuple[str, int], Policy] = field(default_factory=dict)
    current_policies: Mapping[str, Policy] = field(default_factory=dict)
    calendar: WorkingCalendar = NO_CALENDAR
    calendar_published_at: datetime | None = None
    calendar_sources: tuple[str, ...] = ()
    rules: tuple[RoutingRule, ...] = ()
    rules_version: int = 0
    _paths: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _rules: RuleBook = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_paths", {code: self._path(code) for code in self.categories})
        object.__setattr__(self, "_rules", RuleBook(self.rules, self._paths))

    @property
    def calendar_version(self) -> int:
        return self.calendar.version

    def category(self, code: str) -> Category:
        """Active or not. Raises: CategoryUnknown."""
        if code not in self.categories:
            raise CategoryUnknown
        return self.categories[code]

    def active_category(self, code: str) -> Category:
        """One that may be chosen now, with all its parents. Raises: CategoryUnknown."""
        if not all(self.categories[step].active for step in self.category_path(code)):
            raise CategoryUnknown
        return self.categories[code]

    def category_path(self, code: str) -> tuple[str, ...]:
        """Codes from the root to ``code`` itself. Raises: CategoryUnknown."""
        if code not in self._paths:
            raise CategoryUnknown
        return self._paths[code]

    def unit(self, code: str) -> Unit:
        """Active or not. Raises: UnitUnknown."""
        if code not in self.units:
            raise UnitUnknown
        return self.units[code]

    def active_unit(self, code: str) -> Unit:
        """One that work may be given to. Raises: UnitUnknown."""
        unit = self.unit(code)
        if not unit.active:
            raise UnitUnknown
        return unit

    def default_unit_code(self, category_code: str | None) -> str | None:
        """The active unit that the nearest category up the path names, if any."""
        for code in reversed(self._paths.get(category_code or "", ())):
            unit_code = self.categories[code].default_unit_code
            if unit_code is not None and self.units[unit_code].active:
                return unit_code
        return None

    def rules_for(self, category_code: str | None) -> tuple[RoutingRule, ...]:
        """The rules that can apply to the category at all: far fewer than ``rules``."""
        return self._rules.on(category_code)

    def choose_unit(
        self,
        category_code: str | None,
        grid_path: Iterable[str],
        *,
        kind: Kind | None,
        at: datetime,
    ) -> UnitChoice:
        """Who answers for a request of this category, at a place, submitted at this instant."""
        return self._rules.choose(
            category_code,
            grid_path,
            default_unit_code=self.default_unit_code(category_code),
            kind=kind,
            at=at,
        )

    def policy_of(self, category_code: str | None, rule: RoutingRule | None) -> Policy:
        """The policy that the rule names, else the one of the category."""
        named = self.current_policies.get(rule.policy_code or "") if rule is not None else None
        return named or self.policy_for(category_code)

    def policy(self, code: str, version: int) -> Policy:
        """Any version ever published. Raises: PolicyUnknown."""
        if (code, version) not in self.policies:
            raise PolicyUnknown
        return self.policies[code, version]

    def current_policy(self, code: str) -> Policy:
        """The newest active version. Raises: PolicyUnknown."""
        if code not in self.current_policies:
            raise PolicyUnknown
        return self.current_policies[code]

    def policy_for(self, category_code: str | None) -> Policy:
        """The policy that the nearest category up the path names, else the city's default."""
        for code in reversed(self._paths.get(category_code or "", ())):
            policy = self.current_policies.get(self.categories[code].policy_code or "")
            if policy is not None:
                return policy
        return self.current_policies.get(sla.DEFAULT_POLICY.code, sla.DEFAULT_POLICY)

    def _path(self, code: str) -> tuple[str, ...]:
        path: list[str] = []
        step: str | None = code
        while step is not None and step not in path:
            path.append(step)
            step = self.categories[step].parent_code
        return tuple(reversed(path))


async def load(db: Database) -> Reference:
    """Read the whole snapshot in one transaction."""
    async with db.transaction() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return await snapshot(session)


async def snapshot(session: AsyncSession) -> Reference:
    """The snapshot as this transaction sees it."""
    units = {
        row.code: Unit(row.code, row.name, row.kind, row.grid_code, row.active)
        for row in await session.scalars(select(UnitRow).order_by(UnitRow.sort, UnitRow.code))
    }
    categories = {
        row.code: Category(
            code=row.code,
            name=row.name,
            parent_code=row.parent_code,
            gb_code=row.gb_code,
            default_unit_code=row.default_unit_code,
            policy_code=row.policy_code,
            grid_matter=row.grid_matter,
            active=row.active,
        )
        for row in await session.scalars(
            select(CategoryRow).order_by(CategoryRow.sort, CategoryRow.code)
        )
    }
    policy_rows = (
        await session.scalars(select(PolicyRow).order_by(PolicyRow.code, PolicyRow.version))
    ).all()
    policies = {(row.code, row.version): policy_of(row) for row in policy_rows}
    calendar = await newest_calendar(session)
    return Reference(
        categories=categories,
        units=units,
        policies=policies,
        current_policies={
            row.code: policies[row.code, row.version] for row in policy_rows if row.active
        },
        calendar=NO_CALENDAR if calendar is None else await working_calendar(session, calendar),
        calendar_published_at=None if calendar is None else calendar.published_at,
        calendar_sources=() if calendar is None else tuple(calendar.sources),
        rules_version=await active_version(session),
        rules=await active_rules(session, {it.code for it in units.values() if it.active}),
    )


async def newest_calendar(session: AsyncSession) -> CalendarRow | None:
    newest: CalendarRow | None = await session.scalar(
        select(CalendarRow).order_by(CalendarRow.version.desc()).limit(1)
    )
    return newest


async def calendar_of_version(session: AsyncSession, version: int) -> CalendarRow | None:
    found: CalendarRow | None = await session.get(CalendarRow, version)
    return found


async def working_calendar(session: AsyncSession, row: CalendarRow) -> WorkingCalendar:
    """One published version as the domain counts with it."""
    return (await calendar_facts(session, row)).calendar(row.version)


async def calendar_facts(session: AsyncSession, row: CalendarRow) -> CalendarFacts:
    """One published version as data. Its notices come without their papers."""
    days: dict[int, list[NoticeDay]] = {}
    for day in await session.scalars(
        select(CalendarDayRow)
        .where(CalendarDayRow.version == row.version)
        .order_by(CalendarDayRow.notice_year, CalendarDayRow.day)
    ):
        known = days.setdefault(day.notice_year, [])
        known.append(NoticeDay(day.day, day.working, day.name, frames_from(day.frames or ())))
    return CalendarFacts(
        coverage_from=row.coverage_from,
        coverage_to=row.coverage_to,
        weekly=tuple(frames_from(frames) for frames in row.frames),
        notices=tuple(Notice(year, (), tuple(known)) for year, known in days.items()),
        sources=tuple(row.sources),
    )


def policy_of(row: PolicyRow) -> Policy:
    return Policy(
        code=row.code,
        version=row.version,
        name=row.name,
        contact=timedelta(minutes=row.contact_minutes),
        contact_mode=row.contact_mode,
        reply_days=row.reply_days,
        reply_mode=row.reply_mode,
        accept=timedelta(minutes=row.accept_office_minutes),
        return_days=row.return_days,
        review_days=row.review_days,
        rate_days=row.rate_days,
        reopen_days=row.reopen_days,
        reopen_window_days=row.reopen_window_days,
        extension_days=row.extension_days,
        info_days=row.info_days,
        internal_days=row.internal_days,
        review_required=row.review_required,
    )
