"""What became of a place: split, merged, moved. Pure.

A request keeps the place it was made in for ever. Whoever counts by the places of today follows the
lineage: a place that became one other counts there; one that was split counts, where the point of
the request is known, in the part that holds it, and otherwise in what the parts have in common
above them. A code may come back to life: only what happened after the request counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.grid_codes import CODE_DIGITS, COUNTY_DIGITS


@dataclass(frozen=True, slots=True)
class Link:
    """From ``since`` on, what was ``old_code`` is (partly) ``new_code``."""

    old_code: str
    new_code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """What was in ``code`` before ``before`` is now in ``now_code``, one of ``parts`` or what they
    have in common; "" if that is nothing."""

    code: str
    before: datetime
    now_code: str
    parts: tuple[str, ...]


class Lineage:
    """All links of the city. Immutable."""

    def __init__(self, links: Iterable[Link] = ()) -> None:
        found: dict[str, dict[datetime, set[str]]] = {}
        for link in links:
            found.setdefault(link.old_code, {}).setdefault(link.since, set()).add(link.new_code)
        self._steps: Mapping[str, Sequence[tuple[datetime, frozenset[str]]]] = {
            code: sorted((since, frozenset(codes)) for since, codes in steps.items())
            for code, steps in found.items()
        }

    def present(self, code: str, at: datetime) -> tuple[str, ...]:
        """The places of today that share the ground that ``code`` had at ``at``; itself, if
        nothing happened to it or to what lay above it."""
        step = self._next(code, at)
        if step is None:
            return (code,)
        since, successors = step
        found: set[str] = set()
        for successor in successors:
            # A part that keeps the code, and whatever happened to it later.
            found.update(self.present(successor, since))
        return tuple(sorted(found))

    def segments(self) -> list[Segment]:
        """The whole lineage as rows: for a look-up by code and time, the first that fits."""
        rows = []
        for code, steps in self._steps.items():
            for since, successors in steps:
                parts = sorted({one for new in successors for one in self.present(new, since)})
                rows.append(Segment(code, since, in_common(parts), tuple(parts)))
        return sorted(rows, key=lambda row: (-len(row.code), row.code, row.before))

    def _next(self, code: str, at: datetime) -> tuple[datetime, frozenset[str]] | None:
        """The first thing that happened after ``at`` to the place, else to the one above it."""
        for digits in sorted({*CODE_DIGITS.values()}, reverse=True):
            if digits > len(code):
                continue
            for since, successors in self._steps.get(code[:digits], ()):
                if since > at:
                    return since, successors
        return None


def in_common(codes: Sequence[str]) -> str:
    """The deepest place that holds all of these; "" if there is none."""
    for digits in (*sorted(CODE_DIGITS.values(), reverse=True), COUNTY_DIGITS):
        heads = {code[:digits] if len(code) >= digits else "" for code in codes}
        if len(heads) == 1 and heads != {""}:
            return heads.pop()
    return ""
