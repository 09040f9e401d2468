"""Units of older nets, n:m with dates; names of levels; rules of load."""

from collections.abc import AsyncIterator
from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditEntry
from app.domain.coverage import LoadRule
from app.domain.errors import AppError
from app.grids import conventions, legacy, queries, service
from app.grids.boundary_file import BoundaryFileRefused
from app.grids.conventions import LevelNameInvalid, LoadRuleInvalid, ScopeInvalid
from app.grids.kinds import GridLevel, LegacyKind
from app.grids.legacy import LegacyListRefused
from app.store.session import Database
from tests.grids.shapes import COMMUNITY
from tests.grids.town import GRIDS, NOW, build

HEAD = "kind,code,name,grid_code,valid_from,valid_to\n"


@pytest.fixture
async def session(db: Database) -> AsyncIterator[AsyncSession]:
    async with db.sessions() as session:
        await build(session)
        yield session
        await session.rollback()


async def take(session: AsyncSession, *rows: str, head: str = HEAD) -> legacy.LegacyCounts:
    content = head + "\n".join(rows)
    return await legacy.import_list(session, content.encode(), now=NOW)


async def listed(session: AsyncSession, day: str = "2026-03-02", **asked: object) -> list[str]:
    options = {"kind": None, "grid_code": None, "on": date.fromisoformat(day), **asked}
    found = await legacy.units(session, **options)
    return [f"{it.kind.value} {it.code} {it.grid_code[-1]}" for it in found]


async def test_a_unit_has_several_grids_and_a_grid_several_units(session):
    counts = await take(
        session,
        f"党建网格,D1,第一党支部,{GRIDS[0]},2026-01-01,",
        f"party,D1,第一党支部,{GRIDS[1]},2026-01-01,2026-06-01",
        f"综治网格,Z9,综治九号,{GRIDS[0]},2026-05-01,",
        f"village,370281001201,某村村委会,{COMMUNITY},2026-01-01,",
    )
    assert (counts.units, counts.links) == (3, 4)
    assert await listed(session) == ["party D1 1", "party D1 2", "village 370281001201 1"]
    assert await listed(session, "2026-06-01") == [
        "party D1 1",
        "safety Z9 1",
        "village 370281001201 1",
    ]
    assert await listed(session, kind=LegacyKind.PARTY, grid_code=GRIDS[1]) == ["party D1 2"]
    assert await listed(session, kind=LegacyKind.HABITAT) == []
    assert await listed(session, limit=1, offset=1) == ["party D1 2"]
    told = (
        await session.scalars(
            select(AuditEntry.facts)
            .where(AuditEntry.chain == service.CHAIN, AuditEntry.action == "import_legacy_units")
        )
    ).one()  # fmt: skip
    assert (told["units"], told["links"]) == (3, 4)


async def test_the_same_list_again_changes_names_and_ends_only(session):
    await take(session, f"党建网格,D1,旧名,{GRIDS[0]},2026-01-01,")
    await take(session, f"党建网格,D1,新名,{GRIDS[0]},2026-01-01,2026-02-01")
    assert await listed(session) == []
    (link,) = await legacy.units(
        session, kind=None, grid_code=None, on=date(2026, 1, 15), offset=0, limit=9
    )
    assert (link.name, link.valid_to) == ("新名", date(2026, 2, 1))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"城管,D1,名,{GRIDS[0]},,", "第2行：类别应为"),
        (f"党建网格,,名,{GRIDS[0]},,", "第2行：编码应为"),
        (f"党建网格,D1,,{GRIDS[0]},,", "第2行：名称应为"),
        ("党建网格,D1,名,370281001601999,,", "第2行：没有网格 370281001601999"),
        (f"党建网格,D1,名,{GRIDS[0]},2026-1-1,", "应写作 2026-01-31"),
        (f"党建网格,D1,名,{GRIDS[0]},2026-02-01,2026-02-01", "失效日期应晚于生效日期"),
    ],
)
async def test_a_wrong_row_is_named_and_nothing_is_taken(session, row, said):
    with pytest.raises(LegacyListRefused, match=said):
        await take(session, row, f"党建网格,D2,名,{GRIDS[0]},,")
    assert await listed(session) == []


async def test_a_list_that_is_none_is_refused(session):
    with pytest.raises(BoundaryFileRefused, match="表头缺少：grid_code"):
        await take(session, head="kind,code,name\n")
    with pytest.raises(LegacyListRefused, match="没有内容"):
        await take(session)
    with pytest.raises(BoundaryFileRefused, match="GB 18030"):
        await legacy.import_list(session, b"kind\xff\xff\xff", now=NOW)


# --- conventions ---------------------------------------------------------------------------------


async def test_names_and_rules_are_loaded_with_the_tree(db: Database):
    async with db.transaction() as session:
        await conventions.name_levels(session, "", {GridLevel.GRID: "责任区"}, now=NOW)
        await conventions.name_levels(session, "370281", {GridLevel.GRID: "网格"}, now=NOW)
        rule = LoadRule(GridLevel.GRID, 50, 90, "370281002")
        await conventions.rule_load(session, rule, now=NOW)
    grids = await queries.load(db)
    assert grids.level_text(GridLevel.GRID, GRIDS[0]) == "网格"
    assert grids.level_text(GridLevel.GRID, "370211104001001") == "责任区"
    assert grids.level_text(GridLevel.MICRO, f"{GRIDS[0]}01") == "微网格"
    assert rule in grids.load_rules
    assert LoadRule(GridLevel.MICRO, None, 50) in grids.load_rules


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s: conventions.name_levels(s, "37", {GridLevel.GRID: "x"}, now=NOW), ScopeInvalid),
        (lambda s: conventions.name_levels(s, "", {}, now=NOW), LevelNameInvalid),
        (
            lambda s: conventions.name_levels(s, "", {GridLevel.GRID: " "}, now=NOW),
            LevelNameInvalid,
        ),
        (
            lambda s: conventions.name_levels(s, "", {GridLevel.GRID: "格" * 11}, now=NOW),
            LevelNameInvalid,
        ),
        (
            lambda s: conventions.rule_load(s, LoadRule(GridLevel.GRID, None, None), now=NOW),
            LoadRuleInvalid,
        ),
        (
            lambda s: conventions.rule_load(s, LoadRule(GridLevel.GRID, 60, 30), now=NOW),
            LoadRuleInvalid,
        ),
        (
            lambda s: conventions.rule_load(s, LoadRule(GridLevel.GRID, -1, 30), now=NOW),
            LoadRuleInvalid,
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(session, call, error: type[AppError]):
    with pytest.raises(error):
        await call(session)
