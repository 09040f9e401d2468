"""Preview, apply and roll-back; splitting, merging and moving; what was, and what it became."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditEntry
from app.domain.errors import Stale
from app.domain.identity import SYSTEM
from app.grids import queries, service
from app.grids.kinds import GridLevel, ImportState, PlaceChange
from app.grids.lineage import Lineage, Link, in_common
from app.grids.models import GridImportRow, GridRow, GridVersionRow, LineageRow
from app.grids.queries import LINEAGE_CTE, GridIndex, lineage_parameters
from app.grids.service import (
    GridImportNotFound,
    GridImportNotLast,
    GridImportOutdated,
    GridImportState,
    GridImportUnchanged,
    ImportCounts,
)
from app.store.base import new_id
from app.store.session import Database
from tests.grids.shapes import COMMUNITY, TOWN, document, feature
from tests.grids.town import (
    GRIDS,
    NOW,
    build,
    days,
    four_grids,
    grid,
    look,
    strip,
    take,
    take_back,
)

# Of a strip of 0.01° by 0.01° at 36.2° N.
STEP_M2 = 997_800


@pytest.fixture
async def session(db: Database) -> AsyncIterator[AsyncSession]:
    async with db.sessions() as session:
        await build(session)
        yield session
        await session.rollback()


async def tree(session: AsyncSession) -> dict[str, tuple[str, bytes | None, bool]]:
    rows = await session.scalars(select(GridRow).execution_options(populate_existing=True))
    return {row.code: (row.name, row.boundary, row.active) for row in rows}


async def index(session: AsyncSession) -> GridIndex:
    rows = await session.execute(
        text("SELECT code, parent_code, level, name, active, boundary FROM grids ORDER BY code")
    )
    links = await session.execute(select(LineageRow.old_code, LineageRow.new_code,
                                         LineageRow.since))  # fmt: skip
    return queries.build(
        [queries.GridRecord(row[0], row[1], GridLevel(row[2]), *row[3:]) for row in rows],
        links=[Link(*link) for link in links],
    )


# --- preview -------------------------------------------------------------------------------------


async def test_a_preview_says_what_is_new_different_and_missing_and_changes_nothing(session):
    before = await tree(session)
    content = document(
        grid(1, 0, 1), grid(2, 1, 2.5), grid(3, 2.5, 3, name="新网格"), grid(5, 3, 4)
    )
    diff = await look(session, content)
    assert [(place.code[-1], place.change) for place in diff.places] == [
        ("2", PlaceChange.CHANGED),
        ("3", PlaceChange.CHANGED),
        ("5", PlaceChange.ADDED),
    ]
    assert diff.unchanged == 1
    assert diff.missing == (GRIDS[3],)
    second, third, fifth = diff.places
    assert second.area_before_m2 == pytest.approx(STEP_M2, rel=1e-3)
    assert second.area_after_m2 == pytest.approx(1.5 * STEP_M2, rel=1e-3)
    assert second.moved_m2 == pytest.approx(0.5 * STEP_M2, rel=1e-3)
    assert (third.before.name, third.after.name) == ("第3网格", "新网格")
    assert (fifth.area_before_m2, fifth.before) == (None, None)
    assert await tree(session) == before


async def test_what_the_file_does_not_name_is_closed_only_if_asked_for(session):
    half = document(grid(1, 0, 2), grid(2, 2, 4))
    assert (await take(session, half)).closed == 0
    diff = await look(session, half, close_missing=True)
    assert [(place.code, place.change) for place in diff.places] == [
        (GRIDS[2], PlaceChange.REMOVED),
        (GRIDS[3], PlaceChange.REMOVED),
    ]
    assert await take(session, half, close_missing=True) == ImportCounts(0, 0, 2, 2)
    grids = await index(session)
    assert [node.code for node in grids.children(COMMUNITY)] == GRIDS[:2]


async def test_an_import_is_applied_as_it_was_looked_at_or_not_at_all(session):
    prepared = await service.prepare(
        session, await look(session, document(grid(1, 0, 1.5))), actor=SYSTEM, now=NOW
    )
    await take(session, document(grid(1, 0, 0.5)))
    before = await tree(session)
    with pytest.raises(GridImportOutdated, match="第1网格 已被改动"):
        await service.apply(session, prepared.id, version=1, actor=SYSTEM, now=NOW)
    assert await tree(session) == before


async def test_a_step_that_is_not_open_is_refused(session):
    async def step(verb, import_id, version):
        return await verb(session, import_id, version=version, actor=SYSTEM, now=NOW)

    diff = await look(session, document(grid(1, 0, 1.5)))
    prepared = await service.prepare(session, diff, actor=SYSTEM, now=NOW)
    with pytest.raises(GridImportNotFound):
        await step(service.apply, new_id(), 1)
    with pytest.raises(GridImportState):
        await step(service.roll_back, prepared.id, 1)
    with pytest.raises(Stale):
        await step(service.apply, prepared.id, 2)
    assert (await step(service.apply, prepared.id, 1)).state is ImportState.APPLIED
    with pytest.raises(GridImportState):
        await step(service.apply, prepared.id, 2)
    same = await service.prepare(
        session, await look(session, document(grid(1, 0, 1.5))), actor=SYSTEM, now=NOW
    )
    with pytest.raises(GridImportUnchanged):
        await step(service.apply, same.id, 1)


# --- roll-back -----------------------------------------------------------------------------------


async def test_after_a_roll_back_everything_is_as_it_was(session):
    before = await tree(session)
    content = document(
        grid(1, 0, 0.5, predecessors=GRIDS[0]),
        grid(5, 0.5, 1, predecessors=GRIDS[0]),
        grid(2, 1, 2.5, name="改名"),
    )
    await take(session, content, close_missing=True, now=days(1))
    assert await tree(session) != before
    row = await take_back(session, now=days(2))
    assert (row.state, row.version) == (ImportState.ROLLED_BACK, 3)
    after = await tree(session)
    # What the import brought is closed, not gone: somebody may have asked for help in it.
    assert after.pop(f"{COMMUNITY}005")[2] is False
    assert after == before
    assert (await session.scalars(select(LineageRow))).all() == []


async def test_only_the_last_import_is_taken_back_and_then_the_one_before(session):
    await take(session, document(grid(1, 0, 0.5)), now=days(1))
    first = await service.last_applied(session)
    await take(session, document(grid(1, 0, 0.6)), now=days(2))
    with pytest.raises(GridImportNotLast):
        await service.roll_back(session, first.id, version=2, actor=SYSTEM, now=days(3))
    await take_back(session, now=days(3))
    assert (await take_back(session, now=days(4))).id == first.id


async def test_what_was_changed_by_hand_since_is_not_overwritten(session):
    await take(session, document(grid(1, 0, 0.5)), now=days(1))
    (await session.get_one(GridRow, GRIDS[0])).name = "手工改名"
    await session.flush()
    with pytest.raises(GridImportOutdated):
        await take_back(session)


async def test_imports_and_roll_backs_are_told_with_what_became_of_what(session):
    await take(session, document(grid(5, 0, 2, predecessors=GRIDS[:2])), now=days(1))
    await take_back(session, now=days(2))
    rows = await session.execute(
        select(AuditEntry.action, AuditEntry.facts)
        .where(AuditEntry.chain == service.CHAIN)
        .order_by(AuditEntry.seq)
    )
    *_, (did, facts), (undid, undone) = rows
    assert (did, undid) == ("import_grids", "roll_back_grids")
    assert facts["closed"] == GRIDS[:2]
    assert facts["created"] == [f"{COMMUNITY}005"]
    assert facts["lineage"] == [[old, f"{COMMUNITY}005"] for old in GRIDS[:2]]
    assert facts["import_id"] == undone["import_id"]


# --- what was ------------------------------------------------------------------------------------


async def test_every_state_of_a_place_keeps_its_dates(session):
    await take(session, document(grid(1, 0, 0.5)), now=days(1))
    await take(session, document(grid(1, 0, 0.5, name="改名")), now=days(2))
    await take_back(session, now=days(3))
    versions = await queries.versions_of(session, GRIDS[0])
    assert [(one.name, one.valid_from, one.valid_to) for one in versions] == [
        ("第1网格", days(3), None),
        ("改名", days(2), days(3)),
        ("第1网格", days(1), days(2)),
        ("第1网格", NOW, days(1)),
    ]
    assert versions[-1].shape.bounds == pytest.approx((120.0, 36.2, 120.01, 36.21))
    assert await queries.versions_of(session, "370281999") == []


async def test_a_county_s_outline_has_versions_and_is_taken_back_too(session):
    outline = feature("370281", strip(-1, 5), name="胶州市")
    town = feature(TOWN, strip(0, 4))
    assert (await take(session, document(outline, town), GridLevel.TOWN)).created == 1
    wider = feature("370281", strip(-2, 5), name="胶州市")
    await take(session, document(wider), GridLevel.TOWN, now=days(1))
    kept = await session.scalars(select(GridVersionRow.code))
    assert kept.all() == ["370281"]
    await take_back(session, now=days(2))
    await take_back(session, now=days(3))
    assert await session.scalar(text("SELECT count(*) FROM grid_counties")) == 0


# --- split, merge, move --------------------------------------------------------------------------


async def test_a_split_closes_the_old_grid_and_leads_to_its_parts(session):
    five, six = f"{COMMUNITY}005", f"{COMMUNITY}006"
    content = document(
        grid(5, 0, 0.4, predecessors=GRIDS[0]), grid(6, 0.4, 1, predecessors=GRIDS[0])
    )
    assert await take(session, content, now=days(1)) == ImportCounts(2, 0, 0, 1)
    grids = await index(session)
    assert not grids.node(GRIDS[0]).active
    assert grids.name_path(GRIDS[0]).endswith("第1网格")  # old requests keep their name
    assert grids.lineage.present(GRIDS[0], NOW) == (five, six)
    assert grids.present_code(GRIDS[0], NOW, (36.205, 120.001)) == five
    assert grids.present_code(GRIDS[0], NOW, (36.205, 120.009)) == six
    assert grids.present_code(GRIDS[0], NOW) == COMMUNITY
    assert grids.present_code(GRIDS[1], NOW) == GRIDS[1]


async def test_a_split_may_keep_the_old_code_for_one_part(session):
    content = document(grid(1, 0, 0.5), grid(5, 0.5, 1, predecessors=GRIDS[0]))
    await take(session, content, now=days(1))
    grids = await index(session)
    assert grids.lineage.present(GRIDS[0], NOW) == (GRIDS[0], f"{COMMUNITY}005")
    assert grids.present_code(GRIDS[0], NOW, (36.205, 120.001)) == GRIDS[0]
    assert grids.present_code(GRIDS[0], days(2)) == GRIDS[0]  # of the smaller grid


async def test_a_merge_leads_from_both_to_one(session):
    await take(session, document(grid(5, 0, 2, predecessors=GRIDS[:2])), now=days(1))
    grids = await index(session)
    assert {grids.present_code(code, NOW) for code in GRIDS[:2]} == {f"{COMMUNITY}005"}
    assert grids.locate(36.205, 120.001).code == f"{COMMUNITY}005"


async def test_a_move_to_another_community_takes_the_history_along(session):
    other = f"{TOWN}602"
    beside = feature(other, strip(3, 4), name="东风新村")
    await take(session, document(feature(COMMUNITY, strip(0, 3), name="福安新村"), beside),
               GridLevel.COMMUNITY, now=days(1))  # fmt: skip
    moved = feature(f"{other}001", strip(3, 4), name="第1网格", predecessors=GRIDS[3])
    await take(session, document(moved), now=days(1))
    grids = await index(session)
    assert grids.present_code(GRIDS[3], NOW) == f"{other}001"
    assert grids.present_code(f"{GRIDS[3]}01", NOW) == f"{other}001"  # its micro-grids too
    assert grids.name_path(grids.present_code(GRIDS[3], NOW)) == "阜安街道 / 东风新村 / 第1网格"


async def test_statistics_by_the_grids_of_then_and_of_now(session):
    """The query that statistics joins: the same requests on both views."""
    old = {GRIDS[0]: 3, GRIDS[1]: 2, GRIDS[2]: 1}
    await take(session, document(grid(5, 0, 2, predecessors=GRIDS[:2])), now=days(10))
    parameters = lineage_parameters(await index(session))
    rows = [(code, days(1)) for code, count in old.items() for _ in range(count)]
    rows.append((f"{COMMUNITY}005", days(11)))
    counted = await session.execute(
        text(f"""
        WITH {LINEAGE_CTE}, made (grid_code, submitted_at) AS (
          SELECT * FROM unnest(CAST(:codes AS text[]), CAST(:times AS timestamptz[]))
        )
        SELECT coalesce(became.now_code, made.grid_code), count(*) FROM made
        LEFT JOIN LATERAL (
          SELECT now_code FROM lineage
          WHERE starts_with(made.grid_code, lineage.code) AND made.submitted_at < lineage.before
          ORDER BY length(lineage.code) DESC, lineage.before LIMIT 1
        ) AS became ON true GROUP BY 1
        """),
        {
            **parameters,
            "codes": [code for code, _ in rows],
            "times": [at for _, at in rows],
        },
    )
    assert dict(tuple(row) for row in counted) == {f"{COMMUNITY}005": 6, GRIDS[2]: 1}


async def test_without_any_lineage_the_query_changes_nothing(session):
    found = await session.execute(
        text(f"WITH {LINEAGE_CTE} SELECT count(*) FROM lineage"),
        lineage_parameters(await index(session)),
    )
    assert found.scalar() == 0


# --- the lineage itself --------------------------------------------------------------------------


def links(*rows):
    return Lineage(Link(old, new, NOW + timedelta(days=day)) for old, new, day in rows)


def test_a_chain_of_changes_is_followed_to_its_end():
    lineage = links(("a", "b", 1), ("b", "c", 2), ("b", "d", 2), ("d", "e", 3))
    one, *_ = GRIDS
    renamed = links((one, "370281001601007", 1), ("370281001601007", "370281001602001", 2))
    assert renamed.present(one, NOW) == ("370281001602001",)
    assert renamed.present("370281001601007", NOW) == ("370281001602001",)
    assert renamed.present("370281001601007", days(3)) == ("370281001601007",)
    assert lineage.present("x", NOW) == ("x",)


def test_a_code_that_comes_back_to_life_is_told_apart_by_time():
    one, two = GRIDS[:2]
    lineage = links((one, two, 1), (two, one, 5))
    assert lineage.present(one, NOW) == (one,)  # went to two, and came back with it
    assert lineage.present(two, days(2)) == (one,)
    assert lineage.present(one, days(6)) == (one,)
    segments = [(row.code, row.before, row.now_code) for row in lineage.segments()]
    assert segments == [(one, days(1), one), (two, days(5), one)]


def test_what_places_have_in_common_is_a_place():
    assert in_common(GRIDS) == COMMUNITY
    assert in_common([GRIDS[0]]) == GRIDS[0]
    assert in_common([GRIDS[0], "370211104001001"]) == ""
    assert in_common([COMMUNITY, GRIDS[0]]) == COMMUNITY


async def test_importing_the_same_again_leaves_no_trace(session):
    before = len((await session.scalars(select(GridImportRow))).all())
    assert await take(session, four_grids()) == ImportCounts(0, 0, 4, 0)
    assert len((await session.scalars(select(GridImportRow))).all()) == before
