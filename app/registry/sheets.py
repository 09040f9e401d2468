"""Reading CSV and XLSX row by row, as text, however large; and giving bad rows back in a file.

Only one row is in memory at a time. What an office program has spoiled is named, not guessed:
numbers longer than 15 digits in number cells, formulas, errors. A file that cannot be read as a
whole is ``SheetRefused``; a cell that cannot is a fault of its row.
"""

import codecs
import csv
import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from app.domain.errors import Invalid

MAX_BYTES = 200 * 1024 * 1024
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_COLUMNS = 60
MAX_CELL = 500
_MAX_LINE = 65_536
_BLOCK = 1 << 20
_EXACT = 10**15  # an office program keeps 15 digits of a number
_OFFICE_97 = bytes.fromhex("d0cf11e0a1b11ae1")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ERRORS_OF_XLSX = (InvalidFileException, zipfile.BadZipFile, ParseError, KeyError, ValueError,
                   TypeError, OSError, EOFError, IndexError)  # fmt: skip


class SheetRefused(Invalid):
    """文件无法读取，没有导入任何内容。"""

    code = "sheet_refused"


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number as people see it, its cells as text, what is wrong with cells."""

    number: int
    cells: list[str]
    faults: list[str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that can be read: what it is, its SHA-256, about how many rows it has."""

    path: Path
    encoding: str | None  # None: XLSX
    digest: str
    about_rows: int

    def rows(self) -> Iterator[Row]:
        """All rows that hold something, the header among them. Raises: SheetRefused."""
        return self._xlsx() if self.encoding is None else self._csv(self.encoding)

    def _csv(self, encoding: str) -> Iterator[Row]:
        with self.path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(_lines(file), delimiter=_delimiter(file), strict=True)
            while True:
                begins = reader.line_num + 1
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    raise SheetRefused(f"第{begins}行起的引号或换行不正确（{error}）") from None
                if cells is None:
                    return
                if any(cells):
                    yield _checked(begins, [_plain(cell) for cell in cells], [])

    def _xlsx(self) -> Iterator[Row]:
        try:
            book = openpyxl.load_workbook(self.path, read_only=True, keep_links=False)
            try:
                sheet = book.worksheets[0]
                sheet.reset_dimensions()  # what it says of its own size may be wrong
                for number, row in enumerate(sheet.iter_rows(), 1):
                    faults: list[str] = []
                    cells = [_cell_text(at, cell, faults) for at, cell in enumerate(row, 1)]
                    if any(cells) or faults:
                        yield _checked(number, cells, faults)
            finally:
                book.close()
        except SheetRefused:
            raise
        except _ERRORS_OF_XLSX as error:
            raise SheetRefused(f"不是完好的 XLSX 文件（{type(error).__name__}）") from None


def open_sheet(path: Path) -> Sheet:
    """Find out what a file is. Raises: SheetRefused."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise SheetRefused("文件是空的")
        if size > MAX_BYTES:
            most = MAX_BYTES // 1024**2
            raise SheetRefused(f"文件有 {size // 1024**2} MB，最多 {most} MB，请拆分后导入")
        with path.open("rb") as file:
            head = file.read(8)
        if head.startswith(_OFFICE_97):
            raise SheetRefused("旧版 .xls 或加密的文件，请另存为不加密的 .xlsx 或 CSV")
        if head.startswith(_UTF_16):
            raise SheetRefused("文件是 UTF-16 编码，请另存为 UTF-8 或 GB18030 编码的 CSV")
        if head.startswith(b"PK\x03\x04"):
            return Sheet(path, None, _digest(path), _unpacked_rows(path))
        return _text_sheet(path)
    except OSError as error:
        raise SheetRefused(str(error)) from None


# --- text ----------------------------------------------------------------------------------------


def _text_sheet(path: Path) -> Sheet:
    for encoding in ("utf-8-sig", "gb18030"):
        digest, lines = hashlib.sha256(), 0
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        try:
            for block in _blocks(path):
                if b"\0" in block:
                    raise SheetRefused("不是文本文件（含有空字节），请使用 CSV 或 XLSX")
                digest.update(block)
                lines += block.count(b"\n")
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return Sheet(path, encoding, digest.hexdigest(), lines)
    raise SheetRefused("文件既不是 UTF-8 也不是 GB18030 编码，请另存为 UTF-8 编码的 CSV")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _lines(file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            raise SheetRefused(f"第{number}行过长，这不像一张表格")
        yield line


def _delimiter(file: TextIO) -> str:
    """Comma, or what the first line has more of."""
    first = file.readline(_MAX_LINE)
    file.seek(0)
    return max(",\t;", key=first.count)


def _plain(cell: str) -> str:
    """Without what programs put around a text to keep it one: ``'0012``, ``="0012"``."""
    cell = cell.strip()
    if cell.startswith("'"):
        return cell[1:]
    if cell.startswith('="') and cell.endswith('"') and '"' not in cell[2:-1]:
        return cell[2:-1]
    return cell


def _checked(number: int, cells: list[str], faults: list[str]) -> Row:
    if len(cells) > MAX_COLUMNS:
        if any(cells[MAX_COLUMNS:]):
            raise SheetRefused(f"第{number}行有 {len(cells)} 列，最多 {MAX_COLUMNS} 列")
        del cells[MAX_COLUMNS:]
    for at, cell in enumerate(cells, 1):
        if cell[:1] == "=":
            faults.append(f"第{at}列是公式，请粘贴为数值")
        elif len(cell) > MAX_CELL:
            faults.append(f"第{at}列超过{MAX_CELL}个字")
    return Row(number, cells, faults)


# --- XLSX ----------------------------------------------------------------------------------------


def _unpacked_rows(path: Path) -> int:
    """About how many rows; refuses what would unpack to more than a sheet can be."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile:
        raise SheetRefused("不是完好的 XLSX 文件") from None
    if unpacked > MAX_UNPACKED_BYTES:
        raise SheetRefused("文件解压后过大，请拆分后导入")
    return unpacked // 600


def _cell_text(at: int, cell: Any, faults: list[str]) -> str:
    value = cell.value
    match value:
        case None:
            return ""
        case str():
            if cell.data_type == "e":
                faults.append(f"第{at}列是错误值 {value}")
            return value.strip() if cell.data_type == "f" else _plain(value)
        case bool():
            return "是" if value else "否"
        case int() | float():
            if abs(value) >= _EXACT:
                faults.append(f"第{at}列的数字超过15位，末尾已丢失，请把该列设为文本后重新填写")
            return str(int(value)) if value == value // 1 else repr(value)
        case datetime():
            return value.date().isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)


# --- back ----------------------------------------------------------------------------------------


class BadRows:
    """Rows on their way back, with what is wrong: a file of the same kind, the same columns.

    Written beside its place and put there at the end; only its owner can read it, because it holds
    personal data. No bad row, no file.
    """

    COLUMN = "错误"

    def __init__(self, path: Path, header: Sequence[str], *, xlsx: bool) -> None:
        self.path, self.count = path, 0
        self._header = [*header, self.COLUMN]
        self._scratch = path.with_name(f".{path.name}.{os.getpid()}")
        self._file: TextIO | None = None
        self._book = openpyxl.Workbook(write_only=True) if xlsx else None
        self._sheet = self._book.create_sheet() if self._book else None

    def __enter__(self) -> "BadRows":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        with suppress(FileNotFoundError):
            self._scratch.unlink()

    def add(self, cells: Sequence[str], errors: Iterable[str]) -> None:
        if self.count == 0:
            self._write(self._header)
        self.count += 1
        width = len(self._header) - 1
        self._write([*cells[:width], *[""] * (width - len(cells)), "；".join(errors)])

    def keep(self) -> Path | None:
        """Put the file in its place. None: there was nothing bad."""
        if self.count == 0:
            return None
        if self._book is not None:
            os.close(os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._book.save(self._scratch)
        elif self._file is not None:
            self._file.close()
        self._scratch.replace(self.path)
        return self.path

    def _write(self, cells: Sequence[str]) -> None:
        if self._sheet is not None:
            # A text that looks like a formula is written as the text it is.
            self._sheet.append([f"'{it}" if it[:1] == "=" else it for it in cells])
            return
        if self._file is None:
            descriptor = os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="")
        csv.writer(self._file).writerow(
            [f"'{it}" if it[:1] in "=+-@" and it else it for it in cells]
        )
