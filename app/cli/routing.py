"""``lianxin routing``: learning from history who usually answers, and judging how well."""

import csv
import gzip
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.history import Columns, File, Preset, layout_of, read_cases
from app.cli.place import configured, fail, in_transaction, say
from app.domain.suggestion import FIELDS, LinearModel
from app.intelligence import evaluation, service
from app.intelligence.evaluation import SEED
from app.intelligence.history_file import Case
from app.intelligence.models import RoutingCase

commands = typer.Typer(help="Learned routing: split, evaluate, learn.", no_args_is_help=True)
_Given = Annotated[Path, typer.Option(exists=True, dir_okay=False, readable=True)]
_Made = Annotated[Path, typer.Option(dir_okay=False, writable=True)]


@commands.command("split")
def split(
    file: File,
    train: _Made,
    test: _Made,
    preset: Preset = "pingshan",
    column: Columns = None,
    seed: Annotated[int, typer.Option(help="another split")] = SEED,
) -> None:
    """Divide a history file 80 to 20, always the same way: by the id of each row.

    Both parts keep the columns of the file. Rows that teach nothing are in neither.
    """
    layout = layout_of(preset, column)
    kept = {case.id: evaluation.is_for_training(case.id, seed=seed)
            for case in read_cases(file, layout)}  # fmt: skip
    if layout.id is None:
        fail("to divide a file its rows need an id column")
    counts = {True: 0, False: 0}
    with (
        _text(file) as source,
        train.open("w", newline="") as one,
        test.open("w", newline="") as two,
    ):
        rows = csv.DictReader(source)
        parts = {place: csv.DictWriter(to, rows.fieldnames or ())
                 for place, to in ((True, one), (False, two))}  # fmt: skip
        for part in parts.values():
            part.writeheader()
        for row in rows:
            place = kept.get((row[layout.id] or "").strip())
            if place is not None:
                parts[place].writerow(row)
                counts[place] += 1
    say(f"{counts[True]} rows to {train}, {counts[False]} rows to {test}")


def _text(file: Path) -> TextIO:
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    if packed:
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


@commands.command("evaluate")
def evaluate(
    train: _Given, test: _Given, preset: Preset = "pingshan", column: Columns = None
) -> None:
    """Learn from one file, judge on another, and print the figures as JSON.

    ``learned`` is the model, ``look_up`` the plain (street, sub-type) majority, in the same run.
    """
    layout = layout_of(preset, column)
    known, asked = read_cases(train, layout), read_cases(test, layout)
    if not asked:
        fail(f"{test}: there is nothing to judge by")
    shared = {case.id for case in known} & {case.id for case in asked}
    if shared:
        say(f"careful: {len(shared)} rows stand in both files")
    figures = evaluation.judge(_fit(known), known, asked)
    sys.stdout.write(json.dumps(figures, ensure_ascii=False, indent=2) + "\n")


def _fit(cases: Sequence[Case]) -> LinearModel:
    try:
        from app.intelligence.learning import fit
    except ImportError:
        fail("learning needs the extra: pip install 'lianxin[training]'")
    try:
        names = {case.unit: case.unit_name for case in cases}
        return fit([(case.fields, case.unit) for case in cases], names)
    except ValueError as error:
        fail(f"nothing can be learned from this: {error}")


@commands.command("learn")
def learn() -> None:
    """Learn from all the history that was imported, and suggest by it from now on.

    Four fifths are learned from first and judged on the rest: those figures are kept with the
    model, which then learns from all.
    """

    async def read(session: AsyncSession, _: datetime) -> list[Case]:
        rows = await session.stream(
            select(
                RoutingCase.origin_id, RoutingCase.unit, RoutingCase.unit_name,
                *(getattr(RoutingCase, name) for name in FIELDS),
            ).order_by(RoutingCase.id)
        )  # fmt: skip
        return [_case(row) async for row in rows]

    settings = configured()
    cases = in_transaction(settings, read)
    known = [case for case in cases if evaluation.is_for_training(case.id)]
    asked = [case for case in cases if not evaluation.is_for_training(case.id)]
    if not known or not asked:
        fail("there is too little history: lianxin import requests FILE")
    figures = evaluation.judge(_fit(known), known, asked)
    model = _fit(cases)

    async def keep(session: AsyncSession, now: datetime) -> int:
        kept = await service.keep_model(session, model, cases=len(cases), metrics=figures, now=now)
        return kept.version

    version = in_transaction(settings, keep)
    say(f"model {version}: learned from {len(cases)} cases of {len(model.units)} units")
    sys.stdout.write(json.dumps(figures, ensure_ascii=False, indent=2) + "\n")


def _case(row: Any) -> Case:
    origin_id, unit, unit_name, *values = row
    fields = {name: value for name, value in zip(FIELDS, values, strict=True) if value}
    return Case(origin_id, fields, unit, unit_name, None)
