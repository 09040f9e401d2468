"""The columns of an import file: how they are called, and how their cells are read. Pure.

A column is named by its code or one of its Chinese titles. A column that is not in the table is not
taken, so nothing that must not be kept (domain ``registry``) can come in by a wide file.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.domain.errors import Invalid
from app.domain.geometry import CoordSys
from app.domain.privacy import plain_id_number, plain_phone
from app.domain.registry import (
    HOUSE_USE_TEXT,
    PLOT_USE_TEXT,
    RELATION_TEXT,
    TAG_TEXT,
    TENURE_TEXT,
    Kind,
)

Read = Callable[[str], Any]
_CODE = re.compile(r"[A-Za-z0-9._/-]{1,40}")
_GRID = re.compile(r"[0-9]{15}|[0-9]{17}")
_DATE = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?")
_BETWEEN_TAGS = re.compile(r"[、,，;；|\s]+")
_NOT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_YES_NO = {"是": True, "否": False, "true": True, "false": False, "1": True, "0": False}
_YEARS = range(1900, 2101)


class HeaderRefused(Invalid):
    """表头不正确，没有导入任何内容。"""

    code = "sheet_header"


# --- cells ---------------------------------------------------------------------------------------
# Each takes the text of a cell that holds something; a ValueError says in Chinese what is wrong.


def _code(cell: str) -> str:
    if _CODE.fullmatch(cell) is None:
        raise ValueError("只能由1至40个字母、数字和 . _ / - 组成")
    return cell


def _grid(cell: str) -> str:
    if _GRID.fullmatch(cell) is None:
        raise ValueError("应为15位网格编码或17位微网格编码")
    return cell


def _text(most: int) -> Read:
    def read(cell: str) -> str:
        if len(cell) > most:
            raise ValueError(f"不能超过{most}个字")
        if not cell.isprintable() and _NOT_IN_LINE.search(cell) is not None:
            raise ValueError("不能包含换行或控制字符")
        return cell

    return read


def _phone(cell: str) -> str:
    phone = plain_phone(cell)
    if phone is None:
        raise ValueError("不是正确的手机号码或带区号的固定电话")
    return phone


def _id_number(cell: str) -> str:
    number = plain_id_number(cell)
    if number is None:
        raise ValueError("不是正确的18位身份证号码")
    return number


def _whole(least: int, most: int) -> Read:
    def read(cell: str) -> int:
        if not (cell.isascii() and cell.isdigit() and len(cell) <= 9):
            raise ValueError("应为整数")
        if not least <= int(cell) <= most:
            raise ValueError(f"应在{least}至{most}之间")
        return int(cell)

    return read


def _degrees(most: float) -> Read:
    def read(cell: str) -> float:
        value = float(cell) if re.fullmatch(r"-?[0-9]{1,3}(?:\.[0-9]{1,12})?", cell) else most + 1
        if abs(value) > most:
            raise ValueError("不是正确的经纬度")
        return value

    return read


def _day(cell: str) -> date:
    match = _DATE.fullmatch(cell)
    try:
        if match is None:
            raise ValueError
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise ValueError("日期格式应为 2026-01-31") from None
    if day.year not in _YEARS:
        raise ValueError("年份应在1900至2100之间")
    return day


def _yes_no(cell: str) -> bool:
    if cell.lower() not in _YES_NO:
        raise ValueError("应为“是”或“否”")
    return _YES_NO[cell.lower()]


def _word(table: Mapping[Any, str]) -> Read:
    words = {text: str(code) for code, text in table.items()}
    words |= {str(code): str(code) for code in table}

    def read(cell: str) -> str:
        if cell not in words:
            raise ValueError(f"应为{'、'.join(table.values())}之一")
        return words[cell]

    return read


def _tags(cell: str) -> tuple[str, ...]:
    one = _word(TAG_TEXT)
    return tuple(sorted({one(part) for part in _BETWEEN_TAGS.split(cell) if part}))


# --- columns -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    titles: tuple[str, ...]
    read: Read
    required: bool = False


_GRID_CODE = Column("grid_code", ("网格编码", "网格代码", "所属网格"), _grid, required=True)
_ACTIVE = Column("active", ("在册", "是否在册"), _yes_no)
_TAGS = Column("tags", ("标签", "人员标签", "户标签"), _tags)
_LIVES = (
    Column("house_code", ("房屋编号",), _code),
    Column("tenure", ("居住方式", "居住类型"), _word(TENURE_TEXT)),
    Column("since", ("入住日期", "居住起始日期"), _day),
    Column("until", ("搬离日期", "居住截止日期"), _day),
)
_POINT = (
    Column("latitude", ("纬度",), _degrees(90)),
    Column("longitude", ("经度",), _degrees(180)),
    Column("coord_sys", ("坐标系",), _word({it: it.value.upper() for it in CoordSys})),
)


def _own_code(*titles: str) -> Column:
    return Column("code", titles, _code, required=True)


COLUMNS: dict[Kind, tuple[Column, ...]] = {
    Kind.PLOT: (
        _own_code("地块编号", "编号"),
        _GRID_CODE,
        Column("use", ("土地用途", "用途"), _word(PLOT_USE_TEXT)),
        Column("area_m2", ("面积", "面积（平方米）"), _whole(1, 100_000_000)),
        Column("address", ("坐落", "地址"), _text(200)),
        *_POINT,
        _ACTIVE,
    ),
    Kind.BUILDING: (
        _own_code("楼栋编号", "编号"),
        _GRID_CODE,
        Column("name", ("楼栋名称", "名称"), _text(100)),
        Column("address", ("楼栋地址", "地址"), _text(200)),
        Column("floors", ("层数", "楼层数"), _whole(1, 200)),
        Column("plot_code", ("地块编号",), _code),
        *_POINT,
        _ACTIVE,
    ),
    Kind.HOUSE: (
        _own_code("房屋编号", "编号"),
        _GRID_CODE,
        Column("address", ("房屋地址", "地址", "门楼详址"), _text(200)),
        Column("use", ("房屋用途", "用途"), _word(HOUSE_USE_TEXT)),
        Column("building_code", ("楼栋编号",), _code),
        *_POINT,
        _ACTIVE,
    ),
    Kind.HOUSEHOLD: (
        _own_code("户编号", "户号", "编号"),
        _GRID_CODE,
        Column("name", ("户主姓名", "户主"), _text(50)),
        Column("member_count", ("人数", "户人数", "人口数"), _whole(1, 99)),
        _TAGS,
        *_LIVES,
        _ACTIVE,
    ),
    Kind.PERSON: (
        Column("code", ("人员编号", "编号"), _code),
        _GRID_CODE,
        Column("name", ("姓名",), _text(50)),
        Column("phone", ("手机号码", "手机号", "联系电话", "联系方式", "电话"), _phone),
        Column("id_number", ("身份证号码", "身份证号", "公民身份号码", "证件号码"), _id_number),
        Column("household_code", ("户编号", "户号"), _code),
        Column("relation", ("与户主关系", "户主关系"), _word(RELATION_TEXT)),
        _TAGS,
        *_LIVES,
        _ACTIVE,
    ),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column stands where, and which are not taken."""

    header: tuple[str, ...]
    columns: tuple[tuple[int, Column, str], ...]  # place, column, its title in this file
    ignored: tuple[str, ...]

    def read(self, cells: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """The values of the cells that hold something, and what is wrong with the others."""
        values: dict[str, Any] = {}
        errors: list[str] = []
        width = len(cells)
        for at, column, title in self.columns:
            cell = cells[at] if at < width else ""
            if cell:
                try:
                    values[column.name] = column.read(cell)
                except ValueError as wrong:
                    errors.append(f"{title}：{wrong}")
            elif column.required:
                errors.append(f"{title}：必填")
        return values, errors


def layout_of(kind: Kind, header: Sequence[str]) -> Layout:
    """Raises: HeaderRefused: a column is missing, or there twice."""
    by_title: dict[str, Column] = {}
    for column in COLUMNS[kind]:
        by_title |= dict.fromkeys((column.name, *column.titles), column)
    found: list[tuple[int, Column, str]] = []
    ignored: list[str] = []
    for at, title in enumerate(header):
        known = by_title.get(title.strip())
        if known is not None:
            found.append((at, known, title.strip()))
        elif title.strip() and title.strip() != "错误":
            ignored.append(title.strip())
    names = [column.name for _, column, _ in found]
    twice = sorted({title for _, column, title in found if names.count(column.name) > 1})
    if twice:
        raise HeaderRefused(f"这些列重复：{'、'.join(twice)}")
    missing = [it.titles[0] for it in COLUMNS[kind] if it.required and it.name not in names]
    if missing:
        raise HeaderRefused(f"缺少这些列：{'、'.join(missing)}")
    return Layout(tuple(header), tuple(found), tuple(ignored))
