"""Plaques as pages: the sheet to print, what the QR code opens, and what a dead code opens.

No script, nothing from elsewhere: one style sheet inside the page, allowed by its hash, the QR code
as a path, and the leader's photograph inside the page too. Without one the sheet has an empty box.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.working_time import SHANGHAI
from app.teams.plaques import Published

_FOLDER = Path(__file__).parent / "templates"
_pages = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["base64"] = lambda content: base64.b64encode(content).decode()
_BORDER = 4  # white squares around a QR code (ISO/IEC 18004)


class SheetSize(StrEnum):
    A4 = "a4"
    A5 = "a5"


@dataclass(frozen=True, slots=True)
class Page:
    """HTML, and what it may load: the value of its Content-Security-Policy."""

    html: str
    policy: str


@dataclass(frozen=True, slots=True)
class Code:
    """A QR code: ``path`` draws its dark squares, each 1 by 1, on a ground of ``side``."""

    path: str
    side: int


def sheet(shown: Published, address: str, size: SheetSize) -> Page:
    """The plaque to print, on A4 or A5; its QR code leads to ``address``."""
    style = _style("sheet", size)
    return _page("sheet.html", style, _photo(shown), shown=shown, code=code_of(address))


def public(shown: Published) -> Page:
    """What the QR code opens."""
    return _page("public.html", _style("public"), _photo(shown), shown=shown)


def notice(title: str, text: str) -> Page:
    """Why there is nothing to see."""
    return _page("notice.html", _style("public"), None, title=title, text=text)


def code_of(address: str) -> Code:
    """``address`` as a QR code that stays readable with 15 % of it lost (level M)."""
    matrix = segno.make_qr(address, error="m").matrix
    return Code("".join(_runs(matrix)), len(matrix) + 2 * _BORDER)


def _runs(matrix: tuple[bytearray, ...]) -> Iterator[str]:
    """Each row's dark squares, those beside each other as one."""
    for y, row in enumerate(matrix):
        x = 0
        while x < len(row):
            begins = x
            while x < len(row) and row[x]:
                x += 1
            if x > begins:
                yield f"M{begins + _BORDER} {y + _BORDER}h{x - begins}v1h-{x - begins}z"
            x += 1


@cache
def _style(name: str, size: SheetSize | None = None) -> str:
    parts = ["tokens.css", f"{name}.css", *([f"{size}.css"] if size else [])]
    return "".join((_FOLDER / part).read_text("utf-8") for part in parts)


def _photo(shown: Published) -> bytes | None:
    return None if shown.leader is None else shown.leader.photo


def _page(name: str, style: str, photo: bytes | None, **facts: Any) -> Page:
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return Page(
        _pages.get_template(name).render(style=style, zone=SHANGHAI, photo=photo, **facts),
        f"default-src 'none'; style-src 'sha256-{digest}';{' img-src data:;' if photo else ''}"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
