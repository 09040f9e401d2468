"""The requests of a cohort one by one, as columns (``statistics_cohorts``): what each counts for.

What is not clean in the sums is added up from these. A cohort holds until time itself changes what
one of its requests counts for (``holds_until``); who was touched since it was made, or is excluded
from some figure, is left out of it and looked up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy
from numpy.typing import NDArray

from app.statistics.cells import Cells, Ints, People, first_of_month, number_of
from app.statistics.predicates import OFFICE_TENTHS, PLAIN
from app.statistics.sums import (
    CODES,
    CONDITIONS,
    EPOCH,
    EVERYBODY,
    INSTANTS,
    MONTH,
    PERSON,
    SETTLED,
    TENTHS,
    TIMED_DEN,
    Sum,
    local_day,
)

NEVER = -(2**31)  # as the day of an instant that is not known
UNTIMED = -1
# The only instants by which a condition asks for the time; it changes when one is passed.
DUES = (
    "requests.contact_due_at",
    "requests.reply_due_at",
    "reply.original_due_at",
    "accept.due_at",
)

Flags = NDArray[numpy.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """``sql``: the bytes of one request. ``kind``: as NumPy reads them."""

    name: str
    sql: str
    kind: str
    offset: int  # of the whole column, in bytes for each request

    @property
    def width(self) -> int:
        return numpy.dtype(self.kind).itemsize


def _columns() -> Iterator[tuple[str, str, str]]:
    yield "id", "uuid_send(requests.id)", "V16"
    for instant in INSTANTS:
        day = f"{local_day(instant)} - DATE '{EPOCH}'"
        yield instant, f"int4send(coalesce({day}, {NEVER}))", ">i4"
    for code in CODES:
        yield code, f"int4send(key_{code}.number)", ">i4"
    timed = f"{PLAIN[TIMED_DEN]} AND requests.office_s IS NOT NULL"
    yield TENTHS, f"int4send(CASE WHEN {timed} THEN {OFFICE_TENTHS} ELSE {UNTIMED} END)", ">i4"
    flags = (*CONDITIONS, SETTLED)
    bits = " | ".join(f"(({it})::int::bigint << {at})" for at, it in enumerate(flags))
    yield "flags", f"int8send({bits})", ">i8"
    yield "person", f"int4send({PERSON}::int)", ">i4"


def _laid_out() -> Iterator[Column]:
    offset = 0
    for name, sql, kind in _columns():
        column = Column(name, sql, kind, offset)
        offset += column.width
        yield column


COLUMNS: Mapping[str, Column] = {column.name: column for column in _laid_out()}
# All columns of a cohort as bytes: numbers need no reading one by one.
TOGETHER = " || ".join(
    f"string_agg({column.sql}, '' ORDER BY requests.id)" for column in COLUMNS.values()
)


def _key_of(code: str, sql: str) -> str:
    """One by one: of a plain join the planner expects no row at all, and it read all grids for each
    request."""
    return f"""CROSS JOIN LATERAL (SELECT number FROM statistics_keys
  WHERE code = '{code}' AND key = coalesce({sql}, '') LIMIT 1) AS key_{code}"""  # noqa: S608


JOIN_KEYS = " ".join(_key_of(code, sql) for code, sql in CODES.items())
# The next instant after which something may change; a ``least`` of none is NULL.
NEXT_DUE = (
    f"""least({", ".join(f"CASE WHEN {it} >= :now::timestamptz THEN {it} END" for it in DUES)})"""
)


def needed(wanted: Sequence[Sum]) -> tuple[Column, ...]:
    """Which columns tell these sums."""
    names = ["id", "flags", *(one.instant for one in wanted)]
    names += [code for one in wanted for code in one.facet.codes]
    if any(one.dens for one in wanted):
        names.append("person")
    return tuple(COLUMNS[name] for name in dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Requests:
    """Columns of requests, in the order of their cohorts, by name: all, or as many as were read.

    Attributes:
        cohorts: local days of submission since 1970.
    """

    cohorts: Ints
    columns: Mapping[str, NDArray[Any]]
    _flags: dict[str, Flags] = field(default_factory=dict)

    @classmethod
    def read(
        cls, days: Sequence[int], sizes: Sequence[int], pieces: Mapping[str, bytes]
    ) -> "Requests":
        """Args: ``pieces``: one column of all cohorts together; ``sizes``: requests of each."""
        cohorts = numpy.repeat(numpy.array(days, dtype=numpy.int32), sizes)
        columns = {}
        for name, piece in pieces.items():
            kind = COLUMNS[name].kind
            columns[name] = numpy.frombuffer(piece, dtype=kind)
            if kind[0] == ">":
                columns[name] = columns[name].astype(kind[1:])
        return cls(cohorts, columns)

    def __len__(self) -> int:
        return len(self.cohorts)

    @property
    def ids(self) -> NDArray[Any]:
        return self.columns["id"]

    @property
    def settled(self) -> Flags:
        return self.meeting(SETTLED)

    def meeting(self, condition: str) -> Flags:
        """Who meets it, as far as nobody is excluded."""
        condition = PLAIN.get(condition, condition)
        if condition not in self._flags:
            bit = len(CONDITIONS) if condition == SETTLED else CONDITIONS.index(condition)
            self._flags[condition] = (self.columns["flags"] >> bit & 1).astype(bool)
        return self._flags[condition]

    def where(self, chosen: Flags | slice) -> "Requests":
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return Requests(self.cohorts[chosen], columns)

    def of_days(self, first: date, past: date) -> "Requests":
        """Those submitted then."""
        edges = numpy.searchsorted(self.cohorts, [number_of(first), number_of(past)])
        return self.where(slice(*edges.tolist()))

    def without(self, ids: bytes) -> "Requests":
        """Args: ``ids``: of 16 bytes each."""
        left = {ids[at : at + 16] for at in range(0, len(ids), 16)}
        if not left or not len(self):
            return self
        # The second half of an id is random: what it does not tell apart is looked at whole.
        halves = self.ids.view("u8")[1::2]
        alike = numpy.isin(halves, numpy.frombuffer(ids, dtype="u8")[1::2])
        for at in numpy.flatnonzero(alike).tolist():
            alike[at] = self.ids[at].tobytes() in left
        return self.where(~alike)

    def cells(self, one: Sum, span: str) -> Cells | None:
        """Of each request a cell, where a sum has any of it; None if it has none."""
        days = self.columns[one.instant]
        there: Flags = days != NEVER
        if TENTHS in one.facet.codes:
            there &= self.columns[TENTHS] != UNTIMED
        if not there.any():
            return None
        if not there.all():
            return self.where(there).cells(one, span)
        people: Mapping[str, People] = {}
        if one.dens:
            bits = numpy.uint64(1) << self.columns["person"].astype(numpy.uint64)
            people = {den: numpy.where(self.meeting(den), bits, 0) for den in one.dens}
        return Cells(
            first_of_month(days) if span == MONTH else days,
            tuple(self.columns[code] for code in one.facet.codes),
            {
                name: numpy.ones(len(self), dtype=numpy.int32)
                if name == EVERYBODY
                else self.meeting(name).astype(numpy.int32)
                for name in one.conditions
            },
            people,
        )
