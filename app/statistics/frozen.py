"""What is frozen when figures are published: one canonical text, its hash, and what differs. Pure.

The text explains itself: besides the figures it holds the definitions and weights they follow, and
the names that groups had. Anybody can check the hash: SHA-256 over the UTF-8 bytes of the text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from app.domain.measures import DEFINITION_VERSION, DEFINITIONS, Measure, Weights
from app.statistics.engine import Cell, Figures
from app.statistics.periods import ZONE
from app.statistics.questions import Keys, Query
from app.statistics.views import Name

FORM = 1  # of the text: a later form is read by later code
_DIGITS = 10  # of a ratio: more than any counting can tell apart


@dataclass(frozen=True, slots=True)
class Frozen:
    """``text`` is canonical JSON, ``hash`` its SHA-256."""

    text: str
    hash: bytes

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.text)
        return content


@dataclass(frozen=True, slots=True)
class Change:
    """One figure that is told otherwise. ``was`` or ``now`` is None where there was no such group;
    ``difference``: of the values, where both have one."""

    group_by: tuple[str, ...]
    keys: tuple[str | None, ...]
    names: tuple[str, ...]
    measure: str
    was: Mapping[str, Any] | None
    now: Mapping[str, Any] | None
    difference: float | None
    redefined: bool


def freeze(
    since: datetime,
    until: datetime,
    tables: Sequence[tuple[Query, Figures]],
    *,
    name: Name,
    weights: Weights,
) -> Frozen:
    """Put figures of one period into their canonical form. The same figures, the same hash."""
    measures = dict.fromkeys(measure for query, _ in tables for measure in query.measures)
    return canonical(
        {
            "form": FORM,
            "since": _local(since),
            "until": _local(until),
            "definition_version": DEFINITION_VERSION,
            "definitions": {measure: asdict(DEFINITIONS[measure]) for measure in measures},
            "weights": {
                "version": weights.version,
                "parts": dict(weights.parts),
                "partly_solved": weights.partly_solved,
            },
            "tables": [_table(query, found, name) for query, found in tables],
        }
    )


def canonical(content: Mapping[str, Any]) -> Frozen:
    text = json.dumps(
        content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return Frozen(text, sha256(text.encode()).digest())


def _local(moment: datetime) -> str:
    return moment.astimezone(ZONE).isoformat()


def _table(query: Query, found: Figures, name: Name) -> dict[str, Any]:
    def row(keys: Keys, cells: Mapping[Measure, Cell]) -> dict[str, Any]:
        return {
            "keys": list(keys),
            "names": [name(*pair) for pair in zip(query.group_by, keys, strict=False)],
            "figures": {measure: _told(cell) for measure, cell in cells.items()},
        }

    return {
        "group_by": list(query.group_by),
        "filters": query.filters.given(),
        "basis": {measure: query.basis_of(measure) for measure in query.measures},
        "rows": [
            row((), found.total),
            *(row(*pair) for pair in found.subtotals.items()),
            *(row(*pair) for pair in found.groups.items()),
        ],
    }


def _told(cell: Cell) -> dict[str, Any]:
    told = cell._asdict()
    del told["rank"]
    return {
        member: round(value, _DIGITS) if isinstance(value, float) else value
        for member, value in told.items()
    }


# --- what differs --------------------------------------------------------------------------------

_Place = tuple[tuple[str, ...], tuple[str | None, ...], str]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every figure that ``after`` tells otherwise than ``before``, in the order of ``after``."""
    old, new = dict(_cells(before)), dict(_cells(after))
    found = []
    for place in dict.fromkeys([*new, *old]):
        was, now = old.get(place), new.get(place)
        if was is not None and now is not None and was[1] == now[1]:
            continue
        group_by, keys, measure = place
        names = (now or was or ((), {}))[0]
        found.append(
            Change(
                group_by,
                keys,
                names,
                measure,
                was[1] if was else None,
                now[1] if now else None,
                _difference(was[1] if was else {}, now[1] if now else {}),
                before["definitions"].get(measure) != after["definitions"].get(measure),
            )
        )
    return found


def _cells(content: Mapping[str, Any]) -> Iterator[tuple[_Place, tuple[tuple[str, ...], Any]]]:
    for table in content["tables"]:
        for row in table["rows"]:
            for measure, cell in row["figures"].items():
                place = (tuple(table["group_by"]), tuple(row["keys"]), measure)
                yield place, (tuple(row["names"]), cell)


def _difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> float | None:
    before, after = was.get("value"), now.get("value")
    if before is None or after is None:
        return None
    return round(float(after - before), _DIGITS)
