"""Sums as they were read: columns of cells, and what the numbers in them mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy
from numpy.typing import NDArray

from app.statistics.cells import Cells, first_of_month, number_of
from app.statistics.cohorts import Requests, needed
from app.statistics.predicates import PLAIN
from app.statistics.spans import COHORTS, KINDS, OVERLAP, WORDS, plain, reading
from app.statistics.sums import DAY, DEFINED, MONTH, SUBMITTED, TENTHS, Sum
from app.store.session import Columns, Database

Stretch = tuple[date, date]  # [first, past)
Words = tuple[str | None, ...]  # the keys of one code by their numbers
Kinds = tuple[tuple[str, str], ...]  # units and their kinds


@dataclass(frozen=True, slots=True)
class Windows:
    """Which local days to read, none of them twice: in whole months, and day by day."""

    months: tuple[Stretch, ...]
    days: tuple[Stretch, ...]

    @property
    def grains(self) -> tuple[str, ...]:
        return (*((MONTH,) if self.months else ()), *((DAY,) if self.days else ()))


@dataclass(frozen=True, slots=True)
class Sheet:
    """What was read: the cells of each sum, and what their numbers mean."""

    cells: Mapping[Sum, Cells]
    words: Mapping[str, Words]
    kinds: Kinds


async def read(db: Database, wanted: Sequence[Sum], windows: Windows, *, now: datetime) -> Sheet:
    """Read sums, or as much of each as is wanted: some of its conditions, some denominators.

    All facets of ``wanted`` are kept for days, or ``windows`` has none.
    """
    statement = reading(tuple(wanted), windows.grains)
    values: dict[str, object] = {"overlap": OVERLAP, "definitions": DEFINED, "now": now}
    for grain, stretches in ((MONTH, windows.months), (DAY, windows.days)):
        values[f"{grain}_first"] = [first for first, _ in stretches]
        values[f"{grain}_past"] = [past for _, past in stretches]
    rows = await db.rows(statement, **{name: values[name] for name in statement.names})
    return _sheet(wanted, windows, rows)


def _sheet(wanted: Sequence[Sum], windows: Windows, rows: Sequence[Columns]) -> Sheet:
    words: dict[str, list[str | None]] = {it: [None] for one in wanted for it in one.facet.codes}
    kinds: Kinds = ()
    pieces: list[list[Cells]] = [[] for _ in wanted]
    for row in sorted(rows, key=lambda row: int(row["sum"])):
        if row["sum"] == WORDS:
            if row["k0"]:
                _name(words, row["found_buckets"], row["k0"], row["k1"])
        elif row["sum"] == KINDS:
            kinds = tuple(zip(row["k0"] or (), row["k1"] or (), strict=True))
        elif row["sum"] == COHORTS:
            requests = _one_by_one(wanted, row)
            within = windows.months if row["grain"] == MONTH else windows.days
            for number, one in enumerate(wanted):
                if some := requests.cells(one, row["grain"]):
                    pieces[number].append(_inside(some, within))
        else:
            one = wanted[row["sum"]]
            monthly = row["grain"] == MONTH
            within = windows.months if monthly else windows.days
            for some in (_kept(one, row, monthly), _found(one, row, words)):
                if some is not None:
                    pieces[row["sum"]].append(_inside(some, within))
    cells = {one: _together(one, them) for one, them in zip(wanted, pieces, strict=True)}
    return Sheet(cells, {code: tuple(them) for code, them in words.items()}, kinds)


def _name(
    words: dict[str, list[str | None]], numbers: list[int], codes: list[str], keys: list[str]
) -> None:
    size = max(numbers) + 1
    for them in words.values():
        them += [None] * (size - len(them))
    for number, code, key in zip(numbers, codes, keys, strict=True):
        words[code][number] = key or None


def _kept(one: Sum, row: Columns, monthly: bool) -> Cells | None:
    if row["lows"] is None:
        return None
    if one.instant == SUBMITTED:  # one bucket for each span
        lows = numpy.array(row["lows"], dtype=numpy.int32)
        buckets = numpy.repeat(first_of_month(lows) if monthly else lows, row["sizes"])
    else:
        buckets = numpy.frombuffer(row["buckets"], dtype="<i4")
        buckets = first_of_month(buckets) if monthly else buckets
    numbers = [numpy.frombuffer(it, dtype="<i4") for it in row["counts"]]
    people = [numpy.frombuffer(it, dtype="<u8") for it in row["people"]]
    counted = dict(zip(plain(one.conditions), numbers, strict=True))
    behind = dict(zip(plain(one.dens), people, strict=True))
    return Cells(
        buckets,
        tuple(numpy.frombuffer(it, dtype="<i4") for it in row["codes"]),
        {name: counted[PLAIN[name]] for name in one.conditions},
        {name: behind[PLAIN[name]] for name in one.dens},
    )


def _one_by_one(wanted: Sequence[Sum], row: Columns) -> Requests:
    """The requests of cohorts, but for those that are among what was found."""
    columns = needed(wanted)
    bytes_of = row["codes"] if row["lows"] else [b""] * len(columns)
    pieces = {column.name: piece for column, piece in zip(columns, bytes_of, strict=True)}
    requests = Requests.read(row["lows"] or (), row["sizes"] or (), pieces)
    return requests.without(row["buckets"] or b"")


def _found(one: Sum, row: Columns, words: dict[str, list[str | None]]) -> Cells | None:
    if row["found_buckets"] is None:
        return None
    codes = []
    for code, keys in zip(one.facet.codes, (row["k0"], row["k1"]), strict=False):
        if code == TENTHS:
            codes.append(numpy.array([int(key) for key in keys], dtype=numpy.int32))
            continue
        known: dict[str | None, int] = {
            key: number for number, key in enumerate(words[code]) if key is not None
        }
        known[None] = 0  # what has no number is nobody's
        for key in set(keys).difference(known):
            known[key] = len(words[code])  # for this answer alone
            words[code].append(key)
        codes.append(numpy.array([known[key] for key in keys], dtype=numpy.int32))
    size = len(row["found_buckets"])
    counts = numpy.array(row["found_counts"] or [], dtype=numpy.int32).reshape(size, -1).T
    people = numpy.array(row["found_people"] or [], dtype=numpy.int64).reshape(size, -1).T
    return Cells(
        numpy.array(row["found_buckets"], dtype=numpy.int32),
        tuple(codes),
        dict(zip(one.conditions, counts, strict=True)),
        dict(zip(one.dens, people.view(numpy.uint64), strict=True)),
    )


def _inside(cells: Cells, within: Sequence[Stretch]) -> Cells:
    """A span may reach further than what is asked."""
    inside = numpy.zeros(len(cells.buckets), dtype=bool)
    for first, past in within:
        inside |= (cells.buckets >= number_of(first)) & (cells.buckets < number_of(past))
    return cells if inside.all() else cells.where(inside)


def _together(one: Sum, pieces: Sequence[Cells]) -> Cells:
    def joined(columns: list[NDArray[Any]], kind: type) -> NDArray[Any]:
        if len(columns) == 1:
            return columns[0]
        return numpy.concatenate(columns) if columns else numpy.empty(0, dtype=kind)

    return Cells(
        joined([it.buckets for it in pieces], numpy.int32),
        tuple(
            joined([it.codes[place] for it in pieces], numpy.int32)
            for place in range(len(one.facet.codes))
        ),
        {name: joined([it.counts[name] for it in pieces], numpy.int32) for name in one.conditions},
        {name: joined([it.people[name] for it in pieces], numpy.uint64) for name in one.dens},
    )
