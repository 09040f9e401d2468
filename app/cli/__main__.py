"""``python -m app.cli`` is ``lianxin``."""

from app.cli import cli

cli(prog_name="lianxin")
