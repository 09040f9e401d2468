"""Where a command works: its settings, its data folder with the keys, its database."""

import asyncio
import base64
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import SecretStr, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import AppError
from app.domain.identity import STAFF_ROLES
from app.people.passwords import hash_password
from app.settings import Settings
from app.store.embedded import EmbeddedPostgres, url_of_running
from app.store.programs import EmbeddedPostgresError
from app.store.session import Database

T = TypeVar("T")


@dataclass(slots=True)
class Keys:
    """``secrets.json`` of a data folder. Losing it loses the personal data: back it up.

    ``demo`` has, by role, the password that all accounts of the demo city share, and its hash: with
    one hash a role, thousands of accounts are made in a moment.
    """

    secret_key: str
    demo: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Path, given: SecretStr) -> "Keys":
        """Read the file, or make it with the ``given`` key or else a random one.

        Exits with a clear line when the file is damaged, or was made with another key.
        """
        path = data / "secrets.json"
        try:
            keys = cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            random_key = base64.b64encode(secrets.token_bytes(32)).decode()
            keys = cls(secret_key=given.get_secret_value() or random_key)
            keys.keep(data)
        except (OSError, ValueError, TypeError) as error:
            fail(f"cannot read {path} ({error}); restore it from a backup")
        if given.get_secret_value() not in ("", keys.secret_key):
            fail(f"LIANXIN_SECRET_KEY is not the key in {path}: one of the two is wrong")
        return keys

    def keep(self, data: Path) -> None:
        write_private(data / "secrets.json", {"secret_key": self.secret_key, "demo": self.demo})

    def make_demo_passwords(self, data: Path) -> None:
        """One random password per role, kept for the next start."""
        for role in sorted(STAFF_ROLES):
            password = secrets.token_urlsafe(12)
            self.demo[role] = {"password": password, "hash": hash_password(password)}
        self.keep(data)


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only the folder's owner can read, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(scratch, owner.st_uid, owner.st_gid)
    scratch.replace(path)


def configured(**overrides: Any) -> Settings:
    """The settings of the environment; what the command line said wins. Nested like the settings.

    Exits with a clear line when a value is wrong.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            place = "__".join(str(part) for part in fault["loc"]).upper()
            say(f"LIANXIN_{place}: {fault['msg']}")
        raise SystemExit(1) from None


def said(**values: Any) -> dict[str, Any]:
    """Only what the command line gave."""
    return {name: value for name, value in values.items() if value is not None}


def say(line: str) -> None:
    """One line to the operator, on standard error."""
    sys.stderr.write(f"lianxin: {line}\n")
    sys.stderr.flush()


def fail(line: str) -> NoReturn:
    say(line)
    raise SystemExit(1)


def in_transaction(settings: Settings, work: Callable[[AsyncSession, datetime], Awaitable[T]]) -> T:
    """Run ``work(session, now)`` on the database of these settings, all or nothing.

    Exits with a clear line when a rule of the house refuses it, or the database cannot be used.
    """

    async def run(url: str) -> T:
        db = Database(url, settings.database)
        try:
            async with db.transaction() as session:
                return await work(session, datetime.now(UTC))
        finally:
            await db.close()

    try:
        with database_url(settings) as url:
            return asyncio.run(run(url))
    except AppError as error:
        say(" ".join(filter(None, (error.title(), error.detail))))
        for fault in error.errors:
            say(f"  {fault.pointer}: {fault.message}")
        raise SystemExit(1) from None
    except (OSError, SQLAlchemyError, EmbeddedPostgresError) as error:
        fail(f"the database cannot be used: {error}")


def read_json(file: Path) -> object:
    """Exits with a clear line when the file cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        fail(f"cannot read {file}: {error}")


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The database of these settings: the given one, the one that a service runs, or our own.

    An embedded database that nobody runs is started for the time of the command.
    """
    running = settings.database_url or url_of_running(settings.data)
    if running:
        yield running
        return
    with EmbeddedPostgres(settings.data) as server:
        yield server.url
