"""``lianxin``: the commands of an operator."""

import sys

import typer

from app.cli import doctor, imports, migrate, replay, seed, serve, staff, worker

cli = typer.Typer(
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
cli.add_typer(imports.commands, name="import")
cli.add_typer(staff.commands, name="staff")


@cli.callback()
def prepare() -> None:
    """连心 LianXin: a citizen request service."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no Chinese shows question marks; it does not stop the service.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
