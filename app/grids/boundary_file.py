"""What every file of places has in common: codes, names, parents, and how its faults are told.

Pure. Every fault of every feature is told, in Chinese, with the feature's number, code and name;
a file with a fault is refused whole. The formats themselves: ``geojson``, ``shapefiles``,
``division_list``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import FieldError, Invalid
from app.domain.grid_codes import cycle_in, fault_of, parent_of
from app.grids.kinds import COUNTY_DIGITS, LEVEL_TEXT, GridLevel

# Some 25 bytes a position of GeoJSON, and some 150 in memory: a fifth of a gigabyte at most.
FILE_LIMIT_BYTES = 32 * 1024 * 1024
FEATURE_LIMIT = 20_000
POSITION_LIMIT = 1_500_000
NAME_LIMIT = 60
PREDECESSOR_LIMIT = 100
_FAULTS_TOLD = 1_000
_CODE_NAMES = ("code", "stat_code", "division_code", "adcode", "编码")
_NAME_NAMES = ("name", "名称")
_PARENT_NAMES = ("parent_code", "parent", "上级编码")
_PREDECESSOR_NAMES = ("predecessors", "predecess", "原编码")


class BoundaryFileRefused(Invalid):
    """边界文件有误，未导入任何内容。"""

    code = "geojson_invalid"


class BoundaryFileTooLarge(BoundaryFileRefused):
    """边界文件过大，未导入任何内容。"""

    code = "boundary_file_too_large"


class Fault(Exception):
    """One thing wrong with one feature; becomes a ``FieldError`` of ``BoundaryFileRefused``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Boundary:
    """A place that was read. ``wkb`` is WGS-84, longitude first; None in a list without shapes.

    ``predecessors``: codes of places whose ground it takes over: split, merged or moved.
    """

    pointer: str
    label: str
    code: str
    name: str
    parent_code: str | None
    wkb: bytes | None
    predecessors: tuple[str, ...] = ()

    @property
    def is_county(self) -> bool:
        return len(self.code) == COUNTY_DIGITS


@dataclass(frozen=True, slots=True)
class Reading:
    """``boundaries``: of the level, and outlines of counties. ``warnings``: worth a second look."""

    boundaries: tuple[Boundary, ...]
    warnings: tuple[FieldError, ...] = ()


def refuse_larger(size: int) -> None:
    """Raises: BoundaryFileTooLarge. Called before a file is read."""
    if size > FILE_LIMIT_BYTES:
        raise BoundaryFileTooLarge(
            f"文件有{size / 2**20:.0f}MB，上限为{FILE_LIMIT_BYTES // 2**20}MB，请按镇街拆分后导入"
        )


def refuse(errors: Sequence[FieldError]) -> None:
    """Raises: BoundaryFileRefused, if there is any error."""
    if errors:
        told = errors[:_FAULTS_TOLD]
        raise BoundaryFileRefused(f"共{len(errors)}处有误，第一处：{told[0].message}", errors=told)


Feature = tuple[str, str, Mapping[str, Any] | Fault]  # pointer, label, properties or what is wrong


def places(
    features: Iterable[Feature], level: GridLevel, shape_of: Callable[[int], bytes | None]
) -> tuple[Boundary, ...]:
    """Read features as places of ``level``; a county's outline may stand among towns.

    Args:
        shape_of: the WKB of a feature by its place in the file. Raises: Fault.

    Raises:
        BoundaryFileRefused: with one ``FieldError`` for each feature that is wrong.
    """
    found: list[Boundary] = []
    errors: list[FieldError] = []
    seen: dict[str, str] = {}
    said_parents: dict[str, str] = {}
    for place, (pointer, label, properties) in enumerate(features):
        named = label
        try:
            if isinstance(properties, Fault):
                raise properties
            code, name = _code(properties), _name(properties)
            named = f"{label}（{code} {name}）"
            _check_code(code, level)
            if code in seen:
                raise Fault("geojson_code_twice", f"编码与{seen[code]}重复")
            seen[code] = label
            parent_code = _parent_code(properties, code, said_parents)
            predecessors = _predecessors(properties, level)
            wkb = shape_of(place)
        except Fault as fault:
            errors.append(FieldError(pointer, fault.code, f"{named}：{fault}"))
        else:
            found.append(Boundary(pointer, named, code, name, parent_code, wkb, predecessors))
    loop = cycle_in(said_parents)
    if loop:
        way = " → ".join((*loop, loop[0]))
        errors.insert(0, FieldError("", "geojson_parent_cycle", f"上级关系形成循环：{way}"))
    refuse(errors)
    if not found:
        raise BoundaryFileRefused(f"文件里没有{LEVEL_TEXT[level]}一级的内容")
    return tuple(found)


def check_properties(properties: object) -> Mapping[str, Any] | Fault:
    if not isinstance(properties, Mapping):
        return Fault("geojson_properties", "缺少 properties")
    return properties


def _first(properties: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((properties[name] for name in names if properties.get(name)), None)


def _code(properties: Mapping[str, Any]) -> str:
    code = _first(properties, _CODE_NAMES)
    if code is None:
        raise Fault("geojson_code_missing", "缺少编码（code、stat_code 或 division_code）")
    if not isinstance(code, str) and code is properties.get("adcode"):
        code = str(code)  # map services write it as a number
    if not isinstance(code, str) or not (code.isascii() and code.isdigit()):
        raise Fault("geojson_code", "编码应为数字组成的文字")
    return code


def _name(properties: Mapping[str, Any]) -> str:
    name = _first(properties, _NAME_NAMES)
    if not isinstance(name, str) or not name.strip():
        raise Fault("geojson_name", "缺少名称（name）")
    name = name.strip()
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise Fault("geojson_name", f"名称应为不超过{NAME_LIMIT}个字的一行文字")
    return name


def _check_code(code: str, level: GridLevel) -> None:
    outline = len(code) == COUNTY_DIGITS and level is GridLevel.TOWN
    fault = fault_of(code, None if outline else level)
    if fault is not None:
        raise Fault("geojson_code", fault)


def _parent_code(properties: Mapping[str, Any], code: str, said: dict[str, str]) -> str | None:
    if len(code) == COUNTY_DIGITS:
        return None
    expected = parent_of(code)
    given = _first(properties, _PARENT_NAMES)
    if given is not None and given != expected:
        said[code] = str(given)
        raise Fault("geojson_parent", f"上级编码应为 {expected}，即本编码的开头部分")
    return expected if expected is not None and len(expected) > COUNTY_DIGITS else None


def _predecessors(properties: Mapping[str, Any], level: GridLevel) -> tuple[str, ...]:
    given = _first(properties, _PREDECESSOR_NAMES)
    if given is None:
        return ()
    codes = given.replace("，", ",").split(",") if isinstance(given, str) else given
    if not isinstance(codes, list) or len(codes) > PREDECESSOR_LIMIT:
        raise Fault("geojson_predecessors", "原编码（predecessors）应为编码的列表")
    read = []
    for code in codes:
        fault = fault_of(code.strip(), level) if isinstance(code, str) else "编码应为文字"
        if fault is not None:
            raise Fault("geojson_predecessors", f"原编码（predecessors）有误：{fault}")
        read.append(code.strip())
    return tuple(sorted(set(read)))
