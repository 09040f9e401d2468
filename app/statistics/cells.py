"""Columns of cells, and days as numbers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy
from numpy.typing import NDArray

Ints = NDArray[numpy.int32]
People = NDArray[numpy.uint64]
_EPOCH = date(1970, 1, 1).toordinal()


def number_of(day: date) -> int:
    return day.toordinal() - _EPOCH


def day_of(number: int) -> date:
    return date.fromordinal(number + _EPOCH)


def first_of_month(days: Ints) -> Ints:
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(numpy.int32)


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns of cells. ``buckets``: the day, or the first of the month, in days since 1970;
    ``codes``: numbers in ``Sheet.words``; one array for each condition, and each denominator."""

    buckets: Ints
    codes: tuple[Ints, ...]
    counts: Mapping[str, Ints]
    people: Mapping[str, People]

    def where(self, chosen: NDArray[numpy.bool_]) -> "Cells":
        return Cells(
            self.buckets[chosen],
            tuple(it[chosen] for it in self.codes),
            {name: it[chosen] for name, it in self.counts.items()},
            {name: it[chosen] for name, it in self.people.items()},
        )
