"""The tables of an export that are small: figures, ranking, definitions, corrections. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.domain.measures import BASIS_TEXT, DEFINITIONS, Measure, Unit
from app.statistics import snapshots
from app.statistics.dimensions import Dimension
from app.statistics.engine import Cell, Figures, ranked
from app.statistics.export_files import Column, Sheet
from app.statistics.kinds import SheetName
from app.statistics.questions import Keys, Query
from app.statistics.snapshots import Published
from app.statistics.views import Name
from app.statistics.workbook import Percent, Value

DIMENSION_TEXT: dict[Dimension, str] = {
    Dimension.UNIT_KIND: "单位类型",
    Dimension.UNIT: "承办单位",
    Dimension.TOWN: "镇街",
    Dimension.COMMUNITY: "社区（村）",
    Dimension.GRID: "网格",
    Dimension.CATEGORY: "诉求大类",
    Dimension.CATEGORY_LEAF: "诉求类别",
    Dimension.CHANNEL: "渠道",
    Dimension.KIND: "诉求类型",
    Dimension.DAY: "日",
    Dimension.WEEK: "周",
    Dimension.MONTH: "月",
    Dimension.QUARTER: "季度",
    Dimension.YEAR: "年",
}
UNIT_TEXT: dict[Unit, str] = {
    Unit.COUNT: "件",
    Unit.RATIO: "比率",
    Unit.HOURS: "工作小时",
    Unit.PER_1000: "件/千人",
    Unit.SCORE: "综合分",
}
_SHARES = frozenset({Unit.RATIO, Unit.SCORE})
_WHOLE = "合计"
_NOTHING = "—"


def shown(measure: Measure | str, value: float | None) -> Value:
    """A figure's value as its unit wants to be seen."""
    if value is None:
        return None
    match DEFINITIONS[Measure(measure)].unit:
        case Unit.RATIO | Unit.SCORE:
            return Percent(value)
        case Unit.COUNT:
            return int(value)
        case _:
            return float(value)


def _share(measure: Measure, value: float | None) -> Value:
    if value is None or DEFINITIONS[measure].unit not in _SHARES:
        return None
    return Percent(value)


def _number(value: float | None) -> Value:
    """A count, which is fractional only where partly solved matters weigh less."""
    return int(value) if value is not None and value == int(value) else value


def _groups(query: Query) -> list[Column]:
    return [
        part
        for dimension in query.group_by
        for part in (
            Column(f"{dimension}_code", f"{DIMENSION_TEXT[dimension]}代码", 20),
            Column(dimension, DIMENSION_TEXT[dimension], 24),
        )
    ]


def _keys(query: Query, keys: Keys, name: Name) -> list[Value]:
    """Codes and names; what a subtotal does not say is the whole."""
    told: list[Value] = []
    for place, dimension in enumerate(query.group_by):
        if place < len(keys):
            told += [keys[place], name(dimension, keys[place])]
        else:
            told += [None, _WHOLE]
    return told


# --- 汇总 ----------------------------------------------------------------------------------------


def summary(query: Query) -> Sheet:
    return Sheet(
        SheetName.SUMMARY,
        [
            *_groups(query),
            Column("measure", "指标代码", 22),
            Column("measure_name", "指标", 26),
            Column("unit", "单位", 10),
            Column("basis", "时间口径", 26),
            Column("num", "分子"),
            Column("den", "分母"),
            Column("value", "数值"),
            Column("ci_low", "95%区间下限", 14),
            Column("ci_high", "95%区间上限", 14),
            Column("excluded", "不计入"),
            Column("small_sample", "样本少于30", 12),
            Column("suppressed", "已隐去", 10),
        ],
    )


def summary_rows(query: Query, found: Figures, name: Name) -> Iterator[list[Value]]:
    for keys, cells in _all(found):
        for measure, cell in cells.items():
            yield [
                *_keys(query, keys, name),
                measure.value,
                DEFINITIONS[measure].name,
                UNIT_TEXT[DEFINITIONS[measure].unit],
                BASIS_TEXT[query.basis_of(measure)],
                _number(cell.num),
                cell.den,
                shown(measure, cell.value),
                _share(measure, cell.ci_low),
                _share(measure, cell.ci_high),
                cell.excluded,
                "是" if cell.small_sample else "否",
                "是" if cell.suppressed else "否",
            ]


def _all(found: Figures) -> Iterator[tuple[Keys, Mapping[Measure, Cell]]]:
    yield (), found.total
    yield from found.subtotals.items()
    yield from found.groups.items()


# --- 排名 ----------------------------------------------------------------------------------------


def ranking(query: Query) -> Sheet:
    return Sheet(
        SheetName.RANKING,
        [
            Column("measure", "指标代码", 22),
            Column("measure_name", "指标", 26),
            Column("rank", "名次", 8),
            *_groups(query),
            Column("value", "数值"),
            Column("num", "分子"),
            Column("den", "分母"),
            Column("note", "说明", 30),
        ],
    )


def ranking_rows(query: Query, found: Figures, name: Name) -> Iterator[list[Value]]:
    """Measure by measure, the best first; what has no place comes last and says why."""
    places = ranked(found.groups)
    for measure in query.measures:
        of_measure = [(keys, cells[measure]) for keys, cells in places.items()]
        of_measure.sort(key=lambda it: (it[1].rank is None, it[1].rank or 0))
        for keys, cell in of_measure:
            yield [
                measure.value,
                DEFINITIONS[measure].name,
                cell.rank,
                *_keys(query, keys, name),
                shown(measure, cell.value),
                _number(cell.num),
                cell.den,
                _unranked(keys, cell),
            ]


def _unranked(keys: Keys, cell: Cell) -> Value:
    if cell.rank is not None:
        return None
    if cell.suppressed:
        return "为防止识别到个人，已隐去"
    if None in keys:
        return "归属未确定，不参加排名"
    return "样本少于30件，不参加排名" if cell.small_sample else "无数据"


# --- 口径 ----------------------------------------------------------------------------------------

DEFINITIONS_SHEET = Sheet(
    SheetName.DEFINITIONS,
    [
        Column("code", "指标代码", 22),
        Column("name", "指标", 26),
        Column("numerator", "分子", 40),
        Column("denominator", "分母", 40),
        Column("unit", "单位", 10),
        Column("basis", "本表时间口径", 26),
        Column("clause", "依据", 16),
        Column("exclusions", "不计入", 34),
        Column("version", "口径版本", 10),
        Column("example", "算例", 40),
    ],
)


def definition_rows(query: Query) -> Iterator[list[Value]]:
    for measure in query.measures:
        meaning = DEFINITIONS[measure]
        yield [
            measure.value,
            meaning.name,
            meaning.numerator,
            meaning.denominator,
            UNIT_TEXT[meaning.unit],
            BASIS_TEXT[query.basis_of(measure)],
            meaning.clause,
            meaning.exclusions,
            meaning.version,
            meaning.example,
        ]


# --- 变更 ----------------------------------------------------------------------------------------

CHANGES_SHEET = Sheet(
    SheetName.CHANGES,
    [
        Column("revision", "版次", 8),
        Column("published_at", "发布时间", 20),
        Column("hash", "摘要", 68),
        Column("reason", "理由", 40),
        Column("group", "分组", 14),
        Column("key", "代码", 20),
        Column("name", "名称", 24),
        Column("measure", "指标代码", 22),
        Column("measure_name", "指标", 26),
        Column("was", "原数值"),
        Column("now", "现数值"),
        Column("difference", "差"),
        Column("cause", "变更类型", 14),
    ],
)


def change_rows(revisions: Iterable[Published]) -> Iterator[list[Value]]:
    """Each revision of the very period with what it corrected; none if it was not published."""
    before: Published | None = None
    for revision in revisions:
        row = revision.row
        head: list[Value] = [
            row["revision"], row["published_at"], row["hash"].hex(), row["reason"] or _NOTHING,
        ]  # fmt: skip
        if before is None:
            yield [*head, *[None] * 8, "首次发布"]
        for change in snapshots.compare(before, revision).changes if before else ():
            yield [
                *head,
                "、".join(DIMENSION_TEXT[Dimension(it)] for it in change.group_by) or _WHOLE,
                "/".join(key or _NOTHING for key in change.keys),
                "/".join(change.names) or _WHOLE,
                change.measure,
                DEFINITIONS[Measure(change.measure)].name,
                _value(change.measure, change.was),
                _value(change.measure, change.now),
                shown(change.measure, change.difference),
                snapshots.causes(change)["cause_text"],
            ]
        before = revision


def _value(measure: str, cell: Mapping[str, Any] | None) -> Value:
    return None if cell is None else shown(measure, cell["value"])
