"""``lianxin replay``: drive the messages of a file through the whole life of a request, over HTTP.

It is a client like any other: what it does, a phone and the staff's pages could do. It ends with
the figures, as the supervisor reads them, which must have grown by exactly what was driven.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from pydantic import BaseModel, ValidationError

from app.cli.place import configured, fail, read_json
from app.cli.replay_client import LogIn, LoginMissing, Refused, Unreachable
from app.cli.replay_lives import DEMO_AREA, LABELS, Area
from app.cli.replay_rows import FileBroken
from app.cli.replay_run import CategoryMissing, Replay
from app.settings import LimitSettings

_INTERRUPTED = 130
_PER_RESIDENT: int = LimitSettings().requests_per_hour


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, plain or gzip")],
    base_url: Annotated[
        str | None, typer.Option(help="address of the service  (default: the one in demo.json)")
    ] = None,
    demo_json: Annotated[
        Path | None, typer.Option(help="log-ins  (default: demo.json in the data folder)")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first N rows")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="rows driven at once")] = 8,
    text_column: Annotated[str | None, typer.Option(help="(default: detail)")] = None,
    title_column: Annotated[
        str | None, typer.Option(help="(default: topic, if there is such a column)")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="(default: rid, if there; else the row's number)")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="(default: label, if there)")] = None,
    time_column: Annotated[
        str | None, typer.Option(help="when it was written; only told  (default: time, if there)")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=CODE[,CODE…]",
            help="categories of a label, spread over its rows; LABEL= for none. May be repeated;"
            " seven Chinese labels are known",
        ),
    ] = None,
    area: Annotated[
        str | None,
        typer.Option(metavar="WEST,SOUTH,EAST,NORTH", help="places, WGS-84  (default: demo city)"),
    ] = None,
    per_resident: Annotated[
        int, typer.Option(min=1, help="rows that one synthetic resident submits")
    ] = _PER_RESIDENT,
    patience: Annotated[
        float, typer.Option(min=1, help="seconds until a call that does not get through is lost")
    ] = 120.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="write the tables there too")
    ] = None,
) -> None:
    """Send the messages of a CSV file through the service: submitted, worked on, replied, rated.

    The texts go as they are: what is blank or too long for the service is refused by it, and
    counted by its code. A title over 100 characters becomes the first line of the text. Place,
    kind, contact and what becomes of a row are made up, from the row's id alone, so that every run
    drives the same; about one row in ten hides its category, and goes by the dispatcher as rows
    without a known label do. Nobody else should submit meanwhile: the figures are compared at the
    end. Exit 1 when a row failed or a figure is not what was driven. Needs a demo city, where
    made-up residents can log in.
    """
    logins, told_url = _log_ins(demo_json or configured().data / "demo.json")
    names = {
        "text": text_column,
        "title": title_column,
        "id": id_column,
        "label": label_column,
        "time": time_column,
    }
    url = _address(base_url or told_url)
    run = Replay(
        file=file,
        names=names,
        limit=limit,
        base_url=url,
        concurrency=concurrency,
        labels=_labels(category or []),
        area=_area(area),
        per_resident=per_resident,
        patience_s=patience,
        logins=logins,
    )
    try:
        report = asyncio.run(run.run())
    except (FileBroken, LoginMissing, CategoryMissing) as error:
        fail(str(error))
    except Unreachable as gone:
        fail(f"the service at {url} does not answer: {gone}")
    except Refused as refused:
        fail(f"the service at {url} refuses to {refused.step}: {refused}")
    except ValidationError:
        fail(f"what answers at {url} is not this service")
    report.show()
    if json_file is not None:
        _write(json_file, report.as_json())
    if run.interrupted:
        raise SystemExit(_INTERRUPTED)
    if not report.ok:
        raise SystemExit(1)


class _DemoFile(BaseModel):
    base_url: str
    logins: list[LogIn]


# -- what the operator said -------------------------------------------------------------------


def _log_ins(file: Path) -> tuple[list[LogIn], str]:
    try:
        content = _DemoFile.model_validate(read_json(file))
    except ValidationError:
        fail(f"{file} has no log-ins; a demo service writes such a file to its data folder")
    return content.logins, content.base_url


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        fail(f"--base-url: {url!r} is not an address like http://127.0.0.1:8000")
    return url.rstrip("/")


def _labels(said: list[str]) -> dict[str, tuple[str, ...]]:
    labels = dict(LABELS) if not said else {}
    for one in said:
        label, equals, codes = one.partition("=")
        if not equals or not label.strip():
            fail(f"--category: {one!r} is not LABEL=CODE[,CODE…]")
        labels[label.strip()] = tuple(filter(None, (code.strip() for code in codes.split(","))))
    return labels


def _area(said: str | None) -> Area:
    if said is None:
        return DEMO_AREA
    try:
        west, south, east, north = (float(part) for part in said.split(","))
    except ValueError:
        fail(f"--area: {said!r} is not WEST,SOUTH,EAST,NORTH in degrees")
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        fail(f"--area: {said!r} is not WEST,SOUTH,EAST,NORTH in degrees")
    return Area(west, south, east, north)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    try:
        file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {file}: {error}")
