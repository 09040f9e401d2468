"""``lianxin audit``: is everything still as it was written? And the list that proves it elsewhere.

The report is for auditors, so it is in Chinese.
"""

import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import inspection, queries
from app.audit.inspection import Inspection, KeptDay
from app.audit.service import GRACE
from app.cli.place import configured, fail, in_transaction
from app.domain.audit_chain import SealedDay, chain_of, local_day
from app.settings import Settings
from app.statistics import city_loading, snapshots
from app.statistics.city_rows import JOB

commands = typer.Typer(help="The record of every change and every look.", no_args_is_help=True)

# The history that every chain of a request must agree with.
# Made-up steps have none, but one digest of all of a year.
RECORDED = f"""
SELECT request_id AS chain, version, action, actor_id, actor_role FROM request_events
WHERE NOT {city_loading.IS_MADE_UP} ORDER BY request_id, version
"""  # noqa: S608 - our own words
# What accounts, sessions, calendars and publications say that their chains must tell: from the time
# on at which such things were told at all. Sessions are forgotten some day, entries are not.
OWED = f"""
WITH first AS (
  SELECT min(at) AS at FROM audit_entries
  WHERE action IN ('create_staff', 'create_resident', 'log_in')
), accounts AS (
  SELECT staff.* FROM staff JOIN first ON created_at >= first.at
), sessions AS (
  SELECT account_id, revoked_at, encode(substring(token_hash FOR 8), 'hex') AS name
  FROM login_sessions JOIN first ON created_at >= first.at WHERE kind = 'staff'
)
SELECT id AS chain, 'create_staff' AS action, NULL AS name, NULL AS value FROM accounts
UNION ALL SELECT id, NULL, 'epoch', epoch::text FROM accounts, generate_series(1, session_epoch)
  AS epoch
UNION ALL SELECT id, 'deactivate', NULL, NULL FROM accounts WHERE NOT active
UNION ALL SELECT id, 'create_resident', NULL, NULL FROM residents JOIN first ON created_at >= at
UNION ALL SELECT account_id, 'log_in', 'session', name FROM sessions
UNION ALL SELECT account_id, 'log_out', 'session', name FROM sessions WHERE revoked_at IS NOT NULL
UNION ALL SELECT '{chain_of("calendar")}', 'publish_calendar', 'calendar_version', version::text
  FROM calendars
UNION ALL SELECT '{snapshots.CHAIN}', '{snapshots.ACTION}', 'hash', encode(hash, 'hex')
  FROM figure_snapshots
UNION ALL SELECT '{city_loading.CHAIN}', '{JOB}', 'digest', digest
  FROM ({city_loading.DIGESTS}) AS years
ORDER BY chain
"""  # noqa: S608 - our own words
_SHOWN = 50
_HEAD = "# 连心审计封存清单：日期、条数、当天的根、封存摘要。请保存在其他机器上。"


@commands.command("verify")
def verify(
    roots: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="a list of lianxin audit roots, kept apart"),
    ] = None,
) -> None:
    """核验审计. Reads everything again; exits 1 if anything was altered, and says where."""
    kept = _read(roots) if roots else []

    async def work(session: AsyncSession, now: datetime) -> tuple[Inspection, datetime]:
        with _progress() as bar:
            task = bar.add_task("核验", total=None)
            found = await inspection.inspect(
                session,
                RECORDED,
                OWED,
                kept=kept,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        return found, now

    found, now = in_transaction(_patient(configured()), work)
    for line in report(found, now=now, kept=kept):
        sys.stdout.write(f"{line}\n")
    if found.faults:
        raise SystemExit(1)


@commands.command("roots")
def roots(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the first day; all if absent")
    ] = None,
) -> None:
    """封存清单. Prints the sealed days; keep them where this machine's owner cannot write."""
    first = since.date() if since else date.min

    async def work(session: AsyncSession, _now: datetime) -> Sequence[SealedDay]:
        return await queries.roots(session, since=first)

    for line in (_HEAD, *inspection.written(in_transaction(configured(), work))):
        sys.stdout.write(f"{line}\n")


def _patient(settings: Settings) -> Settings:
    """One statement goes through all histories of the city, another through its made-up years."""
    database = settings.database.model_copy(update={"statement_timeout_ms": 3_600_000})
    return settings.model_copy(update={"database": database})


def report(found: Inspection, *, now: datetime, kept: Sequence[KeptDay]) -> list[str]:
    """What an auditor reads, line by line."""
    lines = [f"共核验 {found.entries} 条审计记录，{found.chains} 条链。", _days_line(found)]
    due = local_day(now - 2 * GRACE) - timedelta(days=1)  # by now the job must have been by
    if found.unsealed:
        lines.append(f"尚未封存 {found.unsealed} 条，在次日一点以后封存。")
    if found.days and found.days[-1].day < due:
        lines.append(f"注意：{found.days[-1].day} 之后的日子没有封存，请检查后台任务是否在运行。")
    if kept:
        lines.append(f"已与外存清单的 {len(kept)} 天逐一比对。")
    else:
        lines.append("没有外存清单可比对：用 lianxin audit roots 导出，保存在其他机器上。")
    if not found.faults:
        return [*lines, "结果：完整，没有发现改动。"]
    lines.append(f"结果：发现 {found.faults} 处问题。")
    lines += [f"  {finding.line()}" for finding in found.findings[:_SHOWN]]
    if found.faults > _SHOWN:
        lines.append(f"  其余 {found.faults - _SHOWN} 处未列出。")
    return lines


def _days_line(found: Inspection) -> str:
    if not found.days:
        return "还没有封存的日子。"
    return f"已封存 {len(found.days)} 天：{found.days[0].day} 至 {found.days[-1].day}。"


def _read(file: Path) -> list[KeptDay]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            return inspection.read(lines)
    except (OSError, ValueError) as error:
        fail(f"cannot read {file}: {error}")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
