"""Files: previewed, applied, reported row by row; nothing lost and nothing half-applied."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text

from app.cli.registry import import_sheet
from app.domain.registry import Kind
from app.registry import columns, importing, sheets
from app.registry.columns import HeaderRefused
from app.registry.importing import Counts, ImportRunning
from app.registry.sheets import SheetRefused, open_sheet
from tests.city import GRID, NOW
from tests.registry.world import REGISTRY, id_number, record, send

HEADER = ("编号", "姓名", "手机号", "身份证号", "网格编码", "户编号", "与户主关系", "标签")


def person(serial: int, **cells: str) -> list[str]:
    row = {
        "编号": f"P{serial:05}",
        "姓名": "诸葛亮",
        "手机号": f"138{serial:08}",
        "身份证号": id_number(serial % 1000, f"19{60 + serial // 1000:02}0101"),
        "网格编码": GRID,
        **cells,
    }
    return [row.get(title, "") for title in HEADER]


def write_csv(
    path: Path, *rows: Sequence[str], header: Sequence[str] = HEADER, encoding: str = "utf-8"
) -> Path:
    with path.open("w", encoding=encoding, newline="", errors="strict") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def take(hall: Any, tmp_path: Path) -> Any:
    """``await take(file, Kind.PERSON)`` → counts and where the bad rows are."""

    async def take(
        file: Path, kind: Kind = Kind.PERSON, *, apply: bool = True, **options: Any
    ) -> tuple[Counts, Path | None]:
        async with hall.db.transaction() as session:
            return await import_sheet(
                session,
                hall.app.state.cipher,
                open_sheet(file),
                kind,
                apply=apply,
                bad=tmp_path / f"bad{file.suffix}",
                now=NOW,
                **options,
            )

    return take


async def stored(hall: Any, sql: str, **values: Any) -> list[Any]:
    async with hall.db.transaction() as session:
        return list(await session.execute(text(sql), values))


def counted(counts: Counts) -> dict[str, int]:
    return {str(outcome): count for outcome, count in counts.of.items() if count}


async def test_land_houses_households_and_persons_one_after_the_other(
    hall: Any, take: Any, tmp_path: Path, as_staff: Any
) -> None:
    point = ["36.26", "120.03", "wgs84"]
    where = ("纬度", "经度", "坐标系")
    files = [
        (Kind.PLOT, ("地块编号", "网格编码", "用途", "面积", *where),
         ["DK1", GRID, "宅基地", "200", *point]),
        (Kind.BUILDING, ("楼栋编号", "网格编码", "名称", "层数", "地块编号"),
         ["LD1", GRID, "1号楼", "6", "DK1"]),
        (Kind.HOUSE, ("房屋编号", "网格编码", "房屋地址", "楼栋编号"),
         ["FW1", GRID, "向阳路7号", "LD1"]),
        (Kind.HOUSEHOLD, ("户编号", "网格编码", "户主姓名", "人数", "房屋编号", "入住日期"),
         ["HU1", GRID, "诸葛亮", "3", "FW1", "1988年5月1日"]),
        (Kind.PERSON, HEADER, person(1, 户编号="HU1", 与户主关系="户主", 标签="低保、志愿者")),
    ]  # fmt: skip
    for kind, header, row in files:
        counts, bad = await take(write_csv(tmp_path / f"{kind}.csv", row, header=header), kind)
        assert (counted(counts), bad) == ({"created": 1}, None)
    leader = await as_staff("grid_leader")
    [household] = (await leader.get(f"{REGISTRY}/households")).json()["items"]
    assert household["data"]["residences"][0]["since"] == "1988-05-01"
    assert (household["source"], household["collected_at"], household["stale"]) == (
        "imported", None, True)  # fmt: skip
    seen = (await leader.get(f"{REGISTRY}/households/{household['id']}")).json()
    [member] = seen["members"]
    assert member["data"]["id_number"].startswith("370299********")
    assert [tag["text"] for tag in member["data"]["tags"]] == ["低保", "志愿者"]
    told = await stored(hall, "SELECT facts FROM audit_entries WHERE action = 'import_registry'")
    assert len(told) == len(files)
    assert told[-1].facts["created"] == 1
    assert len(told[-1].facts["file_sha256"]) == 64


async def test_a_preview_counts_and_changes_nothing(hall: Any, take: Any, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "p.csv", person(10), person(11), person(12, 手机号="1"))
    before = await stored(hall, "SELECT count(*) FROM registry_persons")
    counts, bad = await take(file, apply=False)
    assert counted(counts) == {"created": 2, "invalid": 1}
    assert bad is not None
    assert await stored(hall, "SELECT count(*) FROM registry_persons") == before
    assert not await stored(
        hall,
        "SELECT 1 FROM audit_entries WHERE facts->>'rows' = '3' AND action = 'import_registry'",
    )


async def test_the_same_file_again_changes_nothing(take: Any, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "p.csv", person(20), person(21))
    assert counted((await take(file))[0]) == {"created": 2}
    assert counted((await take(file))[0]) == {"unchanged": 2}
    changed = write_csv(tmp_path / "q.csv", person(20, 标签="志愿者"), person(21, 姓名=""))
    # An empty cell says nothing: the name stays.
    assert counted((await take(changed))[0]) == {"updated": 1, "unchanged": 1}


async def test_bad_rows_come_back_and_can_be_imported_once_they_are_right(
    take: Any, tmp_path: Path
) -> None:
    rows = [
        person(30, 手机号="12345"),
        person(31),
        person(32, 身份证号=id_number(32)[:-1] + "Z"),
        person(33, 网格编码="370281001601999"),
        person(34, 户编号="没有"),
        person(31, 姓名="又来"),
        person(35, 编号="", 身份证号=""),
        person(36, 身份证号=id_number(36, "20150101")),
        person(37, 姓名="=1+1"),
        person(38, 标签="残疾"),
        person(39, 姓名=""),
        person(40, 户编号="HU404"),
    ]
    counts, bad = await take(write_csv(tmp_path / "p.csv", *rows))
    assert counted(counts) == {"created": 1, "invalid": len(rows) - 1}
    assert bad is not None
    assert oct(bad.stat().st_mode)[-3:] == "600"
    with bad.open(encoding="utf-8-sig", newline="") as file:
        header, *back = csv.reader(file)
    assert header == [*HEADER, "错误"]
    words = ["手机号：", "身份证号：", "网格编码 370281001601999", "户编号：", "与第3行重复",
             "至少填写一项", "未成年人", "公式", "标签：", "姓名：新记录必填",
             "户编号 HU404 不存在"]  # fmt: skip
    assert len(back) == len(words)
    for row, word in zip(back, words, strict=True):
        assert word in row[-1], row
    assert back[0][:-1] == rows[0]
    back[0][2] = "13900139000"
    again = write_csv(tmp_path / "again.csv", back[0], header=header)
    assert counted((await take(again))[0]) == {"created": 1}


async def test_what_was_seen_on_the_spot_is_not_overruled(
    take: Any, tmp_path: Path, as_staff: Any
) -> None:
    leader = await as_staff("grid_leader")
    number = id_number(50, "19600101")
    sent = record("person", {"id_number": number, "name": "王小二", "phone": "13300133000"})
    assert (await send(leader, sent))[0]["outcome"] == "created"
    file = write_csv(tmp_path / "p.csv", person(50, 编号="", 身份证号=number))
    counts, bad = await take(file)
    assert counted(counts) == {"conflict": 1}
    assert bad is not None
    assert "上门核实" in bad.read_text("utf-8-sig")
    assert counted((await take(file, overwrite=True))[0]) == {"updated": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_encodings(take: Any, tmp_path: Path, encoding: str) -> None:
    serial = 60 + len(encoding)
    file = write_csv(tmp_path / "p.csv", person(serial, 姓名="㐱䶮𠮷"), encoding=encoding)
    assert counted((await take(file))[0]) == {"created": 1}


async def test_xlsx_keeps_long_numbers_and_names_what_was_spoiled(
    take: Any, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER)
    good = person(70)
    sheet.append(good)
    sheet.append([*person(71)[:2], 13800138071, *person(71)[3:4], int(GRID), "", "", ""])
    sheet.append([*person(72)[:3], 370299196001010720, *person(72)[4:]])
    sheet.append([*person(73)[:1], "=A2", *person(73)[2:]])
    file = tmp_path / "p.xlsx"
    book.save(file)
    counts, bad = await take(file)
    assert counted(counts) == {"created": 2, "invalid": 2}
    assert bad is not None
    back = list(openpyxl.load_workbook(bad).active.iter_rows(values_only=True))  # type: ignore[union-attr]
    assert back[0][-1] == "错误"
    assert "超过15位" in str(back[1][-1])
    assert "公式" in str(back[2][-1])
    again = tmp_path / "again.xlsx"
    fixed = openpyxl.Workbook()
    assert fixed.active is not None
    fixed.active.append(HEADER)
    fixed.active.append(good)
    fixed.save(again)
    assert counted((await take(again))[0]) == {"unchanged": 1}


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("empty.csv", b"", "空的"),
        ("utf16.csv", "编号,姓名".encode("utf-16"), "UTF-16"),
        ("nul.csv", b"a,b\0c\n", "空字节"),
        ("old.xls", bytes.fromhex("d0cf11e0a1b11ae1") + b"x" * 600, ".xls"),
        ("odd.csv", b"\xff\xff\xff,\n", "GB18030"),
        ("broken.xlsx", b"PK\x03\x04 this is no archive", "XLSX"),
        ("line.csv", b"a" * 100_000, "过长"),
        ("quote.csv", ",".join(HEADER).encode() + b'\n"never ends\n' + b"x\n" * 90_000, "引号"),
    ],
)
async def test_what_is_no_sheet_is_refused_as_a_whole(
    take: Any, tmp_path: Path, name: str, content: bytes, word: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SheetRefused) as refused:
        await take(file)
    assert word in str(refused.value.detail)


async def test_a_file_that_breaks_in_the_middle_leaves_nothing(
    hall: Any, take: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.registry.CHUNK", 2)
    file = write_csv(tmp_path / "p.csv", *(person(serial) for serial in range(80, 90)))
    with file.open("a", encoding="utf-8") as out:
        out.write('"never ends')
    with pytest.raises(SheetRefused):
        await take(file)
    assert not await stored(hall, "SELECT 1 FROM registry_persons WHERE code LIKE 'P0008%'")
    assert os.listdir(tmp_path) == ["p.csv"]


async def test_a_file_of_100_mb_is_read_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    line = ",".join(person(1)).encode() + b"," + b"x" * 400 + b"\n"
    with file.open("wb") as out:
        out.write(",".join(HEADER).encode() + b"\n")
        for _ in range(100 * 1024**2 // len(line) // 100):
            out.write(line * 100)
    sheet = open_sheet(file)
    assert sheet.about_rows > 200_000
    rows = sheet.rows()
    assert [next(rows).number for _ in range(3)] == [1, 2, 3]
    os.truncate(file, 201 * 1024**2)
    with pytest.raises(SheetRefused, match="201 MB"):
        open_sheet(file)


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (("编号", "姓名"), "网格编码"),
        (("编号", "code", "网格编码"), "重复"),
        (("甲", "乙"), "网格编码"),
    ],
)
async def test_a_header_that_does_not_fit_is_refused(
    take: Any, tmp_path: Path, header: Sequence[str], word: str
) -> None:
    with pytest.raises(HeaderRefused) as refused:
        await take(write_csv(tmp_path / "p.csv", header=header))
    assert word in str(refused.value.detail)


def test_what_must_not_be_kept_is_not_taken() -> None:
    layout = columns.layout_of(Kind.PERSON, ["编号", "网格编码", "宗教信仰", "健康状况", "错误"])
    assert layout.ignored == ("宗教信仰", "健康状况")
    assert layout.read(["P1", GRID, "x", "y", "z"]) == ({"code": "P1", "grid_code": GRID}, [])


def test_every_column_is_named_in_code_and_in_chinese() -> None:
    for kind, table in columns.COLUMNS.items():
        titles = [title for column in table for title in (column.name, *column.titles)]
        assert len(titles) == len(set(titles)), kind
        assert all(column.titles for column in table)


async def test_two_imports_do_not_run_at_once(hall: Any, take: Any, tmp_path: Path) -> None:
    async with hall.db.transaction() as session:
        await session.execute(importing._ONE_AT_A_TIME, {"lock": importing._LOCK})
        with pytest.raises(ImportRunning):
            await take(write_csv(tmp_path / "p.csv", person(95)))


def test_numbers_in_sheets_are_text_again() -> None:
    for written, plain in [("'0012", "0012"), ('="0012"', "0012"), (" x ", "x"), ("=1", "=1")]:
        assert sheets._plain(written) == plain
