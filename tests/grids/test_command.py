"""``lianxin import grids`` and ``lianxin grids``: preview, apply, roll-back, audit."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import delete, select
from typer.testing import CliRunner

from app.cli import cli
from app.grids.boundary_file import FILE_LIMIT_BYTES
from app.grids.models import (
    CountyRow,
    GridImportPlaceRow,
    GridImportRow,
    GridRow,
    GridVersionRow,
    LineageRow,
)
from app.store.session import Database
from tests.grids.shapes import COMMUNITY, TOWN, document, feature
from tests.grids.test_shapefiles import made, ring
from tests.grids.town import build, grid, strip


async def run(db: Database, *arguments: object) -> Result:
    """In a thread, because a command has a loop of its own."""
    words: Sequence[str] = [*map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, cli, words, env={"DATABASE_URL": db.url})


def written(folder: Path, content: object, name: str = "grids.geojson") -> Path:
    file = folder / name
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


async def take(db: Database, file: Path, level: str = "grid", *more: str) -> Result:
    return await run(db, "import", "grids", file, "--crs", "wgs84", "--level", level, *more)


async def codes(db: Database) -> list[str]:
    async with db.sessions() as session:
        found = select(GridRow.code).where(GridRow.active).order_by(GridRow.code)
        return list(await session.scalars(found))


@pytest.fixture
async def town(db: Database) -> AsyncIterator[Database]:
    async with db.transaction() as session:
        await build(session)
    yield db
    tables = (LineageRow, GridImportPlaceRow, GridImportRow, GridVersionRow, CountyRow, GridRow)
    async with db.transaction() as session:
        for table in tables:
            await session.execute(delete(table))


async def test_without_apply_nothing_is_changed(town, tmp_path):
    before = await codes(town)
    file = written(tmp_path, document(grid(4, 3, 3.5), grid(5, 3.5, 4)))
    done = await take(town, file)
    assert done.exit_code == 0, done.output
    assert "新增1，变更1，关闭0，不变0，文件未提及而保留3。" in done.output
    assert "变更 370281001601004 第4网格：" in done.output
    assert "平方米（-498" in done.output
    assert "以上为预览，未做任何改动" in done.output
    assert await codes(town) == before


async def test_apply_and_roll_back(town, tmp_path):
    before = await codes(town)
    file = written(tmp_path, document(grid(4, 3, 3.5), grid(5, 3.5, 4)))
    done = await take(town, file, "grid", "--apply")
    assert "已生效" in done.output
    assert await codes(town) == [*before, f"{COMMUNITY}005"]
    assert "未做任何改动" in (await take(town, file, "grid", "--apply")).output
    done = await run(town, "grids", "rollback")
    assert done.exit_code == 0, done.output
    assert await codes(town) == before
    assert (await run(town, "grids", "rollback")).exit_code == 0  # the import before it


async def test_without_an_import_there_is_nothing_to_roll_back(db):
    done = await run(db, "grids", "rollback")
    assert (done.exit_code, "没有可以撤回的网格导入" in done.output) == (1, True)


async def test_the_audit_exits_with_what_it_found(town, tmp_path):
    done = await run(town, "grids", "audit", "--parent", TOWN)
    assert done.exit_code == 0, done.output
    assert "结果：没有发现问题。" in done.output
    file = written(tmp_path, document(grid(1, 0, 0.9)))
    await take(town, file, "grid", "--apply")
    done = await run(town, "grids", "audit", "--parent", TOWN)
    assert done.exit_code == 1
    assert "缝隙：没有任何下级覆盖 370281001601：阜安街道 / 福安新村 / 第1网格" in done.output
    done = await run(town, "grids", "audit", "--json")
    found = json.loads(done.output)
    assert done.exit_code == 1
    kinds = [(item["kind"], item["parent_code"]) for item in found["items"]]
    assert kinds == [("gap", COMMUNITY), ("no_boundary", "370281")]
    assert found["items"][0]["geometry"]["type"] == "Polygon"
    assert (await run(town, "grids", "audit", "--parent", "370281888")).exit_code == 1


async def test_a_bad_file_is_named_and_nothing_is_half_applied(town, tmp_path):
    before = await codes(town)
    content = document(grid(5, 3, 4), grid(6, 3, 4, parent="370281001999"))
    done = await take(town, written(tmp_path, content), "grid", "--apply")
    assert done.exit_code == 1
    assert "第2个要素（370281001601006 第6网格）：上级编码应为 370281001601" in done.output
    assert await codes(town) == before


async def test_a_file_of_100_mb_is_not_even_opened(db, tmp_path):
    file = tmp_path / "huge.geojson"
    with file.open("wb") as huge:
        huge.truncate(100 * 1024 * 1024)
    for name in ("huge.geojson", "huge.csv", "huge.zip"):
        done = await take(db, file.rename(tmp_path / name), "town")
        file = tmp_path / name
        assert done.exit_code == 1
        assert "文件有100MB，上限为32MB" in done.output
    for part in ("shp", "dbf"):
        with (tmp_path / f"parts.{part}").open("wb") as huge:
            huge.truncate(FILE_LIMIT_BYTES // 2 + 1)
    assert "上限为32MB" in (await take(db, tmp_path / "parts.shp", "town")).output


async def test_other_formats_by_their_endings(town, tmp_path):
    for part, content in made(("370281002", "中云街道", ring(120.1))).items():
        (tmp_path / f"towns.{part}").write_bytes(content)
    done = await take(town, tmp_path / "towns.shp", "town", "--apply")
    assert done.exit_code == 0, done.output
    (tmp_path / "list.csv").write_text("code,name\n370281003,甲街道\n370211104,大场镇\n", "utf-8")
    done = await take(town, tmp_path / "list.csv", "town", "--apply", "--within", "370281")
    assert done.exit_code == 0, done.output
    assert [code for code in await codes(town) if len(code) == 9] == [
        TOWN,
        "370281002",
        "370281003",
    ]
    done = await take(town, written(tmp_path, {}, "towns.gml"), "town")
    assert "不认识这种文件" in done.output


async def test_names_rules_and_older_units(town, tmp_path):
    done = await run(town, "grids", "name-levels", "370281", "--town", "镇街", "--grid", "责任区")
    assert done.exit_code == 0, done.output
    done = await run(town, "grids", "load-rule", "grid", "--least", "20", "--most", "80")
    assert done.exit_code == 0, done.output
    assert (await run(town, "grids", "load-rule", "grid")).exit_code == 1
    listed = tmp_path / "legacy.csv"
    listed.write_text("kind,code,name,grid_code\n党建网格,D1,支部,370281001999\n", "utf-8")
    done = await run(town, "import", "legacy-units", listed)
    assert (done.exit_code, "没有网格 370281001999" in done.output) == (1, True)


async def test_a_mix_up_is_refused_until_somebody_is_sure(town, tmp_path):
    content = document(feature(COMMUNITY, strip(0.4, 4.4), name="福安新村"))
    file = written(tmp_path, content)
    shifted = ["import", "grids", file, "--crs", "gcj02", "--level", "community"]
    done = await run(town, *shifted)
    assert done.exit_code == 0, done.output  # where it lies, no system fits better
    file = written(tmp_path, document(feature(COMMUNITY, strip(0, 4), name="福安新村")))
    done = await run(town, *shifted)
    assert done.exit_code == 1
    assert "坐标系可能填错" in done.output
    done = await run(town, *shifted, "--sure")
    assert (done.exit_code, "注意：" in done.output) == (0, True)
