"""Reading the rows of a CSV file that ``lianxin replay`` drives: one at a time, nothing changed."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_GZIP = b"\x1f\x8b"
_LONGEST_CELL = 2**31 - 1  # the service refuses what is too long, not the reader
USUAL_NAMES = {"text": "detail", "title": "topic", "id": "rid", "label": "label", "time": "time"}


class FileBroken(Exception):
    """The file cannot be read as a UTF-8 CSV file from here on."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message. ``number`` counts from 1; without an id column the id is ``row-<number>``."""

    number: int
    id: str
    text: str
    title: str = ""
    label: str = ""
    time: datetime | None = None
    surplus: bool = False  # more cells than the heading names


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a line each part of a row stands; None: the file has no such column."""

    text: int
    title: int | None
    id: int | None
    label: int | None
    time: int | None
    count: int

    @classmethod
    def of(cls, heading: list[str], wanted: dict[str, str | None]) -> "Columns":
        """Find the columns by name.

        Args:
            wanted: part → the name the operator gave, or None for the usual one.

        Raises:
            FileBroken: a name that was given, or the text's, is not in the heading, or is there
                twice.
        """
        places: dict[str, int | None] = {}
        for part, usual in USUAL_NAMES.items():
            name = wanted.get(part) or usual
            if heading.count(name) > 1:
                raise FileBroken(f"there are two columns {name!r}")
            places[part] = heading.index(name) if name in heading else None
            if places[part] is None and (wanted.get(part) or part == "text"):
                named = ", ".join(heading) or "nothing"
                raise FileBroken(f"there is no column {name!r}; the heading names: {named}")
        text = places["text"]
        assert text is not None  # noqa: S101 - or it was raised above
        return cls(
            text=text,
            title=places["title"],
            id=places["id"],
            label=places["label"],
            time=places["time"],
            count=len(heading),
        )

    def row(self, number: int, cells: list[str]) -> Row:
        def cell(place: int | None) -> str:
            return cells[place] if place is not None and place < len(cells) else ""

        return Row(
            number=number,
            id=cell(self.id).strip() or f"row-{number}",
            text=cell(self.text),
            title=cell(self.title),
            label=cell(self.label).strip(),
            time=_moment(cell(self.time)),
            surplus=len(cells) > self.count,
        )


def _moment(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written.strip()).replace(tzinfo=None)
    except ValueError:
        return None


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[list[str]]]:
    """The cells of each line that is not empty, gzip or plain, with or without a BOM."""
    csv.field_size_limit(_LONGEST_CELL)
    with file.open("rb") as raw:
        packed = raw.peek(2)[:2] == _GZIP
        binary: gzip.GzipFile | io.BufferedReader = gzip.GzipFile(fileobj=raw) if packed else raw
        with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as written:
            yield _cells(written)


def _cells(written: io.TextIOWrapper) -> Iterator[list[str]]:
    lines = csv.reader(written, strict=True)
    try:
        yield from (cells for cells in lines if cells)
    except UnicodeDecodeError:
        raise FileBroken(f"not UTF-8 after line {lines.line_num}") from None
    except (csv.Error, OSError, EOFError, zlib.error) as error:
        raise FileBroken(f"after line {lines.line_num}: {error}") from None


def read(file: Path, wanted: dict[str, str | None], limit: int | None = None) -> Iterator[Row]:
    """Yield the rows, at most ``limit``; the file is open no longer than that takes.

    Raises:
        FileBroken: no such column, or not a UTF-8 CSV file from some line on.
    """
    with _lines(file) as lines:
        columns = Columns.of(next(lines, []), wanted)
        for number, cells in enumerate(lines, 1):
            if limit is not None and number > limit:
                return
            yield columns.row(number, cells)


def count(file: Path, limit: int | None = None) -> int | None:
    """How many rows there are to read; None if that cannot be known beforehand."""
    if not file.is_file():  # a pipe can be read only once
        return None
    try:
        with _lines(file) as lines:
            found = max(sum(1 for _ in lines) - 1, 0)
    except FileBroken:
        return None
    return found if limit is None else min(found, limit)
