"""What ``serve`` tells the operator once it answers: where, and in the demo city as whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from app.domain.identity import ROLE_TEXT, Role


def plain(base_url: str) -> None:
    """The addresses."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"\n连心 LianXin    {base_url}")
    console.print(f"API             {base_url}/docs")
    console.print(f"health          {base_url}/health/ready")


def demo(base_url: str, told: Mapping[str, Any], file: Path) -> None:
    """The addresses, one log-in per role, and where all the others are."""
    plain(base_url)
    logins: Sequence[Mapping[str, Any]] = told["logins"]
    table = Table(box=box.SIMPLE_HEAD, title="demo log-ins", title_justify="left")
    for heading in ("role", "", "username", "password", "unit", "grid", "accounts"):
        table.add_column(heading, no_wrap=True)
    for role in Role:
        mine = [login for login in logins if login["role"] == role]
        if mine:
            first = mine[0]
            table.add_row(
                *(role.value, ROLE_TEXT[role], first["username"], first["password"]),
                *(first["unit"] or "", first["grid"] or "", str(len(mine))),
            )
    residents = "  ".join(person["code"] for person in told["residents"])
    console = Console(width=None if Console().is_terminal else 132, highlight=False)
    console.print(table)
    console.print(f"residents log in by WeChat code: {residents}", soft_wrap=True)
    console.print(f"all log-ins: {file}\n", soft_wrap=True)
