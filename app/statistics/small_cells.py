"""What is not told to those who see figures only, because too few people are behind it.

The rule is ``domain.suppression``; here stands which cells and atoms it looks at. They depend on
what the cells *are*, never on how they were asked for: all of the city's units, not the one that a
filter names; all months of the years touched, not the period alone. So two queries that tell the
same cell agree whether it may be told. See ``docs/decisions/0014-small-cells.md``.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta

from app.domain.errors import Invalid
from app.domain.measures import DEFINITIONS, Measure
from app.domain.suppression import Cell, Path
from app.statistics import rollups
from app.statistics.dimensions import HIERARCHY, LEVELS, PLACE_DIGITS, Dimension, Hierarchy
from app.statistics.periods import ZONE
from app.statistics.predicates import COUNTED
from app.statistics.questions import MOST_GROUPS, Keys, Part, Query, parts_of
from app.statistics.sheets import Sheet, Windows, read
from app.statistics.sums import Facet, Sum, facet_of
from app.statistics.support import Levels, Period, levels_of, month_number, support_of
from app.store.session import Database

_MOST_HIERARCHIES = 2


class StatisticsTooFine(Invalid):
    """为防止识别到个人，您的角色不能查询这样细的统计，请减少分组或筛选条件，或改查整月。"""

    code = "statistics_too_fine"


class Veil:
    """What is hidden of a query's tables, by measure.

    Args:
        seen: of each hierarchy the paths that somebody has, of every depth.
    """

    def __init__(
        self,
        query: Query,
        levels: Mapping[Hierarchy, Levels],
        seen: Mapping[Hierarchy, Collection[Path]],
        by_measure: Mapping[Measure, frozenset[Cell]],
    ) -> None:
        self.by_measure = by_measure
        self._steps = {
            hierarchy: _Steps(query, hierarchy, them, seen[hierarchy])
            for hierarchy, them in levels.items()
        }
        # Measures with the same people behind them are hidden together.
        self._alike: dict[frozenset[Cell], list[Measure]] = defaultdict(list)
        for measure, away in by_measure.items():
            self._alike[away].append(measure)

    def hidden_of(self, groups: Sequence[Keys]) -> dict[Measure, list[bool]]:
        """Of each measure that is hidden in any of these groups: in which of them. A group's cell
        is the query's filters and these keys."""
        cells = self._cells(groups)
        found: dict[Measure, list[bool]] = {}
        for away, alike in self._alike.items():
            flags = [cell is None or cell in away for cell in cells]
            if any(flags):
                found |= dict.fromkeys(alike, flags)
        return found

    def hides(self, measure: Measure, keys: Keys) -> bool:
        """Whether one measure is, in one group."""
        return measure in self.hidden_of([keys])

    def _cells(self, groups: Sequence[Keys]) -> list[Cell | None]:
        """As deep as the keys go; None where they mean several places at once (the undetermined
        of all towns together)."""
        if not self._steps:
            return [()] * len(groups)
        columns = [steps.paths(groups) for steps in self._steps.values()]
        return [None if None in paths else paths for paths in zip(*columns, strict=True)]


class _Steps:
    """How the keys of groups, and filters, lead down one hierarchy."""

    def __init__(
        self, query: Query, hierarchy: Hierarchy, levels: Levels, seen: Collection[Path]
    ) -> None:
        group_by, cuts = query.group_by, query.filters.narrowed()
        self._seen = seen
        self._steps = [
            (
                by_key,
                group_by.index(level) if level in group_by else len(group_by),
                cuts.get(level),
            )
            for level, by_key in levels.by_key.items()
            if level in group_by or level in cuts
        ]
        self._places = [at for at, it in enumerate(group_by) if HIERARCHY[it] is hierarchy]
        self._alone = len(self._places) == len(group_by)

    def paths(self, groups: Sequence[Keys]) -> list[Path | None]:
        if self._alone:
            return [self._path(keys) for keys in groups]
        # Of two levels at most one is of this hierarchy then: its keys are few.
        at = self._places[0] if self._places else MOST_GROUPS  # of none: filters alone
        alike = {keys[at : at + 1]: keys for keys in groups}
        known = {told: self._path(keys) for told, keys in alike.items()}
        return [known[keys[at : at + 1]] for keys in groups]

    def _path(self, keys: Keys) -> Path | None:
        """None: several. Whoever was never seen has nobody in it."""
        path: Path = ()
        for by_key, at, cut in self._steps:
            if at < len(keys):
                key = keys[at]
            elif cut is None:
                continue
            else:
                key = cut
            found = [it for it in by_key.get(key, ()) if it in self._seen]
            if path:
                found = [it for it in found if it[: len(path)] == path]
            if len(found) > 1:
                return None
            if found:
                [path] = found
        return path


async def veil(db: Database, query: Query, *, now: datetime) -> Veil:
    """Find out what is too small. Raises: StatisticsTooFine."""
    windows = windows_of(query)
    facet = facet_of(query.group_by, query.filters) or Facet(())
    sums = [Sum(facet, part.instant, (), _dens(part)) for part in parts_of(query.measures, None)]
    sheet = await read(db, sums, windows, now=now)
    return veil_of(sheet, query, now=now)


def windows_of(query: Query) -> Windows:
    """Which days must be looked at: by month all years that the period touches, and by day the
    months touched, if days are asked for. Raises: StatisticsTooFine."""
    by_day = not rollups.in_whole_months(query)
    _require_coarse(query, by_day)
    since, until = _months_touched(query)
    first, past = date(since.year, 1, 1), date((until - timedelta(days=1)).year + 1, 1, 1)
    if not by_day:
        return Windows(((first, past),), ())
    edges = ((first, since), (until, past))
    return Windows(tuple(it for it in edges if it[0] < it[1]), ((since, until),))


def _months_touched(query: Query) -> tuple[date, date]:
    since = query.since.astimezone(ZONE).date()
    last = (query.until - timedelta(microseconds=1)).astimezone(ZONE).date()
    return since.replace(day=1), rollups.next_month(last)


def _dens(part: Part) -> tuple[str, ...]:
    return tuple(dict.fromkeys(COUNTED[measure].den for measure in part.measures))


def veil_of(sheet: Sheet, query: Query, *, now: datetime) -> Veil:
    """What is hidden, from a sheet that has the people of ``windows_of``."""
    facet = facet_of(query.group_by, query.filters) or Facet(())
    levels = {
        hierarchy: levels_of(
            tuple(LEVELS[hierarchy][: LEVELS[hierarchy].index(deepest) + 1]),
            sheet.words[facet.codes[facet.place_of(hierarchy)]],
            sheet.kinds,
        )
        for hierarchy, deepest in _levels(query).items()
    }
    seen: dict[Hierarchy, set[Path]] = {hierarchy: set() for hierarchy in levels}
    by_measure: dict[Measure, frozenset[Cell]] = {}
    since, until = _months_touched(query)
    running = month_number(now.astimezone(ZONE).date())
    period = Period(since, until, not rollups.in_whole_months(query), running)
    cells_of = {it.instant: cells for it, cells in sheet.cells.items() if it.dens}
    for part in parts_of(query.measures, None):
        cells = cells_of[part.instant]
        support = support_of(facet, cells, levels)
        for hierarchy, paths in support.seen.items():
            seen[hierarchy].update(paths)
        hidden = {den: support.hidden(cells.people[den], period) for den in _dens(part)}
        by_measure |= {measure: hidden[COUNTED[measure].den] for measure in part.measures}
    return Veil(query, levels, seen, by_measure)


def _levels(query: Query) -> dict[Hierarchy, Dimension]:
    """The deepest level that groups or filters go to, by hierarchy."""
    deepest: dict[Hierarchy, Dimension] = {}
    for dimension in (*query.group_by, *query.filters.narrowed()):
        hierarchy = HIERARCHY[dimension]
        if hierarchy is Hierarchy.TIME:
            continue
        order = LEVELS[hierarchy]
        before = deepest.get(hierarchy, dimension)
        deepest[hierarchy] = max(before, dimension, key=order.index)
    return dict(sorted(deepest.items()))


def _require_coarse(query: Query, by_day: bool) -> None:
    """Raises: StatisticsTooFine."""
    levels = _levels(query)
    if len(levels) > _MOST_HIERARCHIES:
        raise StatisticsTooFine("最多同时按两个方面（单位、地区、类别、渠道、诉求类型）细分。")
    finest = Dimension.GRID in levels.values()
    if finest and len(levels) > 1:
        raise StatisticsTooFine("按网格统计时，不能再按其他方面细分。")
    if by_day and (finest or len(levels) > 1):
        raise StatisticsTooFine("按网格或同时按两个方面细分的统计，只能查询整月。")
    if any(it.astimezone(ZONE).time() != time(0) for it in (query.since, query.until)):
        raise StatisticsTooFine("统计期间应为整日。")
    if query.filters.grid is not None and len(query.filters.grid) not in PLACE_DIGITS.values():
        raise StatisticsTooFine("地区应为镇街、社区或网格。")
    for measure in query.measures:
        if query.basis_of(measure) is not DEFINITIONS[measure].basis:
            raise StatisticsTooFine("只能按各指标规定的时间口径统计。")
