"""Writing XLSX straight into a ZIP, row by row: any number of rows in the same memory.

Written here because a detail of 400,000 rows is: the customary libraries make an object or a call
of each cell. Only what our sheets need is known: one header row that stays in view, filters,
five number formats, a footer. Texts are always cells of the type *inline string*, so that no text
can become a formula, a link or a number, and 18 digits stay 18 digits.

Source: ECMA-376 part 1, SpreadsheetML; limits as Excel has them.
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

MOST_ROWS = 1_048_576  # of a sheet, its header included
MOST_TEXT = 32_767
_LONGEST_FOOTER = 255
_LONGEST_NAME = 31


class Percent(float):
    """A share that is shown as per cent."""


Value = str | int | float | datetime | None

# What XML 1.0 cannot hold, and what Excel would take for such an escape.
_NOT_PLAIN = re.compile("[&<>\x00-\x1f\ud800-\udfff\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_CHINA = timezone(timedelta(hours=8))
_DAY_ZERO = datetime(1899, 12, 30, tzinfo=_CHINA)
_DAY = timedelta(days=1)

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
# The styles by their place in cellXfs.
_HEADER, _WHOLE, _NUMBER, _PERCENT, _INSTANT, _TEXT = 1, 2, 3, 4, 5, 6
# 0, 0.00, 0.00%, ours, @
_FORMATS = "".join(
    f'<xf numFmtId="{number}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    for number in (1, 2, 10, 164, 49)
)
_STYLES = f"""{_XML}<styleSheet xmlns="{_MAIN}">\
<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>\
<fonts count="2"><font><sz val="11"/><name val="宋体"/></font>\
<font><b/><sz val="11"/><name val="宋体"/></font></fonts>\
<fills count="3"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill>\
<fill><patternFill patternType="solid"><fgColor rgb="FFE7EEF7"/><bgColor indexed="64"/>\
</patternFill></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>\
<cellXfs count="7"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyNumberFormat="1" \
applyFont="1" applyFill="1"/>\
{_FORMATS}</cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>\
</styleSheet>"""


def escaped(text: str) -> str:
    """``text`` as XML holds it and Excel reads it back."""
    if len(text) > MOST_TEXT:
        text = text[:MOST_TEXT]
    return text if _NOT_PLAIN.search(text) is None else _NOT_PLAIN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) > 1:
        return f"_x005F{found}"
    if found in "&<>":
        return escape(found)
    return found if found in "\t\n" else f"_x{ord(found):04X}_" if found < " " else "\ufffd"


def _text(value: str) -> str:
    return f' s="{_TEXT}" t="inlineStr"><is><t xml:space="preserve">{escaped(value)}</t></is></c>'


def _instant(value: datetime) -> str:
    return f' s="{_INSTANT}"><v>{(value - _DAY_ZERO) / _DAY:.8f}</v></c>'


_CELL: dict[type, Callable[..., str]] = {
    str: _text,
    int: lambda value: f' s="{_WHOLE}"><v>{value}</v></c>',
    float: lambda value: f' s="{_NUMBER}"><v>{value!r}</v></c>',
    Percent: lambda value: f' s="{_PERCENT}"><v>{float(value)!r}</v></c>',
    datetime: _instant,
}


def letters(column: int) -> str:
    """The name of a column, from 0: A, B, …, Z, AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


class Book:
    """``with Book(path) as book``: sheets one after the other, in the order they are read in.

    A sheet that is full goes on in another of the same header: 明细, 明细 2.
    """

    def __init__(self, path: Path, *, footer: str, most_rows: int = MOST_ROWS) -> None:
        """Args: ``footer`` left of the page's number, on every sheet."""
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=2)
        self._footer = f"&L{footer.replace('&', '&&')}&R第 &P 页，共 &N 页"
        if len(self._footer) > _LONGEST_FOOTER:
            raise ValueError("the footer is too long")
        self._most_rows = most_rows
        self._names: list[str] = []
        self._ends: list[str] = []  # of each sheet: its last cell
        self._stream: IO[bytes] | None = None
        self._row = 0
        self._header: Sequence[str] = ()
        self._widths: Sequence[int] = ()
        self._columns: list[str] = []

    def __enter__(self) -> "Book":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._end_sheet()
            self._end_book()
        elif self._stream is not None:
            self._stream.close()
        self._zip.close()

    def sheet(self, name: str, header: Sequence[str], widths: Sequence[int]) -> None:
        """Begin a sheet; the one before is finished."""
        self._end_sheet()
        self._header, self._widths = header, widths
        self._columns = [f'<c r="{letters(at)}' for at in range(len(header))]
        self._names.append(name[:_LONGEST_NAME])
        number = len(self._names)
        self._stream = self._zip.open(f"xl/worksheets/sheet{number}.xml", "w", force_zip64=True)
        cols = "".join(
            f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>'
            for at, width in enumerate(widths, 1)
        )
        selected = ' tabSelected="1"' if number == 1 else ""
        head = "".join(
            f'{column}1" s="{_HEADER}" t="inlineStr"><is><t>{escaped(title)}</t></is></c>'
            for column, title in zip(self._columns, header, strict=True)
        )
        self._stream.write(
            f'{_XML}<worksheet xmlns="{_MAIN}">'
            '<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
            f'<sheetViews><sheetView{selected} workbookViewId="0">'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
            '<selection pane="bottomLeft" activeCell="A2" sqref="A2"/></sheetView></sheetViews>'
            f'<cols>{cols}</cols><sheetData><row r="1">{head}</row>'.encode()
        )
        self._row = 1

    def write(self, rows: Iterable[Sequence[Value]]) -> None:
        """Add rows, each as long as the header. None is an empty cell."""
        lines: list[str] = []
        for row in rows:
            if self._row == self._most_rows:
                self._put(lines)
                lines = []
                self._go_on()
            self._row += 1
            end = f'{self._row}"'
            cells = [
                column + end + _CELL[type(value)](value)
                for column, value in zip(self._columns, row, strict=True)
                if value is not None
            ]
            lines.append(f'<row r="{self._row}">{"".join(cells)}</row>')
        self._put(lines)

    def _put(self, lines: list[str]) -> None:
        assert self._stream is not None  # noqa: S101 - a sheet was begun
        self._stream.write("".join(lines).encode())

    def _go_on(self) -> None:
        first = self._names[-1].partition(" ")[0]
        number = sum(name.partition(" ")[0] == first for name in self._names) + 1
        self.sheet(f"{first} {number}", self._header, self._widths)

    def _end_sheet(self) -> None:
        if self._stream is None:
            return
        last = f"{letters(len(self._header) - 1)}{self._row}"
        self._ends.append(last)
        self._stream.write(
            f'</sheetData><autoFilter ref="A1:{last}"/>'
            '<pageMargins left="0.5" right="0.5" top="0.6" bottom="0.8" header="0.3" footer="0.3"/>'
            '<pageSetup paperSize="9" orientation="landscape" fitToWidth="1" fitToHeight="0"/>'
            f"<headerFooter><oddFooter>{escape(self._footer)}</oddFooter></headerFooter>"
            "</worksheet>".encode()
        )
        self._stream.close()
        self._stream = None

    def _end_book(self) -> None:
        numbers = range(1, len(self._names) + 1)
        sheets = "".join(
            f'<sheet name="{escape(name)}" sheetId="{at}" r:id="rId{at}"/>'
            for at, name in enumerate(self._names, 1)
        )
        defined = "".join(
            f'<definedName name="_xlnm._FilterDatabase" localSheetId="{at}" hidden="1">'
            f"'{escape(name)}'!{_absolute(end)}</definedName>"
            for at, (name, end) in enumerate(zip(self._names, self._ends, strict=True))
        ) + "".join(
            f'<definedName name="_xlnm.Print_Titles" localSheetId="{at}">'
            f"'{escape(name)}'!$1:$1</definedName>"
            for at, name in enumerate(self._names)
        )
        worksheets = "".join(
            f'<Override PartName="/xl/worksheets/sheet{at}.xml"'
            f' ContentType="{_type("worksheet")}"/>'
            for at in numbers
        )
        related = "".join(
            f'<Relationship Id="rId{at}" Type="{_OFFICE}/worksheet"'
            f' Target="worksheets/sheet{at}.xml"/>'
            for at in numbers
        )
        parts = {
            "xl/styles.xml": _STYLES,
            "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
            f'<bookViews><workbookView activeTab="0"/></bookViews><sheets>{sheets}</sheets>'
            f"<definedNames>{defined}</definedNames></workbook>",
            "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
            f'{related}<Relationship Id="rId0" Type="{_OFFICE}/styles" Target="styles.xml"/>'
            "</Relationships>",
            "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
            "</Relationships>",
            "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels"'
            ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_type("sheet.main")}"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_type("styles")}"/>'
            f"{worksheets}</Types>",
        }
        for name, content in parts.items():
            self._zip.writestr(name, content)


def _type(part: str) -> str:
    return f"application/vnd.openxmlformats-officedocument.spreadsheetml.{part}+xml"


def _absolute(last: str) -> str:
    column = last.rstrip("0123456789")
    return f"$A$1:${column}${last[len(column) :]}"
