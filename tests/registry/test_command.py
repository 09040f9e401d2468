"""``lianxin import registry`` and ``lianxin registry demo``, as an operator runs them."""

import asyncio
import base64
from pathlib import Path
from typing import Any

from sqlalchemy import text
from typer.testing import CliRunner, Result

from app.cli import cli
from tests.city import CityHall
from tests.conftest import SECRET_KEY
from tests.registry.test_importing import person, write_csv


async def run(hall: CityHall, *words: object, **environment: str) -> Result:
    """In a thread, because a command has a loop of its own."""
    settings = {"DATABASE_URL": hall.db.url, "LIANXIN_SECRET_KEY": SECRET_KEY, **environment}
    said = [str(word) for word in words]
    return await asyncio.to_thread(CliRunner().invoke, cli, said, env=settings)


async def count(hall: CityHall, table: str) -> Any:
    async with hall.db.transaction() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table}"))


async def test_a_preview_and_then_the_import(hall: CityHall, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "人口.csv", person(1), person(2), person(3, 手机号="x"))
    words = ("import", "registry", file, "--kind", "persons")
    preview = await run(hall, *words)
    assert preview.exit_code == 0, preview.output
    assert "would be created 2" in preview.output
    assert "not taken: 1 bad" in preview.output
    assert "this was a preview" in preview.output
    assert await count(hall, "registry_persons") == 0
    done = await run(hall, *words, "--apply")
    assert done.exit_code == 0, done.output
    assert "created 2, updated 0, unchanged 0" in done.output
    assert await count(hall, "registry_persons") == 2
    assert "手机号：" in (tmp_path / "人口.错误.csv").read_text("utf-8-sig")
    for secret in ("诸葛", "138000"):
        assert secret not in done.output


async def test_what_is_wrong_with_a_file_is_said_in_one_line(
    hall: CityHall, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "x.csv", header=("甲", "乙"))
    refused = await run(hall, "import", "registry", file, "--kind", "persons", "--apply")
    assert refused.exit_code == 1
    assert "表头不正确，没有导入任何内容。 缺少这些列：网格编码" in refused.output
    unknown = await run(hall, "import", "registry", file, "--kind", "castles")
    assert unknown.exit_code == 2


async def test_nothing_is_sealed_with_a_key_that_the_service_has_not(
    hall: CityHall, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "p.csv", person(5))
    words = ("import", "registry", file, "--kind", "persons", "--apply")
    none = await run(hall, *words, LIANXIN_SECRET_KEY="", LIANXIN_DATA=str(tmp_path / "none"))
    assert none.exit_code == 1
    assert "set LIANXIN_SECRET_KEY" in none.output
    other = base64.b64encode(b"x" * 32).decode()
    wrong = await run(hall, *words, LIANXIN_SECRET_KEY=other)
    assert wrong.exit_code == 1
    assert "密钥与登记册中已有的数据不符" in wrong.output
    assert await count(hall, "registry_persons") == 2


async def test_the_demo_is_no_command_for_a_register_in_use(hall: CityHall) -> None:
    refused = await run(hall, "registry", "demo", LIANXIN_PROFILE="production")
    assert refused.exit_code == 1
    full = await run(hall, "registry", "demo", "--share", "0.001")
    assert full.exit_code == 1
    assert "登记册中已有记录" in full.output
    async with hall.db.transaction() as session:
        await session.execute(text("DELETE FROM registry_persons"))
    made = await run(hall, "registry", "demo", "--share", "0.001")
    assert made.exit_code == 0, made.output
    assert "430 persons" in made.output
    assert await count(hall, "registry_houses") == 210
