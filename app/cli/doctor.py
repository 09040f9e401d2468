"""``lianxin doctor``: what is right, what is doubtful, what is wrong."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from pydantic import SecretStr

from app.cli.checks import Finding, Grade, database_findings, settings_findings
from app.cli.place import Keys, configured, database_url, said
from app.store.programs import EmbeddedPostgresError


def doctor(
    data: Annotated[Path | None, typer.Option(help="folder of everything that is kept")] = None,
) -> None:
    """Check settings, secrets, database, schema and calendar. Exits 1 if anything is wrong."""
    settings = configured(**said(data=data))
    if not settings.secret_key.get_secret_value() and (settings.data / "secrets.json").exists():
        keys = Keys.of(settings.data, settings.secret_key)
        settings = settings.model_copy(update={"secret_key": SecretStr(keys.secret_key)})
    findings = list(settings_findings(settings))
    if not settings.database_url and not (settings.data / "postgres").exists():
        findings.append(
            Finding(
                Grade.FAULT,
                f"no DATABASE_URL, and no database in {settings.data}: run lianxin serve",
            )
        )
    else:
        try:
            with database_url(settings) as url:
                today = datetime.now(UTC).date()
                findings += asyncio.run(database_findings(settings, url, today=today))
        except (OSError, asyncpg.PostgresError, EmbeddedPostgresError) as error:
            findings.append(Finding(Grade.FAULT, f"the database cannot be reached: {error}"))
    for finding in findings:
        sys.stdout.write(f"{finding.grade:8} {finding.line}\n")
    if any(finding.grade is Grade.FAULT for finding in findings):
        raise SystemExit(1)
