"""Requests folded into cells, and cells packed into the vectors of ``statistics_sums``. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy
from numpy.typing import NDArray

from app.statistics.sheets import Ints, People, day_of, first_of_month, number_of
from app.statistics.sums import CONDITIONS, DAY, EVERYBODY, MONTH, SUBMITTED, SUMS, TENTHS, Sum

NEVER = -(2**31)  # as the day of an instant that is not known
UNTIMED = -1

Flags = NDArray[numpy.bool_]


@dataclass(frozen=True, slots=True)
class Requests:
    """Columns of requests.

    Attributes:
        cohorts, days: local days since 1970; the latter by instant, ``NEVER`` where there is none.
        codes: by code, as ``statistics_keys`` numbers them; ``tenths`` too, or ``UNTIMED``.
        flags: by condition, who meets it.
        people: one bit of 64 for each.
    """

    cohorts: Ints
    days: Mapping[str, Ints]
    codes: Mapping[str, Ints]
    flags: Mapping[str, Flags]
    people: People

    def of_days(self, first: date, past: date) -> "Requests":
        """Those submitted then; the columns must be in the order of ``cohorts``."""
        edges = numpy.searchsorted(self.cohorts, [number_of(first), number_of(past)])
        part = slice(*edges.tolist())
        return Requests(
            self.cohorts[part],
            {name: it[part] for name, it in self.days.items()},
            {name: it[part] for name, it in self.codes.items()},
            {name: it[part] for name, it in self.flags.items()},
            self.people[part],
        )


def requests_of(rows: Sequence[Mapping[str, Any]]) -> Requests:
    """Read what ``rollup_making`` asks the database for, run by run: columns as bytes, network
    order."""

    def read(name: str, kind: str) -> NDArray[Any]:
        together = b"".join(row[name] or b"" for row in rows)
        return numpy.frombuffer(together, dtype=kind).astype(kind.replace(">", "="))

    def column(name: str, kind: str = ">i4") -> NDArray[Any]:
        return read(name, kind)[order]

    order = numpy.argsort(read("cohort", ">i4"), kind="stable")
    instants = dict.fromkeys(instant for _, instant in SUMS)
    codes = dict.fromkeys(code for facet, _ in SUMS for code in facet.codes)
    mask = column("mask", ">i8")
    return Requests(
        column("cohort"),
        {instant: column(f"day_{at}") for at, instant in enumerate(instants)},
        {code: column(f"code_{code}") for code in codes},
        {it: (mask >> at & 1).astype(bool) for at, it in enumerate(CONDITIONS)},
        numpy.uint64(1) << column("person").astype(numpy.uint64),
    )


def fold(requests: Requests, span: str) -> Iterator[dict[str, Any]]:
    """Rows of ``statistics_sums``, without the span's name."""
    for one in SUMS.values():
        if span == DAY and not one.facet.is_daily:
            continue
        row = _row(requests, one, span)
        if row is not None:
            yield {"facet": one.facet.name, "instant": one.instant, **row}


def _row(requests: Requests, one: Sum, span: str) -> dict[str, Any] | None:
    days = requests.days[one.instant]
    there = days != NEVER
    if TENTHS in one.facet.codes:
        there &= requests.codes[TENTHS] != UNTIMED
    if not there.any():
        return None
    whole = bool(there.all())

    def some(column: NDArray[Any]) -> NDArray[Any]:
        return column if whole else column[there]

    buckets = first_of_month(some(days)) if span == MONTH else some(days)
    axes = [buckets, *(some(requests.codes[code]) for code in one.facet.codes)]
    lows = [int(axis.min()) for axis in axes]
    sizes = [int(axis.max()) - low + 1 for axis, low in zip(axes, lows, strict=True)]
    place = numpy.zeros(len(buckets), dtype=numpy.int64)
    for axis, low, size in zip(axes, lows, sizes, strict=True):
        place = place * size + (axis - low)
    cells, of_cell = numpy.unique(place, return_inverse=True)
    vectors, rest = [], cells
    for low, size in zip(reversed(lows), reversed(sizes), strict=True):
        rest, at = numpy.divmod(rest, size)
        vectors.append((at + low).astype("<i4"))
    told_buckets, *codes = reversed(vectors)
    counts = [
        numpy.bincount(
            of_cell if name == EVERYBODY else of_cell[some(requests.flags[name])],
            minlength=len(cells),
        ).astype("<i4")
        for name in one.conditions
    ]
    people = [
        _together(of_cell, some(requests.people), some(requests.flags[den]), len(cells))
        for den in one.dens
    ]
    return {
        "low": day_of(int(told_buckets[0])),
        "high": day_of(int(told_buckets[-1])),
        "cells": len(cells),
        "buckets": None if one.instant == SUBMITTED else told_buckets.tobytes(),
        "codes": b"".join(it.tobytes() for it in codes),
        "counts": b"".join(it.tobytes() for it in counts),
        "people": b"".join(it.tobytes() for it in people),
    }


def _together(of_cell: NDArray[Any], people: People, chosen: Flags, size: int) -> People:
    found = numpy.zeros(size, dtype="<u8")
    numpy.bitwise_or.at(found, of_cell[chosen], people[chosen])
    return found
