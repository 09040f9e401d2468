"""Figures and the requests behind them as the API shows them, with the names of their keys."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any

import orjson

from app.domain import facets
from app.domain.exclusions import EXCLUSION_GROUND_TEXT, ExclusionGround
from app.domain.identity import Actor
from app.domain.matters import KIND_TEXT, Kind
from app.domain.measures import (
    BASIS_TEXT,
    CURRENT_WEIGHTS,
    DEFINITION_VERSION,
    DEFINITIONS,
    OF_SATISFACTION,
    WEIGHTS,
    Measure,
)
from app.domain.states import STATE_TEXT, State
from app.grids.queries import GridIndex
from app.reference.kinds import UNIT_KIND_TEXT, UnitKind
from app.reference.queries import Reference
from app.statistics.dimensions import PLACE_DIGITS, Dimension
from app.statistics.engine import Cell, Figures
from app.statistics.members import Page, Part
from app.statistics.periods import ZONE
from app.statistics.queries import Said, Satisfaction
from app.statistics.questions import Keys, Query
from app.statistics.schemas import GroupBy
from app.store.session import Columns

Name = Callable[[Dimension, str | None], str]
_SEVEN = [measure.value for measure in OF_SATISFACTION]
_NOT_TOLD = {"num": None, "den": None, "value": None, "suppressed": True}
_UNDETERMINED = "未确定"
_CHANNEL_TEXT = {"mini_program": "小程序", "desk": "工作人员代录"}


def naming(reference: Reference, grids: GridIndex) -> Name:
    """How keys are called in the city as it is now; what it no longer knows keeps its code."""

    @cache
    def name(dimension: Dimension, key: str | None) -> str:
        if key is None:
            return _UNDETERMINED
        if dimension in PLACE_DIGITS:
            return grids.name_path(key) or key
        match dimension:
            case Dimension.UNIT:
                return reference.units[key].name if key in reference.units else key
            case Dimension.UNIT_KIND:
                return UNIT_KIND_TEXT[UnitKind(key)]
            case Dimension.CATEGORY | Dimension.CATEGORY_LEAF:
                return reference.categories[key].name if key in reference.categories else key
            case Dimension.CHANNEL:
                return _CHANNEL_TEXT.get(key, key)
            case Dimension.KIND:
                return KIND_TEXT[Kind(key)]
            case _:
                return key

    return name


def figures_view(
    query: Query,
    found: Figures,
    before: tuple[Query, Figures] | None,
    name: Name,
) -> bytes:
    """``StatisticsOut`` as JSON: tens of thousands of figures, which going through a model again
    would cost more than counting them."""
    earlier = before[1] if before else None
    codes = [measure.value for measure in query.measures]

    def rows(told: Mapping[Keys, Mapping[Measure, Cell]]) -> list[dict[str, Any]]:
        return [
            {
                "keys": keys,
                "names": list(map(name, query.group_by, keys)),
                "figures": dict(zip(codes, map(_cell, cells.values()), strict=True)),
                "before": None if earlier is None else _before(cells, _same(earlier, keys)),
            }
            for keys, cells in told.items()
        ]

    [total] = rows({(): found.total})
    return orjson.dumps(
        {
            "definition_version": DEFINITION_VERSION,
            "weights_version": CURRENT_WEIGHTS.version,
            "since": _local(query.since),
            "until": _local(query.until),
            "before_since": _local(before[0].since) if before else None,
            "before_until": _local(before[0].until) if before else None,
            "group_by": query.group_by,
            "basis": {measure.value: query.basis_of(measure) for measure in query.measures},
            "total": total,
            "subtotals": rows(found.subtotals),
            "groups": rows(found.groups),
        }
    )


def _local(moment: datetime) -> datetime:
    return moment.astimezone(ZONE)


def _cell(cell: Cell) -> dict[str, Any]:
    num, den, value, ci_low, ci_high, excluded, small_sample, suppressed, rank = cell
    return {
        "num": num,
        "den": den,
        "value": value,
        "ci_low": ci_low,
        "ci_high": ci_high,
        "excluded": excluded,
        "small_sample": small_sample,
        "suppressed": suppressed,
        "rank": rank,
    }


def _same(earlier: Figures, keys: Keys) -> Mapping[Measure, Cell]:
    if not keys:
        return earlier.total
    return earlier.groups.get(keys) or earlier.subtotals.get(keys) or {}


def _before(
    cells: Mapping[Measure, Cell], earlier: Mapping[Measure, Cell]
) -> dict[str, dict[str, Any]]:
    told = {}
    for measure, cell in cells.items():
        old = earlier.get(measure, Cell())
        told[measure.value] = {
            "num": old.num,
            "den": old.den,
            "value": old.value,
            "suppressed": old.suppressed,
            "change": None if cell.value is None or old.value is None else cell.value - old.value,
        }
    return told


def satisfaction_view(found: Satisfaction, group_by: GroupBy, name: Name) -> bytes:
    """``SatisfactionOut`` as JSON."""
    leaf = group_by is GroupBy.CATEGORY

    def named(key: str | None) -> str:
        return name(Dimension.CATEGORY_LEAF if leaf else Dimension(group_by), key)

    return orjson.dumps(
        {
            "definition_version": DEFINITION_VERSION,
            "submitted_from": _local(found.since),
            "submitted_to": _local(found.until),
            "basis": {measure.value: basis for measure, basis in found.basis.items()},
            "group_by": group_by,
            "total": _figures(found.total),
            "groups": [
                {"key": key, "name": named(key), **_figures(cells)}
                for key, cells in found.groups.items()
            ],
        }
    )


def _figures(figures: Mapping[Measure, Said]) -> dict[str, dict[str, Any]]:
    return dict(zip(_SEVEN, map(_figure, figures.values()), strict=True))


def _figure(figure: Said) -> dict[str, Any]:
    num, den, suppressed = figure
    if suppressed:
        return _NOT_TOLD
    return {"num": num, "den": den, "value": num / den if den else None, "suppressed": False}


def members_view(
    page: Page,
    measure: Measure,
    part: Part,
    reference: Reference,
    actor: Actor,
) -> dict[str, Any]:
    """Args: ``page.asked``: the facets that all its lines share."""
    return {
        "measure": measure,
        "part": part,
        "total": page.total,
        "suppressed": page.suppressed,
        "items": [_member(row, reference, actor, page.asked) for row in page.rows],
        "next_cursor": page.next_cursor,
    }


def _member(
    row: Columns, reference: Reference, actor: Actor, asked: frozenset[str]
) -> dict[str, Any]:
    told = facets.told(row, actor, asked=asked)
    unit = reference.units.get(told["unit_code"] or "")
    category = reference.categories.get(told["category_code"] or "")
    office_s = row["office_s"]
    return {
        **{name: row[name] for name in _AS_IT_IS},
        **told,
        "id": str(row["id"]),
        "state_text": STATE_TEXT[State(row["state"])][0],
        "unit_name": unit.name if unit else None,
        "category_name": category.name if category else None,
        "office_hours": None if office_s is None else round(office_s / 3600, 4),
        "weight": CURRENT_WEIGHTS.partly_solved if row["partly"] else 1.0,
        "exclusion": _exclusion(row["exclusion"]),
    }


_AS_IT_IS = (
    "number", "state", "cycle_no", "submitted_at", "contact_due_at", "contacted_at",
    "reply_due_at", "replied_at", "ended_at", "reassigned", "extensions", "reopens",
    "supervise_level",
)  # fmt: skip


def _exclusion(read: str | None) -> dict[str, str] | None:
    if read is None:
        return None
    dropped: dict[str, str] = orjson.loads(read)
    return {**dropped, "ground_text": EXCLUSION_GROUND_TEXT[ExclusionGround(dropped["ground"])]}


def definitions_view() -> dict[str, Any]:
    return {
        "definition_version": DEFINITION_VERSION,
        "items": [
            {
                "code": measure,
                "name": meaning.name,
                "numerator": meaning.numerator,
                "denominator": meaning.denominator,
                "formula": f"（{meaning.numerator}）÷（{meaning.denominator}）",
                "unit": meaning.unit,
                "basis": meaning.basis,
                "basis_text": BASIS_TEXT[meaning.basis],
                "clause": meaning.clause,
                "exclusions": meaning.exclusions,
                "version": meaning.version,
                "example": meaning.example,
                "lower_is_better": meaning.falls,
            }
            for measure, meaning in DEFINITIONS.items()
        ],
        "weights": [asdict(weights) for weights in WEIGHTS],
    }
