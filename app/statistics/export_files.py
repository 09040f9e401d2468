"""A file of tables in one of three forms, written row by row by the job that made the rows.

Whoever opens it in an office program must be safe from what others have typed: see ``safe``.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

import orjson

from app.statistics.kinds import SHEET_TEXT, ExportFormat, SheetName
from app.statistics.workbook import Book, Value
from app.web.wire import CHINA

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # how a program is told to compute; full width too
_MANY_DIGITS = re.compile(r"[0-9]{12,}")  # an office program would round them
_BLOCK = 1 << 20

MEDIA_TYPE: dict[ExportFormat, str] = {
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.CSV: "text/csv",
    ExportFormat.JSON: "application/json",
}


@dataclass(frozen=True, slots=True)
class Column:
    """``key``: its name in JSON; ``title``: what people read; ``width`` in characters."""

    key: str
    title: str
    width: int = 12


@dataclass(frozen=True, slots=True)
class Sheet:
    name: SheetName
    columns: Sequence[Column]


class Writer(Protocol):
    """Takes the sheets one after the other, and the end only if all went well."""

    def sheet(self, sheet: Sheet) -> None: ...
    def write(self, rows: Iterable[Sequence[Value]]) -> None: ...
    def end(self) -> None: ...


def writer(
    form: ExportFormat,
    path: Path,
    open_files: ExitStack,
    about: Mapping[str, Any],
    wanted: SheetName,
) -> Writer:
    """Open a file that ``open_files`` closes. ``about['digest']`` goes into the footers."""
    match form:
        case ExportFormat.XLSX:
            return XlsxFile(path, open_files, about)
        case ExportFormat.CSV:
            return CsvFile(path, open_files, wanted)
        case ExportFormat.JSON:
            return JsonFile(path, open_files, about)


def safe(text: str) -> str:
    """A text as a cell of a CSV: an apostrophe before what a program would compute or round."""
    if text.startswith(_FORMULA) or _MANY_DIGITS.fullmatch(text):
        return f"'{text}"
    return text


class XlsxFile:
    """All sheets as sheets."""

    def __init__(self, path: Path, open_files: ExitStack, about: Mapping[str, Any]) -> None:
        footer = f"连心统计 数据摘要 sha256:{about['digest']}"
        self._book = open_files.enter_context(Book(path, footer=footer))

    def write(self, rows: Iterable[Sequence[Value]]) -> None:
        self._book.write(rows)

    def end(self) -> None:
        """The book ends itself."""

    def sheet(self, sheet: Sheet) -> None:
        self._book.sheet(
            SHEET_TEXT[sheet.name],
            [column.title for column in sheet.columns],
            [column.width for column in sheet.columns],
        )


class CsvFile:
    """One of the sheets; UTF-8 with a byte order mark, lines end with CR LF."""

    def __init__(self, path: Path, open_files: ExitStack, wanted: SheetName) -> None:
        file: TextIO = open_files.enter_context(path.open("w", encoding="utf-8-sig", newline=""))
        self._csv = csv.writer(file)
        self._wanted = wanted
        self._on = False

    def sheet(self, sheet: Sheet) -> None:
        self._on = sheet.name is self._wanted
        if self._on:
            self._csv.writerow([column.title for column in sheet.columns])

    def write(self, rows: Iterable[Sequence[Value]]) -> None:
        if self._on:
            self._csv.writerows([_plain(value) for value in row] for row in rows)

    def end(self) -> None:
        """Nothing follows the last row."""


def _plain(value: Value) -> str | int | float | None:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, datetime):
        return value.astimezone(CHINA).isoformat()
    return float(value) if isinstance(value, float) else value


class JsonFile:
    """One document: what it is about, then each sheet as a list of objects, a line each."""

    def __init__(self, path: Path, open_files: ExitStack, about: Mapping[str, Any]) -> None:
        self._file = open_files.enter_context(path.open("wb"))
        self._file.write(b'{"about":' + orjson.dumps(about))
        self._keys: list[str] = []
        self._first, self._on = True, False

    def sheet(self, sheet: Sheet) -> None:
        self._end()
        self._keys = [str(column.key) for column in sheet.columns]
        self._first = self._on = True
        self._file.write(b',\n"%s":[' % sheet.name.encode())

    def write(self, rows: Iterable[Sequence[Value]]) -> None:
        lines = [
            orjson.dumps(dict(zip(self._keys, map(_of_json, row), strict=True))) for row in rows
        ]
        if lines:
            self._file.write((b"\n" if self._first else b",\n") + b",\n".join(lines))
            self._first = False

    def end(self) -> None:
        self._end()
        self._file.write(b"}\n")

    def _end(self) -> None:
        if self._on:
            self._file.write(b"]")


def _of_json(value: Value) -> str | int | float | None:
    if isinstance(value, datetime):
        return value.astimezone(CHINA).isoformat()
    return float(value) if isinstance(value, float) else value


def fingerprint(path: Path) -> tuple[bytes, int]:
    """SHA-256 and size of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.digest(), size
