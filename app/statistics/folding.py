"""Requests folded into cells, and cells packed into the vectors of ``statistics_sums``. Pure."""

from collections.abc import Iterator
from typing import Any

import numpy
from numpy.typing import NDArray

from app.statistics.cells import Cells, People, day_of
from app.statistics.cohorts import Requests
from app.statistics.sums import DAY, SUBMITTED, SUMS, Sum


def fold(requests: Requests, span: str) -> Iterator[dict[str, Any]]:
    """Rows of ``statistics_sums``, without the span's name."""
    for one in SUMS.values():
        if span == DAY and not one.facet.is_daily:
            continue
        cells = requests.cells(one, span)
        if cells is not None:
            yield {"facet": one.facet.name, "instant": one.instant, **_row(one, cells)}


def _row(one: Sum, cells: Cells) -> dict[str, Any]:
    axes = [cells.buckets, *cells.codes]
    lows = [int(axis.min()) for axis in axes]
    sizes = [int(axis.max()) - low + 1 for axis, low in zip(axes, lows, strict=True)]
    place = numpy.zeros(len(cells.buckets), dtype=numpy.int64)
    for axis, low, size in zip(axes, lows, sizes, strict=True):
        place = place * size + (axis - low)
    folded, into = numpy.unique(place, return_inverse=True)
    vectors, rest = [], folded
    for low, size in zip(reversed(lows), reversed(sizes), strict=True):
        rest, at = numpy.divmod(rest, size)
        vectors.append((at + low).astype("<i4"))
    buckets, *codes = reversed(vectors)
    size = len(folded)
    counts = [
        numpy.bincount(into, weights=cells.counts[name], minlength=size).astype("<i4")
        for name in one.conditions
    ]
    people = [_together(into, cells.people[den], size) for den in one.dens]
    return {
        "low": day_of(int(buckets[0])),
        "high": day_of(int(buckets[-1])),
        "cells": size,
        "buckets": None if one.instant == SUBMITTED else buckets.tobytes(),
        "codes": b"".join(it.tobytes() for it in codes),
        "counts": b"".join(it.tobytes() for it in counts),
        "people": b"".join(it.tobytes() for it in people),
    }


def _together(into: NDArray[Any], people: People, size: int) -> People:
    found = numpy.zeros(size, dtype="<u8")
    numpy.bitwise_or.at(found, into, people)
    return found
