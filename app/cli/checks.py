"""What must be right before the service runs, and what ``lianxin doctor`` looks at.

Source: reliability R12 (limits of every connection), R13 (a production system refuses to start
with settings that lose data or give it away).
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

import asyncpg

from app.cli.migrate import head
from app.cli.place import fail, say
from app.settings import Settings
from app.store.crypto import FieldCipher, SecretKeyInvalid
from app.store.session import Database, Statement

_SHOULD_BE_ON = ("fsync", "full_page_writes", "synchronous_commit")
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_OLDEST_MAJOR = 15
_COVERED = timedelta(days=90)

_FACTS = Statement(
    """
    SELECT current_setting('server_version_num')::int AS server_version_num,
           current_setting('fsync') AS fsync,
           current_setting('full_page_writes') AS full_page_writes,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('statement_timeout') AS statement_timeout,
           current_setting('lock_timeout') AS lock_timeout,
           current_setting('idle_in_transaction_session_timeout')
               AS idle_in_transaction_session_timeout,
           to_regclass('alembic_version') IS NOT NULL AS migrated,
           to_regclass('calendars') IS NOT NULL AS has_calendars,
           rolname, rolsuper OR rolbypassrls AS mighty
    FROM pg_roles WHERE rolname = current_user
    """
)
_REVISION = Statement("SELECT version_num FROM alembic_version")
_CALENDAR = Statement("SELECT coverage_to FROM calendars ORDER BY version DESC LIMIT 1")


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for the operator."""

    grade: Grade
    line: str


def refuse_unsafe(settings: Settings, url: str, *, now: datetime) -> None:
    """Exit, saying why, if a production system would lose data or give it away."""
    findings = list(settings_findings(settings))
    try:
        findings += asyncio.run(database_findings(settings, url, today=now.date()))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database cannot be reached: {error}")
    for finding in findings:
        if finding.grade is not Grade.OK:
            say(f"{finding.grade}: {finding.line}")
    if any(finding.grade is Grade.FAULT for finding in findings):
        fail("a production system does not start like this")


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """What can be said without a database."""
    try:
        FieldCipher(settings.secret_key.get_secret_value())
    except SecretKeyInvalid as error:
        yield Finding(Grade.FAULT, str(error))
    else:
        yield Finding(Grade.OK, "the secret key is long enough")
    if settings.profile != "production":
        return
    if settings.web.docs:
        yield Finding(Grade.FAULT, "/docs is open: set LIANXIN_WEB__DOCS=false")
    if settings.log_level == "debug":
        yield Finding(Grade.FAULT, "debug logs: set LIANXIN_LOG_LEVEL=info")
    if not settings.wechat.app_id or not settings.wechat.app_secret.get_secret_value():
        yield Finding(
            Grade.WARNING,
            "nobody can log in by WeChat: set LIANXIN_WECHAT__APP_ID and …__APP_SECRET",
        )


async def database_findings(settings: Settings, url: str, *, today: date) -> list[Finding]:
    """What the database tells of itself. Reads only.

    Raises:
        OSError, asyncpg.PostgresError: it cannot be reached.
    """
    db = Database(url, settings.database)
    await db.open()
    try:
        facts = await db.one_statement(_FACTS)
        assert facts is not None, "a SELECT of values has a row"  # noqa: S101
        revision = await db.one_statement(_REVISION) if facts["migrated"] else None
        calendar = await db.one_statement(_CALENDAR) if facts["has_calendars"] else None
    finally:
        await db.close()
    return [
        *_server_findings(facts),
        _schema_finding(revision["version_num"] if revision else None),
        _calendar_finding(calendar["coverage_to"] if calendar else None, today),
    ]


def _server_findings(facts: asyncpg.Record) -> Iterator[Finding]:
    major = facts["server_version_num"] // 10_000
    grade = Grade.OK if major >= _OLDEST_MAJOR else Grade.FAULT
    yield Finding(grade, f"PostgreSQL {major} ({_OLDEST_MAJOR} or newer is needed)")
    off = [name for name in _SHOULD_BE_ON if facts[name] == "off"]
    if off:
        yield Finding(Grade.FAULT, f"{', '.join(off)} is off: a crash loses what was promised")
    else:
        yield Finding(Grade.OK, "what is committed survives a crash")
    if facts["mighty"]:
        yield Finding(
            Grade.FAULT,
            f"the database role {facts['rolname']} is a superuser or bypasses row security:"
            " connect as an ordinary role that owns the database",
        )
    else:
        yield Finding(Grade.OK, f"the database role {facts['rolname']} is an ordinary one")
    unlimited = [name for name in _LIMITS if facts[name] == "0"]
    if unlimited:
        yield Finding(Grade.FAULT, f"connections have no {', '.join(unlimited)}")
    else:
        limits = ", ".join(f"{name} {facts[name]}" for name in _LIMITS)
        yield Finding(Grade.OK, f"connections are limited: {limits}")


def _schema_finding(revision: str | None) -> Finding:
    if revision == head():
        return Finding(Grade.OK, f"the schema is at revision {revision}")
    return Finding(
        Grade.FAULT, f"the schema is at revision {revision}, not {head()}: run lianxin migrate"
    )


def _calendar_finding(covered_to: date | None, today: date) -> Finding:
    if covered_to is None:
        return Finding(Grade.WARNING, "there is no working calendar yet: run lianxin seed")
    if covered_to < today + _COVERED:
        return Finding(
            Grade.WARNING,
            f"the working calendar ends on {covered_to}: due times after it are provisional;"
            " import the new year's notice with lianxin import calendar FILE",
        )
    return Finding(Grade.OK, f"the working calendar reaches to {covered_to}")
