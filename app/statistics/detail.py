"""Every request behind the figures of a query, as one table: who counted where.

Each request is told once for each instant that puts it into the period (a time basis), and beside
it, of every measure that goes by this instant, whether it is in the numerator, in the denominator
alone, or does not count. So whoever filters a column counts the figure again. The conditions are
those of ``predicates``; nothing about a person is read.

Who sees figures only is told the unit, category, kind and channel of a line where the filters name
it, or where the table above names it in a cell that is told for every figure of the detail: so
nobody counts a hidden cell by filtering (see ``domain.facets``). The lines of hidden cells stand
together without a name, and there are enough of them: that is what the rule for small cells leaves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.domain import facets
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.measures import BASIS_TEXT, DEFINITIONS, Basis, Measure
from app.domain.states import STATE_TEXT, State
from app.statistics.counting import source
from app.statistics.dimensions import Dimension
from app.statistics.engine import Cell, Figures
from app.statistics.export_files import Column, Sheet
from app.statistics.kinds import SheetName
from app.statistics.members import facets_of
from app.statistics.predicates import COUNTED, is_excluded
from app.statistics.questions import Keys, Part, Query, parts_of
from app.statistics.views import Name
from app.statistics.workbook import Value
from app.store.session import Columns, Statement

_ORDERED = """
ORDER BY requests.submitted_at, requests.id
"""
_COLUMNS = """requests.id, requests.number, requests.state, requests.cycle_no, requests.kind,
  requests.channel, requests.category_code, requests.unit_code, requests.grid_code,
  requests.submitted_at, requests.contact_due_at, requests.contacted_at, requests.reply_due_at,
  requests.replied_at, requests.ended_at, requests.office_s, requests.reassigned,
  requests.extensions, requests.reopens, requests.supervise_level"""
_INSTANTS = (
    "submitted_at", "contact_due_at", "contacted_at", "reply_due_at", "replied_at", "ended_at",
)  # fmt: skip
_COUNTS = ("reassigned", "extensions", "reopens", "supervise_level")
_FLAG_TEXT = ("不计入", "仅分母", "分子", "分子（部分解决）", "不计入（已批准剔除）")


def sheet(measures: Sequence[Measure]) -> Sheet:
    """Args: ``measures`` what is counted, each with a column of its own."""
    return Sheet(
        SheetName.DETAIL,
        [
            Column("basis", "时间口径", 22),
            Column("number", "诉求编号", 20),
            Column("id", "标识", 38),
            Column("state", "状态代码", 14),
            Column("state_text", "状态", 12),
            Column("cycle_no", "办理轮次", 10),
            Column("kind", "诉求类型", 10),
            Column("channel", "渠道", 14),
            Column("category_code", "类别代码", 18),
            Column("category", "类别", 18),
            Column("unit_code", "单位代码", 16),
            Column("unit", "承办单位", 22),
            Column("grid_code", "网格代码", 20),
            Column("submitted_at", "提交时间", 20),
            Column("contact_due_at", "联系时限", 20),
            Column("contacted_at", "首次联系时间", 20),
            Column("reply_due_at", "答复时限", 20),
            Column("replied_at", "答复时间", 20),
            Column("ended_at", "办结时间", 20),
            Column("office_hours", "办理工作小时", 14),
            Column("reassigned", "改派次数", 10),
            Column("extensions", "延期次数", 10),
            Column("reopens", "重办次数", 10),
            Column("supervise_level", "督办级别", 10),
            *(Column(f"in_{measure}", DEFINITIONS[measure].name, 16) for measure in measures),
        ],
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """The requests that one instant puts into the period."""

    count: Statement
    rows: Statement
    basis: Basis
    measures: tuple[Measure, ...]


def stretches(query: Query, measures: Sequence[Measure], actor: Actor) -> list[Stretch]:
    """What must be read for a query's detail.

    Args:
        measures: what may be told of ``query.counted``.
    """
    filters = tuple(query.filters.given())
    keys = query.group_by if actor.role in BLIND_ROLES else ()
    return [
        Stretch(
            *_statements(part.instant, part.measures, filters, keys),
            query.basis_of(part.measures[0]),
            part.measures,
        )
        for part in parts_of(measures, query.basis)
    ]


@lru_cache(maxsize=256)
def _statements(
    instant: str,
    measures: tuple[Measure, ...],
    filters: tuple[str, ...],
    group_by: tuple[Dimension, ...],
) -> tuple[Statement, Statement]:
    read_from = source(Part(instant, measures), group_by, filters)
    flags = ", ".join(_flag(measure) for measure in measures)
    keys = ", ".join(f"key.k{place}::text" for place in range(len(group_by)))
    return (
        Statement(f"SELECT count(*) AS total {read_from}"),
        Statement(
            f"SELECT {_COLUMNS}, ARRAY[{flags}]::int[] AS flags, ARRAY[{keys}]::text[] AS keys"
            f" {read_from}{_ORDERED}"
        ),
    )


def _flag(measure: Measure) -> str:
    counted = COUNTED[measure]
    half = f"WHEN {counted.half} THEN 3 " if counted.half else ""
    return f"""CASE {half}WHEN {counted.num} THEN 2 WHEN {counted.den} THEN 1
  WHEN {is_excluded(measure)} THEN 4 ELSE 0 END"""


class Reading:
    """Turns what was read of one stretch into rows of the sheet."""

    def __init__(
        self,
        stretch: Stretch,
        query: Query,
        measures: Sequence[Measure],
        found: Figures,
        *,
        name: Name,
        actor: Actor,
    ) -> None:
        """Args: ``found``: the query's figures, as ``actor`` is told them."""
        self._basis = BASIS_TEXT[stretch.basis]
        self._places = [
            stretch.measures.index(measure) if measure in stretch.measures else None
            for measure in measures
        ]
        self._name = lru_cache(4_096)(name)
        self._query, self._measures, self._actor = query, measures, actor
        self._cells = found.subtotals | found.groups
        self._narrowed = facets_of(query.filters.narrowed())
        self._asked = lru_cache(4_096)(self._asked_in)

    def rows(self, found: Sequence[Columns]) -> Iterator[list[Value]]:
        for row in found:
            office_s, flags = row["office_s"], row["flags"]
            told = facets.told(row, self._actor, asked=self._asked(tuple(row["keys"])))
            yield [
                self._basis,
                row["number"],
                str(row["id"]),
                row["state"],
                STATE_TEXT[State(row["state"])][0],
                row["cycle_no"],
                self._named(Dimension.KIND, told["kind"]),
                self._named(Dimension.CHANNEL, told["channel"]),
                told["category_code"],
                self._named(Dimension.CATEGORY_LEAF, told["category_code"]),
                told["unit_code"],
                self._named(Dimension.UNIT, told["unit_code"]),
                told["grid_code"],
                *(row[instant] for instant in _INSTANTS),
                None if office_s is None else round(office_s / 3600, 4),
                *(row[count] for count in _COUNTS),
                *(None if at is None else _FLAG_TEXT[flags[at]] for at in self._places),
            ]

    def _named(self, dimension: Dimension, key: str | None) -> str | None:
        """What nobody determined is called so; what is not told has no name."""
        blind = self._actor.role in BLIND_ROLES
        return None if key is None and blind else self._name(dimension, key)

    def _asked_in(self, keys: Keys) -> frozenset[str]:
        """The facets of which the cell names one value, as deep as it is told for all figures."""
        depth = 0
        while depth < len(keys) and self._is_told(keys[: depth + 1]):
            depth += 1
        return self._narrowed | facets_of(self._query.group_by[:depth])

    def _is_told(self, keys: Keys) -> bool:
        cells: Mapping[Measure, Cell] = self._cells.get(keys, {})
        return all(it in cells and not cells[it].suppressed for it in self._measures)
