"""``python -m bench.registry``: the registers at full size, on a database of its own.

Makes the demo city and its registers, writes 430,000 persons into a CSV file, imports it twice into
a second database (new, then unchanged), and times progress, a page and a look-up. Not a word of it
is a promise for another machine: it prints what it ran on.
"""

import argparse
import asyncio
import base64
import csv
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.cli.registry import import_sheet
from app.domain.identity import Actor, Role
from app.domain.registry import Kind
from app.grids import demo as demo_city
from app.registry import contents, demo, progress, queries, sheets
from app.registry.kinds import SPECS
from app.registry.queries import Filters
from app.settings import DatabaseSettings
from app.store.crypto import FieldCipher
from app.store.embedded import EmbeddedPostgres
from app.store.session import Database
from app.tables import metadata
from bench import machine

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
LIMIT_S = 60.0
_HEADER = ("编号", "姓名", "手机号码", "身份证号码", "网格编码", "户编号", "与户主关系", "标签")
_BOSS = Actor(UUID(int=1), Role.SUPERVISOR)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.registry", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the full size (1.0)")
    parser.add_argument("--tries", type=int, default=7, help="of each reading (7)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--server", help="a superuser's URL; by default a PostgreSQL of its own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lianxin-registry-") as folder:
        if options.server:
            figures = asyncio.run(_measure(options.server, Path(folder), options))
        else:
            server = EmbeddedPostgres(Path(folder) / "database")
            server.start()
            try:
                figures = asyncio.run(_measure(server.admin_url, Path(folder), options))
            finally:
                server.stop()
    figures["machine"] = machine.facts()
    print(json.dumps(figures, ensure_ascii=False, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
    reached = figures["import_new_s"] <= LIMIT_S
    print(f"import of {figures['persons']} persons: {figures['import_new_s']} s"
          f" ({'within' if reached else 'OVER'} {LIMIT_S:.0f} s)")  # fmt: skip


async def _measure(admin_url: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    cipher = FieldCipher(base64.b64encode(os.urandom(32)).decode())
    figures: dict[str, Any] = {"share": options.share}
    async with _Databases(admin_url) as databases:
        first = await databases.make("registry_bench_demo")
        began = time.perf_counter()
        async with first.transaction() as session:
            made = await demo.fill(
                session, cipher, demo_city.demo_point, share=options.share, now=NOW
            )
        figures["demo_s"] = round(time.perf_counter() - began, 1)
        figures |= {f"{kind}s": count for kind, count in made.items()}
        file = folder / "persons.csv"
        await _write_csv(first, cipher, file)
        figures["csv_mb"] = round(file.stat().st_size / 1e6, 1)
        figures |= await _readings(first, cipher, options.tries)
        second = await databases.make("registry_bench_import")
        await _copy_households(first, second)
        for name in ("import_new_s", "import_unchanged_s", "preview_s"):
            began = time.perf_counter()
            sheet = sheets.open_sheet(file)
            async with second.transaction() as session:
                counts, _ = await import_sheet(
                    session,
                    cipher,
                    sheet,
                    Kind.PERSON,
                    apply=name != "preview_s",
                    bad=folder / "bad.csv",
                    now=NOW,
                )
            figures[name] = round(time.perf_counter() - began, 1)
            figures[name.replace("_s", "_counts")] = {
                str(outcome): count for outcome, count in counts.of.items() if count
            }
    return figures


async def _readings(db: Database, cipher: FieldCipher, tries: int) -> dict[str, Any]:
    async with db.transaction() as session:
        grid = str(await session.scalar(text("SELECT max(grid_code) FROM registry_persons")))
        phone = (await session.execute(text(
            "SELECT id, personal FROM registry_persons ORDER BY id LIMIT 1"))).one()  # fmt: skip
    persons = SPECS[Kind.PERSON]
    number = contents.unseal(cipher, persons, phone.id, phone.personal)["phone"] or ""
    index = contents.index_of(cipher, persons, "phone", number)
    leader = Actor(UUID(int=2), Role.GRID_LEADER, grid_code=grid)
    before = NOW - timedelta(days=180)

    async def whole_city() -> object:
        return await progress.of_places(
            db, actor=_BOSS, grid_code=None, level="grid", stale_before=before
        )

    async def one_grid() -> object:
        return await progress.of_places(
            db, actor=leader, grid_code=None, level=None, stale_before=before
        )

    async def stale_page() -> object:
        filters = Filters(stale=True, stale_before=before)
        return await queries.page(db, persons, filters, actor=_BOSS, limit=100, cursor=None)

    async def tagged_page() -> object:
        filters = Filters(tag="low_income")
        return await queries.page(db, persons, filters, actor=leader, limit=100, cursor=None)

    async def look_up() -> object:
        return await queries.with_number(db, persons, "phone", index, actor=_BOSS)

    return {
        "progress_city_ms": await _median_ms(whole_city, tries),
        "progress_grid_ms": await _median_ms(one_grid, tries),
        "stale_page_ms": await _median_ms(stale_page, tries),
        "tagged_page_ms": await _median_ms(tagged_page, tries),
        "look_up_ms": await _median_ms(look_up, tries),
    }


async def _median_ms(work: Callable[[], Awaitable[object]], tries: int) -> float:
    took = []
    for _ in range(tries):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 1)


async def _write_csv(db: Database, cipher: FieldCipher, file: Path) -> None:
    persons = SPECS[Kind.PERSON]
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(_HEADER)
        async with db.transaction() as session:
            rows = await session.stream(text(
                "SELECT person.*, household.code AS household_code FROM registry_persons AS person"
                " LEFT JOIN registry_households AS household ON household.id = household_id"
                " ORDER BY person.code"))  # fmt: skip
            async for some in rows.partitions(5_000):
                for row in some:
                    said = contents.unseal(cipher, persons, row.id, row.personal)
                    writer.writerow((row.code, said["name"], said["phone"], said["id_number"],
                                     row.grid_code, row.household_code, row.relation,
                                     "、".join(row.tags)))  # fmt: skip


async def _copy_households(source: Database, target: Database) -> None:
    """The persons lean on households, which must be there before."""
    spec = SPECS[Kind.HOUSEHOLD]
    columns = ", ".join(spec.columns)
    reader = await asyncpg.connect(source.url)
    writer = await asyncpg.connect(target.url)
    try:
        rows = await reader.fetch(f"SELECT {columns} FROM {spec.table}")
        await writer.copy_records_to_table(
            spec.table, records=(tuple(row) for row in rows), columns=list(spec.columns)
        )
        await writer.execute(f"VACUUM ANALYZE {spec.table}")
    finally:
        await reader.close()
        await writer.close()


class _Databases:
    """Databases of this bench on a server: made with the demo city's grids, dropped at the end."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._made: list[tuple[str, Database]] = []

    async def __aenter__(self) -> "_Databases":
        return self

    async def __aexit__(self, *_: object) -> None:
        for name, db in self._made:
            await db.close()
            await self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def make(self, stem: str) -> Database:
        name = f"{stem}_{os.getpid()}"
        await self._admin(f"CREATE DATABASE {name}")
        url = make_url(self._admin_url).set(database=name).render_as_string(hide_password=False)
        db = Database(url, DatabaseSettings(statement_timeout_ms=60_000))
        self._made.append((name, db))
        async with db.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await db.open()
        async with db.transaction() as session:
            await demo_city.seed(session, now=NOW)
        return db

    async def _admin(self, command: str) -> None:
        connection = await asyncpg.connect(self._admin_url)
        try:
            await connection.execute(command)
        finally:
            await connection.close()


if __name__ == "__main__":
    main()
