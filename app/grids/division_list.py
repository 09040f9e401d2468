"""Reading places without boundaries out of a CSV list: ``code,name`` and whatever else it has.

The lists of statistical divisions are such files: their communities are the villages of the
statistics office.
"""

import csv
import io
from collections.abc import Iterator

from app.grids.boundary_file import FEATURE_LIMIT, BoundaryFileRefused, Feature, Reading, places
from app.grids.kinds import GridLevel


def decoded(content: bytes) -> str:
    """The text of a file that a Chinese office program wrote. Raises: BoundaryFileRefused."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BoundaryFileRefused("文件既不是 UTF-8 编码，也不是 GB 18030 编码")


def rows(content: bytes, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a head, by their line numbers. Raises: BoundaryFileRefused."""
    lines = csv.DictReader(io.StringIO(decoded(content), newline=""), strict=True)
    try:
        missing = [name for name in needed if name not in (lines.fieldnames or ())]
        if missing:
            raise BoundaryFileRefused(f"表头缺少：{'、'.join(missing)}")
        for row in lines:
            yield lines.line_num, {name: text or "" for name, text in row.items() if name}
    except csv.Error as error:
        raise BoundaryFileRefused(f"第{lines.line_num}行不是正确的 CSV（{error}）") from None


def read(content: bytes, *, level: GridLevel, within: str = "") -> Reading:
    """Read the rows whose code begins with ``within`` as places of ``level``.

    Raises:
        BoundaryFileRefused: with one ``FieldError`` for each row that is wrong.
    """
    kept: list[Feature] = []
    for line, row in rows(content, ("code", "name")):
        if row["code"].startswith(within):
            kept.append((f"/lines/{line}", f"第{line}行", row))
        if len(kept) > FEATURE_LIMIT:
            raise BoundaryFileRefused(f"不能超过{FEATURE_LIMIT}行")
    return Reading(places(kept, level, lambda _: None))
