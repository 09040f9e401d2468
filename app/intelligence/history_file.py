"""Reading a file of what was done before: CSV, plain or gzip, its columns named by a layout. Pure.

A row without a unit, or without anything to go by, teaches nothing and is left out by its line.
"""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from app.domain.errors import Invalid
from app.domain.suggestion import FIELDS, Fields
from app.domain.working_time import SHANGHAI

MOST_BYTES = 2_000_000_000  # unpacked
_LONGEST_VALUE = 200
_UNKNOWN = frozenset({"", "-", "--", "null", "NULL", "无"})


class HistoryInvalid(Invalid):
    """历史诉求文件有误，没有导入任何内容。"""

    code = "history_invalid"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column says what.

    Attributes:
        columns: of ``suggestion.FIELDS``; fields without a column stay unknown.
        unit, unit_name: the unit's code, and what it is called; without codes both are the name.
    """

    columns: Mapping[str, str]
    unit: str
    unit_name: str
    id: str | None = None
    at: str | None = None
    encoding: str = "utf-8-sig"

    @property
    def named(self) -> tuple[str, ...]:
        more = (self.unit, self.unit_name, self.id, self.at)
        return tuple({**dict.fromkeys(self.columns.values()), **dict.fromkeys(filter(None, more))})


LAYOUTS: dict[str, Layout] = {
    "pingshan": Layout(
        columns={
            "town": "STREET_NAME",
            "community": "COMMUNITY_NAME",
            "source": "EVENT_SRC_NAME",
            "kind": "EVENT_PROPERTY_NAME",
            "type": "EVENT_TYPE_NAME",
            "main_type": "MAIN_TYPE_NAME",
            "sub_type": "SUB_TYPE_NAME",
        },
        unit="DISPOSE_UNIT_ID",
        unit_name="DISPOSE_UNIT_NAME",
        id="REC_ID",
        at="CREATE_TIME",
    ),
    "plain": Layout(
        columns={name: name for name in FIELDS},
        unit="unit",
        unit_name="unit_name",
        id="id",
        at="at",
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was done before."""

    id: str
    fields: Fields
    unit: str
    unit_name: str
    at: datetime | None


@dataclass(slots=True)
class Reading:
    """What reading came across. ``left_out``: the lines of rows that teach nothing."""

    rows: int = 0
    left_out: list[int] = field(default_factory=list)


def layout_of(preset: str, columns: Mapping[str, str]) -> Layout:
    """A preset with some columns named otherwise. Raises: HistoryInvalid."""
    if preset not in LAYOUTS:
        raise HistoryInvalid(f"没有“{preset}”这种列格式，可用：{'、'.join(LAYOUTS)}。")
    base = LAYOUTS[preset]
    strange = columns.keys() - {*FIELDS, "unit", "unit_name", "id", "at"}
    if strange:
        raise HistoryInvalid(f"没有字段“{'、'.join(sorted(strange))}”。")
    fields = {**base.columns, **{name: columns[name] for name in FIELDS if name in columns}}
    return Layout(
        columns=fields,
        unit=columns.get("unit", base.unit),
        unit_name=columns.get("unit_name", base.unit_name),
        id=columns.get("id", base.id),
        at=columns.get("at", base.at),
    )


def read(file: Path, layout: Layout, reading: Reading) -> Iterator[Case]:
    """The cases of a file, one by one. Raises: HistoryInvalid, naming the line."""
    try:
        with _opened(file, layout.encoding) as text:
            rows = csv.DictReader(text, strict=True)
            missing = [name for name in layout.named if name not in (rows.fieldnames or ())]
            if missing:
                raise HistoryInvalid(f"文件缺少列：{'、'.join(missing)}。")
            for row in rows:
                reading.rows += 1
                case = _case(row, layout, rows.line_num)
                if case is None:
                    reading.left_out.append(rows.line_num)
                else:
                    yield case
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise HistoryInvalid(f"第{reading.rows + 2}行附近无法读取：{error}。") from None


def _opened(file: Path, encoding: str) -> IO[str]:
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    if packed:
        return gzip.open(file, "rt", encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def _case(row: Mapping[str | None, object], layout: Layout, line: int) -> Case | None:
    def value(column: str | None) -> str:
        found = row.get(column) if column is not None else None
        text = found.strip() if isinstance(found, str) else ""
        if len(text) > _LONGEST_VALUE or "\0" in text:
            raise HistoryInvalid(f"第{line}行“{column}”列的内容过长或含有不允许的字符。")
        return "" if text in _UNKNOWN else text

    fields = {name: value(column) for name, column in layout.columns.items()}
    fields = {name: found for name, found in fields.items() if found}
    unit, unit_name = value(layout.unit), value(layout.unit_name)
    if not unit or not fields:
        return None
    return Case(
        id=value(layout.id) or _fingerprint(row),
        fields=fields,
        unit=unit,
        unit_name=unit_name or unit,
        at=_instant(value(layout.at), line),
    )


def _fingerprint(row: Mapping[str | None, object]) -> str:
    words = "\x1f".join(f"{name}={found}" for name, found in row.items())
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def _instant(text: str, line: int) -> datetime | None:
    """Local time unless it says otherwise."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise HistoryInvalid(f"第{line}行的时间“{text[:40]}”无法识别。") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(UTC)
