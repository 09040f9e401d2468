"""The list of every error, from the classes: ``python -m app.web.error_list > docs/errors.md``."""

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import app
from app.domain.errors import AppError
from app.web import codes
from app.web.errors import status_of

_HEAD = """# Errors

<!-- generated: python -m app.web.error_list > docs/errors.md -->

Every error is `application/problem+json` (RFC 9457): `type`, `title` (Chinese), `status`, `code`,
`detail`?, `request_id`, `errors`? (`[{pointer, code, message}]`) and, for some, further facts.
Programs decide by `code`, never by the sentence. 429 and 503 carry `Retry-After`.

## Codes of answers

"""
_FIELDS = """
## Codes of fields

They stand in `errors[].code`; the answer's own code is then `invalid_input`.

"""
_RAISED = re.compile(r'(?:PydanticCustomError|refused_as)\(\s*"([a-z_]+)",\s*"([^"]+)"')


def every_kind() -> list[type[AppError]]:
    """Every error class of the house, in the order of status and code."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = (kind for kind in _below(AppError) if kind.__module__.startswith("app."))
    return sorted(ours, key=lambda kind: (status_of(kind), kind.code, kind.title()))


def _below(kind: type[AppError]) -> Iterator[type[AppError]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _below(sub)


def field_codes() -> dict[str, str]:
    """Every code of a wrong field with its sentence, read from the source."""
    found: dict[str, str] = {}
    for file in sorted(Path(app.__file__).parent.rglob("*.py")):
        found.update(_RAISED.findall(file.read_text("utf-8")))
    found.update(codes.every_word())
    return dict(sorted(found.items()))


def document() -> str:
    answers = [(f"`{kind.code}`", str(status_of(kind)), kind.title()) for kind in every_kind()]
    fields = [(f"`{code}`", sentence) for code, sentence in field_codes().items()]
    return (
        _HEAD
        + _table(("code", "status", "title"), answers)
        + _FIELDS
        + _table(("code", "message"), fields)
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *dict.fromkeys(rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(document())
