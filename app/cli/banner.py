"""What ``serve`` tells the operator once it answers: where, and in the demo city as whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.domain.identity import ROLE_TEXT, Role


def plain(base_url: str, *, docs: bool) -> None:
    """The addresses."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"\n连心 LianXin    {base_url}")
    if docs:
        console.print(f"API             {base_url}/docs")
    console.print(f"health          {base_url}/health/ready")


def demo(base_url: str, told: Mapping[str, Any], file: Path, *, docs: bool) -> None:
    """The addresses, one log-in per role, and where all the others are."""
    plain(base_url, docs=docs)
    logins: Sequence[Mapping[str, Any]] = told["logins"]
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for _ in ("role", "角色", "username", "password"):
        table.add_column(no_wrap=True)
    for role in Role:
        mine = [login for login in logins if login["role"] == role]
        if mine:
            first = mine[0]
            table.add_row(role.value, ROLE_TEXT[role], first["username"], first["password"])
    residents = "  ".join(person["code"] for person in told["residents"])
    # As wide as it is: a password cut short by a narrow terminal would be of no use.
    console = Console(width=100, highlight=False)
    console.print("\ndemo log-ins, one of each role")
    console.print(table)
    console.print(f"\nresidents log in by WeChat code: {residents}", soft_wrap=True)
    console.print(f"all log-ins: {file}\n", soft_wrap=True)
