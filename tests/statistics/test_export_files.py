"""The three forms of a file, without a database: nothing in them computes, nothing is rounded."""

import csv
import io
import json
import zipfile
from contextlib import ExitStack
from datetime import UTC, datetime

import openpyxl
import pytest

from app.statistics import export_files
from app.statistics.export_files import Column, Sheet
from app.statistics.kinds import ExportFormat, SheetName
from app.statistics.workbook import Book, Percent, letters

NASTY = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "=cmd|' /C calc'!A0", "'=1",
    "123456789012345678", "a&b<c>\"d\"", "_x0041_", "汉字\n第二行", " 空格 ",
]  # fmt: skip
SHEET = Sheet(SheetName.SUMMARY, [Column("text", "=标题"), Column("value", "数值")])


def written(tmp_path, form, rows, wanted=SheetName.SUMMARY):
    path = tmp_path / f"file.{form}"
    with ExitStack() as stack:
        writer = export_files.writer(form, path, stack, {"digest": "0" * 64}, wanted)
        writer.sheet(SHEET)
        writer.write(rows)
        writer.end()
    return path


def test_no_text_of_a_workbook_is_more_than_a_text(tmp_path):
    path = written(tmp_path, ExportFormat.XLSX, [[text, None] for text in NASTY])
    sheet = openpyxl.load_workbook(path)["汇总"]
    cells = [sheet.cell(row, 1) for row in range(2, len(NASTY) + 2)]
    assert {cell.data_type for cell in cells} == {"s"}
    # openpyxl does not read _xHHHH_ in inline strings; Excel does.
    read = [cell.value.replace("_x005F", "").replace("_x000D_", "\r") for cell in cells]
    assert read == NASTY
    raw = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in raw
    assert sheet["A1"].value == "=标题"
    assert sheet["A1"].data_type == "s"


def test_numbers_of_a_workbook_have_their_formats(tmp_path):
    at = datetime(2026, 3, 1, 16, 30, 59, tzinfo=UTC)
    rows = [["a", 7], ["b", 1.25], ["c", Percent(0.9418)], ["d", at], ["e", None]]
    sheet = openpyxl.load_workbook(written(tmp_path, ExportFormat.XLSX, rows))["汇总"]
    cells = [sheet.cell(row, 2) for row in range(2, 7)]
    assert [cell.number_format for cell in cells[:3]] == ["0", "0.00", "0.00%"]
    assert [cell.value for cell in cells[:3]] == [7, 1.25, 0.9418]
    shown = cells[3].value.replace(microsecond=0)
    assert shown == datetime(2026, 3, 2, 0, 30, 59)  # local time
    assert cells[4].value is None


def test_no_text_of_a_csv_computes_and_long_numbers_stay(tmp_path):
    path = written(tmp_path, ExportFormat.CSV, [[text, -1.5] for text in NASTY])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    texts = [row[0] for row in rows[1:]]
    assert not [text for text in texts if text[:1] in tuple("=+-@\t\r＝＋－＠")]
    marked = NASTY[:8] + NASTY[9:10]
    assert texts == [f"'{text}" if text in marked else text for text in NASTY]
    assert {row[1] for row in rows[1:]} == {"-1.5"}  # our own number, not a text


def test_a_csv_holds_the_one_sheet_that_is_wanted(tmp_path):
    path = written(tmp_path, ExportFormat.CSV, [["a", 1]], wanted=SheetName.DETAIL)
    assert path.read_bytes() == b"\xef\xbb\xbf" or path.read_bytes() == b""


def test_json_is_one_document_with_every_text_as_it_was(tmp_path):
    path = written(tmp_path, ExportFormat.JSON, [[text, Percent(0.5)] for text in NASTY])
    told = json.loads(path.read_bytes())
    assert told["about"] == {"digest": "0" * 64}
    assert told["summary"] == [{"text": text, "value": 0.5} for text in NASTY]


def test_a_full_sheet_goes_on_in_another(tmp_path):
    path = tmp_path / "book.xlsx"
    with Book(path, footer="a&b", most_rows=4) as book:
        book.sheet("明细", ["列"], [10])
        book.write([[f"行{number}"] for number in range(7)])
        book.sheet("口径", ["列"], [10])
    read = openpyxl.load_workbook(path)
    assert read.sheetnames == ["明细", "明细 2", "明细 3", "口径"]
    rows = [[cell[0] for cell in sheet.values] for sheet in read]
    assert rows == [
        ["列", "行0", "行1", "行2"], ["列", "行3", "行4", "行5"], ["列", "行6"], ["列"],
    ]  # fmt: skip
    assert read["明细 3"].auto_filter.ref == "A1:A2"
    assert read["明细"].oddFooter.left.text == "a&&b"  # one &, as footers write it


def test_half_a_book_is_no_book(tmp_path):
    path = tmp_path / "book.xlsx"
    with ExitStack() as stack:
        book = stack.enter_context(Book(path, footer="x"))
        book.sheet("明细", ["一列"], [10])
        with pytest.raises(ValueError, match="zip"):
            book.write([["两", "列"]])
        stack.pop_all().__exit__(ValueError, ValueError(), None)
    with pytest.raises((KeyError, ValueError, zipfile.BadZipFile)):
        openpyxl.load_workbook(path)


@pytest.mark.parametrize(("at", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ")])
def test_columns_have_their_letters(at, name):
    assert letters(at) == name
