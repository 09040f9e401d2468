"""``lianxin staff``: accounts of the administration, made from the command line.

The password is asked for, or read from standard input; never an argument, which every user of the
machine could read.
"""

import getpass
import sys
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.place import configured, fail, in_transaction, say
from app.domain.identity import ROLE_TEXT, Role
from app.people import service as people
from app.people.passwords import PasswordTooWeak, check_policy, hash_password
from app.people.service import NewStaff

commands = typer.Typer(help="Accounts of the administration.", no_args_is_help=True)


@commands.command("create")
def create(
    role: Annotated[Role, typer.Option(help="what the person may do")],
    username: Annotated[str, typer.Option(help="3 to 40 of a-z 0-9 . _ -")],
    name: Annotated[
        str | None, typer.Option(help="the person's name; the role's if absent")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="unit code, for handlers and leaders")] = None,
    grid: Annotated[str | None, typer.Option(help="grid code, for grid staff")] = None,
) -> None:
    """Create an account. The password is asked for, or read from standard input."""
    password = _password(username)
    new = NewStaff(
        username=username,
        display_name=name or ROLE_TEXT[role],
        role=role,
        unit_code=unit,
        grid_code=grid,
        password_hash=hash_password(password),
    )

    async def work(session: AsyncSession, now: datetime) -> UUID:
        return await people.create_staff(session, new, now=now)

    staff_id = in_transaction(configured(), work)
    say(f"{username} ({role}) was created, id {staff_id}")


def _password(username: str) -> str:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != password:
            fail("the two passwords differ; nothing was created")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        check_policy(password, username=username)
    except PasswordTooWeak as error:
        fail("; ".join([error.title(), *(fault.message for fault in error.errors)]))
    return password
