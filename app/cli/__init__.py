"""``lianxin``: the commands of an operator."""

import sys
from io import TextIOWrapper
from typing import Any

import typer

from app.cli import (
    audit,
    doctor,
    grids,
    history,
    imports,
    migrate,
    registry,
    replay,
    routing,
    seed,
    serve,
    staff,
    worker,
)


class Commands(typer.Typer):
    """The commands, on any terminal: one that knows no Chinese shows question marks."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().__call__(*args, **options)


cli = Commands(
    name="lianxin",
    help="连心 LianXin: a citizen request service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command()(serve.serve)
cli.command()(worker.worker)
cli.command()(migrate.migrate)
cli.command()(seed.seed)
cli.command()(doctor.doctor)
cli.command()(replay.replay)
imports.commands.command("grids")(grids.import_grids)
imports.commands.command("legacy-units")(grids.import_legacy_units)
imports.commands.command("requests")(history.import_requests)
imports.commands.command("registry")(registry.import_registry)
cli.add_typer(imports.commands, name="import")
cli.add_typer(registry.commands, name="registry")
cli.add_typer(grids.commands, name="grids")
cli.add_typer(staff.commands, name="staff")
cli.add_typer(audit.commands, name="audit")
cli.add_typer(routing.commands, name="routing")
