"""``lianxin``: the commands of an operator. Each loads its own file, when it is asked for."""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

_COMMANDS = {
    "serve": "serve:serve",
    "worker": "worker:worker",
    "migrate": "migrate:migrate",
    "seed": "seed:seed",
    "doctor": "doctor:doctor",
    "replay": "replay:replay",
    "import": "imports:commands",
    "registry": "registry:commands",
    "grids": "grids:commands",
    "staff": "staff:commands",
    "audit": "audit:commands",
    "routing": "routing:commands",
}


def load(command: str) -> Any:
    """What a command is: its files are loaded afterwards. Raises: KeyError."""
    file, _, what = _COMMANDS[command].partition(":")
    return getattr(import_module(f"app.cli.{file}"), what)


class _Lazy(TyperGroup):
    """``serve`` is up a second sooner for not loading all the others."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        found = load(cmd_name)
        if isinstance(found, typer.Typer):
            found.info.name = cmd_name
            return get_group(found)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(cmd_name)(found)
        return get_command(alone)


class Commands(typer.Typer):
    """The commands, on any terminal: one that knows no Chinese shows question marks."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().__call__(*args, **options)


cli = Commands(
    name="lianxin",
    cls=_Lazy,
    help="连心 LianXin: a citizen request service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.callback()
def lianxin() -> None:
    """连心 LianXin: a citizen request service."""
