"""``lianxin migrate``: bring the database's tables to this version of the program."""

import tempfile
from pathlib import Path
from typing import Annotated

import alembic.command
import typer
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

import app
from app.cli.place import configured, database_url, fail, say
from app.settings import Settings
from app.store.embedded import EmbeddedPostgres

# Beside the package, in a checkout as in an installed wheel.
_MIGRATIONS = Path(app.__file__).resolve().parent.parent / "migrations"


def config_of(url: str | None = None) -> Config:
    """Alembic's configuration for the database at ``url``; no file is read."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Run the revisions that the database lacks. Safe to call from several processes at once.

    Raises:
        DBAPIError: a table stayed busy (try again), or the database refused.
        CommandError: the database is ahead of this program.
    """
    alembic.command.upgrade(config_of(url), "head")


def head() -> str | None:
    """The newest revision that this program knows."""
    return ScriptDirectory.from_config(config_of()).get_current_head()


def migrate_or_fail(url: str) -> None:
    try:
        upgrade(url)
    except CommandError as error:
        fail(f"the database does not fit this version of the program: {error}")
    except DBAPIError as error:
        fail(f"the migration did not run, nothing was changed; try again: {error.orig}")


def migrate(
    check: Annotated[
        bool,
        typer.Option("--check", help="change nothing: do the revisions make what the models say?"),
    ] = False,
) -> None:
    """Create or upgrade the tables. Run it before a new version is started."""
    if check:
        _check()
        return
    settings: Settings = configured()
    with database_url(settings) as url:
        migrate_or_fail(url)
    say(f"the database is at revision {head()}")


def _check() -> None:
    """Upgrade a throw-away database and compare it with the models."""
    with (
        tempfile.TemporaryDirectory(prefix="lianxin-check-") as folder,
        EmbeddedPostgres(Path(folder), durable=False) as server,
    ):
        upgrade(server.url)
        try:
            alembic.command.check(config_of(server.url))
        except CommandError as error:
            fail(str(error))
